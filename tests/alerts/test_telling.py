"""When a destination is told something: by a table, and that what was told is always resolved."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.telling import Pace, Scene, Telling, due

PACE = Pace(group_wait=10, group_interval=300, repeat_interval=3600)


def telling(told: Iterable[str], last_sent: float, **fields: object) -> Telling:
    """One that was told these."""
    return Telling("k", "t", "team", "g", {}, "d", {}, told=sorted(told), last_sent=last_sent, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("told", "last_sent", "firing", "pace", "now", "reason", "at"),
    [
        ("", 0, "", PACE, 100, "", None),
        ("", 0, "a", PACE, 95, "", 100),
        ("", 0, "a", PACE, 100, "first", None),
        ("a", 100, "a", PACE, 200, "", 3700),
        ("a", 100, "a", PACE, 3700, "reminder", None),
        ("a", 100, "ab", PACE, 200, "", 400),
        ("a", 100, "ab", PACE, 400, "added", None),
        ("ab", 100, "a", PACE, 200, "", 400),
        ("ab", 100, "a", PACE, 400, "changed", None),
        ("a", 100, "", PACE, 101, "resolved", None),
        ("a", 100, "b", PACE, 400, "added", None),
        ("a", 100, "", None, 101, "resolved", None),
        ("a", 100, "a", None, 9999, "", None),
        ("a", 100, "b", None, 101, "resolved", None),
        ("", 0, "a", None, 101, "", None),
    ],
)
def test_table(told, last_sent, firing, pace, now, reason, at):
    verdict = due(telling(told, last_sent), Scene(set(firing), first_fired=90.0), pace, now)
    assert (verdict.reason, verdict.at) == (reason, at)


@given(
    told=st.sets(st.sampled_from("abcd")),
    firing=st.sets(st.sampled_from("abcd")),
    routed=st.booleans(),
    now=st.integers(0, 10_000),
)
def test_what_was_told_and_ended_is_always_owed_something(told, firing, routed, now):
    verdict = due(telling(told, 100.0), Scene(firing, first_fired=50.0), PACE if routed else None, float(now))
    if told and not firing:
        assert verdict.reason == "resolved"
    if not told:
        assert verdict.reason in ("", "first")
    if verdict.reason == "resolved":
        assert not told & firing
    if firing and routed:
        assert verdict.reason or verdict.at is not None, "nobody would ever be told or reminded"


@pytest.mark.parametrize(
    ("told", "before", "scene", "now", "reason", "at"),
    [
        ("", "", Scene({"a"}, acked={"a"}, first_fired=90.0), 95, "", 100),
        ("ab", "ab", Scene({"a", "b"}, acked={"b"}), 200, "reminder", None),
        ("ab", "a", Scene({"a", "b"}, acked={"a", "b"}), 200, "acknowledged", None),
        ("a", "", Scene({"a"}, acked={"a"}, unheard={"acknowledged"}), 200, "", None),
        ("a", "", Scene({"a"}, flapping={"a"}), 200, "", 400),
        ("a", "", Scene({"a"}, flapping={"a"}), 400, "flapping", None),
        ("a", "", Scene({"a"}, flapping={"a"}, unheard={"flapping"}), 400, "", 3700),
        ("ab", "", Scene({"a"}, {"b"}), 400, "", 3700),
        ("ab", "a", Scene({"a"}, acked={"a"}), 200, "", 400),
        ("ab", "a", Scene({"a"}, acked={"a"}), 400, "changed", None),
        ("ab", "", Scene({"a"}, unheard={"changed"}), 400, "", 3700),
        ("ab", "", Scene({"a"}, elsewhere={"b"}), 400, "", 3700),
        ("b", "", Scene(set(), elsewhere={"b"}), 400, "", None),
        ("a", "", Scene({"a"}, escalated=True), 101, "escalated", None),
    ],
)
def test_scenes(told, before, scene, now, reason, at):
    verdict = due(telling(told, 100.0, acked=list(before)), scene, PACE, now)
    assert (verdict.reason, verdict.at) == (reason, at)


def test_a_reminder_that_comes_before_the_interval_says_what_has_ended():
    often = PACE._replace(repeat_interval=60)
    assert due(telling("ab", 100.0), Scene({"a"}), often, 120.0).at == 160
    assert due(telling("ab", 100.0), Scene({"a"}), often, 160.0).reason == "changed"


def test_it_says_why_nothing_is_told():
    assert due(telling("", 0.0), Scene(set()), PACE, 100.0).why == "nothing fires"
    assert due(telling("", 0.0), Scene(set(), {"a"}), PACE, 100.0).why == "all that fires is muted"
