"""Alertmanager's API v2, alerts: what fires and how it stands, in groups or not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from alerts.matching import matches_all
from alerts.routing import Route, group_labels
from alerts.vocabulary import Alert, Phase
from alerts.wording import rfc3339, summary, value_of
from checks.base import printable
from monitor.api.v2_requests import Receivers, flag, matchers, slices, worded

if TYPE_CHECKING:
    from monitor.app import App

AT_ONCE = 100
"""Alerts worked on in one turn of the loop: 3 ms."""
LIVES = 240.0
"""Seconds for which we vouch for an alert of our own: we would have said so, had it ended."""


def routes(app: App) -> list[web.RouteDef]:
    """The routes of this file."""
    api = Alerts(app)
    return [
        web.get("/api/v2/alerts", worded(api.alerts)),
        web.get("/api/v2/alerts/groups", worded(api.groups)),
    ]


@dataclass(slots=True)
class Standing:
    """What keeps an alert quiet now: ids of silences, fingerprints of what inhibits it, and sentences or names."""

    silenced: list[str] = field(default_factory=list)
    inhibited: list[str] = field(default_factory=list)
    muted: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        return "suppressed" if self.silenced or self.inhibited or self.muted else "active"


class Wanted:
    """Which alerts a request asks for. Source of the parameters: Alertmanager's OpenAPI document."""

    def __init__(self, request: web.Request) -> None:
        self.active = flag(request, "active")
        self.silenced = flag(request, "silenced")
        self.inhibited = flag(request, "inhibited")
        self.muted = flag(request, "muted")
        self.matchers = matchers(request, "filter")
        self.receiver = Receivers(request)

    def takes(self, standing: Standing) -> bool:
        return not (
            (standing.state == "active" and not self.active)
            or (standing.silenced and not self.silenced)
            or (standing.inhibited and not self.inhibited)
        )


class Alerts:
    """One method per route. Reading yields to the loop in between: ten thousand alerts hold nobody up."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def alerts(self, request: web.Request) -> web.StreamResponse:
        """What fires, each with the receivers that its routes lead to."""
        wanted = Wanted(request)
        alarmed = self._app.engine.judging.alarmed()
        shown: list[bytes] = []
        async for alert in self._matching(wanted):
            leads = self._app.engine.gathering.routes_of(alert)
            receivers = list(dict.fromkeys(route.receiver for route in leads))
            standing = self._standing(alert, leads, alarmed)
            if wanted.takes(standing) and any(map(wanted.receiver.takes, receivers or [""])):
                shown.append(self._shown(alert, standing, receivers))
        return _json(_listed(shown))

    async def groups(self, request: web.Request) -> web.StreamResponse:
        """What fires as the routes group it; escalations and digests are not groups of the routes."""
        wanted = Wanted(request)
        engine = self._app.engine
        alarmed = engine.judging.alarmed()
        found: dict[tuple[tuple[tuple[str, str], ...], str], list[bytes]] = {}
        async for alert in self._matching(wanted):
            for route in engine.gathering.routes_of(alert):
                standing = self._standing(alert, [route], alarmed)
                quiet = not wanted.muted and engine.muting.of_route(route).why
                if wanted.receiver.takes(route.receiver) and wanted.takes(standing) and not quiet:
                    key = tuple(sorted(group_labels(route, alert.labels).items())), route.receiver
                    found.setdefault(key, []).append(self._shown(alert, standing, [route.receiver]))
        rows = []
        for (labels, receiver), shown in sorted(found.items()):
            head = _dumped({"labels": dict(labels), "routeLabels": {}, "receiver": {"name": receiver}})
            rows.append(head[:-1] + b',"alerts":' + _listed(shown) + b"}")
        return _json(_listed(rows))

    async def _matching(self, wanted: Wanted) -> AsyncIterator[Alert]:
        """What fires and matches the request's filter."""
        async for part in slices(list(self._app.engine.judging.live()), AT_ONCE):
            for alert in part:
                if alert.phase is Phase.FIRING and matches_all(wanted.matchers, alert.labels):
                    yield alert

    def _standing(self, alert: Alert, leads: list[Route], alarmed: set[str]) -> Standing:
        """What keeps an alert quiet where these routes lead; `alarmed` are the checks with an alert of their own."""
        engine = self._app.engine
        if alert.fingerprint in engine.gathering.aimed:
            return Standing()
        source = engine.muting.inhibited_by(alert)
        standing = Standing(list(engine.muting.silenced_by(alert)), [source] if source else [])
        mute = engine.muting.of(alert)
        if mute.kind == "maintenance":
            standing.muted.append(printable(mute.why))
        elif not mute.why and not alert.told:
            why = engine.judging.withheld(alert, alarmed, self._app.clock.now()).why
            standing.muted += [f"dependency: {why}"] if why else []
        quiet = [self._intervals(route) for route in leads if engine.muting.of_route(route).why]
        if leads and len(quiet) == len(leads):
            standing.muted += dict.fromkeys(name for names in quiet for name in names)
        return standing

    def _intervals(self, route: Route) -> list[str]:
        """The names of the time intervals that keep a route quiet."""
        intervals, wall = self._app.engine.plan.time_intervals, self._app.clock.now() + self._app.engine.wall_ahead
        muting = [name for name in route.mute_time_intervals if name in intervals and intervals[name].active(wall)]
        return muting or list(route.active_time_intervals)

    def _shown(self, alert: Alert, standing: Standing, receivers: list[str]) -> bytes:
        app = self._app
        now, ahead = app.clock.now(), app.engine.wall_ahead
        known = app.state.get(alert.check) if not alert.source else None
        page = f"{app.address.rstrip('/')}/#{alert.fingerprint}"
        return _dumped({
            "annotations": _annotations(alert, now),
            "endsAt": rfc3339((alert.ends_at if alert.source else now + LIVES) + ahead),
            "fingerprint": alert.fingerprint,
            "receivers": [{"name": name} for name in receivers],
            "startsAt": rfc3339(alert.since + ahead),
            "status": {
                "inhibitedBy": standing.inhibited, "silencedBy": standing.silenced, "mutedBy": standing.muted,
                "state": standing.state,
            },
            "updatedAt": rfc3339((known.result.at if known is not None else alert.fired_at) + ahead),
            "generatorURL": alert.source if alert.source.startswith(("http://", "https://")) else page,
            "labels": alert.labels,
        })  # fmt: skip


def _annotations(alert: Alert, now: float) -> dict[str, str]:
    """Those of an alert, and where it is our own what a person wants to read of it."""
    acked = {"acknowledged_by": alert.acked_by} if alert.acked_by else {}
    if alert.source:
        return acked | alert.annotations
    texts = {
        "summary": summary(alert, now),
        "value": f"{value_of(alert)} (limit: {alert.limit})" if alert.limit else alert.value,
        "runbook": alert.runbook.text,
        "runbook_url": alert.runbook.url,
        "flapping": alert.flapping,
    }
    return {name: printable(text) for name, text in texts.items() if text} | acked | alert.annotations


def _dumped(data: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(data)
    except TypeError:
        return orjson.dumps(_encodable(data))


def _encodable(data: Any) -> Any:
    """The same without what UTF-8 can't hold."""
    if isinstance(data, dict):
        return {_encodable(name): _encodable(value) for name, value in data.items()}
    if isinstance(data, list):
        return [_encodable(value) for value in data]
    return data.encode("utf-8", "replace").decode() if isinstance(data, str) else data


def _listed(rows: list[bytes]) -> bytes:
    return b"[" + b",".join(rows) + b"]"


def _json(content: bytes) -> web.Response:
    return web.Response(body=content, content_type="application/json")
