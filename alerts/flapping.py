"""Decides whether an alert comes and goes too often to be told each time. Pure.

Source: Icinga 2, "Flapping": the last 20 answers, the newer the heavier (0.8 to 1.18), and two thresholds.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

WINDOW = 20
_NEWEST = 1 << (WINDOW - 1)
_WEIGHTS = tuple(0.8 + 0.02 * index for index in range(WINDOW))


@dataclass(frozen=True, slots=True)
class FlappingLimit:
    """Shares of the last 20 answers that were changes: above `high` it begins to flap, below `low` it ceases."""

    high: float = 0.30
    low: float = 0.25


@dataclass(slots=True)
class Flaps:
    """What one alert's last answers were: a bit for each that was a change, the newest the highest."""

    breached: bool
    changes: int = 0
    flapping: bool = False

    def observe(self, breached: bool, limit: FlappingLimit) -> None:
        """Take one more answer."""
        self.changes = (self.changes >> 1) | (_NEWEST if breached != self.breached else 0)
        self.breached = breached
        share = self.share
        if self.flapping:
            self.flapping = share >= limit.low
        else:
            self.flapping = share > limit.high

    @property
    def share(self) -> float:
        """The weighted share of changes among the last 20 answers, 0 to 0.99."""
        return sum(weight for index, weight in enumerate(_WEIGHTS) if self.changes >> index & 1) / WINDOW


class FlappingAlerts:
    """The restlessness of every alert that was breached lately and is asked about, by whatever identifies it."""

    def __init__(self) -> None:
        self._flaps: dict[Hashable, Flaps] = {}

    def observe(self, key: Hashable, breached: bool | None, limit: FlappingLimit | None) -> Flaps | None:
        """Take one more answer; None where nobody asks, the answer could not tell, or it never was breached."""
        if limit is None or breached is None:
            return None
        flaps = self._flaps.get(key)
        if flaps is None:
            if not breached:
                return None
            flaps = self._flaps[key] = Flaps(breached=False)
        flaps.observe(breached, limit)
        if not flaps.changes and not breached:
            del self._flaps[key]
        return flaps
