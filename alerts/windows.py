"""What one check remembers of its recent probes: only what its conditions ask for, within fixed bounds."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from alerts.when import Selector
from checks.base import DURATION, Labels, Outcome

if TYPE_CHECKING:
    from alerts.thresholds import Condition

MOST_SAMPLES = 2_048
"""Samples kept per series. A window that holds more is thinned evenly, so that averages and percentiles stay true;
`min` and `max` are kept apart and stay exact; counts of failures are merged, exact but for the window's edge."""

MOST_SERIES = 500
"""Label sets remembered per measurement; further ones have no windows."""

LEAST_FILLED = 1 / 3
"""How much of its window the values of a `rate` must span: else, after a start, a few seconds' slope would stand for
the whole and page falsely. Two values always span more than a third of a window of two to three intervals."""

DAY = 86_400.0
HOUR = 3_600.0
_SWEEP = 64

PERCENTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Ask:
    """One window that a condition reads: `name` is empty for count_failed."""

    function: str
    name: str
    seconds: float
    selectors: tuple[Selector, ...] = ()
    counter: bool = False

    @property
    def keep(self) -> str:
        """Which memory serves it."""
        match self.function:
            case "min" | "max" | "baseline":
                return self.function
            case _:
                return "samples"


class Samples:
    """The values of one series with their times, newest last, thinned evenly when they are too many."""

    __slots__ = ("_seen", "_stride", "longest", "times", "values")

    def __init__(self, longest: float) -> None:
        self.longest = longest
        self.times = array("d")
        self.values = array("d")
        self._seen = 0
        self._stride = 1

    def add(self, at: float, value: float) -> None:
        if self.times and self._seen % self._stride:
            self.times[-1], self.values[-1] = at, value
        else:
            self.times.append(at)
            self.values.append(value)
        self._seen += 1
        gone = bisect_right(self.times, at - self.longest)
        if gone:
            del self.times[:gone], self.values[:gone]
        if len(self.times) > MOST_SAMPLES:
            self.times, self.values = self.times[::2], self.values[::2]
            self._stride *= 2
            self._seen = 0

    def read(self, ask: Ask, now: float) -> float | None:
        first = bisect_right(self.times, now - ask.seconds)
        values = self.values[first:]
        if not values:
            return None
        if ask.function == "avg":
            return sum(values) / len(values)
        if ask.function in PERCENTILES:
            return percentile(sorted(values), PERCENTILES[ask.function])
        if len(values) < 2:
            return None
        grown = _growth(values) if ask.counter else values[-1] - values[0]
        if ask.function == "delta":
            return grown
        passed = self.times[-1] - self.times[first]
        return grown / passed if passed > 0 and passed >= ask.seconds * LEAST_FILLED else None


class Extremes:
    """The greatest of the recent values, for every window up to the longest; of the least with `sign` -1.

    Holds only values that no later one exceeds: the first within a window is that window's greatest.
    """

    __slots__ = ("longest", "sign", "times", "values")

    def __init__(self, longest: float, sign: int) -> None:
        self.longest = longest
        self.sign = sign
        self.times = array("d")
        self.values = array("d")

    def add(self, at: float, value: float) -> None:
        value *= self.sign
        while self.values and self.values[-1] <= value:
            self.values.pop()
            self.times.pop()
        self.times.append(at)
        self.values.append(value)
        gone = bisect_right(self.times, at - self.longest)
        if gone:
            del self.times[:gone], self.values[:gone]
        if len(self.times) > MOST_SAMPLES:
            self.times, self.values = self.times[::2], self.values[::2]

    def read(self, ask: Ask, now: float) -> float | None:
        first = bisect_right(self.times, now - ask.seconds)
        return self.values[first] * self.sign if first < len(self.values) else None


class Minutes:
    """The averages of the last day's whole minutes, for `baseline`; at most 1,440 of them."""

    __slots__ = ("_count", "_median", "_minute", "_sum", "longest", "times", "values")

    def __init__(self) -> None:
        self.longest = DAY
        self.times = array("d")
        self.values = array("d")
        self._minute = 0.0
        self._sum = 0.0
        self._count = 0
        self._median: float | None = None

    def add(self, at: float, value: float) -> None:
        minute = at // 60 * 60
        if self._count and minute > self._minute:
            self.times.append(self._minute)
            self.values.append(self._sum / self._count)
            gone = bisect_right(self.times, at - DAY)
            del self.times[:gone], self.values[:gone]
            self._sum, self._count, self._median = 0.0, 0, None
        self._minute = minute
        self._sum += value
        self._count += 1

    def read(self, ask: Ask, now: float) -> float | None:
        del ask
        if not self.times or now - self.times[0] < HOUR:
            return None
        if self._median is None:
            self._median = median(self.values)
        return self._median


class Failures:
    """When probes failed, as times with counts; neighbours are merged when they are too many."""

    __slots__ = ("counts", "last", "longest", "times")

    def __init__(self, longest: float) -> None:
        self.longest = longest
        self.last: float | None = None
        self.times = array("d")
        self.counts = array("L")

    def add(self, at: float, failed: bool) -> None:
        self.last = at
        if failed:
            self.times.append(at)
            self.counts.append(1)
        gone = bisect_right(self.times, at - self.longest)
        if gone:
            del self.times[:gone], self.counts[:gone]
        if len(self.times) > MOST_SAMPLES:
            half = len(self.times) // 2
            tail_times, tail_counts = self.times[2 * half :], self.counts[2 * half :]
            self.counts = array("L", (self.counts[2 * i] + self.counts[2 * i + 1] for i in range(half))) + tail_counts
            self.times = self.times[1 : 2 * half : 2] + tail_times

    def read(self, ask: Ask, now: float) -> float | None:
        if self.last is None or self.last <= now - ask.seconds:
            return None
        return float(sum(self.counts[bisect_right(self.times, now - ask.seconds) :]))


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


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which a share of the ordered values lies, interpolated between neighbours as Prometheus does."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    if ordered[below] == ordered[above]:
        return ordered[below]
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _growth(values: Sequence[float]) -> float:
    """How much a counter grew: the sum of its rises; a fall is a restart from zero."""
    return sum(after - before if after >= before else after for before, after in pairwise(values))
