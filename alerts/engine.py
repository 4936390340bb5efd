"""From alerts to parcels: decides who must be told what, by which destination, and collects what changes."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from alerts.judging import Judging
from alerts.notifiers.base import Notifier
from alerts.outbox import Changes, Kept, Parcel
from alerts.plan import Plan
from alerts.routing import Receiver, Route, group_labels, match
from alerts.telling import Pace, Telling, due
from alerts.vocabulary import Alert, Notification, Phase, dedup_key
from checks.base import revealed


@dataclass(slots=True)
class _Audience:
    """Who is to hear of one group: the alerts that may be told, the route's pace, the receiver's destinations."""

    route: Route
    receiver: Receiver
    labels: dict[str, str]
    firing: dict[str, Alert] = field(default_factory=dict)


class Engine:
    """All that was told, on top of all that is judged. `decide` does no I/O; the caller makes the changes durable."""

    def __init__(self, plan: Plan, kept: Kept, now: float) -> None:
        self.judging = Judging(plan, kept.alerts, now)
        self.tellings: dict[str, Telling] = {telling.key: telling for telling in kept.tellings}
        self.asks: set[str] = set()
        self.next_at: float | None = None
        self.changes = Changes()
        self._aimed: dict[str, tuple[str, str]] = {}
        self._routes: dict[str, list[Route]] = {}

    @property
    def plan(self) -> Plan:
        return self.judging.plan

    def replan(self, plan: Plan, now: float) -> None:
        """Take over a new configuration."""
        self._routes.clear()
        self.judging.replan(plan, now)

    @property
    def stirred(self) -> bool:
        """Whether `decide` has something to do."""
        return self.judging.dirty or bool(self.judging.changed) or bool(self.changes)

    def aim(self, fingerprint: str, receiver: str, kind: str = "") -> None:
        """Send one alert to a named receiver (and only its notifiers of one kind) past the route: a test alert."""
        self._aimed[fingerprint] = (receiver, kind)
        self._routes.pop(fingerprint, None)
        self.judging.dirty = True

    def decide(self, now: float) -> Changes:
        """What has to be kept and told now. Afterwards `next_at` says when to ask again, unless something changes."""
        if self.judging.dirty or (self.next_at is not None and now >= self.next_at):
            self.judging.dirty = False
            self.next_at = None
            self._tell(now)
        changes, self.changes = self.changes, Changes()
        changes.alerts, self.judging.changed = self.judging.changed, {}
        return changes

    def _tell(self, now: float) -> None:
        audiences = self._audiences(now)
        current = set()
        for group_key, audience in audiences.items():
            route = audience.route
            pace = Pace(route.group_wait, route.group_interval, route.repeat_interval)
            first = min(alert.fired_at for alert in audience.firing.values())
            for notifier in audience.receiver.notifiers:
                destination = {"kind": notifier.kind, "config": revealed(notifier)}
                key = f"{group_key}#{_digest(destination)}"
                current.add(key)
                telling = self.tellings.get(key) or self._telling(key, group_key, audience, notifier, destination)
                self._speak(telling, audience.firing, first, pace, now)
        for key, telling in list(self.tellings.items()):
            if key not in current:
                told = [self.judging.alerts[mark] for mark in telling.told if mark in self.judging.alerts]
                firing = {alert.fingerprint: alert for alert in told if alert.phase is Phase.FIRING}
                self._speak(telling, firing, 0.0, None, now)
        self._forget_ended()

    def _audiences(self, now: float) -> dict[str, _Audience]:
        audiences: dict[str, _Audience] = {}
        alarmed = self.judging.alarmed()
        for alert in list(self.judging.live()):
            if alert.phase is not Phase.FIRING:
                continue
            why = "" if alert.told else self._withheld(alert, alarmed, now)
            why = why or self._gather(alert, audiences)
            if why != alert.withheld and not alert.told:
                alert.withheld = why
                self.judging.changed[alert.fingerprint] = alert
        return audiences

    def _withheld(self, alert: Alert, alarmed: set[str], now: float) -> str:
        held = self.judging.withheld(alert, alarmed, now)
        self.asks.update(held.ask)
        if held.until is not None:
            self._ask_again(held.until)
        return held.why

    def _gather(self, alert: Alert, audiences: dict[str, _Audience]) -> str:
        """Put an alert where its routes lead; why nobody is there to hear of it, if so."""
        why, found = "no route leads anywhere: nobody is configured to be told", False
        for route in self._routes_of(alert):
            receiver = self.plan.receivers.get(route.receiver)
            if receiver is None or not receiver.notifiers:
                why = f"receiver {route.receiver} has no notifier"
                continue
            labels = group_labels(route, alert.labels)
            group_key = f"{route.receiver}:{_flat(labels)}"
            if group_key not in audiences:
                audiences[group_key] = _Audience(route, self._aimed_part(alert, receiver), labels)
            audiences[group_key].firing[alert.fingerprint] = alert
            found = True
        return "" if found else why

    def _routes_of(self, alert: Alert) -> list[Route]:
        mark = alert.fingerprint
        if mark in self._aimed:
            return [Route(self._aimed[mark][0], group_by=None, repeat_interval=86400.0)]
        if mark not in self._routes:
            self._routes[mark] = match(self.plan.route, alert.labels) if self.plan.route else []
        return self._routes[mark]

    def _aimed_part(self, alert: Alert, receiver: Receiver) -> Receiver:
        kind = self._aimed.get(alert.fingerprint, ("", ""))[1]
        if not kind:
            return receiver
        return replace(receiver, notifiers=tuple(n for n in receiver.notifiers if n.kind == kind))

    def _telling(
        self, key: str, group_key: str, audience: _Audience, notifier: Notifier, destination: dict[str, Any]
    ) -> Telling:
        return Telling(
            key=key,
            thread=uuid.uuid4().hex,
            receiver=audience.receiver.name,
            group_key=group_key,
            group_labels=audience.labels,
            dedup_key=dedup_key(audience.labels, audience.receiver.name),
            destination=destination,
            send_resolved=notifier.send_resolved,
        )

    def _speak(
        self,
        telling: Telling,
        firing: Mapping[str, Alert],
        first: float,
        pace: Pace | None,
        now: float,
    ) -> None:
        verdict = due(set(telling.told), telling.last_sent, firing.keys(), first, pace, now)
        if verdict.at is not None:
            self._ask_again(verdict.at)
        if not verdict.reason:
            return
        ended = [
            self.judging.alerts[mark] for mark in telling.told if mark not in firing and mark in self.judging.alerts
        ]
        if verdict.reason == "resolved":
            del self.tellings[telling.key]
            self.changes.tellings[telling.key] = None
            if not telling.send_resolved:
                return
        else:
            telling.told, telling.last_sent = sorted(firing), now
            self.tellings[telling.key] = telling
            self.changes.tellings[telling.key] = telling
            upcoming = due(firing.keys(), now, firing.keys(), first, pace, now)
            if upcoming.at is not None:
                self._ask_again(upcoming.at)
        for alert in firing.values():
            if not alert.told:
                alert.told, alert.withheld = True, ""
                self.judging.changed[alert.fingerprint] = alert
        self._post(telling, [*firing.values(), *ended], verdict.reason, now)

    def _post(self, telling: Telling, alerts: Iterable[Alert], reason: str, now: float) -> None:
        copies = [replace(alert, impact=self.impact(alert)) for alert in alerts]
        copies.sort(key=lambda alert: (alert.phase is not Phase.FIRING, alert.severity.rank, alert.since))
        note = Notification(
            status="resolved" if reason == "resolved" else "firing",
            receiver=telling.receiver,
            group_key=telling.group_key,
            dedup_key=telling.dedup_key,
            reason=reason,
            at=now,
            group_labels=dict(telling.group_labels),
            alerts=copies,
            external_url=self.plan.external_url,
        )
        parcel = Parcel(uuid.uuid4().hex, telling.key, telling.thread, telling.destination, note, now, next_at=now)
        self.changes.parcels[parcel.id] = parcel

    def impact(self, alert: Alert) -> list[str]:
        """What can't succeed while this fires, near and far; those that fail already say so."""
        dependents = self.plan.dependents.get(alert.check, ())
        if not dependents or alert.phase is not Phase.FIRING:
            return []
        failing = self.judging.alarmed()
        return [f"{key} (failing)" if key in failing else key for key in dependents]

    def fall_over(self, parcel: Parcel, now: float) -> None:
        """A receiver can't be reached: tell its fallback the same, and owe it the resolve too."""
        receiver = self.plan.receivers.get(parcel.note.receiver)
        fallback = self.plan.receivers.get(receiver.fallback) if receiver and receiver.fallback else None
        if fallback is None or parcel.note.status == "resolved":
            return
        labels = parcel.note.group_labels
        group_key = f"{fallback.name}:{_flat(labels)}"
        for notifier in fallback.notifiers:
            destination = {"kind": notifier.kind, "config": revealed(notifier)}
            key = f"{group_key}#{_digest(destination)}"
            audience = _Audience(Route(fallback.name), fallback, labels)
            telling = self.tellings.get(key) or self._telling(key, group_key, audience, notifier, destination)
            told = {alert.fingerprint for alert in parcel.note.firing if alert.fingerprint in self.judging.alerts}
            telling.told, telling.last_sent = sorted(told | set(telling.told)), now
            if not telling.told:
                continue
            self.tellings[key] = self.changes.tellings[key] = telling
            self._post(telling, [self.judging.alerts[mark] for mark in telling.told], parcel.note.reason, now)
        self.judging.dirty = True

    def _ask_again(self, at: float) -> None:
        self.next_at = at if self.next_at is None else min(self.next_at, at)

    def _forget_ended(self) -> None:
        told = {mark for telling in self.tellings.values() for mark in telling.told}
        for mark, alert in list(self.judging.alerts.items()):
            if alert.phase is Phase.INACTIVE and mark not in told:
                self._routes.pop(mark, None)
                self._aimed.pop(mark, None)
                self.judging.forget(mark)


def _flat(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{name}={text!r}" for name, text in sorted(labels.items())) + "}"


def _digest(destination: Mapping[str, Any]) -> str:
    return hashlib.sha256(repr(sorted(destination.items())).encode("utf-8", "surrogatepass")).hexdigest()[:16]
