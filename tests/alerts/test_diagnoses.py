"""A page waits a moment for what a person would look at next, and never longer."""

from __future__ import annotations

from alerts.diagnoses import PATIENCE
from checks.base import Outcome, Reason, Result
from tests.timeline import START, Timeline, plan, threshold

FOUND = [("Blockers", "pid 7 holds the lock")]


def watched(*conditions: str) -> Timeline:
    found = plan(
        *(threshold("shop/db", when, alert=f"Alert{number}") for number, when in enumerate(conditions)),
        diagnosable=frozenset({"shop/db"}),
    )
    return Timeline(found)


def slow(line: Timeline, second: float) -> None:
    line.at(second).ok("shop/db", used_ratio=0.9)


def test_the_page_goes_when_the_diagnosis_is_there_and_carries_it():
    line = watched("used_ratio > 80%")
    slow(line, 30)
    assert line.heard() == []
    assert line.engine.judging.diagnoses.wanted == ["shop/db"]
    line.at(30.2)
    line.engine.judging.diagnosed("shop/db", FOUND)
    line.decide()
    [parcel] = line.told
    assert line.heard() == ["30.2 team first: Alert0"]
    [alert] = parcel.note.alerts
    assert FOUND[0] in alert.evidence
    slow(line, 60)
    [alert] = line.engine.judging.live()
    assert alert.evidence.count(FOUND[0]) == 1, "the newest measurements, and still what was found at first"


def test_nobody_waits_longer_than_a_second_and_what_comes_later_is_kept_with_the_alert():
    line = watched("used_ratio > 80%")
    slow(line, 30)
    assert line.engine.next_at == START + 30 + PATIENCE
    line.at(30 + PATIENCE)
    line.decide()
    assert line.heard() == ["31 team first: Alert0"]
    line.at(34)
    line.engine.judging.diagnosed("shop/db", FOUND)
    line.decide()
    [alert] = line.engine.judging.live()
    assert FOUND[0] in alert.evidence
    assert line.heard() == []


def test_several_alerts_of_a_check_are_served_by_one_diagnosis_once():
    line = watched("used_ratio > 80%", "used_ratio > 85%", "used_ratio > 95%")
    slow(line, 30)
    assert line.engine.judging.diagnoses.wanted == ["shop/db"]
    line.engine.judging.diagnoses.wanted.clear()
    line.engine.judging.diagnosed("shop/db", FOUND)
    line.decide()
    line.at(60).ok("shop/db", used_ratio=0.99)
    assert line.engine.judging.diagnoses.wanted == ["shop/db"], "a third begins, and asks anew"
    assert {alert.labels["alertname"] for alert in line.engine.judging.live()} == {"Alert0", "Alert1", "Alert2"}


def test_an_alert_that_ends_meanwhile_is_not_told_and_found_evidence_is_forgotten():
    line = watched("used_ratio > 80%")
    slow(line, 30)
    line.at(30.5).ok("shop/db", used_ratio=0.1)
    line.engine.judging.diagnosed("shop/db", FOUND)
    line.decide()
    line.at(60)
    line.decide()
    assert line.heard() == []
    slow(line, 90)
    [alert] = line.engine.judging.live()
    assert FOUND[0] not in alert.evidence


def test_where_nobody_can_be_asked_the_page_goes_at_once():
    line = watched("failed")
    refused = Result(Outcome.FAILED, START + 30, 0.1, Reason.CONNECT_REFUSED, "refused")
    line.at(30)
    line.engine.judging.observe("shop/db", refused, START + 30)
    line.decide()
    assert line.heard() == ["30 team first: Alert0"]
    assert line.engine.judging.diagnoses.wanted == []


def test_a_check_that_is_taken_out_of_the_configuration_leaves_nothing_waiting():
    line = watched("used_ratio > 80%")
    slow(line, 30)
    line.engine.replan(plan(threshold("shop/db", "used_ratio > 80%", alert="Alert0")), START + 30)
    line.decide()
    assert line.heard() == ["30 team first: Alert0"]
