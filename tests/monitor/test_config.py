"""Configurations that can be used, and what they come to."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerts.routing import match
from alerts.vocabulary import Runbook, Severity
from checks.base import Run
from monitor.config import load
from monitor.config.playbook import LONGEST_SECTION, sections
from tests.monitor.configurations import ENVIRON, HOME, MAIN, SYSTEM, configured


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    (tmp_path / "systems/dakkah").mkdir(parents=True)
    (tmp_path / "runwatch.yaml").write_text(MAIN)
    (tmp_path / "systems/dakkah/system.yaml").write_text(SYSTEM)
    (tmp_path / "systems/dakkah/playbooks.md").write_text("# Playbook\n\n## Health checks\n\n1. Look.\n\n## Rest\nmore")
    return tmp_path


def test_the_documented_configuration(estate: Path) -> None:
    config = load(estate / "runwatch.yaml", HOME | ENVIRON)
    assert (config.server.host, config.server.port) == ("127.0.0.1", 9876)
    assert config.server.external_url == "https://watch.example.com"
    assert config.store == "sqlite:///var/lib/runwatch/runwatch.db"
    assert config.watchdog is not None
    assert config.watchdog.interval == 120
    assert list(config.checks) == ["dakkah/store-health", "dakkah/database"]
    store, database = config.checks.values()
    assert (store.interval, store.timeout, store.retries, store.retry_interval) == (60, 7, 2, 2)
    assert database.interval == 30
    assert store.labels == {"team": "shop", "tier": "front"}
    assert store.target == "https://dakkah.example/store/health"
    assert "p%40ssword" not in str(database.target)
    assert config.systems["dakkah"].respond_within["P1"] == 3600
    assert config.warnings == ()


def test_thresholds_carry_all_that_was_said_of_them(estate: Path) -> None:
    config = load(estate / "runwatch.yaml", HOME | ENVIRON)
    down, slow, heap = config.thresholds["dakkah/store-health"]
    assert (down.alert, str(down.when), down.severity, down.severity_word) == (
        "StoreDown", "failed", Severity.CRITICAL, "P0",
    )  # fmt: skip
    assert down.runbook == Runbook("Health checks", "1. Look.")
    assert (slow.hold, slow.keep_firing, slow.labels, slow.annotations) == (
        120, 300, {"kind_of": "latency"}, {"summary": "slow"},
    )  # fmt: skip
    assert str(slow.resolve_when) == "duration_seconds < 1s"
    assert (heap.severity, heap.severity_word) == (Severity.HIGH, "P1")
    [by_itself] = config.thresholds["dakkah/database"]
    assert (by_itself.alert, str(by_itself.when), by_itself.severity, by_itself.severity_word) == (
        "DatabaseFailed", "failed", Severity.MEDIUM, "P2",
    )  # fmt: skip


def test_the_route_tree_inherits(estate: Path) -> None:
    config = load(estate / "runwatch.yaml", HOME | ENVIRON)
    assert config.route is not None
    [child] = config.route.routes
    [grandchild] = child.routes
    assert (child.receiver, child.group_by, child.follow_on) == ("on-call", None, True)
    assert (grandchild.receiver, grandchild.group_by, grandchild.follow_on) == ("on-call", None, False)
    assert (grandchild.repeat_interval, grandchild.group_interval, grandchild.group_wait) == (3600, 300, 0)
    assert match(config.route, {"severity": "high", "system": "dakkah"}) == [grandchild]
    assert match(config.route, {"severity": "low"}) == [config.route]
    assert [notifier.kind for notifier in config.receivers["on-call"].notifiers] == ["pagerduty", "slack"]
    assert config.receivers["on-call"].fallback == "team-chat"


def test_secrets_are_gathered_and_shown_nowhere(estate: Path) -> None:
    config = load(estate / "runwatch.yaml", HOME | ENVIRON)
    for secret in ("p%40ssword", "p@ssword", "xoxb-1111-2222", ENVIRON["PAGERDUTY_ROUTING_KEY"]):
        assert secret in config.secrets
        assert secret not in repr(config.checks) + repr(config.receivers) + repr(config.server)
    assert "https://dakkah.example" not in config.secrets


def test_what_is_to_be_watched_and_what_changes_the_digest(estate: Path) -> None:
    config = load(estate / "runwatch.yaml", HOME | ENVIRON)
    for name in ("runwatch.yaml", "systems", "systems/dakkah/system.yaml", "systems/dakkah/playbooks.md"):
        assert estate / name in config.files
    assert estate not in config.files
    assert load(estate / "runwatch.yaml", HOME | ENVIRON | {"OTHER": "x"}).digest == config.digest
    other = load(estate / "runwatch.yaml", HOME | ENVIRON | {"SLACK_BOT_TOKEN": "xoxb-3333"})
    assert other.digest != config.digest
    (estate / "systems/dakkah/playbooks.md").write_text("# Health checks\nother")
    assert load(estate / "runwatch.yaml", HOME | ENVIRON).digest not in (config.digest, other.digest)


def test_the_same_files_give_the_same_configuration(estate: Path) -> None:
    """What a reload did not change must be recognized as unchanged, checks and all."""
    assert load(estate / "runwatch.yaml", HOME | ENVIRON) == load(estate / "runwatch.yaml", HOME | ENVIRON)


def test_a_folder_is_all_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "1.yaml").write_text("defaults: {interval: 15s}\nreceivers: [{name: a}]\nroute: {receiver: b}")
    (tmp_path / "2.yml").write_text("receivers: [{name: b}]\nchecks: [{kind: http, url: 'http://x.example/'}]")
    (tmp_path / "3.yaml").write_text("checks: [{kind: http, url: 'http://y.example/'}]")
    (tmp_path / ".hidden.yaml").write_text("nonsense")
    (tmp_path / "readme.txt").write_text("nonsense")
    config = load(tmp_path, HOME)
    assert {key: check.interval for key, check in config.checks.items()} == {
        "default/x.example": 15, "default/y.example": 15,
    }  # fmt: skip
    assert list(config.receivers) == ["a", "b"]
    assert config.files[0] == tmp_path


def test_several_systems_in_one_file_keep_their_own_words_and_defaults(tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        """\
        defaults: {timeout: 3s, labels: {estate: test}}
        systems:
          - system: a
            severities: {P1: critical}
            defaults: {interval: 10s, labels: {team: a}}
            checks: [{kind: http, url: "http://x.example/", severity: P1}]
          - system: b
            severities: {P1: low}
            checks: [{kind: http, url: "http://x.example/", severity: P1, depends_on: [a/x.example]}]
        """,
    )
    one, other = config.checks["a/x.example"], config.checks["b/x.example"]
    assert (one.interval, one.timeout, one.labels) == (10, 3, {"estate": "test", "team": "a"})
    assert (other.interval, other.timeout, other.labels) == (30, 3, {"estate": "test"})
    assert config.thresholds["a/x.example"][0].severity is Severity.CRITICAL
    assert config.thresholds["b/x.example"][0].severity is Severity.LOW
    assert config.dependencies == {"b/x.example": ("a/x.example",)}


def test_a_default_that_a_kind_does_not_have_is_left_out(tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        """\
        defaults: {follow_redirects: false}
        checks:
          - {kind: http, url: "http://x.example/"}
          - {kind: postgres, dsn: "postgresql://x.example/x"}
        """,
    )
    assert config.checks["default/x.example"].model_dump()["follow_redirects"] is False
    assert len(config.checks) == 2


def test_the_shortest_check_names_itself(tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        """\
        checks:
          - {kind: http, url: "https://user:secret-word@shop.example:8443/api/health?x=1"}
          - {kind: http, url: "https://shop.example/api/health"}
          - {kind: http, url: "http://[::1]:80/"}
        """,
    )
    assert list(config.checks) == [
        "default/shop.example-api-health",
        "default/shop.example-api-health-2",
        "default/1",
    ]
    assert config.thresholds["default/1"][0].alert == "1Failed"
    assert [str(one) for one in config.warnings] == [
        f"{tmp_path}/runwatch.yaml:1:1: there is no route: nobody is told of any alert"
    ]


def test_dependencies_go_by_the_system_first_and_are_turned_round(tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        """\
        checks:
          - {name: web, kind: http, url: "http://a/", depends_on: [api, db]}
          - {name: api, kind: http, url: "http://a/", depends_on: [default/db]}
          - {name: db, kind: http, url: "http://a/", depends_on: [net]}
          - {name: net, kind: http, url: "http://a/"}
        """,
    )
    assert config.dependencies["default/web"] == ("default/api", "default/db")
    assert config.ancestors["default/web"] == ("default/api", "default/db", "default/net")
    assert config.dependents["default/db"] == ("default/web", "default/api")


def test_a_system_or_a_check_may_depend_on_a_whole_system(tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        """\
        systems:
          - system: net
            checks:
              - {name: router, kind: tcp, address: "192.0.2.1:1"}
              - {name: switch, kind: tcp, address: "192.0.2.2:1"}
          - system: shop
            depends_on: [database, net]
            checks:
              - {name: database, kind: tcp, address: "192.0.2.3:1"}
              - {name: web, kind: tcp, address: "192.0.2.4:1"}
          - system: till
            checks:
              - {name: print, kind: tcp, address: "192.0.2.5:1", depends_on: [shop]}
        """,
    )
    net = ("net/router", "net/switch")
    assert config.dependencies == {
        "shop/database": net,
        "shop/web": ("shop/database", *net),
        "till/print": ("shop/database", "shop/web"),
    }
    assert set(config.ancestors["till/print"]) == {"shop/database", "shop/web", *net}


TEN_LINES = '''\
"""Counts the words of a text."""
from checks.base import Check, Failed, Measurement, Reason, Run

class Words(Check):
    text: str
    measurements = (Measurement("words", "count", "Words in the text."),)
    async def probe(self, run: Run) -> None:
        run.record("words", len(self.text.split()))
        if not self.text.strip():
            raise Failed(Reason.BODY, "cannot count the words: there are none")
'''


async def test_a_check_of_ten_lines_dropped_into_a_folder(tmp_path: Path) -> None:
    (tmp_path / "kinds").mkdir()
    (tmp_path / "kinds/words_dropped_in.py").write_text(TEN_LINES)
    config = configured(
        tmp_path,
        """\
        plugins: [kinds]
        checks:
          - name: poem
            kind: words_dropped_in
            text: the quick brown fox
            alerts: [{alert: TooLong, when: words > 3}]
        """,
    )
    check, run = config.checks["default/poem"], Run()
    await check.probe(run)
    assert run.measurements == [("words", 4, ())]
    assert config.thresholds["default/poem"][0].when.names == {"words"}
    assert tmp_path / "kinds/words_dropped_in.py" in config.files
    before = config.digest
    (tmp_path / "kinds/words_dropped_in.py").write_text(TEN_LINES + "\n")
    assert load(tmp_path / "runwatch.yaml", HOME).digest != before


def test_a_notifier_dropped_into_a_folder(tmp_path: Path) -> None:
    (tmp_path / "kinds").mkdir()
    (tmp_path / "kinds/pigeon_dropped_in.py").write_text(
        "from alerts.notifiers.base import Notifier\nclass Pigeon(Notifier):\n    loft: str\n"
    )
    config = configured(
        tmp_path,
        """\
        plugins: [kinds]
        route: {receiver: birds}
        receivers: [{name: birds, pigeon_dropped_in_configs: [{loft: north}, {loft: south}]}]
        """,
    )
    assert [notifier.model_dump()["loft"] for notifier in config.receivers["birds"].notifiers] == ["north", "south"]


def test_windows_shorter_than_two_probes_are_warned_of(tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        """\
        receivers: [{name: a}]
        route: {receiver: a}
        checks:
          - kind: http
            url: http://a/
            interval: 1m
            alerts: [{alert: A, when: "delta(duration_seconds, 90s) > 1s"}]
        """,
    )
    [warning] = config.warnings
    assert warning.sentence == "a window of 1m 30s holds one probe at most, one every 1m"


def test_sections_of_a_playbook() -> None:
    found = sections(
        "# Top\nintro\n## Health checks\nlook\n### Deeper `code`\nmore\n```sh\n# no heading\n```\n"
        "## Health checks\nagain\n## [Link](http://x) & More!\nx\n####### seven\n##\n",
        "book.md",
    )
    assert list(found) == ["top", "health-checks", "deeper-code", "health-checks-1", "link--more", ""]
    assert found["health-checks"].text == "look\n### Deeper `code`\nmore\n```sh\n# no heading\n```"
    assert found["deeper-code"] == Runbook("Deeper code", "more\n```sh\n# no heading\n```")
    assert found["link--more"].title == "Link & More!"
    long = sections("# Long\n" + "word " * 2_000, "book.md")["long"].text
    assert len(long) == LONGEST_SECTION
    assert long.endswith("… (cut here; the rest is in book.md#long)")
