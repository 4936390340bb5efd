"""Who is told: the route tree with Alertmanager's words and meaning, and the groups it makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from alerts.escalation import EscalationStep
from alerts.matching import Matcher, matches_all, parse_matcher
from alerts.notifiers.base import Notifier

__all__ = ["Matcher", "Receiver", "Route", "group_labels", "match", "parse_matcher"]


@dataclass(frozen=True, slots=True)
class Receiver:
    """Whom a route names: every notifier of it is told. `fallback` names the receiver to turn to when it can't be."""

    name: str
    notifiers: tuple[Notifier, ...] = ()
    fallback: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """One node of the tree, inherited values filled in. Durations in seconds; `group_by` None means by all labels."""

    receiver: str
    matchers: tuple[Matcher, ...] = ()
    group_by: tuple[str, ...] | None = ("system", "alertname")
    group_wait: float = 0.0
    group_interval: float = 300.0
    repeat_interval: float = 14400.0
    follow_on: bool = False
    mute_time_intervals: tuple[str, ...] = ()
    active_time_intervals: tuple[str, ...] = ()
    escalation: tuple[EscalationStep, ...] = ()
    max_reminders: int | None = None
    routes: tuple[Route, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        return matches_all(self.matchers, labels)


def match(route: Route, labels: Mapping[str, str]) -> list[Route]:
    """The routes that take an alert, depth first: the deepest that matches, and further siblings after `continue`."""
    return [path[-1] for path in paths(route, labels)]


def paths(route: Route, labels: Mapping[str, str]) -> list[tuple[Route, ...]]:
    """The same, each with the routes above it, from the top of the tree."""
    if not route.matches(labels):
        return []
    taken: list[tuple[Route, ...]] = []
    for child in route.routes:
        found = paths(child, labels)
        taken += [(route, *below) for below in found]
        if found and not child.follow_on:
            break
    return taken or [(route,)]


def group_labels(route: Route, labels: Mapping[str, str]) -> dict[str, str]:
    """The labels by which a route groups, with this alert's values."""
    if route.group_by is None:
        return dict(labels)
    return {name: labels[name] for name in route.group_by if name in labels}
