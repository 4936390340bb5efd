"""Judges a container: what is wrong with it now, and what happened to it since it was last seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from checks.parts.container.engine import EXITS, Container, Event, Use
from checks.units import show_duration
from checks.wire.certificates import visible


@dataclass(frozen=True, slots=True)
class Changes:
    """How often what happened to a container since it was last seen."""

    restarts: int = 0
    oom_kills: int = 0
    kills: int = 0
    replaced: int = 0
    image_changes: int = 0


def changes(before: dict[str, Any] | None, now: Container, events: Sequence[Event]) -> Changes:
    """What happened since `before`, which `remembered` gave; None for a container that was never seen."""
    if before is None:
        return Changes()
    same = before.get("id") == now.id
    counted, started = before.get("restarts"), before.get("started")
    if same:
        by_policy = max(0, now.restarts - counted) if isinstance(counted, int) else 0
        restarts = max(by_policy, int(bool(started) and now.started != started and now.started > 0))
    else:
        restarts = now.restarts
    ended = now.finished > 0 and now.finished != before.get("finished")
    of_it = [event for event in events if event.container == now.id]
    ooms = sum(event.action == "oom" for event in of_it)
    kills = sum(event.action == "die" and event.exit_code == "137" for event in of_it)
    killed = ended and not now.running and (now.exit_code == 137 or now.oom_killed)
    return Changes(
        restarts=restarts,
        # Without events, or with an engine that forgot them, the state still tells of the last end.
        oom_kills=max(ooms, int(ended and now.oom_killed)),
        kills=max(kills, int(killed)),
        replaced=int(not same),
        image_changes=int(before.get("image") != now.image),
    )


def remembered(now: Container, use: Use | None) -> dict[str, Any]:
    """What has to be known of it at the next probe: plain JSON."""
    return {
        "id": now.id, "image": now.image, "started": now.started, "finished": now.finished, "restarts": now.restarts,
        "use": [use.at, use.cpu, use.periods, use.throttled] if use is not None else None,
    }  # fmt: skip


def trouble(now: Container, may_end: bool, at: float) -> str:
    """What is wrong with it, as a part of a sentence; empty where nothing is."""
    name = visible(now.name, 80)
    if now.running:
        if now.health != "unhealthy":
            return ""
        last = now.health_log.rpartition("\n")[2].partition(": ")[2]
        return f"{name} is unhealthy, {now.streak} checks failed in a row" + (f" ({last})" if last else "")
    meaning = EXITS.get(now.exit_code, "")
    if now.oom_killed:
        meaning = "killed: out of memory"
    code = f"exit code {now.exit_code}" + (f", {meaning}" if meaning else "")
    match now.status:
        case "exited" | "stopped" | "dead":
            if may_end and now.exit_code == 0:
                return ""
            ago = f" {show_duration(at - now.finished)} ago" if 0 < now.finished < at else ""
            sentence = f"{name} ended{ago} ({code})"
        case "restarting":
            sentence = f"{name} keeps being restarted ({code})"
        case "created" | "configured" | "initialized":
            sentence = f"{name} was made, but never started"
        case _:
            sentence = f"{name} is {visible(now.status, 30)}"
    return sentence + (f": {visible(now.error, 200)}" if now.error else "")
