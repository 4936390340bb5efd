"""Which backups a scheme of days, weeks and months wants, and which it would have removed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from pydantic import BaseModel, ConfigDict, Field, model_validator

DAYS_OF_MONTH = 31


class Keep(BaseModel):
    """How many backups are kept: that of each of so many days, weeks, months."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    daily: int = Field(default=0, ge=0, le=3660, description="Days, such as 7, or 30 where that is all.")
    weekly: int = Field(default=0, ge=0, le=520, description="Weeks, Monday to Sunday.")
    monthly: int = Field(default=0, ge=0, le=120, description="Months of the calendar.")

    @model_validator(mode="after")
    def _something(self) -> Keep:
        if not (self.daily or self.weekly or self.monthly):
            raise ValueError("at least one of daily, weekly and monthly is wanted")
        return self

    def missing(self, days: Iterable[date], today: date, first: date) -> dict[str, list[date]]:
        """The days, weeks (by their Monday) and months (by their first) that have no backup and should have one.

        Today, this week and this month need none yet, and one less than are kept is asked for, since the oldest goes
        before or after the newest comes. What was before the `first` backup ever is not missing.
        """
        there = set(days)
        monday = today - timedelta(days=today.weekday())
        wanted = {
            "daily": [today - timedelta(days=back) for back in range(1, self.daily)],
            "weekly": [monday - timedelta(weeks=back) for back in range(1, self.weekly)],
            "monthly": [_months_before(today, back) for back in range(1, self.monthly)],
        }
        spans = {"daily": _day, "weekly": _week, "monthly": _month}
        return {
            period: [begin for begin in begins if _end(period, begin) > first and not there & spans[period](begin)]
            for period, begins in wanted.items()
            if begins
        }

    def surplus(self, days: Iterable[date], today: date) -> int:
        """Days of which there are backups beyond what is kept, one of each sort allowed for what is being removed.

        Old ones go when a new one comes: until then it is the day of the newest, at night that before, which counts.
        """
        there = set(days)
        newest = min(today, max(there, default=today))
        ages = [(newest - day).days for day in there]
        weekly = self.weekly + 1 if self.weekly else 0
        monthly = self.monthly + 1 if self.monthly else 0
        past = {
            self.daily: weekly + monthly,
            max(self.daily, 7 * weekly): monthly,
            max(self.daily, 7 * weekly, DAYS_OF_MONTH * monthly): 0,
        }
        return max(0, *(sum(age > limit for age in ages) - allowed for limit, allowed in past.items()))


def _day(begin: date) -> set[date]:
    return {begin}


def _week(begin: date) -> set[date]:
    return {begin + timedelta(days=day) for day in range(7)}


def _month(begin: date) -> set[date]:
    return {begin + timedelta(days=day) for day in range((_end("monthly", begin) - begin).days)}


def _end(period: str, begin: date) -> date:
    if period == "monthly":
        return date(begin.year + begin.month // 12, begin.month % 12 + 1, 1)
    return begin + timedelta(days=7 if period == "weekly" else 1)


def _months_before(day: date, months: int) -> date:
    count = day.year * 12 + day.month - 1 - months
    return date(count // 12, count % 12 + 1, 1)
