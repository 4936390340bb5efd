"""Time intervals: what Alertmanager's words mean, in tables, and beside a slow clock that looks at every minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.intervals import Span, TimeInterval, TimeRange, muted, next_change
from alerts.routing import Route

BERLIN = ZoneInfo("Europe/Berlin")
TOKYO = ZoneInfo("Asia/Tokyo")
ALL_DAY = 24 * 60


def at(text: str, zone: ZoneInfo | None = None, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone or UTC, fold=fold).timestamp()


def minutes(text: str) -> Span:
    first, end = text.split("-")
    return int(first[:2]) * 60 + int(first[3:]), int(end[:2]) * 60 + int(end[3:])


@pytest.mark.parametrize(
    ("one", "when", "active"),
    [
        (TimeRange(), "2026-03-04T05:06", True),
        (TimeRange(times=()), "2026-03-04T05:06", False),
        (TimeRange(times=(minutes("09:00-17:00"),)), "2026-03-04T09:00", True),
        (TimeRange(times=(minutes("09:00-17:00"),)), "2026-03-04T16:59:59", True),
        (TimeRange(times=(minutes("09:00-17:00"),)), "2026-03-04T17:00", False),
        (TimeRange(times=(minutes("17:00-24:00"),)), "2026-03-04T23:59:59", True),
        (TimeRange(weekdays=((0, 0),)), "2026-03-01T00:00", True),
        (TimeRange(weekdays=((0, 0),)), "2026-03-02T00:00", False),
        (TimeRange(weekdays=((1, 5),)), "2026-02-27T12:00", True),
        (TimeRange(weekdays=((1, 5),)), "2026-02-28T12:00", False),
        (TimeRange(days_of_month=((1, 3),)), "2026-02-03T23:59", True),
        (TimeRange(days_of_month=((1, 3),)), "2026-02-04T00:00", False),
        (TimeRange(days_of_month=((-1, -1),)), "2026-02-28T12:00", True),
        (TimeRange(days_of_month=((-1, -1),)), "2028-02-28T12:00", False),
        (TimeRange(days_of_month=((-1, -1),)), "2028-02-29T12:00", True),
        (TimeRange(days_of_month=((-3, -1),)), "2026-04-28T00:00", True),
        (TimeRange(days_of_month=((-31, -1),)), "2026-02-01T00:00", True),
        (TimeRange(days_of_month=((15, -1),)), "2026-02-14T00:00", False),
        (TimeRange(days_of_month=((15, -1),)), "2026-02-28T00:00", True),
        (TimeRange(days_of_month=((29, 31),)), "2026-02-28T00:00", False),
        (TimeRange(days_of_month=((28, 31),)), "2026-02-28T00:00", True),
        (TimeRange(months=((5, 8),)), "2026-08-31T23:59", True),
        (TimeRange(months=((5, 8),)), "2026-09-01T00:00", False),
        (TimeRange(years=((2020, 2022), (2026, 2026))), "2026-12-31T23:59", True),
        (TimeRange(years=((2020, 2022), (2026, 2026))), "2027-01-01T00:00", False),
        (TimeRange(times=(minutes("09:00-17:00"),), zone=TOKYO), "2026-03-04T00:00", True),
        (TimeRange(weekdays=((1, 1),), zone=TOKYO), "2026-03-01T15:00", True),
        (TimeRange(weekdays=((1, 1),), months=((4, 4),)), "2026-03-02T12:00", False),
    ],
)
def test_a_time_is_of_a_range_or_not(one: TimeRange, when: str, active: bool) -> None:
    assert TimeInterval("i", (one,)).active(at(when)) is active


LEAP_MONDAY = TimeRange(months=((2, 2),), days_of_month=((29, 29),), weekdays=((1, 1),))
MORNING = TimeRange(times=(minutes("00:00-12:00"),))


@pytest.mark.parametrize(
    ("ranges", "now", "change"),
    [
        ((), "2026-03-04T05:00", None),
        ((TimeRange(),), "2026-03-04T05:00", None),
        ((TimeRange(years=((2020, 2020),)),), "2026-03-04T05:00", None),
        ((TimeRange(months=((2, 2),), days_of_month=((30, 31),)),), "2026-03-04T05:00", None),
        ((TimeRange(weekdays=((1, 5),)), TimeRange(weekdays=((6, 6), (0, 0)))), "2026-03-04T05:00", None),
        ((TimeRange(), TimeRange(times=(minutes("09:00-17:00"),), zone=TOKYO)), "2026-03-04T05:00", None),
        ((TimeRange(times=(minutes("09:00-17:00"),)),), "2026-03-04T05:00", "2026-03-04T09:00"),
        ((TimeRange(times=(minutes("09:00-17:00"),)),), "2026-03-04T09:00", "2026-03-04T17:00"),
        ((TimeRange(times=(minutes("17:00-24:00"), minutes("00:00-09:00"))),), "2026-03-04T20:00", "2026-03-05T09:00"),
        ((TimeRange(weekdays=((1, 5),)),), "2026-02-28T12:00", "2026-03-02T00:00"),
        ((TimeRange(years=((2050, 2050),)),), "2026-02-28T12:00", "2050-01-01T00:00"),
        ((LEAP_MONDAY,), "2026-02-28T12:00", "2044-02-29T00:00"),
        ((MORNING, TimeRange(times=(minutes("12:00-18:00"),))), "2026-03-04T05:00", "2026-03-04T18:00"),
        ((MORNING, TimeRange(times=(minutes("20:00-22:00"),), zone=TOKYO)), "2026-03-04T09:00", "2026-03-04T13:00"),
    ],
)  # fmt: skip
def test_the_next_change_is_exact(ranges: tuple[TimeRange, ...], now: str, change: str | None) -> None:
    assert TimeInterval("i", ranges).next_change(at(now)) == (at(change) if change else None)


def test_what_the_clock_leaves_out_does_not_come() -> None:
    interval = TimeInterval("i", (TimeRange(times=(minutes("02:15-02:45"),), zone=BERLIN),))
    # 2026-03-29: 02:00 becomes 03:00.
    assert interval.next_change(at("2026-03-28T12:00", BERLIN)) == at("2026-03-30T02:15", BERLIN)
    spanning = TimeInterval("i", (TimeRange(times=(minutes("01:00-02:30"),), zone=BERLIN),))
    assert spanning.next_change(at("2026-03-29T01:30", BERLIN)) == at("2026-03-29T03:00", BERLIN)


def test_what_comes_twice_counts_twice() -> None:
    interval = TimeInterval("i", (TimeRange(times=(minutes("02:15-02:45"),), zone=BERLIN),))
    # 2026-10-25: 03:00 becomes 02:00.
    changes = [at("2026-10-25T00:00", BERLIN)]
    for _ in range(4):
        changes.append(interval.next_change(changes[-1]) or 0.0)
    first, second = at("2026-10-25T02:15", BERLIN), at("2026-10-25T02:15", BERLIN, fold=1)
    assert changes[1:] == [first, first + 1800, second, second + 1800] and second == first + 3600


def test_a_change_of_the_clock_soon_hides_no_midnight_before_it() -> None:
    newfoundland = ZoneInfo("America/St_Johns")
    interval = TimeInterval("i", (TimeRange(weekdays=((0, 4),), zone=newfoundland),))
    assert interval.next_change(at("2018-11-02T10:00")) == at("2018-11-04T00:00", newfoundland)


def test_a_clock_put_back_over_midnight_keeps_the_order() -> None:
    newfoundland = ZoneInfo("America/St_Johns")
    # 2010-11-07: 00:01 becomes 23:01 of the day before.
    interval = TimeInterval("i", (TimeRange(weekdays=((0, 0),), zone=newfoundland),))
    changes = [at("2010-11-06T12:00")]
    for _ in range(3):
        changes.append(interval.next_change(changes[-1]) or 0.0)
    first = at("2010-11-07T00:00", newfoundland)
    assert changes[1:] == [first, first + 60, first + 3600]


def test_a_day_that_a_country_leaves_out_does_not_come() -> None:
    apia = ZoneInfo("Pacific/Apia")
    interval = TimeInterval("i", (TimeRange(days_of_month=((30, 30),), months=((12, 12),), zone=apia),))
    assert interval.next_change(at("2011-12-29T12:00", apia)) == at("2012-12-30T00:00", apia)


ZONES = [
    UTC,
    *map(ZoneInfo, ("Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Tokyo")),
]
STARTS = [
    at(text)
    for text in (
        "2010-11-06T12:00",
        "2026-03-27T20:00", "2026-10-23T23:30", "2018-11-02T10:00", "2018-02-16T00:00", "2026-04-03T12:00",
        "2028-02-27T22:00", "2026-12-30T03:00",
    )
]  # fmt: skip


def pairs(least: int, most: int) -> st.SearchStrategy[tuple[Span, ...] | None]:
    span = st.tuples(st.integers(least, most), st.integers(least, most)).map(lambda pair: (min(pair), max(pair)))
    return st.none() | st.lists(span, min_size=1, max_size=2).map(tuple)


quarters = pairs(0, 95).map(lambda spans: spans and tuple((15 * first, 15 * (end + 1)) for first, end in spans))
from_either_end = st.none() | st.lists(
    st.sampled_from([(1, 3), (28, 31), (-3, -1), (-1, -1), (20, -2), (-31, -20), (27, 27)]), min_size=1, max_size=2
).map(tuple)
ranges = st.builds(
    TimeRange,
    times=quarters,
    weekdays=pairs(0, 6),
    days_of_month=from_either_end,
    months=st.none() | st.just(((1, 4), (10, 12))),
    years=st.none() | st.just(((2010, 2026),)),
    zone=st.sampled_from(ZONES),
)


def slowly(one: TimeRange, when: float) -> bool:
    """Alertmanager's ContainsTime, word for word."""
    local = datetime.fromtimestamp(when, one.zone)
    minute = local.hour * 60 + local.minute
    last = ((local.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)).day
    if one.times is not None and not any(first <= minute < end for first, end in one.times):
        return False
    if one.days_of_month is not None:
        found = False
        for first, end in one.days_of_month:
            first = last + first + 1 if first < 0 else first
            end = last + end + 1 if end < 0 else end
            if first > last:
                continue
            first, end = (min(max(edge, -last), last) for edge in (first, end))
            found = found or first <= local.day <= end
        if not found:
            return False
    for spans, value in (
        (one.months, local.month), (one.weekdays, (local.weekday() + 1) % 7), (one.years, local.year),
    ):  # fmt: skip
        if spans is not None and not any(first <= value <= end for first, end in spans):
            return False
    return True


@settings(max_examples=200, deadline=None, database=None)
@given(st.lists(ranges, min_size=1, max_size=3), st.sampled_from(STARTS), st.integers(0, 2 * 86400))
def test_it_is_as_a_look_at_every_minute_finds_it(several: list[TimeRange], start: float, later: int) -> None:
    now = start + later
    interval = TimeInterval("i", tuple(several))
    active = any(slowly(one, now) for one in several)
    assert interval.active(now) is active
    minutes_after = [now - now % 60 + 60 * step for step in range(1, 2 * ALL_DAY)]
    slow = next((when for when in minutes_after if any(slowly(one, when) for one in several) is not active), None)
    change = interval.next_change(now)
    assert change == slow if slow is not None else change is None or change > minutes_after[-1]


def test_asking_again_within_a_stretch_gives_the_same_answer_and_after_it_another() -> None:
    interval = TimeInterval("i", (TimeRange(times=(minutes("09:00-17:00"),)),))
    nine, five = at("2026-03-04T09:00"), at("2026-03-04T17:00")
    assert [interval.active(when) for when in (nine, five - 1, five, nine, nine - 1)] == [
        True,
        True,
        False,
        True,
        False,
    ]
    assert interval.next_change(nine + 1) == interval.next_change(five - 1) == five


BUSINESS = TimeInterval("business", (TimeRange(times=(minutes("09:00-17:00"),), weekdays=((1, 5),), zone=BERLIN),))
NIGHT = TimeInterval("night", (TimeRange(times=(minutes("00:00-06:00"),)),))
INTERVALS = {
    "business": BUSINESS,
    "night": NIGHT,
    "never": TimeInterval("never"),
    "ever": TimeInterval("ever", (TimeRange(),)),
}


@pytest.mark.parametrize(
    ("route", "when", "why", "change"),
    [
        (Route("r"), "2026-03-04T12:00", "", None),
        (Route("r", mute_time_intervals=("night",)), "2026-03-04T12:00", "", "2026-03-05T00:00"),
        (Route("r", mute_time_intervals=("never", "night")), "2026-03-04T03:00",
         "the time interval night mutes this, until 2026-03-04 06:00 UTC", "2026-03-04T06:00"),
        (Route("r", mute_time_intervals=("ever",)), "2026-03-04T03:00",
         "the time interval ever mutes this, with no end in sight", None),
        (Route("r", active_time_intervals=("business",)), "2026-03-04T12:00", "", "2026-03-04T16:00"),
        (Route("r", active_time_intervals=("business",)), "2026-03-07T12:00",
         "this is told only in the time interval business, until 2026-03-09 09:00 Europe/Berlin", "2026-03-09T08:00"),
        (Route("r", active_time_intervals=("never",)), "2026-03-07T12:00",
         "this is told only in the time interval never, with no end in sight", None),
        (Route("r", active_time_intervals=("never", "business")), "2026-03-04T12:00", "", "2026-03-04T16:00"),
        (Route("r", active_time_intervals=("business", "never", "night")), "2026-03-07T12:00",
         "this is told only in the time interval business or never or night, until 2026-03-08 00:00 UTC",
         "2026-03-08T00:00"),
        (Route("r", active_time_intervals=("business",), mute_time_intervals=("night",)), "2026-03-09T05:00",
         "the time interval night mutes this, until 2026-03-09 06:00 UTC", "2026-03-09T06:00"),
        (Route("r", mute_time_intervals=("gone",), active_time_intervals=("gone",)), "2026-03-04T03:00", "", None),
    ],
)  # fmt: skip
def test_a_route_says_why_it_is_quiet_and_until_when(route: Route, when: str, why: str, change: str | None) -> None:
    assert muted(route, INTERVALS, at(when)) == why
    assert next_change(route, INTERVALS, at(when)) == (at(change) if change else None)
