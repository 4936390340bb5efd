"""Lavandaria's application: users and clients log in, order, upload photos; its state is in PostgreSQL and uploads/."""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Awaitable, Callable
from email import message_from_bytes
from email.policy import HTTP
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg
from aiohttp import web

from monitor.demo.parts.site import Site
from monitor.demo.servers import DATABASE_AWAY

PATIENCE = 8.0
"""Seconds that it waits for its database."""
POOL = 8
"""Connections that it makes at most."""
SLOW = 1.0
"""Seconds from which it calls a query slow."""
LOG_INS, WITHIN = 10, 900.0
"""Log-ins of one address that it takes within so many seconds."""

SCHEMA = """
CREATE TABLE accounts (kind text, name text, password text, PRIMARY KEY (kind, name));
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, client text NOT NULL, description text NOT NULL,
    placed_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE photos (file text PRIMARY KEY, of_order bigint NOT NULL REFERENCES orders ON DELETE CASCADE);
CREATE TABLE prices (service text PRIMARY KEY, cents int NOT NULL);
INSERT INTO prices VALUES ('Wash and fold', 650), ('Shirt', 290), ('Duvet', 1900);
"""

Handler = Callable[[web.Request], Awaitable[web.Response]]


class Application:
    """Answers on `site` and says through `log` what it does, a line each. `now` is the time that its limits go by."""

    def __init__(
        self, site: Site, database: str, uploads: Path, origins: tuple[str, ...], log: Callable[[str], None],
        now: Callable[[], float],
    ) -> None:  # fmt: skip
        self.site = site
        self.origins = origins
        """CORS_ORIGINS."""
        self._database = database
        self._uploads = uploads
        self._log = log
        self._now = now
        self._sessions: dict[str, str] = {}
        self._attempts: dict[str, list[float]] = defaultdict(list)
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._route()

    async def start(self) -> None:
        """Listen, with no connection yet: the pool makes them when they are needed."""
        await self.site.start()
        self.forget_limits()
        self._log("Server running on port 3000")

    def forget_limits(self) -> None:
        """As if nobody had tried to log in yet."""
        self._attempts.clear()

    async def stop(self) -> None:
        """End: the port is refused, the connections are closed, the sessions forgotten."""
        await self.site.stop()
        self._sessions.clear()
        if self._pool is not None:
            pool, self._pool = self._pool, None
            pool.terminate()

    def _route(self) -> None:
        site = self.site
        site.answers("/api/healthz", {"status": "ok"})
        site.handles("/api/readyz", self.ready)
        site.handles("/api/*", self._preflight, method="OPTIONS")
        for method, path, handler in (
            ("POST", "/api/auth/login/*", self._log_in),
            ("POST", "/api/orders", self._order),
            ("POST", "/api/orders/*", self._photo),
            ("DELETE", "/api/orders/*", self._delete),
            ("GET", "/api/prices", self._prices),
        ):
            site.handles(path, self._logged(handler), method=method)

    def _logged(self, handler: Handler) -> Handler:
        async def answer(request: web.Request) -> web.Response:
            began, number = monotonic(), f"req_{secrets.randbelow(10**13):013}"
            try:
                response = await handler(request)
            except DATABASE_AWAY as why:
                said = str(why) or type(why).__name__
                self._log(f"❌ [ERROR] [{number}] {request.method} {request.path}: {said}")
                response = web.json_response({"error": "internal error", "request": number}, status=500)
            took = (monotonic() - began) * 1000
            self._log(f"[{number}] {request.method} {request.path} {response.status} {took:.0f} ms")
            return response

        return answer

    async def _rows(self, query: str, *values: Any) -> list[asyncpg.Record]:
        if self._pool is None:
            self._pool = await asyncpg.create_pool(
                self._database, min_size=0, max_size=POOL, timeout=PATIENCE, command_timeout=PATIENCE
            )
        began = monotonic()
        rows: list[asyncpg.Record] = await self._pool.fetch(query, *values)
        took = monotonic() - began
        if took > SLOW:
            self._log(f"🐌 Slow query ({took * 1000:.0f}ms): {query}")
        return rows

    async def ready(self, request: web.Request) -> web.Response:
        """Whether it can work, its database included."""
        try:
            await self._rows("SELECT 1")
        except DATABASE_AWAY as why:
            body = {"status": "not ready", "database": str(why) or type(why).__name__}
            return web.json_response(body, status=503)
        return web.json_response({"status": "ready", "database": "connected"})

    async def _preflight(self, request: web.Request) -> web.Response:
        origin = request.headers.get("Origin", "")
        if origin not in self.origins:
            return web.Response(status=204)
        allowed = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"}
        return web.Response(status=204, headers=allowed)

    async def _log_in(self, request: web.Request) -> web.Response:
        address = request.headers.get("X-Forwarded-For", "127.0.0.1")
        if self._too_often(address):
            self._log(f"🚫 [RATE-LIMIT] {address}: too many log-ins")
            return web.json_response({"error": "too many log-ins, try again in 15 minutes"}, status=429)
        kind, said = request.path.rpartition("/")[2], await request.json()
        query = "SELECT 1 FROM accounts WHERE kind = $1 AND name = $2 AND password = $3"
        if not await self._rows(query, kind, said.get("username"), said.get("password")):
            return web.json_response({"error": "invalid credentials"}, status=401)
        session = secrets.token_hex(16)
        self._sessions[session] = kind
        answer = web.json_response({"user": said["username"]})
        answer.set_cookie("connect.sid", session, httponly=True)
        return answer

    def _too_often(self, address: str) -> bool:
        now = self._now()
        recent = [at for at in self._attempts[address] if at > now - WITHIN]
        self._attempts[address] = [*recent, now]
        return len(recent) >= LOG_INS

    def _is_user(self, request: web.Request) -> bool:
        return self._sessions.get(request.cookies.get("connect.sid", "")) == "user"

    async def _order(self, request: web.Request) -> web.Response:
        if not self._is_user(request):
            return web.json_response({"error": "log in first"}, status=401)
        said = await request.json()
        query = "INSERT INTO orders (client, description) VALUES ($1, $2) RETURNING id"
        [row] = await self._rows(query, said["client"], said["description"])
        return web.json_response({"id": row["id"]}, status=201)

    async def _photo(self, request: web.Request) -> web.Response:
        if not self._is_user(request):
            return web.json_response({"error": "log in first"}, status=401)
        order, name = int(request.path.split("/")[3]), f"{secrets.token_hex(8)}.png"
        form = b"Content-Type: %s\r\n\r\n" % request.headers["Content-Type"].encode() + await request.read()
        [photo] = message_from_bytes(form, policy=HTTP).iter_parts()
        await asyncio.to_thread((self._uploads / name).write_bytes, photo.get_content())
        await self._rows("INSERT INTO photos VALUES ($1, $2)", name, order)
        return web.json_response({"photo": name}, status=201)

    async def _delete(self, request: web.Request) -> web.Response:
        if not self._is_user(request):
            return web.json_response({"error": "log in first"}, status=401)
        order = int(request.path.rpartition("/")[2])
        for row in await self._rows("SELECT file FROM photos WHERE of_order = $1", order):
            (self._uploads / row["file"]).unlink(missing_ok=True)
        await self._rows("DELETE FROM orders WHERE id = $1", order)
        return web.Response(status=204)

    async def _prices(self, request: web.Request) -> web.Response:
        rows = await self._rows("SELECT service, cents FROM prices ORDER BY 1")
        self._log(f"✅ {len(rows)} prices fetched")
        return web.json_response([dict(row) for row in rows])
