"""The logfile kind on files that grow: what counts, what is captured, and where it goes on after a restart."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from alerts.thresholds import parse
from checks.base import KEPT, Failed, Reason, Run
from checks.logfile import Logfile
from checks.parts.logfile.records import LONGEST
from tests.checks.logs import Log, add
from tests.checks.probing import errs, evidence, value, values


async def test_each_line_counts_once_and_rates_are_per_second_since_the_last_probe(log: Path) -> None:
    follower = Log(log)
    add(log, "ERROR one", "fine", "ERROR two")
    first = await follower.ask()
    assert value(first, "errors") == 2
    assert value(first, "records") == 3
    assert values(first, "errors_per_second") == {}
    assert "ERROR two" in evidence(first, "errors")
    add(log, *["ERROR again"] * 6)
    second = await follower.ask(after=60)
    assert value(second, "errors") == 6
    assert value(second, "errors_per_second") == 0.1
    assert value(second, "errors_total") == 8
    assert value(second, "lag_bytes") == 0
    third = await follower.ask()
    assert (value(third, "errors"), value(third, "errors_total")) == (0, 8)
    assert value(third, "read_bytes_total") == log.stat().st_size


async def test_the_first_time_it_begins_at_the_end_and_what_comes_is_counted(log: Path) -> None:
    add(log, "ERROR of old")
    with log.open("a") as stream:
        stream.write("ERROR half a ")
        follower = Log(log, start_at="end")
        stream.flush()
        assert await follower.errors() == 0
        stream.write("line\n")
    assert await follower.errors() == 1


async def test_a_line_without_its_end_waits_for_it(log: Path) -> None:
    follower = Log(log)
    log.write_text("ERROR whole\nERROR ha")
    assert await follower.errors() == 1
    assert await follower.errors() == 0
    with log.open("a") as stream:
        stream.write("lf\n")
    assert await follower.errors() == 1


async def test_lines_of_the_time_between_are_read_once_after_a_restart(log: Path) -> None:
    follower = Log(log)
    add(log, "ERROR 1")
    assert await follower.errors() == 1
    add(log, "ERROR 2", "ERROR 3")
    follower.restart()
    run = await follower.ask(after=300)
    assert value(run, "errors") == 2
    assert value(run, "errors_total") == 3
    assert value(run, "errors_per_second") == 2 / 300


@pytest.mark.parametrize(
    "kept",
    [
        {},
        {"log": 5},
        {"log": {"files": "x", "at": None}},
        {"log": {"counts": {"errors": {"]": 1}}}},
        {"log": {"counts": {"errors": {'["a"]': 1, "[]": 3}}, "files": [{"path": 1}]}},
    ],
)
async def test_whatever_an_older_version_kept_the_probe_goes_on(log: Path, kept: dict[str, Any]) -> None:
    add(log, "ERROR")
    follower = Log(log)
    follower.memory = {KEPT: kept}
    assert await follower.errors() >= 0
    add(log, "ERROR")
    assert await follower.errors() == 1


async def test_what_is_behind_is_read_by_and_by_and_the_lag_is_known(log: Path) -> None:
    line = "x" * 99
    add(log, *[line] * 35_000, "ERROR at last")
    follower = Log(log, max_read="1MiB")
    lags = []
    for _ in range(3):
        run = await follower.ask()
        lags.append(value(run, "lag_bytes"))
        assert value(run, "behind") == (lags[-1] > 0)
    assert lags[0] > lags[1] > lags[2] == 0
    assert value(run, "errors_total") == 1
    assert value(run, "records_total") == 35_001


async def test_a_file_without_end_starves_no_other(tmp_path: Path) -> None:
    add(tmp_path / "a.log", *["y" * 1000] * 3000)
    add(tmp_path / "b.log", "ERROR")
    follower = Log(tmp_path / "*.log", max_read="1MiB")
    await follower.ask()
    assert value(await follower.ask(), "errors_total") == 1


async def test_carriage_returns_bad_utf8_and_nul_bytes_are_no_trouble(log: Path) -> None:
    log.write_bytes(b"one ERROR$\r\n\xff\xfe ERROR caf\xc3\xa9 \xe2\x9d\x8c\r\n\0\0ERROR\0\nend ERROR\r\n")
    follower = Log(log, patterns={"errors": "ERROR", "at_end": "ERROR$", "cross": "❌", "any": "^.* ERROR café"})
    run = await follower.ask()
    assert [value(run, name) for name in ("errors", "at_end", "cross", "any")] == [4, 1, 1, 1]
    assert "\ufffd" in evidence(run, "cross")


async def test_a_line_of_many_megabytes_counts_in_pieces_and_is_shown_short(log: Path) -> None:
    log.write_bytes(b"x" * (3 * LONGEST) + b" ERROR " + b"z" * LONGEST + b"\nERROR\n")
    run = await Log(log).ask()
    assert value(run, "errors") == 2
    assert value(run, "records") == 6
    assert all(len(text) < 2_000 for _, text in run.evidences)
    assert "ERROR" in evidence(run, "errors").splitlines()[0]


async def test_expressions_see_one_line_at_a_time(log: Path) -> None:
    add(log, "begin [", "] end", "begin [x] end")
    patterns = {"across": r"begin \[[^x]*\] end", "whole": r"^begin \[[^\]]*\] end$", "lines": "(?s)begin.*end"}
    run = await Log(log, patterns=patterns).ask()
    assert [value(run, name) for name in patterns] == [0, 1, 1]


async def test_captures_become_labels_and_numbers(log: Path) -> None:
    add(log, "Slow query took 120 ms on orders", "Slow query took 1500 ms on users", "Slow query took 90 ms on orders")
    slow = {
        "match": r"Slow query took (?P<took>\d+) ms on (?P<table>\w+)",
        "labels": ["table"],
        "values": {"took": "ms"},
    }
    follower = Log(log, patterns={"slow": slow})
    run = await follower.ask()
    assert value(run, "slow", table="orders") == 2
    assert value(run, "slow", table="users") == 1
    assert value(run, "slow_took_max") == 1.5
    assert value(run, "slow_took_p95") == 1.5
    declared = {one.name: one for one in follower.check.declared()}
    assert declared["slow_took_p95"].unit == "seconds"
    assert declared["slow_total"].counter
    again = await follower.ask()
    assert value(again, "slow", table="users") == 0, "a set that was seen is there again with nothing"
    assert values(again, "slow_took_max") == {}


async def test_labels_are_bounded_in_number_and_length_for_good(log: Path) -> None:
    match = {"by": {"match": r"user=(?P<user>\S*)", "labels": ["user"]}}
    follower = Log(log, patterns=match)
    for batch in range(3):
        add(log, *(f"user={batch}-{number}-{'é' * 1000}" for number in range(60)))
        run = await follower.ask()
        follower.restart()
    counts = values(run, "by_total")
    assert len(counts) <= 51
    assert sum(counts.values()) == 180
    assert counts[(("user", "other"),)] == 130
    assert all(len(label) < 101 for labels in counts for _, label in labels)


async def test_exclusion_of_a_pattern_and_of_the_whole(log: Path) -> None:
    add(log, "ERROR a", "ERROR b known", "ERROR c noise", "known")
    run = await Log(
        log, exclude="noise", patterns={"errors": {"match": "ERROR", "exclude": "known"}, "all": "ERROR"}
    ).ask()
    assert (value(run, "errors"), value(run, "all"), value(run, "records")) == (1, 2, 4)


async def test_a_diagnosis_shows_what_matched_and_how_the_log_ends(log: Path) -> None:
    add(log, "ERROR one [req_7]", "password=hunter2", "the end")
    follower = Log(log)
    await follower.ask()
    await follower.ask()
    run = Run(follower.memory)
    await follower.check.diagnose(run)
    assert evidence(run, "errors") == "ERROR one [req_7]"
    assert evidence(run, "Correlation ids") == "req_7"
    assert evidence(run, f"End of {log}").endswith("password=***\nthe end\n")


def test_recommended_conditions_are_of_its_measurements() -> None:
    for one in Logfile.recommended:
        parse(one.when, {measured.name: measured for measured in Logfile.measurements})


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "one of path, container and journal is wanted"),
        ({"path": "x.log"}, "no absolute path"),
        ({"path": "/x", "journal": {}}, "one of path, container and journal"),
        ({"path": "/x", "patterns": {"Bad": "x"}}, "can't name a measurement"),
        ({"path": "/x", "patterns": {"a": "("}}, "no regular expression (RE2)"),
        ({"path": "/x", "patterns": {"a": "x*"}}, "found in every record"),
        ({"path": "/x", "patterns": {"a": {}}}, "one of match, level and where"),
        ({"path": "/x", "patterns": {"a": {"level": "error"}}}, "format: json"),
        ({"path": "/x", "patterns": {"a": {"match": "(?P<b>x)", "labels": ["c"]}}}, "no capture named 'c'"),
        ({"path": "/x", "patterns": {"a": {"match": "(?P<b>x)", "values": {"b": "furlong"}}}}, "is no unit"),
        ({"path": "/x", "patterns": {"records": "x"}}, "a measurement named records already"),
        ({"path": "/x", "patterns": {"a": "x", "a_total": "y"}}, "a measurement named a_total already"),
        ({"path": "/x", "patterns": {"a": r"\Ax"}}, r"\A is the end"),
        ({"path": "/x", "patterns": {"a": {"match": "(?P<job>x)", "labels": ["job"]}}}, "'job' can't be a label"),
        ({"path": "/x", "time": {"zone": "Mars"}}, "no time zone"),
        ({"path": "/x", "time": {"format": "yyyy"}}, "no format"),
        ({"path": "/x", "time": {"match": "x"}}, "parentheses around the time"),
        ({"path": "/x", "forbid": {"words": ["_"]}}, "is no key"),
        ({"journal": {}, "multiline": {"start": "x"}}, "multiline goes with path"),
        ({"container": {"name": "a", "engine": "ftp://x"}}, "unix:///var/run/docker.sock"),
    ],
)
def test_what_can_not_be_is_refused_with_a_sentence(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Logfile(name="log", **fields)
    assert sentence in str(refused.value)


async def test_a_name_that_is_no_text_is_said(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.log")).touch()
    await errs(Log(tmp_path / "*.log").check, Reason.INTERNAL, "not UTF-8", "rename it")


PIECES = [
    b"ERROR", b"\n", b"\r\n", b"\0", b"\xff", b'{"level":"error","time":1788220800}', b'"password":"x y"',
    b"4111111111111111", b"2026-09-01T00:00:00Z ", b"{" * 40, b" ", b'"', b"\\", "é❌".encode(), b"req_1", b"password=",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=20), max_size=30), st.booleans(), st.booleans())
async def test_no_content_breaks_it(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], json: bool, several: bool
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.log"
    patterns: dict[str, Any] = {"text": "ERROR", "by": {"match": r"(?P<what>\S+)=", "labels": ["what"]}}
    if json:
        patterns["errors"] = {"level": "error", "values": {"time": "s"}, "where": {"time": "> 5"}}
    follower = Log(
        path, patterns=patterns, format="json" if json else "text", forbid={}, exclude="never",
        multiline={"start": "^[2{]"} if several else None, missing="ok",
    )  # fmt: skip
    for count in (len(pieces) // 2, len(pieces)):
        path.write_bytes(b"".join(pieces[:count]))
        follower.now += 30
        run = Run(follower.memory, follower.now)
        with suppress(Failed):
            await follower.check.probe(run)
        assert len({(name, labels) for name, _, labels in run.measurements}) == len(run.measurements)
        assert not any("4111111111111111" in text or "x y" in text for _, text in run.evidences)
        assert orjson.dumps(follower.memory[KEPT])
