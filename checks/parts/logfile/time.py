"""Reads when an event happened from what a log says of it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from checks.parts.logfile.fields import field_of
from checks.parts.regex import Re2, compiled

FIELDS = ("timestamp", "@timestamp", "time", "ts", "datetime", "date", "_SOURCE_REALTIME_TIMESTAMP")
"""Where loggers in JSON put it."""
SEARCHED = 256
"""Bytes of a record in which it is looked for."""
MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
EARLIEST, FUTURE = 946684800.0, 86400.0
"""What is before the year 2000, or more than a day ahead, is no event's time."""

_ISO = re.compile(
    r"(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\s?(Z|UTC|[+-]\d\d:?\d\d)?"
)  # fmt: skip
_SYSLOG = re.compile(rf"\b({MONTHS}) +(\d{{1,2}}) (\d\d):(\d\d):(\d\d)\b")
_COMMON = re.compile(rf"\b(\d{{1,2}})/({MONTHS})/(\d{{4}}):(\d\d):(\d\d):(\d\d) ([+-]\d{{4}})")
_EPOCH = re.compile(r"^\W{0,2}(\d{10}(?:\.\d{1,9})?|\d{13}|\d{16}|\d{19})\b")
_MONTHS = {month: number for number, month in enumerate(MONTHS.split("|"), 1)}


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone; write one such as UTC or Europe/Lisbon") from None
    return name


Zone = Annotated[str, AfterValidator(_zone)]
"""A time zone by its name."""


class Time(BaseModel):
    """Where a record says when it happened, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    match: Re2 | None = Field(
        default=None, description="What surrounds the time, the time in parentheses; without it, it is looked for."
    )
    field: str = Field(default="", description="In JSON, the field that holds it; else the usual ones are tried.")
    format: str = Field(
        default="auto",
        description="auto (ISO 8601, syslog, web server's, seconds or parts of them since 1970), or as in strptime.",
    )
    zone: Zone = Field(default="UTC", description="Time zone of times that name none, such as Europe/Lisbon.")

    @model_validator(mode="after")
    def _usable(self) -> Time:
        if self.match is not None and compiled(self.match).groups < 1:
            raise ValueError("match needs parentheses around the time")
        if self.format != "auto":
            if "%" not in self.format:
                raise ValueError(f"{self.format!r} is no format; write auto, or one such as %d.%m.%Y %H:%M:%S")
            try:
                datetime.now(UTC).strptime(datetime.now(UTC).strftime(self.format), self.format)
            except (ValueError, re.error):
                raise ValueError(f"{self.format!r} is no format that strptime knows") from None
        return self

    def reader(self, now: float) -> Callable[[bytes, Mapping[str, Any] | None], float | None]:
        """What gives the Unix seconds of a record with its fields; None where it says none. `now` guesses the year."""
        zone = ZoneInfo(self.zone)
        parse = _auto if self.format == "auto" else self._strptime

        def read(text: bytes, fields: Mapping[str, Any] | None) -> float | None:
            written = self._written(text, fields)
            at = parse(written, zone, now) if written else None
            return at if at is not None and EARLIEST <= at <= now + FUTURE else None

        return read

    def _written(self, text: bytes, fields: Mapping[str, Any] | None) -> str:
        if fields is not None:
            for path in (self.field,) if self.field else FIELDS:
                value = field_of(fields, path)
                if isinstance(value, str | int | float) and not isinstance(value, bool):
                    return repr(value) if isinstance(value, float) else str(value)[:SEARCHED]
            if self.field:
                return ""
        if self.match is None:
            return text[:SEARCHED].decode("utf-8", "replace")
        found = compiled(self.match).search(text[: 16 * SEARCHED])
        return (found.group(1) or b"").decode("utf-8", "replace")[:SEARCHED] if found else ""

    def _strptime(self, written: str, zone: tzinfo, now: float) -> float | None:
        try:
            at = datetime.strptime(written, self.format)
        except ValueError:
            return None
        if at.year == 1900:
            return _of_this_year((at.month, at.day, at.hour, at.minute, at.second), zone, now)
        return _seconds(at if at.tzinfo else at.replace(tzinfo=zone))


def _auto(written: str, zone: tzinfo, now: float) -> float | None:
    if found := _EPOCH.match(written):
        return _epoch(found[1])
    if found := _ISO.search(written):
        year, month, day, hour, minute, second = map(int, found.groups()[:6])
        return _moment(year, month, day, hour, minute, second, found[7] or "", _offset(found[8], zone))
    if found := _COMMON.search(written):
        day, hour, minute, second = int(found[1]), int(found[4]), int(found[5]), int(found[6])
        return _moment(int(found[3]), _MONTHS[found[2]], day, hour, minute, second, "", _offset(found[7], zone))
    if found := _SYSLOG.search(written):
        day, hour, minute, second = map(int, found.groups()[1:])
        return _of_this_year((_MONTHS[found[1]], day, hour, minute, second), zone, now)
    return None


def _epoch(digits: str) -> float:
    """Seconds since 1970 from seconds, milliseconds, microseconds or nanoseconds, which their length tells apart."""
    whole = len(digits.partition(".")[0])
    return float(digits) / float(10 ** max(0, whole - 10))


def _moment(
    year: int, month: int, day: int, hour: int, minute: int, second: int, fraction: str, zone: tzinfo
) -> float | None:
    try:
        at = datetime(year, month, day, hour, minute, min(second, 59), int(fraction[:6].ljust(6, "0")), tzinfo=zone)
    except ValueError:
        return None
    return _seconds(at)


def _offset(text: str | None, zone: tzinfo) -> tzinfo:
    if not text:
        return zone
    if text in ("Z", "UTC"):
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=min(minutes, 1439)) * (-1 if text[0] == "-" else 1))


def _of_this_year(parts: tuple[int, int, int, int, int], zone: tzinfo, now: float) -> float | None:
    """A time without a year: the last one that has been."""
    year = datetime.fromtimestamp(now, UTC).year
    known = [_moment(one, *parts, "", zone) for one in (year - 1, year, year + 1)]
    return max((at for at in known if at is not None and at <= now + FUTURE), default=None)


def _seconds(at: datetime) -> float | None:
    try:
        seconds = at.timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return seconds if math.isfinite(seconds) else None
