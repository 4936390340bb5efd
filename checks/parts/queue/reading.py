"""What the modes of the queue kind share: commands whose refusals are faults, queues that are not there, times."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from checks.base import Errored, Failed, Reason, Run
from checks.parts.redis.link import Link
from checks.parts.redis.resp import Refused, Reply
from checks.wire.certificates import visible

SEEN = "queues seen"
MOST_SEEN = 32
MILLISECONDS = 1e11
"""What is more than this many seconds (in the year 5138) counts milliseconds."""


class Moved(Exception):
    """The key is on another node of the cluster."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.host = host
        self.port = port


async def told(link: Link, asked: Mapping[str, Sequence[str]], may_refuse: Collection[str] = ()) -> dict[str, Reply]:
    """The replies to commands by their names; only those in `may_refuse` may be refused.

    Raises Moved, Failed, Errored and WireError.
    """
    said = dict(zip(asked, await link.ask(*asked.values()), strict=True))
    for name, reply in said.items():
        if isinstance(reply, Refused) and name not in may_refuse:
            raise _refusal(link, reply, asked[name])
    return said


def _refusal(link: Link, reply: Refused, words: Sequence[str]) -> Moved | Failed | Errored:
    match reply.split():
        case ["MOVED", _, where]:
            host, _, port = where.rpartition(":")
            if port.isdecimal() and len(port) <= 5:
                return Moved(host.strip("[]") or link.door.to.host, int(port))
        case ["ASK", *_]:
            return Errored(Reason.PROTOCOL, f"cannot ask {link.door}: the queue is on its way to another node")
        case ["WRONGTYPE", *_]:
            key = visible(words[1], 100)
            return Errored(Reason.ASSERTION, f"cannot read {key!r} of {link.door}: it is something else than expected")
    return link.refusal(reply, words[0])


def absent(run: Run, queue: str, sentence: str) -> Failed | Errored:
    """What it means that a queue is not there: ours where it was never seen, for then its name may be wrong."""
    if was_seen(run, queue):
        return Failed(Reason.ASSERTION, f"{sentence}: it was there, and is gone")
    return Errored(Reason.ASSERTION, f"{sentence}: is that its name, and is this its server and database?")


def was_seen(run: Run, queue: str) -> bool:
    """Whether the queue was there once."""
    held = run.kept.get(SEEN)
    return isinstance(held, list) and queue in held


def seen(run: Run, queue: str) -> None:
    """Keep that the queue is there."""
    if not was_seen(run, queue):
        held = run.kept.get(SEEN)
        run.kept[SEEN] = [*(held if isinstance(held, list) else []), queue][-MOST_SEEN:]


def count(reply: Reply) -> int:
    """A reply that is a number; 0 where it is none."""
    return reply if isinstance(reply, int) else 0


def when(value: Any) -> float | None:
    """Unix seconds of a time as people write it: seconds, milliseconds, or ISO 8601 (UTC where no zone is named)."""
    number = _number(value)
    if number is None or not 0 < number < 1e18:
        return None
    return number / 1000 if number > MILLISECONDS else number


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        pass
    try:
        at = datetime.fromisoformat(str(value))
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def age(run: Run, at: float) -> float:
    """Seconds from then to this probe; 0 where another machine's clock is ahead of ours."""
    return max(0.0, run.at - at)
