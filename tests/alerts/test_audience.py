"""Where alerts are put: one place heard is enough, nobody is said why, and what is over leaves nothing behind."""

import pytest

from alerts.audience import Audience, Gathering, sooner
from alerts.escalation import EscalationStep
from alerts.intervals import TimeInterval, TimeRange
from alerts.muting import Muting
from alerts.notifiers.pagerduty import PagerDuty
from alerts.notifiers.webhook import Webhook
from alerts.routing import Receiver, Route, parse_matcher
from tests.alerts.notes import alert
from tests.timeline import START, Timeline, plan, receiver, threshold

ALWAYS = {"always": TimeInterval("always", (TimeRange(),))}
BOTH = Route(
    "team",
    routes=(
        Route("team", group_by=("alertname",), follow_on=True),
        Route("mail", group_by=("alertname",), mute_time_intervals=("always",)),
    ),
)


def withheld(line: Timeline) -> list[str]:
    """Why nobody is told of what fires."""
    return [one.withheld for one in line.engine.judging.live()]


def test_what_somebody_hears_is_not_withheld():
    line = Timeline(
        plan(threshold("shop/a"), route=BOTH, receivers=[receiver("team"), receiver("mail")], time_intervals=ALWAYS)
    )
    line.fail("shop/a")
    assert (line.heard(), withheld(line)) == (["0 team first: ADown"], [""])
    assert line.engine.suppressed == {}


def test_what_nobody_hears_says_why_and_is_counted():
    for route, why in (
        (Route("team", (parse_matcher("system=bank"),)), "no route leads anywhere: nobody is configured to be told"),
        (Route("nobody"), "receiver nobody has no notifier"),
    ):
        line = Timeline(plan(threshold("shop/a"), route=route, receivers=[receiver("team"), Receiver("nobody")]))
        line.fail("shop/a")
        assert (line.heard(), withheld(line)) == ([], [why])
        assert line.engine.suppressed == {"route": 1}


def test_an_aimed_alert_goes_past_routes_and_mutes_to_one_kind_of_notifier():
    notifiers = Webhook(url="http://127.0.0.1/"), PagerDuty(routing_key="k" * 32)  # type: ignore[arg-type]
    watch = plan(receivers=[Receiver("team", notifiers), receiver("mail")], route=BOTH, time_intervals=ALWAYS)
    one, gathering, muting = alert(), Gathering(watch), Muting(watch, {})
    muting.look([one], START)
    gathering.gather([one], muting, lambda alert: "")
    gathering.aim(one.fingerprint, "team", "pagerduty")
    [aimed] = gathering.gather([one], muting, lambda alert: "")[0].values()
    assert [notifier.kind for notifier in aimed.receiver.notifiers] == ["pagerduty"]
    assert aimed.labels == one.labels
    gathering.aim(one.fingerprint, "team")
    [aimed] = gathering.gather([one], muting, lambda alert: "")[0].values()
    assert [notifier.kind for notifier in aimed.receiver.notifiers] == ["webhook", "pagerduty"]
    gathering.forget(one.fingerprint)
    assert [route.receiver for route in gathering.routes_of(one)] == ["team", "mail"]


def test_what_is_over_leaves_nothing_behind():
    line = Timeline(plan(threshold("shop/a")))
    line.silence("system=bank", until=5000)
    line.fail("shop/a")
    [mark] = [one.fingerprint for one in line.engine.judging.live()]
    line.engine.aim(mark, "team")
    line.decide()
    memory = (line.engine.gathering, line.engine.muting)
    assert all(mark in repr(vars(one)) for one in memory)
    line.at(60).ok("shop/a")
    line.at(7200)
    line.decide()
    assert not [one for one in memory if mark in repr(vars(one))]


def test_a_group_is_ready_when_its_first_alert_has_waited():
    alerts = {name: alert(name, fired_at=fired_at) for name, fired_at in (("a", 120.0), ("b", 100.0), ("c", 110.0))}
    assert Audience(receiver("team"), Route("team", group_wait=30.0), "k", {}, open=alerts).ready_at == 130.0


def test_a_group_is_told_when_its_first_alert_has_waited():
    line = Timeline(
        plan(threshold("shop/a"), threshold("shop/b"), route=Route("team", group_by=("system",), group_wait=30.0))
    )
    line.fail("shop/a")
    line.at(20).fail("shop/b")
    line.at(100)
    assert line.heard() == ["30 team first: ADown+BDown"]


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ({"group_wait": 5.0}, {"group_wait": 9.0}, {"group_wait": 5.0}),
        ({"group_interval": 5.0}, {"group_interval": 9.0}, {"group_interval": 5.0}),
        ({"repeat_interval": 5.0}, {"repeat_interval": 9.0}, {"repeat_interval": 5.0}),
        ({"escalation": (EscalationStep("a", 60),)}, {}, {"escalation": (EscalationStep("a", 60),)}),
        (
            {"escalation": (EscalationStep("a", 60),)},
            {"escalation": (EscalationStep("b", 50),)},
            {"escalation": (EscalationStep("b", 50),)},
        ),
        ({"max_reminders": 2}, {"max_reminders": 3}, {"max_reminders": 3}),
        ({"max_reminders": 2}, {}, {"max_reminders": None}),
        ({"max_reminders": 0}, {"max_reminders": 0}, {"max_reminders": 0}),
        ({"max_reminders": 0}, {"max_reminders": 1}, {"max_reminders": 1}),
    ],
)
def test_a_group_of_two_routes_goes_by_the_sooner(one, other, both):
    for pair in ((one, other), (other, one)):
        assert sooner(*[Route("team", **fields) for fields in pair]) == Route("team", **both)
