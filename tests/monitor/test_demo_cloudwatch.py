"""The stand-in for CloudWatch Logs: filter patterns as AWS documents them, and when events were taken in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio

from monitor.demo.parts.cloudwatch import CloudWatch, matches
from tests.skips import running

ERROR = '{"service": "community", "level": "ERROR", "message": "boom"}'
NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("pattern", "message", "found"),
    [
        ("", "anything", True),
        ("boom", ERROR, True),
        ("boom crash", ERROR, False),
        ('"level": ', ERROR, True),
        ('?"password" ?"boom"', ERROR, True),
        ('?"password" ?"ssn"', ERROR, False),
        ('boom ?"password"', ERROR, False),
        ('{ $.service = "community" && $.level = "ERROR" }', ERROR, True),
        ('{ $.service = "business" && $.level = "ERROR" }', ERROR, False),
        ('{ $.service = "business" || $.level = "ERROR" }', ERROR, True),
        ('{ $.level != "INFO" }', ERROR, True),
        ('{ $.event_type = "notification_sent" }', ERROR, False),
        ('{ $.event_type != "notification_sent" }', ERROR, False),
        ('{ $.level = "ERROR" }', "no JSON", False),
        ('{ $.level = "ERROR" }', "[1]", False),
    ],
)
def test_patterns(pattern: str, message: str, found: bool) -> None:
    assert matches(pattern, message) is found


@pytest.mark.parametrize("pattern", ['[service = "community"]', "{ $.latency > 5 }", "%boom%"])
def test_patterns_that_it_does_not_know(pattern: str) -> None:
    with pytest.raises(ValueError, match="not known"):
        matches(pattern, ERROR)


@pytest_asyncio.fixture
async def cloudwatch(tmp_path: Path) -> AsyncIterator[CloudWatch]:
    for folder in (tmp_path, tmp_path.parent):
        folder.chmod(0o755)
    async with running(CloudWatch(tmp_path / "cloudwatch")) as server:
        yield server


async def test_events_are_taken_in_when_the_caller_says(cloudwatch: CloudWatch) -> None:
    cloudwatch.lock()
    cloudwatch.open("group", "stream")
    cloudwatch.put(NOW, (NOW - 1, {"level": "INFO"}), (NOW - 20, {"level": "ERROR"}))
    with closing(cloudwatch.client("logs")) as logs:
        [event] = logs.filter_log_events(logGroupName="group", filterPattern='{ $.level = "ERROR" }')["events"]
        assert event["timestamp"] == (NOW - 20) * 1000
        assert event["ingestionTime"] == pytest.approx(NOW * 1000, abs=9_000)
        cloudwatch.empty()
        assert not logs.filter_log_events(logGroupName="group")["events"]
