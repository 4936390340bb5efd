"""Counts what happened lately, so that an event between two probes is still seen by the probes after it.

A growth that one attempt sees is lost where that attempt fails and is asked again; what is counted here is not.
"""

from __future__ import annotations

from typing import Any

from checks.base import Run

MOST = 64
"""Events that are remembered of each series: more of them say nothing more."""
SERIES_BEFORE_SWEEP = 200


def happened(run: Run, use: str, times: float, seconds: float) -> float:
    """How often it happened within the last `seconds`, `times` of them now; `use` names the series."""
    events = run.kept.get("recent")
    if not isinstance(events, dict):
        events = run.kept["recent"] = {}
    before = [event for event in _events(events.get(use)) if run.at - seconds < event[0] <= run.at]
    if times > 0:
        before.append([run.at, times])
    if before:
        events[use] = before[-MOST:]
    else:
        events.pop(use, None)
    if len(events) > SERIES_BEFORE_SWEEP:
        for old in [one for one in events if all(event[0] < run.at - seconds for event in _events(events[one]))]:
            del events[old]
    return sum(event[1] for event in before)


def _events(held: Any) -> list[list[float]]:
    """What was kept, as far as it is what is kept here."""
    if not isinstance(held, list):
        return []
    return [
        [float(event[0]), float(event[1])]
        for event in held
        if isinstance(event, list) and len(event) == 2 and all(type(one) in (int, float) for one in event)
    ]
