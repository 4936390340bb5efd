"""What keeps alerts quiet, and what is told when that is over, as timelines."""

import pytest

from alerts import silences
from alerts.inhibition import InhibitRule
from alerts.intervals import TimeInterval, TimeRange
from alerts.maintenance import Maintenance, Once
from alerts.muting import Muting
from alerts.notifiers.alertmanager import Alertmanager
from alerts.plan import StormLimit
from alerts.routing import Receiver, Route, parse_matcher
from alerts.telling import Telling
from alerts.vocabulary import Phase, Severity
from alerts.wording import clock_time
from checks.base import Outcome
from tests.alerts.notes import alert
from tests.timeline import START, Timeline, plan, receiver, threshold

LIMIT = StormLimit(pages=20, within=60, update=60)
SYSTEM = Route("team", group_by=("system",), group_interval=300, repeat_interval=3600)


def firing(line: Timeline) -> dict[str, str]:
    return {alert.name: alert.withheld for alert in line.engine.judging.live() if alert.phase is Phase.FIRING}


def test_what_is_silenced_is_not_told_and_the_end_of_the_silence_is_told_at_once():
    line = Timeline(plan(threshold("shop/a"), route=Route("team", group_wait=30)))
    line.silence('system="shop"', until=600)
    line.at(10).fail("shop/a")
    line.at(599)
    assert line.heard() == []
    assert firing(line)["ADown"].startswith("silenced by ann until")
    line.at(600)
    [page] = line.told
    assert "kept quiet until now: silenced by ann" in page.note.why
    assert line.heard() == ["600 team unmuted: ADown"]


def test_a_silence_hides_reminders_but_never_the_end_of_what_was_told():
    line = Timeline(plan(threshold("shop/a"), route=Route("team", repeat_interval=60)))
    line.fail("shop/a")
    line.silence('system="shop"', until=1000)
    line.at(500).ok("shop/a")
    assert line.heard() == ["0 team first: ADown", "500 team resolved: ADown"]


def test_what_was_told_before_it_was_silenced_is_told_again_when_the_silence_ends():
    line = Timeline(plan(threshold("shop/a")))
    line.fail("shop/a")
    line.silence('system="shop"', until=1000)
    line.at(1000)
    assert line.heard() == ["0 team first: ADown", "1000 team unmuted: ADown"]


def test_what_ends_while_it_is_silenced_was_never_news():
    line = Timeline(plan(threshold("shop/a")))
    line.silence('system="shop"', until=1000)
    line.fail("shop/a")
    line.at(100).ok("shop/a")
    line.at(2000)
    assert line.heard() == []
    assert not line.engine.tellings


def test_an_unsilenced_alert_of_a_group_joins_it_at_once():
    line = Timeline(plan(threshold("shop/a"), threshold("shop/b"), route=SYSTEM))
    line.silence('check="b"', until=60)
    line.fail("shop/a", "shop/b")
    line.at(61)
    assert line.heard() == ["0 team first: ADown", "60 team unmuted: ADown+BDown"]


def test_silences_survive_a_restart_and_so_does_what_they_held_back():
    line = Timeline(plan(threshold("shop/a")))
    line.silence('system="shop"', until=600)
    line.fail("shop/a")
    line.at(300).restart()
    line.fail("shop/a")
    line.at(599)
    assert line.heard() == []
    line.at(600)
    assert line.heard() == ["600 team unmuted: ADown"]


def test_a_silence_until_resolved_ends_with_what_it_silenced():
    line = Timeline(plan(threshold("shop/a")))
    line.silence('system="shop"', until=6000, until_resolved=True)
    line.at(10).fail("shop/a")
    line.at(20).ok("shop/a")
    line.at(30).fail("shop/a")
    assert line.heard() == ["30 team first: ADown"]


def test_its_author_is_warned_before_a_silence_ends_while_something_fires():
    line = Timeline(plan(threshold("shop/a")))
    line.silence('check="a"', until=7200)
    line.fail("shop/a")
    line.at(7200 - 901)
    assert line.heard() == []
    line.at(7200 - 900)
    [page] = line.told
    assert page.note.alerts[0].labels["author"] == "ann"
    assert "what it keeps quiet still fires: ADown" in page.note.alerts[0].sentence
    assert line.heard() == ["6300 team first: RunwatchSilenceEnds"]
    line.at(7200)
    assert line.heard() == ["7200 team unmuted: ADown", "7200 team resolved: RunwatchSilenceEnds"]


def test_nobody_is_warned_of_a_silence_that_holds_nothing_back():
    line = Timeline(plan(threshold("shop/a")))
    line.silence('check="a"', until=7200)
    line.at(9000)
    assert line.heard() == []


def test_a_silence_goes_by_the_wall_clock():
    line = Timeline(plan(threshold("shop/a")))
    line.silence('system="shop"', until=3590)
    line.fail("shop/a")
    line.engine.wall_ahead = 2990.0  # the machine's clock was an hour late, and has been set
    line.engine.judging.dirty = True
    line.at(599)
    assert line.heard() == []
    line.at(600)
    assert line.heard() == ["600 team unmuted: ADown"]


def test_what_is_inhibited_is_not_told_and_is_when_it_no_longer_is():
    rule = InhibitRule((parse_matcher('alertname="DbDown"'),), (parse_matcher('severity!="critical"'),), ("system",))
    db = threshold("shop/db", severity=Severity.CRITICAL)
    line = Timeline(plan(db, threshold("shop/web"), threshold("till/web"), inhibit_rules=(rule,)))
    line.fail("shop/db", "shop/web", "till/web")
    assert line.heard() == ["0 team first: DbDown", "0 team first: WebDown"]
    reasons = {alert.check: alert.withheld for alert in line.engine.judging.live()}
    assert reasons["shop/web"].startswith("DbDown on shop/db fires and")
    line.at(60).ok("shop/db")
    assert sorted(line.heard()) == ["60 team resolved: DbDown", "60 team unmuted: WebDown"]


def test_a_route_is_quiet_outside_its_hours_and_tells_when_they_begin():
    nine_to_five = TimeInterval("office", (TimeRange(times=((9 * 60, 17 * 60),)),))
    night = START - START % 86400
    route = Route("team", routes=(Route("team", (parse_matcher("severity=high"),), active_time_intervals=("office",)),))
    line = Timeline(plan(threshold("shop/a"), route=route, time_intervals={"office": nine_to_five}))
    line.at(86400 + night - START).fail("shop/a")
    assert line.heard() == []
    assert "office" in firing(line)["ADown"]
    line.at(86400 + night - START + 9 * 3600)
    assert [line.split(" ", 1)[1] for line in line.heard()] == ["team unmuted: ADown"]


def test_the_storm_of_a_moment_is_one_digest_that_names_causes_first_and_loses_nothing():
    checks = [f"shop/web{number}" for number in range(100)]
    thresholds = [threshold(check) for check in checks]
    thresholds.append(threshold("shop/db", severity=Severity.CRITICAL))
    line = Timeline(plan(*thresholds, storm=LIMIT))
    for check in [*checks, "shop/db"]:
        line.probe(check, Outcome.FAILED, decide=False)
    line.decide()
    [page] = line.told
    assert page.note.reason == "storm"
    assert page.note.alerts[0].name == "DbDown"
    assert len(page.note.alerts) == 101
    assert line.heard()[0].startswith("0 team storm: DbDown+")
    for check in checks:
        line.probe(check, decide=False)
    line.at(30)
    assert line.heard() == []
    line.at(60)
    assert line.heard() == ["60 team changed: DbDown"]
    line.at(61).ok("shop/db")
    assert line.heard() == ["61 team resolved: DbDown"]
    assert not line.engine.tellings


def test_after_a_storm_single_pages_come_as_ever():
    checks = [f"shop/web{number}" for number in range(30)]
    line = Timeline(plan(*[threshold(check) for check in checks], threshold("till/x"), storm=LIMIT))
    for check in checks:
        line.probe(check, Outcome.FAILED, decide=False)
    line.decide()
    line.told.clear()
    line.at(120).fail("till/x")
    assert line.heard() == ["120 team first: XDown"]


def test_a_storm_survives_a_restart_as_one_digest():
    checks = [f"shop/web{number}" for number in range(30)]
    line = Timeline(plan(*[threshold(check) for check in checks], storm=LIMIT))
    for check in checks:
        line.probe(check, Outcome.FAILED, decide=False)
    line.decide()
    line.told.clear()
    line.restart()
    for check in checks:
        line.fail(check)
    assert line.heard() == []
    for check in checks:
        line.ok(check)
    assert [said.split(":")[0] for said in line.heard()] == ["0 team resolved"]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"matchers": []}, "needs a matcher"),
        ({"matchers": ['a=""']}, "would silence everything"),
        ({"matchers": ['a=~".*"']}, "would silence everything"),
        ({"matchers": [f'l{number}="x"' for number in range(10_000)]}, "this one has 10000"),
        ({"ends_at": 0.0}, "needs an end"),
        ({"ends_at": 900.0}, "in the past"),
        ({"starts_at": 2000.0, "ends_at": 1500.0}, "must end after it starts"),
        ({"comment": "  "}, "an author and a comment"),
        ({"created_by": ""}, "an author and a comment"),
        ({"comment": "x" * 9000}, "may have 8000 characters"),
    ],
)
def test_what_can_not_be_a_silence_says_why(fields, sentence):
    given = {
        "matchers": ['a="b"'],
        "starts_at": 800.0,
        "ends_at": 2000.0,
        "created_by": "ann",
        "comment": "why",
    } | fields
    given["matchers"] = [parse_matcher(text) for text in given["matchers"]]
    with pytest.raises(ValueError, match=sentence):
        silences.new(**given, now=1000.0)


def test_editing_a_silence_is_as_in_alertmanager():
    one = silences.new([parse_matcher('a="b"')], 1000, 2000, "ann", "why", 1000)
    longer = silences.new([parse_matcher('a="b"')], 1500, 3000, "bob", "more", 1500)
    old, held = silences.changed(one, longer, 1500)
    assert old is None
    assert (held.id, held.starts_at, held.ends_at, held.created_by) == (one.id, 1000, 3000, "bob")
    other = silences.new([parse_matcher('a="c"')], 1500, 3000, "bob", "more", 1500)
    old, held = silences.changed(one, other, 1500)
    assert old is not None
    assert (old.id, old.state(1500)) == (one.id, "expired")
    assert held.id != one.id
    assert silences.silence_from(silences.silence_data(held)) == held


def test_until_the_next_business_hour():
    office = TimeInterval("office", (TimeRange(times=((9 * 60, 17 * 60),), weekdays=((1, 5),)),))
    monday_noon = 1_700_481_600.0
    assert silences.next_business_hour(monday_noon, office) == monday_noon + 21 * 3600
    friday_evening = monday_noon + 4 * 86400 + 8 * 3600
    assert silences.next_business_hour(friday_evening, office) == monday_noon + 7 * 86400 - 3 * 3600


def test_tellings_of_muted_alerts_hold_why():
    line = Timeline(plan(threshold("shop/a")))
    line.silence('system="shop"', until=600)
    line.fail("shop/a")
    [telling] = line.engine.tellings.values()
    assert isinstance(telling, Telling)
    assert not telling.told
    assert next(iter(telling.muted.values())).startswith("silenced by ann")


def test_a_receiver_without_any_notifier_is_said():
    line = Timeline(plan(threshold("shop/a"), receivers=[receiver("other")]))
    line.fail("shop/a")
    assert firing(line) == {"ADown": "receiver team has no notifier"}


def test_another_alertmanager_hears_again_and_again_of_what_it_knows_and_nothing_new_that_is_muted():
    other = Receiver("team", (Alertmanager(urls=("http://127.0.0.1:1/",)),))
    line = Timeline(plan(threshold("shop/a"), threshold("shop/b"), route=SYSTEM, receivers=[other]))
    line.fail("shop/a")
    line.at(30)
    line.silence('system="shop"', until=200)
    line.fail("shop/b")
    line.at(185)
    assert line.heard() == ["0 team first: ADown"] + [f"{second} team reminder: ADown" for second in (60, 120, 180)]
    line.at(201).ok("shop/a")
    assert line.heard() == ["200 team unmuted: ADown+BDown", "201 team changed: BDown"]


def test_maintenance_keeps_quiet_what_it_is_about_and_nothing_else():
    about = (parse_matcher("system=shop"), parse_matcher("check=a"))
    window = Maintenance("move", about, Once(START + 100), 500.0, "new racks")
    line = Timeline(plan(threshold("shop/a"), threshold("shop/b"), maintenance=(window,)))
    line.at(200).fail("shop/a", "shop/b")
    assert line.heard() == ["200 team first: BDown"]
    assert firing(line)["ADown"].startswith("maintenance move until ")
    assert firing(line)["ADown"].endswith(": new racks")
    line.at(1000)
    assert line.heard() == ["600 team unmuted: ADown"]
    unsaid = Maintenance("move", about, Once(START + 100), 500.0)
    line = Timeline(plan(threshold("shop/a"), maintenance=(unsaid,)))
    line.at(200).fail("shop/a")
    assert firing(line)["ADown"] == f"maintenance move until {clock_time(START + 600)}"


def test_a_silence_that_comes_later_holds_for_what_was_looked_at_before():
    line = Timeline(plan(threshold("shop/a"), route=Route("team", repeat_interval=100)))
    line.silence("system=bank", until=5000)
    line.fail("shop/a")
    line.silence("system=shop", until=450)
    line.heard()
    line.at(1000)
    assert line.heard()[0] == "450 team unmuted: ADown"


def test_a_silence_is_forgotten_five_days_after_its_end():
    line = Timeline(plan(threshold("shop/a")))
    made = line.silence("system=shop", until=100)
    line.at(100 + silences.KEPT_AFTER - 1).fail("shop/a")
    assert made.id in line.engine.muting.silences
    line.at(100 + silences.KEPT_AFTER + 1).ok("shop/a")
    assert made.id not in line.engine.muting.silences


def test_the_calendar_is_asked_again_when_the_clock_was_set_back():
    window = Maintenance("move", (parse_matcher("system=shop"),), Once(START + 100), 500.0)
    muting, fires = Muting(plan(maintenance=(window,)), {}), alert()
    for wall, quiet in ((START + 200, True), (START + 50, False), (START + 200, True), (START + 600, False)):
        muting.look([fires], wall)
        assert bool(muting.of(fires).why) == quiet
    assert muting.next_at() is None, "it never comes again"


def test_what_is_over_is_waited_for_by_nobody():
    over = silences.new([parse_matcher("system=shop")], START, START + 60, "ann", "deploy", START)
    muting = Muting(plan(), {over.id: over})
    muting.look([], START + 100)
    assert muting.next_at() is None
