"""The logfile kind on real files: what it counts, rotation in every manner, and what hostile logs do to it."""

from __future__ import annotations

import os
from collections.abc import Callable
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
from checks.parts.logfile.time import Time
from tests.checks.logs import START, Log, add
from tests.checks.probing import Memory, errs, evidence, fails, value, values


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


async def test_no_such_file_fails_or_not_as_configured(tmp_path: Path) -> None:
    await fails(Log(tmp_path / "none.log").check, Reason.ASSERTION, "cannot read", "none.log", "no such file")
    await fails(Log(tmp_path / "*.log").check, Reason.ASSERTION, "*.log")
    follower = Log(tmp_path / "*.log", missing="ok")
    assert value(await follower.ask(), "files") == 0
    add(tmp_path / "new.log", "ERROR")
    assert await follower.errors() == 1


async def test_one_missing_file_does_not_hide_another(tmp_path: Path) -> None:
    add(tmp_path / "a.log", "ERROR")
    check = Logfile(name="x", path=[str(tmp_path / "a.log"), str(tmp_path / "b.log")], start_at="beginning",
                    patterns={"errors": "ERROR"})  # fmt: skip
    assert value(await fails(check, Reason.ASSERTION, "b.log"), "errors") == 1


async def test_what_is_forbidden_is_told_also_while_another_file_is_missing(tmp_path: Path) -> None:
    add(tmp_path / "a.log", "password=hunter2")
    check = Logfile(name="x", path=[str(tmp_path / "a.log"), str(tmp_path / "b.log")], start_at="beginning", forbid={})
    memory: Memory = {}
    await fails(check, Reason.ASSERTION, "never be logged", memory=memory)
    await fails(check, Reason.ASSERTION, "never be logged", "the last", memory=memory)


async def test_a_file_that_is_gone_and_comes_back_is_read_on(log: Path) -> None:
    follower = Log(log, missing="ok")
    add(log, "ERROR 1")
    assert await follower.errors() == 1
    aside = log.with_name("elsewhere")
    log.rename(aside)
    assert await follower.errors() == 0
    aside.rename(log)
    add(log, "ERROR 2")
    assert await follower.errors() == 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.mkdir(), "it is a directory, not a file"),
        (lambda path: os.mkfifo(path), "it is a pipe, not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a device, not a file"),
        (lambda path: path.symlink_to(path.name), "symbolic link"),
    ],
)
async def test_what_is_no_file_fails_at_once(log: Path, make: Callable[[Path], None], words: str) -> None:
    log.unlink()
    make(log)
    await fails(Log(log).check, Reason.PROTOCOL, "cannot read", words)


async def test_too_many_files_are_our_mistake(tmp_path: Path) -> None:
    for number in range(501):
        (tmp_path / f"{number}.log").touch()
    await errs(Log(tmp_path / "*.log").check, Reason.INTERNAL, "more than 500 files", "narrow it down")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
@pytest.mark.parametrize("pattern", ["app.log", "*.log"])
async def test_no_right_to_read_is_ours(log: Path, pattern: str) -> None:
    log.parent.chmod(0o700 if pattern == "app.log" else 0o300)
    log.chmod(0o600)
    check = Log(log.parent / pattern).check
    os.seteuid(65534)
    try:
        await errs(check, Reason.AUTH, "cannot read", "permission denied", "right to read")
    finally:
        os.seteuid(0)
        log.parent.chmod(0o700)


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


async def test_numbers_that_only_look_like_times_are_no_delay(log: Path) -> None:
    follower = Log(log)
    await follower.ask()
    add(log, "1234567890 is an order", "2019-01-01T00:00:00Z copied from an old log")
    assert values(await follower.ask(), "delay_p95_seconds") == {}


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
