"""Gathers who is to hear of what: every firing alert put where its routes lead, with what keeps it quiet there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from alerts.escalation import EscalationStep, patience
from alerts.muting import NOT_MUTED, Mute, Muting
from alerts.plan import Plan
from alerts.routing import Receiver, Route, group_labels, match
from alerts.vocabulary import Alert


@dataclass(slots=True)
class Audience:
    """One receiver and one group of alerts that fire: those it may be told now, and those that are muted, and why."""

    receiver: Receiver
    route: Route
    key: str
    labels: dict[str, str]
    open: dict[str, Alert] = field(default_factory=dict)
    muted: dict[str, str] = field(default_factory=dict)
    escalated: str = ""
    """Why it is to hear now although it is not the route's own receiver, or hears a second time; empty if not."""

    routes: list[Route] = field(default_factory=list)
    """The routes by which something of it may be told."""

    def led_by(self, route: Route) -> None:
        """Something that may be told comes by this route, perhaps beside others that lead here too."""
        if all(one is not route for one in self.routes):
            self.route = sooner(self.route, route) if self.routes else route
            self.routes.append(route)

    def take(self, alert: Alert, why: str) -> None:
        """An alert comes by one of its routes, muted there (`why`) or not. What any of them lets through is told."""
        if not why:
            self.open[alert.fingerprint] = alert
            self.muted.pop(alert.fingerprint, None)
        elif alert.fingerprint not in self.open:
            self.muted[alert.fingerprint] = why

    @property
    def ready_at(self) -> float:
        """When the group's first message may go."""
        return min(alert.fired_at for alert in self.open.values()) + self.route.group_wait

    @property
    def waiting(self) -> list[Alert]:
        """What may be told and nobody has acknowledged."""
        return [alert for alert in self.open.values() if not alert.acked_by]

    @property
    def respond_within(self) -> float:
        """The shortest time to respond among what waits; 0 where nothing is said."""
        return min((alert.respond_within for alert in self.waiting if alert.respond_within), default=0.0)


class _Place(NamedTuple):
    """One group to which an alert belongs; `receiver` is None where nobody of it can be told."""

    route: Route
    receiver: Receiver | None
    key: str
    labels: dict[str, str]


def sooner(one: Route, other: Route) -> Route:
    """Two routes that lead to one group of one receiver: of each of their times the shorter, and whose ladder is."""
    endless = one.max_reminders is None or other.max_reminders is None
    return replace(
        one,
        group_wait=min(one.group_wait, other.group_wait),
        group_interval=min(one.group_interval, other.group_interval),
        repeat_interval=min(one.repeat_interval, other.repeat_interval),
        escalation=min(filter(None, (one.escalation, other.escalation)), key=_patience, default=()),
        max_reminders=None if endless else max(one.max_reminders or 0, other.max_reminders or 0),
    )


def _patience(ladder: Sequence[EscalationStep]) -> list[tuple[float, str]]:
    return [(patience(step, index, 0.0), step.receiver) for index, step in enumerate(ladder)]


def group_key(receiver: str, labels: Mapping[str, str]) -> str:
    """What a group is known by to one receiver; depends on nothing that an edit of routes would change."""
    return f"{receiver}:" + "{" + ", ".join(f"{name}={text!r}" for name, text in sorted(labels.items())) + "}"


class Gathering:
    """Routes alerts, remembering where each label set leads. `aimed` ones go past the routes: tests, own trouble."""

    def __init__(self, plan: Plan) -> None:
        self.aimed: dict[str, tuple[str, str]] = {}
        self._routes: dict[str, list[Route]] = {}
        self._places: dict[str, list[_Place]] = {}
        self.adopt(plan)

    def adopt(self, plan: Plan) -> None:
        """Take over a new configuration."""
        self._plan = plan
        self._routes.clear()
        self._places.clear()

    def aim(self, fingerprint: str, receiver: str, kind: str = "") -> None:
        """Send one alert to a named receiver (and only its notifiers of one kind) past the routes."""
        self.aimed[fingerprint] = (receiver, kind)
        self._routes.pop(fingerprint, None)
        self._places.pop(fingerprint, None)

    def forget(self, fingerprint: str) -> None:
        """An alert is no more."""
        self._routes.pop(fingerprint, None)
        self._places.pop(fingerprint, None)
        self.aimed.pop(fingerprint, None)

    def routes_of(self, alert: Alert) -> list[Route]:
        """Where an alert goes."""
        mark = alert.fingerprint
        if mark in self.aimed:
            return [Route(self.aimed[mark][0], group_by=None, repeat_interval=86400.0)]
        if mark not in self._routes:
            self._routes[mark] = match(self._plan.route, alert.labels) if self._plan.route else []
        return self._routes[mark]

    def gather(
        self, firing: Iterable[Alert], muting: Muting, dependency: Callable[[Alert], str]
    ) -> tuple[dict[str, Audience], dict[str, Mute]]:
        """Every audience by its key, and for each alert that nobody may be told of now (by fingerprint) why that is.

        `dependency` says why an alert is but a symptom; the empty text if it is not.
        """
        audiences: dict[str, Audience] = {}
        quiet: dict[str, Mute] = {}
        for alert in firing:
            mute = NOT_MUTED if alert.fingerprint in self.aimed else muting.of(alert)
            if not mute.why and not alert.told and (why := dependency(alert)):
                # Nobody is told of a symptom, nor that one was kept quiet: it never was news of its own.
                quiet[alert.fingerprint] = Mute("dependency", why)
                continue
            place = self._place(alert, mute, audiences, muting)
            if place.why:
                quiet[alert.fingerprint] = place
        return audiences, quiet

    def _place(self, alert: Alert, mute: Mute, audiences: dict[str, Audience], muting: Muting) -> Mute:
        """Put an alert where its routes lead; why nobody may hear of it there, if so."""
        nobody = Mute("route", "no route leads anywhere: nobody is configured to be told")
        heard = False
        for place in self._places_of(alert):
            if place.receiver is None:
                nobody = Mute("route", f"receiver {place.route.receiver} has no notifier")
                continue
            here = mute if mute.why else muting.of_route(place.route)
            nobody = here if here.why else nobody
            heard = heard or not here.why
            if place.key not in audiences:
                audiences[place.key] = Audience(place.receiver, place.route, place.key, place.labels)
            audience = audiences[place.key]
            audience.take(alert, here.why)
            if not here.why:
                audience.led_by(place.route)
        return NOT_MUTED if heard else nobody

    def _places_of(self, alert: Alert) -> list[_Place]:
        """The groups to which an alert belongs; always the same ones until the configuration changes."""
        places = self._places.get(alert.fingerprint)
        if places is None:
            places = self._places[alert.fingerprint] = [self._placed(alert, route) for route in self.routes_of(alert)]
        return places

    def _placed(self, alert: Alert, route: Route) -> _Place:
        receiver = self._plan.receivers.get(route.receiver)
        labels = group_labels(route, alert.labels)
        able = receiver if receiver is not None and receiver.notifiers else None
        heard_by = self._aimed_part(alert, able) if able is not None else None
        return _Place(route, heard_by, group_key(route.receiver, labels), labels)

    def _aimed_part(self, alert: Alert, receiver: Receiver) -> Receiver:
        kind = self.aimed.get(alert.fingerprint, ("", ""))[1]
        if not kind:
            return receiver
        return replace(receiver, notifiers=tuple(n for n in receiver.notifiers if n.kind == kind))
