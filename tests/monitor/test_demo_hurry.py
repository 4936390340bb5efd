"""A shipped configuration as the demo runs it: hurried, asking nobody but the installation, and within every limit."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.config import ConfigError, load
from monitor.demo.faults import listed
from monitor.demo.hurry import hurried, prepare, without
from monitor.demo.installations import NAMES, installation
from monitor.demo.installations.shop import Shop
from monitor.demo.telling import tell

ROOT = Path(__file__).parents[2]
SYSTEM = """\
system: shop
severities: {P0: critical}
runbook: playbooks.md
route:
  receiver: shop-chat
  group_wait: 30s
  routes: [{matchers: [severity="critical"], receiver: shop-chat, group_interval: 1m}]
receivers:
  - name: shop-chat
    slack_configs: [{bot_token: "${SLACK_BOT_TOKEN}", channel: "#shop", api_url: "${SLACK_API_URL}"}]
limits:
  - {name: API, match: "${SHOP_URL}/api/*", requests: 120, per: 1m}
  - {name: log-in, match: "POST ${SHOP_URL}/login", requests: 5, per: 15m, share: 80%}
defaults: {interval: 20s}
checks:
  - name: api
    kind: http
    url: "${SHOP_URL}/api/health"
    depends_on: [vendor, database]
    alerts:
      - {alert: Down, when: failed, for: 5m, severity: P0, runbook: "#down"}
      - {alert: Slow, when: duration_seconds > 1s, for: 3s, severity: P0}
  - name: log-in
    kind: journey
    url: "${SHOP_URL}"
    interval: 15m
    retries: 0
    steps: [{name: in, method: POST, url: "/login"}]
  - {name: quick, kind: http, url: "${SHOP_URL}/quick", interval: 2s, retry_interval: 50ms}
  - {name: vendor, kind: http, url: "${SHOP_VENDOR_URL:-https://vendor.example.com}/status", alerts: recommended}
  - name: page
    kind: http
    url: "${SHOP_URL}/"
    alerts: [recommended, {alert: CertificateEndsIn7Days, severity: P0}]
  - {name: shelf, kind: http, url: "${SHOP_URL}/shelf", alerts: [{alert: HttpSlowerThanUsual, severity: P0}]}
  - {name: shed, kind: http, url: "${SHOP_URL}/shed", alerts: recommended}
  - {name: mail, kind: tcp, address: "${SHOP_MAIL:-mail.example.com:25}"}
  - {name: database, kind: postgres, dsn: "${SHOP_DATABASE_URL}"}
  - {name: machine, kind: host, root: "${SHOP_ROOT:-/}"}
"""
ENVIRON = {
    "SHOP_URL": "http://127.0.0.1:1", "SLACK_BOT_TOKEN": "xoxb-a", "SLACK_API_URL": "http://127.0.0.1:1/api",
    "DEMO_SLACK_SIGNING_SECRET": "s" * 32,
}  # fmt: skip


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """A system as it is shipped."""
    folder = tmp_path / "deploy"
    folder.mkdir()
    (folder / "playbooks.md").write_text("## Down\n\nStart it.\n")
    (folder / "system.yaml").write_text(SYSTEM)
    return folder / "system.yaml"


def test_a_copy_is_hurried_asks_nobody_else_and_keeps_to_the_limits(shipped: Path, tmp_path: Path) -> None:
    copy = prepare(shipped, tmp_path / "copy", ENVIRON)
    assert copy.left_out == ["database", "mail", "vendor"]
    assert copy.slow == ["log-in"]
    config = load(copy.file, ENVIRON)
    intervals = {check.name: check.interval for check in config.checks.values()}
    assert intervals == {"api": 5, "quick": 2, "log-in": 900, "page": 5, "shelf": 5, "shed": 5, "machine": 5}
    assert {check.name: check.retry_interval for check in config.checks.values()} == {
        "api": 0.5, "log-in": 0.5, "quick": 0.05, "page": 0.5, "shelf": 0.5, "shed": 0.5, "machine": 0.5,
    }  # fmt: skip
    assert config.dependencies.get("shop/api", ()) == ()
    assert [one.hold for one in config.thresholds["shop/api"]] == [10, 3]
    for name in ("page", "shelf", "shed"):
        [slower] = [one for one in config.thresholds[f"shop/{name}"] if one.alert == "HttpSlowerThanUsual"]
        assert (slower.hold, slower.severity_word) == (10, "P0" if name == "shelf" else "medium")
    assert len(config.thresholds["shop/page"]) == len(config.thresholds["shop/shed"]) == 5
    assert config.thresholds["shop/api"][0].runbook.text == "Start it."
    assert config.route is not None
    assert (config.route.group_interval, config.route.routes[0].group_interval, config.route.group_wait) == (10, 10, 30)
    assert config.on_call.hooks
    assert shipped.read_text() == SYSTEM


def test_a_copy_that_would_not_load_says_why(shipped: Path, tmp_path: Path) -> None:
    shipped.write_text(SYSTEM.replace("duration_seconds > 1s", "durations > 1s"))
    with pytest.raises(ConfigError, match="did you mean 'duration_seconds'"):
        prepare(shipped, tmp_path / "copy", ENVIRON)


@pytest.mark.parametrize(
    ("check", "asked"),
    [
        ({"url": "${KNOWN}"}, True),
        ({"url": "${OTHER}"}, False),
        ({"headers": [{"a": "${OTHER}"}]}, False),
        ({"interval": "${OTHER:-30s}"}, True),
        ({"path": "${OTHER:-/var/log}"}, True),
        ({"url": "${OTHER:-https://example.com}"}, False),
        ({"address": "${OTHER:-mail.example.com:25}"}, False),
        ({"pattern": "costs $${OTHER}"}, True),
    ],
)
def test_what_needs_a_variable_that_nobody_has_set_is_left_out(check: dict[str, Any], asked: bool) -> None:
    document = {"checks": [{"name": "a", **check}, {"name": "b", "depends_on": ["shop/a"]}]}
    assert without([document], {"KNOWN": "x"}) == (set() if asked else {"a"})
    assert document["checks"][-1]["depends_on"] == (["shop/a"] if asked else [])


def test_a_file_without_checks_stays_as_it_is() -> None:
    document = yaml.safe_load("receivers: [{name: a}]\nserver: {listen: '127.0.0.1:1'}")
    assert without([document], {}) == set()
    assert hurried(document) == document


def test_faults_are_listed_with_what_scenarios_have_shown(tmp_path: Path) -> None:
    shown = tmp_path / "coverage.json"
    shown.write_text(
        '[{"system": "shop", "fault": "redis", "alert": "CacheDown", "severity": "P9"},'
        '{"system": "shop", "fault": "redis", "alert": "AndMore", "severity": "P1"},'
        '{"system": "other", "fault": "slow", "alert": "No", "severity": "P1"}]'
    )
    lines = listed(Shop, (tmp_path / "none", shown)).splitlines()
    assert lines[0].split("  ")[0] == "certificate" and lines[0].endswith("  CertificateBad (P1)")
    [redis] = [line for line in lines if line.startswith("redis")]
    assert redis.endswith("  CacheDown (P9), AndMore (P1)")


@pytest.mark.parametrize("name", NAMES)
def test_every_system_says_what_can_be_broken(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tell("faults", system=name) == 0
    said = capsys.readouterr().out
    assert all(f"\n{fault} " in f"\n{said}" for fault in installation(name).faults())


def test_a_system_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert tell("faults", system="kitchen") == 1
    assert "there is no system 'kitchen' to simulate; there are capliquify, dakkah" in capsys.readouterr().err


def test_the_wheel_carries_the_systems(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    program = "from pathlib import Path; from monitor.demo.installations import NAMES, installation; "
    program += "print([installation(name)(Path()).configuration for name in NAMES])"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    ask = [sys.executable, "-P", "-c", program]
    said = subprocess.run(ask, text=True, capture_output=True, check=True, cwd=tmp_path, env=environment).stdout
    installed = tmp_path / "installed/monitor/demo"
    for name in NAMES:
        file = installed / (f"shipped/{name}/system.yaml" if name != "shop" else "configuration/runwatch.yaml")
        assert str(file) in said and file.exists() and (file.parent / "playbooks.md").exists()
    assert (installed / "shipped/coverage.json").exists()
