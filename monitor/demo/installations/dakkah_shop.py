"""Dakkah's own services: the store, its backend and the storefront, and what goes wrong with them (D01 to D06, D18)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson
from aiohttp import web

from monitor.demo.installation import fault
from monitor.demo.installations.dakkah_data import DakkahData
from monitor.demo.parts.site import Site

ORIGIN = "https://dakkah.example.com"
TOKEN = "sk_demo-5d41402abc4b2a76"
SLOW = 2.2


class DakkahShop(DakkahData):
    """The services, as their runbook says they answer. The store really asks its database."""

    store: Site
    backend: Site
    storefront: Site

    async def start_shop(self) -> None:
        """Start the services; their database is there already."""
        self.heap_used_mb = 210
        self.stripe_configured = self.temporal_configured = self.backend_runs = True
        self.integrations: dict[str, dict[str, Any]] = {
            name: {"configured": True, "circuit_breaker": {"state": "closed"}, "sync": {"completion_rate": 0.99}}
            for name in ("payload", "erpnext", "fleetbase")
        }
        self.store, self.backend, self.storefront = [
            await self.stack.enter_async_context(site) for site in (Site(), Site(), Site())
        ]
        self.store.handles("/store/health", self._store_health)
        self.store.handles("/store/products", self._preflight, method="OPTIONS")
        self.backend.answers("/health", "OK")
        self.backend.handles("/admin/health", self._admin_health)
        self.storefront.handles("/", self._page)
        self.allowed = {ORIGIN}
        self.environment |= {
            "DAKKAH_URL": self.store.url, "DAKKAH_BACKEND_URL": self.backend.url, "DAKKAH_ORIGIN": ORIGIN,
            "DAKKAH_STOREFRONT_URL": self.storefront.url, "DAKKAH_ADMIN_TOKEN": TOKEN,
        }  # fmt: skip

    async def _store_health(self, request: web.Request) -> web.Response:
        if not self.backend_runs:
            return web.Response(status=502, text="Bad Gateway")
        database = "healthy" if await self.asks_database("SELECT 1") else "unhealthy"
        body = {
            "status": database, "version": "1.0.0", "uptime_seconds": 3600,
            "checks": {
                "database": {"status": database},
                "integrations": {
                    "stripe": _configured(self.stripe_configured), "temporal": _configured(self.temporal_configured)
                },
            },
        }  # fmt: skip
        return _json(body, 200 if database == "healthy" else 503)

    async def _admin_health(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _json({"type": "unauthorized", "message": "Unauthorized"}, 401)
        memory = {"heap_used_mb": self.heap_used_mb, "heap_total_mb": 512}
        system = {"memory": memory, "node_version": "v20.18.0"}
        return _json({"status": "healthy", "system": system, "integrations": self.integrations})

    async def _preflight(self, request: web.Request) -> web.Response:
        origin = request.headers.get("Origin", "")
        allows = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Methods": "GET,POST,DELETE"}
        return web.Response(status=204, headers=allows if origin in self.allowed else {})

    async def _page(self, request: web.Request) -> web.Response:
        if not self.backend_runs:
            return web.Response(status=500, text="Something went wrong")
        return web.Response(text="<title>Dakkah</title>", content_type="text/html")

    @fault("D01", "the store answers 503: maintenance mode was left on")
    async def store_down(self) -> AsyncIterator[None]:
        """The backend is well."""
        with self.store.instead("/store/health", {"status": "maintenance"}, 503):
            yield

    @fault("D01.status", "the store answers 200 and says that it is degraded")
    async def store_degraded(self) -> AsyncIterator[None]:
        """What a look at the status alone misses."""
        body = {"status": "degraded", "checks": {"database": {"status": "healthy"}}}
        with self.store.instead("/store/health", body):
            yield

    @fault("D01.slow", "the store takes 2.2 s to answer")
    async def store_slow(self) -> AsyncIterator[None]:
        """Over the runbook's 2000 ms."""
        self.store.late = SLOW
        yield
        self.store.late = 0.0

    @fault("D03", "STRIPE_API_KEY is not set where the backend runs")
    async def stripe_not_configured(self) -> AsyncIterator[None]:
        """Nobody can pay."""
        self.stripe_configured = False
        yield
        self.stripe_configured = True

    @fault("D03.temporal", "TEMPORAL_ENDPOINT is not set where the backend runs")
    async def temporal_not_configured(self) -> AsyncIterator[None]:
        """Orders are not fulfilled."""
        self.temporal_configured = False
        yield
        self.temporal_configured = True

    @fault("D04", "the backend's heap has grown to 430 of 512 MB")
    async def heap_grows(self) -> AsyncIterator[None]:
        """Over the runbook's 400."""
        self.heap_used_mb = 430
        yield
        self.heap_used_mb = 210

    @fault("D04.token", "the token for /admin/health was revoked")
    async def token_revoked(self) -> AsyncIterator[None]:
        """It answers 401."""
        with self.backend.instead("/admin/health", {"type": "unauthorized", "message": "Unauthorized"}, 401):
            yield

    @fault("D05", "Payload's variables are gone")
    async def payload_not_configured(self) -> AsyncIterator[None]:
        """One of three."""
        with self._integration("payload", {"configured": False}):
            yield

    @fault("D05.breaker", "ERPNext fails, and its circuit breaker has opened")
    async def breaker_open(self) -> AsyncIterator[None]:
        """One of three."""
        with self._integration("erpnext", {"circuit_breaker": {"state": "open"}}):
            yield

    @fault("D05.sync", "of Fleetbase's sync only 80 % is completed, and it was 99 %")
    async def sync_falls(self) -> AsyncIterator[None]:
        """One of three."""
        with self._integration("fleetbase", {"sync": {"completion_rate": 0.8}}):
            yield

    @fault("D06", "the storefront has ended")
    async def storefront_down(self) -> AsyncIterator[None]:
        """Nobody listens on its port."""
        await self.storefront.stop()
        yield
        await self.storefront.start()

    @fault("D06.backend", "the backend has ended")
    async def backend_down(self) -> AsyncIterator[None]:
        """Nobody listens on its port: the proxy of the store answers 502, the storefront 500."""
        self.backend_runs = False
        await self.backend.stop()
        yield
        await self.backend.start()
        self.backend_runs = True

    @fault("D18", "the storefront's origin is missing in STORE_CORS")
    async def origin_missing(self) -> AsyncIterator[None]:
        """The preflight is answered, without the header."""
        self.allowed.clear()
        yield
        self.allowed.add(ORIGIN)

    @contextmanager
    def _integration(self, name: str, change: Mapping[str, Any]) -> Iterator[None]:
        before = self.integrations[name]
        self.integrations[name] = {**before, **change}
        try:
            yield
        finally:
            self.integrations[name] = before


def _configured(yes: bool) -> dict[str, Any]:
    return {"status": "configured" if yes else "not_configured", "configured": yes}


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")
