"""How fast something grows, from sizes that are hours apart: one write more or less is no trend."""

from __future__ import annotations

from typing import Any

from checks.base import Run

GROWTH = "over the last 12 to 24 hours, or as many as are known after the first."
"""What is said of the figure in the help of measurements."""
SPAN = 43_200.0
SHORTEST = 3_600.0
MOST = 500
"""Things that are followed under one name, those seen longest ago given up first."""

Marks = list[list[float]]
"""Sizes and when they were seen, the older first: at most two."""


def growing(run: Run, name: str, key: str, size: float) -> float | None:
    """Units per second that `key` grew by, negative where it shrank; None until it has been watched for an hour.

    Survives restarts: two sizes, twelve hours apart at least, are kept for each key.
    """
    kept = run.kept.setdefault("sizes", {})
    if not isinstance(kept, dict):
        kept = run.kept["sizes"] = {}
    marks = kept.setdefault(name, {})
    if not isinstance(marks, dict):
        marks = kept[name] = {}
    pace, marks[key] = _paced(_sound(marks.pop(key, None), run.at), size, run.at)
    while len(marks) > MOST:
        del marks[next(iter(marks))]
    return pace


def _paced(marks: Marks, size: float, at: float) -> tuple[float | None, Marks]:
    """The pace since the older mark, and the marks to keep."""
    if not marks or at - marks[-1][1] >= SPAN:
        marks = [*marks[-1:], [size, at]]
    since, began = marks[0]
    return ((size - since) / (at - began) if at - began >= SHORTEST else None), marks


def _sound(kept: Any, now: float) -> Marks:
    """What an earlier version may have kept, as far as it makes sense."""
    marks = [
        mark
        for mark in (kept if isinstance(kept, list) else [])
        if isinstance(mark, list) and len(mark) == 2 and all(type(part) in (int, float) for part in mark)
    ]
    return [mark for mark in marks if mark[1] <= now][-2:]
