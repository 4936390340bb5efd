"""The daemon's HTTP routes: page, metrics, health, reload, and our own API under /api/v1."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from alerts.vocabulary import Severity
from alerts.wording import rfc3339
from monitor.api import hooks, oncall, ping, v2
from monitor.api.access import guard
from monitor.api.answers import alert_data, answer
from monitor.config.model import Auth
from monitor.housekeeping import unhealthy
from monitor.metrics import OPENMETRICS, TEXT, exposition, gzipped
from monitor.web.page import render

if TYPE_CHECKING:
    from monitor.app import App

LARGEST_BODY = 1_000_000
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


def application(app: App) -> web.Application:
    """All routes, guarded."""
    auth = app.config.server.auth
    tokens = [token.get_secret_value() for token in auth.tokens] if isinstance(auth, Auth) else []
    routes = Routes(app)
    server = web.Application(middlewares=[guard(tokens, app.config.server.is_loopback)], client_max_size=LARGEST_BODY)
    server.add_routes(
        [
            web.get("/", routes.page),
            web.get("/metrics", routes.metrics),
            web.get("/-/healthy", routes.healthy),
            web.get("/-/ready", routes.ready),
            web.post("/-/reload", routes.reload),
            web.get("/api/v1/checks", routes.checks),
            web.get("/api/v1/alerts", routes.alerts),
            web.get("/api/v1/deliveries", routes.deliveries),
            web.post("/api/v1/test-alert", routes.test_alert),
            *oncall.routes(app),
            *v2.routes(app),
            *hooks.routes(app),
            *ping.routes(app),
        ]
    )
    return server


def bound_address(runner: web.AppRunner, external_url: str) -> str:
    """Where the page is: the configured address, else the one that was bound."""
    host, port = runner.addresses[0][:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    shown = f"[{host}]" if ":" in host else host
    return external_url or f"http://{shown}:{port}/"


class Routes:
    """One method per route; each answers from what is in memory."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def page(self, request: web.Request) -> web.StreamResponse:
        text = render(self._app)
        return web.Response(text=text, content_type="text/html", headers=SECURITY)

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        app = self._app
        openmetrics = "application/openmetrics-text" in request.headers.get("Accept", "")
        app.refresh_metrics()
        pieces = exposition(app.metrics, app.series, list(app.engine.judging.live()), openmetrics)
        response = web.StreamResponse(headers={"Content-Type": OPENMETRICS if openmetrics else TEXT})
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            response.headers["Content-Encoding"] = "gzip"
            pieces = gzipped(pieces)
        await response.prepare(request)
        with contextlib.suppress(ConnectionResetError):  # a scraper that hangs up in the middle is its own affair
            async for piece in pieces:
                await response.write(piece)
                await asyncio.sleep(0)
            await response.write_eof()
        return response

    async def healthy(self, request: web.Request) -> web.StreamResponse:
        trouble = unhealthy(self._app)
        return web.Response(
            text=f"not healthy: {trouble}\n" if trouble else "healthy\n", status=503 if trouble else 200
        )

    async def ready(self, request: web.Request) -> web.StreamResponse:
        ready = self._app.ready
        return web.Response(text="ready\n" if ready else "starting\n", status=200 if ready else 503)

    async def reload(self, request: web.Request) -> web.StreamResponse:
        trouble = await self._app.reload("request")
        return web.Response(text=trouble + "\n" if trouble else "", status=500 if trouble else 200)

    async def checks(self, request: web.Request) -> web.StreamResponse:
        now = self._app.clock.now()
        return answer([_check(self._app, key, now) for key in self._app.config.checks])

    async def alerts(self, request: web.Request) -> web.StreamResponse:
        live = sorted(self._app.engine.judging.live(), key=lambda alert: (alert.severity.rank, alert.since))
        return answer([alert_data(alert) for alert in live])

    async def deliveries(self, request: web.Request) -> web.StreamResponse:
        wanted = request.query.get("alert")
        pending = [
            {
                "receiver": parcel.note.receiver,
                "kind": parcel.destination.get("kind"),
                "status": "pending",
                "reason": parcel.note.reason,
                "attempts": parcel.attempts,
                "error": parcel.last_error,
                "created": parcel.created,
                "alerts": [alert.fingerprint for alert in parcel.note.alerts],
            }
            for parcel in self._app.delivery.pending
        ]
        entries = pending + await self._app.store.entries()
        return answer([entry for entry in entries if wanted is None or wanted in entry["alerts"]])

    async def test_alert(self, request: web.Request) -> web.StreamResponse:
        try:
            asked = orjson.loads(await request.read())
            receiver, word = str(asked["receiver"]), str(asked.get("severity", "critical"))
        except (ValueError, KeyError, TypeError, AttributeError):
            return answer({"error": 'a body such as {"receiver": "on-call", "severity": "P0"} is wanted'}, 400)
        severity = _severity(self._app, word)
        if receiver not in self._app.config.receivers:
            known = ", ".join(self._app.config.receivers) or "none is configured"
            return answer({"error": f"there is no receiver {receiver!r}; known: {known}"}, 400)
        if severity is None:
            return answer({"error": f"no system maps the severity {word!r}; write critical, high, medium or low"}, 400)
        channel = str(asked.get("channel") or "")
        kinds = [one.kind for one in self._app.config.receivers[receiver].notifiers]
        if channel and channel not in kinds:
            return answer(
                {"error": f"receiver {receiver!r} has no {channel}; it has {', '.join(kinds) or 'none'}"}, 400
            )
        exercise = self._app.drills.send(receiver, severity, word, channel)
        return answer({"fingerprint": exercise.fingerprint, "notifiers": exercise.expected})


def _severity(app: App, word: str) -> Severity | None:
    if word in {one.value for one in Severity}:
        return Severity(word)
    for system in app.config.systems.values():
        if word in system.severities:
            return system.severities[word]
    return None


def _check(app: App, key: str, now: float) -> dict[str, Any]:
    check = app.config.checks[key]
    known = app.state.get(key)
    data: dict[str, Any] = {
        "check": check.name,
        "system": check.system,
        "kind": check.kind,
        "target": check.target,
        "interval": check.interval,
        "outcome": known.result.outcome if known else None,
    }
    if known is not None:
        result = known.result
        data |= {
            "since": rfc3339(known.since),
            "at": rfc3339(result.at),
            "took": result.took,
            "clock": result.clock,
            "attempts": result.attempts,
            "uptime": known.uptime,
            "observed_seconds": round(known.observed, 3),
            "reason": result.reason,
            "sentence": result.sentence,
            "measurements": [
                {"name": name, "value": value, "labels": dict(labels)} for name, value, labels in result.measurements
            ],
        }
    return data
