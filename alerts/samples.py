"""What is remembered of one series of measurements: no more than its conditions ask for, within fixed bounds."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from alerts.when import Selector

MOST_SAMPLES = 2_048
"""Samples kept per series. A window that holds more is thinned evenly, so that averages and percentiles stay true;
`min` and `max` are kept apart and stay exact; counts of failures are merged, exact but for the window's edge."""

LEAST_FILLED = 1 / 3
"""How much of its window the values of a `rate` must span: else, after a start, a few seconds' slope would stand for
the whole and page falsely. Two values always span more than a third of a window of two to three intervals."""

DAY = 86_400.0
HOUR = 3_600.0

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


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which a share of the ordered values lies, interpolated between neighbours as Prometheus does.

    Of values too few for one to lie above (fewer than twenty for p95) the neighbour below: one slow answer among three,
    as after a start, is no 95th percentile.
    """
    count = len(ordered)
    place = share * (count - 1)
    below = int(place)
    above = min(below + 1, count - 1)
    if ordered[below] == ordered[above] or count - share * count < 1:
        return ordered[below]
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _growth(values: Sequence[float]) -> float:
    """How much a counter grew: the sum of its rises; a fall is a restart from zero."""
    return sum(after - before if after >= before else after for before, after in pairwise(values))
