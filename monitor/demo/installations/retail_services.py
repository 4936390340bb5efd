"""Retail's services: API and shop behind Nginx, Redis and its queue with a worker; and how they fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from monitor.demo.certificates import Authority
from monitor.demo.installation import fault
from monitor.demo.installations.retail_data import RetailData
from monitor.demo.parts.bullmq import HANGS, BullQueue
from monitor.demo.parts.site import Site
from monitor.demo.servers import DATABASE_AWAY, Valkey

SLOW = 2.05
"""Seconds that API and shop take when they are slow."""
PASSWORD = "r3tail-cache"
WORKER = "7f7a1c3e-5a2f-4d6b-9a53-2f1f0b6c8d01"
AT_ONCE = 5
"""Jobs that the worker has in hand."""
DATABASE_WITHIN = 2.0
"""Seconds that the API gives the database to answer."""


class RetailServices(RetailData):
    """API, shop, Nginx, Redis, the queue."""

    async def start_services(self) -> None:
        """Start them all."""
        enter = self.stack.enter_async_context
        lasting = {"appendonly": "yes", "appendfsync": "always"}
        self.cache = await self.server(Valkey(self.folder / "valkey", password=PASSWORD, settings=lasting))
        self.queue = await enter(BullQueue(self.cache, "orders"))
        self.worker_pings = True
        self.every(60, self._sign_of_life)
        await self._start_behind_nginx()
        self.environment |= {
            "RETAIL_REDIS_URL": self.cache.url,
            "RETAIL_WORKER_UUID": WORKER,
        }

    async def _start_behind_nginx(self) -> None:
        enter = self.stack.enter_async_context
        self.api, self.web = [await enter(Site()) for _ in range(2)]
        self.api.handles("/health", self._health)
        self.web.answers("/", "<!doctype html><title>Retail</title><div id=__next>Offers of the week</div>")
        self.authority = Authority("Retail's test authority")
        self.plain, self.secure = await enter(Site()), await enter(Site(self.authority.issue("127.0.0.1")))
        self.plain.answers("/*", "", 301, location=f"{self.secure.url}/")
        self.secure.handles("/*", self._pass_on)
        self.certificate_file = self.authority.issue("127.0.0.1").write(self.folder / "fullchain.pem")
        self._http = await enter(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)))
        self.environment |= {
            "RETAIL_API_URL": f"{self.secure.url}/api",
            "RETAIL_WEB_URL": self.secure.url,
            "RETAIL_HTTP": self.plain.address,
            "RETAIL_HTTPS": self.secure.address,
            "RETAIL_CERTIFICATE": str(self.certificate_file),
            "RETAIL_CA_FILE": str(self.authority.write(self.folder / "authority.pem")),
        }

    async def _pass_on(self, request: web.Request) -> web.Response:
        """As Nginx does: /api/ to the API, all else to the shop; 502 where that is down."""
        to_api = request.path.startswith("/api/")
        upstream = f"{self.api.url}{request.path.removeprefix('/api')}" if to_api else f"{self.web.url}{request.path}"
        try:
            async with self._http.request(request.method, upstream) as answer:
                body = await answer.read()
                return web.Response(status=answer.status, body=body, content_type=answer.content_type)
        except aiohttp.ClientError:
            return web.Response(status=502, text="<h1>502 Bad Gateway</h1><hr>nginx", content_type="text/html")

    async def _health(self, request: web.Request) -> web.Response:
        """As NestJS' Terminus answers, after it has really asked the database."""
        details: dict[str, Any] = {"database": {"status": "up"}}
        try:
            async with asyncio.timeout(DATABASE_WITHIN):
                connection = await self.app_session()
                await connection.close()
        except DATABASE_AWAY as why:
            details = {"database": {"status": "down", "message": str(why)}}
        up = details["database"]["status"] == "up"
        said = {"status": "ok" if up else "error", "details": details}
        return web.json_response(said, status=200 if up else 503)

    async def _sign_of_life(self) -> None:
        """What the worker sends each minute."""
        if self.worker_pings:
            await self.ping(WORKER)

    # --- what customers use --------------------------------------------------------------------------------------

    @fault("R01", "the API is stopped, so that Nginx answers 502")
    async def api_down(self) -> AsyncIterator[None]:
        await self.api.stop()
        yield
        await self.api.start()

    @fault("R01.web", "the shop answers 500")
    async def web_down(self) -> AsyncIterator[None]:
        with self.web.instead("/", "Internal Server Error", 500):
            yield

    @fault("R01.slow", f"API and shop take {SLOW:g} s")
    async def both_slow(self) -> AsyncIterator[None]:
        self.api.late = self.web.late = SLOW
        yield
        self.api.late = self.web.late = 0.0

    @fault("R07", "Nginx is stopped: neither port listens")
    async def nginx_down(self) -> AsyncIterator[None]:
        await self.plain.stop()
        await self.secure.stop()
        yield
        await self.plain.start()
        await self.secure.start()

    @fault("R07.https", "Nginx listens on port 80 only")
    async def https_down(self) -> AsyncIterator[None]:
        await self.secure.stop()
        yield
        await self.secure.start()

    @fault("R07.30d", "the certificate ends in 29 days")
    async def certificate_29(self) -> AsyncIterator[None]:
        async with self._certificate(29):
            yield

    @fault("R07.14d", "the certificate ends in 13 days")
    async def certificate_13(self) -> AsyncIterator[None]:
        async with self._certificate(13):
            yield

    @fault("R07.7d", "the certificate ends in 6 days")
    async def certificate_6(self) -> AsyncIterator[None]:
        async with self._certificate(6):
            yield

    @fault("R07.expired", "the certificate ended yesterday")
    async def certificate_expired(self) -> AsyncIterator[None]:
        async with self._certificate(-1):
            yield

    @fault("R07.file", "the certificate in the PEM file ends in 6 days; Nginx still shows another")
    async def certificate_file_ends(self) -> AsyncIterator[None]:
        self.authority.issue("127.0.0.1", days=6, at=self.now()).write(self.certificate_file)
        yield
        self.authority.issue("127.0.0.1", at=self.now()).write(self.certificate_file)

    @asynccontextmanager
    async def _certificate(self, days: float) -> AsyncIterator[None]:
        self.secure.present(self.authority.issue("127.0.0.1", starts=-60, days=days, at=self.now()))
        yield
        self.secure.present(self.authority.issue("127.0.0.1", at=self.now()))

    # --- Redis and its queue -------------------------------------------------------------------------------------

    @fault("R06", "Redis is killed")
    async def cache_killed(self) -> AsyncIterator[None]:
        await self.cache.kill()
        yield
        await self.cache.start()
        await self.queue.work_again()

    @fault("R06.password", "Redis has another password than we know")
    async def password_changed(self) -> AsyncIterator[None]:
        await self.cache.command("CONFIG", "SET", "requirepass", "another")
        yield
        self.cache.password = "another"
        await self.cache.command("CONFIG", "SET", "requirepass", PASSWORD)
        self.cache.password = PASSWORD

    @fault("R06.backlog", "the worker hangs in its jobs, and 1,200 more come")
    async def jobs_wait(self) -> AsyncIterator[None]:
        await self.queue.add(AT_ONCE, HANGS)
        await self.queue.add(1_200)
        yield
        await self.queue.stop()
        await self.cache.command("FLUSHALL")
        await self.queue.start()

    @fault("R17", "the worker ends")
    async def worker_ends(self) -> AsyncIterator[None]:
        self.worker_pings = False
        await self.queue.rest()
        yield
        await self.queue.work_again()
        self.worker_pings = True

    @fault("R17.silent", "the worker is connected, and gives no sign of life")
    async def worker_silent(self) -> AsyncIterator[None]:
        self.worker_pings = False
        yield
        self.worker_pings = True
