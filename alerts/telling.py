"""Decides when one destination has to be told something about one group, and why. Pure: time is an argument."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(slots=True)
class Telling:
    """What one destination has been told of one group: the memory behind "told firing, told resolved".

    `destination` is the notifier as it was configured when the first page went out, so that edits of routes and
    receivers never orphan an open page. `thread` names this opening of the group: what its messages share.
    """

    key: str
    thread: str
    receiver: str
    group_key: str
    group_labels: dict[str, str]
    dedup_key: str
    destination: dict[str, object]
    send_resolved: bool = True
    told: list[str] = field(default_factory=list)
    last_sent: float = 0.0


class Pace(NamedTuple):
    """How often a group is spoken of, from its route; seconds."""

    group_wait: float
    group_interval: float
    repeat_interval: float


class Due(NamedTuple):
    """What to tell now (`reason` empty: nothing), or when to ask again (`at`; None: not before something changes)."""

    reason: str
    at: float | None
    why: str


def due(told: Set[str], last_sent: float, firing: Set[str], first_fired: float, pace: Pace | None, now: float) -> Due:
    """What a destination has to be told, given what it was told and what fires now.

    `told`: fingerprints last said to fire; `firing`: those that fire and may be told; `first_fired`: when the earliest
    of them fired. `pace` None: no route leads here any more, so only the end of what was told is still owed.
    """
    if told and not told & firing and (pace is None or not firing):
        return Due("resolved", None, "all that was told has ended")
    if pace is None:
        return Due("", None, "no route leads here any more; the resolve is still owed")
    if not firing:
        return Due("", None, "nothing fires")
    if not told:
        ready = first_fired + pace.group_wait
        return _at(ready, now, "first", "nobody here knows yet")
    if firing - told:
        return _at(last_sent + pace.group_interval, now, "added", f"{len(firing - told)} more fire")
    reminder = last_sent + pace.repeat_interval
    if told - firing:
        return _at(min(last_sent + pace.group_interval, reminder), now, "changed", f"{len(told - firing)} have ended")
    return _at(reminder, now, "reminder", "nothing new since the last message")


def _at(ready: float, now: float, reason: str, why: str) -> Due:
    # A last_sent in the future is what a clock set back leaves behind: it must not silence anybody.
    return Due(reason, None, why) if now >= ready else Due("", ready, why)
