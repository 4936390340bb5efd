"""Alertmanager's files: what they come to, and what can't be carried out with its line and its replacement."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest
import yaml

from alerts.escalation import EscalationStep
from alerts.inhibition import InhibitRule
from alerts.intervals import TimeRange
from alerts.matching import Matcher
from alerts.notifiers.email import Email
from alerts.notifiers.pagerduty import PagerDuty
from alerts.notifiers.slack import Slack
from alerts.notifiers.webhook import Webhook
from alerts.routing import Route, match
from monitor.config import ConfigError, load
from monitor.config.alertmanager import FOREIGN
from monitor.planning import plan_of
from tests.monitor.configurations import HOME, configured
from tests.monitor.problems import problems
from tests.monitor.test_config_schema import WHOLE, complaints

ALERTMANAGER = """\
global:
  resolve_timeout: 3m
  smtp_smarthost: 'mail.example.org:587'
  smtp_from: 'alertmanager@example.org'
  smtp_auth_username: 'alertmanager'
  smtp_auth_password_file: secrets/password
  slack_api_url_file: secrets/hook
  opsgenie_api_url: https://api.opsgenie.com/
  http_config: {follow_redirects: true, enable_http2: false}
templates: []
route:
  group_by: ['alertname', 'cluster', 'service']
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 3h
  receiver: team-X-mails
  routes:
    - matchers: [ service=~"^(foo1|foo2|baz)$" ]
      receiver: team-X-mails
      routes:
        - matchers: [ severity="critical" ]
          receiver: team-X-pager
    - match: {service: files, code: 500, spare: true}
      receiver: team-Y-mails
      mute_time_intervals: [offhours, old]
      group_by: []
      routes:
        - matchers: [ '{severity="critical",team!~"a.*"}' ]
          group_by: ['...']
          active_time_intervals: [offhours]
          continue: true
inhibit_rules:
  - source_matchers: [ severity="critical" ]
    target_matchers: [ severity="warning" ]
    equal: [ alertname, cluster, service ]
  - name: old
    source_match: {severity: critical}
    source_match_re: {team: a|b}
    target_match: {severity: warning}
    target_match_re: {team: c.*}
time_intervals:
  - name: offhours
    time_intervals:
      - times: [{start_time: '17:00', end_time: '24:00'}, {start_time: "00:00", end_time: "09:30"}]
        weekdays: ['monday:friday', Sunday]
        days_of_month: [1, '5:10', '-3:-1']
        months: [1, 'may:august', 'DECEMBER', '2:3']
        years: [2026, '2028:2030']
        location: Europe/Berlin
mute_time_intervals:
  - name: old
    time_intervals: [{weekdays: [saturday]}, {}]
receivers:
  - name: team-X-mails
    email_configs: [{to: 'team-X+alerts@example.org'}]
    slack_configs: [{channel: '#x', send_resolved: true, http_config: {}}]
  - name: team-X-pager
    pagerduty_configs: [{routing_key_file: secrets/key}]
  - name: team-Y-mails
    webhook_configs:
      - url_file: secrets/hook
        http_config: {authorization: {type: Bearer, credentials_file: secrets/password}, follow_redirects: true}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "alertmanager/secrets").mkdir(parents=True)
    (tmp_path / "alertmanager/alertmanager.yml").write_text(ALERTMANAGER)
    (tmp_path / "alertmanager/secrets/password").write_text("opensesame\n")
    (tmp_path / "alertmanager/secrets/hook").write_text(" https://hooks.example.com/services/T/B/secret\r\n\n")
    (tmp_path / "alertmanager/secrets/key").write_text("0123456789abcdef0123456789abcdef")
    (tmp_path / "runwatch.yaml").write_text("include: [alertmanager/alertmanager.yml]")
    return tmp_path


def test_an_existing_file_is_included_as_it_is(folder: Path) -> None:
    config = load(folder / "runwatch.yaml", HOME)
    assert config.resolve_timeout == plan_of(config).resolve_timeout == 180
    assert config.route is not None
    _, files = config.route.routes
    assert files.matchers == (
        Matcher("service", "=", "files"),
        Matcher("code", "=", "500"),
        Matcher("spare", "=", "true"),
    )
    assert files.mute_time_intervals == ("offhours", "old")
    assert files.group_by == config.route.group_by == ("alertname", "cluster", "service")
    [below] = files.routes
    assert below.group_by is None and below.follow_on
    assert below.matchers == (Matcher("severity", "=", "critical"), Matcher("team", "!~", "a.*"))
    assert (below.receiver, below.group_wait, below.mute_time_intervals) == ("team-Y-mails", 30, ())
    assert below.active_time_intervals == ("offhours",)
    assert [one.receiver for one in match(config.route, {"service": "foo2", "severity": "critical"})] == [
        "team-X-pager"
    ]


def test_its_rules_and_intervals_reach_the_plan(folder: Path) -> None:
    plan = plan_of(load(folder / "runwatch.yaml", HOME))
    assert plan.inhibit_rules == (
        InhibitRule(
            (Matcher("severity", "=", "critical"),), (Matcher("severity", "=", "warning"),),
            ("alertname", "cluster", "service"),
        ),
        InhibitRule(
            (Matcher("severity", "=", "critical"), Matcher("team", "=~", "a|b")),
            (Matcher("severity", "=", "warning"), Matcher("team", "=~", "c.*")), (), "old",
        ),
    )  # fmt: skip
    assert set(plan.time_intervals) == {"offhours", "old"}
    [one] = plan.time_intervals["offhours"].ranges
    assert one.times == ((1020, 1440), (0, 570))
    assert (one.weekdays, one.days_of_month) == (((1, 5), (0, 0)), ((1, 1), (5, 10), (-3, -1)))
    assert (one.months, one.years) == (((1, 1), (5, 8), (12, 12), (2, 3)), ((2026, 2026), (2028, 2030)))
    assert str(one.zone) == "Europe/Berlin"
    assert plan.time_intervals["old"].ranges == (TimeRange(weekdays=((6, 6),)), TimeRange())


def test_its_notifiers_take_what_global_gives_and_files_hold(folder: Path) -> None:
    config = load(folder / "runwatch.yaml", HOME)
    mail, slack = config.receivers["team-X-mails"].notifiers
    assert isinstance(mail, Email) and isinstance(slack, Slack)
    assert "mail.example.org:587" in str(mail.smarthost) and mail.auth_username == "alertmanager"
    assert mail.auth_password is not None and mail.auth_password.get_secret_value() == "opensesame"
    assert slack.api_url is not None
    assert slack.api_url.get_secret_value() == "https://hooks.example.com/services/T/B/secret"
    [pager] = config.receivers["team-X-pager"].notifiers
    assert isinstance(pager, PagerDuty) and pager.routing_key.get_secret_value() == "0123456789abcdef" * 2
    [hook] = config.receivers["team-Y-mails"].notifiers
    assert isinstance(hook, Webhook) and hook.credentials() == {"Authorization": "Bearer opensesame"}
    assert {"opensesame", "0123456789abcdef" * 2} <= config.secrets
    assert {file.name for file in config.files} >= {"alertmanager.yml", "password", "hook", "key"}
    assert ["opsgenie_api_url" in str(one) for one in config.warnings if "global" in one.path] == [True]


def test_a_secret_file_that_changes_makes_another_configuration(folder: Path) -> None:
    before = load(folder / "runwatch.yaml", HOME).digest
    (folder / "alertmanager/secrets/key").write_text("f" * 32)
    assert load(folder / "runwatch.yaml", HOME).digest != before


def test_what_a_notifier_says_itself_goes_before_global(tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        """\
        global: {slack_api_url: "https://hooks.example.com/global", pagerduty_url: "https://pager.example.com/v2"}
        receivers:
          - name: a
            slack_configs: [{channel: x}, {api_url: "https://hooks.example.com/own"}, {bot_token: xoxb-1-2, channel: x}]
            pagerduty_configs: [{routing_key: kkkkkkkk}, {routing_key: kkkkkkkk, region: eu}]
        """,
    )
    shared, own, bot, pager, european = config.receivers["a"].notifiers
    assert isinstance(shared, Slack) and isinstance(own, Slack) and isinstance(bot, Slack)
    assert shared.api_url is not None and shared.api_url.get_secret_value().endswith("/global")
    assert own.api_url is not None and own.api_url.get_secret_value().endswith("/own")
    assert bot.api_url is None
    assert isinstance(pager, PagerDuty) and isinstance(european, PagerDuty)
    assert pager.url is not None and european.url is None


def test_escalation_and_reminders_are_inherited_and_can_be_taken_back(tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        """\
        receivers: [{name: a}, {name: b}, {name: c}]
        route:
          receiver: a
          max_reminders: 5
          escalation: [{receiver: b}, {after: 30m, receiver: c}]
          routes:
            - {matchers: [x=1], routes: [{matchers: [y=1], max_reminders: 0}]}
            - {matchers: [x=2], escalation: []}
        """,
    )
    assert config.route is not None
    steps = (EscalationStep("b"), EscalationStep("c", 1800.0))
    first, second = config.route.routes
    assert [route.escalation for route in (config.route, first, first.routes[0], second)] == [steps, steps, steps, ()]
    assert [route.max_reminders for route in (config.route, first, first.routes[0], second)] == [5, 5, 0, 5]


def test_what_is_said_nowhere_is_as_documented(tmp_path: Path) -> None:
    config = configured(tmp_path, "receivers: [{name: a}]\nroute: {receiver: a}")
    assert config.route == Route("a") and config.resolve_timeout == 300
    assert (config.route.group_by, config.route.group_wait) == (("system", "alertname"), 0)
    at_top = configured(tmp_path, "receivers: [{name: a}]\nroute: {receiver: a, group_by: []}").route
    assert at_top is not None and at_top.group_by == ()


@pytest.fixture(scope="module")
def apprise_words() -> set[str]:
    """What an apprise address may begin with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        apprise = pytest.importorskip("apprise")
        services = apprise.Apprise().details()["schemas"]
    return {word for one in services for key in ("protocols", "secure_protocols") for word in one[key] or ()}


@pytest.mark.parametrize("kind", sorted(FOREIGN))
def test_an_integration_that_is_none_of_ours_names_its_replacement(
    tmp_path: Path, kind: str, apprise_words: set[str]
) -> None:
    [told] = problems(tmp_path, f"receivers: [{{name: a, {kind}_configs: [{{api_key: x}}]}}]")
    assert f"1:23: receivers[0].{kind}_configs: {kind}_configs can't be carried out" in told
    [word] = re.findall(r'urls: \["(\w+)://', told)
    assert word in apprise_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("templates: [a.tmpl]", "1:13: templates[0]: Go templates can't be carried out; leave templates out"),
        ("global: {slack_api_ulr: x}", "unknown key 'slack_api_ulr'; did you mean 'slack_api_url'?"),
        ("global: {resolve_timeout: 5}", "global.resolve_timeout: a duration needs its unit"),
        ("global: {slack_api_url: x}", "global.slack_api_url: an address that begins with http"),
        ("global: {slack_api_url_file: nowhere}", "nowhere: there is no such file"),
        ("global: {http_config: {proxy_url: 'http://p:1'}}", "global.http_config.proxy_url: proxy_url: leave it out"),
        ("global: {http_config: {tls_config: {}}}", "add the authority to the system's trust store"),
        ("global: {http_config: {folow_redirects: true}}", "did you mean 'follow_redirects'?"),
        ("global: []", "global: keys with values are wanted"),
        ("inhibit_rules: {}", "inhibit_rules: a list is wanted"),
        ("inhibit_rules: [x]", "inhibit_rules[0]: an inhibit rule is wanted"),
        ("inhibit_rules: [{source_matcher: []}]", "unknown key 'source_matcher'; did you mean 'source_matchers'?"),
        ("inhibit_rules: [{source_matchers: ['a~']}]", "1:36: inhibit_rules[0].source_matchers[0]: 'a~': '~' can't"),
        ("inhibit_rules: [{target_match_re: {a: '('}}]", "target_match_re.a: '(' is not a regular expression"),
        ("time_intervals: [x]", "a time interval is wanted"),
        ("time_intervals: [{time_intervals: []}]", "name is missing"),
        ("time_intervals: [{name: a}, {name: a}]", "[1].name: there is a time interval 'a' already"),
        ("time_intervals: [{name: a}]\nmute_time_intervals: [{name: a}]", "there is a time interval 'a' already"),
        ("TIMES [{start_time: '17:00'}]", "end_time: end_time is missing"),
        ("TIMES [{start_time: '25:00', end_time: '26:00'}]", "'25:00' is not a time of the day"),
        ("TIMES [{start_time: '9:00', end_time: '10:00'}]", "'9:00' is not a time of the day"),
        ("TIMES [{start_time: '22:00', end_time: '06:00'}]", "over midnight write two"),
        ("TIMES [{start_time: '24:00', end_time: '24:00'}]", "24:00 is not after 24:00"),
        ("RANGE {weekdays: [mondya]}", "weekdays[0]: 'mondya' is not a day of the week; did you mean 'monday'?"),
        ("RANGE {weekdays: ['friday:monday']}", "'friday:monday' ends before it begins; write two ranges"),
        ("RANGE {weekdays: ['a:b:c']}", "'a:b:c' is not a range"),
        ("RANGE {days_of_month: [0]}", "days of the month count from 1"),
        ("RANGE {days_of_month: [32]}", "'32' is not a day of the month"),
        ("RANGE {days_of_month: ['-3:5']}", "begins at the month's end"),
        ("RANGE {days_of_month: ['-1:-3']}", "'-1:-3' ends before it begins"),
        ("RANGE {days_of_month: ['30:-1']}", "'30:-1' ends before it begins"),
        ("RANGE {months: [13]}", "'13' is not a month"),
        ("RANGE {months: [octember]}", "'octember' is not a month; did you mean"),
        ("RANGE {years: ['20x6']}", "'20x6' is not a year"),
        ("RANGE {location: Europe/Berlim}", "there is no time zone 'Europe/Berlim'"),
        ("RANGE {location: ../../etc/passwd}", "there is no time zone"),
        ("RANGE {location: Europe}", "there is no time zone 'Europe'"),
        ("ROUTE {mute_time_intervals: [x]}", "route.mute_time_intervals: the top route takes every alert"),
        ("ROUTE {active_time_intervals: [x]}", "route.active_time_intervals: the top route takes every alert"),
        ("ROUTE {routes: [{mute_time_intervals: [x]}]}", "mute_time_intervals[0]: there is no time interval 'x'"),
        ("ROUTE {escalation: [{after: 5m}]}", "route.escalation[0].receiver: receiver is missing"),
        ("ROUTE {escalation: [{receiver: b}]}", "route.escalation[0].receiver: there is no receiver 'b'"),
        ("ROUTE {escalation: [{receiver: a, after: 0s}]}", "it must be more than 0"),
        ("ROUTE {escalation: [{receiver: a}, {receiver: a}]}", "only the first step can go by respond_within"),
        ("ROUTE {escalation: [{receiver: a, after: 2m}, {receiver: a, after: 2m}]}", "each step must come later"),
        ("ROUTE {max_reminders: -1}", "route.max_reminders: it must be at least 0"),
        ("ROUTE {routes: [{matchers: ['a=b,c=~(']}]}", "routes[0].matchers[0]: '(' is not a regular expression"),
        ("NOTIFIER pagerduty {service_key: x}", "service_key: write routing_key in its place"),
        ("NOTIFIER pagerduty {service_key_file: x}", "service_key_file: write routing_key in its place"),
        ("NOTIFIER slack {api_url: 'https://a.b/', color: red}", "color: leave it out"),
        ("NOTIFIER slack {api_url: 'https://a.b/', api_url_file: x}", "api_url and api_url_file say the same thing"),
        ("NOTIFIER slack {api_url_file: [x]}", "api_url_file: a file's name is wanted"),
        ("NOTIFIER slack {api_url: 'https://a.b/', http_config: {basic_auth: {}}}", "basic_auth: leave it out"),
        ("NOTIFIER slack {api_url: 'https://a.b/', http_config: 5}", "http_config: keys with values are wanted"),
        ("NOTIFIER webhook {url: 'https://a.b/', http_config: {oauth2: {}}}", "oauth2: leave it out"),
        ("NOTIFIER webhook {url: 'https://a.b/{{ .GroupLabels.job }}'}",
         "is a Go template; in Jinja2 write {{ note.group_labels.job }}"),
        ("NOTIFIER slack {api_url: 'https://a.b/', text: '{{ template \"slack.text\" . }}'}", "is a Go template"),
    ],
)  # fmt: skip
def test_what_cannot_be_carried_out_is_told_with_its_place(tmp_path: Path, text: str, expected: str) -> None:
    word, _, rest = text.partition(" ")
    match word:
        case "TIMES":
            text = f"time_intervals: [{{name: a, time_intervals: [{{times: {rest}}}]}}]"
        case "RANGE":
            text = f"time_intervals: [{{name: a, time_intervals: [{rest}]}}]"
        case "ROUTE":
            text = f"receivers: [{{name: a}}]\nroute: {{receiver: a, {rest[1:]}"
        case "NOTIFIER":
            kind, _, keys = rest.partition(" ")
            text = f"receivers: [{{name: a, {kind}_configs: [{keys}]}}]"
    told = problems(tmp_path, text)
    assert any(expected in problem for problem in told), told


def test_a_secret_that_is_refused_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "runwatch.yaml").write_text(
        "global: {smtp_auth_password: [hunter2hunter2], slack_api_url: hunter3hunter3}"
    )
    with pytest.raises(ConfigError) as refused:
        load(tmp_path / "runwatch.yaml", HOME)
    assert "hunter" not in str(refused.value)


def test_the_schema_accepts_an_existing_file() -> None:
    text = ALERTMANAGER.replace("  opsgenie_api_url: https://api.opsgenie.com/\n", "")
    text = text.replace("'team-X+alerts@example.org'", "['team-X+alerts@example.org']")
    assert complaints(yaml.safe_load(text), WHOLE) == []
