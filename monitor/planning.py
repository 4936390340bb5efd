"""What alerting needs of a configuration: thresholds, labels, dependencies, and how long to wait for whom."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from alerts import self_checks
from alerts.matching import Matcher
from alerts.plan import Plan, StormLimit
from alerts.routing import Route
from checks.base import Check, Measurement
from monitor.config import Config

OVERDUE_INTERVALS = 3
"""Intervals without an answer after which a check is `stale`, its own patience added."""


def plan_of(config: Config) -> Plan:
    """What the engine needs of a configuration, the monitor's own checks included."""
    checks = config.checks
    patience = {
        key: (check.timeout + check.retry_interval) * (check.retries + 1) for key, check in checks.items()
    }  # fmt: skip
    return Plan(
        thresholds={**config.thresholds, **self_checks.thresholds()},
        labels={key: _labels(check) for key, check in checks.items()} | self_checks.labels(),
        meanings={key: check.description for key, check in checks.items() if check.description},
        units={key: _units(check.declared()) for key, check in checks.items()},
        patience=patience,
        overdue={key: OVERDUE_INTERVALS * check.interval + patience[key] for key, check in checks.items()},
        ancestors=config.ancestors,
        dependents=_all_dependents(config),
        route=_route(config),
        receivers=config.receivers,
        inhibit_rules=config.inhibit_rules,
        time_intervals=config.time_intervals,
        maintenance=config.maintenance,
        resolve_timeout=config.resolve_timeout,
        external_url=config.server.external_url,
        storm=_storm(config),
        prove_within=config.on_call.prove_within,
        diagnosable=frozenset(key for key, check in checks.items() if type(check).diagnose is not Check.diagnose),
        answerable=frozenset(["slack"] if config.on_call.hooks.slack is not None else []),
    )


def _storm(config: Config) -> StormLimit | None:
    storm = config.on_call.storm
    return None if isinstance(storm, str) else StormLimit(storm.pages, storm.within, storm.update)


def _route(config: Config) -> Route | None:
    """The tree with a first branch for the monitor's own impairment, where a receiver is named for that."""
    name, route = config.impaired.receiver, config.route
    if not name:
        return route
    about = (Matcher("system", "=", self_checks.SYSTEM), Matcher("alertname", "=", self_checks.IMPAIRED))
    branch = Route(name, about)
    return replace(route, routes=(branch, *route.routes)) if route is not None else branch


def _labels(check: Check) -> dict[str, str]:
    own = {"system": check.system, "check": check.name, "instance": check.target}
    return {name: text for name, text in (own | check.labels).items() if text}


@cache
def _units(declared: tuple[Measurement, ...]) -> dict[str, str]:
    # Checks of one kind share theirs: a kilobyte less for each.
    return {one.name: one.unit for one in declared}


def _all_dependents(config: Config) -> dict[str, tuple[str, ...]]:
    """What can't succeed without a check, near or far, by the check's key."""
    found: dict[str, list[str]] = {}
    for key, ancestors in config.ancestors.items():
        for ancestor in ancestors:
            found.setdefault(ancestor, []).append(key)
    return {key: tuple(sorted(keys)) for key, keys in found.items()}
