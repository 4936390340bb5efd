"""Whatever happens in whatever order: told firing, told resolved, by every destination, and no symptom told."""

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.routing import Matcher, Route
from alerts.vocabulary import Severity
from checks.base import Outcome
from tests.timeline import START, Timeline, plan, receiver, threshold

CHECKS = ("shop/db", "shop/web", "shop/mail", "till/print")
DEPENDS = {"shop/web": ["shop/db"], "shop/mail": ["shop/web", "shop/db"]}
THRESHOLDS = (
    threshold("shop/db", severity=Severity.CRITICAL),
    threshold("shop/web", hold=20),
    threshold("shop/web", "duration_seconds > 2s", alert="WebSlow", severity=Severity.LOW),
    threshold("shop/mail", keep_firing=30),
    threshold("till/print"),
)
PLANS = (
    plan(*THRESHOLDS, depends_on=DEPENDS, route=Route("team", group_by=("system",), group_interval=60)),
    plan(
        *THRESHOLDS,
        depends_on=DEPENDS,
        route=Route(
            "chat",
            group_by=("alertname",),
            repeat_interval=300,
            routes=(Route("on-call", (Matcher("severity", "=~", "critical|high"),), group_wait=5, follow_on=True),),
        ),
        receivers=[receiver("chat"), receiver("on-call", "pager", "mail")],
    ),
    plan(*THRESHOLDS[:2], depends_on={"shop/web": ["shop/db"]}, receivers=[receiver("team", "elsewhere")]),
)

EVENTS = st.one_of(
    st.tuples(st.just("fail"), st.sampled_from(CHECKS)),
    st.tuples(st.just("ok"), st.sampled_from(CHECKS)),
    st.tuples(st.just("slow"), st.sampled_from(CHECKS)),
    st.tuples(st.just("error"), st.sampled_from(CHECKS)),
    st.tuples(st.just("suspect"), st.sampled_from(CHECKS)),
    st.tuples(st.just("wait"), st.sampled_from([1, 10, 70, 400])),
    st.tuples(st.just("restart"), st.none()),
    st.tuples(st.just("configure"), st.sampled_from(range(len(PLANS)))),
)


class Ears:
    """What each destination was told, as its reader would remember it."""

    def __init__(self) -> None:
        self.firing: dict[tuple[str, str], set[str]] = {}

    def hear(self, line: Timeline) -> None:
        for parcel in line.told:
            note = parcel.note
            where = (repr(parcel.destination), note.dedup_key)
            before = self.firing.get(where, set())
            firing = {alert.fingerprint for alert in note.firing}
            ended = {alert.fingerprint for alert in note.resolved}
            assert note.alerts, "a message about nothing"
            assert (note.status == "resolved") == (not firing)
            assert ended <= before, "told of an end without having been told of the beginning"
            match note.reason:
                case "first":
                    assert not before, "a first page to somebody who knows"
                case "resolved":
                    assert before and ended == before, "the resolve leaves somebody open"
                case "added":
                    assert firing - before
                case "changed":
                    assert before - firing and not firing - before
                case "reminder":
                    assert firing == before
            self.firing[where] = firing
        line.told.clear()


@settings(max_examples=300, deadline=None)
@given(st.lists(EVENTS, max_size=40))
def test_told_firing_told_resolved(events):
    line, ears = Timeline(PLANS[0]), Ears()
    for event, what in events:
        match event:
            case "fail":
                line.fail(what)
            case "ok":
                line.ok(what, duration_seconds=0.1)
            case "slow":
                line.ok(what, duration_seconds=5.0)
            case "error":
                line.probe(what, Outcome.ERROR)
            case "suspect":
                line.engine.judging.answers.suspect(what)
            case "wait":
                line.at(line.now - START + what)
            case "restart":
                line.restart()
            case "configure":
                line.engine.replan(PLANS[what], line.now)
                line.decide()
        ears.hear(line)
    for _ in range(3):
        for check in CHECKS:
            line.ok(check, duration_seconds=0.1)
        line.at(line.now - START + 40)
        ears.hear(line)
    assert not any(ears.firing.values()), "somebody still believes that something fires"
    assert not line.engine.tellings and not line.engine.judging.alerts


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["fail", "ok"]), st.sampled_from(["shop/web", "shop/mail"])), max_size=20))
def test_nobody_hears_of_a_symptom_while_its_cause_is_down(events):
    line = Timeline(PLANS[0])
    line.fail("shop/db")
    line.told.clear()
    for event, check in events:
        line.at(line.now - START + 5)
        line.fail(check) if event == "fail" else line.ok(check, duration_seconds=9.0)
        line.fail("shop/db")
    assert {alert.check for parcel in line.told for alert in parcel.note.alerts} <= {"shop/db"}
