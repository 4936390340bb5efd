"""Decides when a route is quiet by the calendar: Alertmanager's time intervals. Pure: time is an argument."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import groupby
from typing import NamedTuple

from alerts.routing import Route

Span = tuple[int, int]
"""The first and the last of a range, both of it; of minutes of the day the end is not of it."""

MIDNIGHT = 24 * 60
DAY = timedelta(days=1)
HORIZON = 29 * 366
"""Days that are looked ahead: after 28 years a calendar repeats."""
WEEKS = 22
"""The same where each week is as the one before: of two in a row the clock may leave out what is wanted."""
MOST_STEPS = 100
YEAR = 366 * 86400.0


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Times that meet every condition; None for a condition that is not made.

    Minutes of the day (0 to 1440), weekdays (0 for Sunday), days of the month (negative from its end), months, years.
    """

    times: tuple[Span, ...] | None = None
    weekdays: tuple[Span, ...] | None = None
    days_of_month: tuple[Span, ...] | None = None
    months: tuple[Span, ...] | None = None
    years: tuple[Span, ...] | None = None
    zone: tzinfo = UTC

    def holds_on(self, day: date) -> bool:
        """Whether the day meets all conditions but that of the time."""
        return (
            _within(day.year, self.years)
            and _within(day.month, self.months)
            and _within(day.isoweekday() % 7, self.weekdays)
            and (self.days_of_month is None or self._of_month(day))
        )

    def _of_month(self, day: date) -> bool:
        last = monthrange(day.year, day.month)[1]
        for first, end in self.days_of_month or ():
            begins = last + first + 1 if first < 0 else first
            ends = last + end + 1 if end < 0 else end
            if begins <= last and max(begins, -last) <= day.day <= min(ends, last):
                return True
        return False

    @property
    def of_every_week(self) -> bool:
        """Whether each week is as the one before it."""
        return self.days_of_month is None and self.months is None and self.years is None

    @property
    def last_year(self) -> int | None:
        """The year after which it never holds again; None where it names none."""
        return None if self.years is None else max((end for _, end in self.years), default=0)


def _within(value: int, spans: tuple[Span, ...] | None) -> bool:
    return spans is None or any(first <= value <= end for first, end in spans)


class _Stretch(NamedTuple):
    """A time in which all is alike: from, until, whether it is of the interval, and when that changes."""

    begin: float
    end: float
    active: bool
    change: float | None


@dataclass(frozen=True, slots=True)
class TimeInterval:
    """A name for certain times: those that any of its ranges holds. Times are Unix seconds."""

    name: str
    ranges: tuple[TimeRange, ...] = ()
    _seen: list[_Stretch] = field(default_factory=list, init=False, repr=False, compare=False)
    """The last answer and how long it is good: it is asked for at every step."""

    def active(self, at: float) -> bool:
        """Whether the time is of the interval."""
        return self._stretch(at).active

    def next_change(self, at: float) -> float | None:
        """The first instant after `at` at which `active` answers otherwise; None where it never does within 28 years.

        Where time zones cover for one another again and again, an instant at which to ask again.
        """
        return self._stretch(at).change

    def _stretch(self, at: float) -> _Stretch:
        if not self._seen or not self._seen[0].begin <= at < self._seen[0].end:
            zones = list(self._zones())
            active = any(zone.active(at) for zone in zones)
            change = _first_change(zones, at, active)
            self._seen[:] = [_Stretch(at, at + YEAR if change is None else change, active, change)]
        return self._seen[0]

    def _zones(self) -> Iterator[_Zone]:
        ordered = sorted(self.ranges, key=lambda one: str(one.zone))
        for _, ranges in groupby(ordered, key=lambda one: str(one.zone)):
            yield _Zone(tuple(ranges))


def _first_change(zones: Sequence[_Zone], at: float, active: bool) -> float | None:
    """The first change of all the zones' together."""
    changes = {zone: zone.next_change(at) for zone in zones}
    then = at
    for _ in range(MOST_STEPS):
        coming = [change for change in changes.values() if change is not None]
        if not coming or any(change is None and zone.active(then) for zone, change in changes.items()):
            return None
        then = min(coming)
        if any(zone.active(then) for zone in zones) != active:
            break
        changes |= {zone: zone.next_change(then) for zone, change in changes.items() if change == then}
    return then


class _Zone:
    """The ranges of one time zone."""

    def __init__(self, ranges: Sequence[TimeRange]) -> None:
        self.ranges = ranges
        self.zone = ranges[0].zone

    def active(self, at: float) -> bool:
        local = datetime.fromtimestamp(at, self.zone)
        minute = local.hour * 60 + local.minute
        return any(first <= minute < end for first, end in self._covered(local.date()))

    def next_change(self, at: float) -> float | None:
        """Days on which all is as now are passed over; of others every instant is tried at which it could change."""
        active = self.active(at)
        alike = ((0, MIDNIGHT),) if active else ()
        day = datetime.fromtimestamp(at, self.zone).date()
        around = [self._covered(day - DAY), self._covered(day), self._covered(day + DAY)]
        for _ in range(self._days_ahead(day)):
            if any(covered != alike for covered in around):
                # A clock put back over midnight mixes the instants of two days: what follows this one comes next time.
                end = self._midnight(day + DAY)
                for instant in sorted(self._instants(day, around)):
                    if at < instant <= end and self.active(instant) != active:
                        return instant
            day += DAY
            around = [around[1], around[2], self._covered(day + DAY)]
        return None

    def _days_ahead(self, day: date) -> int:
        """After how many days there is nothing that was not there before."""
        if all(one.of_every_week for one in self.ranges):
            return WEEKS
        years = [one.last_year for one in self.ranges]
        ahead = HORIZON
        if None not in years:
            ahead = (max(year for year in years if year is not None) + 1 - day.year) * 366 + 2
        return max(2, min(ahead, HORIZON, (date.max - day).days - 2))

    def _covered(self, day: date) -> tuple[Span, ...]:
        """The minutes of a day that are of any range, in order, none touching another."""
        spans: list[Span] = []
        for one in self.ranges:
            if one.holds_on(day):
                spans += ((0, MIDNIGHT),) if one.times is None else one.times
        merged: list[Span] = []
        for first, end in sorted(spans):
            if merged and first <= merged[-1][1]:
                merged[-1] = merged[-1][0], max(end, merged[-1][1])
            else:
                merged.append((first, end))
        return tuple(merged)

    def _instants(self, middle: date, around: Iterable[tuple[Span, ...]]) -> set[float]:
        """When a span of these three days begins or ends, a day does, or the clock is changed."""
        found: set[float] = set()
        for shift, covered in enumerate(around, -1):
            day = middle + shift * DAY
            start = datetime(day.year, day.month, day.day, tzinfo=self.zone)
            found |= self._clock_changes(start.timestamp(), self._midnight(day + DAY))
            for minute in {0, *(edge for span in covered for edge in span)}:
                wall = start + timedelta(minutes=minute)
                found |= {wall.replace(fold=0).timestamp(), wall.replace(fold=1).timestamp()}
        return found

    def _midnight(self, day: date) -> float:
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).timestamp()

    def _clock_changes(self, begin: float, end: float) -> set[float]:
        """The first instant of the clock's new time, if it is changed once between the two."""
        low, high = int(begin) - 7200, int(end) + 7200
        before, after = self._offset(low), self._offset(high)
        if before == after:
            return set()
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._offset(middle) == before else (low, middle)
        return {float(high)}

    def _offset(self, at: float) -> timedelta | None:
        return datetime.fromtimestamp(at, self.zone).utcoffset()


def muted(route: Route, intervals: Mapping[str, TimeInterval], at: float) -> str:
    """Why a route is quiet at a time, as a sentence that names the interval and its end; empty when it is not."""
    for name in route.mute_time_intervals:
        if name in intervals and intervals[name].active(at):
            return f"the time interval {name} mutes this{_until(intervals[name], at)}"
    names = [name for name in route.active_time_intervals if name in intervals]
    if names and not any(intervals[name].active(at) for name in names):
        soonest = min(names, key=lambda name: intervals[name].next_change(at) or float("inf"))
        return f"this is told only in the time interval {' or '.join(names)}{_until(intervals[soonest], at)}"
    return ""


def next_change(route: Route, intervals: Mapping[str, TimeInterval], at: float) -> float | None:
    """The first instant after `at` at which `muted` may answer otherwise; None where it never does."""
    names = {*route.mute_time_intervals, *route.active_time_intervals} & intervals.keys()
    return min((change for name in names if (change := intervals[name].next_change(at)) is not None), default=None)


def _until(interval: TimeInterval, at: float) -> str:
    change = interval.next_change(at)
    if change is None:
        return ", with no end in sight"
    zone = interval.ranges[0].zone
    return f", until {datetime.fromtimestamp(change, zone):%Y-%m-%d %H:%M} {zone}"
