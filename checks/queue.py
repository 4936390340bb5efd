"""Asks a queue in Redis or Valkey how much waits in it, how long, and what becomes of it: BullMQ, a list, a stream."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import ClassVar

from pydantic import Field, model_validator

from checks.base import DIAGNOSIS, Asks, Check, Errored, Failed, Measurement, Reason, Recommended, Run
from checks.parts import network
from checks.parts.queue.bullmq import BullMq
from checks.parts.queue.list import ListQueue
from checks.parts.queue.measurements import BY_GROUP, MEASUREMENTS, RECOMMENDED
from checks.parts.queue.reading import Moved
from checks.parts.queue.stream import StreamQueue
from checks.parts.redis.link import Door, RedisUrl, door, linked, passwords
from checks.parts.redis.sentinel import Sentinel, asks_of, find_master, master_name
from checks.wire.fault import WireError
from checks.wire.patience import Patience

HOPS = 3
"""Nodes of a cluster that may send us on before we give up."""
NODE = "node of the queue"


class Queue(Check):
    """A queue in Redis or Valkey: BullMQ's, a plain list, or a stream with consumer groups. Nothing is ever written."""

    measurements: ClassVar[tuple[Measurement, ...]] = MEASUREMENTS
    recommended: ClassVar[tuple[Recommended, ...]] = RECOMMENDED

    url: RedisUrl = Field(
        description="redis://user:password@host:port/database, or rediss:// for TLS; "
        "with `sentinel`, the master's name stands in the place of the host; of a cluster, any node."
    )
    tls: network.TlsSettings = Field(default=network.TlsSettings(), description="Settings of the encryption.")
    sentinel: Sentinel | None = Field(default=None, description="The Sentinels that know who the master is.")
    bullmq: BullMq | None = Field(default=None, description="A BullMQ queue.")
    list: ListQueue | None = Field(default=None, description="A plain list.")
    stream: StreamQueue | None = Field(default=None, description="A stream with consumer groups.")

    @model_validator(mode="after")
    def _one_queue(self) -> Queue:
        if sum(mode is not None for mode in (self.bullmq, self.list, self.stream)) != 1:
            raise ValueError("one of `bullmq`, `list` and `stream` is wanted")
        return self

    @property
    def mode(self) -> BullMq | ListQueue | StreamQueue:
        """The queue, of whatever make."""
        mode = self.bullmq or self.list or self.stream
        assert mode is not None
        return mode

    def declared(self) -> tuple[Measurement, ...]:
        """Of a stream, most numbers are by group."""
        if self.stream is None:
            return MEASUREMENTS
        return tuple(replace(one, labels=("group",)) if one.name in BY_GROUP else one for one in MEASUREMENTS)

    @property
    def target(self) -> str:
        """The server and the queue."""
        return f"{self.url}#{self.mode.queue}"

    def secrets(self) -> tuple[str, ...]:
        """Also the password as the server knows it, without the address's escapes."""
        return tuple(dict.fromkeys((*super().secrets(), *passwords(self.url))))

    @property
    def rights(self) -> str:
        """What an administrator must say for all that this check does."""
        select = " +select" if self.url.parts.path.strip("/0") else ""
        return f"ACL SETUSER <our user> +ping{select} {self.mode.rights}"

    def asks(self) -> tuple[Asks, ...]:
        """What the mode asks, once it was let in; in a cluster at most at every one of HOPS nodes."""
        greeting = len(door(self.url, self.tls, "").greeting())
        usual, most = self.mode.asks
        looked_at = HOPS * (greeting + most)
        here = Asks(self.target, greeting + usual, looked_at, "commands", diagnosis=looked_at)
        return (*asks_of(self.sentinel), here)

    async def probe(self, run: Run) -> None:
        """Ask once, over one connection to the node that has the queue."""
        await self._at_the_queue(run, self.timeout, diagnose=False)

    async def diagnose(self, run: Run) -> None:
        """Jobs that failed last, that wait longest, and who works."""
        await self._at_the_queue(run, DIAGNOSIS, diagnose=True)

    async def _at_the_queue(self, run: Run, timeout: float, *, diagnose: bool) -> None:
        loop = asyncio.get_running_loop()
        until, trip = loop.time() + timeout, network.Trip()
        written = await self._door(run, timeout)
        to = self._node(written, run) if self.sentinel is None else written
        fault: Failed | Errored = Failed(
            Reason.PROTOCOL, f"cannot find the queue: from {written} on, {HOPS} nodes sent us to another one"
        )
        for _ in range(HOPS):
            # Where Sentinels were not asked first, all of the time is left.
            left = timeout if to is written and self.sentinel is None else until - loop.time()
            try:
                with Patience(left) as patience:
                    async with linked(to, patience, trip, run) as link:
                        await (self.mode.diagnose if diagnose else self.mode.read)(link, run)
                        run.timed(trip.total(), trip.clock)
                        return
            except Moved as moved:
                to = self._moved(written, moved, run)
            except WireError as why:
                fault = network.translated(why)
                run.memory.pop(NODE, None)
                if to.to == written.to:
                    break
                # The node that had the queue is gone; another may have it by now.
                to = written
        raise fault

    async def _door(self, run: Run, timeout: float) -> Door:
        written = door(self.url, self.tls, self.rights)
        if self.sentinel is None:
            return written
        return await find_master(self.sentinel, master_name(self.url), written, self.tls, timeout, run, record=False)

    def _node(self, written: Door, run: Run) -> Door:
        """The node of the cluster that had the queue the last time, if it was another than the one in `url`."""
        known = run.memory.get(NODE)
        return written.at(*known) if known is not None else written

    def _moved(self, written: Door, moved: Moved, run: Run) -> Door:
        try:
            to = written.at(moved.host, moved.port)
        except ValueError as why:
            raise Failed(Reason.PROTOCOL, f"cannot find the queue: {written} sends us nowhere: {why}") from None
        run.memory[NODE] = (moved.host, moved.port)
        return to
