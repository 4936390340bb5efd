"""Which share of the jobs that ended was completed, over a window: from counters, or from what a queue still keeps."""

from __future__ import annotations

from typing import Any

from checks.base import Run

POINTS = 60
"""Of the counters that are kept for one window."""
COUNTERS = "ended"
OLDEST = "oldest kept"


def ended_by_counters(run: Run, window: float, completed: float, failed: float) -> tuple[float, float]:
    """What two counters grew by over the window, as far back as they are known; kept over restarts."""
    held = run.kept.get(COUNTERS)
    points = [point for point in held if _is_point(point)] if isinstance(held, list) else []
    if points and (completed < points[-1][1] or failed < points[-1][2]):
        points = []
    # The last point before the window begins is where it is counted from.
    while len(points) > 1 and points[1][0] <= run.at - window:
        points.pop(0)
    if not points or run.at - points[-1][0] >= window / POINTS:
        points.append([run.at, completed, failed])
    run.kept[COUNTERS] = points[-2 * POINTS :]
    _, first_completed, first_failed = points[0]
    return completed - first_completed, failed - first_failed


def _is_point(point: Any) -> bool:
    return isinstance(point, list) and len(point) == 3 and all(isinstance(part, int | float) for part in point)


def known_since(run: Run, window: float, oldest: dict[str, float | None]) -> float | None:
    """Since when (Unix seconds) no job that ended is missing in the sets that are kept; None where it can't be told.

    `oldest` is the first end that each set still knows of, None where the set is empty. A queue that removes what
    ended (removeOnComplete, removeOnFail, clean) does so from the oldest on: where the oldest moves, all that is
    younger is there. Before it was seen a second time, nobody knows whether it moves.
    """
    begin = run.at - window
    held = run.kept.get(OLDEST)
    before: dict[str, Any] = held if isinstance(held, dict) else {}
    now: dict[str, list[float | None]] = {}
    since, certain = begin, True
    for name, first in oldest.items():
        known = before.get(name)
        was, moved = known if isinstance(known, list) and len(known) == 2 else (None, 0.0)
        if first is not None and isinstance(was, int | float) and first > was:
            moved = run.at
        now[name] = [first, moved]
        if first is not None and first > begin:
            certain = certain and name in before
            if isinstance(moved, int | float) and moved > begin:
                since = max(since, first)
    run.kept[OLDEST] = now
    return since if certain else None
