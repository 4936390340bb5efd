"""The sections `impaired` and `maintenance`: what they come to, and every mistake with its place."""

from pathlib import Path

import pytest

from alerts import self_checks
from alerts.routing import match
from monitor.config import Config, load
from monitor.planning import plan_of
from tests.monitor.problems import HOME, problems

RECEIVERS = "receivers: [{name: team}, {name: sms}]\n"


def loaded(folder: Path, text: str) -> Config:
    file = folder / "runwatch.yaml"
    file.write_text(text)
    return load(file, HOME)


def warned(folder: Path, text: str) -> list[str]:
    return [str(one).removeprefix(f"{folder / 'runwatch.yaml'}:") for one in loaded(folder, text).warnings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{anchors: [one.one.one.one:443]}", "impaired.anchors[0]: one.one.one.one is a name; an anchor is an address"),
        ("{anchors: ['192.0.2.1']}", "impaired.anchors[0]: an anchor is written tcp://192.0.2.1:443"),
        ("{anchors: ['https://192.0.2.1:443']}", "impaired.anchors[0]: an anchor is written tcp://192.0.2.1:443"),
        ("{anchors: ['tcp://192.0.2.1:99999']}", "impaired.anchors[0]: not an address"),
        ("{names: ['a b']}", "impaired.names[0]: 'a b' is no host name"),
        ("{names: ['']}", "impaired.names[0]: '' is no host name"),
        ("{names: ['192.0.2.1']}", "impaired.names[0]: 192.0.2.1 is an address; a name is wanted"),
        ("{interval: 10ms}", "impaired.interval: "),
        ("{timeout: 1m}", "impaired.timeout: "),
        ("{min_free: lots}", "impaired.min_free: 'lots' is not a size"),
        ("{receiver: smss}", "impaired.receiver: there is no receiver 'smss'; did you mean 'sms'?"),
        ("{anchor: []}", "impaired.anchor: unknown key 'anchor'; did you mean 'anchors'?"),
        ("[]", "impaired: keys with values are wanted"),
    ],
)
def test_mistakes_about_ourselves(tmp_path, text, expected):
    [problem] = problems(tmp_path, f"impaired: {text}\n{RECEIVERS}")
    assert expected in problem and problem.startswith("1:")


def test_one_anchor_alone_is_warned_of(tmp_path):
    assert any("one anchor alone" in one for one in warned(tmp_path, "impaired: {anchors: ['192.0.2.1:443']}"))
    assert not any("anchor" in one for one in warned(tmp_path, "impaired: {anchors: ['192.0.2.1:443', '[::1]:53']}"))


@pytest.mark.parametrize(
    "route", ["route: {receiver: team, routes: [{matchers: ['system=~\".*\"'], receiver: team}]}", ""]
)
def test_the_receiver_for_our_own_trouble_goes_before_all_routes(tmp_path, route):
    config = loaded(tmp_path, f"impaired: {{receiver: sms}}\n{RECEIVERS}{route}")
    tree = plan_of(config).route
    assert tree is not None
    ours = {"system": self_checks.SYSTEM, "alertname": self_checks.IMPAIRED, "severity": "critical"}
    others = {"system": "shop", "alertname": self_checks.IMPAIRED}
    assert [one.receiver for one in match(tree, ours)] == ["sms"]
    assert [one.receiver for one in match(tree, others)] == (["team"] if route else [])


WINDOW = "maintenance: [{{name: m, matchers: ['a=\"b\"'], {}}}]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("comment: x", "maintenance[0]: it never begins: say start and end, or cron and duration"),
        ("cron: '0 3 * * *'", "maintenance[0]: duration is missing beside cron"),
        ("start: 2026-12-01T22:00:00", "maintenance[0]: it never begins: say start and end"),
        ("end: 2026-12-01T22:00:00", "maintenance[0]: start is missing beside end"),
        ("start: 2026-12-01T22:00:00, end: 2026-12-01T21:00:00", "maintenance[0].end: the end is not after the start"),
        ("start: soon, end: 2026-12-01T21:00:00", "maintenance[0].start: 'soon' is no time; write 2026-12-01T22:00:00"),
        ("cron: '0 3 * * *', rrule: FREQ=DAILY, duration: 1h", "maintenance[0]: cron and rrule exclude one another"),
        (
            "cron: '0 3 * * *', duration: 1h, start: 2026-12-01",
            "maintenance[0].start: start has no meaning beside cron",
        ),
        ("cron: '0 25 * * *', duration: 1h", "maintenance[0].cron: '0 25 * * *' is no cron expression: bad hour"),
        (
            "rrule: FREQ=HOURLY, duration: 1h",
            "maintenance[0].rrule: FREQ must be one of YEARLY, MONTHLY, WEEKLY, DAILY",
        ),
        ("cron: '0 3 * * *', duration: 0", "maintenance[0].duration: "),
        ("cron: '0 3 * * *', duration: 1y", "maintenance[0].duration: "),
        (
            "cron: '0 3 * * *', duration: 1h, timezone: Europe/Berln",
            "there is no time zone 'Europe/Berln'; did you mean",
        ),
        ("cron: '0 3 * * *', duration: 1h, timezone: ../../etc/passwd", "there is no time zone '../../etc/passwd'"),
        ("cron: '0 3 * * *', duration: 1h, timezone: Europe", "there is no time zone 'Europe'"),
        ("crn: x", "unknown key 'crn'; did you mean 'cron'?"),
    ],
)
def test_mistakes_about_maintenance(tmp_path, text, expected):
    said = problems(tmp_path, WINDOW.format(text))
    assert any(expected in one for one in said), said


def test_a_maintenance_without_matchers_or_with_a_name_twice_is_refused(tmp_path):
    [problem] = problems(tmp_path, "maintenance: [{name: m, cron: '0 3 * * *', duration: 1h}]")
    assert "maintenance[0].matchers: matchers are missing" in problem
    twice = "maintenance:\n" + "  - {name: m, matchers: ['a=\"b\"'], cron: '0 3 * * *', duration: 1h}\n" * 2
    [problem] = problems(tmp_path, twice)
    assert problem.startswith("3:") and "there is a maintenance 'm' already" in problem and problem.endswith("line 2")


def test_in_a_system_it_is_about_that_system(tmp_path):
    entry = "{{name: {}, cron: '0 3 * * *', duration: 1h, matchers: {}}}"
    (tmp_path / "shop.yaml").write_text(f"system: shop\nmaintenance: [{entry.format('a', [])}]\n")
    text = f"""include: [shop.yaml]
maintenance: [{entry.format("b", "['severity=low']")}]
systems: [{{system: mail, maintenance: [{entry.format("c", "['severity=low']")}]}}]
"""
    config = loaded(tmp_path, text)
    said = {one.name: [str(matcher) for matcher in one.matchers] for one in config.maintenance}
    assert said == {
        "a": ['system="shop"'],
        "b": ['severity="low"'],
        "c": ['system="mail"', 'severity="low"'],
    }
    assert plan_of(config).maintenance == config.maintenance
    assert "default" not in config.systems, "a maintenance at the top makes no system"


def test_what_is_over_or_has_no_end_is_warned_of(tmp_path):
    over = warned(tmp_path, WINDOW.format("start: 2020-01-01, end: 2020-01-02"))
    assert any("the maintenance m is over, and does not come again" in one for one in over)
    endless = warned(tmp_path, WINDOW.format("cron: '0 * * * *', duration: 2h"))
    assert any("it lasts 2h and begins anew after 1h: it has no end" in one for one in endless)
    fine = warned(tmp_path, WINDOW.format("cron: '0 * * * *', duration: 1h"))
    assert not any("maintenance" in one for one in fine)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{drill: {cron: '0 9 * * 1', severity: P0}}", "on_call.drill.severity: 'P0' is not one of"),
        (
            "{drill: {cron: '0 9 * * 1', receivers: [taem]}}",
            "on_call.drill.receivers[0]: there is no receiver 'taem'; did you mean 'team'?",
        ),
        ("{business_hours: office}", "on_call.business_hours: there is no time interval 'office'"),
        ("{drill: {cron: '0 0 30 2 *'}}", "on_call.drill.cron: '0 0 30 2 *' is not a schedule"),
        ("{drill: {cron: '0 9 * * 1', lasts: 99999999y}}", "on_call.drill.lasts: '99999999y' is longer than"),
    ],
)
def test_what_a_drill_or_a_silence_would_trip_over_later_is_said_at_once(tmp_path, text, expected):
    assert any(expected in line for line in problems(tmp_path, RECEIVERS + f"on_call: {text}\n"))
