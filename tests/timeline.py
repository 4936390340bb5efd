"""An engine on a virtual clock: say what each probe yields and when, read what is told, by whom and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from alerts import silences
from alerts.engine import Engine
from alerts.notifiers.webhook import Webhook
from alerts.outbox import Changes, Kept, Parcel
from alerts.plan import Plan
from alerts.receiving import receive
from alerts.routing import Receiver, Route, parse_matcher
from alerts.sent import SentAlert
from alerts.silences import Silence
from alerts.thresholds import parse
from alerts.vocabulary import Runbook, Severity, Threshold
from checks.base import Labels, Measurement, Outcome, Reason, Result

KNOWN = {
    one.name: one
    for one in (
        Measurement("duration_seconds", "seconds", ""),
        Measurement("used_ratio", "ratio", ""),
        Measurement("depth", "count", "", ("queue",)),
    )
}
START = 1_000_000.0


def threshold(check: str, when: str = "failed", alert: str = "", resolve_when: str = "", **fields: object) -> Threshold:
    """A threshold of a check, high unless said otherwise."""
    given: dict[str, object] = {
        "severity": Severity.HIGH,
        "severity_word": "P1",
        "runbook": Runbook("Fix it", "1. Do this."),
    } | fields
    return Threshold(
        alert=alert or "".join(part.title() for part in check.split("/")[-1].split("-")) + "Down",
        check=check,
        system=check.split("/")[0],
        when=parse(when, KNOWN),
        resolve_when=parse(resolve_when, KNOWN) if resolve_when else None,
        **given,  # type: ignore[arg-type]
    )


def receiver(name: str, *addresses: str, fallback: str = "") -> Receiver:
    """A receiver with one webhook for each address (its own name without any)."""
    hooks = [Webhook(url=f"http://127.0.0.1/{address}") for address in addresses or (name,)]  # type: ignore[arg-type]
    return Receiver(name, tuple(hooks), fallback)


def plan(
    *thresholds: Threshold,
    route: Route | None = None,
    receivers: Sequence[Receiver] = (),
    depends_on: Mapping[str, Sequence[str]] | None = None,
    patience: float = 3.0,
    **fields: Any,
) -> Plan:
    """A plan in which everything goes to `team`, unless said otherwise. `depends_on` holds all ancestors of a check."""
    grouped: dict[str, tuple[Threshold, ...]] = {}
    for one in thresholds:
        grouped[one.check] = (*grouped.get(one.check, ()), one)
    ancestors = {key: tuple(parents) for key, parents in (depends_on or {}).items()}
    dependents: dict[str, tuple[str, ...]] = {}
    for key, parents in ancestors.items():
        for parent in parents:
            dependents[parent] = (*dependents.get(parent, ()), key)
    every = {*grouped, *ancestors, *dependents}
    return Plan(
        thresholds=grouped,
        labels={key: {"system": key.split("/")[0], "check": key.split("/")[-1]} for key in every},
        patience=dict.fromkeys(every, patience),
        overdue=dict.fromkeys(every, 100.0),
        ancestors=ancestors,
        dependents=dependents,
        route=route or Route("team"),
        receivers={one.name: one for one in receivers or (receiver("team"),)},
        **fields,
    )


class Timeline:
    """Times are seconds after the start. `told` collects every parcel in order."""

    def __init__(self, plan: Plan) -> None:
        self.now = START
        self.engine = Engine(plan, Kept(), START)
        self.told: list[Parcel] = []
        self.kept = Changes()

    def at(self, seconds: float) -> Timeline:
        """Let time pass, with every decision that falls due on the way."""
        until = START + seconds
        assert until >= self.now, "time does not go back"
        self.decide()
        for _ in range(10_000):
            due = self.engine.next_at
            if due is None or due > until:
                break
            self.now = max(self.now, due)
            self.decide()
        self.now = until
        self.decide()
        return self

    def probe(
        self,
        check: str,
        outcome: Outcome = Outcome.OK,
        labels: Labels = (),
        decide: bool = True,
        **measured: float,
    ) -> None:
        """One probe that starts and ends now."""
        measurements = [(name, value, labels) for name, value in measured.items()]
        reason = None if outcome is Outcome.OK else Reason.CONNECT_REFUSED
        sentence = "" if outcome is Outcome.OK else f"cannot reach {check}: refused"
        result = Result(outcome, self.now, 0.001, reason, sentence, measurements)
        self.engine.judging.observe(check, result, self.now)
        if decide:
            self.decide()

    def fail(self, *checks: str) -> None:
        """These checks fail now."""
        for check in checks:
            self.probe(check, Outcome.FAILED)

    def ok(self, *checks: str, **measured: float) -> None:
        """These checks are ok now."""
        for check in checks:
            self.probe(check, **measured)

    def silence(self, *matchers: str, until: float, **fields: Any) -> Silence:
        """Ann silences what these match, until so many seconds after the start."""
        made = silences.new(
            [parse_matcher(text) for text in matchers], self.now, START + until, "ann", "deploy", self.now, **fields
        )
        self.engine.silence(made)
        self.decide()
        return made

    def ack(self, by: str = "ann", until: float = 0.0) -> None:
        """Somebody has all that fires."""
        firing = [alert.fingerprint for alert in self.engine.judging.live()]
        self.engine.acknowledge(firing, by, START + until if until else 0.0, self.now)
        self.decide()

    def send(self, ends: float | None = None, **labels: str) -> None:
        """Another monitor sends an alert, that ends so many seconds after the start."""
        receive(
            self.engine.judging, SentAlert(labels, {}, self.now, START + ends if ends is not None else 0.0), self.now
        )
        self.decide()

    def decide(self) -> None:
        changes = self.engine.decide(self.now)
        self.kept.merge(changes)
        self.told += [parcel for parcel in changes.parcels.values() if parcel is not None]

    def restart(self) -> None:
        """kill -9 and start again with what was kept."""
        kept = Kept(
            alerts=[alert for alert in self.kept.alerts.values() if alert is not None],
            tellings=[telling for telling in self.kept.tellings.values() if telling is not None],
            silences=[silence for silence in self.kept.silences.values() if silence is not None],
            escalations=[one for one in self.kept.escalations.values() if one is not None],
            proofs=[proof for proof in self.kept.proofs.values() if proof is not None],
        )
        plan = self.engine.plan
        self.engine = Engine(plan, kept, self.now)
        self.engine.replan(plan, self.now)

    def heard(self) -> list[str]:
        """What was said so far, as `seconds receiver reason: firing alerts`, and forget it."""
        lines = []
        for parcel in self.told:
            names = "+".join(f"{alert.name}" for alert in parcel.note.firing or parcel.note.resolved)
            lines.append(f"{parcel.created - START:g} {parcel.note.receiver} {parcel.note.reason}: {names}")
        self.told.clear()
        return lines
