"""The configurations in deploy/systems: each whole by itself, all together; every variable and alert explained."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from alerts.inhibition import InhibitRule
from alerts.routing import Receiver, Route, match
from alerts.vocabulary import Severity
from docs import coverage
from docs.source import ROOT
from monitor.asking import demands
from monitor.config import Config, load
from monitor.config.systems import RESERVED

FOLDER = ROOT / "deploy/systems"
NAMES = sorted(coverage.rows())
SHARED = {"PAGERDUTY_URL", "SLACK_API_URL", "SLACK_BOT_TOKEN"}
LEFT_OUT = {
    row for rows in coverage.rows().values() for row, about in rows.items() if {"not_yet", "feature"} & {*about}
}
"""Rows that no check carries: features of the daemon do, or will (docs/coverage.yaml)."""

_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)(?::-(?P<default>[^}]*))?\}")
_ASSIGNED = re.compile(r"(?P<comment># )?(?P<name>[A-Z][A-Z0-9_]*)=(?P<value>.*)")
_ROWS = re.compile(r"\s*# [A-Z]\d\d(?: [A-Z]\d\d)*")


@cache
def example(folder: Path) -> dict[str, str]:
    """The variables that an .env.example sets."""
    found = (_ASSIGNED.fullmatch(line) for line in lines(folder / ".env.example"))
    return {one["name"]: one["value"] for one in found if one is not None and not one["comment"]}


def lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()


@cache
def alone(system: str) -> Config:
    return load(FOLDER / system / "system.yaml", {"HOME": "/home/somebody", **example(FOLDER / system)})


@cache
def together() -> Config:
    everything = {name: value for system in NAMES for name, value in example(FOLDER / system).items()}
    return load(FOLDER / "runwatch.yaml", {"HOME": "/home/somebody", **everything, **example(FOLDER)})


def used(file: Path) -> dict[str, str | None]:
    """The variables of a configuration with their defaults."""
    text = "\n".join(line for line in lines(file) if not line.lstrip().startswith("#"))
    return {found[1]: found["default"] for found in _VARIABLE.finditer(text)}


FILES = [FOLDER / "runwatch.yaml", *(FOLDER / system / "system.yaml" for system in NAMES)]
by_file = pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(FOLDER)))
by_system = pytest.mark.parametrize("system", NAMES)


def test_all_of_them_are_shipped() -> None:
    assert sorted(file.parent.name for file in FOLDER.glob("*/system.yaml")) == NAMES
    assert len(NAMES) == 5


@by_system
def test_each_is_good_by_itself(system: str) -> None:
    config = alone(system)
    assert list(map(str, config.warnings)) == []
    assert list(config.systems) == [system]
    assert config.route is not None and config.checks


def test_all_are_good_together() -> None:
    config = together()
    assert list(map(str, config.warnings)) == []
    assert sorted(config.systems) == NAMES
    assert len(config.checks) == sum(len(alone(system).checks) for system in NAMES)
    assert config.watchdog is not None and len(config.impaired.anchors) >= 2


@by_system
def test_the_same_people_are_told_alone_and_together(system: str) -> None:
    apart, whole = alone(system), together()
    for severity in Severity:
        labels = {"system": system, "alertname": "A", "severity": severity.value}
        assert told(apart, labels) == told(whole, labels) != []


def told(config: Config, labels: dict[str, str]) -> list[tuple[object, ...]]:
    assert config.route is not None
    return [
        (one.receiver, one.group_by, one.group_wait, one.group_interval, one.repeat_interval, one.escalation,
         one.active_time_intervals, one.mute_time_intervals, one.max_reminders)
        for one in match(config.route, labels)
    ]  # fmt: skip


def test_the_monitors_own_alerts_go_to_none_of_the_systems() -> None:
    config = together()
    assert config.route is not None
    for severity in Severity:
        [own] = match(config.route, {"system": RESERVED, "severity": severity.value})
        assert own.receiver.startswith(RESERVED)


@by_system
def test_names_that_all_files_share_begin_with_the_systems(system: str) -> None:
    config = alone(system)
    names = [*config.receivers, *config.time_intervals, *(one.name for one in config.maintenance)]
    assert [name for name in names if not name.startswith(system)] == []
    assert [receiver.name for receiver in config.receivers.values() if not reachable(receiver, config.route)] == []


def reachable(receiver: Receiver, route: Route | None) -> bool:
    """Whether a route or a step of an escalation leads there."""
    if route is None:
        return False
    steps = {step.receiver for step in route.escalation}
    return receiver.name in {route.receiver, *steps} or any(reachable(receiver, below) for below in route.routes)


@by_system
def test_an_inhibit_rule_is_about_its_own_system(system: str) -> None:
    assert [rule for rule in alone(system).inhibit_rules if not of_one_system(rule, system)] == []


def of_one_system(rule: InhibitRule, system: str) -> bool:
    sides = (rule.source, rule.target)
    named = [any((one.name, one.operator, one.text) == ("system", "=", system) for one in side) for side in sides]
    return all(named) or "system" in rule.equal


@by_system
def test_every_alert_comes_with_a_section_of_the_playbooks(system: str) -> None:
    config = alone(system)
    bare = [f"{key}: {one.alert}" for key, group in config.thresholds.items() for one in group if not one.runbook.text]
    assert bare == []
    assert [key for key, group in config.thresholds.items() if not group] == []


@by_system
def test_every_alert_has_a_word_of_the_systems_own(system: str) -> None:
    config = alone(system)
    words = config.systems[system].severities
    assert {*config.systems[system].respond_within} == {*words} and sorted(set(words.values())) == sorted(Severity)
    assert [one.alert for group in config.thresholds.values() for one in group if one.severity_word not in words] == []


@by_system
def test_every_row_stands_above_a_check(system: str) -> None:
    text, rows = lines(FOLDER / system / "system.yaml"), set()
    for number, line in enumerate(text):
        if _ROWS.fullmatch(line):
            below = next(after for after in text[number + 1 :] if not after.lstrip().startswith("#"))
            assert below.startswith("  - "), f"line {number + 1}: {below}"
            rows |= set(re.findall(r"[A-Z]\d\d", line))
    known = set(coverage.rows()[system])
    assert rows - known == set() and known - LEFT_OUT - rows == set()
    assert not rows & {row for row, about in coverage.rows()[system].items() if "not_yet" in about}


def test_the_rows_that_are_left_out() -> None:
    assert {
        "L10", "R15", "C11", "C14", "W12", "W13", "W17", "D21",
        "D16", "D22", "C02", "C13", "L15", "W14", "W15", "W18",
    } == LEFT_OUT  # fmt: skip


@by_file
def test_every_variable_is_explained_and_none_in_vain(file: Path) -> None:
    named, explained = {}, False
    for line in lines(file.parent / ".env.example"):
        if found := _ASSIGNED.fullmatch(line):
            assert explained, f"{line}: no comment above it"
            assert found["name"] not in named, f"{line}: it stands there twice"
            named[found["name"]] = found["value"] if not found["comment"] else None
        else:
            explained = bool(line.strip())
    wanted = used(file)
    assert {*named} == {*wanted}
    # What has no default is set, what has one may be left as it is.
    assert {name for name, default in wanted.items() if default is None} == {
        name for name in named if named[name] is not None and wanted[name] is None
    }


@by_file
def test_variables_are_named_after_their_system(file: Path) -> None:
    owner = RESERVED if file.parent == FOLDER else file.parent.name
    assert [name for name in used(file) if name not in SHARED and not name.startswith(f"{owner.upper()}_")] == []


@by_file
def test_the_example_is_read_alike_by_shells_systemd_and_docker(file: Path) -> None:
    for name, value in example(file.parent).items():
        assert re.fullmatch(r"[A-Za-z0-9_./:@%+,?=&~^-]*", value), f"{name}={value}"


@by_system
def test_requests_stay_below_every_limit(system: str) -> None:
    config = together()
    asked = demands(config.checks, config.ancestors)
    for limit in config.limits:
        if limit.system == system:
            assert sum(one.worst(limit.per) for one in limit.of(asked)) <= limit.ours


def test_the_limits_of_dakkahs_runbook_are_named() -> None:
    found = {(limit.requests, limit.per): limit for limit in alone("dakkah").limits}
    assert {(120, 60.0), (20, 900.0)} <= found.keys()
    asked = demands(together().checks, together().ancestors)
    assert found[120, 60.0].of(asked), "nothing is counted against the store API's limit"
    assert all(limit.share <= 0.25 for limit in found.values())
