"""Remembers which ways to reach people have been seen to work, and says which have not. Pure: time is an argument."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache

from alerts import own
from alerts.judging import Judging
from alerts.outbox import Proof
from alerts.plan import Plan
from alerts.routing import Receiver
from alerts.vocabulary import Alert, Severity, Threshold
from checks.units import show_duration

WORTH_KEEPING = 3600.0
"""Seconds by which a proof must be newer than the kept one to be kept: a storm is not a thousand proofs."""


class Proving:
    """One proof for each receiver and kind of notifier, by `receiver/kind`."""

    def __init__(self, kept: Iterable[Proof]) -> None:
        self.proofs: dict[str, Proof] = {proof.key: proof for proof in kept}
        self.refused: dict[str, str] = {}
        """What refused for good, and with which words, until it accepts or is configured anew."""

    def adopt(self, receivers: Mapping[str, Receiver], now: float) -> dict[str, Proof | None]:
        """Begin with what is new in a configuration, forget what is gone; what changed."""
        wanted = {key_of(name, notifier.kind) for name, one in receivers.items() for notifier in one.notifiers}
        changed: dict[str, Proof | None] = dict.fromkeys(self.proofs.keys() - wanted)
        changed |= {key: Proof(key, now) for key in wanted - self.proofs.keys()}
        for key, proof in changed.items():
            if proof is None:
                del self.proofs[key]
            else:
                self.proofs[key] = proof
        self.refused.clear()
        return changed

    def delivered(self, key: str, now: float) -> dict[str, Proof | None]:
        """Something was accepted; what is worth keeping of that."""
        self.refused.pop(key, None)
        proof = self.proofs.get(key)
        if proof is None:
            return {}
        self.proofs[key] = replace(proof, delivered_at=now)
        return {key: self.proofs[key]} if now - proof.delivered_at > WORTH_KEEPING else {}

    def refuse(self, key: str, why: str) -> None:
        """Something was refused for good."""
        if key in self.proofs:
            self.refused[key] = why

    def news(self, key: str, judging: Judging) -> bool:
        """Whether what is known of a way differs from what was said of it."""
        return (key in self.refused) != judging.is_raised(refuses(key).key) or (
            judging.is_raised(is_unproven(key).key) and bool(self.proofs.get(key))
        )

    def complaints(self, plan: Plan, now: float) -> Iterator[tuple[Threshold, str, str]]:
        """What is, or is no longer, the matter with each way: the alert, a sentence (empty: nothing), whom to tell."""
        for key in self.proofs:
            other = other_than(key.rpartition("/")[0], plan)
            yield refuses(key), self.refused.get(key, ""), other
            yield is_unproven(key), self.unproven(key, plan.prove_within, now), other

    def next_at(self, within: float | None, now: float) -> float | None:
        """When the next way will have gone unproven for too long."""
        times = [(one.delivered_at or one.known_since) + (within or 0.0) for one in self.proofs.values()]
        return min((at for at in times if at > now), default=None) if within is not None else None

    def about_nobody(self, alerts: Iterable[Alert], plan: Plan) -> list[Alert]:
        """Our own complaints about receivers, or ways to reach them, that are not configured any more."""
        ours = [one for one in alerts if one.labels.get("system") == own.SYSTEM and "receiver" in one.labels]
        return [
            one
            for one in ours
            if one.labels["receiver"] not in plan.receivers
            or (
                "integration" in one.labels
                and key_of(one.labels["receiver"], one.labels["integration"]) not in self.proofs
            )
        ]

    def unproven(self, key: str, within: float | None, now: float) -> str:
        """What to say of a way that nothing went through for `within` seconds (None: nobody asks); empty if well."""
        proof = self.proofs[key]
        since = proof.delivered_at or proof.known_since
        if within is None or now - since < within:
            return ""
        last = "ever" if not proof.delivered_at else f"for {show_duration(now - proof.delivered_at)}"
        return f"nothing was delivered to {key} {last}: nobody knows whether a page would arrive"


def other_than(name: str, plan: Plan) -> str:
    """Who can be told that a receiver can't: its fallback, else the top route's receiver, else anybody."""
    receiver = plan.receivers.get(name)
    top = plan.route.receiver if plan.route is not None else ""
    for other in (receiver.fallback if receiver else "", top, *plan.receivers):
        if other and other != name and other in plan.receivers and plan.receivers[other].notifiers:
            return other
    return ""


def key_of(receiver: str, kind: str) -> str:
    """What a proof is known by."""
    return f"{receiver}/{kind}"


@cache
def refuses(key: str) -> Threshold:
    """A receiver refuses for good: its token is revoked, its address is gone."""
    receiver, _, kind = key.rpartition("/")
    return own.threshold(
        "RunwatchReceiverRefuses",
        f"receiver-{receiver}-{kind}",
        Severity.HIGH,
        f"Nobody hears of anything by way of {key}. Mend its token or address in the configuration, reload, try it: "
        f"`runwatch test-alert --receiver {receiver} --channel {kind}`.",
        receiver=receiver,
        integration=kind,
    )


@cache
def is_unproven(key: str) -> Threshold:
    """Nothing has gone through a receiver for long."""
    receiver, _, kind = key.rpartition("/")
    return own.threshold(
        "RunwatchReceiverUnproven",
        f"proof-{receiver}-{kind}",
        Severity.LOW,
        f"Try it: `runwatch test-alert --receiver {receiver} --channel {kind}`, or let a scheduled drill do so.",
        receiver=receiver,
        integration=kind,
    )
