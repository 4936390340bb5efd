"""From results to parcels: asks the pure files what an answer means and who must be told, and collects what changes."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from alerts.lifecycle import Event, Life, step
from alerts.muting import TELL, Standing, withheld
from alerts.notifiers.base import Notifier
from alerts.outbox import Changes, Kept, Parcel
from alerts.routing import Receiver, Route, group_labels, match
from alerts.telling import Pace, Telling, due
from alerts.thresholds import Judgement, Windows, judge
from alerts.vocabulary import Alert, Notification, Phase, Threshold, ThresholdKey, dedup_key, fingerprint
from checks.base import Labels, Outcome, Result, revealed
from checks.units import show


@dataclass(frozen=True, slots=True)
class Plan:
    """What the configuration says of alerting; replaced as a whole at a reload. `patience` in seconds."""

    thresholds: Mapping[str, tuple[Threshold, ...]] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    units: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    patience: Mapping[str, float] = field(default_factory=dict)
    ancestors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    dependents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    route: Route | None = None
    receivers: Mapping[str, Receiver] = field(default_factory=dict)
    external_url: str = ""


@dataclass(frozen=True, slots=True)
class Transition:
    """An alert went from one phase to the next, and why."""

    alert: Alert
    event: Event
    why: str


@dataclass(slots=True)
class _Audience:
    """Who is to hear of one group: the alerts that may be told, the route's pace, the receiver's destinations."""

    route: Route
    receiver: Receiver
    labels: dict[str, str]
    firing: dict[str, Alert] = field(default_factory=dict)


class Engine:
    """All alerts and all that was told. `observe` and `decide` do no I/O; the caller makes the changes durable."""

    def __init__(self, plan: Plan, kept: Kept | None = None) -> None:
        kept = kept or Kept()
        self.plan = plan
        self.alerts: dict[str, Alert] = {alert.fingerprint: alert for alert in kept.alerts}
        self.tellings: dict[str, Telling] = {telling.key: telling for telling in kept.tellings}
        self.asks: set[str] = set()
        self.next_at: float | None = None
        self.changes = Changes()
        self.transitions: list[Transition] = []
        self._live: dict[ThresholdKey, dict[Labels, Alert]] = {}
        self._windows: dict[str, Windows] = {}
        self._asked_of: dict[str, tuple[str, ...]] = {}
        self._standings: dict[str, Standing] = {}
        self._judged: dict[str, float] = {}
        self._aimed: dict[str, tuple[str, str]] = {}
        self._routes: dict[str, list[Route]] = {}
        self._dirty = True
        for alert in self.alerts.values():
            if alert.phase is not Phase.INACTIVE:
                self._live.setdefault(alert.threshold_key, {})[self._slot_labels(alert)] = alert
        self._adopt(plan)

    def replan(self, plan: Plan, now: float) -> None:
        """Take over a new configuration; alerts whose threshold is gone end, and are told so."""
        self.plan = plan
        self._adopt(plan)
        configured = {threshold.key for group in plan.thresholds.values() for threshold in group}
        for key in [key for key in self._live if key not in configured]:
            for alert in list(self._live[key].values()):
                alert.sentence = "no longer watched: its threshold was taken out of the configuration"
                self._end(alert, now, "its threshold is gone")

    def _adopt(self, plan: Plan) -> None:
        causes = {key for keys in plan.ancestors.values() for key in keys}
        self._standings = {
            key: replace(self._standings.get(key, Standing()), patience=plan.patience.get(key, 10.0)) for key in causes
        }
        before, self._windows, self._asked_of = (self._windows, self._asked_of), {}, {}
        for key, thresholds in plan.thresholds.items():
            conditions = [c for t in thresholds for c in (t.when, t.resolve_when) if c is not None]
            windows = Windows.of(conditions)
            if windows is not None:
                asked = tuple(condition.text for condition in conditions)
                unchanged = before[1].get(key) == asked
                self._windows[key] = before[0][key] if unchanged else windows
                self._asked_of[key] = asked
        self._routes.clear()
        self._dirty = True

    # --- judging -----------------------------------------------------------------------------------------------

    def suspect(self, check: str) -> None:
        """A first attempt at a check has failed and is being asked again: what depends on it had better wait."""
        standing = self._standings.get(check)
        if standing is not None:
            standing.suspected = True

    def observe(self, check: str, result: Result, now: float) -> None:
        """Judge one result by every threshold of its check."""
        standing = self._standings.get(check)
        if standing is not None:
            self._dirty = True
            if standing.failed and result.outcome is Outcome.OK:
                standing.recovered_at = result.at
            if result.outcome is not Outcome.ERROR:
                standing.failed = result.outcome is Outcome.FAILED
            standing.asked_at = result.at
            standing.suspected = False
        windows = self._windows.get(check)
        if windows is not None:
            windows.observe(result.at, result.outcome, result.measurements)
        for threshold in self.plan.thresholds.get(check, ()):
            self._judge(threshold, result, windows, now)

    def _judge(self, threshold: Threshold, result: Result, windows: Windows | None, now: float) -> None:
        live = self._live.get(threshold.key)
        judgements = judge(threshold.when, result, windows, now)
        if live is None:
            for labels, judgement in judgements:
                if judgement.breached:
                    self._step(threshold, labels, judgement, None, result, now)
            return
        easings: dict[Labels, Judgement] = {}
        if threshold.resolve_when is not None:
            easings = dict(judge(threshold.resolve_when, result, windows, now))
        seen = set()
        for labels, judgement in judgements:
            seen.add(labels)
            alert = live.get(labels)
            if alert is not None and alert.phase is Phase.FIRING and easings:
                judgement = _eased(judgement, easings.get(labels))
            self._step(threshold, labels, judgement, alert, result, now)
        if result.outcome is Outcome.OK:
            for labels in [labels for labels in live if labels not in seen]:
                gone = Judgement(False, "no longer reported", "")
                self._step(threshold, labels, gone, live[labels], result, now)

    def _step(
        self,
        threshold: Threshold,
        labels: Labels,
        judgement: Judgement,
        alert: Alert | None,
        result: Result,
        now: float,
    ) -> None:
        life = Life() if alert is None else Life(alert.phase, alert.since, alert.clear_since)
        taken = step(
            life, judgement.breached, result.at, now, hold=threshold.hold, keep_firing=threshold.keep_firing
        )  # fmt: skip
        if alert is None:
            if not taken.event:
                return
            alert = self._open(threshold, labels)
        self._judged[alert.fingerprint] = result.at
        alert.phase, alert.since, alert.clear_since = taken.life
        if judgement.breached and (taken.event or alert.phase is Phase.FIRING):
            alert.value, alert.limit = judgement.value, judgement.limit
            alert.reason, alert.sentence = result.reason or "", result.sentence
            alert.evidence = self._evidence(result, threshold.check)
        if not taken.event:
            return
        if taken.event in ("resolved", "dropped"):
            self._end(alert, now, taken.why)
            return
        if taken.event == "firing":
            alert.fired_at = now
        self._changed(alert, taken.event, taken.why)

    def _open(self, threshold: Threshold, labels: Labels) -> Alert:
        named = {
            "alertname": threshold.alert,
            "severity": threshold.severity.value,
            **self.plan.labels.get(threshold.check, {}),
            **threshold.labels,
            **dict(labels),
        }
        alert = Alert(
            fingerprint=fingerprint(named),
            labels=named,
            check=threshold.check,
            severity=threshold.severity,
            severity_word=threshold.severity_word,
            annotations=dict(threshold.annotations),
            runbook=threshold.runbook,
            target=named.get("instance", ""),
        )
        before = self.alerts.get(alert.fingerprint)
        if before is not None:
            # It ended, but somebody has not been told yet: the same alert goes on, under the same identity.
            alert.told = before.told
        self.alerts[alert.fingerprint] = alert
        self._live.setdefault(threshold.key, {})[labels] = alert
        return alert

    def _end(self, alert: Alert, now: float, why: str) -> None:
        was_pending = alert.phase is Phase.PENDING or not alert.fired_at
        alert.phase, alert.clear_since, alert.resolved_at, alert.withheld = Phase.INACTIVE, 0.0, now, ""
        slots = self._live.get(alert.threshold_key, {})
        for labels in [labels for labels, other in slots.items() if other is alert]:
            del slots[labels]
        if not slots:
            self._live.pop(alert.threshold_key, None)
        self._changed(alert, "dropped" if was_pending else "resolved", why)

    def _changed(self, alert: Alert, event: Event, why: str) -> None:
        self._dirty = True
        self.changes.alerts[alert.fingerprint] = alert
        self.transitions.append(Transition(replace(alert), event, why))

    def _evidence(self, result: Result, check: str) -> list[tuple[str, str]]:
        units = self.plan.units.get(check, {})
        read = [
            f"{name}{_braces(labels)} = {show(value, units.get(name, 'number'))}"
            for name, value, labels in result.measurements[:24]
        ]
        return [*result.evidence, *([("Measured", "\n".join(read))] if read else [])]

    def _slot_labels(self, alert: Alert) -> Labels:
        for threshold in self.plan.thresholds.get(alert.check, ()):
            if threshold.key == alert.threshold_key:
                known = {"alertname", "severity", *self.plan.labels.get(alert.check, {}), *threshold.labels}
                return tuple(sorted((name, text) for name, text in alert.labels.items() if name not in known))
        return ()

    def inject(self, threshold: Threshold, result: Result, now: float) -> None:
        """Judge a result by a threshold that no configuration holds: a test alert."""
        self._judge(threshold, result, None, now)

    @property
    def stirred(self) -> bool:
        """Whether `decide` has something to do."""
        return self._dirty or bool(self.changes)

    # --- telling -----------------------------------------------------------------------------------------------

    def aim(self, fingerprint: str, receiver: str, kind: str = "") -> None:
        """Send one alert to a named receiver (and only its notifiers of one kind) past the route: a test alert."""
        self._aimed[fingerprint] = (receiver, kind)
        self._routes.pop(fingerprint, None)
        self._dirty = True

    def decide(self, now: float) -> Changes:
        """What has to be kept and told now. Afterwards `next_at` says when to ask again, unless something changes."""
        if self._dirty or (self.next_at is not None and now >= self.next_at):
            self._dirty = False
            self.next_at = None
            self._tell(now)
        changes, self.changes = self.changes, Changes()
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
                told = [self.alerts[mark] for mark in telling.told if mark in self.alerts]
                firing = {alert.fingerprint: alert for alert in told if alert.phase is Phase.FIRING}
                self._speak(telling, firing, 0.0, None, now)
        self._forget_ended()

    def _audiences(self, now: float) -> dict[str, _Audience]:
        audiences: dict[str, _Audience] = {}
        alarmed = {check for check, *_ in self._live}
        for slots in list(self._live.values()):
            for alert in slots.values():
                if alert.phase is not Phase.FIRING or not self._may_be_told(alert, alarmed, now):
                    continue
                for route in self._routes_of(alert):
                    receiver = self.plan.receivers.get(route.receiver)
                    if receiver is None or not receiver.notifiers:
                        alert.withheld = f"receiver {route.receiver} has no notifier"
                        continue
                    labels = group_labels(route, alert.labels)
                    group_key = f"{route.receiver}:{_flat(labels)}"
                    if group_key not in audiences:
                        audiences[group_key] = _Audience(route, self._aimed_part(alert, receiver), labels)
                    audiences[group_key].firing[alert.fingerprint] = alert
        return audiences

    def _may_be_told(self, alert: Alert, alarmed: set[str], now: float) -> bool:
        if alert.told:
            return True
        ancestors = self.plan.ancestors.get(alert.check, ())
        judged = self._judged.get(alert.fingerprint, 0.0)
        held = withheld(alert, judged, ancestors, self._standings, alarmed, now) if ancestors else TELL
        if held.why != alert.withheld:
            alert.withheld = held.why
            self.changes.alerts[alert.fingerprint] = alert
        self.asks.update(held.ask)
        if held.until is not None:
            self._ask_again(held.until)
        return not held.why

    def _routes_of(self, alert: Alert) -> list[Route]:
        mark = alert.fingerprint
        if mark in self._aimed:
            return [Route(self._aimed[mark][0], group_by=None, repeat_interval=86400.0)]
        if mark not in self._routes:
            self._routes[mark] = match(self.plan.route, alert.labels) if self.plan.route else []
            if not self._routes[mark]:
                alert.withheld = "no route leads anywhere: nobody is configured to be told"
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
        ended = [self.alerts[mark] for mark in telling.told if mark not in firing and mark in self.alerts]
        if verdict.reason == "resolved":
            del self.tellings[telling.key]
            self.changes.tellings[telling.key] = None
            if not telling.send_resolved:
                return
        else:
            telling.told, telling.last_sent = sorted(firing), now
            self.tellings[telling.key] = telling
            self.changes.tellings[telling.key] = telling
        for alert in firing.values():
            if not alert.told:
                alert.told, alert.withheld = True, ""
                self.changes.alerts[alert.fingerprint] = alert
        self._post(telling, [*firing.values(), *ended], verdict.reason, now)

    def _post(self, telling: Telling, alerts: Iterable[Alert], reason: str, now: float) -> None:
        copies = [replace(alert, impact=self._impact(alert)) for alert in alerts]
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
        parcel = Parcel(uuid.uuid4().hex, telling.thread, telling.destination, note, now, next_at=now)
        self.changes.parcels[parcel.id] = parcel

    def _impact(self, alert: Alert) -> list[str]:
        if alert.phase is not Phase.FIRING:
            return []
        failing = {check for check, *_ in self._live}
        dependents = self.plan.dependents.get(alert.check, ())
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
            told = {alert.fingerprint for alert in parcel.note.firing if alert.fingerprint in self.alerts}
            telling.told, telling.last_sent = sorted(told | set(telling.told)), now
            if not telling.told:
                continue
            self.tellings[key] = self.changes.tellings[key] = telling
            self._post(telling, [self.alerts[mark] for mark in telling.told], parcel.note.reason, now)
        self._dirty = True

    def _ask_again(self, at: float) -> None:
        self.next_at = at if self.next_at is None else min(self.next_at, at)

    def _forget_ended(self) -> None:
        told = {mark for telling in self.tellings.values() for mark in telling.told}
        for mark, alert in list(self.alerts.items()):
            if alert.phase is Phase.INACTIVE and mark not in told:
                del self.alerts[mark]
                for memory in (self._routes, self._aimed, self._judged):
                    memory.pop(mark, None)
                self.changes.alerts[mark] = None

    def live(self) -> Iterator[Alert]:
        """The alerts that are pending or firing."""
        for slots in self._live.values():
            yield from slots.values()


def _eased(judgement: Judgement, easing: Judgement | None) -> Judgement:
    """While it fires, only `resolve_when` ends it."""
    if easing is None or easing.breached is None:
        return judgement._replace(breached=None)
    return judgement._replace(breached=not easing.breached)


def _braces(labels: Labels) -> str:
    return "{" + ", ".join(f"{name}={text}" for name, text in labels) + "}" if labels else ""


def _flat(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{name}={text!r}" for name, text in sorted(labels.items())) + "}"


def _digest(destination: Mapping[str, Any]) -> str:
    return hashlib.sha256(repr(sorted(destination.items())).encode("utf-8", "surrogatepass")).hexdigest()[:16]
