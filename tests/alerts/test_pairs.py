"""What telling's features do to each other, in pairs, as timelines: nobody twice, nobody never, nothing muted."""

from dataclasses import replace

import pytest

from alerts.escalation import EscalationStep
from alerts.explaining import outlook
from alerts.intervals import TimeInterval, TimeRange
from alerts.notifiers.webhook import Webhook
from alerts.plan import StormLimit
from alerts.routing import Receiver, Route, parse_matcher
from alerts.vocabulary import Severity
from checks.base import Outcome, Reason, Result
from tests.timeline import START, Timeline, plan, receiver, threshold

PEOPLE = [receiver("team"), receiver("lead"), receiver("boss")]
LADDER = (EscalationStep("lead", 900), EscalationStep("boss", 1800))
ALWAYS = {"always": TimeInterval("always", (TimeRange(times=((0, 1440),)),))}
BY_SYSTEM = Route("team", group_by=("system",))


def again_and_again(line: Timeline, begin: int, end: int) -> None:
    """A decision every second, as when probes of other checks stir the engine."""
    for second in range(begin, end):
        line.at(second).engine.judging.dirty = True
        line.decide()


@pytest.mark.parametrize(
    "route", [Route("team", escalation=LADDER[:1]), Route("team"), Route("team", escalation=LADDER)]
)
def test_a_ladder_may_be_shortened_or_taken_away_while_somebody_stands_on_it(route):
    line = Timeline(plan(threshold("shop/a"), route=Route("team", escalation=LADDER), receivers=PEOPLE))
    line.fail("shop/a")
    line.at(2000)
    assert len(line.heard()) == 3
    line.engine.replan(plan(threshold("shop/a"), route=route, receivers=PEOPLE), line.now)
    line.at(5000).ack(until=6000)
    line.restart()
    line.fail("shop/a")
    line.at(5500).ok("shop/a")
    ends = [said for said in line.heard() if "resolved" in said]
    assert ends == [f"5500 {name} resolved: ADown" for name in ("team", "lead", "boss")]


def test_what_one_of_two_routes_to_the_same_group_lets_through_is_told_once():
    quiet = Route("team", mute_time_intervals=("always",), follow_on=True)
    for routes in ((quiet, Route("team")), (Route("team", follow_on=True), quiet)):
        line = Timeline(plan(threshold("shop/a"), route=Route("team", routes=routes), time_intervals=ALWAYS))
        line.fail("shop/a")
        again_and_again(line, 1, 9)
        assert line.heard() == ["0 team first: ADown"]


def test_a_step_of_the_ladder_whose_own_route_is_quiet_hears_once():
    ways = (
        Route("team", group_by=("alertname",), escalation=LADDER[:1], follow_on=True),
        Route("lead", group_by=("alertname",), mute_time_intervals=("always",)),
    )
    top = Route("boss", routes=ways)
    line = Timeline(plan(threshold("shop/a"), route=top, receivers=PEOPLE, time_intervals=ALWAYS))
    line.fail("shop/a")
    again_and_again(line, 900, 909)
    assert line.heard() == ["0 team first: ADown", "900 lead escalated: ADown"]


def test_a_group_to_which_two_routes_lead_goes_by_the_sooner_of_their_times_and_has_the_ladder():
    critical = Route(
        "team", (parse_matcher("severity=critical"),), group_by=("system",), group_interval=20, escalation=LADDER
    )
    top = Route("team", group_by=("system",), routes=(critical,))
    shop = threshold("shop/a", severity=Severity.LOW), threshold("shop/b", severity=Severity.CRITICAL)
    line = Timeline(plan(*shop, route=top, receivers=PEOPLE))
    line.fail("shop/a")
    line.at(10).fail("shop/b")
    line.at(2000)
    assert line.heard() == [
        "0 team first: ADown",
        "20 team added: BDown+ADown",
        "910 lead escalated: BDown+ADown",
        "1810 boss escalated: BDown+ADown",
    ]


def test_a_route_that_is_quiet_lends_its_ladder_to_nobody():
    ways = (
        Route("team", escalation=LADDER, mute_time_intervals=("always",), follow_on=True),
        Route("team", repeat_interval=86400),
    )
    line = Timeline(
        plan(threshold("shop/a"), route=Route("team", routes=ways), receivers=PEOPLE, time_intervals=ALWAYS)
    )
    line.fail("shop/a")
    line.at(4000)
    assert line.heard() == ["0 team first: ADown"]


@pytest.mark.parametrize(("ladder", "who"), [((), "team"), (LADDER[:1], "lead")])
def test_a_storm_that_nobody_acknowledges_escalates_as_a_storm(ladder, who):
    many = [threshold(f"shop/c{number}", respond_within=900.0) for number in range(40)]
    route = Route("team", group_by=("alertname",), repeat_interval=86400, escalation=ladder)
    line = Timeline(plan(*many, route=route, receivers=PEOPLE, storm=StormLimit(5, 60, 60)))
    for number in range(40):
        line.at(number / 10).fail(f"shop/c{number}")
    line.at(800).heard()
    line.at(1000)
    told = line.told
    assert len(told) <= 7
    assert {parcel.note.receiver for parcel in told} == {who}
    assert {alert.check for parcel in told for alert in parcel.note.alerts} >= {one.check for one in many}
    line.told.clear()
    line.at(1100).ok(*(one.check for one in many))
    line.at(1200)
    assert not line.engine.tellings


def test_more_that_fires_does_not_put_off_a_reminder():
    route = Route("team", group_by=("system",), group_interval=300, repeat_interval=60)
    line = Timeline(plan(threshold("shop/a"), threshold("shop/b"), route=route))
    line.fail("shop/a")
    line.at(90).fail("shop/b")
    line.at(130)
    assert line.heard() == ["0 team first: ADown", "60 team reminder: ADown", "120 team added: ADown+BDown"]


def test_a_fallback_hears_nothing_that_was_silenced_meanwhile():
    people = [receiver("team", fallback="boss"), receiver("boss")]
    line = Timeline(plan(threshold("shop/a"), receivers=people))
    line.fail("shop/a")
    [page] = line.told
    line.at(60).silence('system="shop"', until=5000)
    line.at(120).engine.fall_over(page, line.now)
    line.at(130).ok("shop/a")
    assert line.heard() == ["0 team first: ADown", "130 team resolved: ADown"]


def test_a_fallback_hears_the_end_only_of_what_it_heard_of():
    people = [receiver("team", fallback="boss"), receiver("boss")]
    line = Timeline(plan(threshold("shop/a"), threshold("shop/b"), route=BY_SYSTEM, receivers=people))
    line.fail("shop/a", "shop/b")
    line.at(301)
    page = line.told[-1]
    line.at(310).ok("shop/a")
    line.at(320).engine.fall_over(page, line.now)
    line.at(330).ok("shop/b")
    names = [
        sorted(alert.name for alert in parcel.note.alerts) for parcel in line.told if parcel.note.receiver == "boss"
    ]
    assert names == [["BDown"], ["BDown"]]


def test_who_wants_to_hear_of_no_end_hears_of_none():
    hook = Webhook(url="http://127.0.0.1/", send_resolved=False)
    shop = threshold("shop/a"), threshold("shop/b"), threshold("shop/c")
    line = Timeline(plan(*shop, route=BY_SYSTEM, receivers=[Receiver("team", (hook,))]))
    line.fail("shop/a", "shop/b")
    line.at(301).ok("shop/a")
    line.at(2000).fail("shop/c")
    line.at(2001).ok("shop/b", "shop/c")
    assert [parcel.note.resolved for parcel in line.told] == [[], [], []]
    assert line.heard() == ["0 team first: ADown", "300 team added: ADown+BDown", "2000 team added: BDown+CDown"]
    assert not line.engine.tellings


def test_what_is_foretold_of_a_ladder_is_what_happens():
    slow = threshold("shop/a", respond_within=14400.0, severity=Severity.LOW)
    route = Route("team", group_by=("system",), repeat_interval=86400)
    line = Timeline(plan(slow, threshold("shop/b", respond_within=900.0), route=route))
    line.fail("shop/a", "shop/b")
    line.at(400)
    mark = next(alert.fingerprint for alert in line.engine.judging.live() if alert.check == "shop/a")
    [foretold] = [way.next_at for way in outlook(line.engine, mark, line.now) if way.next_reason == "escalated"]
    line.heard()
    line.at(4000)
    assert [parcel.created for parcel in line.told] == [foretold] == [START + 900]


def test_an_alert_that_is_muted_moves_nobody_when_it_is_asked_again():
    """Ten thousand silenced alerts are probed hundreds of times a second: each decision would look at all of them."""
    line = Timeline(plan(threshold("shop/a"), threshold("shop/web"), depends_on={"shop/web": ["shop/db"]}))
    line.silence('check="a"', until=6000)
    line.fail("shop/a", "shop/db", "shop/web")
    line.engine.judging.observe("shop/a", Result(Outcome.FAILED, line.now, 0.0, Reason.CONNECT_REFUSED, ""), line.now)
    assert not line.engine.stirred


def test_each_of_many_silences_is_found_whenever_it_came_and_however_it_was_edited():
    line = Timeline(plan(threshold("shop/a")))
    line.silence('check="other"', until=6000)
    line.fail("shop/a")
    [held] = line.engine.judging.live()
    made = line.silence('check="a"', until=600)
    assert line.engine.muting.silenced_by(held) == (made.id,)
    elsewhere = replace(made, matchers=(parse_matcher("check=b"),))
    line.engine.silence(elsewhere)
    assert line.engine.muting.silenced_by(held) == ()
    line.engine.silence(made)
    line.engine.silence(replace(made, ends_at=made.ends_at + 60))
    assert line.engine.muting.silenced_by(held) == (made.id,)
    line.at(660)
    assert line.engine.muting.silenced_by(held) == ()
    line.engine.silence(replace(made, ends_at=START + 900))
    line.decide()
    assert line.engine.muting.silenced_by(held) == (made.id,)


def test_a_warning_of_a_silences_end_is_told_once_though_we_are_restarted():
    line = Timeline(plan(threshold("shop/a")))
    silence = line.silence('check="a"', until=7200)
    line.fail("shop/a")
    line.at(6400).restart()
    line.fail("shop/a")
    line.at(6500)
    assert line.heard() == ["6300 team first: RunwatchSilenceEnds"]
    line.engine.silence(replace(silence, ends_at=START + 20000))
    line.at(6600)
    assert line.heard() == ["6500 team resolved: RunwatchSilenceEnds"]


def test_a_complaint_about_a_receiver_ends_with_the_receiver():
    """A receiver whose token is revoked is taken out of the configuration: nobody would ever say that it is over."""
    people = [receiver("team"), receiver("boss")]
    line = Timeline(plan(threshold("shop/a"), receivers=people))
    line.fail("shop/a")
    line.engine.attempted(line.told[0], "dead", "token revoked", line.now)
    line.at(1)
    assert line.heard() == ["0 team first: ADown", "0 boss first: RunwatchReceiverRefuses"]
    line.engine.replan(plan(threshold("shop/a"), route=Route("boss"), receivers=people[1:]), line.now)
    line.at(10)
    assert "1 boss resolved: RunwatchReceiverRefuses" in line.heard()


def test_the_end_of_an_acknowledgement_is_foretold():
    line = Timeline(plan(threshold("shop/a"), route=Route("team", repeat_interval=300)))
    line.fail("shop/a")
    line.at(10).ack(until=1000)
    [alert] = line.engine.judging.live()
    [way] = outlook(line.engine, alert.fingerprint, line.now)
    assert (way.next_reason, way.next_at) == ("reminder", START + 1000)
    line.heard()
    line.at(1000)
    assert line.heard() == ["1000 team reminder: ADown"]
