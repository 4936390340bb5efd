"""From results to pages, as timelines on a virtual clock."""

from alerts.routing import Matcher, Route
from alerts.vocabulary import Phase, Severity
from alerts.wording import facts, summary
from checks.base import Outcome, Result
from tests.timeline import START, Timeline, plan, receiver, threshold


def test_a_failure_is_paged_at_once_and_resolved_at_once():
    line = Timeline(plan(threshold("shop/database")))
    line.ok("shop/database")
    line.at(30).fail("shop/database")
    assert line.heard() == ["30 team first: DatabaseDown"]
    line.at(60).fail("shop/database")
    assert line.heard() == []
    line.at(90).ok("shop/database")
    [ended] = line.told[0].note.alerts
    assert summary(ended, line.now) == "back to normal after 1m"
    assert line.heard() == ["90 team resolved: DatabaseDown"]


def test_error_is_not_down_and_ends_nothing():
    line = Timeline(plan(threshold("shop/database")))
    line.probe("shop/database", Outcome.ERROR)
    assert line.heard() == []
    line.at(30).fail("shop/database")
    line.at(60).probe("shop/database", Outcome.ERROR)
    assert line.heard() == ["30 team first: DatabaseDown"]


def test_for_holds_and_keep_firing_keeps():
    line = Timeline(plan(threshold("shop/api", "duration_seconds > 2s", hold=60, keep_firing=40)))
    for second in (0, 30):
        line.at(second).ok("shop/api", duration_seconds=3.0)
    assert line.heard() == []
    line.at(60).ok("shop/api", duration_seconds=3.0)
    assert line.heard() == ["60 team first: ApiDown"]
    for second in (90, 120):
        line.at(second).ok("shop/api", duration_seconds=0.1)
    assert line.heard() == []
    line.at(130).ok("shop/api", duration_seconds=0.1)
    assert line.heard() == ["130 team resolved: ApiDown"]


def test_hysteresis_ends_at_the_lower_limit_only():
    line = Timeline(plan(threshold("shop/db", "used_ratio > 80%", resolve_when="used_ratio < 70%")))
    for second, ratio in ((0, 0.85), (30, 0.75), (60, 0.79)):
        line.at(second).ok("shop/db", used_ratio=ratio)
    assert line.heard() == ["0 team first: DbDown"]
    line.at(90).ok("shop/db", used_ratio=0.69)
    assert line.heard() == ["90 team resolved: DbDown"]


def test_what_a_comparison_decides_is_not_told_in_the_words_of_another_failure():
    line = Timeline(plan(threshold("shop/db"), threshold("shop/db", "used_ratio > 80%", alert="DbFull")))
    line.probe("shop/db", Outcome.FAILED, used_ratio=0.9)
    told = {alert.labels["alertname"]: summary(alert, line.now) for parcel in line.told for alert in parcel.note.alerts}
    assert told == {"DbDown": "cannot reach shop/db: refused", "DbFull": "used_ratio = 90 %, limit: over 80 %"}


def test_each_label_set_is_its_own_alert_and_one_that_vanishes_ends():
    line = Timeline(plan(threshold("shop/queue", "depth > 100")))
    mail, bills = (("queue", "mail"),), (("queue", "bills"),)
    line.probe("shop/queue", labels=mail, depth=500)
    assert [dict(alert.labels)["queue"] for alert in line.engine.judging.live()] == ["mail"]
    line.at(30).probe("shop/queue", labels=bills, depth=5)
    assert line.told[-1].note.alerts[0].annotations["ended"] == "no longer reported"
    assert line.heard() == ["0 team first: QueueDown", "30 team resolved: QueueDown"]


def test_an_alert_about_one_label_set_says_which():
    line = Timeline(plan(threshold("shop/queue", "depth > 100")))
    line.probe("shop/queue", labels=(("queue", "mail"), ("host", "a")), depth=500)
    [alert] = line.told[-1].note.alerts
    assert summary(alert, line.now) == "queue=mail, host=a: depth = 500, limit: over 100"
    assert "Which" not in dict(facts(alert, line.now)), "once is enough"
    alert.annotations["summary"] = "The queue is deep."
    assert dict(facts(alert, line.now))["Which"] == "queue=mail, host=a"


def test_evidence_begins_with_what_the_alert_is_about():
    line = Timeline(plan(threshold("shop/queue", "depth > 100")))
    known = [(f"noise{number}", 1.0, ()) for number in range(50)]
    known += [("depth", 500.0, (("queue", "mail"),)), ("age", 7.0, (("host", "a"), ("queue", "mail")))]
    line.engine.judging.observe("shop/queue", Result(Outcome.OK, line.now, 0.001, measurements=known), line.now)
    [alert] = line.engine.judging.live()
    [(title, text)] = alert.evidence
    assert title == "Measured"
    assert text.splitlines()[:3] == ["depth{queue=mail} = 500", "age{host=a, queue=mail} = 7", "noise0 = 1"]


def test_a_label_set_whose_value_is_unknown_for_once_goes_on():
    line = Timeline(plan(threshold("shop/queue", "depth > 100")))
    mail = (("queue", "mail"),)
    line.probe("shop/queue", labels=mail, depth=500)
    line.at(30).probe("shop/queue", labels=mail, depth=float("nan"))
    assert line.heard() == ["0 team first: QueueDown"]
    line.at(60).probe("shop/queue", labels=mail, depth=5)
    assert "ended" not in line.told[-1].note.alerts[0].annotations
    assert line.heard() == ["60 team resolved: QueueDown"]


def test_alerts_of_one_group_are_one_page_and_later_ones_wait_for_the_interval():
    route = Route("team", group_by=("system",), group_interval=300)
    line = Timeline(plan(threshold("shop/a"), threshold("shop/b"), threshold("shop/c"), route=route))
    line.probe("shop/a", Outcome.FAILED, decide=False)
    line.probe("shop/b", Outcome.FAILED)
    line.at(10).fail("shop/c")
    assert line.heard() == ["0 team first: ADown+BDown"]
    line.at(300)
    assert line.heard() == ["300 team added: ADown+BDown+CDown"]
    line.at(310).ok("shop/a", "shop/b")
    line.at(320).ok("shop/c")
    assert line.heard() == ["320 team resolved: ADown+BDown+CDown"]


def test_reminders_keep_their_own_time():
    line = Timeline(plan(threshold("shop/a"), route=Route("team", repeat_interval=3600)))
    line.fail("shop/a")
    line.at(3599)
    assert line.heard() == ["0 team first: ADown"]
    line.at(7300)
    assert line.heard() == ["3600 team reminder: ADown", "7200 team reminder: ADown"]


def test_the_route_tree_decides_who_is_told():
    grave = Route("on-call", (Matcher("severity", "=~", "critical|high"),), group_by=("system", "alertname"))
    route = Route("chat", group_by=("system", "alertname"), routes=(grave,))
    receivers = [receiver("chat"), receiver("on-call", "pager", "mail")]
    low = threshold("shop/b", severity=Severity.LOW, severity_word="P3")
    line = Timeline(plan(threshold("shop/a"), low, route=route, receivers=receivers))
    line.fail("shop/a", "shop/b")
    assert line.heard() == ["0 on-call first: ADown"] * 2 + ["0 chat first: BDown"]


def test_a_symptom_is_not_told_while_its_cause_is_down_and_the_cause_names_it():
    line = Timeline(plan(threshold("shop/db"), threshold("shop/web"), depends_on={"shop/web": ["shop/db"]}))
    line.ok("shop/db", "shop/web")
    line.at(30).fail("shop/db")
    [page] = line.told
    assert page.note.alerts[0].impact == ["shop/web"]
    line.at(31).fail("shop/web")
    assert line.heard() == ["30 team first: DbDown"]
    [web] = [alert for alert in line.engine.judging.live() if alert.check == "shop/web"]
    assert web.withheld == "shop/db is down, and this depends on it"
    line.at(60).ok("shop/db")
    line.at(61).ok("shop/web")
    assert line.heard() == ["60 team resolved: DbDown"]


def test_a_symptom_seen_first_waits_for_the_answer_of_its_cause():
    line = Timeline(plan(threshold("shop/db"), threshold("shop/web"), depends_on={"shop/web": ["shop/db"]}))
    line.ok("shop/db", "shop/web")
    line.at(30).fail("shop/web")
    assert line.heard() == []
    assert line.engine.asks == {"shop/db"}
    line.at(31).fail("shop/db")
    assert line.heard() == ["31 team first: DbDown"]


def test_a_symptom_whose_cause_is_well_is_told():
    line = Timeline(plan(threshold("shop/db"), threshold("shop/web"), depends_on={"shop/web": ["shop/db"]}))
    line.at(30).fail("shop/web")
    line.at(30.5).ok("shop/db")
    assert line.heard() == ["30.5 team first: WebDown"]


def test_nobody_waits_for_ever_for_a_cause_that_does_not_answer():
    line = Timeline(plan(threshold("shop/db"), threshold("shop/web"), depends_on={"shop/web": ["shop/db"]}, patience=3))
    line.at(30).fail("shop/web")
    line.at(40)
    assert line.heard() == ["33 team first: WebDown"]


def test_a_cause_under_suspicion_is_waited_for():
    line = Timeline(plan(threshold("shop/db"), threshold("shop/web"), depends_on={"shop/web": ["shop/db"]}, patience=3))
    line.at(30).engine.judging.answers.suspect("shop/db")
    line.at(30.1).fail("shop/web")
    line.at(31).fail("shop/db")
    assert line.heard() == ["31 team first: DbDown"]


def test_a_symptom_that_outlives_its_cause_is_told_after_one_more_look():
    line = Timeline(plan(threshold("shop/db"), threshold("shop/web"), depends_on={"shop/web": ["shop/db"]}))
    line.fail("shop/db", "shop/web")
    line.at(60).ok("shop/db")
    assert line.heard() == ["0 team first: DbDown", "60 team resolved: DbDown"]
    assert line.engine.asks == {"shop/web"}
    line.at(60.2).fail("shop/web")
    assert line.heard() == ["60.2 team first: WebDown"]


def test_a_window_that_remembers_the_outage_tells_nothing_when_it_is_over():
    counted = threshold("shop/log", "max(used_ratio, 5m) > 80%")
    line = Timeline(plan(threshold("shop/db"), counted, depends_on={"shop/log": ["shop/db"]}))
    line.fail("shop/db")
    line.probe("shop/log", used_ratio=0.9)
    line.at(60).ok("shop/db")
    line.at(120).ok("shop/log", used_ratio=0.1)
    line.at(240).ok("shop/log", used_ratio=0.9)
    line.at(359)
    assert line.heard() == ["0 team first: DbDown", "60 team resolved: DbDown"]
    line.at(360)
    assert line.engine.asks == {"shop/log"}
    line.at(361).ok("shop/log", used_ratio=0.1)
    assert line.heard() == ["361 team first: LogDown"], "what has happened since is told"


def test_a_cause_without_an_alert_of_its_own_silences_nobody():
    slow = threshold("shop/db", "duration_seconds > 2s")
    line = Timeline(plan(slow, threshold("shop/web"), depends_on={"shop/web": ["shop/db"]}))
    line.fail("shop/db")
    line.at(0.1).fail("shop/web")
    assert line.heard() == ["0.1 team first: WebDown"]


def test_a_restart_pages_nobody_again_and_still_owes_the_resolve():
    line = Timeline(plan(threshold("shop/a")))
    line.fail("shop/a")
    assert line.heard() == ["0 team first: ADown"]
    line.restart()
    line.at(5).fail("shop/a")
    assert line.heard() == []
    line.restart()
    line.at(30).ok("shop/a")
    assert line.heard() == ["30 team resolved: ADown"]


def test_a_restart_tells_no_symptom_before_its_cause_was_asked():
    line = Timeline(plan(threshold("shop/db"), threshold("shop/web"), depends_on={"shop/web": ["shop/db"]}))
    line.fail("shop/db")
    line.at(1).fail("shop/web")
    assert line.heard() == ["0 team first: DbDown"]
    line.at(600)
    line.restart()
    line.at(600.1)
    line.fail("shop/web")
    line.at(600.5).fail("shop/db")
    line.at(700)
    assert line.heard() == []
    line.at(701).ok("shop/db")
    line.at(702).ok("shop/web")
    assert line.heard() == ["701 team resolved: DbDown"]


def test_a_restart_keeps_apart_the_alerts_of_one_threshold():
    line = Timeline(plan(threshold("shop/queue", "depth > 100")))
    mail, bills = (("queue", "mail"),), (("queue", "bills"),)
    line.engine.judging.observe(
        "shop/queue",
        Result(Outcome.OK, line.now, 0.1, measurements=[("depth", 500.0, mail), ("depth", 700.0, bills)]),
        line.now,
    )
    line.decide()
    assert line.heard() == ["0 team first: QueueDown+QueueDown"]
    line.restart()
    line.at(30).probe("shop/queue", labels=mail, depth=500)
    assert [dict(alert.measured)["queue"] for alert in line.engine.judging.live()] == ["mail"]


def test_a_pending_alert_goes_on_counting_over_a_restart():
    line = Timeline(plan(threshold("shop/a", hold=60)))
    line.fail("shop/a")
    line.at(30)
    line.restart()
    line.at(60).fail("shop/a")
    assert line.heard() == ["60 team first: ADown"]


def test_a_receiver_that_was_edited_away_is_still_told_the_resolve():
    before = plan(threshold("shop/a"), receivers=[receiver("team", "old")])
    line = Timeline(before)
    line.fail("shop/a")
    old = line.told[0].destination
    line.heard()
    line.engine.replan(plan(threshold("shop/a"), receivers=[receiver("team", "new")]), line.now)
    line.at(10)
    assert line.heard() == ["0 team first: ADown"]
    line.at(30).ok("shop/a")
    assert old in [parcel.destination for parcel in line.told]
    assert line.heard() == ["30 team resolved: ADown"] * 2


def test_a_receiver_that_was_deleted_is_still_told_the_resolve():
    line = Timeline(plan(threshold("shop/a")))
    line.fail("shop/a")
    line.engine.replan(plan(threshold("shop/a"), route=Route("other"), receivers=[receiver("other")]), line.now)
    line.at(30).ok("shop/a")
    assert sorted(line.heard()[-2:]) == ["30 other resolved: ADown", "30 team resolved: ADown"]


def test_a_threshold_taken_out_of_the_configuration_resolves_its_alert():
    line = Timeline(plan(threshold("shop/a"), threshold("shop/b")))
    line.fail("shop/a")
    line.heard()
    line.engine.replan(plan(threshold("shop/b")), line.now)
    line.decide()
    assert [parcel.note.alerts[0].sentence for parcel in line.told] == [
        "no longer watched: its threshold was taken out of the configuration"
    ]
    assert line.heard() == ["0 team resolved: ADown"]


def test_two_thresholds_of_one_name_and_two_severities_are_two_alerts():
    warn = threshold("shop/db", "used_ratio > 60%", alert="Full", severity=Severity.MEDIUM, severity_word="P2")
    page = threshold("shop/db", "used_ratio > 90%", alert="Full", severity=Severity.CRITICAL, severity_word="P0")
    line = Timeline(plan(warn, page))
    line.ok("shop/db", used_ratio=0.7)
    assert [alert.severity for alert in line.engine.judging.live()] == [Severity.MEDIUM]
    line.at(30).ok("shop/db", used_ratio=0.95)
    assert len(list(line.engine.judging.live())) == 2


def test_the_fallback_is_told_and_owed_the_resolve():
    receivers = [receiver("team", fallback="mail"), receiver("mail")]
    line = Timeline(plan(threshold("shop/a"), receivers=receivers))
    line.fail("shop/a")
    [parcel] = line.told
    line.engine.fall_over(parcel, line.now)
    line.at(1)
    assert line.heard() == ["0 team first: ADown", "0 mail first: ADown"]
    line.at(30).ok("shop/a")
    assert sorted(line.heard()) == ["30 mail resolved: ADown", "30 team resolved: ADown"]


def test_without_a_receiver_an_alert_says_that_nobody_is_told():
    line = Timeline(plan(threshold("shop/a"), route=Route("nowhere")))
    line.fail("shop/a")
    [alert] = line.engine.judging.live()
    assert (alert.phase, alert.told) == (Phase.FIRING, False)
    assert alert.withheld == "receiver nowhere has no notifier"
    line.kept.alerts.clear()
    line.at(30).fail("shop/a")
    assert alert.withheld == "receiver nowhere has no notifier"
    assert not line.kept.alerts, "written again though nothing changed"


def test_nothing_is_remembered_of_alerts_that_everybody_knows_to_be_over():
    line = Timeline(plan(threshold("shop/a")))
    line.fail("shop/a")
    line.at(30).ok("shop/a")
    line.at(31)
    assert not line.engine.judging.alerts
    assert not line.engine.tellings
    assert all(thing is None for thing in [*line.kept.alerts.values(), *line.kept.tellings.values()])


def test_a_check_that_no_longer_answers_is_stale_until_it_does():
    line = Timeline(plan(threshold("shop/a", "stale", alert="Silent"), threshold("shop/b", "failed")))
    line.ok("shop/a", "shop/b")
    for second, expected in ((100, []), (101, ["101 team first: Silent"]), (102, [])):
        line.at(second)
        line.engine.judging.overdue(line.now)
        line.decide()
        assert line.heard() == expected
    [alert] = line.engine.judging.live()
    assert alert.sentence == "no answer for 1m 42s"
    line.at(200).ok("shop/a")
    assert line.heard() == ["200 team resolved: Silent"]


def test_a_clock_that_was_set_back_before_a_restart_silences_nobody():
    line = Timeline(plan(threshold("shop/a"), route=Route("team", repeat_interval=3600)))
    line.at(500_000).fail("shop/a")
    line.heard()
    line.now = START + 100  # the machine comes back with its clock six days behind
    line.restart()
    line.fail("shop/a")
    line.at(3700)
    assert line.heard() == ["3700 team reminder: ADown"]


def test_an_answer_of_the_cause_from_before_the_symptom_fired_is_not_enough():
    line = Timeline(plan(threshold("shop/db"), threshold("shop/web", hold=20), depends_on={"shop/web": ["shop/db"]}))
    line.at(30).fail("shop/web")
    line.at(31).ok("shop/db")  # the last moment at which it was well
    line.at(50).fail("shop/web")
    assert line.heard() == []
    assert line.engine.asks == {"shop/db"}
    line.at(50.2).fail("shop/db")
    assert line.heard() == ["50.2 team first: DbDown"]
