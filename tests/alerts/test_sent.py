"""Alerts that others send: what is taken, what is refused with a sentence, and how they begin and end."""

import pytest

from alerts import sent
from alerts.routing import Route, parse_matcher
from alerts.vocabulary import Severity
from tests.timeline import Timeline, plan, receiver, threshold


def one(**fields):
    return [{"labels": {"alertname": "Down", "instance": "a:1"}} | fields]


def test_what_is_taken():
    [alert] = sent.read(
        one(
            startsAt="2026-11-22T21:42:12.123456789Z",
            endsAt="2026-11-22T22:42:12+00:00",
            annotations={"summary": "s"},
            generatorURL="http://p/graph",
        ),
        behind=0,
    )
    assert (alert.starts_at, alert.ends_at) == (1795383732.123456, 1795387332.0)
    assert alert.generator_url == "http://p/graph"
    [bare] = sent.read([{"labels": {"alertname": "Down", "empty": ""}, "endsAt": "0001-01-01T00:00:00Z"}], behind=0)
    assert (dict(bare.labels), bare.starts_at, bare.ends_at) == ({"alertname": "Down"}, 0.0, 0.0)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "a list of alerts is wanted"),
        ([1], "alert 0: an object is wanted"),
        ([{}], "labels: an object of texts is wanted"),
        ([{"labels": {}}], "at least one label is wanted"),
        ([{"labels": {"a": ""}}], "at least one label is wanted"),
        ([{"labels": {"a": 1}}], "an object of texts"),
        ([{"labels": {f"l{number}": "x" for number in range(10_000)}}], "10000 labels are too many; 128 are the most"),
        ([{"labels": {"a": "x" * 100_000}}], "the label a has 100000 characters"),
        ([{"labels": {"\u202ename": "x"}}], "is not a label's name"),
        (one(startsAt="yesterday"), "'yesterday' is not a time"),
        (one(startsAt=5), "'5' is not a time"),
        (one(startsAt="2026-11-22T21:42:12"), "names no time zone"),
        (one(startsAt="2026-11-22T21:42:12Z", endsAt="2026-11-21T21:42:12Z"), "ends before it starts"),
        (one(annotations=[]) + one(annotations={"a": 1}), "alert 1: annotations"),
    ],
)
def test_what_is_refused_says_why(body, sentence):
    with pytest.raises(ValueError, match=sentence):
        sent.read(body, behind=0)


def test_what_is_too_long_is_cut_and_says_so():
    [alert] = sent.read(one(annotations={"description": "x" * 1_000_000, "nul": "a\0b"}), behind=0)
    assert len(alert.annotations["description"]) == sent.LONGEST_ANNOTATION
    assert alert.annotations["description"].endswith("(cut)")
    assert "\0" not in alert.annotations["nul"]


def test_it_fires_until_it_is_sent_as_ended():
    line = Timeline(plan(resolve_timeout=300.0))
    line.send(alertname="Down", severity="page")
    [page] = line.told
    assert page.note.severity is Severity.CRITICAL
    line.at(200).send(alertname="Down", severity="page")
    line.at(400).send(ends=390, alertname="Down", severity="page")
    assert line.heard() == ["0 team first: Down", "400 team resolved: Down"]


def test_it_ends_when_its_sender_no_longer_repeats_it():
    line = Timeline(plan(resolve_timeout=300.0))
    line.send(alertname="Down")
    line.at(200).send(alertname="Down")
    line.at(1000)
    assert line.heard() == ["0 team first: Down", "500 team resolved: Down"]
    line.send(ends=1240, alertname="Down")
    line.at(1239)
    assert line.heard() == ["1000 team first: Down"]
    line.at(1240)
    assert line.heard() == ["1240 team resolved: Down"]


def test_what_ended_before_we_heard_of_it_is_no_news():
    line = Timeline(plan())
    line.send(ends=-10, alertname="Down")
    assert line.heard() == []


def test_it_is_routed_silenced_and_grouped_as_every_other_alert():
    route = Route("team", group_by=("cluster",), routes=(Route("db", (parse_matcher("team=db"),)),))
    line = Timeline(plan(route=route, receivers=[receiver("team"), receiver("db")]))
    line.silence('team="db"', until=60)
    line.send(alertname="Slow", team="db")
    line.send(alertname="Slow", cluster="x")
    line.at(60)
    assert line.heard() == ["0 team first: Slow", "60 db unmuted: Slow"]


def test_nobody_ends_an_alert_of_ours_by_sending_it():
    line = Timeline(plan(threshold("shop/a")))
    line.fail("shop/a")
    [alert] = line.engine.judging.live()
    line.at(10).send(ends=5, **alert.labels)
    line.send(**alert.labels)
    line.at(1000)
    assert line.heard() == ["0 team first: ADown"]


def test_a_reload_and_a_restart_end_none_of_them():
    line = Timeline(plan(threshold("shop/a"), resolve_timeout=300.0))
    line.send(alertname="Down")
    line.at(100).engine.replan(plan(resolve_timeout=300.0), line.now)
    line.decide()
    line.restart()
    line.at(399)
    assert line.heard() == ["0 team first: Down"]
    line.at(400)
    assert line.heard() == ["400 team resolved: Down"]


@pytest.mark.parametrize(
    ("labels", "check", "target"),
    [
        ({"instance": "a:1", "job": "db", "alertname": "Down"}, "a:1", "a:1"),
        ({"job": "db", "alertname": "Down"}, "db", ""),
        ({"alertname": "Down"}, "Down", ""),
        ({"x": "y"}, "", ""),
    ],
)
def test_it_is_about_what_its_labels_name(labels, check, target):
    alert = sent.SentAlert(labels).alert(100.0, 200.0, told=False)
    assert (alert.check, alert.target, alert.ends_at, alert.told) == (check, target, 200.0, False)


def test_it_fires_since_its_sender_saw_it_and_never_since_tomorrow():
    since = [sent.SentAlert({"a": "b"}, {}, starts).alert(100.0, 0.0, told=True).since for starts in (40.0, 0.0, 150.0)]
    assert since == [40.0, 100.0, 100.0]


def test_its_sentence_is_the_summary_or_else_the_description():
    said = [
        sent.SentAlert({"a": "b"}, annotations).alert(100.0, 0.0, told=False).sentence
        for annotations in ({"summary": "s", "description": "d"}, {"description": "d"}, {})
    ]
    assert said == ["s", "d", ""]


def test_what_is_just_within_the_limits_is_taken():
    labels = {f"l{number}": "x" for number in range(sent.MOST_LABELS - 1)} | {"größe": "x" * sent.LONGEST_LABEL}
    moment = "2026-11-22T21:42:12Z"
    [alert] = sent.read(
        [{"labels": labels, "startsAt": moment, "endsAt": moment, "generatorURL": "h" * 3_000}], behind=10
    )
    assert dict(alert.labels) == labels
    assert (alert.starts_at, alert.ends_at) == (1795383722.0, 1795383722.0)
    assert len(alert.generator_url) == 2_000


def test_a_time_before_1970_is_none():
    [alert] = sent.read(one(startsAt="1969-12-31T23:59:59Z"), behind=0)
    assert alert.starts_at == 0.0


def test_what_no_utf_8_can_hold_is_replaced():
    [alert] = sent.read(one(annotations={"a": "\ud800 ü"}), behind=0)
    assert alert.annotations["a"] == "? ü"


@pytest.mark.parametrize("name", ["", "a\nb"])
def test_a_label_name_that_nobody_could_read_is_refused(name):
    with pytest.raises(ValueError, match="is not a label's name"):
        sent.read([{"labels": {name: "x"}}], behind=0)
