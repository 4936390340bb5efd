"""From results to alerts: judges each result by its check's thresholds and carries every alert through its life."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from alerts.answers import Answers, Measurements
from alerts.dependencies import TELL, Withheld, withheld
from alerts.diagnoses import Diagnoses, Evidence
from alerts.flapping import FlappingAlerts
from alerts.lifecycle import Event, Life, step
from alerts.plan import Plan
from alerts.self_checks import SYSTEM
from alerts.thresholds import GONE, Judgement, eased, judge
from alerts.vocabulary import Alert, Phase, Threshold, ThresholdKey, fingerprint
from checks.base import Labels, Outcome, Result
from checks.units import show

MOST_EVIDENCE_LINES = 24


@dataclass(frozen=True, slots=True)
class Transition:
    """An alert went from one phase to the next, and why."""

    alert: Alert
    event: Event
    why: str


class Judging:
    """Every alert that is pending or firing, or has ended without everybody knowing; no I/O.

    `changed` holds alerts to be kept, `transitions` what to log; `dirty` says that telling has to think again. The
    caller empties them.
    """

    def __init__(self, plan: Plan, alerts: Iterable[Alert], now: float) -> None:
        self.plan = plan
        self.alerts: dict[str, Alert] = {alert.fingerprint: alert for alert in alerts}
        self.changed: dict[str, Alert | None] = {}
        self.transitions: list[Transition] = []
        self.dirty = True
        self._live: dict[ThresholdKey, dict[Labels, Alert]] = {}
        self.answers = Answers()
        self._judged: dict[str, float] = {}
        self._symptoms: set[str] = set()
        self._injected: set[ThresholdKey] = set()
        self._flapping = FlappingAlerts()
        self.diagnoses = Diagnoses()
        for alert in self.alerts.values():
            if alert.phase is not Phase.INACTIVE:
                self._live.setdefault(alert.threshold_key, {})[alert.measured] = alert
            if alert.labels.get("system") == SYSTEM and "test" not in alert.labels:
                self._injected.add(alert.threshold_key)  # whoever complained will say when it is over
            if alert.source:
                # Its sender could not repeat it while we were away.
                alert.ends_at = max(alert.ends_at, now + plan.resolve_timeout)
        self._adopt(plan, now)

    def replan(self, plan: Plan, now: float) -> None:
        """Take over a new configuration; alerts whose threshold is gone end, and are told so."""
        self.plan = plan
        self._adopt(plan, now)
        configured = self._injected | {threshold.key for group in plan.thresholds.values() for threshold in group}
        for key in [key for key in self._live if key[0] and key not in configured]:
            for alert in self._live[key].values():
                alert.sentence = "no longer watched: its threshold was taken out of the configuration"
            self.end_all(self._live[key].values(), now, "its threshold is gone")

    def _adopt(self, plan: Plan, now: float) -> None:
        self.answers.adopt(plan, now)
        self.diagnoses.keep_only(plan.diagnosable)
        self.dirty = True

    def observe(self, check: str, result: Result, now: float) -> Measurements:
        """Judge one result by every threshold of its check. Gives the measurements that its windows remember."""
        self.dirty = self.answers.is_cause(check) or self.dirty
        remembered = self.answers.take(check, result, now)
        for threshold in self.plan.thresholds.get(check, ()):
            self._judge(threshold, result, now)
        return remembered

    def overdue(self, now: float) -> None:
        """Judge the checks that have not answered for long, where a threshold asks for `stale`."""
        for check, silent in self.answers.overdue(now):
            for threshold in self.plan.thresholds.get(check, ()):
                self._judge(threshold, silent, now, stale=True)

    def _judge(self, threshold: Threshold, result: Result, now: float, stale: bool = False) -> None:
        live, windows = self._live.get(threshold.key), self.answers.windows_of(threshold.check)
        judgements = judge(threshold.when, result, windows, now, stale)
        if live is None:
            for labels, judgement in judgements:
                if judgement.breached:
                    self._step(threshold, labels, judgement, None, result, now)
            return
        easings: dict[Labels, Judgement] = {}
        if threshold.resolve_when is not None:
            easings = dict(judge(threshold.resolve_when, result, windows, now, stale))
        seen = set()
        for labels, judgement in judgements:
            seen.add(labels)
            alert = live.get(labels)
            if alert is not None and alert.phase is Phase.FIRING and easings:
                judgement = eased(judgement, easings.get(labels))
            self._step(threshold, labels, judgement, alert, result, now)
        if result.outcome is Outcome.OK:
            for labels in [labels for labels in live if labels not in seen]:
                self._step(threshold, labels, GONE, live[labels], result, now)

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
        flaps = self._flapping.observe((threshold.key, labels), judgement.breached, threshold.flapping)
        keep_firing = threshold.keep_firing if flaps is None or not flaps.flapping else float("inf")
        taken = step(life, judgement.breached, result.at, now, hold=threshold.hold, keep_firing=keep_firing)
        if alert is None:
            if not taken.event:
                return
            alert = self._open(threshold, labels)
        self._judged[alert.fingerprint] = result.at
        # Its next answer may decide what a symptom is of; nothing else that keeps an alert quiet depends on answers.
        self.dirty = self.dirty or alert.fingerprint in self._symptoms
        if taken.event in ("resolved", "dropped"):
            how = GONE.value if judgement is GONE else result.sentence if result.outcome is Outcome.OK else ""
            if how:
                alert.annotations = {**alert.annotations, "ended": how}
            self.end(alert, now, taken.why)
            return
        alert.phase, alert.since, alert.clear_since = taken.life
        if judgement.breached and (taken.event or alert.phase is Phase.FIRING):
            alert.value, alert.limit, alert.expression = judgement[1:]
            # Where a comparison decides, the probe's sentence is about something else.
            about = not judgement.limit
            alert.reason, alert.sentence = (result.reason or "", result.sentence) if about else ("", "")
            alert.evidence = self._evidence(result, threshold.check, labels)
            alert.evidence += [one for one in self.diagnoses.of(alert.fingerprint) if one not in alert.evidence]
        if taken.event == "firing":
            alert.fired_at = now
            if threshold.check in self.plan.diagnosable:
                self.diagnoses.begin(alert, result, now)
        if taken.event:
            self.note(alert, taken.event, taken.why)
        if flaps is not None and flaps.flapping != bool(alert.flapping) and alert.phase is Phase.FIRING:
            alert.flapping = f"{flaps.share:.0%} of its last answers were changes" if flaps.flapping else ""
            self.note(alert, "flapping" if flaps.flapping else "steady", alert.flapping or "it has settled")

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
            annotations=self._meaning(threshold.check) | dict(threshold.annotations),
            runbook=threshold.runbook,
            target=named.get("instance", ""),
            measured=labels,
            respond_within=threshold.respond_within,
        )
        before = self.alerts.get(alert.fingerprint)
        if before is not None:
            # It ended, but somebody has not been told yet: the same alert goes on, under the same identity.
            alert.told = before.told
        self.begin(alert)
        return alert

    def begin(self, alert: Alert) -> None:
        """An alert is new, or there again."""
        self.alerts[alert.fingerprint] = alert
        self._live.setdefault(alert.threshold_key, {})[alert.measured] = alert

    def _meaning(self, check: str) -> dict[str, str]:
        meaning = self.plan.meanings.get(check, "")
        return {"description": meaning} if meaning else {}

    def end(self, alert: Alert, now: float, why: str) -> None:
        """An alert is over; it is forgotten when everybody knows."""
        self.diagnoses.forget(alert.fingerprint)
        was_pending = alert.phase is Phase.PENDING or not alert.fired_at
        alert.phase, alert.clear_since, alert.resolved_at, alert.withheld = Phase.INACTIVE, 0.0, now, ""
        alert.acked_by = alert.flapping = ""
        slots = self._live.get(alert.threshold_key, {})
        for labels in [labels for labels, other in slots.items() if other is alert]:
            del slots[labels]
        if not slots:
            self._live.pop(alert.threshold_key, None)
            self._injected.discard(alert.threshold_key)
        self.note(alert, "dropped" if was_pending else "resolved", why)

    def end_all(self, alerts: Iterable[Alert], now: float, why: str) -> None:
        """These are over."""
        for alert in list(alerts):
            self.end(alert, now, why)

    def note(self, alert: Alert, event: Event, why: str) -> None:
        """An alert has changed: it is to be kept, logged, and perhaps told."""
        self.dirty = True
        self.changed[alert.fingerprint] = alert
        self.transitions.append(Transition(alert.snapshot(), event, why))

    def _evidence(self, result: Result, check: str, about: Labels) -> list[tuple[str, str]]:
        """What was seen; of the measurements first those of the thing that the alert is about."""
        units, wanted = self.plan.units.get(check, {}), {*about}
        measurements = result.measurements
        if wanted:
            measurements = sorted(measurements, key=lambda one: not wanted.issubset(one[2]))
        read = [
            f"{name}{_braces(labels)} = {show(value, units.get(name, 'number'))}"
            for name, value, labels in measurements[:MOST_EVIDENCE_LINES]
        ]
        return [*result.evidence, *([("Measured", "\n".join(read))] if read else [])]

    def diagnosed(self, check: str, evidence: Evidence) -> None:
        """What a person would look at next was gathered for the alerts of this check that have begun to fire."""
        for mark in self.diagnoses.take(check, evidence):
            alert = self.alerts.get(mark)
            if alert is not None:
                # Not in place: messages that are under way hold the list as it was.
                alert.evidence = alert.evidence + [one for one in evidence if one not in alert.evidence]
                self.changed[mark] = alert
        self.dirty = True

    def inject(self, threshold: Threshold, result: Result, now: float) -> None:
        """Judge a result by a threshold that no configuration holds: a test alert, or our own trouble."""
        self._injected.add(threshold.key)
        self._judge(threshold, result, now)

    def is_raised(self, key: ThresholdKey) -> bool:
        """Whether an alert of this threshold is pending or firing."""
        return key in self._live

    def raised(self, key: ThresholdKey) -> list[Alert]:
        """The alerts of one threshold that are pending or firing."""
        return list(self._live.get(key, {}).values())

    def withheld(self, alert: Alert, alarmed: set[str], now: float) -> Withheld:
        """Whether an alert is a symptom of something it depends on, or is known from before a restart only."""
        held = self._withheld(alert, alarmed, now)
        (self._symptoms.add if held.why else self._symptoms.discard)(alert.fingerprint)
        return held

    def _withheld(self, alert: Alert, alarmed: set[str], now: float) -> Withheld:
        if alert.source:
            return TELL
        if alert.fingerprint not in self._judged:
            return Withheld("known from before a restart: asking again", (alert.check,))
        ancestors = self.plan.ancestors.get(alert.check, ())
        judged_at, reach = self._judged[alert.fingerprint], self.answers.looks_back(alert.threshold_key)
        return withheld(alert, judged_at, ancestors, self.answers.standings, alarmed, now, reach)

    def alarmed(self) -> set[str]:
        """The checks that have an alert of their own, pending or firing."""
        return {check for check, *_ in self._live if check}

    def live(self) -> Iterator[Alert]:
        """The alerts that are pending or firing."""
        for slots in self._live.values():
            yield from slots.values()

    def forget(self, mark: str) -> None:
        """An alert that ended, and everybody knows it."""
        del self.alerts[mark]
        self._judged.pop(mark, None)
        self._symptoms.discard(mark)
        self.changed[mark] = None


def _braces(labels: Labels) -> str:
    return "{" + ", ".join(f"{name}={text}" for name, text in labels) + "}" if labels else ""
