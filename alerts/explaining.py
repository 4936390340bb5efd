"""Says why somebody is, or is not, told of an alert, and what comes next, from what the engine decided last. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from alerts import message
from alerts.audience import Audience
from alerts.engine import Engine
from alerts.escalation import patience
from alerts.intervals import muted
from alerts.plan import Plan
from alerts.routing import Route, group_labels, paths
from alerts.speaking import pace_of, scene_of
from alerts.telling import Due, Telling, due


@dataclass(frozen=True, slots=True)
class Outlook:
    """One way in which an alert reaches, or does not reach, people. Times in steady Unix seconds; None: none is due."""

    receiver: str
    by: str
    told: bool
    last_sent: float
    muted: str
    next_reason: str
    next_at: float | None
    why: str


def outlook(engine: Engine, fingerprint: str, now: float) -> list[Outlook]:
    """Every destination that concerns an alert now: whether it knows, and what it is told next and when."""
    found = []
    for audience in engine.audiences.values():
        if fingerprint in audience.open or fingerprint in audience.muted:
            found += list(_ways(engine, audience, fingerprint, now))
            found += list(_steps(engine, audience, fingerprint))
    return found


def _ways(engine: Engine, audience: Audience, fingerprint: str, now: float) -> Iterator[Outlook]:
    quiet = audience.muted.get(fingerprint, "")
    for notifier in audience.receiver.notifiers:
        key = f"{audience.key}#{message.digest(message.destination(notifier))}"
        telling = engine.tellings.get(key) or Telling(key, "", audience.receiver.name, audience.key, {}, "", {})
        scene = scene_of(audience, notifier, telling, engine.judging.alerts)._replace(escalated=False)
        verdict = due(telling, scene, pace_of(audience.route, notifier), now)
        if not verdict.reason and verdict.at is None:
            verdict = _after_acknowledgement(audience, telling) or verdict
        told = fingerprint in telling.told
        yield Outlook(
            audience.receiver.name, notifier.kind, told, telling.last_sent if told else 0.0, quiet,
            verdict.reason or verdict.upcoming, now if verdict.reason else verdict.at, verdict.why,
        )  # fmt: skip


def _after_acknowledgement(audience: Audience, telling: Telling) -> Due | None:
    """What is told when the first acknowledgement of what fires here ends; None where none has an end."""
    ends = [alert.acked_until for mark, alert in audience.open.items() if mark in telling.acked and alert.acked_until]
    if not ends:
        return None
    return Due("", min(ends), "the acknowledgement is over then, unless it is made longer", "reminder")


def _steps(engine: Engine, audience: Audience, fingerprint: str) -> Iterator[Outlook]:
    """The steps of the ladder that are still to come, while nobody has acknowledged it."""
    position = engine.ladders.positions.get(audience.key)
    alert = audience.open.get(fingerprint)
    if position is None or position.paused or alert is None or alert.acked_by:
        return
    steps, within = engine.ladders.steps(audience), audience.respond_within
    for index in range(position.taken, len(steps)):
        at = position.started + patience(steps[index], index, within)
        why = f"step {index + 1} of the escalation, unless somebody acknowledges it"
        yield Outlook(steps[index].receiver, "", False, 0.0, "", "escalated", at, why)


class Taken(NamedTuple):
    """A route that takes a label set: the way to it from the top, how it groups, and what keeps it quiet now."""

    path: tuple[Route, ...]
    group: Mapping[str, str]
    quiet: str


def routes_taken(plan: Plan, labels: Mapping[str, str], wall: float) -> list[Taken]:
    """Where labels lead, in the order in which the tree is tried; `wall` is Unix seconds by the wall clock."""
    return [
        Taken(path, group_labels(path[-1], labels), muted(path[-1], plan.time_intervals, wall))
        for path in (paths(plan.route, labels) if plan.route is not None else ())
    ]
