"""Inhibit rules: Alertmanager's semantics in a table, beside a slow model, and at the size of a storm."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.inhibition import Inhibitor, InhibitRule
from alerts.matching import Matcher, matches_all, parse_matchers
from alerts.vocabulary import Alert, Severity, fingerprint


def alert(check: str = "", **labels: str) -> Alert:
    return Alert(fingerprint(labels), labels, check, Severity.HIGH)


def rule(source: str, target: str, *equal: str, name: str = "") -> InhibitRule:
    return InhibitRule(parse_matchers(source), parse_matchers(target), equal, name)


GRAVE = rule('severity="critical"', 'severity="warning"', "system", "cluster")
BOTH = rule('severity=~"critical|warning"', 'severity=~"warning|info"', "system")


@pytest.mark.parametrize(
    ("one", "firing", "asked", "inhibited"),
    [
        (GRAVE, [alert(severity="critical", system="a")], alert(severity="warning", system="a"), True),
        (GRAVE, [alert(severity="critical", system="a")], alert(severity="warning", system="b"), False),
        (GRAVE, [alert(severity="critical", system="a")], alert(severity="info", system="a"), False),
        (GRAVE, [alert(severity="info", system="a")], alert(severity="warning", system="a"), False),
        (GRAVE, [], alert(severity="warning", system="a"), False),
        # A label that is missing is equal to one that is missing, or empty.
        (GRAVE, [alert(severity="critical")], alert(severity="warning"), True),
        (GRAVE, [alert(severity="critical", system="")], alert(severity="warning"), True),
        (GRAVE, [alert(severity="critical", system="a", cluster="x")], alert(severity="warning", system="a"), False),
        # What both sides match is inhibited only by what the target does not match.
        (BOTH, [alert(severity="warning")], alert(severity="info"), True),
        (BOTH, [alert(severity="critical")], alert(severity="warning"), True),
        (BOTH, [alert(severity="warning", n="1")], alert(severity="warning", n="2"), False),
        (BOTH, [alert(severity="warning", n="1"), alert(severity="critical")], alert(severity="warning", n="2"), True),
        (BOTH, [alert(severity="critical"), alert(severity="warning", n="1")], alert(severity="warning", n="2"), True),
        (BOTH, [alert(severity="warning")], alert(severity="warning"), False),
        (rule("", ""), [alert(a="1")], alert(a="2"), False),
        (rule("", 'a="2"'), [alert(a="1")], alert(a="2"), True),
        (rule('a="2"', ""), [alert(a="2")], alert(a="1"), True),
        (rule('a=""', 'b="x"'), [alert(c="1")], alert(a="1", b="x"), True),
    ],
)
def test_an_alert_is_inhibited_or_not(one: InhibitRule, firing: list[Alert], asked: Alert, inhibited: bool) -> None:
    inhibitor = Inhibitor([one])
    inhibitor.sources(firing)
    assert bool(inhibitor.why(asked)[0]) is inhibited
    assert bool(inhibitor.why(asked)[1]) is inhibited


def test_the_reason_names_who_fires_and_the_rule() -> None:
    source = alert("shop/database", alertname="DatabaseDown", severity="critical")
    asked = alert("shop/front", severity="warning")
    for one, said in (
        (rule('severity="critical"', 'severity="warning"', name="grave"), "rule grave"),
        (GRAVE, 'the rule {severity="critical"} over {severity="warning"} where system, cluster is the same'),
    ):
        inhibitor = Inhibitor([one])
        inhibitor.sources([source])
        why = f"DatabaseDown on shop/database fires and {said} inhibits this"
        assert inhibitor.why(asked) == (source.fingerprint, why)


def test_what_no_longer_fires_inhibits_no_more() -> None:
    inhibitor = Inhibitor([GRAVE])
    inhibitor.sources([alert(severity="critical")])
    assert inhibitor.why(alert(severity="warning"))[0]
    inhibitor.sources([])
    assert inhibitor.why(alert(severity="warning")) == ("", "")


def slowly(rules: list[InhibitRule], firing: list[Alert], asked: Alert) -> set[str]:
    """Who may be said to inhibit it, by Alertmanager's own loop."""
    found = set()
    for one in rules:
        if not matches_all(one.target, asked.labels):
            continue
        both = matches_all(one.source, asked.labels)
        for other in firing:
            if not matches_all(one.source, other.labels):
                continue
            if any(other.labels.get(name, "") != asked.labels.get(name, "") for name in one.equal):
                continue
            if both and matches_all(one.target, other.labels):
                continue
            found.add(other.fingerprint)
    return found


label_sets = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "x", "y", "z"]), max_size=3)
operators = st.sampled_from(["=", "=", "!=", "=~", "!~"])
matchers = st.builds(Matcher, st.sampled_from("abc"), operators, st.sampled_from(["", "x", "x|y", ".*", "[yz]"]))
sides = st.lists(matchers, max_size=2).map(tuple)
rules_made = st.lists(
    st.builds(InhibitRule, sides, sides, st.lists(st.sampled_from("abc"), max_size=2).map(tuple)), max_size=4
)


@settings(max_examples=300, deadline=None, database=None)
@given(rules_made, st.lists(label_sets, max_size=8))
def test_it_is_as_asking_every_rule_of_every_pair_finds_it(
    rules: list[InhibitRule], sets: list[dict[str, str]]
) -> None:
    firing = [alert(**labels) for labels in sets]
    inhibitor = Inhibitor(rules)
    inhibitor.sources(firing)
    for asked in firing:
        might = slowly(rules, firing, asked)
        found, why = inhibitor.why(asked)
        assert (found in might and why) if might else (found, why) == ("", "")


def test_a_storm_is_judged_by_what_it_is_asked_once() -> None:
    rules = [rule(f'alertname="Cause{number}"', 'severity!="critical"', "system") for number in range(50)]
    asks = 0

    class Counted(dict[str, str]):
        def get(self, key: str, otherwise: str = "") -> str:  # type: ignore[override]
            nonlocal asks
            asks += 1
            return super().get(key, otherwise)

    causes = [alert(alertname="Cause7", severity="critical", system="s1")]
    storm = causes + [
        Alert(str(number), Counted(alertname="Slow", severity="high", system=f"s{number % 5}"), "", Severity.HIGH)
        for number in range(10_000)
    ]
    inhibitor = Inhibitor(rules)
    inhibitor.sources(storm)
    assert asks == 10_000, "one look at each alert's name finds the rules that it may be a source of"
    assert sum(bool(inhibitor.why(one)[0]) for one in storm) == 2_000
