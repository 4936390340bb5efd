"""Why somebody is, or is not, told, and what comes next: as timelines."""

from alerts.escalation import EscalationStep
from alerts.explaining import outlook, routes_taken
from alerts.intervals import TimeInterval, TimeRange
from alerts.routing import Route, parse_matcher
from tests.timeline import START, Timeline, plan, receiver, threshold

LADDER = (EscalationStep("lead", 900), EscalationStep("boss", 1800))
PEOPLE = [receiver("team", "one", "two"), receiver("lead"), receiver("boss")]


def ways(line: Timeline, name: str = "ADown") -> list[tuple[object, ...]]:
    """Receiver, whether it knows, what is next, and when in seconds after the start."""
    [mark] = [alert.fingerprint for alert in line.engine.judging.live() if alert.name == name]
    return [
        (one.receiver, one.told, one.next_reason, None if one.next_at is None else one.next_at - START)
        for one in outlook(line.engine, mark, line.now)
    ]


def test_who_knows_who_is_reminded_when_and_who_hears_next():
    route = Route("team", escalation=LADDER, repeat_interval=3600)
    line = Timeline(plan(threshold("shop/a"), threshold("shop/b"), route=route, receivers=PEOPLE))
    line.at(10).fail("shop/a")
    line.fail("shop/b")
    line.at(20)
    assert ways(line) == [
        ("team", True, "reminder", 3610),
        ("team", True, "reminder", 3610),
        ("lead", False, "escalated", 910),
        ("boss", False, "escalated", 1810),
    ]
    mark = line.told[0].note.alerts[0].fingerprint
    first, *_, last = outlook(line.engine, mark, line.now)
    assert (first.by, first.last_sent, first.muted, first.why) == (
        "webhook", START + 10, "", "nothing new since the last message",
    )  # fmt: skip
    assert (last.by, last.last_sent, last.why) == ("", 0.0, "step 2 of the escalation, unless somebody acknowledges it")
    line.at(910)
    assert ways(line)[2:] == [("boss", False, "escalated", 1810), ("lead", True, "reminder", 910 + 3600)]
    assert outlook(line.engine, "another", line.now) == []


def test_what_somebody_has_goes_to_nobody_else():
    line = Timeline(plan(threshold("shop/a"), route=Route("team", escalation=LADDER), receivers=PEOPLE))
    line.fail("shop/a")
    line.at(10).ack()
    assert ways(line) == [("team", True, "", None)] * 2
    assert {one.why for one in outlook(line.engine, line.told[0].note.alerts[0].fingerprint, line.now)} == {
        "no more reminders: acknowledged"
    }


def test_what_waits_for_its_group_says_until_when():
    line = Timeline(plan(threshold("shop/a"), route=Route("team", group_wait=30.0)))
    line.fail("shop/a")
    line.at(10)
    assert ways(line) == [("team", False, "first", 30)]


def test_what_joins_a_group_is_told_with_it_and_what_is_muted_says_why():
    route = Route("team", group_by=("system",), group_interval=300.0)
    line = Timeline(plan(threshold("shop/a"), threshold("shop/b"), threshold("shop/c"), route=route))
    line.fail("shop/a")
    line.silence('alertname="CDown"', until=5000)
    line.at(10).fail("shop/b")
    line.fail("shop/c")
    assert ways(line, "BDown") == [("team", False, "added", 300)]
    assert ways(line, "ADown") == [("team", True, "added", 300)]
    [mark] = [alert.fingerprint for alert in line.engine.judging.live() if alert.name == "CDown"]
    [way] = outlook(line.engine, mark, line.now)
    assert way.muted.startswith("silenced by ann") and way.muted.endswith(": deploy")
    assert (way.told, way.last_sent) == (False, 0.0)


def test_what_is_due_at_this_moment_is_due_now():
    line = Timeline(plan(threshold("shop/a"), route=Route("team", repeat_interval=100.0)))
    line.fail("shop/a")
    line.now = START + 250
    assert ways(line) == [("team", True, "reminder", 250)]


def test_where_labels_lead_and_what_keeps_it_quiet():
    child = Route(
        "night", matchers=(parse_matcher('system="shop"'),), group_by=("alertname",), mute_time_intervals=("always",)
    )
    tree = Route("team", routes=(child,))
    always = {"always": TimeInterval("always", (TimeRange(),))}
    watch = plan(route=tree, receivers=[receiver("team"), receiver("night")], time_intervals=always)
    [taken] = routes_taken(watch, {"system": "shop", "alertname": "A"}, START)
    assert [route.receiver for route in taken.path] == ["team", "night"]
    assert (taken.group, bool(taken.quiet)) == ({"alertname": "A"}, True)
    [taken] = routes_taken(watch, {"system": "bank", "alertname": "A"}, START)
    assert (taken.path, taken.quiet) == ((tree,), "")
    assert taken.group == {"system": "bank", "alertname": "A"}
