"""When a job is expected: every so often, or by cron in a time zone. Pure; times are Unix seconds."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from typing import NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from checks.units import show_duration

EARLY = 30.0
"""Seconds that a job may be early by cron and still be the one that was expected: its machine's clock is not ours."""


class Period(NamedTuple):
    """Every so many seconds, counted from the last time."""

    seconds: float

    def after(self, last: float) -> float:
        """When it is expected after it was there at `last`."""
        return last + self.seconds

    def __str__(self) -> str:
        return f"every {show_duration(self.seconds)}"


class Cron:
    """A cron expression of five fields, as Debian's cron reads it: what the change to summer time leaves out runs at
    its end, what winter time repeats runs the first time only. ValueError with a sentence for another."""

    def __init__(self, expression: str, timezone: str) -> None:
        if len(expression.split()) != 5:
            raise ValueError(f"{expression[:80]!r} is not a schedule of five fields; write 0 2 * * * for daily at two")
        try:
            self._zone = ZoneInfo(timezone)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"there is no time zone {timezone[:80]!r}; write one such as Europe/Berlin") from None
        self._expression = expression
        self._timezone = timezone
        try:
            self.after(0.0)
        except (CronSimError, StopIteration) as why:
            reason = str(why) or "it never comes"
            raise ValueError(f"{expression[:80]!r} is not a schedule: {reason}; write 0 2 * * * for two") from None

    def after(self, last: float) -> float:
        """When it is expected after it was there at `last`, which may be a little early."""
        last += EARLY
        for moment in CronSim(self._expression, datetime.fromtimestamp(last, self._zone)):
            # In the hour that is repeated, the first of its two comes out again.
            if moment.timestamp() > last:
                return moment.timestamp()
        raise StopIteration

    @cached_property
    def _words(self) -> str:
        words = CronSim(self._expression, datetime.fromtimestamp(0, UTC)).explain()
        return f"{words[:1].lower()}{words[1:]}, {self._timezone}"

    def __str__(self) -> str:
        return self._words


Schedule = Period | Cron
