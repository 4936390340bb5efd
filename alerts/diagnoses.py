"""Keeps a new alert back for a moment while its check gathers what a person would look at next; no I/O."""

from __future__ import annotations

from collections.abc import Iterable

from alerts.vocabulary import Alert
from checks.base import Reason, Result

PATIENCE = 1.0
"""Seconds that a page waits for a diagnosis at most; what is found later is shown wherever the alert is looked at."""

OUT_OF_REACH = frozenset({Reason.DNS, Reason.CONNECT_REFUSED, Reason.CONNECT_TIMEOUT})
"""Failures after which there is nobody to be asked."""

Evidence = list[tuple[str, str]]


class Diagnoses:
    """Which alerts wait for a diagnosis, and what was found. `wanted` are checks to be asked; the caller empties it."""

    def __init__(self) -> None:
        self.wanted: list[str] = []
        self._waiting: dict[str, dict[str, float]] = {}
        self._found: dict[str, Evidence] = {}

    def begin(self, alert: Alert, result: Result, now: float) -> None:
        """An alert has begun to fire because of this result."""
        if result.reason in OUT_OF_REACH:
            return
        waiting = self._waiting.setdefault(alert.check, {})
        if not waiting:
            self.wanted.append(alert.check)
        waiting[alert.fingerprint] = now + PATIENCE

    def held_until(self, alert: Alert, now: float) -> float | None:
        """Until when nobody is told of this alert, as its evidence is not whole yet; None: it may be told."""
        until = self._waiting.get(alert.check, {}).get(alert.fingerprint)
        return until if until is not None and now < until and not alert.told else None

    def take(self, check: str, evidence: Evidence) -> set[str]:
        """A diagnosis has ended: the fingerprints of the alerts that waited for it."""
        waiting = self._waiting.pop(check, {})
        if evidence:
            self._found |= dict.fromkeys(waiting, evidence)
        return set(waiting)

    def of(self, fingerprint: str) -> Evidence:
        """What was found about this alert when it began to fire."""
        return self._found.get(fingerprint, [])

    def forget(self, fingerprint: str) -> None:
        """This alert is over."""
        self._found.pop(fingerprint, None)
        for waiting in self._waiting.values():
            waiting.pop(fingerprint, None)

    def keep_only(self, checks: Iterable[str]) -> None:
        """Nobody will answer for other checks than these any more."""
        for check in self._waiting.keys() - set(checks):
            del self._waiting[check]
