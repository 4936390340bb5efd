"""`runwatch check`: one pass over every check, as the runbooks' "mode once"."""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from alerts.thresholds import judge
from alerts.vocabulary import Severity
from checks.base import Check, Outcome, Result
from checks.units import show_duration
from monitor.commands.say import complain, data, out, progress, table
from monitor.config import Config, ConfigError, find, load
from monitor.memories import recall
from monitor.prober import Prober
from monitor.store.history import results_beside
from monitor.store.recall import memories_of_another

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
GRAVE = (Severity.CRITICAL, Severity.HIGH)


def main(asked: argparse.Namespace) -> int:
    """Exit 0 all ok, 1 a medium or low threshold breached, 2 a failure or a grave one, 3 something can't be told."""
    environ = dict(os.environ)
    try:
        config = load(find(asked.config, environ), environ)
    except ConfigError as error:
        complain(str(error))
        return UNKNOWN
    checks = _chosen(config, asked)
    if checks is None:
        return UNKNOWN
    results = asyncio.run(_ask_all(checks, results_beside(Path(config.store.removeprefix("sqlite://")))))
    rows = [_row(config, check, result) for check, result in zip(checks, results, strict=True)]
    if asked.json:
        data(rows)
    else:
        _print(rows)
    return _exit_code(rows)


def _chosen(config: Config, asked: argparse.Namespace) -> list[Check] | None:
    chosen = list(config.checks.values())
    if asked.system is not None:
        chosen = [check for check in chosen if check.system == asked.system]
        if not chosen:
            complain(f"no check belongs to a system {asked.system!r}; known: {', '.join(config.systems)}")
            return None
    for name in asked.names:
        if not any(name in (check.name, check.key) for check in chosen):
            near = get_close_matches(name, [check.name for check in chosen] + [check.key for check in chosen], 1)
            complain(f"there is no check {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
            return None
    if asked.names:
        chosen = [check for check in chosen if check.name in asked.names or check.key in asked.names]
    return chosen


async def _ask_all(checks: list[Check], results: Path) -> list[Result]:
    ended = 0
    # What a daemon's checks remember (a heartbeat's pings, a counter's last value) is good for a look beside it, too.
    prober = Prober(time.time, lambda check, result: None, lambda key: None, lambda check: None, lambda late: None)

    recall(prober, memories_of_another(results), {check.key: check for check in checks})

    async def ask(check: Check) -> Result:
        nonlocal ended
        result = await prober.ask(check)
        ended += 1
        progress(f"asked {ended} of {len(checks)}")
        return result

    progress(f"asked 0 of {len(checks)}")
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(check)) for check in checks]
    progress("")
    return [task.result() for task in tasks]


def _row(config: Config, check: Check, result: Result) -> dict[str, Any]:
    breached = []
    for threshold in config.thresholds.get(check.key, ()):
        for labels, judgement in judge(threshold.when, result, None, result.at):
            if judgement.breached:
                breached.append(
                    {
                        "alert": threshold.alert,
                        "severity": threshold.severity.value,
                        "severity_word": threshold.severity_word,
                        "value": judgement.value,
                        "limit": judgement.limit,
                        "expression": judgement.expression,
                        "labels": dict(labels),
                    }
                )
    return {
        "check": check.key,
        "kind": check.kind,
        "target": check.target,
        "outcome": result.outcome.value,
        "took": result.took,
        "reason": result.reason.value if result.reason else None,
        "sentence": result.sentence,
        "breached": breached,
        "measurements": [
            {"name": name, "value": value, "labels": dict(labels)} for name, value, labels in result.measurements
        ],
        "evidence": [{"title": title, "text": text} for title, text in result.evidence],
    }


def _print(rows: list[dict[str, Any]]) -> None:
    shown = []
    for row in rows:
        limits = [one for one in row["breached"] if one["limit"]]
        said = row["sentence"] or "; ".join(
            f"{one['alert']}: {one['expression']} = {one['value']}, {one['limit']}" for one in limits
        )
        shown.append([row["check"], row["kind"], row["outcome"], show_duration(row["took"]), said])
    if not shown:
        out("no checks are configured")
        return
    table(["CHECK", "KIND", "OUTCOME", "TOOK", "WHAT"], shown, outcome_column=2)
    counts = {word: sum(row["outcome"] == word for row in rows) for word in ("ok", "failed", "error")}
    out(f"\n{counts['ok']} ok, {counts['failed']} failed, {counts['error']} can't be told")


def _exit_code(rows: list[dict[str, Any]]) -> int:
    grave = {severity.value for severity in GRAVE}
    if any(row["outcome"] == Outcome.FAILED for row in rows):
        return CRITICAL
    if any(one["severity"] in grave for row in rows for one in row["breached"] if one["limit"]):
        return CRITICAL
    if any(row["outcome"] == Outcome.ERROR for row in rows):
        return UNKNOWN
    return WARNING if any(one["limit"] for row in rows for one in row["breached"]) else OK
