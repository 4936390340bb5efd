"""What one check remembers of its recent probes: only what its conditions ask for, within fixed bounds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from alerts.samples import DAY, Ask, Extremes, Failures, Minutes, Samples
from checks.base import DURATION, Labels, Outcome

if TYPE_CHECKING:
    from alerts.thresholds import Condition

MOST_SERIES = 500
"""Label sets remembered per measurement; further ones have no windows."""

_SWEEP = 64

Memory = Samples | Extremes | Minutes


class Windows:
    """The memory of one check. Observe a result first, then judge by it. A window reaches from now back to, and not
    including, the moment `seconds` ago. Probes that ended in `error` tell nothing and are not remembered."""

    __slots__ = ("_failures", "_keeps", "_last", "_observed", "_series")

    def __init__(self, asks: Iterable[Ask]) -> None:
        self._keeps: dict[str, dict[str, float]] = {}
        self._failures: Failures | None = None
        self._series: dict[tuple[str, str], dict[Labels, Memory]] = {}
        self._observed = 0
        self._last = float("-inf")
        for ask in asks:
            if ask.function == "count_failed":
                longest = max(ask.seconds, self._failures.longest if self._failures else 0.0)
                self._failures = Failures(longest)
                continue
            keeps = self._keeps.setdefault(ask.name, {})
            keeps[ask.keep] = max(ask.seconds, keeps.get(ask.keep, 0.0))
            self._series[ask.name, ask.keep] = {}

    @property
    def longest(self) -> float:
        """How far back the longest window reaches, in seconds."""
        found = [
            DAY if keep == "baseline" else seconds for keeps in self._keeps.values() for keep, seconds in keeps.items()
        ]
        return max(found + ([self._failures.longest] if self._failures else []), default=0.0)

    @classmethod
    def of(cls, conditions: Iterable[Condition]) -> Windows | None:
        """What the conditions of one check ask for together; None when they ask for nothing."""
        asks = [ask for condition in conditions for ask in condition.asks]
        return cls(asks) if asks else None

    def observe(
        self,
        at: float,
        outcome: Outcome,
        measurements: Sequence[tuple[str, float, Labels]],
        took: float | None = None,
    ) -> list[tuple[str, float, Labels]]:
        """Remember one probe: `at` in steady Unix seconds, `took` for duration_seconds where it was not recorded.

        Gives the measurements that a window asks for: with them, `at`, `outcome` and `took` it could be made anew.
        """
        if outcome is Outcome.ERROR:
            return []
        self._last = at = max(at, self._last)
        if self._failures is not None:
            self._failures.add(at, outcome is Outcome.FAILED)
        asked = [one for one in measurements if one[0] in self._keeps and one[1] == one[1]]
        timed = False
        for name, value, labels in asked:
            self._add(name, at, value, labels)
            timed = timed or name == DURATION.name
        if not timed and took is not None and outcome is Outcome.OK and DURATION.name in self._keeps:
            self._add(DURATION.name, at, took, ())
        self._observed += 1
        if not self._observed % _SWEEP:
            self._forget(at)
        return asked

    def read(self, ask: Ask, now: float) -> dict[Labels, float]:
        """The value of each label set that has one; an unlabelled measurement stands under ()."""
        if ask.function == "count_failed":
            count = self._failures.read(ask, now) if self._failures is not None else None
            return {} if count is None else {(): count}
        found = {}
        for labels, memory in self._series.get((ask.name, ask.keep), {}).items():
            value = memory.read(ask, now)
            if value is not None and value == value:
                found[labels] = value
        return found

    def _add(self, name: str, at: float, value: float, labels: Labels) -> None:
        for keep, longest in self._keeps[name].items():
            series = self._series[name, keep]
            memory = series.get(labels)
            if memory is None:
                if len(series) >= MOST_SERIES:
                    continue
                memory = series[labels] = _memory(keep, longest)
            memory.add(at, value)

    def _forget(self, at: float) -> None:
        """Drop the label sets that have not been seen for as long as their window reaches."""
        for series in self._series.values():
            for labels in [
                labels for labels, memory in series.items() if memory.times and memory.times[-1] <= at - memory.longest
            ]:
                del series[labels]


def _memory(keep: str, longest: float) -> Memory:
    match keep:
        case "baseline":
            return Minutes()
        case "min":
            return Extremes(longest, -1)
        case "max":
            return Extremes(longest, 1)
        case _:
            return Samples(longest)
