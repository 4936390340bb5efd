"""How values are filled in, read as YAML, taken from the environment, and what listening asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monitor.config.reading import plain
from tests.monitor.configurations import configured


def test_texts_are_filled_from_variables_and_files(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("token-from-file\n")
    config = configured(
        tmp_path,
        """\
        watchdog: {url: "http://${HOST}:${PORT:-80}/${EMPTY:-path}/$$x/$y"}
        server: {auth: {tokens: ["${file:token}-and-more"]}, listen: "0.0.0.0:0"}
        """,
        {"HOST": "w.example", "EMPTY": ""},
    )
    assert str(config.watchdog and config.watchdog.url) == "http://w.example:80/path/$x/$y"
    assert {"token-from-file", "token-from-file-and-more"} <= config.secrets
    assert "token-from-file" not in repr(config.server)
    assert tmp_path / "token" in config.files


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None), ("~", None), ("null", None), ("true", True), ("False", False), ("yes", "yes"), ("no", "no"),
        ("on", "on"), ("off", "off"), ("y", "y"), ("1", 1), ("-7", -7), ("0x1f", 31), ("0o17", 15), ("017", 17),
        ("1.5", 1.5), ("1e3", 1000.0), (".5", 0.5), ("1_000", "1_000"), ("12:30", "12:30"),
        ("2026-11-04", "2026-11-04"), ("1e999", "1e999"),
        ("-", "-"), (".", "."), ("5m", "5m"), (".inf", ".inf"), ("9" * 5000, "9" * 5000), ("=", "="),
    ],
)  # fmt: skip
def test_plain_scalars_mean_what_yaml_1_2_says(text: str, expected: Any) -> None:
    assert plain(text) == expected
    assert type(plain(text)) is type(expected)


def test_anchors_and_merge_keys(tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        """\
        systems:
          - system: a
            checks:
              - &base {kind: http, url: "http://a.example/", interval: 5s, timeout: 1s}
              - {<<: *base, name: second, timeout: 2s}
              - <<: [{timeout: 4s}, *base]
                name: third
        """,
    )
    second, third = config.checks["a/second"], config.checks["a/third"]
    assert (second.interval, second.timeout) == (5, 2)
    assert (third.interval, third.timeout) == (5, 4)


def test_the_store_is_under_the_state_home_unless_said(tmp_path: Path) -> None:
    text = "checks: [{kind: http, url: 'http://a/'}]"
    assert configured(tmp_path, text).store == "sqlite:///home/somebody/.local/state/runwatch/runwatch.db"
    assert configured(tmp_path, text, {"XDG_STATE_HOME": "/state"}).store == "sqlite:///state/runwatch/runwatch.db"


def test_variables_go_before_the_file(tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        "server: {listen: '127.0.0.1:1', external_url: 'https://a'}\nstore: sqlite:///a/b.db",
        {
            "RUNWATCH_LISTEN": "[::1]:2",
            "RUNWATCH_STORE": "sqlite:///c/d.db",
            "RUNWATCH_LOG_LEVEL": "DEBUG",
            "RUNWATCH_LOG_FORMAT": "json",
            "RUNWATCH_LOG_LEVLE": "x",
            "RUNWATCH_SERVICE_HOST": "10.0.0.1",
            "RUNWATCH_PORT": "tcp://10.0.0.1:9876",
        },
    )
    assert (config.server.host, config.server.port, config.server.external_url) == ("::1", 2, "https://a")
    assert (config.store, config.log_level, config.log_format) == ("sqlite:///c/d.db", "debug", "json")
    unknown = [str(one) for one in config.warnings if "RUNWATCH" in str(one)]
    assert unknown == ["environment: RUNWATCH_LOG_LEVLE: this variable is not known; did you mean RUNWATCH_LOG_LEVEL?"]


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "127.8.8.8:80", "localhost:80", "[::1]:80"])
def test_loopback_needs_no_auth(tmp_path: Path, listen: str) -> None:
    assert configured(tmp_path, f"server: {{listen: '{listen}'}}").server.is_loopback


def test_elsewhere_needs_auth_or_none_said(tmp_path: Path) -> None:
    assert configured(tmp_path, "server: {listen: '0.0.0.0:1', auth: none}").server.auth == "none"
    assert configured(tmp_path, "server: {listen: ':1', auth: {tokens: [0123456789abcdef]}}").server.host == ""
