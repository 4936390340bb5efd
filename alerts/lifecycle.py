"""Decides an alert's next phase: pending, firing, resolved; hold and keep. Pure: time is an argument."""

from __future__ import annotations

from typing import Literal, NamedTuple

from alerts.vocabulary import Phase


class Life(NamedTuple):
    """How far an alert has come. `since`: first breach; `clear_since`: first all-clear while kept firing; 0: none."""

    phase: Phase = Phase.INACTIVE
    since: float = 0.0
    clear_since: float = 0.0


SLACK = 0.1
"""Seconds by which a hold may fall short, and a hundredth of it at most: probes start some milliseconds early or late,
and a hold of five intervals that misses its end by one of them would be told a whole interval late."""

Event = Literal["", "pending", "firing", "resolved", "dropped", "flapping", "steady"]


class Step(NamedTuple):
    """The next state, and what has to be told of it."""

    life: Life
    event: Event
    why: str


def step(life: Life, breached: bool | None, began: float, now: float, *, hold: float, keep_firing: float) -> Step:
    """One judgement moves an alert on, as Prometheus' `for` and `keep_firing_for` do; None (can't tell) moves nothing.

    `began` is when the probe that was judged started, `now` when it is judged; `hold` and `keep_firing` in seconds.
    """
    if breached is None:
        return Step(life, "", "the probe could not tell: nothing changes")
    if breached:
        return _breached(life, began, now, hold)
    return _clear(life, now, keep_firing)


def _breached(life: Life, began: float, now: float, hold: float) -> Step:
    if life.phase is Phase.FIRING:
        return Step(life._replace(clear_since=0.0), "", "still breached")
    since = min(life.since, now) if life.phase is Phase.PENDING else min(began, now)
    if _is_over(now - since, hold):
        return Step(Life(Phase.FIRING, since), "firing", f"breached for {now - since:.1f} s, held for {hold:g} s")
    started: Event = "pending" if life.phase is Phase.INACTIVE else ""
    return Step(Life(Phase.PENDING, since), started, f"breached for {now - since:.1f} s of {hold:g} s")


def _clear(life: Life, now: float, keep_firing: float) -> Step:
    if life.phase is Phase.PENDING:
        return Step(Life(), "dropped", "cleared before its hold time was over")
    if life.phase is Phase.INACTIVE:
        return Step(life, "", "not breached")
    clear_since = min(life.clear_since, now) if life.clear_since else now
    if _is_over(now - clear_since, keep_firing):
        return Step(Life(), "resolved", f"clear for {now - clear_since:.1f} s, kept for {keep_firing:g} s")
    return Step(life._replace(clear_since=clear_since), "", f"clear for {now - clear_since:.1f} s of {keep_firing:g} s")


def _is_over(lasted: float, wanted: float) -> bool:
    return lasted >= wanted - min(SLACK, wanted / 100)
