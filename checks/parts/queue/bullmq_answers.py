"""What the keys of a BullMQ queue (versions 4 to 6) mean, read without asking anybody.

Source: BullMQ's own Lua scripts. A delayed job's score is its due time in milliseconds * 4096 plus a number; that of a
job that ended, its end in milliseconds. Versions 4 and 5 keep a marker `0:…` at the end of `wait`, and move what waits
to `paused` while a queue is paused; 6 leaves it where it is.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from checks.parts.queue.reading import count, when
from checks.parts.redis.resp import Reply
from checks.wire.certificates import visible

MOST_ACTIVE = 100
LONGEST_OPTIONS = 64 * 1024
SETS = ("prioritized", "delayed", "failed", "completed", "waiting-children")
ENDED = ("completed", "failed")


def due_score(at: float) -> str:
    """The highest score of delayed jobs that were due at that time, in Unix seconds."""
    return str((int(at * 1000) + 1) * 4096 - 1)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the first look shows. One of `next` waits longest; `taken` are those that workers have, the first one last.

    `ends` are the first ends that are still known, `newest` the job that was completed last, `counters` what the
    workers counted, None where they don't.
    """

    exists: bool
    paused: bool
    waiting: int
    active: int
    cards: dict[str, int]
    overdue: int
    next: list[str]
    taken: list[str]
    ends: dict[str, float | None]
    newest: list[str]
    counters: tuple[float | None, float | None]

    @classmethod
    def read(cls, said: Mapping[str, Reply]) -> Standing:
        """From the replies by their names; those that make no sense count as nothing."""
        cards = {name: count(said[name]) for name in SETS}
        lists = {name: count(said[name]) for name in ("wait", "paused", "active")}
        ends = {name: texts(said[f"{name} end"]) for name in ("wait", "paused")}
        marked = sum(bool(end) and end[-1].startswith("0:") for end in ends.values())
        return cls(
            exists=bool(count(said["exists"])) or any(cards.values()) or any(lists.values()),
            paused=texts(said["meta"])[:1] == ["1"],
            waiting=max(0, lists["wait"] + lists["paused"] - marked) + cards["prioritized"],
            active=lists["active"],
            cards=cards,
            overdue=count(said["overdue"]),
            next=[*(job for end in ends.values() for job in _last(end)), *texts(said["first prioritized"])[:1]],
            taken=texts(said["taken"])[-MOST_ACTIVE:],
            ends={name: _end(said[f"{name} first"]) for name in ENDED},
            newest=texts(said["newest"])[:1],
            counters=(_counter(said["completed counter"]), _counter(said["failed counter"])),
        )


@dataclass(frozen=True, slots=True)
class Job:
    """Of a job only when it could be taken, when it was, and whether it is kept should it fail."""

    ready: float | None
    processed: float | None
    keeps_failed: bool

    @classmethod
    def read(cls, reply: Reply) -> Job:
        """From HMGET timestamp processedOn opts."""
        made, processed, options = reply if isinstance(reply, list) and len(reply) == 3 else (None, None, None)
        opts = _options(options)
        at, tried, delay = when(made), when(processed), opts.get("delay")
        if at is not None and isinstance(delay, int | float) and 0 < delay < 1e15:
            at += delay / 1000
        # One that was tried before waits since then, and not since it was made.
        ready = at if tried is None or at is None else max(at, tried)
        removed = opts.get("removeOnFail")
        return cls(ready, tried, removed is not True and removed != 0)


def _options(reply: Reply) -> dict[str, Any]:
    if not isinstance(reply, str) or len(reply) > LONGEST_OPTIONS:
        return {}
    try:
        options = orjson.loads(reply)
    except orjson.JSONDecodeError:
        return {}
    return options if isinstance(options, dict) else {}


def texts(reply: Reply) -> list[str]:
    """The texts in a reply; what is none is left out."""
    return [item for item in reply if isinstance(item, str)] if isinstance(reply, list) else []


def _last(end: list[str]) -> list[str]:
    """The job that is taken next from a list whose end this is: workers take from the right."""
    return [job for job in end if not job.startswith("0:")][-1:]


def _end(reply: Reply) -> float | None:
    """The score of the one member that ZRANGE … WITHSCORES shows, in Unix seconds."""
    match texts(reply):
        case [_, score]:
            return when(score)
    return None


def _counter(reply: Reply) -> float | None:
    match texts(reply):
        case [digits] if digits.isdecimal() and len(digits) < 16:
            return float(digits)
    return None


def told_of(reply: Reply) -> str:
    """A job in a line, from HMGET name attemptsMade atm, and failedReason where it was asked for."""
    words = reply if isinstance(reply, list) else []
    name, made, tried, *why = [visible(word, 200) if isinstance(word, str) else "" for word in words] or ["", "", ""]
    attempts = f" after {tried or made} attempts" if tried or made else ""
    return (name or "gone") + attempts + (f": {why[0]}" if why and why[0] else "")


def worker_names(prefix: str, name: str, listed: str) -> list[str]:
    """The workers of a queue in CLIENT LIST: named as the queue, in base64 by Node.js, in plain text by Python."""
    mine = tuple(f"{prefix}:{one}" for one in (base64.b64encode(name.encode()).decode(), name))
    names = (line.partition(" name=")[2].partition(" ")[0] for line in listed.splitlines())
    return [name for name in names if name in mine or name.startswith(tuple(f"{one}:w:" for one in mine))]
