"""The `when` language: what it accepts, what it refuses and how, and what it says of results."""

from __future__ import annotations

import pytest

from alerts.thresholds import GONE, Judgement, WhenError, Windows, judge, parse
from checks.base import Labels, Measurement, Outcome, Result
from tests.alerts.conditions import KNOWN, one, result


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("duration_seconds > 200ms", (True, "300 ms", "over 200 ms", "duration_seconds")),
        ("duration_seconds > 2s", (False, "300 ms", "over 2 s", "duration_seconds")),
        ("200ms < duration_seconds", (True, "300 ms", "over 200 ms", "duration_seconds")),
        ("duration_seconds >= 0.3", (True, "300 ms", "at least 300 ms", "duration_seconds")),
        ("connections_used_ratio >= 80%", (True, "85 %", "at least 80 %", "connections_used_ratio")),
        ("connections_used_ratio > 80 %", (True, "85 %", "over 80 %", "connections_used_ratio")),
        ("memory_used_bytes > 2GiB", (False, "1 GiB", "over 2 GiB", "memory_used_bytes")),
        ("memory_used_bytes / 2 < 1 GiB", (True, "512 MiB", "under 1 GiB", "memory_used_bytes / 2")),
        (
            "memory_used_bytes / read_bytes_total > 50%",
            (False, "50 %", "over 50 %", "memory_used_bytes / read_bytes_total"),
        ),
        (
            "read_bytes_total / duration_seconds > 1GB / 1s",
            (True, "6.667 GiB/s", "over 953.7 MiB/s", "read_bytes_total / duration_seconds"),
        ),
        ("-duration_seconds < -0.2s", (True, "-300 ms", "under -200 ms", "-duration_seconds")),
        ("expires - now < 14d", (True, "10d", "under 14d", "expires - now")),
        ("now + 14d > expires", (True, "1970-01-15 00:16 UTC", "over 1970-01-11 00:16 UTC", "now + 14d")),
        ("master_link_up == 0", (True, "0", "equal to 0", "master_link_up")),
        ("master_link_up == false", (True, "0", "equal to 0", "master_link_up")),
        ("master_link_up", (False, "not master_link_up", "", "")),
        ("not master_link_up", (True, "not master_link_up", "", "")),
        ("not duration_seconds > 1s", (True, "300 ms", "at most 1 s", "duration_seconds")),
        ("failed", (False, "not failed", "", "")),
        ("not failed", (True, "not failed", "", "")),
        ("true", (True, "true", "", "")),
        ("false or duration_seconds > 0s", (True, "300 ms", "over 0 s", "duration_seconds")),
        ("duration_seconds > 1s or queries > 5", (True, "7/s", "over 5/s", "queries")),
        ("duration_seconds > 100ms and queries > 50", (False, "7/s", "over 50/s", "queries")),
        ("a + b * c == 7", (True, "7", "equal to 7", "a + b * c")),
        ("(a + b) * c == 9", (True, "9", "equal to 9", "(a + b) * c")),
        ("a - b - c == -4", (True, "-4", "equal to -4", "a - b - c")),
        ("c / c / c != 1", (True, "0.3333333333", "other than 1", "c / c / c")),
        ("a / (b - b) > 0", (None, "no value", "over 0", "a / (b - b)")),
        ("duration_seconds > 1h30m", (False, "300 ms", "over 1h 30m", "duration_seconds")),
        ("a < 1e9", (True, "1", "under 1000000000", "a")),
        ("failed or error or stale", (False, "not failed", "", "")),
        ("a == 1 or\n  b == 3", (True, "1", "equal to 1", "a")),
        ("not a == 1 and b == 2", (False, "1", "other than 1", "a")),
        ("not (a == 1 and b == 3)", (True, "2", "other than 3", "b")),
    ],
)
def test_says_what_is_breached_and_by_how_much(text: str, expected: tuple[bool | None, str, str, str]) -> None:
    answer = result(
        Outcome.OK, 0.3, connections_used_ratio=0.85, memory_used_bytes=2**30, read_bytes_total=2**31,
        master_link_up=0, expires=1_000 + 10 * 86_400, queries=7, a=1, b=2, c=3,
    )  # fmt: skip
    assert one(text, answer) == expected


@pytest.mark.parametrize(
    ("text", "sentence", "column"),
    [
        ("duration_second > 2s", "there is no measurement 'duration_second'; did you mean 'duration_seconds'?", 1),
        ("failed or memory > 2s", "did you mean 'memory_used_bytes'?", 11),
        ("qqq > 2s", "there are a, b, c, connections", 1),
        ("duration_seconds > 400MB", "duration_seconds is in seconds, 400MB is in bytes: they can't be compared", 20),
        ("memory_used_bytes + 5s > 1", "memory_used_bytes is in bytes, 5s is in seconds: they can't be added", 21),
        ("memory_used_bytes * expires > 1", "they can't be multiplied", 21),
        ("connections > 80%", "connections is a count, 80% is a share", 15),
        ("connections_used_ratio > 80", "write 80%", 26),
        ("expires > 14d", "expires is a point in time, 14d is in seconds", 11),
        ("duration_seconds", "duration_seconds is in seconds, not a condition; compare it with a limit", 1),
        ("failed and duration_seconds", "duration_seconds is in seconds, not a condition", 12),
        ("5", "5 is a number without a unit, not a condition", 1),
        ("failed == true", "failed is a condition already, not a number", 1),
        ("failed + 1 > 1", "failed is a condition already, not a number", 1),
        ("(a > 1) > 1", "(a > 1) is a condition where a number is wanted", 1),
        ("1 < a < 2", "comparisons can't be chained; write 1 < a and a …", 1),
        ("a > 400Mb", "there is no unit 'Mb'; did you mean MB?", 5),
        ("a > 5parsecs", "there is no unit 'parsecs'", 5),
        ("a > 1" + "0" * 400, "too large", 5),
        ("a > 0/0", "0/0 has no value", 5),
        ("avg(duration_seconds, 8d) > 1s", "a window of 8d is too long; 7d is the longest", 23),
        ("avg(duration_seconds, 0s) > 1s", "0s is not a window; write avg(duration_seconds, 10m)", 23),
        ("avg(duration_seconds, 10) > 1s", "10 is not a window", 23),
        ("avg(duration_seconds, a) > 1s", "a is not a window", 23),
        ("avg(duration_seconds) > 1s", "avg is written avg(duration_seconds, 10m)", 1),
        ("avg(1s, 10m) > 1s", "avg wants a measurement", 5),
        ("avg(failed, 10m) > 1s", "avg wants a measurement", 5),
        ("count_failed > 3", "count_failed wants parentheses: count_failed(10m)", 1),
        ("p96(a, 10m) > 3", "there is no function 'p96'; did you mean 'p9", 1),
        ("rate(queries, 10m) > 3", "rate of queries, which is per second, has no meaning", 6),
        ("delta(master_link_up, 10m) > 3", "delta of master_link_up, which is true or false, has no meaning", 7),
        ("rate(duration_second, 10m) > 3", "did you mean 'duration_seconds'?", 6),
        ('connections{stat="idle"} > 3', "connections has no label 'stat'; did you mean 'state'?", 13),
        ('connections{x="idle"} > 3', "connections has no label 'x'; it has db, state", 13),
        ('a{state="idle"} > 3', "a has no labels", 3),
        ('failed{state="idle"}', "failed has no labels", 1),
        ('connections{state=~"("} > 3', "'(' is not a regular expression", 13),
        ('connections{state=="idle"} > 3', 'write state="idle"', 13),
        ("a = 3", "'=' can't stand here; write `==`", 3),
        ("a > 1 && b > 1", "'&' can't stand here; write `and`", 7),
        ("a > 1 AND b > 1", "'AND' can't stand here; write `and`", 7),
        ("!failed", "'!' can't stand here; write `not`", 1),
        ("a >", "the condition ends too early", 4),
        ("a > 1)", "')' can't stand here", 6),
        ("and", "'and' can't stand here", 1),
        ("a $ 1", "'$' can't stand here", 3),
        ("  ", "the condition is empty", None),
        ("not " * 400 + "failed", "nested", None),
        ("(" * 1_000 + "failed", "ends too early", 1_007),
        ("a" * 2_001, "2000 are the most", None),
        ("-master_link_up == 1", "can't be negative", 1),
    ],
)
def test_refuses_with_a_sentence_and_its_place(text: str, sentence: str, column: int | None) -> None:
    with pytest.raises(WhenError) as caught:
        parse(text, KNOWN)
    assert sentence in caught.value.sentence
    assert caught.value.column == column


@pytest.mark.parametrize(
    ("outcome", "text", "breached"),
    [
        (Outcome.FAILED, "failed", True),
        (Outcome.FAILED, "failed or duration_seconds > 2s", True),
        (Outcome.FAILED, "duration_seconds > 2s", None),
        (Outcome.FAILED, "duration_seconds > 2s or failed", True),
        (Outcome.FAILED, "duration_seconds > 2s and failed", None),
        (Outcome.FAILED, "duration_seconds > 2s and not failed", False),
        (Outcome.FAILED, "not (failed or a > 1)", False),
        (Outcome.FAILED, "b > 1", True),
        (Outcome.FAILED, "error", False),
        (Outcome.ERROR, "failed", None),
        (Outcome.ERROR, "not failed", None),
        (Outcome.ERROR, "error", True),
        (Outcome.ERROR, "b > 1", None),
        (Outcome.ERROR, "failed or error", True),
        (Outcome.ERROR, "stale", False),
    ],
)
def test_missing_is_neither_true_nor_false(outcome: Outcome, text: str, breached: bool | None) -> None:
    assert one(text, result(outcome, 10.0, b=2)).breached is breached


def test_a_value_that_is_not_a_number_is_missing() -> None:
    assert one("a > 1", result(a=float("nan"))).breached is None
    assert one("a - b > 1", result(a=float("inf"), b=float("inf"))).breached is None
    assert one("a > 1", result(a=float("inf"))) == (True, "inf", "over 1", "a")


def test_a_recorded_duration_goes_before_the_measured_one() -> None:
    assert one("duration_seconds > 2s", result(Outcome.OK, 0.3, duration_seconds=3.0)).breached is True


def test_stale_is_the_caller_s_to_say() -> None:
    assert one("stale", result(), stale=True) == (True, "stale", "", "")


def labelled(*series: tuple[str, float, Labels]) -> Result:
    return Result(Outcome.OK, 1_000.0, 0.3, measurements=list(series))


IDLE, BUSY = ("state", "idle"), ("state", "busy")
SHOP, BANK = ("db", "shop"), ("db", "bank")
ESTATE = labelled(
    ("connections", 7.0, (SHOP, IDLE)),
    ("connections", 2.0, (SHOP, BUSY)),
    ("connections", 4.0, (BANK, IDLE)),
    ("connections_limit", 8.0, (SHOP,)),
    ("connections_limit", 8.0, (BANK,)),
    ("connections_used_ratio", 0.5, ()),
)


@pytest.mark.parametrize(
    ("text", "breached"),
    [
        ("connections > 3", {(SHOP, IDLE): True, (SHOP, BUSY): False, (BANK, IDLE): True}),
        ('connections{state="idle"} > 5', {(SHOP,): True, (BANK,): False}),
        ('connections{state="idle", db="shop"} > 5', {(): True}),
        ('connections{state!="idle"} > 5', {(SHOP, BUSY): False}),
        ('connections{db=~"s.*"} > 5', {(SHOP, IDLE): True, (SHOP, BUSY): False}),
        ('connections{db!~"s.*"} > 5', {(BANK, IDLE): False}),
        ('connections{db="none"} > 5', {(): False}),
        ('connections{db="none"} > 5 or connections_used_ratio > 40%', {(): True}),
        ('connections{state="idle"} > connections{state="busy"}', {(SHOP,): True, (BANK,): None}),
        ("connections / connections_limit > 80%", {(SHOP, IDLE): True, (SHOP, BUSY): False, (BANK, IDLE): False}),
        ("connections > 3 and connections_used_ratio > 40%",
         {(SHOP, IDLE): True, (SHOP, BUSY): False, (BANK, IDLE): True}),
        ("connections_used_ratio > 40%", {(): True}),
        ("failed or connections_limit > 3", {(SHOP,): True, (BANK,): True}),
    ],
)  # fmt: skip
def test_judges_each_label_set_by_itself(text: str, breached: dict[Labels, bool | None]) -> None:
    judged = judge(parse(text, KNOWN), ESTATE, None, 1_000.0)
    assert {labels: judgement.breached for labels, judgement in judged} == breached
    assert len(judged) == len(breached)


def test_a_label_set_whose_value_is_unknown_is_there() -> None:
    nan = float("nan")
    probed = labelled(("connections_limit", nan, (SHOP,)), ("connections_limit", 9.0, (BANK,)))
    judged = judge(parse("connections_limit > 5", KNOWN), probed, None, 1_000.0)
    assert {labels: judgement.breached for labels, judgement in judged} == {(SHOP,): None, (BANK,): True}
    [(_, fixed)] = judge(parse('connections_limit{db="shop"} > 5', KNOWN), probed, None, 1_000.0)
    assert fixed.breached is None


def test_a_label_set_that_an_ok_probe_does_not_report_is_gone_however_it_is_named() -> None:
    here, gone = parse('connections_limit{db="shop"} > 5', KNOWN), parse('connections_limit{db="none"} > 5', KNOWN)
    assert judge(here, ESTATE, None, 1_000.0) == [((), Judgement(True, "8", "over 5", 'connections_limit{db="shop"}'))]
    assert judge(gone, ESTATE, None, 1_000.0) == [((), GONE)]
    failing = Result(Outcome.FAILED, 1_000.0, 0.3)
    assert judge(gone, failing, None, 1_000.0)[0][1].breached is None
    usual = parse('connections_limit{db="shop"} > 3 * baseline(connections_limit{db="shop"})', KNOWN)
    assert judge(usual, ESTATE, Windows.of([usual]), 1_000.0)[0][1].breached is None


def test_tells_what_it_needs() -> None:
    condition = parse("failed or p95(duration_seconds, 10m) > 1s and avg(duration_seconds, 1h) > a", KNOWN)
    assert condition.names == {"duration_seconds", "a"}
    assert condition.mentions_outcome
    assert condition.windows == {"duration_seconds": 3600.0}
    assert parse("count_failed(10m) > 3", KNOWN).windows == {"failed": 600.0}
    assert parse("count_failed(10m) > 3", KNOWN).mentions_outcome
    assert not parse("a > 1", KNOWN).mentions_outcome


def test_a_thousand_checks_share_one_condition() -> None:
    assert parse("duration_seconds > 2s", KNOWN) is parse("duration_seconds > 2s", dict(KNOWN))
    as_bytes = {"a": Measurement("a", "bytes", "")}
    assert parse("a > 1", KNOWN) != parse("a > 1", as_bytes)
    assert one(parse("a > 1", as_bytes), result(a=2)).limit == "over 1 B"
