"""Keys by sample: how many of a pattern have no expiry; bounded in keys and time, and without a trace in hit_ratio."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from checks.base import Run
from checks.parts.redis.link import Link
from checks.parts.redis.resp import Refused, Reply
from checks.units import Duration

AT_ONCE = 100
SHOWN = 5
OWN = "own lookups"
LONGEST_NAME = 80


class Sample(BaseModel):
    """Keys to look at in every probe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    match: str = Field(default="", description="Pattern of their names, such as `cache:*`; empty for all.")
    size: int = Field(default=200, ge=10, le=10_000, description="Keys that SCAN goes through in one probe, at most.")
    time: Duration = Field(
        default=0.2, gt=0, description="Time that it may take; the next probe goes on where it ended."
    )


def scan(cursor: str, match: str, count: int) -> tuple[str, ...]:
    """The command for the next keys."""
    return ("SCAN", cursor, *(("MATCH", match) if match else ()), "COUNT", str(count))


def scanned(reply: Reply) -> tuple[str, list[str]] | None:
    """The next cursor and the keys that SCAN gave; None where it is no such answer.

    Keys that are no text are left out: their names can't be asked for as they were shown.
    """
    match reply:
        case [str(cursor), [*found]] if cursor.isdecimal() and len(cursor) <= 20:
            return cursor, [key for key in found if isinstance(key, str) and "\ufffd" not in key]
    return None


async def sample_expiry(link: Link, sample: Sample, run: Run, labels: dict[str, str]) -> Refused | None:
    """Record the share of keys without expiry; the refusal where we have no right to look."""
    loop = link.patience.loop
    until = loop.time() + sample.time
    cursors: dict[str, str] = run.memory.setdefault("cursors", {})
    here = str(link.door.to)
    cursor, seen, bare, examined = cursors.get(here, "0"), 0, [], 0
    while examined < sample.size and loop.time() < until:
        [reply] = await link.ask(scan(cursor, sample.match, AT_ONCE), timed=False)
        if isinstance(reply, Refused):
            return reply
        step = scanned(reply)
        if step is None:
            break
        cursor, keys = step[0], step[1][: 2 * AT_ONCE]
        examined += AT_ONCE
        left = await link.ask(*(("TTL", key) for key in keys), timed=False) if keys else []
        refused = next((each for each in left if isinstance(each, Refused)), None)
        if refused is not None:
            return refused
        _own(run, here, left)
        seen += sum(isinstance(seconds, int) and seconds >= -1 for seconds in left)
        bare += [key for key, seconds in zip(keys, left, strict=False) if seconds == -1]
        if cursor == "0":
            break
    cursors[here] = cursor
    run.record("sampled_keys", seen, **labels)
    if seen:
        run.record("sampled_without_expiry_ratio", len(bare) / seen, **labels)
    if bare:
        run.memory.setdefault("bare", {})[here] = shapes(bare)
    return None


def _own(run: Run, here: str, left: Sequence[Reply]) -> None:
    # TTL counts among the server's keyspace_hits and keyspace_misses: hit_ratio leaves these out.
    hits, misses = own_lookups(run, here)
    gone = sum(seconds == -2 for seconds in left)
    run.kept[OWN] = {here: [hits + len(left) - gone, misses + gone]} | _others(run, here)


def own_lookups(run: Run, here: str) -> tuple[float, float]:
    """Of a server's hits and misses, those that were ours."""
    kept = run.kept.get(OWN)
    match kept.get(here) if isinstance(kept, dict) else None:
        case [int() | float() as hits, int() | float() as misses]:
            return hits, misses
    return 0.0, 0.0


def forget_own_lookups(run: Run, here: str) -> None:
    """The server counts from nought again, and so do we."""
    if OWN in run.kept:
        run.kept[OWN] = _others(run, here)


def _others(run: Run, here: str) -> dict[str, Any]:
    kept = run.kept.get(OWN)
    return {key: value for key, value in kept.items() if key != here} if isinstance(kept, dict) else {}


_VARIABLE = re.compile(r"[^\s:/|,{}@]+@[^\s:/|,{}]+|(?=[\w-]*\d)[\w-]{16,}|\d+")


def shape(key: str) -> str:
    """A key's name with numbers, tokens and mail addresses as `*`: who is behind a key is nobody's business."""
    return _VARIABLE.sub("*", key[:LONGEST_NAME])


def shapes(keys: Sequence[str]) -> str:
    """The commonest shapes of keys, one a line, with how many have each."""
    counted: dict[str, int] = {}
    for key in keys[:AT_ONCE]:
        counted[shape(key)] = counted.get(shape(key), 0) + 1
    most = sorted(counted.items(), key=lambda item: -item[1])[:SHOWN]
    return "\n".join(f"{count} {name}" for name, count in most)
