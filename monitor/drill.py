"""Marked alerts through the real chain, by hand and by the calendar: whether people would be reached, and how soon."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import structlog
from cronsim import CronSim

from alerts import own
from alerts.delivery import Attempt
from alerts.vocabulary import Severity, Threshold
from checks.units import show_duration

if TYPE_CHECKING:
    from monitor.app import App
    from monitor.config.oncall import DrillEntry

log = structlog.get_logger()

LASTS = 3.0
"""Seconds after which a test alert resolves by itself."""
LONGEST_WAIT = 60.0


@dataclass(slots=True)
class Exercise:
    """One marked alert to one receiver: when it was sent, what has accepted it, after how many seconds."""

    receiver: str
    threshold: Threshold
    fingerprint: str
    sent_at: float
    expected: tuple[str, ...]
    scheduled: bool
    accepted: dict[str, float] = field(default_factory=dict)


class Drills:
    """Sends marked alerts, measures until they are accepted and acknowledged, and complains of those that are not."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._running: dict[str, Exercise] = {}
        self._replanned = asyncio.Event()

    def send(
        self, receiver: str, severity: Severity, word: str, channel: str = "", lasts: float = LASTS, drill: bool = False
    ) -> Exercise:
        """Fire a marked alert at one receiver (only at its notifiers of kind `channel`, if given); `lasts` seconds."""
        app, now = self._app, self._app.clock.now()
        name = secrets.token_hex(4)
        threshold = own.threshold(
            "RunwatchDrill" if drill else "TestAlert", f"{'drill' if drill else 'test'}-{name}", severity,
            "Nothing is wrong. Acknowledge it, so that the time until somebody does is measured too.", test="true",
        )  # fmt: skip
        threshold = Threshold(**{key: getattr(threshold, key) for key in Threshold.__slots__} | {"severity_word": word})
        said = "This is a drill: nothing is wrong." if drill else "This is a test: nothing is wrong."
        app.engine.judging.inject(
            threshold, own.verdict(f"{said} It resolves by itself in {show_duration(lasts)}.", now), now
        )
        [alert] = app.engine.judging.raised(threshold.key)
        app.engine.aim(alert.fingerprint, receiver, channel)
        kinds = tuple(one.kind for one in app.config.receivers[receiver].notifiers if channel in ("", one.kind))
        exercise = Exercise(receiver, threshold, alert.fingerprint, now, kinds, drill)
        self._running[alert.fingerprint] = exercise
        asyncio.get_running_loop().call_later(lasts, self._end, exercise)
        app.pager.wake()
        return exercise

    def attempted(self, attempt: Attempt) -> None:
        """Delivery has tried something: was it one of ours?"""
        if not self._running or attempt.status != "delivered":
            return
        for alert in attempt.parcel.note.firing:
            exercise = self._running.get(alert.fingerprint)
            kind = str(attempt.parcel.destination.get("kind"))
            if exercise is not None and kind not in exercise.accepted:
                took = exercise.accepted[kind] = self._app.clock.now() - exercise.sent_at
                self._app.metrics.drill_accepted.labels(exercise.receiver, kind).set(took)
                self._app.metrics.drill_accepted_at.labels(exercise.receiver, kind).set(self._app.clock.now())

    def _end(self, exercise: Exercise) -> None:
        app, now = self._app, self._app.clock.now()
        alert = app.engine.judging.alerts.get(exercise.fingerprint)
        acknowledged = alert.acked_at - exercise.sent_at if alert is not None and alert.acked_at else None
        if acknowledged is not None:
            app.metrics.drill_acknowledged.labels(exercise.receiver).set(acknowledged)
        app.engine.judging.inject(exercise.threshold, own.verdict("", now), now)
        self._running.pop(exercise.fingerprint, None)
        if exercise.scheduled:
            missing = [kind for kind in exercise.expected if kind not in exercise.accepted]
            log.info(
                "drill", receiver=exercise.receiver, missing=missing or None,
                accepted={kind: round(took, 3) for kind, took in exercise.accepted.items()},
                acknowledged=None if acknowledged is None else show_duration(acknowledged),
            )  # fmt: skip
            lasted = show_duration(now - exercise.sent_at)
            trouble = f"a drill did not reach {exercise.receiver} by {', '.join(missing)} within {lasted}"
            app.engine.complain(_failed(exercise.receiver), trouble if missing else "", exercise.receiver, now)
        app.pager.wake()

    def replan(self) -> None:
        """The configuration may want drills at other times."""
        self._replanned.set()

    async def run(self) -> None:
        """Hold drills as the calendar says, until cancelled."""
        wall = self._app.clock.wall()
        while True:
            self._replanned.clear()
            drill = self._app.config.on_call.drill
            due = None if drill is None else next_drill(drill, wall)
            try:
                # The calendar's clock may be set meanwhile: no wait is so long that one could miss that.
                async with asyncio.timeout(None if due is None else min(LONGEST_WAIT, due - wall)):
                    await self._replanned.wait()
            except TimeoutError:
                wall = self._app.clock.wall()  # read once: what is due now is held, what is due later is still to come
                if drill is not None and due is not None and wall >= due:
                    self.hold(drill.receivers or self._app.config.receivers, drill.severity, drill.lasts)
            else:
                wall = self._app.clock.wall()

    def hold(self, receivers: Iterable[str], severity: Severity, lasts: float) -> list[Exercise]:
        """A drill for each of these receivers that has a way to be told."""
        known = [name for name in receivers if name in self._app.config.receivers]
        return [
            self.send(name, severity, severity.value, lasts=lasts, drill=True)
            for name in known
            if self._app.config.receivers[name].notifiers
        ]


def next_drill(drill: DrillEntry, wall: float) -> float:
    """When the next drill begins after `wall`; both are Unix seconds."""
    return next(CronSim(drill.cron, datetime.fromtimestamp(wall, ZoneInfo(drill.timezone)))).timestamp()


def _failed(receiver: str) -> Threshold:
    return own.threshold(
        "RunwatchDrillFailed",
        f"drill-{receiver}",
        Severity.HIGH,
        f"A real page would not arrive either. Look at `runwatch explain RunwatchDrill`, then try "
        f"`runwatch test-alert --receiver {receiver}`.",
        receiver=receiver,
    )
