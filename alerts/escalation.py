"""Decides which further receivers hear of a group that nobody has acknowledged. Pure: time is an argument."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EscalationStep:
    """`receiver` hears of what nobody has acknowledged `after` seconds (None: as soon as its system wants an answer)."""

    receiver: str
    after: float | None = None
