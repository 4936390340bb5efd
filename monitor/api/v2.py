"""Alertmanager's API v2: all of its routes, and here its status and receivers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from alerts.routing import Route
from alerts.wording import rfc3339
from monitor import __version__
from monitor.api import v2_alerts, v2_sent, v2_silences
from monitor.api.v2_requests import Receivers, told, worded

if TYPE_CHECKING:
    from monitor.app import App

SPOKEN = "0.28.0"
"""The Alertmanager whose API this is: clients ask for the version before they speak."""


def routes(app: App) -> list[web.RouteDef]:
    """The routes of Alertmanager's API v2; its errors are a JSON text, as there."""
    return [
        web.get("/api/v2/status", worded(Status(app).answer)),
        web.get("/api/v2/receivers", worded(partial(_receivers, app))),
        *v2_alerts.routes(app),
        *v2_sent.routes(app),
        *v2_silences.routes(app),
    ]


class Status:
    """`GET /api/v2/status`: what runs here, since when, and its routes as an Alertmanager would have them."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._since = self._app.clock.wall()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Without anything secret: of receivers it shows the names."""
        config = self._app.config
        route = _shown(config.route) if config.route is not None else {"receiver": ""}
        original = {"route": route, "receivers": [{"name": name} for name in config.receivers]}
        return told({
            "cluster": {"status": "disabled", "name": "", "peers": []},
            "versionInfo": {
                "version": f"{SPOKEN}+runwatch.{__version__}", "revision": "runwatch", "branch": "", "buildUser": "",
                "buildDate": "", "goVersion": "",
            },
            "config": {"original": orjson.dumps(original, option=orjson.OPT_INDENT_2).decode()},
            "uptime": rfc3339(self._since),
        })  # fmt: skip


def _shown(route: Route) -> dict[str, Any]:
    """A route and those below it in Alertmanager's own keys; what only we have, and calendars, are left out."""
    shown: dict[str, Any] = {
        "receiver": route.receiver,
        "group_by": ["..."] if route.group_by is None else list(route.group_by),
        "group_wait": _go(route.group_wait),
        "group_interval": _go(max(route.group_interval, 0.001)),
        "repeat_interval": _go(max(route.repeat_interval, 0.001)),
    }
    if route.matchers:
        shown["matchers"] = [str(matcher) for matcher in route.matchers]
    if route.follow_on:
        shown["continue"] = True
    if route.routes:
        shown["routes"] = [_shown(child) for child in route.routes]
    return shown


def _go(seconds: float) -> str:
    """A duration as Go reads it."""
    return f"{round(seconds * 1000)}ms"


async def _receivers(app: App, request: web.Request) -> web.StreamResponse:
    wanted = Receivers(request)
    return told([{"name": name} for name in app.config.receivers if wanted.takes(name)])
