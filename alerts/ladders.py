"""Carries every group up its ladder: adds the receivers that hear because nobody has acknowledged it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from alerts.audience import Audience, group_key
from alerts.escalation import Escalation, EscalationStep, climb
from alerts.routing import Receiver, Route
from alerts.vocabulary import Alert
from checks.units import show_duration


class Climbed(NamedTuple):
    """What one round comes to: positions that changed (None: over), when to ask again, and who was told why."""

    changed: dict[str, Escalation | None]
    at: float | None
    steps: list[tuple[Alert, str]]


class Ladders:
    """The position of every group that escalates, by the key of its own audience."""

    def __init__(self, kept: Iterable[Escalation]) -> None:
        self.positions: dict[str, Escalation] = {one.key: one for one in kept}

    def climb(self, audiences: dict[str, Audience], receivers: Mapping[str, Receiver], now: float) -> Climbed:
        """Move all of them on, and put further audiences beside those that climb."""
        climbing = {key: steps for key, one in audiences.items() if (steps := self.steps(one))}
        over = self.positions.keys() - climbing.keys()
        changed: dict[str, Escalation | None] = dict.fromkeys(over)
        for key in over:
            del self.positions[key]
        times: list[float] = []
        told: list[tuple[Alert, str]] = []
        for key, steps in climbing.items():
            audience = audiences[key]
            waiting = audience.waiting
            rank = min((alert.severity.rank for alert in waiting), default=0)
            before = self.positions.get(key)
            step = climb(before, key, steps, bool(waiting), rank, audience.respond_within, now)
            if step.at is not None:
                times.append(step.at)
            if step.escalation != before:
                self.positions[key] = changed[key] = step.escalation
            since = show_duration(now - step.escalation.started)
            for index in range(step.escalation.taken):
                why = f"step {index + 1}: nobody acknowledged it within {since}" if index in step.due else ""
                _hears_too(audiences, audience, receivers.get(steps[index].receiver), why)
                told += [(alert, f"to {steps[index].receiver}, {why}") for alert in waiting if why]
        return Climbed(changed, min(times, default=None), told)

    def steps(self, audience: Audience) -> tuple[EscalationStep, ...]:
        """The ladder of a group: its route's, else the same people once more when their time to respond is over."""
        if audience.route.escalation:
            return audience.route.escalation
        asked = any(alert.respond_within for alert in audience.open.values()) or audience.key in self.positions
        return (EscalationStep(audience.receiver.name),) if asked else ()


def _hears_too(audiences: dict[str, Audience], group: Audience, receiver: Receiver | None, why: str) -> None:
    if receiver is None:
        return
    key = group_key(receiver.name, group.labels)
    if key not in audiences:
        route = Route(
            receiver.name, group_interval=group.route.group_interval, repeat_interval=group.route.repeat_interval,
            max_reminders=group.route.max_reminders,
        )  # fmt: skip
        audiences[key] = Audience(receiver, route, key, group.labels)
    further = audiences[key]
    if further is not group:
        further.open |= group.open
        quiet = further.muted | group.muted
        further.muted = {mark: said for mark, said in quiet.items() if mark not in further.open}
    further.escalated = further.escalated or why
