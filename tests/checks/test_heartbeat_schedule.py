"""When a job is expected, by cron and by period, and what of that can not be configured."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from checks.heartbeat import Heartbeat
from checks.parts.heartbeat.schedule import EARLY, Cron, Period
from tests.checks.jobs import UUID, heartbeat


def at(text, fold=0, zone="Europe/Berlin"):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


@pytest.mark.parametrize(
    ("cron", "last", "fold", "expected"),
    [
        ("0 2 * * *", "2026-11-21T12:00", 0, ("2026-11-22T02:00", 0)),
        ("0 9,17 * * 1-5", "2026-11-20T17:01", 0, ("2026-11-23T09:00", 0)),
        ("0 0 29 2 *", "2026-01-01T00:00", 0, ("2028-02-29T00:00", 0)),
        # what summer time leaves out runs when it begins
        ("30 2 * * *", "2026-03-28T12:00", 0, ("2026-03-29T03:00", 0)),
        ("30 2 * * *", "2026-03-29T03:00", 0, ("2026-03-30T02:30", 0)),
        ("*/20 * * * *", "2026-03-29T01:40", 0, ("2026-03-29T03:00", 0)),
        # what winter time repeats runs once
        ("30 2 * * *", "2026-10-24T12:00", 0, ("2026-10-25T02:30", 0)),
        ("30 2 * * *", "2026-10-25T02:10", 1, ("2026-10-26T02:30", 0)),
        ("30 2 * * *", "2026-10-25T02:30", 0, ("2026-10-26T02:30", 0)),
        ("30 2 * * *", "2026-10-25T02:30", 1, ("2026-10-26T02:30", 0)),
        ("*/20 * * * *", "2026-10-25T02:40", 0, ("2026-10-25T02:00", 1)),
        # a machine whose clock is a little ahead
        ("0 2 * * *", "2026-11-22T01:59:45", 0, ("2026-11-23T02:00", 0)),
        ("0 2 * * *", "2026-11-22T01:59:15", 0, ("2026-11-22T02:00", 0)),
    ],
)
def test_cron_goes_by_its_own_wall_clock(cron, last, fold, expected):
    assert Cron(cron, "Europe/Berlin").after(at(last, fold)) == at(*expected)


@given(
    st.sampled_from(["* * * * *", "30 2 * * *", "0 */3 * * *", "15 1,2,3 * * 0", "0 0 1 * *", "59 23 31 12 *"]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    st.integers(0, 4_000_000_000),
)
def test_what_is_expected_is_always_still_to_come(cron, zone, last):
    schedule = Cron(cron, zone)
    following = schedule.after(last)
    assert following > last + EARLY
    assert schedule.after(following) > following


def test_schedules_read_well():
    assert str(Cron("0 2 * * *", "Europe/Berlin")) == "at 02:00 every day, Europe/Berlin"
    assert str(Period(300.0)) == "every 5m"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"uuid": None}, "nobody could ping it"),
        ({"uuid": "nightly"}, "a UUID is wanted"),
        ({"uuid": "3fa85f6457174562b3fc2c963f66afa6"}, "a UUID is wanted"),
        ({"ping_key": "short"}, "16 or more letters"),
        ({"ping_key": str(uuid4())}, "no UUID"),
        ({"push_token": "a/b/c/d/e/f/g/h/i"}, "16 or more letters"),
        ({"slug": "Nightly Backup"}, "no slug"),
        ({"period": None}, "either period"),
        ({"schedule": "0 2 * * *"}, "either period"),
        ({"period": None, "schedule": "0 2 * *"}, "five fields"),
        ({"period": None, "schedule": "Mon..Fri 09:00"}, "five fields"),
        ({"period": None, "schedule": "0 25 * * *"}, "Bad hour"),
        ({"period": None, "schedule": "0 0 30 2 *"}, "Bad day-of-month"),
        ({"period": None, "schedule": "0 2 * * *", "timezone": "Berlin"}, "no time zone 'Berlin'"),
        ({"period": None, "schedule": "0 2 * * *", "timezone": "../../etc/passwd"}, "no time zone"),
        ({"grace": "0"}, "greater than 0"),
        ({"failure_kw": [""]}, "at least 1 character"),
        ({"body_limit": "1MB"}, "32768"),
    ],
)
def test_a_wrong_configuration_is_refused_with_the_way_out(keys, words):
    with pytest.raises(ValidationError) as refused:
        heartbeat(**keys)
    assert words in str(refused.value)
    assert UUID not in str(refused.value)


def test_it_is_never_asked_again_whatever_the_defaults_say():
    assert heartbeat(retries=3).retries == 0


def test_two_that_are_alike_are_equal():
    """Or every reload would forget what this process knows of them."""
    keys = {"period": None, "schedule": "0 2 * * *"}
    assert heartbeat(**keys) == heartbeat(**keys)
    assert heartbeat(**keys) != heartbeat(**keys, grace="2h")


def test_a_name_without_letters_wants_a_slug():
    with pytest.raises(ValidationError, match="give it one"):
        Heartbeat(name="備份", uuid=UUID, period="1d")


def test_its_addresses_are_secret_and_its_target_is_not():
    check = heartbeat(uuid=UUID.upper(), ping_key="k" * 22, push_token="t" * 32)
    assert check.addresses() == [UUID, "k" * 22 + "/nightly-backup", "/api/push/" + "t" * 32]
    assert set(check.secrets()) == {UUID, "k" * 22, "t" * 32}
    assert check.target == "nightly-backup"
    assert not any(secret in repr(check) for secret in check.secrets())
