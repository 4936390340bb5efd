"""What speaks against blaming a target: our own network, resolver or standstill. Pure: time is an argument."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from checks.base import Outcome, Reason, Result

NETWORK_REASONS = frozenset({Reason.DNS, Reason.CONNECT_TIMEOUT, Reason.READ_TIMEOUT, Reason.TLS_HANDSHAKE})
"""Failures that a network of ours that is down looks like. A refusal is an answer: somebody was reached."""

BEAT = 0.1
"""Seconds between two signs of life of the event loop."""

REMEMBERED = 64
SHORTEST = 0.05


class Finding(NamedTuple):
    """What one round of asking found: a sentence for what is wrong, empty where nothing is."""

    network: str = ""
    dns: str = ""

    @property
    def good(self) -> bool:
        return not (self.network or self.dns)


def finding(anchors: Mapping[str, str], names: Mapping[str, str]) -> Finding:
    """What the answers mean; each anchor and name comes with "" where it answered, else with the reason.

    The network is down when no anchor at all answers; the resolver is when no name resolves although the network
    works. Nothing configured, nothing said.
    """
    if anchors and all(anchors.values()):
        return Finding(network=f"no anchor answers: {_reasons(anchors)}")
    if names and all(names.values()):
        return Finding(dns=f"no name resolves: {_reasons(names)}")
    return Finding()


def _reasons(asked: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in asked.items())


def concerns(result: Result) -> bool:
    """Whether our own network could be the reason of a result."""
    if result.outcome is Outcome.ERROR:
        return result.reason in (Reason.INTERNAL, Reason.DNS)
    return result.outcome is Outcome.FAILED and result.reason in NETWORK_REASONS


def excuse(result: Result, found: Finding) -> str:
    """Why a result that `concerns` our network says nothing of its target; empty where it does."""
    if found.network:
        return "the monitor's own network is down"
    if found.dns and result.reason is Reason.DNS:
        return "the monitor's own resolver does not answer"
    return ""


class Standstills:
    """When the event loop stood still, from the beats that came late. Times in the loop's seconds."""

    def __init__(self, now: float) -> None:
        self._last = now
        self._known: deque[tuple[float, float]] = deque(maxlen=REMEMBERED)

    def beat(self, now: float) -> None:
        """A sign of life."""
        if now - self._last > BEAT + SHORTEST:
            self._known.append((self._last + BEAT, now))
        self._last = now

    def within(self, began: float, ended: float) -> float:
        """Seconds of that span in which the loop stood still; a standstill that no beat has noticed yet counts."""
        spans = [*self._known, (self._last + BEAT, ended)]
        return sum(max(0.0, min(ended, until) - max(began, since)) for since, until in spans)


def too_long(stood: float, timeout: float) -> bool:
    """Whether a standstill explains that an answer did not come within the timeout: a quarter of it, or a second."""
    return stood >= min(1.0, timeout / 4)
