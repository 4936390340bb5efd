"""A web site whose every answer can be switched: what an installation's own services are made of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from monitor.demo.certificates import Certificate
from monitor.demo.parts.served import Served

KEPT = 1_000
"""Requests that it remembers; the oldest go first."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Answer:
    """What a route answers: text or bytes as they are, everything else as JSON, `after` so many seconds."""

    body: Any = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    after: float = 0.0

    def made(self) -> web.Response:
        """As aiohttp sends it."""
        body = self.body
        is_text = isinstance(body, (str, bytes))
        content = (body.encode() if isinstance(body, str) else body) if is_text else orjson.dumps(body)
        named = {"Content-Type": "text/html; charset=utf-8" if is_text else "application/json"}
        return web.Response(body=content, status=self.status, headers={**named, **self.headers})


@dataclass(frozen=True)
class Request:
    """What the site was asked; `path` is with the query."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Site(Served):
    """Answers what its routes say, 404 elsewhere. A route is a path, or its beginning where it ends in `*`.

    A GET's route is a HEAD's too. `stop` has its port refused and `start` takes it again; see Served for its loop.
    """

    def __init__(self, certificate: Certificate | None = None) -> None:
        super().__init__(certificate)
        self.asked: list[Request] = []
        self.hangs = False
        """Whether it takes every request and answers none."""
        self.late = 0.0
        """Seconds by which every answer comes later."""
        self._routes: dict[tuple[str, str], Answer | Handler] = {}

    def answers(
        self, path: str, body: Any = "", status: int = 200, *, method: str = "GET", after: float = 0.0, **headers: str
    ) -> None:
        """From now on this is the answer; `content_type="text/plain"` is the header Content-Type."""
        self._routes[method, path] = Answer(body, status, _headers(headers), after)

    def handles(self, path: str, handler: Handler, *, method: str = "GET") -> None:
        """From now on a handler of your own answers."""
        self._routes[method, path] = handler

    @contextmanager
    def instead(
        self, path: str, body: Any = "", status: int = 200, *, method: str = "GET", after: float = 0.0, **headers: str
    ) -> Iterator[None]:
        """Within it this is the answer; afterwards it is what it was before."""
        with self.handling(path, Answer(body, status, _headers(headers), after), method=method):
            yield

    @contextmanager
    def handling(self, path: str, handler: Answer | Handler, *, method: str = "GET") -> Iterator[None]:
        """Within it this handler or answer answers; afterwards it is what it was before."""
        before = self._routes.get((method, path))
        self._routes[method, path] = handler
        try:
            yield
        finally:
            if before is None:
                del self._routes[method, path]
            else:
                self._routes[method, path] = before

    def times(self, path: str, method: str = "GET") -> int:
        """How often this path was asked for, of the requests that are remembered."""
        return sum(one.method == method and one.path.partition("?")[0] == path for one in self.asked)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The answer of the route."""
        body = await request.read()
        self.asked.append(Request(request.method, request.path_qs, dict(request.headers), body))
        del self.asked[:-KEPT]
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        route = self._route("GET" if request.method == "HEAD" else request.method, request.path)
        if isinstance(route, Answer):
            await asyncio.sleep(self.late + route.after)
            return route.made()
        await asyncio.sleep(self.late)
        return await route(request)

    def _route(self, method: str, path: str) -> Answer | Handler:
        exact = self._routes.get((method, path))
        if exact is not None:
            return exact
        routes = (route for asked, route in self._routes if asked == method and route.endswith("*"))
        matching = [route for route in routes if path.startswith(route[:-1])]
        if matching:
            return self._routes[method, max(matching, key=len)]
        return Answer({"error": f"there is no {method} {path}"}, 404)


def _headers(given: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-").title(): value for name, value in given.items()}
