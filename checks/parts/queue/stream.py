"""Reads a Redis stream by its consumer groups: what was not delivered, not acknowledged, and how old it is."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from checks.base import Errored, Reason, Run
from checks.parts.queue.reading import absent, age, count, seen, told
from checks.parts.redis.link import Link
from checks.parts.redis.resp import Reply
from checks.units import show_duration
from checks.wire.certificates import visible

MOST_GROUPS = 16
MOST_READ = 1000
SHOWN = 10
_ID = re.compile(r"(\d{1,20})-(\d{1,20})")


class StreamQueue(BaseModel):
    """A stream with consumer groups."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = Field(min_length=1, description="The stream.")
    groups: tuple[str, ...] = Field(
        default=(), max_length=MOST_GROUPS, description=f"The groups that matter; else all, {MOST_GROUPS} at most."
    )

    @property
    def queue(self) -> str:
        """Its identity."""
        return self.key

    @property
    def rights(self) -> str:
        """What our user needs."""
        return f"~{self.key} +xlen +xpending +xrange +xinfo|groups +xinfo|consumers +exists"

    @property
    def asks(self) -> tuple[int, int]:
        """Commands that one look takes, as a rule and at most."""
        return 3 + 3 * (len(self.groups) or 1), 3 + 3 * (len(self.groups) or MOST_GROUPS)

    async def read(self, link: Link, run: Run) -> None:
        """Record all of it; two round trips. Raises as `told`."""
        said = await told(link, {"exists": ("EXISTS", self.key), "length": ("XLEN", self.key)})
        if not count(said["exists"]):
            raise absent(run, self.queue, f"there is no stream {self.key!r} at {link.door}")
        groups = await self._groups(link, run)
        seen(run, self.queue)
        run.record("length", count(said["length"]))
        said = await told(link, {name: command for group in groups for name, command in self._questions(group)})
        for group in groups:
            name = group["name"]
            record_group(run, group, said[f"pending {name}"], said[f"consumers {name}"], said[f"after {name}"])

    async def _groups(self, link: Link, run: Run) -> list[dict[str, Any]]:
        said = await told(link, {"groups": ("XINFO", "GROUPS", self.key)})
        return self._chosen(said["groups"], run, link)

    def _chosen(self, listed: Reply, run: Run, link: Link) -> list[dict[str, Any]]:
        found = [fields(item) for item in listed[:MOST_READ]] if isinstance(listed, list) else []
        groups = [group for group in found if isinstance(group.get("name"), str)]
        names = {group["name"] for group in groups}
        where = f"of stream {self.key!r} at {link.door}"
        for missing in sorted(set(self.groups) - names):
            known = ", ".join(visible(name, 40) for name in sorted(names)[:SHOWN]) or "none"
            raise absent(run, f"{self.key}\n{missing}", f"there is no group {missing!r} {where} (there are {known})")
        for name in self.groups:
            seen(run, f"{self.key}\n{name}")
        if not groups:
            raise Errored(Reason.ASSERTION, f"there is no group {where}, so nobody reads it")
        return [group for group in groups if not self.groups or group["name"] in self.groups][:MOST_GROUPS]

    def _questions(self, group: dict[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
        name = group["name"]
        return [
            (f"pending {name}", ("XPENDING", self.key, name, "-", "+", "1")),
            (f"consumers {name}", ("XINFO", "CONSUMERS", self.key, name)),
            (f"after {name}", ("XRANGE", self.key, following(group.get("last-delivered-id")), "+", "COUNT", "1")),
        ]

    async def diagnose(self, link: Link, run: Run) -> None:
        """Each group's consumers: what they hold, and when they were last heard."""
        groups = await self._groups(link, run)
        said = await told(link, {one["name"]: ("XINFO", "CONSUMERS", self.key, one["name"]) for one in groups})
        for name, reply in said.items():
            consumers = [fields(item) for item in reply] if isinstance(reply, list) else []
            lines = [_consumer(consumer) for consumer in sorted(consumers, key=lambda one: -count(one.get("pending")))]
            run.evidence(f"consumers of {visible(name, 60)}", "\n".join(lines[:SHOWN]) or "none")


def record_group(run: Run, group: dict[str, Any], pending: Reply, consumers: Reply, after: Reply) -> None:
    """Record one group. `after` is the first entry that it was not given, which is all that tells before Redis 7."""
    name, lag, undelivered = group["name"], group.get("lag"), _first_id(after)
    if isinstance(lag, int):
        run.record("waiting", lag, group=name)
    elif undelivered is None:
        run.record("waiting", 0, group=name)
    run.record("active", count(group.get("pending")), group=name)
    run.record("workers", count(group.get("consumers")), group=name)
    made = 0.0 if undelivered is None else made_at(undelivered)
    if made is not None:
        run.record("oldest_seconds", age(run, made) if made else 0.0, group=name)
    match pending:
        case [[str(), str(), int(idle), *_]]:
            run.record("active_oldest_seconds", max(0, idle) / 1000, group=name)
        case []:
            run.record("active_oldest_seconds", 0.0, group=name)
    idles = [fields(item).get("idle") for item in consumers[:MOST_READ]] if isinstance(consumers, list) else []
    heard = [idle for idle in idles if isinstance(idle, int)]
    if heard:
        run.record("worker_seen_seconds", max(0, min(heard)) / 1000, group=name)


def fields(reply: Reply) -> dict[str, Any]:
    """The fields of one item of XINFO, which come as names and values in turn."""
    words = reply if isinstance(reply, list) else []
    return {name: value for name, value in zip(words[::2], words[1::2], strict=False) if isinstance(name, str)}


def following(entry: Any) -> str:
    """The first id after this one. Redis before 6.2 knows no open ranges."""
    match = _ID.fullmatch(entry) if isinstance(entry, str) else None
    return f"{match[1]}-{int(match[2]) + 1}" if match else "-"


def made_at(entry: str) -> float | None:
    """When an entry was added, in Unix seconds; None where whoever added it chose an id that is no time."""
    match = _ID.fullmatch(entry)
    milliseconds = int(match[1]) if match else 0
    return milliseconds / 1000 if 1e11 < milliseconds < 1e14 else None


def _first_id(reply: Reply) -> str | None:
    match reply:
        case [[str(entry), *_], *_]:
            return entry
    return None


def _consumer(consumer: dict[str, Any]) -> str:
    name = visible(str(consumer.get("name", "")), 60)
    heard = show_duration(count(consumer.get("idle")) / 1000)
    return f"{name} holds {count(consumer.get('pending'))}, heard {heard} ago"
