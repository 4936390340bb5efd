"""What one round of deciding comes to: changes to be kept, reasons to be remembered, and when to decide again."""

from __future__ import annotations

from typing import NamedTuple

from alerts.outbox import Changes
from alerts.vocabulary import Alert


class Decision(NamedTuple):
    """At `at` (steady Unix seconds) an alert went one `step` further, or was kept from it, and why.

    `alert` is its name and its check, so that it is found when it is long over.
    """

    fingerprint: str
    alert: str
    at: float
    step: str
    why: str


class Findings:
    """Collected while deciding; emptied by those whom each part concerns."""

    def __init__(self) -> None:
        self.changes = Changes()
        self.decisions: list[Decision] = []
        self.next_at: float | None = None

    def note(self, alert: Alert, now: float, step: str, why: str) -> None:
        """Remember why something went as it did."""
        self.decisions.append(Decision(alert.fingerprint, f"{alert.name} · {alert.check}", now, step, why))

    def ask_again(self, at: float | None) -> None:
        """Something is due then (None: nothing is)."""
        if at is not None:
            self.next_at = at if self.next_at is None else min(self.next_at, at)

    def take(self) -> Changes:
        """The changes so far; the next ones are collected anew."""
        changes, self.changes = self.changes, Changes()
        return changes
