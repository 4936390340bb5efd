"""Signs of life of jobs, at the addresses of Healthchecks and of Uptime Kuma: each holds the secret that it needs.

A ping is answered with 200 once it is on disk, and is judged at once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, cast

import structlog
from aiohttp import web

from checks.base import printable
from checks.parts.heartbeat.state import Action, Ping, is_uuid
from monitor.api.v2_requests import WHILE_READING
from monitor.memories import NotWritten

if TYPE_CHECKING:
    from checks.heartbeat import Heartbeat
    from monitor.app import App
    from monitor.config import Config

log = structlog.get_logger()

APART = 0.5
"""Seconds between two judgements of one check at least, however often it is pinged."""
MOST_READ = 16 * 2**20
HEADERS = {"Cache-Control": "no-store", "Access-Control-Allow-Origin": "*"}
ACTIONS: dict[str, Action] = {"start": "start", "fail": "fail", "log": "log"}


def routes(app: App) -> list[web.RouteDef]:
    """The routes of this file. The secret is in the address, so that they need neither token nor origin."""
    pings = Pings(app)
    return [
        web.get("/ping/{uuid}", pings.ping),
        web.post("/ping/{uuid}", pings.ping),
        web.get("/ping/{uuid}/", pings.ping),
        web.post("/ping/{uuid}/", pings.ping),
        web.get("/ping/{uuid}/{action}", pings.ping),
        web.post("/ping/{uuid}/{action}", pings.ping),
        web.get("/ping/{ping_key}/{slug}/{action}", pings.ping),
        web.post("/ping/{ping_key}/{slug}/{action}", pings.ping),
        web.get("/api/push/{token}", pings.push),
        web.post("/api/push/{token}", pings.push),
    ]


class Refused(Exception):
    """A ping that is not taken; status and text are what Healthchecks answers."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Asked(NamedTuple):
    """What the path of a ping asks for."""

    address: str
    action: Action
    code: int | None


def read_path(path: str) -> Asked:
    """What a path after /ping/ means: `<uuid>` or `<ping key>/<slug>`, then what happened. Raises Refused."""
    first, *rest = path.removesuffix("/").split("/")
    if is_uuid(first):
        address = first.lower()
    elif rest:
        address = f"{first}/{rest.pop(0)}"
    else:
        raise Refused(404, "not found")
    if not rest:
        return Asked(address, "success", None)
    [what, *more] = rest
    if more:
        raise Refused(404, "not found")
    if what in ACTIONS:
        return Asked(address, ACTIONS[what], None)
    if not (what.isascii() and what.isdigit()):
        raise Refused(404, "not found")
    if len(what) > 3 or int(what) > 255:
        raise Refused(400, "invalid url format")
    return Asked(address, "fail" if int(what) else "success", int(what))


def read_run(request: web.Request) -> str:
    """The run's id; empty where none is told. Raises Refused."""
    rid = request.query.get("rid")
    if rid is None:
        return ""
    if not is_uuid(rid):
        raise Refused(400, "invalid uuid format")
    return rid.lower()


class Pings:
    """One method per sort of address."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._config: Config | None = None
        self._known: dict[str, list[str]] = {}
        self._asked: dict[str, float] = {}

    async def ping(self, request: web.Request) -> web.StreamResponse:
        """HEAD, GET or POST /ping/…, as Healthchecks."""
        try:
            path = request.path.removeprefix("/ping/")
            check, asked = self._meant(path)
            rid = read_run(request)
            ping = Ping(at=0.0, action=asked.action, code=asked.code, rid=rid, sender=request.remote or "")
            body = await read_body(request, check.body_limit)
            await self._take(check, ping.model_copy(update={"body": body}), request.method)
        except Refused as why:
            return web.Response(text=str(why), status=why.status, headers=HEADERS)
        return web.Response(text="OK", headers=HEADERS | {"Ping-Body-Limit": str(check.body_limit)})

    async def push(self, request: web.Request) -> web.StreamResponse:
        """/api/push/<token>?status=up|down&msg=&ping=, as Uptime Kuma."""
        try:
            check = self._check_at(request.path)
            down = request.query.get("status", "up") != "up"
            body = printable(request.query.get("msg", ""))[: check.body_limit]
            ping = Ping(at=0.0, action="fail" if down else "success", body=body, sender=request.remote or "")
            await self._take(check, ping, request.method)
        except Refused as why:
            return web.json_response({"ok": False, "msg": str(why)}, status=why.status, headers=HEADERS)
        return web.json_response({"ok": True}, headers=HEADERS)

    def _meant(self, path: str) -> tuple[Heartbeat, Asked]:
        asked = read_path(path)
        return self._check_at(asked.address), asked

    def _check_at(self, address: str) -> Heartbeat:
        """The check that listens there. Raises Refused."""
        config = self._app.config
        if config is not self._config:
            self._config, self._known = config, listening(config)
        keys = self._known.get(address, [])
        if not keys:
            raise Refused(404, "not found")
        if len(keys) > 1:
            raise Refused(409, "ambiguous slug")
        return cast("Heartbeat", config.checks[keys[0]])

    async def _take(self, check: Heartbeat, ping: Ping, method: str) -> None:
        """Take it, have it written, have it judged."""
        app = self._app
        ping = check.meant(ping.model_copy(update={"at": app.clock.wall()}), method)
        check.take(app.memories.of(check.key), ping)
        log.debug("ping", check=check.key, action=ping.action, sender=ping.sender)
        self._ask_soon(check.key)
        try:
            await app.memories.keep(check, app.clock.now())
        except NotWritten as why:
            log.error("ping not written", check=check.key, action=ping.action, why=str(why))
            raise Refused(503, "taken, but it can't be written: send it again") from None

    def _ask_soon(self, key: str) -> None:
        loop = asyncio.get_running_loop()
        now, before = loop.time(), self._asked.get(key, 0.0)
        if before <= now:
            self._asked[key] = max(now, before + APART)
            loop.call_at(self._asked[key], self._ask, key)

    def _ask(self, key: str) -> None:
        if self._app.prober.is_running(key):
            # It may have looked before the ping came.
            asyncio.get_running_loop().call_later(APART, self._ask, key)
        else:
            self._app.ask({key})


def listening(config: Config) -> dict[str, list[str]]:
    """Which checks can be pinged at which address."""
    found: dict[str, list[str]] = {}
    for key, check in config.checks.items():
        if check.kind == "heartbeat":
            for address in cast("Heartbeat", check).addresses():
                found.setdefault(address, []).append(key)
    return found


async def read_body(request: web.Request, most: int) -> str:
    """The body as text: all of it, or its beginning and its end where it is longer than `most` bytes. Raises Refused.

    What a job prints last is why it failed; what it prints first is what it was.
    """
    half = most // 2
    head, tail, count = bytearray(), bytearray(), 0
    try:
        async with asyncio.timeout(WHILE_READING):
            async for chunk in request.content.iter_any():
                count += len(chunk)
                if count > MOST_READ:
                    raise Refused(413, f"the body is too large: {MOST_READ} bytes are the most that is read")
                head += chunk[: most - len(head)]
                tail = (tail + chunk)[-half:] if half else tail
    except TimeoutError:
        raise Refused(408, f"the body did not arrive within {WHILE_READING:g} s") from None
    except web.RequestPayloadError as why:
        raise Refused(400, f"the body can't be read: {why}") from None
    content = head if count <= most else head[:half] + b"\n[...]\n" + tail
    return printable(content.decode("utf-8", "replace"))
