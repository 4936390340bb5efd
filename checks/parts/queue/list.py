"""Reads a plain Redis list that is used as a queue: its length, and how old the item is that is taken next."""

from __future__ import annotations

from typing import Literal

import orjson
from jmespath.exceptions import JMESPathError
from pydantic import BaseModel, ConfigDict, Field, field_validator

from checks.base import Errored, Reason, Run
from checks.parts.http.jsonpath import NotANumber, compile_path
from checks.parts.queue.reading import age, count, seen, told, was_seen, when
from checks.parts.redis.link import Link

LONGEST_ITEM = 256 * 1024


class ListQueue(BaseModel):
    """A list: producers push at one end, workers pop at the other."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = Field(min_length=1, description="The list.")
    oldest: Literal["right", "left"] = Field(
        default="right", description="Where the oldest item is: right where producers use LPUSH, left where RPUSH."
    )
    time: str = Field(
        default="", description="JMESPath of the time at which an item, which is JSON, was made; gives oldest_seconds."
    )
    active_key: str = Field(default="", description="The list of items that workers have, where they use LMOVE.")
    absent_is_empty: bool = Field(
        default=False, description="That a list that was never seen is empty: Redis keeps no empty lists."
    )

    @field_validator("time")
    @classmethod
    def _is_a_path(cls, text: str) -> str:
        if text:
            compile_path(text)
        return text

    @property
    def queue(self) -> str:
        """Its identity."""
        return self.key

    @property
    def rights(self) -> str:
        """What our user needs."""
        keys = [self.key, *([self.active_key] if self.active_key else [])]
        return " ".join(f"~{key}" for key in keys) + " +llen" + (" +lindex" if self.time else "")

    @property
    def asks(self) -> tuple[int, int]:
        """Commands that one look takes, as a rule and at most."""
        number = 1 + bool(self.time) + bool(self.active_key)
        return number, number

    async def read(self, link: Link, run: Run) -> None:
        """Record all of it; one round trip. Raises as `told`."""
        at = "-1" if self.oldest == "right" else "0"
        asked: dict[str, tuple[str, ...]] = {"waiting": ("LLEN", self.key)}
        asked |= {"oldest": ("LINDEX", self.key, at)} if self.time else {}
        asked |= {"active": ("LLEN", self.active_key)} if self.active_key else {}
        said = await told(link, asked)
        waiting = count(said["waiting"])
        if waiting:
            seen(run, self.queue)
        elif not self.absent_is_empty and not was_seen(run, self.queue):
            raise Errored(
                Reason.ASSERTION,
                f"there is no list {self.key!r} at {link.door}: is that its name, and is this its server and database? "
                "Redis keeps no empty lists: where it may be empty, set absent_is_empty: true",
            )
        run.record("waiting", waiting)
        if self.active_key:
            run.record("active", count(said["active"]))
        if not waiting:
            run.record("oldest_seconds", 0.0)
        elif self.time:
            item = said["oldest"]
            self._record_age(item if isinstance(item, str) else "", run)

    def _record_age(self, item: str, run: Run) -> None:
        made = None
        if len(item) <= LONGEST_ITEM:
            try:
                made = when(compile_path(self.time)(orjson.loads(item)))
            except (orjson.JSONDecodeError, JMESPathError, NotANumber):
                made = None
        run.record("parts_unread", float(made is None))
        if made is None:
            run.evidence("age not read", f"the oldest item of {self.key!r} has no time at {self.time!r}")
        else:
            run.record("oldest_seconds", age(run, made))

    async def diagnose(self, link: Link, run: Run) -> None:
        """Nothing that a list tells without showing what is in it."""
