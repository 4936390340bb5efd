"""What a heartbeat remembers over restarts, and times in which nobody could be heard."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.base import KEPT, KEPT_MOST, Reason, Run
from checks.heartbeat import LISTENING, MEMORY
from checks.parts.heartbeat.schedule import Period
from checks.parts.heartbeat.state import (
    EXCERPT,
    MOST_PINGS,
    MOST_RUNS,
    Away,
    Ping,
    Rules,
    State,
    judged,
    recalled,
    taken,
    watched,
)  # fmt: skip
from tests.checks.jobs import DAY, HOUR, LATE, MINUTE, OK, START, A, Job, heartbeat
from tests.checks.probing import value


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
