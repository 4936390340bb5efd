"""Decides when one destination has to be told something about one group, and why. Pure: time is an argument."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(slots=True)
class Telling:
    """What one destination has been told of one group: the memory behind "told firing, told resolved".

    `destination` is the notifier as it was configured when the first page went out, so that edits of routes and
    receivers never orphan an open page. `thread` names this opening of the group: what its messages share. `acked` and
    `flapping` are those of `told` that it knows to be so; `muted` are those that fire and were kept from it.
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
    muted: dict[str, str] = field(default_factory=dict)
    """Fingerprints of what fires and may not be told, each with the reason."""
    acked: list[str] = field(default_factory=list)
    flapping: list[str] = field(default_factory=list)
    reminders: int = 0
    """Reminders in a row since there was something new."""


class Pace(NamedTuple):
    """How often a group is spoken of, from its route; seconds. `max_reminders` None: as long as it fires."""

    group_wait: float
    group_interval: float
    repeat_interval: float
    max_reminders: int | None = None


class Scene(NamedTuple):
    """The alerts of one group, by fingerprint, as one destination may see them now. All but `acked` fire.

    `open` may be told, `muted` may not. `elsewhere` was told here and fires on, but does not lead here any more, as
    after an edit of routes or a step of an escalation that began anew: its end is still owed. `first_fired` is when the
    earliest of `open` fired. `escalated`: this destination is to hear of the group now because nobody has acknowledged
    it.
    """

    open: Set[str]
    muted: Set[str] = frozenset()
    acked: Set[str] = frozenset()
    flapping: Set[str] = frozenset()
    first_fired: float = 0.0
    escalated: bool = False
    elsewhere: Set[str] = frozenset()
    unheard: Set[str] = frozenset()
    """Reasons that this destination is never told."""


class Due(NamedTuple):
    """What to tell now (`reason` empty: nothing), or when to ask again (`at`; None: not before something changes)."""

    reason: str
    at: float | None
    why: str
    upcoming: str = ""
    """The reason that there will be at `at`."""


def due(telling: Telling, scene: Scene, pace: Pace | None, now: float) -> Due:
    """What a destination has to be told, given what it was told and what fires now.

    `pace` None: no route leads here any more, so only the end of what was told is still owed. The end of everything
    that was told is told through every mute: it is the one message that nobody may miss.
    """
    told = set(telling.told)
    firing = scene.open | scene.muted | scene.elsewhere
    if told and not told & firing and (pace is None or not scene.open):
        return Due("resolved", None, "all that was told has ended")
    if pace is None:
        return Due("", None, "no route leads here any more; the resolve is still owed")
    if not scene.open:
        return Due("", None, "nothing fires" if not scene.muted else "all that fires is muted")
    news = _at_once(told, telling, scene)
    if news:
        return Due(*news)
    if not told:
        return _at(scene.first_fired + pace.group_wait, now, "first", "nobody here knows yet")
    return _in_turn(told, telling, scene, pace, now)


def _at_once(told: set[str], telling: Telling, scene: Scene) -> tuple[str, None, str] | None:
    """What does not wait for the group's interval."""
    unmuted = scene.open & telling.muted.keys()
    if scene.escalated:
        return "escalated", None, "nobody has acknowledged it in time"
    if unmuted:
        return "unmuted", None, f"{len(unmuted)} may be told again and still fire"
    known = told & scene.open
    if (scene.acked & known) != set(telling.acked) & known:
        if scene.acked & known - set(telling.acked):
            if "acknowledged" in scene.unheard:
                return None
            return "acknowledged", None, "somebody has acknowledged it"
        return "reminder", None, "the acknowledgement is over and it still fires"
    return None


def _in_turn(told: set[str], telling: Telling, scene: Scene, pace: Pace, now: float) -> Due:
    """What waits for the group's interval, and reminders, which keep their own time."""
    regular = telling.last_sent + pace.group_interval
    reminder = _reminder(telling, scene, pace)
    soonest = regular if reminder is None else min(regular, reminder)
    if scene.open - told:
        return _at(soonest, now, "added", f"{len(scene.open - told)} more fire")
    if "flapping" not in scene.unheard and scene.flapping & told != set(telling.flapping) & scene.open:
        return _at(soonest, now, "flapping", "it began or ceased to come and go")
    ended = told - scene.open - scene.muted - scene.elsewhere
    if ended and "changed" not in scene.unheard:
        return _at(soonest, now, "changed", f"{len(ended)} have ended")
    if reminder is None:
        said = "acknowledged" if not scene.open - scene.acked else f"reminded {telling.reminders} times"
        return Due("", None, f"no more reminders: {said}")
    return _at(reminder, now, "reminder", "nothing new since the last message")


def _reminder(telling: Telling, scene: Scene, pace: Pace) -> float | None:
    if not scene.open - scene.acked:
        return None
    if pace.max_reminders is not None and telling.reminders >= pace.max_reminders:
        return None
    return telling.last_sent + pace.repeat_interval


def _at(ready: float, now: float, reason: str, why: str) -> Due:
    # A last_sent in the future is what a clock set back leaves behind: it must not silence anybody.
    return Due(reason, None, why) if now >= ready else Due("", ready, why, reason)
