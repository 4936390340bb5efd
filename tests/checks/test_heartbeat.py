"""Heartbeats: Healthchecks' meaning of pings as tables, cron through changes of the clock, what is remembered."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from checks.base import KEPT, Outcome, Reason, Run
from checks.heartbeat import MEMORY
from checks.parts.heartbeat.state import (
    Ping,
    State,
    is_uuid,
    recalled,
    taken,
)  # fmt: skip
from monitor.api.ping import Asked, Refused, read_path
from tests.checks.jobs import BAD, DAY, HOUR, LATE, MINUTE, OK, START, UUID, A, B, Job, heartbeat
from tests.checks.probing import evidence, fails, result_of, value, values


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
