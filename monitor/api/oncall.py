"""What people on call ask of the daemon: acknowledge, silence, explain. Our own API under /api/v1."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import structlog
from aiohttp import web

from alerts import silences
from alerts.explaining import outlook
from alerts.intervals import TimeInterval, TimeRange
from alerts.silences import Silence
from alerts.vocabulary import Alert, Phase, Severity
from alerts.wording import rfc3339
from checks.units import show_duration
from monitor.api.answers import alert_data, answer
from monitor.api.asked import (
    Refused,
    flag_of,
    matchers_of,
    name_of,
    read,
    seconds_of,
    text_of,
    texts_of,
    time_of,
)

if TYPE_CHECKING:
    from monitor.app import App

log = structlog.get_logger()

OFFICE_HOURS = TimeInterval("business-hours", (TimeRange(times=((9 * 60, 17 * 60),), weekdays=((1, 5),)),))
LONGEST_DRILL = 86_400.0


def routes(app: App) -> list[web.RouteDef]:
    """The routes of this file."""
    api = OnCall(app)
    return [
        web.post("/api/v1/ack", api.acknowledge),
        web.post("/api/v1/unack", api.unacknowledge),
        web.get("/api/v1/silences", api.silences),
        web.post("/api/v1/silences", api.silence),
        web.post("/api/v1/silences/{id}/extend", api.extend),
        web.post("/api/v1/silences/{id}/expire", api.expire),
        web.get("/api/v1/explain", api.explain),
        web.post("/api/v1/drill", api.drill),
    ]


class OnCall:
    """One method per route. What changes something answers when it is on disk."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def acknowledge(self, request: web.Request) -> web.StreamResponse:
        """{alerts: [...] or matchers: [...], by, for?}"""
        try:
            asked = await read(request, "alerts", "matchers", "by", "for")
            by = name_of(asked, "by")
            now = self._app.clock.now()
            until = now + seconds_of(asked, "for") if asked.get("for") else 0.0
            taken = self._app.engine.acknowledge(self._marks(asked), by, until, now)
        except Refused as why:
            return answer({"error": str(why)}, 400)
        if taken:
            log.info(
                "acknowledged",
                by=by,
                alerts=[alert.name for alert in taken][:10],
                until=rfc3339(until) if until else None,
            )
        await self._app.pager.settle()
        return answer({"acknowledged": [alert_data(alert) for alert in taken]})

    async def unacknowledge(self, request: web.Request) -> web.StreamResponse:
        """{alerts: [...] or matchers: [...], by}"""
        try:
            asked = await read(request, "alerts", "matchers", "by", "for")
            by = name_of(asked, "by")
            taken = self._app.engine.unacknowledge(self._marks(asked), f"given back by {by}", self._app.clock.now())
        except Refused as why:
            return answer({"error": str(why)}, 400)
        await self._app.pager.settle()
        return answer({"unacknowledged": [alert_data(alert) for alert in taken]})

    def _marks(self, asked: dict[str, Any]) -> list[str]:
        """The fingerprints of firing alerts that are meant: by themselves, by name, by check, or by matchers."""
        firing = [alert for alert in self._app.engine.judging.live() if alert.phase is Phase.FIRING]
        named = texts_of(asked, "alerts")
        found = []
        for one in named:
            meant = [alert for alert in firing if means(alert, one)]
            if not meant:
                raise Refused(f"nothing fires that is called {one!r}; `runwatch alerts` lists what does")
            found += meant
        matchers = matchers_of(asked) if asked.get("matchers") else ()
        if matchers:
            found += [alert for alert in firing if all(one.matches(alert.labels) for one in matchers)]
        if not named and not matchers:
            raise Refused("say which alerts: by fingerprint, by name, or by matchers")
        return [alert.fingerprint for alert in found]

    async def silences(self, request: web.Request) -> web.StreamResponse:
        """Those that are or will be active; with ?all those that have ended too."""
        wall = self._app.clock.wall()
        held = sorted(self._app.engine.muting.silences.values(), key=lambda one: one.ends_at)
        wanted = [one for one in held if "all" in request.query or one.state(wall) != "expired"]
        return answer([_shown(one, wall) for one in wanted])

    async def silence(self, request: web.Request) -> web.StreamResponse:
        """{matchers: [text], for or until, by, comment, until_resolved?}"""
        wall = self._app.clock.wall()
        try:
            asked = await read(request, "matchers", "for", "until", "by", "comment", "until_resolved")
            made = silences.new(
                matchers_of(asked), wall, self._until(asked, wall), name_of(asked, "by"), text_of(asked, "comment"),
                wall, until_resolved=flag_of(asked, "until_resolved"),
            )  # fmt: skip
        except (Refused, ValueError) as why:
            return answer({"error": str(why)}, 400)
        await keep(self._app, made)
        return answer(_shown(made, wall), 201)

    async def extend(self, request: web.Request) -> web.StreamResponse:
        """{for or until, by?}: the same silence, longer or shorter."""
        wall = self._app.clock.wall()
        try:
            old, asked = self._silence(request), await read(request, "for", "until", "by", "comment")
            if old.state(wall) == "expired":
                raise Refused("this silence has ended; make a new one: `runwatch silence add`")
            by = name_of(asked, "by") if asked.get("by") else old.created_by
            wanted = silences.new(
                old.matchers, max(wall, old.starts_at), self._until(asked, wall), by,
                text_of(asked, "comment") or old.comment, wall, until_resolved=old.until_resolved,
            )  # fmt: skip
        except (Refused, ValueError) as why:
            return answer({"error": str(why)}, 400)
        _, held = silences.changed(old, wanted, wall)
        await keep(self._app, held)
        return answer(_shown(held, wall))

    async def expire(self, request: web.Request) -> web.StreamResponse:
        """End a silence now."""
        wall = self._app.clock.wall()
        try:
            silence = self._silence(request)
        except Refused as why:
            return answer({"error": str(why)}, 404)
        if silence.state(wall) != "expired":
            silence = silences.ended(silence, wall)
            await keep(self._app, silence)
        return answer(_shown(silence, wall))

    def _silence(self, request: web.Request) -> Silence:
        """The silence in the request's path: its id, or a beginning of it that only one has."""
        name = request.match_info["id"]
        found = [one for one in self._app.engine.muting.silences.values() if one.id.startswith(name)]
        exact = [one for one in found if one.id == name]
        if len(exact or found) != 1:
            many = f"{len(found)} silences begin with" if found else "there is no silence"
            raise Refused(f"{many} {name!r}; `runwatch silence list --all` shows them")
        return (exact or found)[0]

    def _until(self, asked: dict[str, Any], wall: float) -> float:
        """When it is to end: `for` a duration, or `until` a time, or `business-hours`."""
        if asked.get("for"):
            return wall + seconds_of(asked, "for")
        until = asked.get("until")
        if until == "business-hours":
            named = self._app.config.on_call.business_hours
            return silences.next_business_hour(wall, self._app.config.time_intervals.get(named, OFFICE_HOURS))
        if not until:
            return 0.0
        return time_of(text_of(asked, "until"))

    async def drill(self, request: web.Request) -> web.StreamResponse:
        """{receivers?, severity?, for?}: a drill now, for these receivers or all of them."""
        try:
            asked = await read(request, "receivers", "severity", "for")
            wanted = texts_of(asked, "receivers") or list(self._app.config.receivers)
            unknown = [name for name in wanted if name not in self._app.config.receivers]
            if unknown:
                known = ", ".join(self._app.config.receivers) or "none is configured"
                raise Refused(f"there is no receiver {unknown[0]!r}; known: {known}")
            word = asked.get("severity", "low")
            if word not in list(Severity):
                raise Refused("severity: critical, high, medium or low is wanted")
            lasts = seconds_of(asked, "for") if asked.get("for") else 60.0
            if lasts > LONGEST_DRILL:
                raise Refused(f"for: a drill lasts {show_duration(LONGEST_DRILL)} at most")
        except Refused as why:
            return answer({"error": str(why)}, 400)
        held = self._app.drills.hold(wanted, Severity(word), lasts)
        return answer([
            {"receiver": one.receiver, "fingerprint": one.fingerprint, "notifiers": one.expected} for one in held
        ])  # fmt: skip

    async def explain(self, request: web.Request) -> web.StreamResponse:
        """?alert=: what was decided about one alert, what was delivered, and what comes next."""
        app, text = self._app, request.query.get("alert", "")
        if not text:
            return answer({"error": "say which alert: ?alert=, a fingerprint or a name"}, 400)
        live = {alert.fingerprint: alert for alert in app.engine.judging.alerts.values() if means(alert, text)}
        known = {mark: f"{alert.name} · {alert.check}" for mark, alert in live.items()}
        known = known or await app.history.decided_about(text)
        if not known:
            return answer({"error": f"nothing is known of an alert {text!r}; `runwatch alerts` lists what fires"}, 404)
        return answer([await self._explained(mark, name, live.get(mark)) for mark, name in list(known.items())[:20]])

    async def _explained(self, mark: str, name: str, alert: Alert | None) -> dict[str, Any]:
        app, now = self._app, self._app.clock.now()
        return {
            "fingerprint": mark,
            "name": name,
            "alert": alert_data(alert) if alert is not None else None,
            "decisions": [
                {"at": rfc3339(one.at), "step": one.step, "why": one.why} for one in await app.history.decisions(mark)
            ],
            "attempts": [
                {name: entry[name] for name in ("receiver", "kind", "reason", "status", "attempts", "error")}
                | {"decided": rfc3339(entry["created"]), "at": rfc3339(entry["ended"])}
                for entry in await app.store.entries_about(mark)
            ],
            "waiting": [
                {"receiver": one.note.receiver, "kind": one.destination.get("kind"), "reason": one.note.reason,
                 "attempts": one.attempts, "error": one.last_error, "next": rfc3339(one.next_at)}
                for one in app.delivery.pending
                if any(alert.fingerprint == mark for alert in one.note.alerts)
            ],
            "next": [
                asdict(one) | {"last_sent": rfc3339(one.last_sent), "next_at": rfc3339(one.next_at or 0.0)}
                for one in outlook(app.engine, mark, now)
            ],
        }  # fmt: skip


async def keep(app: App, *changed: Silence) -> None:
    """Make silences durable and let them act; everybody who changes silences comes this way."""
    for silence in changed:
        app.engine.silence(silence)
        ends = rfc3339(silence.ends_at)
        log.info("silence", id=silence.id, by=silence.created_by, what=str(silence)[:500], until=ends)
    await app.pager.settle()


def means(alert: Alert, text: str) -> bool:
    """Whether somebody who says this may mean the alert: its fingerprint or a beginning of it, its name, its check."""
    return (len(text) >= 4 and alert.fingerprint.startswith(text)) or text in (alert.name, alert.check)


def _shown(silence: Silence, wall: float) -> dict[str, Any]:
    return {
        "id": silence.id,
        "state": silence.state(wall),
        "matchers": [str(matcher) for matcher in silence.matchers],
        "starts_at": rfc3339(silence.starts_at),
        "ends_at": rfc3339(silence.ends_at),
        "by": silence.created_by,
        "comment": silence.comment,
        "until_resolved": silence.until_resolved,
    }
