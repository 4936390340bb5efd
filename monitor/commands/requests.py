"""`runwatch requests`: how much the checks ask of whom, as a rule and at worst, and how much of each limit that is."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from typing import Any

from checks.units import show_duration
from monitor.asking import MINUTE, Demand, Limit, demands
from monitor.commands.say import complain, data, out, table
from monitor.config import ConfigError, find, load


def main(asked: argparse.Namespace) -> int:
    """Exit 0, or 1 with sentences."""
    environ = dict(os.environ)
    try:
        config = load(find(asked.config, environ), environ)
    except ConfigError as error:
        complain(str(error))
        return 1
    if asked.system is not None and asked.system not in config.systems:
        complain(f"there is no system {asked.system!r}; known: {', '.join(config.systems)}")
        return 1
    everything = demands(config.checks, config.ancestors)
    limits = [_limit(one, everything) for one in config.limits if asked.system in (None, one.system)]
    chosen = [one for one in everything if asked.system in (None, config.checks[one.check].system)]
    targets = _targets(chosen)
    if asked.json:
        data({"targets": targets, "limits": limits})
        return 0
    _print(targets, limits)
    return 0


def _targets(chosen: Iterable[Demand]) -> list[dict[str, Any]]:
    """A row for each address and what it is asked with, those first that are asked most."""
    groups: dict[tuple[str, str, str], list[Demand]] = {}
    for one in chosen:
        groups.setdefault((one.asks.target, one.asks.method, one.asks.what), []).append(one)
    rows = [
        {
            "target": target,
            "method": method or None,
            "what": what,
            "checks": sorted({one.check for one in group}),
            "usual_per_minute": round(sum(one.usual(MINUTE) for one in group), 3),
            "worst_per_minute": sum(one.worst(MINUTE) for one in group),
        }
        for (target, method, what), group in groups.items()
    ]
    return sorted(rows, key=lambda row: (-row["usual_per_minute"], row["target"]))


def _limit(limit: Limit, everything: Iterable[Demand]) -> dict[str, Any]:
    counted = limit.of(everything)
    worst = sum(one.worst(limit.per) for one in counted)
    return {
        "system": limit.system or None,
        "name": limit.name,
        "match": list(limit.patterns),
        "requests": limit.requests,
        "per": limit.per,
        "share": limit.share,
        "ours": limit.ours,
        "checks": sorted({one.check for one in counted}),
        "usual": round(sum(one.usual(limit.per) for one in counted), 3),
        "worst": worst,
        "worst_share": round(worst / limit.requests, 4),
    }


def _print(targets: list[dict[str, Any]], limits: list[dict[str, Any]]) -> None:
    if not targets:
        out("no check asks anybody anything")
    else:
        shown = [
            [_number(row["usual_per_minute"]), str(row["worst_per_minute"]), row["what"], _address(row),
             ", ".join(row["checks"])]
            for row in targets
        ]  # fmt: skip
        table(["USUAL/MIN", "WORST/MIN", "WHAT", "OF", "BY"], shown)
    if limits:
        out("")
        table(["LIMIT", "ALLOWS", "OURS", "USUAL", "WORST", "OF IT", "BY"], list(map(_limit_row, limits)))


def _limit_row(row: dict[str, Any]) -> list[str]:
    allows = f"{row['requests']} in {show_duration(row['per'])}"
    by = ", ".join(row["checks"]) or "nobody"
    return [
        row["name"], allows, _number(row["ours"]), _number(row["usual"]), str(row["worst"]),
        f"{row['worst_share']:.1%}", by,
    ]  # fmt: skip


def _address(row: dict[str, Any]) -> str:
    return row["target"] if row["method"] in (None, "GET") else f"{row['method']} {row['target']}"


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"
