"""iaMenu's services: the API, the marketplace and the business service, whose answers come from the real servers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import web
from redis.exceptions import RedisError

from monitor.demo.installation import fault
from monitor.demo.installations.iamenu_cache import Cache
from monitor.demo.installations.iamenu_shop import SEARCH, Shop
from monitor.demo.parts.site import Site
from monitor.demo.parts.socketio import SocketIoServer
from monitor.demo.servers import DATABASE_AWAY

FIND = f"""
SELECT id, name, ts_rank({SEARCH}, query) AS relevance
FROM marketplace."Product", plainto_tsquery('portuguese', $1) query WHERE {SEARCH} @@ query ORDER BY 3 DESC, 1 LIMIT 20
"""
WARNS, ALERTS = 0.26, 0.56
"""Seconds that a slow search takes."""


class Services(Shop, Cache):
    """They use Redis where it is there and go on without it; without PostgreSQL they say so, with status 503."""

    async def start_services(self) -> None:
        """Start them."""
        self.with_fallback = True
        """Whether the marketplace can do without Redis."""
        self.api, self.marketplace, self.business = [
            await self.stack.enter_async_context(Site()) for _ in ("api", "marketplace", "business")
        ]
        self.api.handles("/health", self._health)
        self.marketplace.handles("/api/v1/marketplace/search", self._search)
        self.business.handles("/api/v1/business/analytics/health", self._analytics_health)
        self.socketio = await self.stack.enter_async_context(SocketIoServer())
        self.environment |= {
            "IAMENU_API_URL": self.api.url,
            "IAMENU_MARKETPLACE_URL": self.marketplace.url,
            "IAMENU_BUSINESS_URL": self.business.url,
            "IAMENU_SOCKETIO_URL": self.socketio.url,
        }

    async def _health(self, request: web.Request) -> web.Response:
        try:
            await self.pool.fetchval("SELECT 1")
        except DATABASE_AWAY as why:
            return web.json_response({"status": "error", "database": str(why)}, status=503)
        cache = "unavailable"
        with suppress(RedisError, OSError):
            await self.redis.ping()
            cache = "available"
        return web.json_response({"status": "ok", "cache": cache})

    async def _search(self, request: web.Request) -> web.Response:
        asked = request.query.get("q", "")
        key = f"cache:search:{asked}"
        try:
            held = await self.redis.get(key)
        except (RedisError, OSError) as why:
            if not self.with_fallback:
                return web.json_response({"error": f"cannot reach the cache: {why}"}, status=500)
            held = None
        if held is not None:
            return web.json_response(text=str(held))
        try:
            rows = await self.pool.fetch(FIND, asked)
        except DATABASE_AWAY as why:
            return web.json_response({"error": f"cannot search: {why}"}, status=503)
        found = json.dumps([{"id": one["id"], "name": one["name"], "relevance": one["relevance"]} for one in rows])
        with suppress(RedisError, OSError):
            await self.redis.set(key, found, ex=60)
        return web.json_response(text=found)

    async def _analytics_health(self, request: web.Request) -> web.Response:
        try:
            days = await self.pool.fetchval('SELECT count(*) FROM business."AnalyticsDaily"')
        except DATABASE_AWAY as why:
            return web.json_response({"status": "error", "error": str(why)}, status=503)
        return web.json_response({"status": "ok" if days else "empty"})

    # --- what can go wrong ---------------------------------------------------------------------------------------

    @fault("W01", "the API refuses connections, and Socket.io behind it")
    async def api_down(self) -> AsyncIterator[None]:
        await self.api.stop()
        await self.socketio.stop()
        yield
        await self.socketio.start()
        await self.api.start()

    @fault("W01.status", "the API says that it is degraded")
    async def api_degraded(self) -> AsyncIterator[None]:
        with self.api.instead("/health", {"status": "degraded", "queue": "overloaded"}):
            yield

    @fault("W03", "Redis is killed, and the marketplace was released without its fallback")
    async def marketplace_needs_cache(self) -> AsyncIterator[None]:
        self.with_fallback = False
        async with self.redis_killed():
            yield
        self.with_fallback = True

    @fault("W05", "all products are gone")
    async def products_gone(self) -> AsyncIterator[None]:
        await self.pool.execute('CREATE TABLE kept AS TABLE marketplace."Product"; TRUNCATE marketplace."Product"')
        await self.drop("cache:search:*")
        yield
        await self.pool.execute('INSERT INTO marketplace."Product" TABLE kept; DROP TABLE kept')
        await self.drop("cache:search:*")

    @fault("W05.slower", f"a search takes {WARNS * 1000:.0f} ms")
    async def search_slower(self) -> AsyncIterator[None]:
        self.marketplace.late = WARNS
        yield
        self.marketplace.late = 0.0

    @fault("W05.slow", f"a search takes {ALERTS * 1000:.0f} ms")
    async def search_slow(self) -> AsyncIterator[None]:
        self.marketplace.late = ALERTS
        yield
        self.marketplace.late = 0.0

    @fault("W10", "the analytics engine says that it is not ok")
    async def analytics_degraded(self) -> AsyncIterator[None]:
        with self.business.instead("/api/v1/business/analytics/health", {"status": "error", "jobs": "failed"}):
            yield

    @fault("W16", "Socket.io's server is stopped")
    async def socketio_down(self) -> AsyncIterator[None]:
        await self.socketio.stop()
        yield
        await self.socketio.start()
