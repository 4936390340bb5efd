"""Tells: turns what is due into parcels, and remembers what every destination knows. No I/O."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Container, Iterable, Mapping
from typing import Any

from alerts import message
from alerts.audience import Audience, group_key
from alerts.decisions import Findings
from alerts.judging import Judging
from alerts.notifiers.base import Notifier
from alerts.outbox import Parcel
from alerts.routing import Route
from alerts.storm import is_digest
from alerts.telling import Due, Pace, Scene, Telling, due
from alerts.vocabulary import Alert, Phase, dedup_key
from alerts.wording import clock_time

MOST_WAYS = 1_000
"""Notifiers whose destinations are remembered; reloads leave old ones behind."""


class Speaker:
    """What every destination was told, by the telling's key; what follows from that goes into the findings."""

    def __init__(self, judging: Judging, findings: Findings, tellings: Iterable[Telling], now: float) -> None:
        self.tellings: dict[str, Telling] = {telling.key: telling for telling in tellings}
        for telling in self.tellings.values():
            telling.last_sent = min(telling.last_sent, now)  # a clock that was set back must silence nobody
        self.failing: set[str] = set()
        """Checks that have an alert of their own, for the messages to name."""
        self._ways: dict[int, tuple[Notifier, dict[str, Any], str]] = {}
        self._judging = judging
        self._findings = findings

    def tell(self, audiences: Iterable[Audience], now: float) -> None:
        """Tell every audience what is due, and those without one the end of what they were told."""
        current = set()
        for audience in audiences:
            for notifier in audience.receiver.notifiers:
                telling = self._telling(audience, notifier)
                current.add(telling.key)
                self._speak(telling, audience, notifier, now)
        for key in [key for key in self.tellings if key not in current]:
            telling = self.tellings[key]
            if not any(alert.phase is Phase.FIRING for alert in self._known(telling.told)):
                self._resolve(telling, 0, now)

    def told_as(self, key: str) -> list[str]:
        """The fingerprints of what a receiver's service knows by this dedup key."""
        return sorted({mark for one in self.tellings.values() if one.dedup_key == key for mark in one.told})

    def _telling(self, audience: Audience, notifier: Notifier) -> Telling:
        destination, digest = self._way(notifier)
        key = f"{audience.key}#{digest}"
        found = self.tellings.get(key)
        if found is not None:
            return found
        return Telling(
            key=key,
            thread=uuid.uuid4().hex,
            receiver=audience.receiver.name,
            group_key=audience.key,
            group_labels=audience.labels,
            dedup_key=dedup_key(audience.labels, audience.receiver.name),
            destination=destination,
            send_resolved=notifier.send_resolved,
        )

    def _way(self, notifier: Notifier) -> tuple[dict[str, Any], str]:
        """A notifier's destination and its digest, worked out once: thousands of groups share it."""
        known = self._ways.get(id(notifier))
        if known is None or known[0] is not notifier:
            if len(self._ways) >= MOST_WAYS:
                self._ways.clear()
            destination = message.destination(notifier)
            known = self._ways[id(notifier)] = notifier, destination, message.digest(destination)
        return known[1], known[2]

    def _speak(self, telling: Telling, audience: Audience, notifier: Notifier, now: float) -> None:
        pace = pace_of(audience.route, notifier)
        scene = scene_of(audience, notifier, telling, self._judging.alerts)
        verdict = due(telling, scene, pace, now)
        self._findings.ask_again(verdict.at)
        if verdict.reason == "resolved":
            self._resolve(telling, notifier.most_alerts, now)
        elif verdict.reason:
            self._tell_of(telling, audience, scene, verdict, notifier.most_alerts, now)
            self._findings.ask_again(due(telling, scene._replace(escalated=False), pace, now).at)
        if scene.muted != telling.muted.keys():
            telling.muted = {mark: audience.muted[mark] for mark in scene.muted}
            self._remember(telling)

    def _tell_of(self, telling: Telling, audience: Audience, scene: Scene, verdict: Due, most: int, now: float) -> None:
        """Post one message of what may be told, and what of it has ended since the last one."""
        reason = "storm" if verdict.reason == "first" and is_digest(telling.group_key) else verdict.reason
        why = self._why(verdict.reason, telling, audience)
        unsaid = scene.muted | scene.elsewhere
        ended = self._known([mark for mark in telling.told if mark not in scene.open and mark not in unsaid])
        still_owed = [mark for mark in telling.told if mark in unsaid]
        telling.told, telling.last_sent = sorted([*scene.open, *still_owed]), now
        telling.acked, telling.flapping = sorted(scene.acked), sorted(scene.flapping)
        telling.muted = {mark: audience.muted[mark] for mark in scene.muted}
        telling.reminders = telling.reminders + 1 if reason == "reminder" else 0
        self._remember(telling)
        for alert in audience.open.values():
            if not alert.told:
                alert.told = True
                self._judging.changed[alert.fingerprint] = alert
        carried = self._known(sorted(scene.open - audience.open.keys()))
        told = [*audience.open.values(), *carried, *(ended if telling.send_resolved else ())]
        self._post(telling, told, reason, why or verdict.why, why, most, now)

    def _why(self, reason: str, telling: Telling, audience: Audience) -> str:
        """What the reader of a message can't see from its reason."""
        if reason == "unmuted":
            said = [why for mark, why in telling.muted.items() if mark in audience.open]
            return f"kept quiet until now: {said[0]}" if said else ""
        if reason == "acknowledged":
            return ", ".join(sorted({_has_it(alert) for alert in audience.open.values() if alert.acked_by}))
        if reason == "flapping":
            said = [alert.flapping for alert in audience.open.values() if alert.flapping]
            return f"it comes and goes: {said[0]}; the next change is told when it has settled" if said else ""
        return audience.escalated if reason == "escalated" else ""

    def _resolve(self, telling: Telling, most: int, now: float) -> None:
        ended = self._known(telling.told)
        del self.tellings[telling.key]
        self._findings.changes.tellings[telling.key] = None
        telling.told = []
        if telling.send_resolved and ended:
            self._post(telling, ended, "resolved", "all that was told has ended", "", most, now)

    def _post(
        self, telling: Telling, alerts: Collection[Alert], reason: str, cause: str, why: str, most: int, now: float
    ) -> None:
        note = message.compose(telling, alerts, reason, why, most, self._judging.plan, self.failing, now)
        parcel = Parcel(uuid.uuid4().hex, telling.key, telling.thread, telling.destination, note, now, next_at=now)
        self._findings.changes.parcels[parcel.id] = parcel
        whom = f"{telling.receiver} by {telling.destination['kind']}: {reason}, {cause}"
        for alert in alerts:
            self._findings.note(alert, now, "to be told", whom)

    def _known(self, marks: Iterable[str]) -> list[Alert]:
        return [self._judging.alerts[mark] for mark in marks if mark in self._judging.alerts]

    def _remember(self, telling: Telling) -> None:
        self.tellings[telling.key] = self._findings.changes.tellings[telling.key] = telling

    def fall_over(self, parcel: Parcel, quiet: Container[str], now: float) -> None:
        """A receiver can't be reached: tell its fallback what still fires of it, and owe it the resolve too.

        `quiet` are the fingerprints of what nobody may be told of now.
        """
        receiver = self._judging.plan.receivers.get(parcel.note.receiver)
        fallback = self._judging.plan.receivers.get(receiver.fallback) if receiver and receiver.fallback else None
        if fallback is None or parcel.note.status == "resolved":
            return
        labels, first = parcel.note.group_labels, self.tellings.get(parcel.queue)
        marks = first.told if first is not None else [alert.fingerprint for alert in parcel.note.firing]
        meant = {mark for mark in marks if mark not in quiet}
        audience = Audience(fallback, Route(fallback.name), group_key(fallback.name, labels), labels)
        for notifier in fallback.notifiers:
            telling = self._telling(audience, notifier)
            known = [mark for mark in telling.told if mark not in quiet]
            alerts = [alert for alert in self._known(meant.union(known)) if alert.phase is Phase.FIRING]
            fresh = meant.intersection(alert.fingerprint for alert in alerts)
            if not fresh:
                continue
            telling.told, telling.last_sent = sorted(fresh | set(telling.told)), now
            self._remember(telling)
            why = f"{parcel.note.receiver} can't be reached: {parcel.last_error}"
            self._post(telling, alerts, parcel.note.reason, why, why, notifier.most_alerts, now)
        self._judging.dirty = True


def _has_it(alert: Alert) -> str:
    until = f" until {clock_time(alert.acked_until)}" if alert.acked_until else ""
    return f"{alert.acked_by} has it{until}"


def pace_of(route: Route, notifier: Notifier) -> Pace:
    """How often a destination is spoken to; a protocol that wants repetition goes before the route."""
    if notifier.repeat_every is not None:
        return Pace(route.group_wait, 0.0, notifier.repeat_every)
    return Pace(route.group_wait, route.group_interval, route.repeat_interval, route.max_reminders)


def scene_of(audience: Audience, notifier: Notifier, telling: Telling, alerts: Mapping[str, Alert]) -> Scene:
    """The group as this destination may see it; `alerts` are all that there are, by fingerprint.

    One that wants repetition takes silence for the end: what it was told is repeated through mutes and acks.
    """
    opened = audience.open
    repeated = notifier.repeat_every is not None
    gone = [mark for mark in telling.told if mark not in opened and mark not in audience.muted]
    elsewhere = {mark for mark in gone if (one := alerts.get(mark)) is not None and one.phase is Phase.FIRING}
    carried = audience.muted.keys() & set(telling.told) | elsewhere if repeated else frozenset()
    return Scene(
        open=opened.keys() | carried,
        muted=audience.muted.keys() - carried,
        elsewhere=elsewhere - carried,
        acked=frozenset() if repeated else {mark for mark, alert in opened.items() if alert.acked_by},
        flapping={mark for mark, alert in opened.items() if alert.flapping},
        first_fired=min((alert.fired_at for alert in opened.values()), default=0.0),
        escalated=bool(audience.escalated) and bool(opened),
        unheard=notifier.unheard if notifier.send_resolved else notifier.unheard | {"changed"},
    )
