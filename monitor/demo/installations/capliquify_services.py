"""CapLiquify's own services: a backend over a real pool with a real log, Railway's edge, the MCP server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import asyncpg
from aiohttp import web

from monitor.demo.parts.served import Served
from monitor.demo.ports import free_port
from monitor.demo.servers import DATABASE_AWAY

POOL = 4
"""Connections of the backend's pool."""
PATIENCE = 1.0
"""Seconds that the backend waits for a connection of its pool, and for the database."""
LONG = 5.0
"""The same for what takes long and is not asked for by anybody who waits."""
PASSWORD = "correct horse"


class Log:
    """A log file that is rotated by renaming, as logrotate does."""

    def __init__(self, file: Path, now: Callable[[], float]) -> None:
        self.file = file
        self._now = now
        self._kept = 0

    def write(self, level: str, text: str) -> None:
        """Add a line."""
        at = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="milliseconds")
        with self.file.open("a") as file:
            file.write(f"{at} {level} {text}\n")

    def rotate(self) -> None:
        """Begin a new file; the older ones get numbers."""
        for number in range(self._kept, -1, -1):
            old = self.file.with_name(self.file.name + (f".{number}" if number else ""))
            if old.exists():
                old.rename(self.file.with_name(f"{self.file.name}.{number + 1}"))
        self._kept = min(self._kept + 1, 3)
        self.file.touch()


class Backend(Served):
    """What listens on port 5000: health, logins, stock."""

    def __init__(self, dsn: str, log: Log) -> None:
        super().__init__()
        self.log = log
        self.hangs = False
        """Whether it takes every request and answers none."""
        self.late = 0.0
        """Seconds by which every answer comes later."""
        self._dsn = dsn
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def start(self) -> Backend:
        """Open the pool, and listen (again)."""
        if self._pool is None:
            self._pool = await asyncpg.create_pool(
                self._dsn, min_size=0, max_size=POOL, server_settings={"application_name": "backend"}
            )
        return await super().start()

    async def stop(self) -> None:
        """Hang up on everybody."""
        await super().stop()
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    async def run(self, query: str, patience: float = PATIENCE) -> None:
        """A statement through the pool; TimeoutError where no connection becomes free."""
        assert self._pool is not None
        async with self._pool.acquire(timeout=patience) as connection:
            await connection.execute(query)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The answer to a request."""
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(self.late)
        match request.method, request.path:
            case "GET", "/api/health":
                return await self._health()
            case "POST", "/api/auth/login":
                return await self._login(request)
            case "GET", "/api/stock":
                return await self._stock(request)
        return web.json_response({"error": "Not found"}, status=404)

    async def _health(self) -> web.Response:
        try:
            async with asyncio.timeout(PATIENCE):
                await self.run("SELECT 1")
        except DATABASE_AWAY as why:
            self.log.write("ERROR", f"health: Database connection failed: {type(why).__name__}")
            return web.json_response({"status": "error", "database": "disconnected"}, status=503)
        self.log.write("INFO", "GET /api/health 200")
        return web.json_response({"status": "ok", "database": "connected"})

    async def _login(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if asked["password"] == PASSWORD:
            return web.json_response({"session": "sess_2x"})
        self.log.write("WARN", f"auth: login failed for {asked['user']}: invalid credentials")
        return web.json_response({"error": "Invalid credentials"}, status=401)

    async def _stock(self, request: web.Request) -> web.Response:
        if "Authorization" not in request.headers:
            self.log.write("WARN", f"GET {request.path} 401 Unauthorized from {request.remote}")
            return web.json_response({"error": "Unauthorized"}, status=401)
        try:
            await self.run("SELECT count(*) FROM stock")
        except TimeoutError:
            self.log.write("ERROR", f"pool: timeout, no connection became free within {PATIENCE:g} s")
            return web.json_response({"error": "Service unavailable"}, status=503)
        except DATABASE_AWAY as why:
            self.log.write("ERROR", f"GET {request.path} 500 {why}")
            return web.json_response({"error": "Internal server error"}, status=500)
        return web.json_response({"stock": []})


class Edge(Served):
    """Railway's: what the world sees of a service, and a 502 of its own where that does not answer."""

    def __init__(self, origin: Served) -> None:
        super().__init__()
        self.waits = 1.0
        """Seconds for the service to answer; Railway's waits for minutes."""
        self._origin = origin

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The service's answer."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self.waits)) as http,
                http.request(request.method, f"{self._origin.url}{request.path_qs}") as answer,
            ):
                return web.Response(body=await answer.read(), status=answer.status, content_type=answer.content_type)
        except (aiohttp.ClientError, TimeoutError):
            failed = {"status": "error", "code": 502, "message": "Application failed to respond"}
            return web.json_response(failed, status=502)


class Listener:
    """A TCP server that says good morning."""

    def __init__(self) -> None:
        self.port = free_port()
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen (again)."""
        self._server = await asyncio.start_server(self._greet, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """From now on the port is refused."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
        writer.close()
