"""What the command kind reads out of a plugin's output: performance data and ranges."""

from __future__ import annotations

from math import inf, isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.parts.nagios import MOST_ITEMS, Item, Range, parse_range, perfdata, read


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("load1=0.350;5.000;10.000;0;", Item("load1", 0.35, "number", Range(0, 5), Range(0, 10), 0)),
        ("'a b'=1c", Item("a b", 1, "count")),
        ("'it''s'=1", Item("it's", 1, "number")),
        ("''''=1", Item("'", 1, "number")),
        ("rta=12ms;100;500;0", Item("rta", 0.012, "seconds", Range(0, 0.1), Range(0, 0.5), 0)),
        ("t=5us", Item("t", 5e-6, "seconds")),
        ("t=5s;;;0;10", Item("t", 5, "seconds", None, None, 0, 10)),
        ("pl=25%;20;50;0;100", Item("pl", 0.25, "ratio", Range(0, 0.2), Range(0, 0.5), 0, 1)),
        ("/=3MB;~:2;@1:3", Item("/", 3 * 2**20, "bytes", Range(-inf, 2 * 2**20), Range(2**20, 3 * 2**20, True))),
        ("n=-1.5;10:;", Item("n", -1.5, "number", Range(10, inf))),
        ("n=.5", Item("n", 0.5, "number")),
        ("n=1e3", Item("n", 1000, "number")),
        ("temp=21C", Item("temp", 21, "C")),
        ("n=1;nonsense;20:10", Item("n", 1, "number")),
        ("n=1;2;3;4;5;6;7", Item("n", 1, "number", Range(0, 2), Range(0, 3), 4, 5)),
    ],
)
def test_performance_data_is_read_as_the_guidelines_say(text, item):
    found, unreadable = perfdata(text)
    assert unreadable == 0
    [read_item] = found
    assert read_item._replace(value=0, warn=None, crit=None) == item._replace(value=0, warn=None, crit=None)
    assert read_item.value == pytest.approx(item.value)
    for limits, wanted in ((read_item.warn, item.warn), (read_item.crit, item.crit)):
        assert (limits is None) == (wanted is None)
        if limits is not None and wanted is not None:
            assert limits.alerts_inside == wanted.alerts_inside
            assert (limits.low, limits.high) == pytest.approx((wanted.low, wanted.high))


@pytest.mark.parametrize(
    ("text", "labels", "unreadable"),
    [
        ("a=1 b=2", ["a", "b"], 0),
        ("  a=1\n\tb=2 ", ["a", "b"], 0),
        ("a=U b=U;1;2 c=3", ["c"], 0),
        ("a=1 a=2", ["a"], 1),
        ("nonsense a=1", ["a"], 1),
        ("a= b=2", ["b"], 1),
        ("=1 b=2", ["b"], 1),
        ("'a b' =1 c=3", ["c"], 2),
        ("'a b=1 c=3", [], 1),
        ("a=1,5 b=0x10 c=1e999 d=nan e=--1 f=1.2.3", [], 6),
        ("a=1e308PB", [], 1),
        ("a=" + "9" * 400, [], 1),
        ("x" * 200 + "=1", [], 1),
        ("", [], 0),
    ],
)
def test_what_is_no_performance_data_is_counted_and_passed_over(text, labels, unreadable):
    items, count = perfdata(text)
    assert ([item.label for item in items], count) == (labels, unreadable)


def test_labels_that_are_made_up_anew_are_bounded():
    assert len(perfdata(" ".join(f"l{n}=1" for n in range(500)))[0]) == MOST_ITEMS


@pytest.mark.parametrize(
    ("text", "alerting", "fine"),
    [
        ("10", (-0.1, 10.1), (0, 5, 10)),
        ("10:", (-1, 9.9), (10, 11, 1e9)),
        ("~:10", (10.1, 1e9), (-1e9, 0, 10)),
        ("10:20", (9.9, 20.1), (10, 15, 20)),
        ("@10:20", (10, 15, 20), (9.9, 20.1)),
        ("@10", (0, 10), (-1, 11)),
        ("-5:-1", (-6, 0), (-5, -1)),
        (":", (-1,), (0, 1e9)),
    ],
)
def test_a_range_alerts_as_the_guidelines_say(text, alerting, fine):
    limits = parse_range(text)
    assert limits is not None
    assert all(limits.alerts(at) for at in alerting)
    assert not any(limits.alerts(at) for at in fine)


@pytest.mark.parametrize("text", ["", "@", "~", "20:10", "a:b", "1:2:3", "10:~", "1e999", "٣"])
def test_what_is_no_range_is_none(text):
    assert parse_range(text) is None


def test_critical_goes_before_warning():
    assert Item("a", 11, "", Range(0, 5), Range(0, 10)).state == 2
    assert Item("a", 7, "", Range(0, 5), Range(0, 10)).state == 1
    assert Item("a", 3, "", Range(0, 5), Range(0, 10)).state == 0
    assert Item("a", 3, "", Range(0, 5), Range(5, 10)).state == 2


@given(st.text(alphabet="ab'=;:@~.|%0123456789eU \n\t\0msKB-+", max_size=200) | st.text(max_size=200))
def test_reading_never_raises_and_yields_numbers(text):
    said = read(text)
    for item in said.items:
        assert isfinite(item.value) and item.label
        assert item.state in (0, 1, 2)
    assert len({item.label for item in said.items}) == len(said.items)
    assert "|" not in said.text


@given(
    st.dictionaries(
        st.text(st.characters(exclude_characters="|=\n", exclude_categories=("Cs", "Zs", "Cc", "Zl", "Zp")), min_size=1)
        .filter(lambda text: len(text) <= 100),
        st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12),
        max_size=20,
    )
)  # fmt: skip
def test_what_was_written_as_the_guidelines_say_is_read_back(numbers):
    text = " ".join(f"'{label.replace(chr(39), chr(39) * 2)}'={at:.17f}" for label, at in numbers.items())
    items, unreadable = perfdata(text)
    assert unreadable == 0
    assert {item.label: item.value for item in items} == pytest.approx(numbers)


@pytest.mark.parametrize("unit", ["'", "' ''", "a", "1", "''", "'' ", "a=", "=", "' ", "9;"])
def test_reading_takes_time_in_proportion(unit):
    """A quadratic reading of 64 KiB would take minutes."""
    assert read("|" + unit * (65536 // len(unit))).unreadable >= 0
