"""Makes time intervals of `time_intervals`, in Alertmanager's words."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from alerts.intervals import Span, TimeInterval, TimeRange
from alerts.nearest import meant
from monitor.config.matchers import Word
from monitor.config.notes import Notes, Spot

WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00", re.ASCII)


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TimesEntry(_Entry):
    """A part of a day; the end is not of it."""

    start_time: str = Field(description="Such as 09:00.")
    end_time: str = Field(description="Such as 17:30, or 24:00.")


class RangeEntry(_Entry):
    """Times that meet all that is said; each list holds alternatives."""

    times: list[TimesEntry] | None = Field(default=None, description="Parts of the day.")
    weekdays: list[Word] | None = Field(default=None, description="Such as monday:friday, sunday.")
    days_of_month: list[Word] | None = Field(default=None, description="Such as 1:7; -1 is the last one.")
    months: list[Word] | None = Field(default=None, description="Such as 1:3, december.")
    years: list[Word] | None = Field(default=None, description="Such as 2026:2028.")
    location: str | None = Field(default=None, description="Time zone, such as Europe/Berlin; UTC without it.")


class IntervalEntry(_Entry):
    """A name for certain times."""

    name: str = Field(min_length=1, description="By which routes call it.")
    time_intervals: list[RangeEntry] = Field(default=[], description="The times: any of these.")


class Intervals:
    """Makes the intervals of all files."""

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.made: dict[str, TimeInterval] = {}

    def add(self, spot: Spot, value: Any) -> None:
        """One item of `time_intervals`, or of the old `mute_time_intervals`."""
        section = self.notes.section(spot, value, "a time interval is wanted: name: …, time_intervals: …")
        entry = self.notes.model(IntervalEntry, spot, section) if section is not None else None
        if entry is None:
            if section is not None and isinstance(section.get("name"), str):
                self.made.setdefault(section["name"], TimeInterval(section["name"]))
            return
        if entry.name in self.made:
            self.notes.wrong(spot.at("name"), f"there is a time interval {entry.name!r} already")
        ranges = [self._range(spot.at("time_intervals", index), one) for index, one in enumerate(entry.time_intervals)]
        self.made[entry.name] = TimeInterval(entry.name, tuple(ranges))

    def _range(self, spot: Spot, entry: RangeEntry) -> TimeRange:
        return TimeRange(
            times=self._spans(spot.at("times"), entry.times, _times),
            weekdays=self._spans(spot.at("weekdays"), entry.weekdays, _weekdays),
            days_of_month=self._spans(spot.at("days_of_month"), entry.days_of_month, _days_of_month),
            months=self._spans(spot.at("months"), entry.months, _months),
            years=self._spans(spot.at("years"), entry.years, _years),
            zone=self._zone(spot.at("location"), entry.location),
        )

    def _spans(self, spot: Spot, values: list[Any] | None, read: Callable[[Any], Span]) -> tuple[Span, ...] | None:
        if values is None:
            return None
        if not values:
            self.notes.warn(spot, "an empty list is met by no time at all; leave it out to mean any")
        found = []
        for index, value in enumerate(values):
            try:
                found.append(read(value))
            except ValueError as why:
                self.notes.wrong(spot.at(index), str(why))
        return tuple(found)

    def _zone(self, spot: Spot, name: str | None) -> tzinfo:
        if not name or name == "UTC":
            return UTC
        try:
            return ZoneInfo(name)
        except (LookupError, OSError, ValueError):
            self.notes.wrong(spot, f"there is no time zone {name!r}; write it as Europe/Berlin")
            return UTC


def _times(entry: TimesEntry) -> Span:
    first, end = _minute(entry.start_time), _minute(entry.end_time)
    if first >= end:
        raise ValueError(
            f"{entry.end_time} is not after {entry.start_time}; over midnight write two: until 24:00, and from 00:00"
        )
    return first, end


def _minute(text: str) -> int:
    if _CLOCK.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a time of the day; write 09:00, up to 24:00")
    return int(text[:2]) * 60 + int(text[3:])


def _weekdays(text: str) -> Span:
    return _span(text, lambda word: _named(word, WEEKDAYS, "day of the week"))


def _months(text: str) -> Span:
    def read(word: str) -> int:
        if word.lstrip("+-").isdecimal():
            return _number(word, 1, 12, "month")
        return _named(word, MONTHS, "month") + 1

    return _span(text, read)


def _years(text: str) -> Span:
    return _span(text, lambda word: _number(word, 1, 9999, "year"))


def _days_of_month(text: str) -> Span:
    first, end = _pair(text, lambda word: _number(word, -31, 31, "day of the month"))
    if first == 0 or end == 0:
        raise ValueError("days of the month count from 1, or from -1 for the last")
    if first < 0 < end:
        raise ValueError(f"{text!r} begins at the month's end; then its end must be counted from there too, as -1")
    # In the shortest month the two must still be in order.
    if (first + 28 if first < 0 else first) > (end + 28 if end < 0 else end):
        raise ValueError(f"{text!r} ends before it begins")
    return first, end


def _span(text: str, read: Callable[[str], int]) -> Span:
    first, end = _pair(text, read)
    if first > end:
        raise ValueError(f"{text!r} ends before it begins; write two ranges")
    return first, end


def _pair(text: str, read: Callable[[str], int]) -> Span:
    words = text.lower().split(":")
    if len(words) > 2:
        raise ValueError(f"{text!r} is not a range; write one value, or two with a colon between")
    return read(words[0]), read(words[-1])


def _number(word: str, least: int, most: int, what: str) -> int:
    if re.fullmatch(r"[+-]?[0-9]{1,9}", word) is None or not least <= int(word) <= most:
        raise ValueError(f"{word!r} is not a {what}")
    return int(word)


def _named(word: str, names: tuple[str, ...], what: str) -> int:
    if word not in names:
        raise ValueError(f"{word!r} is not a {what}{meant(word, names)}")
    return names.index(word)
