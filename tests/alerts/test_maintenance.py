"""Announced times: against wall clocks that change, against a slow reference, and against hostile rules."""

from datetime import datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.maintenance import Maintenance, Once, Starts, cron, once, recurrence
from alerts.routing import parse_matcher

BERLIN, UTC = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
HOUR = 3600.0


def at(text: str, zone: ZoneInfo = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def shown(moment: float | None, zone: ZoneInfo = BERLIN) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, zone).isoformat()


def window(starts: Starts, duration: float = HOUR) -> Maintenance:
    return Maintenance("m", (parse_matcher('system="shop"'),), starts, duration)


@pytest.mark.parametrize(
    ("starts", "spring"),
    [
        (cron("30 2 * * *", BERLIN), "2026-03-29T03:00:00+02:00"),
        (recurrence("FREQ=DAILY;BYHOUR=2;BYMINUTE=30", BERLIN, None), "2026-03-29T03:30:00+02:00"),
    ],
)
def test_a_nightly_half_past_two_comes_once_in_each_night(starts, spring):
    found = [shown(moment) for moment in islice(starts.after(at("2026-03-28T12:00:00")), 2)]
    assert found == [spring, "2026-03-30T02:30:00+02:00"]
    found = [shown(moment) for moment in islice(starts.after(at("2026-10-24T12:00:00")), 2)]
    assert found == ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]


def test_in_the_repeated_hour_the_time_that_passes_counts():
    night = window(cron("30 2 * * *", BERLIN))
    began = at("2026-10-25T02:30:00")
    assert night.active(began + 1_800) == began + HOUR, "02:00 for the second time is within the hour"
    assert night.active(began + HOUR) is None, "02:30 for the second time begins nothing"
    assert shown(night.next_change(began + HOUR)) == "2026-10-26T02:30:00+01:00"


def test_every_half_hour_stays_every_half_hour_when_the_clock_is_set_back():
    starts = list(islice(cron("*/30 * * * *", BERLIN).after(at("2026-10-25T00:45:00")), 8))
    assert {later - earlier for earlier, later in pairwise(starts)} == {1_800.0}


@pytest.mark.parametrize(
    ("moment", "ends", "changes"),
    [
        ("2026-11-28T12:00:00", None, "2026-11-29T03:00:00+01:00"),
        ("2026-11-29T02:59:59", None, "2026-11-29T03:00:00+01:00"),
        ("2026-11-29T03:00:00", "2026-11-29T05:00:00+01:00", "2026-11-29T05:00:00+01:00"),
        ("2026-11-29T04:59:59", "2026-11-29T05:00:00+01:00", "2026-11-29T05:00:00+01:00"),
        ("2026-11-29T05:00:00", None, "2026-12-06T03:00:00+01:00"),
    ],
)
@pytest.mark.parametrize(
    "starts", [cron("0 3 * * SUN", BERLIN), recurrence("RRULE:FREQ=WEEKLY;BYDAY=SU;BYHOUR=3", BERLIN, None)]
)
def test_sundays_from_three_to_five(starts, moment, ends, changes):
    sundays = window(starts, 2 * HOUR)
    assert shown(sundays.active(at(moment))) == ends
    assert shown(sundays.next_change(at(moment))) == changes


def test_once_and_never_again():
    starts, lasts = once(datetime(2026, 12, 1, 22), datetime.fromisoformat("2026-12-02T03:00:00+00:00"), BERLIN)
    move = window(starts, lasts)
    assert (lasts, move.active(at("2026-12-01T21:59:59"))) == (6 * HOUR, None)
    assert shown(move.active(at("2026-12-01T22:00:00"))) == "2026-12-02T04:00:00+01:00"
    assert shown(move.next_change(at("2026-11-01T00:00:00"))) == "2026-12-01T22:00:00+01:00"
    assert move.active(at("2026-12-02T04:00:00")) is move.next_change(at("2026-12-02T04:00:00")) is None
    with pytest.raises(ValueError, match="not after"):
        once(datetime(2026, 12, 1, 22), datetime(2026, 12, 1, 22), BERLIN)


def test_where_times_overlap_the_later_end_holds():
    hourly = window(cron("0 * * * *", UTC), 90 * 60.0)
    assert shown(hourly.active(at("2026-11-29T03:10:00", UTC)), UTC) == "2026-11-29T04:30:00+00:00"
    assert shown(hourly.active(at("2026-11-29T04:00:00", UTC)), UTC) == "2026-11-29T05:30:00+00:00"


def test_count_until_and_interval_go_by_the_start():
    first = datetime(2026, 11, 3, 22)
    fortnightly = recurrence("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU;COUNT=2", BERLIN, first)
    assert [shown(moment) for moment in fortnightly.after(0)] == [
        "2026-11-03T22:00:00+01:00",
        "2026-11-17T22:00:00+01:00",
    ]
    for until in ("20261105T210000Z", "20261105T220000", "20261105"):
        daily = recurrence(f"FREQ=DAILY;UNTIL={until}", BERLIN, first)
        assert [shown(moment) for moment in daily.after(0)][-1] == "2026-11-05T22:00:00+01:00"


def test_matchers_must_all_match():
    both = Maintenance("m", (parse_matcher('a="1"'), parse_matcher('b=~"x|y"')), Once(0.0), HOUR)
    assert both.matches({"a": "1", "b": "y"})
    assert not both.matches({"a": "1"})


@pytest.mark.parametrize(
    ("text", "first", "sentence"),
    [
        ("", None, "is no recurrence rule; write"),
        ("FREQ=DAILY\nDTSTART:20260101", None, "is no recurrence rule; write"),
        ("FREQ=SECONDLY", None, "FREQ must be one of"),
        ("FREQ=DAILY;BYSECOND=1", None, "BYSECOND is no part"),
        ("FREQ=WEEKLY", None, "BYDAY is missing"),
        ("FREQ=WEEKLY;BYDAY=XX", None, "is no recurrence rule"),
        ("FREQ=MONTHLY;BYDAY=9MO", None, "is no recurrence rule"),
        ("FREQ=DAILY;BYHOUR=24", None, "is no recurrence rule"),
        ("FREQ=DAILY;BYHOUR=1,2,3,4,5;BYMINUTE=0,10,20,30,40", None, "more than 24 starts a day"),
        ("FREQ=DAILY;INTERVAL=0", datetime(2026, 1, 1), "INTERVAL must be a number"),
        ("FREQ=DAILY;INTERVAL=2", None, "count from a start"),
        ("FREQ=DAILY;COUNT=99999999999999999999", datetime(2026, 1, 1), "COUNT must be a number"),
        ("FREQ=DAILY;COUNT=3", None, "count from a start"),
        ("FREQ=DAILY;UNTIL=soon", None, "UNTIL=SOON is no time"),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", None, "does not come within thirty years"),
        ("FREQ=DAILY;INTERVAL=7;BYDAY=TU", datetime(2024, 1, 1), "does not come within thirty years"),
        ("FREQ=DAILY", datetime(1, 1, 1), "must lie between"),
    ],
)
def test_rules_that_mean_nothing_never_come_or_never_end_are_refused(text, first, sentence):
    with pytest.raises(ValueError, match=sentence):
        recurrence(text, BERLIN, first)


@pytest.mark.parametrize(
    "text", ["", "@daily", "0 3 * *", "* * * * * *", "61 * * * *", "0 0 30 2 *", "a b c d e", "*/0 * * * *"]
)
def test_cron_expressions_that_mean_nothing_are_refused(text):
    with pytest.raises(ValueError, match=r"is not five fields|is no cron expression"):
        cron(text, BERLIN)


NAMES = ("UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu")
ZONES = st.sampled_from([ZoneInfo(name) for name in NAMES])
HALF_AN_HOUR = ZoneInfo("Australia/Lord_Howe")
"""Its summer time is half an hour, for which cronsim misses the first half hour of some stars in minutes."""

MOMENTS = st.floats(at("2025-01-01T00:00:00"), at("2029-01-01T00:00:00")).map(int)
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


@settings(max_examples=150, deadline=None)
@given(
    MOMENTS,
    ZONES | st.just(HALF_AN_HOUR),
    st.integers(0, 23),
    st.integers(0, 59),
    st.integers(0, 6),
    st.integers(1, 5 * 24),
)
def test_a_weekly_rule_does_what_walking_the_days_does(moment, zone, hour, minute, weekday, hours):
    rule = recurrence(f"FREQ=WEEKLY;BYDAY={DAYS[weekday]};BYHOUR={hour};BYMINUTE={minute}", zone, None)
    weekly = window(rule, hours * HOUR)
    day = datetime.fromtimestamp(moment, zone).replace(tzinfo=None, hour=hour, minute=minute, second=0, microsecond=0)
    days = [day + timedelta(days=number) for number in range(-16, 17)]
    starts = [one.replace(tzinfo=zone).timestamp() for one in days if one.weekday() == weekday]
    begun = [start for start in starts if start <= moment < start + hours * HOUR]
    expected = begun[-1] + hours * HOUR if begun else None
    assert weekly.active(moment) == expected
    assert weekly.next_change(moment) == (expected or min(start for start in starts if start > moment))


FIELDS = st.tuples(
    st.sampled_from(["0", "30", "*/15", "5,55", "*"]), st.sampled_from(["2", "*", "1-3", "*/6", "23"]),
    st.sampled_from(["*", "1", "31"]), st.sampled_from(["*", "3", "10"]), st.sampled_from(["*", "SUN", "1-5"]),
).map(" ".join)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(MOMENTS, ZONES, FIELDS, st.integers(1, 300))
def test_what_is_active_ends_when_it_says_and_what_is_not_begins_when_it_says(moment, zone, fields, minutes):
    try:
        made = window(cron(fields, zone), minutes * 60.0)
    except ValueError:
        return  # the 31st of a month that has none
    ends, changes = made.active(moment), made.next_change(moment)
    assert changes is not None and changes > moment
    if ends is None:
        assert made.active(changes - 1) is None
        assert made.active(changes) == changes + minutes * 60.0
    else:
        assert ends == changes <= moment + minutes * 60.0
        assert made.active(ends - 1) is not None
