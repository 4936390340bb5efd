"""What one message holds: the worst first, causes before symptoms, the rest counted; and several messages as one."""

from dataclasses import replace

import pytest

from alerts.message import MOST_TALLIED, compose, impact, merged
from alerts.telling import Telling
from alerts.vocabulary import Alert, Phase, Severity
from tests.alerts.notes import NOON, alert, note, resolved
from tests.timeline import plan, threshold

PLAN = plan(
    threshold("shop/database"),
    threshold("shop/web"),
    depends_on={"shop/web": ["shop/database"], "shop/cart": ["shop/database", "shop/web"]},
    external_url="https://watch.example.com",
    answerable=frozenset({"slack"}),
)


def fires(name: str, severity: Severity = Severity.HIGH, **fields: object) -> Alert:
    """A firing alert of a check on which nothing depends."""
    return alert(name, **{"severity": severity, "check": f"shop/{name}", "impact": [], **fields})


def composed(*alerts: Alert, reason: str = "first", most: int = 0, kind: str = "slack", failing: tuple[str, ...] = ()):
    telling = Telling("k", "t", "team", "team:{}", {"system": "shop"}, "dedup", {"kind": kind, "config": {}})
    return compose(telling, alerts, reason, "why", most, PLAN, failing, NOON)


def names(made):
    return [one.name for one in made.alerts]


def test_it_is_addressed_as_the_telling_says():
    made = composed(fires("A"))
    assert (made.receiver, made.group_key, made.dedup_key, made.group_labels) == (
        "team",
        "team:{}",
        "dedup",
        {"system": "shop"},
    )
    assert (made.status, made.reason, made.why, made.at) == ("firing", "first", "why", NOON)
    assert made.external_url == "https://watch.example.com"


def test_only_the_end_of_all_is_a_resolve():
    ended = fires("A", phase=Phase.INACTIVE)
    assert composed(ended, reason="resolved").status == "resolved"
    assert composed(ended, fires("B"), reason="changed").status == "firing"


@pytest.mark.parametrize(
    "ordered",
    [
        (fires("A", phase=Phase.FIRING, severity=Severity.LOW), fires("B", Severity.CRITICAL, phase=Phase.INACTIVE)),
        (fires("A", Severity.CRITICAL), fires("B", Severity.HIGH)),
        (fires("A", check="shop/database"), fires("B", check="shop/web"), fires("C", check="shop/cart")),
        (fires("A", Severity.CRITICAL), fires("B", check="shop/database")),
        (fires("A", since=NOON - 100), fires("B", since=NOON - 50)),
        (fires("A", check="shop/web", since=NOON), fires("B", since=NOON - 50)),
        (fires("A"), fires("B")),
    ],
    ids=[
        "what fires",
        "the worse",
        "the cause",
        "the worse before the cause",
        "the older",
        "the cause before the older",
        "the first by name",
    ],
)
def test_first_comes(ordered):
    for given in (ordered, ordered[::-1]):
        assert names(composed(*given)) == sorted(names(composed(*given)))
        assert names(composed(*given, most=1)) == ["A"]


def test_what_does_not_fit_is_counted_by_name():
    alerts = [fires("Slow", Severity.LOW) for _ in range(3)] + [fires("Down", Severity.CRITICAL), fires("Full")]
    made = composed(*alerts, most=2)
    assert (names(made), made.left_out) == (["Down", "Full"], 3)
    assert made.tally == [("Slow", 3), ("Down", 1), ("Full", 1)]
    for most in (0, 5, 6):
        made = composed(*alerts, most=most)
        assert (len(made.alerts), made.left_out, made.tally) == (5, 0, [])
    assert len(composed(*[fires(f"A{number}") for number in range(200)], most=1).tally) == MOST_TALLIED


def test_a_button_is_offered_only_where_somebody_listens():
    assert composed(fires("A")).answerable
    assert not composed(fires("A"), kind="webhook").answerable


def test_impact_names_what_can_not_succeed_and_what_already_fails():
    down = fires("A", check="shop/database")
    assert impact(down, PLAN, ["shop/cart"]) == ["shop/cart (failing)", "shop/web"]
    assert composed(down, failing=("shop/web",)).alerts[0].impact == ["shop/web (failing)", "shop/cart"]
    deep = replace(PLAN, dependents=PLAN.dependents | {"shop/cart": ("shop/till", "shop/bill")})
    assert impact(down, deep, []) == ["shop/cart", "shop/web"], "what others need goes before what nobody needs"
    assert impact(fires("A", check="shop/database", phase=Phase.INACTIVE), PLAN, []) == []
    assert impact(fires("A", check="shop/cart"), PLAN, []) == []
    slow = fires("Slow", check="shop/database", reason="")
    assert impact(slow, PLAN, []) == [], "it answers: nothing need fail"
    assert impact(slow, PLAN, ["shop/cart"]) == ["shop/cart (failing)"]


def test_several_messages_are_one_with_what_fires_first():
    made = merged(
        [resolved(), note(fires("A"), fires("B", Severity.CRITICAL)), note(fires("C"), left_out=7, dedup_key="x")], 2
    )
    assert (made.status, made.reason) == ("firing", "storm")
    assert made.why == "3 messages waited for this receiver and come as one"
    assert (names(made), made.left_out) == (["B", "A"], 2 + 7)
    assert made.dedup_key == resolved().dedup_key != note(dedup_key="x").dedup_key
    assert dict(made.tally) == {"DatabaseDown": 1, "A": 1, "B": 1, "C": 1}


def test_the_ends_of_several_are_an_end():
    made = merged([resolved(), resolved()], 0)
    assert (made.status, len(made.alerts), made.left_out) == ("resolved", 2, 0)
