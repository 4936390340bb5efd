"""Every mistake in a configuration is one sentence with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from monitor.config import ConfigError, find, load
from tests.monitor.problems import CHECK, HOME, problems


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "checks: [{kind: postgres, dsn: 'postgresql://h/x', alerts: [{alert: A, when: slow_statements > 3}]}]",
            "1:78: checks[0].alerts[0].when: slow_statements is not measured as this check is configured; "
            "see runwatch kinds postgres",
        ),
        ("stoer: sqlite:///x.db", "1:1: stoer: unknown key 'stoer'; did you mean 'store'?"),
        ("store: postgresql://u:secretpw@h/x", "1:8: store: a store in PostgreSQL is not carried out yet"),
        ("store: sqlite://x.db", "1:8: store: a store is written sqlite:///var/lib/runwatch/runwatch.db"),
        ("server: {listne: x}", "1:10: server.listne: unknown key 'listne'; did you mean 'listen'?"),
        ("server: {listen: '0.0.0.0:9876'}", "1:9: server: listen: 0.0.0.0:9876 can be reached from elsewhere"),
        ("server: {listen: ':9876'}", "and nobody is asked who they are; add auth: {tokens: "),
        ("server: {listen: nonsense}", "1:18: server.listen: 'nonsense' is not an address with a port"),
        ("server: {listen: '127.0.0.1:99999'}", "is not an address with a port; write 127.0.0.1:9876"),
        ("server: {auth: some}", "1:16: server.auth: the value is not one of none"),
        ("server: {auth: {tokens: []}}", "1:25: server.auth.tokens: at least 1 wanted, 0 given"),
        ("server: {auth: {tokens: [short]}}", "1:25: server.auth.tokens: a token must have 16 characters or more"),
        ("server: {auth: {token: x}}", "server.auth.token: unknown key 'token'; did you mean 'tokens'?"),
        ("server: {external_url: watch}", "an address such as https://watch.example.com is wanted"),
        ("server: []", "1:9: server: keys with values are wanted"),
        ("watchdog: {interval: 1m}", "1:11: watchdog.url: url is missing"),
        ("watchdog: {url: 'http://x/', interval: 30}", "1:40: watchdog.interval: a duration needs its unit: 30s"),
        ("defaults: {interval: soon}\n" + CHECK % "", "1:22: defaults.interval: 'soon' is not a duration; write 500ms"),
        ("defaults: {intervall: 1m}\n" + CHECK % "", "1:12: defaults.intervall: unknown key 'intervall'; did you mean"),
        ("include: [nothing.yaml]", "1:11: include[0]: there is no file nothing.yaml"),
        ("include: {}", "1:10: include: a list is wanted"),
        ("include: [5]", "1:11: include[0]: a file's name is wanted"),
        ("plugins: [nowhere]", "1:11: plugins[0]: there is no folder nowhere"),
        ("checks: {}", "1:9: checks: a list is wanted"),
        ("checks: [5]", "1:10: checks[0]: a check is wanted: kind: … and what it needs"),
        ("checks: [{url: x}]", "1:10: checks[0].kind: kind is missing; there are"),
        ("checks: [{kind: htp}]", "1:17: checks[0].kind: there is no kind 'htp'; did you mean 'http'?"),
        ("checks: [{kind: [http]}]", "1:17: checks[0].kind: the name of a kind is wanted"),
        ("checks: [{kind: ../../etc}]", "there is no kind '../../etc'"),
        ("checks: [{kind: http}]", "1:10: checks[0].url: url is missing"),
        (CHECK % ", intervall: 5s", "checks[0].intervall: unknown key 'intervall'; did you mean 'interval'?"),
        (CHECK % ", severty: high", "checks[0].severty: unknown key 'severty'; did you mean 'severity'?"),
        (CHECK % ", expect: {statuss: 200}", "checks[0].expect.statuss: unknown key 'statuss'; did you mean 'status'?"),
        (CHECK % ", interval: 0s", "checks[0].interval: it must be more than 0"),
        (CHECK % ", retries: many", "checks[0].retries: a whole number is wanted"),
        (CHECK % ", retries: 11", "checks[0].retries: it must be at most 10"),
        (CHECK % ", follow_redirects: yes please", "checks[0].follow_redirects: true or false is wanted"),
        (CHECK % ", name: ''", "checks[0].name: a name without / is wanted"),
        (CHECK % ", name: a/b", "checks[0].name: a name without / is wanted"),
        (CHECK % ", name: 5", "checks[0].name: a name without / is wanted"),
        (CHECK % ", labels: {team: 5}", "checks[0].labels.team: a text is wanted; put it in quotes"),
        (CHECK % ", labels: {system: x}", "checks[0].labels.system: the label system is set by runwatch itself"),
        (CHECK % ", labels: {a-b: x}", "checks[0].labels.a-b: 'a-b' can't be a label"),
        (CHECK % ", labels: x", "checks[0].labels: keys with values are wanted"),
        (CHECK % ", system: x", "checks[0].system: a check's system is that of its file; leave it out"),
        (CHECK % ", severity: urgent", "checks[0].severity: 'urgent' is no severity of the system 'default'"),
        (CHECK % ", severity: Critical", "did you mean 'critical'?"),
        (CHECK % ", severity: P1", "checks[0].severity: P1 means different things to different teams"),
        (CHECK % ", depends_on: [b]", "checks[0].depends_on[0]: there is no check 'b'"),
        (CHECK % ", alerts: x", "checks[0].alerts: a list is wanted"),
        (CHECK % ", alerts: [failed]", "checks[0].alerts[0]: an alert is wanted: alert: …, when: …"),
        (CHECK % ", alerts: [{alert: A}]", "checks[0].alerts[0].when: when is missing"),
        (CHECK % ", alerts: [{when: failed}]", "checks[0].alerts[0].alert: alert is missing"),
        (CHECK % ", alerts: [{alert: A, when: failed, fro: 5m}]", "unknown key 'fro'; did you mean 'for'?"),
        (CHECK % ", alerts: [{alert: A, when: failed, for: 5}]", "alerts[0].for: a duration needs its unit"),
        (CHECK % ", alerts: [{alert: A, when: failed, severity: P9}]", "alerts[0].severity: P9 means different things"),
        (CHECK % ", alerts: [{alert: A, when: failed, runbook: '#x'}]", "the system 'default' has no runbook"),
        (CHECK % ", alerts: [{alert: A, when: failed, runbook: x}]", 'write "#section"'),
        (CHECK % ", alerts: [{alert: A, when: failed}, {alert: A, when: error}]", "an alert 'A' of this severity"),
        ("receivers: [x]", "1:13: receivers[0]: a receiver is wanted: name: …"),
        ("receivers: [{}]", "receivers[0].name: name is missing"),
        ("receivers: [{name: a, slak_configs: []}]", "unknown key 'slak_configs'; did you mean 'slack_configs'?"),
        ("receivers: [{name: a, fallbak: b}]", "unknown key 'fallbak'; did you mean 'fallback'?"),
        ("receivers: [{name: a, fallback: b}]", "receivers[0].fallback: there is no receiver 'b'"),
        ("receivers: [{name: a, fallback: a}]", "the fallbacks go in a circle: a → a"),
        ("receivers: [{name: a}, {name: a}]", "receivers[1].name: there is a receiver 'a' already"),
        ("receivers: [{name: a, webhook_configs: [{}]}]", "receivers[0].webhook_configs[0]"),
        ("receivers: [{name: a, webhook_configs: {}}]", "receivers[0].webhook_configs: a list is wanted"),
        ("route: {}", "1:8: route.receiver: the top route needs a receiver"),
        ("route: []", "1:8: route: keys with values are wanted"),
        ("receivers: [{name: ops}]\nroute: {receiver: opps}", "2:19: route.receiver: there is no receiver 'opps'; did"),
        ("receivers: [{name: a}]\nroute: {receiver: a, matchers: ['a=b']}", "route.matchers: the top route takes"),
        ("receivers: [{name: a}]\nroute: {receiver: a, group_bye: []}", "unknown key 'group_bye'; did you mean 'gr"),
        ("receivers: [{name: a}]\nroute: {receiver: a, group_by: ['...', b]}", "'...' means every label"),
        ("receivers: [{name: a}]\nroute: {receiver: a, group_interval: 0s}", "it must be more than 0"),
        ("receivers: [{name: a}]\nroute: {receiver: a, routes: [{matchers: ['a~']}]}", "2:43: route.routes[0].matcher"),
        ("receivers: [{name: a}]\nroute: {receiver: a, routes: [{match_re: {a: '('}}]}", "'(' is not a regular"),
        ("receivers: [{name: a}]\nroute: {receiver: a, routes: [{receiver: b}]}", "route.routes[0].receiver: there"),
        ("system: a/b", "1:9: system: a name without / is wanted"),
        ("system: runwatch", "1:9: system: runwatch is the name of the monitor's own checks"),
        ("severities: {P1: hihg}", "'hihg' is not one of critical, high, medium, low; did you mean 'high'?"),
        ("respond_within: {P1: 1h}", "1:18: respond_within.P1: 'P1' is no severity of this system"),
        ("respond_within: {high: soon}", "1:24: respond_within.high: 'soon' is not a duration"),
        ("runbook: nowhere.md", "1:10: runbook: cannot read the runbook nowhere.md: there is no such file"),
        ("systems: [{system: a, chekcs: []}]", "systems[0].chekcs: unknown key 'chekcs'; did you mean 'checks'?"),
    ],
)  # fmt: skip
def test_is_told_with_its_place(tmp_path: Path, text: str, expected: str) -> None:
    told = problems(tmp_path, text)
    assert any(expected in problem for problem in told), told


def test_everything_at_once_in_the_order_of_the_lines(tmp_path: Path) -> None:
    told = problems(
        tmp_path,
        """\
        stor: sqlite:///x.db
        receivers:
          - {name: ops}
        route: {receiver: opps}
        severities: {P0: critical}
        checks:
          - name: shop
            kind: http
            url: "${SHOP_URL}/health"
            alerts:
              - {alert: ShopDown, when: faild, severity: P0}
              - {alert: ShopSlow, when: duration_seconds > 400MB, severity: P7}
              - alert: ShopOdd
                when: "failed and p95(duration_second, 10m) > 1s"
          - name: shop
            kind: tcpp
          - name: db
            kind: http
            url: http://db.example/
            interval: fast
        """,
    )
    assert told == [
        "1:1: stor: unknown key 'stor'; did you mean 'store'?",
        "4:19: route.receiver: there is no receiver 'opps'; did you mean 'ops'?",
        "9:10: checks[0].url: the variable SHOP_URL is not set",
        "11:33: checks[0].alerts[0].when: there is no measurement 'faild'; did you mean 'failed'?",
        "12:52: checks[0].alerts[1].when: duration_seconds is in seconds, 400MB is in bytes: they can't be compared",
        "12:69: checks[0].alerts[1].severity: 'P7' is no severity of the system 'default'; "
        "there are P0, critical, high, low, medium",
        "14:31: checks[0].alerts[2].when: there is no measurement 'duration_second'; did you mean 'duration_seconds'?",
        "15:11: checks[1].name: there is a check 'shop' already, in " + told[-3].partition("in ")[2],
        "16:11: checks[1].kind: there is no kind 'tcpp'; did you mean 'tcp'?",
        "20:15: checks[2].interval: 'fast' is not a duration; write 500ms, 30s, 5m, 1h or 7d",
    ]


def test_what_is_long_is_not_quoted_whole(tmp_path: Path) -> None:
    long = "a" * 100_000
    [told] = problems(tmp_path, f"checks: [{{kind: tcp, address: {long}}}]")
    assert told.startswith("1:31: checks[0].address: 'tcp://aaaa") and told.endswith("aaa' names no port")
    [told] = problems(tmp_path, f"checks: [{{kind: tcp, address: 'h:1', ? {long} : 1}}]")
    assert "unknown key 'aaaa" in told
    assert len(told) < 1_300


def test_of_thousands_the_first_are_told_where_room_is_short(tmp_path: Path) -> None:
    file = tmp_path / "runwatch.yaml"
    file.write_text("checks:\n" + "  - {kind: tcp}\n" * 1_000)
    with pytest.raises(ConfigError) as caught:
        load(file, HOME)
    first, *_, last = caught.value.brief().splitlines()
    assert first == f"{file}:2:5: checks[0].address: address is missing"
    assert last == "and 990 more; `runwatch validate` names them all"
    assert len(caught.value.brief()) < 2_000
    file.write_text("checks:\n" + "  - {kind: tcp}\n" * 10)
    with pytest.raises(ConfigError) as caught:
        load(file, HOME)
    assert caught.value.brief() == str(caught.value)


def test_duplicate_checks_name_both_lines(tmp_path: Path) -> None:
    [told] = problems(
        tmp_path,
        """\
        checks:
          - {name: a, kind: http, url: 'http://a.example/'}
          - {name: a, kind: http, url: 'http://b.example/'}
        """,
    )
    assert told.startswith("3:12: checks[1].name: there is a check 'a' already, in ")
    assert told.endswith(" line 2")


def test_circles_are_named(tmp_path: Path) -> None:
    [told] = problems(
        tmp_path,
        """\
        checks:
          - {name: a, kind: http, url: 'http://a.example/', depends_on: [b]}
          - {name: b, kind: http, url: 'http://a.example/', depends_on: [c]}
          - {name: c, kind: http, url: 'http://a.example/', depends_on: [default/a]}
        """,
    )
    assert "the checks depend on each other in a circle: default/a → default/b → default/c → default/a" in told


def test_an_unknown_anchor_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "book.md").write_text("# Health checks\ntext")
    [told] = problems(
        tmp_path,
        """\
        runbook: book.md
        checks:
          - kind: http
            url: http://a.example/
            alerts: [{alert: A, when: failed, runbook: "#health-check"}]
        """,
    )
    assert told.endswith("runbook: book.md has no section #health-check; did you mean 'health-checks'?")


def test_two_files_can_t_both_say_the_route(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(f"receivers: [{{name: {name}}}]\nroute: {{receiver: {name}}}\n")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, HOME)
    [problem] = caught.value.problems
    assert str(problem) == f"{tmp_path}/b.yaml:2:1: route: route is said already, in {tmp_path}/a.yaml:2:8"


def test_problems_of_included_files_stand_in_those_files(tmp_path: Path) -> None:
    (tmp_path / "systems").mkdir()
    (tmp_path / "systems/shop.yaml").write_text("system: shop\n\nchecks: [{kind: htp}]\n")
    [told] = problems(tmp_path, "include: [systems/*.yaml, none/*.yaml]")
    assert told.startswith(f"{tmp_path}/systems/shop.yaml:3:17: checks[0].kind: there is no kind 'htp'")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${NOT_THERE}", "the variable NOT_THERE is not set"),
        ("${HOMER}", "the variable HOMER is not set; did you mean HOME?"),
        ("${file:/nowhere/secret}", "cannot read the secret file /nowhere/secret: there is no such file"),
        ("${file:secret}", "cannot read the secret file"),
        ("${A:-${B}}", "one ${…} can't stand inside another"),
        ("${OPEN", "${ has no closing }; write $$ for a plain $"),
        ("${a b}", "${a b} is not understood; write ${NAME}, ${NAME:-default} or ${file:/path}"),
        ("${}", "${} is not understood"),
    ],
)
def test_what_can_t_be_filled_in(tmp_path: Path, value: str, expected: str) -> None:
    told = problems(tmp_path, f"watchdog:\n  url: '{value}'")
    assert any(problem.startswith("2:8: watchdog.url: ") and expected in problem for problem in told), told


def test_a_secret_file_that_is_no_text_or_too_large(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "large").write_bytes(b"x" * 70_000)
    assert "it is not UTF-8 text" in problems(tmp_path, "watchdog: {url: '${file:binary}'}")[0]
    assert "larger than 64 KB" in problems(tmp_path, "watchdog: {url: '${file:large}'}")[0]


SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    "text",
    [
        "checks: [{kind: '${TOKEN}'}]",
        "checks: [{kind: http, url: '${TOKEN}', interval: '${TOKEN}'}]",
        f"checks: [{{kind: http, url: 'http://user:{SECRET}@:port/'}}]",
        f"checks: [{{kind: http, url: 'http://user:{SECRET}#@host/'}}]",
        f"checks: [{{kind: http, url: 'ftp://user:{SECRET}@host/'}}]",
        f"checks: [{{kind: postgres, dsn: 'mysql://user:{SECRET}@host/x'}}]",
        "checks: [{kind: http, url: '${URL_OF_SHOP}'}]",
        f"checks: [{{kind: http, url: 'http://a/', bearer_token: [{SECRET}]}}]",
        f"checks: [{{kind: http, url: 'http://a/', basic_auth: {{username: a, password: {{x: {SECRET}}}}}}}]",
        f"receivers: [{{name: a, pagerduty_configs: [{{routing_key: '{SECRET}', region: mars}}]}}]",
        "receivers: [{name: a, fallback: '${TOKEN}'}]",
        "route: {receiver: '${TOKEN}'}",
        "store: '${TOKEN}'",
        "checks: [{kind: http, url: 'http://a/', alerts: [{alert: A, when: '${TOKEN} > 1'}]}]",
        "checks: [{kind: http, url: 'http://a/', '${TOKEN}': 1, severity: '${TOKEN}'}]",
        "server: {listen: '${TOKEN}'}",
    ],
)
def test_no_problem_tells_a_secret(tmp_path: Path, text: str) -> None:
    environ = {"TOKEN": SECRET, "URL_OF_SHOP": f"http://user:{SECRET}@host:port/"}
    told = "\n".join(problems(tmp_path, text, environ))
    assert told
    assert SECRET not in told
    assert "hunter2" not in told.replace(SECRET, "")


def test_a_validator_that_quotes_a_secret_is_not_quoted(tmp_path: Path) -> None:
    (tmp_path / "kinds").mkdir()
    (tmp_path / "kinds/quoting_dropped_in.py").write_text(
        "from pydantic import SecretStr, field_validator\n"
        "from checks.base import Check\n"
        "class Quoting(Check):\n"
        "    word: SecretStr\n"
        "    @field_validator('word', mode='before')\n"
        "    @classmethod\n"
        "    def refused(cls, word):\n"
        "        raise ValueError(f'{word!r} is not good enough')\n"
    )
    told = problems(tmp_path, f"plugins: [kinds]\nchecks: [{{kind: quoting_dropped_in, word: {SECRET}}}]")
    assert told == ["2:43: checks[0].word: it can't be used"]


def test_a_url_without_host(tmp_path: Path) -> None:
    told = problems(tmp_path, "checks: [{kind: http, url: 'http:///path'}]")
    assert any(re.match(r"1:28: checks\[0\]\.url: .*host", problem) for problem in told), told


def test_a_broken_plugin_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "kinds").mkdir()
    (tmp_path / "kinds/broken.py").write_text("this is not python at all")
    (tmp_path / "kinds/empty.py").write_text("")
    (tmp_path / "kinds/failing.py").write_text("1 / 0")
    told = problems(tmp_path, "plugins: [kinds]\nchecks: [{kind: broken}, {kind: empty}, {kind: needs_driver}]")
    assert "2:17: checks[0].kind: cannot load the kind 'broken': SyntaxError" in told[0]
    assert "the file of kind 'empty' must hold one Check class, it holds 0" in told[1]
    assert "there is no kind 'needs_driver'" in told[2]


def test_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"\(not set\), runwatch\.yaml, /etc/runwatch\. Say where with -c"):
        find(None, {})
    with pytest.raises(ConfigError, match=r"nowhere: there is no such file or folder \(from RUNWATCH_CONFIG\)"):
        find(None, {"RUNWATCH_CONFIG": "nowhere"})
    with pytest.raises(ConfigError, match="elsewhere: there is no such file or folder"):
        find("elsewhere", {"RUNWATCH_CONFIG": "nowhere"})
    (tmp_path / "runwatch.yaml").write_text("")
    assert find(None, {}) == Path("runwatch.yaml")
    assert find(None, {"RUNWATCH_CONFIG": str(tmp_path)}) == tmp_path


def test_settings_of_the_environment_are_checked_too(tmp_path: Path) -> None:
    file = tmp_path / "runwatch.yaml"
    file.write_text("server: {listen: '127.0.0.1:1'}")
    environ = HOME | {"RUNWATCH_LISTEN": "0.0.0.0:1", "RUNWATCH_LOG_LEVEL": "loud", "RUNWATCH_STORE": "postgresql://x"}
    with pytest.raises(ConfigError) as caught:
        load(file, environ)
    told = "\n".join(map(str, caught.value.problems))
    assert "environment: RUNWATCH_LOG_LEVEL: 'loud' is not one of debug, info, warning or error" in told
    assert "environment: RUNWATCH_STORE: a store in PostgreSQL is not carried out yet" in told
    assert "0.0.0.0:1 can be reached from elsewhere" in told


def test_systems_that_depend_on_each_other_are_refused(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """\
        systems:
          - {system: a, depends_on: [b], checks: [{name: x, kind: tcp, address: "192.0.2.1:1"}]}
          - {system: b, depends_on: [a], checks: [{name: y, kind: tcp, address: "192.0.2.1:1"}]}
          - {system: c, depends_on: [bb], checks: [{name: z, kind: tcp, address: "192.0.2.1:1"}]}
        """,
    )
    assert any("depend on each other in a circle: a/x → b/y → a/x" in one for one in found)
    assert any("systems[2].depends_on[0]: there is no check 'bb'; did you mean" in one for one in found)
