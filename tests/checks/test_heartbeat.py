"""Heartbeats: Healthchecks' meaning of pings as tables, cron through changes of the clock, what is remembered."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from uuid import uuid4
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from checks.base import KEPT, KEPT_MOST, Failed, Outcome, Reason, Run
from checks.heartbeat import LISTENING, MEMORY, Heartbeat
from checks.parts.heartbeat.schedule import EARLY, Cron, Period
from checks.parts.heartbeat.state import (
    EXCERPT,
    MOST_PINGS,
    MOST_RUNS,
    Away,
    Ping,
    Rules,
    State,
    is_uuid,
    judged,
    recalled,
    taken,
    watched,
)  # fmt: skip
from monitor.api.ping import Asked, Refused, read_path
from tests.checks.probing import asked, evidence, fails, result_of, value, values

UUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
A, B = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
START = 1_000_000.0


def heartbeat(**keys):
    given = {"uuid": UUID, "period": "1d", "grace": "1h"} | keys
    return Heartbeat(name="Nightly backup", **{name: item for name, item in given.items() if item is not None})


class Job:
    """A check with its memory, at a time that the test sets."""

    def __init__(self, **keys):
        # A look comes when the test says so; what comes much later than the interval would be a standstill.
        self.check = heartbeat(**{"interval": "365d"} | keys)
        self.memory = {}

    def ping(self, at, action="success", method="POST", **more):
        self.check.take(self.memory, self.check.meant(Ping(at=START + at, action=action, **more), method))

    async def ok(self, at):
        return await asked(self.check, self.memory, START + at)

    async def fails(self, at, reason, *words):
        run = Run(self.memory, START + at)
        with pytest.raises(Failed) as raised:
            await self.check.probe(run)
        assert raised.value.reason is reason, raised.value.sentence
        for word in words:
            assert word in raised.value.sentence
        return run

    async def looks(self, begin, end, every=30.0):
        """Probes all that time, whatever they say."""
        at = begin
        while at < end:
            await self.outcome(at)
            at += every

    async def outcome(self, at):
        """`ok`, or the reason."""
        try:
            await self.check.probe(Run(self.memory, START + at))
        except Failed as why:
            return why.reason.value
        return "ok"

    def restarts(self):
        """What is kept goes through JSON; the rest of the memory is lost."""
        self.memory = {KEPT: orjson.loads(orjson.dumps(self.memory[KEPT]))}


# --- the meaning of pings -----------------------------------------------------------------------------------------

LATE, BAD, OK = "read_timeout", "assertion", "ok"


@pytest.mark.parametrize(
    ("pings", "looks"),
    [
        # never heard of: period and grace count from when it was first seen
        ([], {0: OK, DAY: OK, DAY + HOUR - 1: OK, DAY + HOUR: LATE}),
        # heard of: from then
        ([(HOUR, "success")], {2 * HOUR: OK, DAY + 2 * HOUR - 1: OK, DAY + 2 * HOUR: LATE}),
        # late, and back
        ([(HOUR, "success"), (2 * DAY, "success")], {2 * DAY - 1: LATE, 2 * DAY: OK}),
        # failed, until it succeeds
        ([(1, "fail"), (10 * DAY, "success")], {1: BAD, HOUR: BAD, 5 * DAY: BAD, 10 * DAY: OK}),
        ([(1, "success", 0)], {1: OK}),
        ([(1, "fail", 3)], {1: BAD}),
        # a start is no sign of life, and has to end within the grace
        ([(0, "success"), (DAY, "start")], {DAY: OK, DAY + HOUR - 1: OK, DAY + HOUR: LATE}),
        ([(0, "success"), (60, "start")], {HOUR + 59: OK, HOUR + 60: LATE}),
        ([(0, "success"), (60, "start"), (120, "success")], {HOUR + 60: OK}),
        ([(0, "success"), (60, "start"), (2 * HOUR, "success")], {HOUR + 60: LATE, 2 * HOUR: OK}),
        ([(60, "start")], {HOUR + 59: OK, HOUR + 60: LATE}),
        # a start while it is failed changes nothing
        ([(0, "fail"), (60, "start")], {60: BAD, 2 * HOUR: BAD}),
        # another start begins anew
        ([(0, "success"), (60, "start"), (120, "start")], {HOUR + 119: OK, HOUR + 120: LATE}),
        # log and ignored never change anything
        ([(0, "success"), (DAY, "log")], {DAY + HOUR: LATE}),
        ([(0, "fail"), (60, "log"), (70, "ignored")], {80: BAD}),
        ([(60, "start"), (70, "log")], {HOUR + 60: LATE}),
    ],
)
async def test_what_pings_mean(pings, looks):
    job = Job()
    await job.ok(0)
    waiting = sorted(pings, key=lambda one: one[0])
    for at in sorted({*looks, *(n * 60.0 for n in range(int(max(looks)) // 60))}):
        while waiting and waiting[0][0] <= at:
            when, action, *code = waiting.pop(0)
            job.ping(when, action, code=code[0] if code else None)
        outcome = await job.outcome(at)
        if at in looks:
            assert outcome == looks[at], at


@pytest.mark.parametrize(
    ("pings", "running", "took"),
    [
        ([(0, "start", A), (5, "success", A)], [], 5),
        ([(0, "start", ""), (5, "fail", "")], [], 5),
        ([(0, "success", A)], [], None),
        # an end without a start says nothing of how long
        ([(0, "start", ""), (5, "success", ""), (9, "success", "")], [], None),
        # several at once
        ([(0, "start", A), (2, "start", B), (5, "success", A)], [B], 5),
        ([(0, "start", A), (2, "start", B), (5, "success", B), (9, "success", A)], [], 9),
        ([(0, "start", A), (2, "start", B), (5, "fail", B)], [A], 3),
        # a success of a run that never began ends none; one without a run, and a failure of one unknown, end all
        ([(0, "start", A), (5, "success", B)], [A], None),
        ([(0, "start", A), (2, "start", B), (5, "success", "")], [], None),
        ([(0, "start", A), (5, "fail", B)], [], None),
        # the same run begins again
        ([(0, "start", A), (4, "start", A), (5, "success", A)], [], 1),
        # what takes more than three days is another run's end
        ([(0, "start", A), (72 * HOUR, "success", A)], [], None),
        ([(0, "start", A), (72 * HOUR - 1, "success", A)], [], 72 * HOUR - 1),
        # a run that is overdue was killed, if one that began later succeeds
        ([(0, "start", A), (HOUR, "start", B), (HOUR + 5, "success", B)], [], 5),
        ([(0, "start", A), (HOUR - 9, "start", B), (HOUR - 5, "success", B)], [A], 4),
        ([(9, "start", A), (0, "start", B), (2 * HOUR, "success", B)], [A], 2 * HOUR),
        # time that goes backwards, after a restart with another clock
        ([(100, "start", A), (50, "success", A)], [], None),
    ],
)
def test_runs_and_how_long_they_took(pings, running, took):
    state = State(first=0, seen=0)
    for at, action, rid in pings:
        state = taken(state, Ping(at=at, action=action, rid=rid), HOUR)
    assert list(state.runs) == running
    assert state.took == took


async def test_a_longer_run_than_the_grace_is_not_late_while_it_runs():
    job = Job(longest_run="3h")
    await job.looks(0, DAY)
    job.ping(DAY, "start")
    assert await job.outcome(DAY + HOUR) == OK
    assert await job.outcome(DAY + 3 * HOUR - 1) == OK
    await job.fails(DAY + 3 * HOUR, Reason.READ_TIMEOUT, "a run that began 3h ago has not ended; 3h is the longest")


async def test_a_job_that_begins_again_and_again_and_never_ends_is_late():
    job = Job(longest_run="3h")
    for hour in range(40):
        job.ping(hour * HOUR, "start")
        outcome = await job.outcome(hour * HOUR)
        assert (outcome == OK) is (hour < 28), hour


async def test_sentences_measurements_and_evidence():
    job = Job(period=None, schedule="0 2 * * *", timezone="Europe/Berlin")
    first = datetime(2026, 11, 21, 12, tzinfo=ZoneInfo("Europe/Berlin")).timestamp() - START
    run = await job.ok(first)
    assert values(run, "last_ping") == {} == values(run, "exit_code")
    assert value(run, "expected_at") == first + START + 14 * HOUR
    assert (value(run, "running"), value(run, "started"), value(run, "overdue_seconds")) == (0, 0, 0)
    at = first + 14 * HOUR
    job.ping(at, "start", rid=A, sender="10.0.0.3")
    run = await job.ok(at + 30)
    assert (value(run, "running"), value(run, "started"), value(run, "running_seconds")) == (1, 1, 30)
    assert value(run, "in_grace") == 1
    assert value(run, "overdue_seconds") == 30
    job.ping(at + 90, "success", code=0, rid=A, body="all\ndone\n", sender="10.0.0.3")
    run = await job.ok(at + 100)
    assert value(run, "last_ping") == START + at + 90
    assert (value(run, "last_ping_age_seconds"), value(run, "run_duration_seconds")) == (10, 90)
    assert (value(run, "exit_code"), value(run, "in_grace"), value(run, "paused")) == (0, 0, 0)
    assert value(run, "pings_total", action="start") == value(run, "pings_total", action="success") == 1
    run = await job.fails(
        at + 26 * HOUR, Reason.READ_TIMEOUT,
        "no sign of life for 1d 1h: expected at 02:00 every day, Europe/Berlin, grace 1h",
    )  # fmt: skip
    assert value(run, "overdue_seconds") == 2 * HOUR
    assert evidence(run, "what it said last") == "all\ndone\n"
    assert evidence(run, "its last pings").splitlines() == [
        f"2026-11-22 01:01:30+00:00, success, exit code 0, took 1m 30s, run {A}, from 10.0.0.3",
        f"2026-11-22 01:00:00+00:00, start, run {A}, from 10.0.0.3",
    ]


async def test_a_failure_says_its_code_and_last_words():
    job = Job()
    job.ping(0, "fail", code=74, body="dumping\npg_dump: error: disk is full\n\n")
    await job.fails(60, Reason.ASSERTION, "the job failed 1m ago with exit code 74: pg_dump: error: disk is full")
    job.ping(100, "fail")
    await job.fails(100, Reason.ASSERTION, "the job failed 0 s ago")


async def test_one_that_was_never_heard_of_says_since_when_it_is_watched():
    job = Job(period="5m", grace="1m")
    await job.looks(0, 6 * MINUTE)
    run = await job.fails(
        6 * MINUTE, Reason.READ_TIMEOUT, "no sign of life for 6m since it is watched: expected every 5m"
    )
    assert run.evidences == []


async def test_paused_judges_nothing_and_takes_pings():
    job = Job(paused=True)
    job.ping(0, "fail")
    run = await job.ok(100 * DAY)
    assert (value(run, "paused"), value(run, "pings_total", action="fail")) == (1, 1)


@pytest.mark.parametrize(
    ("keys", "ping", "action"),
    [
        ({}, {"body": "it failed"}, "success"),
        ({"failure_kw": ["FAILED", "error:"]}, {"body": "an error: x"}, "fail"),
        ({"failure_kw": "FAILED, error:"}, {"body": "FAILED"}, "fail"),
        ({"failure_kw": ["failed"]}, {"body": "FAILED"}, "success"),
        ({"failure_kw": ["no"], "success_kw": ["ok"]}, {"body": "ok, no"}, "fail"),
        ({"success_kw": ["done"]}, {"body": "done"}, "success"),
        ({"success_kw": ["done"]}, {"body": "doing"}, "ignored"),
        ({"success_kw": ["done"], "start_kw": ["begin"]}, {"body": "begin"}, "start"),
        ({"failure_kw": ["bad"]}, {"body": "bad", "action": "log"}, "log"),
        ({"failure_kw": ["bad"]}, {"body": "bad", "action": "start"}, "start"),
        ({"failure_kw": ["bad"]}, {"body": "bad", "code": 0}, "success"),
        ({"success_kw": ["good"]}, {"body": "bad", "action": "fail"}, "fail"),
        ({"post_only": True}, {"method": "GET"}, "ignored"),
        ({"post_only": True}, {"method": "HEAD", "action": "fail"}, "ignored"),
        ({"post_only": True}, {"method": "POST"}, "success"),
    ],
)
async def test_what_a_ping_is_taken_for(keys, ping, action):
    job = Job(**keys)
    job.ping(0, **ping)
    assert list(recalled(job.memory[KEPT][MEMORY], 0).counts) == [action]


# --- schedules ----------------------------------------------------------------------------------------------------


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


# --- what is remembered, and times when nobody listened -----------------------------------------------------------


async def test_a_restart_forgets_nothing():
    job = Job()
    job.ping(0, "start", rid=A)
    job.ping(10, "fail", code=2, rid=A, body="oh")
    before = await job.fails(20, Reason.ASSERTION, "exit code 2: oh")
    job.restarts()
    after = await job.fails(20, Reason.ASSERTION, "exit code 2: oh")
    assert after.measurements == before.measurements
    assert after.evidences == before.evidences


async def test_a_deadline_that_passed_while_runwatch_was_down_gets_its_grace_anew():
    job = Job()
    job.ping(0)
    await job.looks(0, DAY)
    job.restarts()
    back = DAY + 5 * HOUR
    assert await job.outcome(back) == OK
    assert await job.outcome(back + HOUR - 30) == OK
    await job.fails(
        back + HOUR, Reason.READ_TIMEOUT, "no sign of life for 1d 6h",
        "runwatch did not listen until 1h ago and may have missed it",
    )  # fmt: skip


async def test_so_does_what_was_expected_in_a_short_absence():
    job = Job()
    job.ping(0)
    await job.looks(0, DAY - 30)
    job.restarts()
    assert await job.outcome(DAY + MINUTE) == OK
    assert await job.outcome(DAY + HOUR + 30) == OK
    assert await job.outcome(DAY + HOUR + MINUTE) == LATE


async def test_so_does_what_was_expected_while_our_network_was_down():
    job = Job()
    job.ping(0)
    await job.looks(0, DAY - 30)
    run = Run(job.memory, START + DAY + 30)
    run.cut_off = True
    await job.check.probe(run)
    assert await job.outcome(DAY + HOUR + 10) == OK
    assert await job.outcome(DAY + HOUR + 30) == LATE


async def test_so_does_a_run_whose_end_may_have_been_missed():
    job = Job(period="30d")
    job.ping(0, "start")
    await job.ok(30)
    job.restarts()
    assert await job.outcome(2 * HOUR) == OK
    assert await job.outcome(3 * HOUR - 1) == OK
    assert await job.outcome(3 * HOUR) == LATE


async def test_what_was_late_before_a_restart_is_late_after_it():
    job = Job()
    await job.looks(0, DAY + 2 * HOUR)
    assert await job.outcome(DAY + 2 * HOUR) == LATE
    job.restarts()
    run = await job.fails(DAY + 3 * HOUR, Reason.READ_TIMEOUT, "no sign of life")
    assert "did not listen" not in str(run)


async def test_what_is_expected_after_a_restart_gets_no_grace_more():
    job = Job()
    await job.looks(0, HOUR)
    job.restarts()
    assert await job.outcome(3 * HOUR) == OK
    await job.looks(3 * HOUR, DAY + HOUR)
    assert await job.outcome(DAY + HOUR) == LATE


async def test_a_daemon_that_restarts_all_the_time_still_sees_that_a_job_is_late():
    job = Job()
    outcomes = []
    for minute in range(0, 30 * 60, 5):
        outcomes.append(await job.outcome(minute * MINUTE))
        job.restarts()
    assert outcomes[-1] == LATE
    assert LATE not in outcomes[: 25 * 12]


async def test_a_machine_that_slept_did_not_listen():
    job = Job(interval="30s")
    await job.looks(0, DAY)
    assert await job.outcome(3 * DAY) == OK
    assert job.memory[LISTENING] == START + 3 * DAY
    await job.looks(3 * DAY, 3 * DAY + HOUR)
    assert await job.outcome(3 * DAY + HOUR) == LATE


@pytest.mark.parametrize(
    "kept",
    [
        None, [], "x", {}, {"first": "never"}, {"first": 1.0}, {"first": 1e400, "seen": 0},
        {"first": 1e300, "seen": 0}, {"first": 0, "seen": None},
        {"first": 0, "seen": 0, "last": {"at": 0, "action": "explode"}},
        {"first": 0, "seen": 0, "runs": {"a": "b"}}, {"first": 0, "seen": 0, "away": [1]},
        {"first": 0, "seen": 0, "counts": {"boo": 1}},
    ],
)  # fmt: skip
async def test_what_another_version_kept_does_no_harm(kept):
    job = Job()
    job.memory = {KEPT: {MEMORY: kept}}
    run = await job.ok(0)
    assert value(run, "expected_at") == START + DAY
    job.ping(1)
    assert value(await job.ok(2), "last_ping") == START + 1


def test_what_is_remembered_is_bounded():
    check = heartbeat(body_limit=32_768)
    memory = {}
    for number in range(200):
        rid = f"00000000-0000-4000-8000-{number:012x}"
        check.take(memory, Ping(at=number, action="start", rid=rid))
        check.take(memory, Ping(at=number, action="fail" if number % 2 else "log", rid=A, body="\ufffd" * 32_768))
    state = recalled(memory[KEPT][MEMORY], 0)
    assert len(state.pings) == MOST_PINGS
    assert len(state.runs) <= MOST_RUNS
    assert all(len(ping.body) <= EXCERPT for ping in state.pings)
    assert len(orjson.dumps(memory[KEPT])) < KEPT_MOST


def test_of_too_many_runs_the_oldest_are_kept():
    state = State(first=0, seen=0)
    for number in range(MOST_RUNS + 20):
        state = taken(state, Ping(at=number, action="start", rid=f"{number}"), HOUR)
    assert list(state.runs.values()) == list(range(MOST_RUNS))


def test_a_look_writes_once_a_minute():
    state = State(first=0, seen=0)
    assert watched(state, 59, None, HOUR) is state
    assert watched(state, 60, None, HOUR).seen == 60
    assert watched(state, 30, 0, HOUR).away == Away(0, 30)
    assert watched(state, -5, 0, HOUR).away is None


PINGS = st.lists(
    st.tuples(
        st.floats(0, 5 * DAY), st.sampled_from(["success", "fail", "start", "log", "ignored"]), st.sampled_from(["", A])
    ),
    max_size=12,
)


@given(PINGS, st.floats(0, 10 * DAY))
def test_one_that_runs_one_at_a_time_is_judged_as_healthchecks_does(pings, now):
    """Against its rules written down again: a status that pings flip, and the earlier of two moments plus grace.

    Ours says besides that one that failed and does not end is both, and forgets no run for a start with another id.
    """
    pings = [one for one in sorted(pings) if one[0] <= now]
    status, heard, begun, begun_by = "new", 0.0, None, ""
    state = State(first=0, seen=0)
    for when, action, rid in pings:
        if action == "start":
            if begun is not None and begun_by != rid:
                return
            begun, begun_by = when, rid
        elif action in ("success", "fail"):
            if begun is not None and (begun_by == rid or not rid or action == "fail"):
                begun = None
            status, heard = ("down" if action == "fail" else "up"), when
        state = taken(state, Ping(at=when, action=action, rid=rid), HOUR)
        if begun is not None and not state.runs:
            return
    down = status == "down" or now >= heard + DAY + HOUR or (begun is not None and now >= begun + HOUR)
    found = judged(state, now, Rules(Period(DAY), HOUR))
    assert (found.failed or found.late or found.overran is not None) is down


# --- addresses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "asked_for"),
    [
        (UUID, Asked(UUID, "success", None)),
        (UUID.upper(), Asked(UUID, "success", None)),
        (f"{UUID}/", Asked(UUID, "success", None)),
        (f"{UUID}/start", Asked(UUID, "start", None)),
        (f"{UUID}/fail", Asked(UUID, "fail", None)),
        (f"{UUID}/log", Asked(UUID, "log", None)),
        (f"{UUID}/0", Asked(UUID, "success", 0)),
        (f"{UUID}/1", Asked(UUID, "fail", 1)),
        (f"{UUID}/255", Asked(UUID, "fail", 255)),
        ("key/slug", Asked("key/slug", "success", None)),
        ("key/slug/start", Asked("key/slug", "start", None)),
        ("key/slug/127", Asked("key/slug", "fail", 127)),
        ("key/start", Asked("key/start", "success", None)),
        (f"{UUID}/256", 400),
        (f"{UUID}/{'9' * 5000}", 400),
        ("key/slug/1000", 400),
        (f"{UUID}/-1", 404),
        (f"{UUID}/٣", 404),
        (f"{UUID}/stop", 404),
        (f"{UUID}/fail/1", 404),
        ("key", 404),
        ("", 404),
        ("/", 404),
        ("key/slug/fail/more", 404),
    ],
)
def test_addresses_are_read_as_healthchecks_has_them(path, asked_for):
    if isinstance(asked_for, Asked):
        assert read_path(path) == asked_for
    else:
        with pytest.raises(Refused) as refused:
            read_path(path)
        assert refused.value.status == asked_for


@pytest.mark.parametrize("text", ["", "x", UUID[:-1], f"{{{UUID}}}", f"urn:uuid:{UUID}", UUID.replace("-", "")])
def test_only_the_usual_form_is_a_uuid(text):
    assert not is_uuid(text)


async def test_through_the_prober_its_secrets_are_masked():
    check, memory = heartbeat(), {}
    check.take(memory, Ping(at=time.time(), action="fail", body=f"see https://watch.example.com/ping/{UUID}"))
    found = await fails(check, Reason.ASSERTION, "the job failed", "/ping/***", memory=memory)
    assert evidence(found, "what it said last").endswith("/ping/***")
    assert (await result_of(heartbeat(), {})).outcome is Outcome.OK


async def test_a_probe_is_over_within_one_turn_of_the_loop():
    """So that nothing comes between a ping and the judgement that it asks for."""
    task = asyncio.ensure_future(heartbeat().probe(Run({}, START)))
    await asyncio.sleep(0)
    assert task.done()
    await task
