"""Who hears next when nobody acknowledges: the pure ladder by a table, the rest as timelines."""

import pytest

from alerts.escalation import Escalation, EscalationStep, climb
from alerts.routing import Route, parse_matcher
from alerts.vocabulary import Severity
from checks.base import Outcome
from tests.timeline import Timeline, plan, receiver, threshold

LADDER = (EscalationStep("lead", 900), EscalationStep("boss", 1800))
PEOPLE = [receiver("team"), receiver("lead"), receiver("boss")]


def ladder(*thresholds, **fields):
    route = Route("team", group_by=("system",), escalation=LADDER, repeat_interval=86400, **fields)
    return plan(*(thresholds or (threshold("shop/a"),)), route=route, receivers=PEOPLE)


@pytest.mark.parametrize(
    ("before", "waiting", "rank", "now", "due", "taken", "at"),
    [
        (None, True, 1, 100, (), 0, 1000),
        (Escalation("k", 100, 1), True, 1, 999, (), 0, 1000),
        (Escalation("k", 100, 1), True, 1, 1000, (0,), 1, 1900),
        (Escalation("k", 100, 1), True, 1, 9999, (0, 1), 2, None),
        (Escalation("k", 100, 1, 2), True, 1, 9999, (), 2, None),
        (Escalation("k", 100, 1, 1), False, 1, 9999, (), 1, None),
        (Escalation("k", 100, 1, 2), True, 0, 5000, (), 0, 5900),
        (Escalation("k", 100, 0, 2), True, 1, 5000, (), 2, None),
        (Escalation("k", 100, 1, 2, paused=True), True, 1, 5000, (), 0, 5900),
    ],
)
def test_ladder(before, waiting, rank, now, due, taken, at):
    climbed = climb(before, "k", LADDER, waiting, rank, 0.0, now)
    assert (climbed.due, climbed.escalation.taken, climbed.at) == (due, taken, at)


def test_a_step_without_a_time_of_its_own_goes_by_the_systems():
    assert climb(None, "k", [EscalationStep("lead")], True, 1, 600.0, 100).at == 700
    assert climb(None, "k", [EscalationStep("lead")], True, 1, 0.0, 100).at == 1000


def test_without_acknowledgement_the_next_hears_and_everybody_hears_the_end():
    line = Timeline(ladder())
    line.fail("shop/a")
    line.at(2000)
    assert line.told[1].note.why == "step 1: nobody acknowledged it within 15m"
    assert line.heard() == ["0 team first: ADown", "900 lead escalated: ADown", "1800 boss escalated: ADown"]
    line.at(2100).ok("shop/a")
    assert line.heard() == [f"2100 {name} resolved: ADown" for name in ("team", "lead", "boss")]
    assert not line.engine.ladders.positions


def test_an_acknowledgement_stops_escalation_and_reminders_and_is_told():
    line = Timeline(
        plan(threshold("shop/a"), route=Route("team", escalation=LADDER, repeat_interval=300), receivers=PEOPLE)
    )
    line.fail("shop/a")
    line.at(100).ack()
    line.at(9000)
    assert line.heard() == ["0 team first: ADown", "100 team acknowledged: ADown"]
    line.at(9001).ok("shop/a")
    assert line.heard() == ["9001 team resolved: ADown"]


def test_an_acknowledgement_that_ends_begins_the_ladder_anew():
    line = Timeline(ladder())
    line.fail("shop/a")
    line.at(100).ack(until=5000)
    line.at(5000 + 900)
    assert line.heard() == [
        "0 team first: ADown",
        "100 team acknowledged: ADown",
        "5000 team reminder: ADown",
        "5900 lead escalated: ADown",
    ]


def test_acknowledging_twice_is_told_once():
    line = Timeline(ladder())
    line.fail("shop/a")
    line.ack()
    line.ack()
    assert line.heard() == ["0 team first: ADown", "0 team acknowledged: ADown"]


def test_what_is_acknowledged_by_another_person_says_so():
    line = Timeline(ladder())
    line.fail("shop/a")
    line.ack("ann")
    line.ack("bob")
    assert [alert.acked_by for alert in line.engine.judging.live()] == ["bob"]


def test_what_joins_an_acknowledged_group_is_nobodys_yet():
    line = Timeline(ladder(threshold("shop/a"), threshold("shop/b")))
    line.fail("shop/a")
    line.at(10).ack()
    line.at(400).fail("shop/b")
    line.at(1299)
    assert line.heard() == ["0 team first: ADown", "10 team acknowledged: ADown", "400 team added: ADown+BDown"]
    line.at(1300)
    assert line.heard() == ["1300 lead escalated: ADown+BDown"]


def test_the_position_is_kept_over_restarts():
    line = Timeline(ladder())
    line.fail("shop/a")
    line.at(1000)
    line.heard()
    line.restart()
    line.fail("shop/a")
    line.at(1799)
    assert line.heard() == []
    line.at(1800)
    assert line.heard() == ["1800 boss escalated: ADown"]


def test_what_gets_worse_begins_anew():
    line = Timeline(ladder(threshold("shop/a"), threshold("shop/b", severity=Severity.CRITICAL)))
    line.fail("shop/a")
    line.at(1000).fail("shop/b")
    line.heard()
    line.at(1899)
    assert "escalated" not in " ".join(line.heard())
    line.at(1900)
    assert line.heard() == ["1900 lead escalated: BDown+ADown"]


def test_muted_alerts_escalate_to_nobody():
    line = Timeline(ladder())
    line.silence('system="shop"', until=3000)
    line.fail("shop/a")
    line.at(2999)
    assert line.heard() == []
    line.at(3000 + 900)
    assert line.heard() == ["3000 team unmuted: ADown", "3900 lead escalated: ADown"]


def test_where_no_ladder_is_said_the_same_people_hear_once_more_when_their_time_is_over():
    line = Timeline(plan(threshold("shop/a", respond_within=900.0), route=Route("team", repeat_interval=86400)))
    line.fail("shop/a")
    line.at(5000)
    assert line.heard() == ["0 team first: ADown", "900 team escalated: ADown"]


def test_reminders_have_an_end_where_one_is_said():
    line = Timeline(plan(threshold("shop/a"), route=Route("team", repeat_interval=100, max_reminders=2)))
    line.fail("shop/a")
    line.at(5000)
    assert line.heard() == ["0 team first: ADown", "100 team reminder: ADown", "200 team reminder: ADown"]


def test_later_steps_without_a_time_come_as_many_times_later():
    steps = [EscalationStep("lead"), EscalationStep("boss")]
    assert climb(Escalation("k", 100, 1, 1), "k", steps, True, 1, 600.0, 700).at == 1300


def test_the_shortest_time_to_respond_counts_and_those_without_one_do_not():
    watched = [
        threshold("shop/a", respond_within=700.0),
        threshold("shop/b", respond_within=600.0),
        threshold("shop/c"),
    ]
    line = Timeline(plan(*watched, route=Route("team", group_by=("system",), repeat_interval=86400)))
    for check in ("shop/a", "shop/b", "shop/c"):
        line.probe(check, Outcome.FAILED, decide=False)
    line.at(5000)
    assert [said.partition(":")[0] for said in line.heard()] == ["0 team first", "600 team escalated"]


def test_a_step_without_any_time_comes_after_a_quarter_of_an_hour():
    route = Route("team", escalation=(EscalationStep("lead"),), repeat_interval=86400)
    line = Timeline(plan(threshold("shop/a"), route=route, receivers=PEOPLE))
    line.fail("shop/a")
    line.at(5000)
    assert line.heard() == ["0 team first: ADown", "900 lead escalated: ADown"]


def test_what_nobody_has_to_respond_to_climbs_nothing():
    line = Timeline(plan(threshold("shop/a")))
    line.fail("shop/a")
    assert not line.engine.ladders.positions


def test_each_group_climbs_in_its_own_time_and_every_step_is_explained():
    route = Route("team", escalation=LADDER, repeat_interval=86400)
    line = Timeline(plan(threshold("shop/a"), threshold("shop/b"), route=route, receivers=PEOPLE))
    line.fail("shop/a")
    line.at(500).fail("shop/b")
    line.at(1500)
    assert line.heard()[2:] == ["900 lead escalated: ADown", "1400 lead escalated: BDown"]
    steps = [one for one in line.engine.findings.decisions if one.step == "escalated"]
    assert [one.why for one in steps] == ["to lead, step 1: nobody acknowledged it within 15m"] * 2
    assert steps[0].fingerprint != steps[1].fingerprint


def test_a_step_to_somebody_who_is_not_there_is_passed_over():
    route = Route("team", escalation=LADDER, repeat_interval=86400)
    line = Timeline(plan(threshold("shop/a"), route=route, receivers=[receiver("team"), receiver("boss")]))
    line.fail("shop/a")
    line.at(5000)
    assert line.heard() == ["0 team first: ADown", "1800 boss escalated: ADown"]


def test_a_step_that_begins_anew_still_owes_the_end_of_what_it_told():
    """The lead hears of what is grave anyway, and of the rest by the ladder only."""
    ladder_to_lead = {"group_by": ("system",), "escalation": LADDER[:1], "repeat_interval": 86400}
    grave = Route("lead", (parse_matcher("severity=critical"),), group_by=("system",), repeat_interval=86400)
    first = threshold("shop/a", severity=Severity.CRITICAL), threshold("shop/b", severity=Severity.LOW)
    tree = Route("team", routes=(Route("team", follow_on=True, **ladder_to_lead), grave))
    line = Timeline(plan(*first, route=tree, receivers=PEOPLE))
    line.fail("shop/a", "shop/b")
    line.at(950)
    assert "900 lead escalated: ADown+BDown" in line.heard()
    line.ack(until=1000)
    line.at(1100)
    assert [one for one in line.heard() if "lead" in one] == ["950 lead acknowledged: ADown+BDown",
                                                              "1000 lead reminder: ADown"]  # fmt: skip
    line.at(1200).ok("shop/b")
    line.at(1300).ok("shop/a")
    [ended] = [one.note for one in line.told if one.note.receiver == "lead" and one.note.reason == "resolved"]
    told = {alert.name for one in line.told if one.note.receiver == "lead" for alert in one.note.resolved}
    assert told == {"ADown", "BDown"}, ended
