"""The logfile kind on records of several lines, JSON, and times in every form."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from checks.parts.logfile.records import LONGEST
from checks.parts.logfile.time import Time
from tests.checks.logs import START, Log, add
from tests.checks.probing import evidence, value, values

TRACE = [
    "2026-09-01 12:00:00 ERROR boom",
    "Traceback (most recent call last):",
    '  File "x.py", line 1',
    "ValueError: no",
]


async def test_several_lines_are_one_record_and_the_last_waits_until_it_is_whole(log: Path) -> None:
    patterns = {"errors": "ERROR", "value_errors": r"(?s)ERROR.*ValueError"}
    follower = Log(log, patterns=patterns, multiline={"start": r"^\d{4}-"})
    add(log, *TRACE, "2026-09-01 12:00:01 fine", *TRACE[:2])
    run = await follower.ask()
    assert (value(run, "records"), value(run, "value_errors")) == (2, 1)
    assert "ValueError: no" in evidence(run, "errors")
    add(log, *TRACE[2:])
    assert value(await follower.ask(), "records") == 0, "it grew: more may come"
    run = await follower.ask()
    assert (value(run, "records"), value(run, "value_errors")) == (1, 1)
    assert value(await follower.ask(), "records") == 0


async def test_lines_that_no_record_begins_with_are_not_waited_for_without_end(log: Path) -> None:
    follower = Log(log, multiline={"start": "^NEVER"})
    add(log, *["continued"] * (LONGEST // 5))
    assert value(await follower.ask(), "records") == 1


async def test_json_by_field_level_and_limit(log: Path) -> None:
    add(
        log,
        '{"level":"error","service":"community","http":{"status":503},"ms":12}',
        '{"level":50,"service":"shop","http.status":500}',
        '{"level":30,"service":"shop","http":{"status":200}}',
        '{"level":"WARN","service":"community"}',
        '{"level":true,"http":{"status":"x"}}',
        "ERROR but no JSON",
        '["error"]',
        '{"level":"error"',
    )
    patterns = {
        "errors": {"level": "error", "labels": ["service"]},
        "warnings": {"level": "warning"},
        "server": {"where": {"http.status": ">= 500"}, "values": {"ms": "ms"}},
        "shop": {"where": {"service": ["shop", "none"]}, "match": "status"},
        "text": "ERROR",
    }
    run = await Log(log, format="json", patterns=patterns).ask()
    assert value(run, "errors", service="community") == 1
    assert value(run, "errors", service="shop") == 1
    assert (value(run, "warnings"), value(run, "server"), value(run, "shop"), value(run, "text")) == (3, 2, 2, 1)
    assert value(run, "server_ms_max") == 0.012


async def test_json_that_is_deep_or_huge_is_no_trouble(log: Path) -> None:
    add(log, '{"a":' * 5000 + "1" + "}" * 5000, '{"level":"error","n":' + "9" * 5000 + "}", '{"level":"error"}')
    run = await Log(log, format="json", patterns={"errors": {"level": "error", "values": {"n": "s"}}}).ask()
    assert value(run, "errors") in (1, 2)


async def test_ids_of_requests_go_with_what_matched(log: Path) -> None:
    add(log, "[req_1760046060891] ERROR no stock", "[req_2] fine", *(f"ERROR req_n{number}" for number in range(50)))
    shown = evidence(await Log(log).ask(), "Correlation ids").split()
    assert len(shown) == 20
    assert shown[-1] == "req_n49"
    add(log, "req_9 ERROR")
    run = await Log(log, correlation="").ask()
    assert all(title != "Correlation ids" for title, _ in run.evidences)


@pytest.mark.parametrize(
    ("line", "settings", "seconds"),
    [
        ("2026-09-01T00:00:10Z x", {}, START + 10),
        ("2026-09-01 02:00:10,250 x", {"zone": "Europe/Berlin"}, START + 10.25),
        ("[2026-09-01T01:00:10.5+01:00] x", {}, START + 10.5),
        ("Sep  1 00:00:10 host app: x", {}, START + 10),
        ("Dec 31 23:59:59 host app: x", {}, 1767225599),
        ('1.2.3.4 - - [01/Sep/2026:02:00:10 +0200] "GET / HTTP/1.1"', {}, START + 10),
        ("1788220810 x", {}, START + 10),
        ("1788220810250 x", {}, START + 10.25),
        ("x|01.09.2026 00:00:10|y", {"match": r"\|([^|]*)\|", "format": "%d.%m.%Y %H:%M:%S"}, START + 10),
        ("Sep 1 00:00:10", {"match": "(.*)", "format": "%b %d %H:%M:%S"}, START + 10),
        ("2026-13-45T99:99:99Z", {}, None),
        ("2099-01-01T00:00:00Z", {}, None),
        ("0000-00-00 00:00:00", {}, None),
        ("no time at all", {}, None),
        ("x", {"match": "(y)"}, None),
    ],
)
def test_times_in_every_usual_form(line: str, settings: dict[str, Any], seconds: float | None) -> None:
    read = Time(**settings).reader(START + 20)
    assert read(line.encode(), None) == seconds


async def test_delay_is_what_an_event_took_at_least_and_the_newest_ages(log: Path) -> None:
    def lines(first: float, count: int) -> list[str]:
        return [f'{{"time":{first + number},"msg":"x"}}' for number in range(count)]

    follower = Log(log, format="json")
    add(log, *lines(START, 10))
    run = await follower.ask(after=30)
    assert values(run, "delay_p95_seconds") == {}, "nobody knows since when these are there"
    assert value(run, "newest_age_seconds") == 30 - 9
    add(log, *lines(START + 31, 20))
    run = await follower.ask(after=30)
    assert value(run, "delay_p95_seconds") == 0
    add(log, *lines(START + 10, 20))
    run = await follower.ask(after=30)
    assert 40 <= value(run, "delay_p95_seconds") <= 50
    assert value(run, "newest_age_seconds") == 90 - 50
    assert value(await follower.ask(after=600), "newest_age_seconds") == 690 - 50


async def test_without_times_the_age_is_that_of_the_file(log: Path) -> None:
    add(log, "no time")
    os.utime(log, (START, START))
    assert value(await Log(log).ask(after=40), "newest_age_seconds") == 40


async def test_numbers_that_only_look_like_times_are_no_delay(log: Path) -> None:
    follower = Log(log)
    await follower.ask()
    add(log, "1234567890 is an order", "2019-01-01T00:00:00Z copied from an old log")
    assert values(await follower.ask(), "delay_p95_seconds") == {}
