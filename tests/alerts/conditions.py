"""Measurements that conditions are written about, and what a condition says of a result."""

from __future__ import annotations

from typing import Any

from alerts.thresholds import Condition, Judgement, judge, parse
from checks.base import Measurement, Outcome, Result

KNOWN = {
    measurement.name: measurement
    for measurement in (
        Measurement("connections", "count", "By state.", ("db", "state")),
        Measurement("connections_limit", "count", "By database.", ("db",)),
        Measurement("connections_used_ratio", "ratio", "Of the limit."),
        Measurement("memory_used_bytes", "bytes", "Now."),
        Measurement("read_bytes_total", "bytes", "Since the start.", counter=True),
        Measurement("master_link_up", "bool", "Whether it follows."),
        Measurement("expires", "timestamp", "End of the certificate."),
        Measurement("queries", "per_second", "Lately."),
        Measurement("a", "number", "Anything."),
        Measurement("b", "number", "Anything."),
        Measurement("c", "number", "Anything."),
    )
}


def result(outcome: Outcome = Outcome.OK, took: float = 0.3, /, **values: float) -> Result:
    return Result(outcome, 1_000.0, took, measurements=[(name, value, ()) for name, value in values.items()])


def one(condition: str | Condition, answer: Result, **more: Any) -> Judgement:
    parsed = parse(condition, KNOWN) if isinstance(condition, str) else condition
    [(labels, judgement)] = judge(parsed, answer, None, 1_000.0, **more)
    assert labels == ()
    return judgement
