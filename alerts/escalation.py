"""Decides which further receivers hear of a group that nobody has acknowledged. Pure: time is an argument."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

RESPOND_WITHIN = 900.0
"""Seconds in which somebody should have it where neither the step nor the system says how many."""


@dataclass(frozen=True, slots=True)
class EscalationStep:
    """`receiver` hears of what nobody acknowledges within `after` seconds (None: its system's own time to respond)."""

    receiver: str
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Escalation:
    """How far one group has been escalated: `taken` steps since `started`, when its worst alert had this rank."""

    key: str
    started: float
    rank: int
    taken: int = 0
    paused: bool = False


class Climb(NamedTuple):
    """Where the escalation stands now, which steps (by index) are due at this moment, and when to ask again."""

    escalation: Escalation
    due: tuple[int, ...]
    at: float | None
    why: str


def climb(
    escalation: Escalation | None,
    key: str,
    steps: Sequence[EscalationStep],
    waiting: bool,
    rank: int,
    respond_within: float,
    now: float,
) -> Climb:
    """The next position of a group on its ladder.

    `waiting`: something of it fires, may be told, and nobody has acknowledged it. `rank` is that of the worst such
    alert (0 is critical), `respond_within` its system's word in seconds (0: none). A worse alert begins the ladder
    anew, and so does the end of an acknowledgement or of a mute.
    """
    if escalation is None:
        escalation = Escalation(key, now, rank)
    if not waiting:
        taken = min(escalation.taken, len(steps))
        return Climb(replace(escalation, taken=taken, paused=True), (), None, "somebody has it, or it is muted")
    why = "nobody has acknowledged it"
    if rank < escalation.rank:
        escalation, why = Escalation(key, now, rank), "it got worse: the escalation begins anew"
    elif escalation.paused:
        escalation, why = Escalation(key, now, rank), "nobody has it any more: the escalation begins anew"
    times = [escalation.started + patience(step, index, respond_within) for index, step in enumerate(steps)]
    taken = already = min(escalation.taken, len(times))  # the ladder may have been shortened meanwhile
    while taken < len(times) and times[taken] <= now:
        taken += 1
    due = tuple(range(already, taken))
    at = times[taken] if taken < len(times) else None
    return Climb(replace(escalation, taken=taken), due, at, why)


def patience(step: EscalationStep, index: int, respond_within: float) -> float:
    """Seconds without acknowledgement after which a step is due; the n-th without its own time is due n times later."""
    return step.after if step.after is not None else (respond_within or RESPOND_WITHIN) * (index + 1)
