"""A stand-in for Slack, PagerDuty, webhooks and mail on real sockets: takes messages as they do and keeps them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
from aiohttp import web

from monitor.demo.inbox_mail import Mail, MailServer
from monitor.demo.inbox_page import render
from monitor.demo.inbox_presses import Presser
from monitor.demo.inbox_rules import PAGERDUTY_LARGEST, Desk, event_problems, slack_problem
from monitor.demo.ports import free_port

BODY = web.RequestKey("body", Any)
SIZE = web.RequestKey("size", int)
KEPT = 5_000
"""Messages; the oldest go first."""


@dataclass
class Received:
    """One request as it arrived: `at` in Unix seconds, `body` parsed where it is JSON, `status` as answered.

    A mail has the path `/mail/` and its recipients, and SMTP's status.
    """

    number: int
    at: float
    path: str
    body: Any
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Without the headers, which carry tokens."""
        return {"number": self.number, "at": self.at, "path": self.path, "status": self.status, "body": self.body}


@dataclass
class Fault:
    """What paths that begin with `path` do in place of their work, `times` times or until healed (None).

    `hang` never answers, `drop` hangs up without an answer, else `status` is answered, with Retry-After if given;
    `error` is what Slack's API says with a 200 and `ok: false`. For mails the path is `/mail` and the status SMTP's.
    """

    path: str
    status: int = 500
    retry_after: float | None = None
    hang: bool = False
    drop: bool = False
    times: int | None = None
    error: str = ""


class Inbox:
    """Start it with `async with`; `url` is then where it listens. Everything arrived is in `messages`, in order.

    Mails are taken once `mail` has been started.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port or free_port()
        self.messages: list[Received] = []
        self.faults: list[Fault] = []
        self.desk = Desk()
        self.presser = Presser()
        self.names: dict[str, str] = {}
        """Who is meant by a PagerDuty routing key."""
        self.mail = MailServer(self._take_mail)
        self._count = 0
        self._arrived = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> Self:
        """Listen."""
        app = web.Application(client_max_size=2**21, middlewares=[self._record])
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/messages", self._list),
                web.delete("/messages", self._clear),
                web.post("/-/fault", self._set_fault),
                web.post("/-/press", self._press),
                web.post("/services/{hook:.+}", self._slack_hook),
                web.post("/api/{method}", self._slack_api),
                web.post("/v2/enqueue", self._pagerduty),
                web.post("/hook/{name:.*}", self._hook),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await self.accept()
        return self

    async def stop(self) -> None:
        """Hang up on everybody."""
        await self.mail.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = self._site = None

    async def accept(self) -> None:
        """Take connections (again)."""
        assert self._runner is not None
        if self._site is None:
            self._site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
            await self._site.start()

    async def refuse(self) -> None:
        """Take no new connections."""
        if self._site is not None:
            await self._site.stop()
            self._site = None

    def fault(self, fault: Fault) -> None:
        """From now on misbehave so."""
        self.faults.append(fault)

    def heal(self) -> None:
        """Behave."""
        self.faults.clear()

    def sent_to(self, path: str) -> list[Received]:
        """What arrived on paths that begin with `path`, refused messages too."""
        return [message for message in self.messages if message.path.startswith(path)]

    async def until(self, wanted: Callable[[Received], bool], after: int = 0) -> Received:
        """The first message with a number above `after` that is as wanted; the caller sets the deadline."""
        while True:
            self._arrived.clear()
            for message in self.messages:
                if message.number > after and message.status and wanted(message):
                    return message
            await self._arrived.wait()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @web.middleware
    async def _record(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.method != "POST" or request.path.startswith("/-/"):
            answer: web.StreamResponse = await handler(request)
            return answer
        raw = await request.read()
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError:
            body = raw.decode(errors="replace")
        request[BODY], request[SIZE] = body, len(raw)
        message = self._arrives(request.path, body, dict(request.headers))
        try:
            answer = await self._misbehave(request) or await handler(request)
            message.status = answer.status
        except web.HTTPException as refusal:
            message.status = refusal.status
            raise
        finally:
            self._arrived.set()
        return answer

    def _arrives(self, path: str, body: Any, headers: dict[str, str]) -> Received:
        self._count += 1
        message = Received(self._count, time.time(), path, body, headers=headers)
        self.messages.append(message)
        del self.messages[:-KEPT]
        return message

    async def _take_mail(self, mail: Mail) -> str:
        path = f"/mail/{','.join(mail.to)}"
        message = self._arrives(path, mail.as_json(), {})
        fault = self._fault_of(path)
        try:
            if fault is not None and fault.hang:
                await asyncio.Event().wait()
            if fault is not None and fault.drop:
                return ""
            message.status = fault.status if fault is not None else 250
            return f"{message.status} {'OK' if fault is None else 'a fault that was asked for'}"
        finally:
            self._arrived.set()

    def _fault_of(self, path: str) -> Fault | None:
        fault = next((one for one in self.faults if path.startswith(one.path)), None)
        if fault is not None and fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                self.faults.remove(fault)
        return fault

    async def _misbehave(self, request: web.Request) -> web.Response | None:
        fault = self._fault_of(request.path)
        if fault is None:
            return None
        if fault.hang:
            await asyncio.Event().wait()
        if fault.drop:
            assert request.transport is not None
            request.transport.abort()
        headers = {"Retry-After": f"{fault.retry_after:g}"} if fault.retry_after is not None else {}
        if fault.error:
            return web.json_response({"ok": False, "error": fault.error}, headers=headers)
        return web.Response(status=fault.status, headers=headers, text="a fault that was asked for")

    async def _slack_hook(self, request: web.Request) -> web.Response:
        body: Any = request[BODY]
        status, said = slack_problem(body)
        if status != 200:
            return web.Response(status=status, text=said)
        self.desk.post(f"webhook …/{request.match_info['hook'].rpartition('/')[2][-9:]}", body)
        return web.Response(text="ok")

    async def _slack_api(self, request: web.Request) -> web.Response:
        authorization = request.headers.get("Authorization", "")
        return web.json_response(self.desk.call(request.match_info["method"], authorization, request[BODY]))

    async def _pagerduty(self, request: web.Request) -> web.Response:
        if request[SIZE] > PAGERDUTY_LARGEST:
            return web.Response(status=413, text="Request Entity Too Large")
        event: Any = request[BODY]
        problems = event_problems(event)
        if problems:
            body = {"status": "invalid event", "message": "Event object is invalid", "errors": problems}
            return web.json_response(body, status=400)
        key = self.desk.page(event)
        return web.json_response({"status": "success", "message": "Event processed", "dedup_key": key}, status=202)

    async def _hook(self, request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _page(self, request: web.Request) -> web.Response:
        text = render(
            self.desk, self.sent_to("/hook/")[-50:], [fault.path for fault in self.faults],
            mails=self.sent_to("/mail/")[-50:], names=self.names, pressable=bool(self.presser.hook),
        )  # fmt: skip
        return web.Response(text=text, content_type="text/html")

    async def _press(self, request: web.Request) -> web.Response:
        """A button on the page, from the page itself."""
        if request.headers.get("Origin", f"http://{request.host}") != f"http://{request.host}":
            return web.Response(status=403, text="this comes from another page\n")
        form = await request.post()
        reply_to = f"{self.url}/hook/what-the-button-said"
        trouble = await self.presser.press(str(form.get("action_id")), str(form.get("value")), reply_to)
        if trouble:
            return web.Response(status=502, text=trouble + "\n")
        raise web.HTTPSeeOther("/")

    async def _list(self, request: web.Request) -> web.Response:
        """All that were answered, or those of `?path=`; with `?at_least=` answers when there are so many."""
        path, wanted = request.query.get("path", ""), int(request.query.get("at_least", "0"))
        while len(found := [message for message in self.sent_to(path) if message.status]) < wanted:
            self._arrived.clear()
            await self._arrived.wait()
        return web.json_response([message.as_json() for message in found], dumps=_dumps)

    async def _clear(self, request: web.Request) -> web.Response:
        self.messages.clear()
        self.desk = Desk()
        return web.Response(status=204)

    async def _set_fault(self, request: web.Request) -> web.Response:
        """{"heal": true}, or the fields of Fault."""
        wanted = await request.json()
        if wanted.pop("heal", False):
            self.heal()
        else:
            try:
                self.fault(Fault(**wanted))
            except TypeError as why:
                return web.Response(status=400, text=f"cannot have that fault: {why}\n")
        return web.Response(status=204)


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()
