"""What the queue kind makes of what it has read, and what it refuses to be told."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from checks.base import Run
from checks.parts.queue.bullmq_answers import Job, Standing
from checks.parts.queue.reading import when
from checks.parts.queue.share import ended_by_counters, known_since
from checks.parts.queue.stream import following, made_at, record_group
from checks.queue import Queue
from tests.checks.probing import Memory, value, values


def test_counters_are_taken_over_a_window_and_begin_anew_after_a_reset() -> None:
    memory: Memory = {}
    grown = [
        ended_by_counters(Run(memory, at), 600, completed, failed)
        for at, completed, failed in ((0, 10, 1), (300, 20, 1), (600, 30, 3), (900, 40, 3), (1800, 40, 3), (1810, 2, 0))
    ]
    assert grown == [(0, 0), (10, 0), (20, 2), (20, 2), (0, 0), (0, 0)]
    for at in range(2000, 20000, 7):
        ended_by_counters(Run(memory, at), 600, at, 0)
    assert len(memory["kept"]["ended"]) < 70
    for strange in (7, [1], [[1, 2]], [["a", 1, 2]], {"a": 1}):
        assert ended_by_counters(Run({"kept": {"ended": strange}}, 0), 600, 5, 5) == (0, 0)


def test_how_far_back_the_ends_are_complete_is_known_only_from_watching_the_oldest() -> None:
    def since(memory: Memory, at: float, completed: float | None, failed: float | None) -> float | None:
        return known_since(Run(memory, at), 3600, {"completed": completed, "failed": failed})

    assert since({}, 10_000, 1_000, None) == 6_400, "the oldest is older than the window"
    young: Memory = {}
    assert since(young, 10_000, 9_000, None) is None, "a young queue, or one that removes? seen once, nobody knows"
    assert since(young, 10_030, 9_000, None) == 6_430, "it did not move: all are there"
    assert since(young, 10_060, 9_000, 10_050) == 6_460, "a first failure does not make it unknown"
    assert since(young, 10_090, 9_500, 10_050) == 9_500, "the oldest went: only what is younger is complete"
    assert since(young, 13_000, 9_500, 10_050) == 9_500
    assert since(young, 13_700, 9_500, 10_050) == 10_100
    for strange in (7, {"completed": 7}, {"completed": ["a", "b"]}, {"completed": [None, None]}):
        since({"kept": {"oldest kept": strange}}, 10_000, 9_000, 9_000)


@pytest.mark.parametrize(
    ("written", "at"),
    [
        (1_800_000_000, 1_800_000_000), (1_800_000_000_000, 1_800_000_000), ("1800000000123", 1_800_000_000.123),
        ("2027-01-15T08:00:00Z", 1_800_000_000), ("2027-01-15T09:00:00+01:00", 1_800_000_000),
        ("2027-01-15 08:00:00", 1_800_000_000), ("0001-01-01T00:00:00+14:00", None), ("", None), ("soon", None),
        (None, None), (True, None), (-5, None), (0, None), ("nan", None), ("1e400", None), (10**30, None), ([], None),
    ],
)  # fmt: skip
def test_times_are_read_as_people_write_them(written: Any, at: float | None) -> None:
    assert when(written) == at


def test_when_a_job_could_be_taken_is_after_its_delay_and_its_last_attempt() -> None:
    assert Job.read(["1000000000000", None, '{"delay": 60000}']).ready == 1_000_000_060
    assert Job.read(["1000000000000", "1000000500000", "{}"]).ready == 1_000_000_500
    assert Job.read([None, None, None]).ready is None
    for strange in (None, [], ["x"], ["x", "y", "z"], [1, 2, 3], ["1", "2", "[]"], ["1", "2", '{"delay": "x"}']):
        Job.read(strange)
    assert Job.read(["1", None, '{"removeOnFail": {"count": 5}}']).keeps_failed
    assert not Job.read(["1", None, '{"removeOnFail": true}']).keeps_failed
    assert not Job.read(["1", None, '{"removeOnFail": 0}']).keeps_failed


def test_ids_of_streams() -> None:
    assert following("5-7") == "5-8"
    assert following(None) == following("x") == following("1-2-3") == "-"
    assert made_at("1800000000000-0") == 1_800_000_000
    assert made_at("5-1") is None
    assert Standing.read(dict.fromkeys(NAMES)).exists is False


def test_before_redis_7_a_group_has_no_lag_and_what_waits_is_known_only_where_it_is_nothing() -> None:
    old = {"name": "mail", "consumers": 1, "pending": 0, "last-delivered-id": "1800000000000-0"}
    behind, done = Run({}, 1_800_000_100), Run({}, 1_800_000_100)
    record_group(behind, old, [], [["name", "one", "pending", 0, "idle", 2000]], [["1800000040000-0", ["a", "b"]]])
    record_group(done, old, [], None, [])
    assert not values(behind, "waiting")
    assert (value(behind, "oldest_seconds"), value(behind, "worker_seen_seconds")) == (60, 2)
    assert value(done, "waiting") == value(done, "oldest_seconds") == value(done, "active_oldest_seconds") == 0
    assert not values(done, "worker_seen_seconds")


NAMES = (
    "exists", "meta", "wait", "paused", "active", "prioritized", "delayed", "failed", "completed", "waiting-children",
    "overdue", "wait end", "paused end", "first prioritized", "taken", "completed first", "failed first",
    "completed counter", "failed counter", "newest",
)  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "one of `bullmq`, `list` and `stream` is wanted"),
        ({"bullmq": {"name": "a"}, "list": {"key": "b"}}, "one of `bullmq`, `list` and `stream` is wanted"),
        ({"list": {"key": "b", "time": "a["}}, "is no JMESPath expression"),
        ({"bullmq": {"name": ""}}, "at least 1 character"),
        ({"bullmq": {"name": "a", "nam": "b"}}, "Extra inputs"),
        ({"stream": {"key": "b"}, "url": "amqp://x"}, "an address such as redis://"),
    ],
)
def test_what_can_not_be_is_refused_when_it_is_read(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Queue(**{"name": "q", "url": "redis://x"} | fields)
