"""A small shop, run as its own process, that really uses PostgreSQL and Valkey; over HTTP and HTTPS."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable
from hmac import compare_digest
from html import escape
from pathlib import Path
from typing import Any

import asyncpg
from aiohttp import web
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from monitor.demo.certificates import EXPIRED, VALID
from monitor.demo.servers import DATABASE_AWAY

PATIENCE = 1.0
"""Seconds that the shop waits for its database and its cache."""
CACHED_FOR = 5
"""Seconds for which the storefront is kept in the cache."""
WARES = (("Teapot", 2400), ("Lamp", 3900), ("Notebook", 700), ("Bicycle bell", 1250))

SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, ware text NOT NULL, cents int NOT NULL,
    placed_at timestamptz NOT NULL DEFAULT now())
"""

Failure = (*DATABASE_AWAY, RedisError)


class Shop:
    """The shop's state: its pool, its cache, and the faults that it is asked to have."""

    def __init__(self, database: str, cache: str, certificates: Path, token: str) -> None:
        self._database = database
        self._certificates = certificates
        self._token = token
        self._pool: asyncpg.Pool[asyncpg.Record]
        self._has_schema = False
        self._cache: Redis = Redis.from_url(
            cache,
            decode_responses=True,
            socket_timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            # Once, for a connection that died with the server it led to.
            retry=Retry(NoBackoff(), 1),
        )
        self._slow = 0.0
        self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.tls.load_cert_chain(certificates / VALID)

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/", self.storefront),
                web.get("/health", self.health),
                web.get("/orders", self.orders),
                web.post("/orders", self.order),
                web.post("/-/control", self.control),
            ]
        )
        app.cleanup_ctx.append(self._open)
        return app

    async def storefront(self, request: web.Request) -> web.Response:
        """The page that customers see; from the cache while it is fresh there."""
        await asyncio.sleep(self._slow)
        try:
            page = await self._cached_page()
        except Failure as why:
            return web.Response(status=503, text=f"Sorry, the shop is closed: {type(why).__name__}\n")
        return web.Response(text=page, content_type="text/html")

    async def health(self, request: web.Request) -> web.Response:
        """What load balancers ask: a query and a ping, both at once."""
        names = ("database", "redis")
        answers = await asyncio.gather(self._state(self._count()), self._state(self._cache.ping()))
        checks = {name: {"status": state} for name, state in zip(names, answers, strict=True)}
        healthy = all(state == "healthy" for state in answers)
        body = {"status": "healthy" if healthy else "degraded", "checks": checks}
        return web.json_response(body, status=200 if healthy else 503)

    async def orders(self, request: web.Request) -> web.Response:
        """The last twenty."""
        try:
            rows = await self._rows("SELECT id, ware, cents FROM orders ORDER BY id DESC LIMIT 20")
        except Failure:
            return web.json_response({"error": "the database does not answer"}, status=503)
        return web.json_response({"orders": [dict(row) for row in rows]})

    async def order(self, request: web.Request) -> web.Response:
        """Place one: a form or JSON with the ware's name."""
        form = await request.post()
        prices = dict(WARES)
        ware = str(form.get("ware", ""))
        if ware not in prices:
            return web.json_response({"error": f"there is no {ware!r}"}, status=404)
        try:
            await self._rows("INSERT INTO orders (ware, cents) VALUES ($1, $2)", ware, prices[ware])
        except Failure:
            return web.json_response({"error": "the database does not answer"}, status=503)
        raise web.HTTPSeeOther("/")

    async def control(self, request: web.Request) -> web.Response:
        """Have a fault, or none: {"slow": seconds} or {"certificate": "valid" or "expired"}."""
        if not compare_digest(request.headers.get("Authorization", ""), f"Bearer {self._token}"):
            raise web.HTTPForbidden
        wanted = await request.json()
        self._slow = float(wanted.get("slow", self._slow))
        if "certificate" in wanted:
            # New handshakes show it at once; nobody has to start again.
            self.tls.load_cert_chain(self._certificates / (EXPIRED if wanted["certificate"] == "expired" else VALID))
        return web.json_response({"slow": self._slow})

    async def _cached_page(self) -> str:
        async with asyncio.timeout(PATIENCE):
            cached = await self._cache.get("storefront")
            if cached:
                return str(cached)
            rows = await self._rows("SELECT ware, count(*) AS sold FROM orders GROUP BY ware")
            page = _page({row["ware"]: row["sold"] for row in rows})
            await self._cache.set("storefront", page, ex=CACHED_FOR)
            return page

    async def _count(self) -> None:
        await self._rows("SELECT count(*) FROM orders")

    async def _state(self, question: Awaitable[Any]) -> str:
        try:
            async with asyncio.timeout(PATIENCE):
                await question
        except Failure:
            return "unhealthy"
        return "healthy"

    async def _rows(self, query: str, *values: object) -> list[asyncpg.Record]:
        async with asyncio.timeout(PATIENCE):
            if not self._has_schema:
                await self._pool.execute(SCHEMA)
                self._has_schema = True
            return await self._pool.fetch(query, *values)

    async def _open(self, app: web.Application) -> AsyncIterator[None]:
        # min_size=0: the shop opens whether or not its database is there.
        self._pool = await asyncpg.create_pool(
            self._database, min_size=0, max_size=5, server_settings={"application_name": "shop"}
        )
        yield
        await self._cache.aclose()
        self._pool.terminate()


def _page(sold: dict[str, int]) -> str:
    wares = "".join(
        f"<li><b>{escape(ware)}</b> {cents / 100:.2f} € <i>{sold.get(ware, 0)} sold</i>"
        f'<button name="ware" value="{escape(ware)}">Buy</button></li>'
        for ware, cents in WARES
    )
    return (
        "<!doctype html><meta charset=utf-8><title>The demo shop</title>"
        "<style>body{font:16px system-ui;max-width:36em;margin:3em auto;padding:0 1em;color-scheme:light dark}"
        "li{display:flex;gap:1em;margin:.6em 0}i{flex:1;opacity:.6}ul{padding:0}</style>"
        f"<h1>The demo shop</h1><form method=post action=/orders><ul>{wares}</ul></form>"
    )


async def serve(settings: dict[str, Any]) -> None:
    """Serve until cancelled."""
    shop = Shop(settings["database"], settings["cache"], Path(settings["certificates"]), settings["token"])
    runner = web.AppRunner(shop.application(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", settings["port"]).start()
        await web.TCPSite(runner, "127.0.0.1", settings["https_port"], ssl_context=shop.tls).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def main() -> None:
    """Its settings are JSON in DEMO_SHOP: they hold passwords, which a command line would show to everybody."""
    try:
        asyncio.run(serve(json.loads(os.environ.pop("DEMO_SHOP"))))
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as why:
        sys.exit(f"cannot open the shop: {why}")


if __name__ == "__main__":
    main()
