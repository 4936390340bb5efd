"""Announced times in which nobody is told: once, by cron, or by a recurrence rule. Pure: time is an argument."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from itertools import islice
from typing import Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from dateutil.rrule import rrule, rrulestr

from alerts.matching import Matcher

LOOK_BACK = (7_200.0, 86_400.0, 32 * 86_400.0)
"""Seconds in which the last start is looked for, the short ones first: a rule of every minute is found in the first."""

LONGEST = 32 * 86_400.0
MOST_A_DAY = 24


class Starts(Protocol):
    """When something begins, again and again."""

    def after(self, at: float) -> Iterator[float]:
        """The starts later than `at`, in order; Unix seconds. Ends where there are no more in the years ahead."""


@dataclass(frozen=True, slots=True)
class Once:
    """A single start."""

    start: float

    def after(self, at: float) -> Iterator[float]:
        if self.start > at:
            yield self.start


@dataclass(frozen=True, slots=True)
class Cron:
    """Starts by a cron expression of five fields on the wall clock of a zone, as `cron` says."""

    expression: str
    zone: tzinfo

    def after(self, at: float) -> Iterator[float]:
        seen = at
        for start in CronSim(self.expression, datetime.fromtimestamp(at, self.zone)):
            moment = start.timestamp()
            # A wall clock that was set back shows a time that is over: it does not begin a second time.
            if moment > seen:
                seen = moment
                yield moment


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Starts by a recurrence rule of RFC 5545 on the wall clock of a zone; `first` is its DTSTART, without a zone.

    A start in the hour that the clock leaves out comes as much later as the clock was put forward; one in the hour
    that it repeats comes the first time only. Without `first` it begins with the year that is asked about.
    """

    rule: str
    zone: tzinfo
    first: datetime | None = None
    until: datetime | None = None
    count: int | None = None

    def after(self, at: float) -> Iterator[float]:
        year = datetime.fromtimestamp(at, self.zone).year
        for local in islice(_locals(self.rule, self.first or datetime(year, 1, 1)), self.count):
            if self.until is not None and local > self.until:
                return
            moment = _moment(local, self.zone)
            if moment > at:
                yield moment


@dataclass(frozen=True, slots=True)
class Maintenance:
    """A time in which alerts that match are judged and kept as ever, and told to nobody. `duration` in seconds."""

    name: str
    matchers: tuple[Matcher, ...]
    starts: Starts
    duration: float
    comment: str = ""
    zone: tzinfo = field(default_factory=lambda: ZoneInfo("UTC"))

    def active(self, at: float) -> float | None:
        """When it ends, if it goes on at `at`, else None. Where times overlap, the end of the one that began last."""
        began = self._began(at)
        return None if began is None else began + self.duration

    def next_change(self, at: float) -> float | None:
        """When it ends, if it goes on, else when it begins next; None where it never does again."""
        ends = self.active(at)
        return next(self.starts.after(at), None) if ends is None else ends

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether it is about an alert with these labels."""
        return all(matcher.matches(labels) for matcher in self.matchers)

    def _began(self, at: float) -> float | None:
        for span in (*(span for span in LOOK_BACK if span < self.duration), self.duration):
            latest = None
            for start in self.starts.after(at - span):
                if start > at:
                    break
                latest = start
            if latest is not None:
                return latest
        return None


def once(start: datetime, end: datetime, zone: tzinfo) -> tuple[Once, float]:
    """From start to end, and how long that is; times without a zone are by `zone`. ValueError with a sentence."""
    began, ended = _moment(start, zone), _moment(end, zone)
    if ended <= began:
        raise ValueError("the end is not after the start")
    return Once(began), ended - began


def cron(expression: str, zone: tzinfo) -> Cron:
    """A start for each time that five cron fields name; ValueError with a sentence.

    As in Debian's cron, a fixed time that the clock leaves out begins right after the gap, one that it repeats begins
    once; with `*` in minutes or hours it goes by the time that passes.
    """
    if len(expression.split()) != 5:
        raise ValueError(f'{expression!r} is not five fields; write "0 3 * * SUN": minute hour day month weekday')
    try:
        made = Cron(expression, zone)
        if next(made.after(0.0), None) is None:
            raise ValueError(f"{expression!r} never comes")
    except CronSimError as why:
        raise ValueError(f"{expression!r} is no cron expression: {str(why).lower()}") from None
    return made


_KNOWN = frozenset(
    {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYSETPOS", "BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO",
     "BYDAY", "BYHOUR", "BYMINUTE"}
)  # fmt: skip
_FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY")
_FIRST_YEARS = range(1970, 2100)
_LAST_YEARS = 9940


def recurrence(text: str, zone: tzinfo, first: datetime | None) -> Recurrence:
    """Starts by a rule such as FREQ=WEEKLY;BYDAY=SU;BYHOUR=3; ValueError with a sentence.

    `first` anchors what counts from somewhere (INTERVAL, COUNT) and gives the parts that the rule leaves open.
    """
    parts = _parts(text)
    unknown = [name for name in parts if name not in _KNOWN]
    if unknown:
        raise ValueError(f"{unknown[0]} is no part of a recurrence rule that can be used here")
    if parts.get("FREQ") not in _FREQUENCIES:
        raise ValueError(f"FREQ must be one of {', '.join(_FREQUENCIES)}; for more often there is cron")
    times = [set(parts[name].split(",")) for name in ("BYHOUR", "BYMINUTE") if name in parts]
    if len(times) == 2 and len(times[0]) * len(times[1]) > MOST_A_DAY:
        raise ValueError(f"more than {MOST_A_DAY} starts a day; for that there is cron")
    if first is None and (_number(parts, "INTERVAL", 1) != 1 or "COUNT" in parts):
        raise ValueError("INTERVAL and COUNT count from a start: say start, too")
    if first is None and parts["FREQ"] == "WEEKLY" and "BYDAY" not in parts:
        raise ValueError("BYDAY is missing: on which day of the week?")
    _number(parts, "INTERVAL", 1)
    count = _number(parts, "COUNT", None)
    until = _until(parts.pop("UNTIL", ""), zone)
    parts.pop("COUNT", None)
    if first is not None:
        first = (first.astimezone(zone) if first.tzinfo is not None else first).replace(tzinfo=None, microsecond=0)
        if first.year not in _FIRST_YEARS:
            raise ValueError(f"the start must lie between {_FIRST_YEARS[0]} and {_FIRST_YEARS[-1]}")
    rule = ";".join(f"{name}={value}" for name, value in parts.items())
    _try(text, rule, first or datetime(2024, 1, 1))
    return Recurrence(rule, zone, first, until, count)


def _try(text: str, rule: str, first: datetime) -> None:
    """Refuse a rule that is none, and one that never comes, for which the library would look until the year 9999.

    So it is tried where that is near: 28 years later, and 8,000, the same days are the same weekdays.
    """
    late = first.replace(year=_LAST_YEARS + (first.year - _LAST_YEARS) % 28)
    try:
        found = list(islice(_locals(rule, late), 200))
    except (ValueError, KeyError, TypeError, IndexError, OverflowError) as why:
        raise ValueError(f"{text!r} is no recurrence rule: {why or type(why).__name__}") from None
    if not found:
        raise ValueError(f"{text!r} does not come within thirty years")


def _locals(rule: str, first: datetime) -> Iterator[datetime]:
    made = rrulestr(rule, dtstart=first)
    assert isinstance(made, rrule)
    return iter(made)


def _parts(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for part in text.strip().upper().removeprefix("RRULE:").rstrip(";").split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value or name in parts or not re.fullmatch(r"[A-Z0-9,+\-]+", value):
            raise ValueError(f"{text!r} is no recurrence rule; write FREQ=WEEKLY;BYDAY=SU;BYHOUR=3")
        parts[name] = value
    return parts


def _number(parts: Mapping[str, str], name: str, otherwise: int | None) -> int | None:
    text = parts.get(name)
    if text is None:
        return otherwise
    if not text.isdecimal() or not 0 < int(text[:10]) <= 1_000:
        raise ValueError(f"{name} must be a number from 1 to 1000")
    return int(text)


def _until(text: str, zone: tzinfo) -> datetime | None:
    """UNTIL on the zone's wall clock; a day counts to its end."""
    if not text:
        return None
    plain = text.removesuffix("Z")
    for layout in ("%Y%m%dT%H%M%S", "%Y%m%d"):
        try:
            moment = datetime.strptime(plain, layout)
        except ValueError:
            continue
        if text.endswith("Z"):
            moment = datetime.fromtimestamp(_moment(moment, ZoneInfo("UTC")), zone).replace(tzinfo=None)
        elif layout == "%Y%m%d":
            moment += timedelta(days=1, seconds=-1)
        return moment
    raise ValueError(f"UNTIL={text} is no time; write UNTIL=20271231T235959")


def _moment(local: datetime, zone: tzinfo) -> float:
    """Unix seconds of a wall clock's time: the first of two; as much later as the clock was put forward, where none."""
    return (local if local.tzinfo is not None else local.replace(tzinfo=zone)).timestamp()
