"""A BullMQ queue with a worker that really works, and jobs that come off, fail, hang and wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

from monitor.demo.process import wants_package
from monitor.demo.servers import Valkey

if TYPE_CHECKING:
    from bullmq import Queue, Worker

COMES_OFF, FAILS, HANGS = "send", "bad", "stuck"
"""Names of jobs: what becomes of them."""


class BullQueue:
    """One queue in a Valkey, with a worker. Both find the server again after it was down.

    `failure` is what a failing job fails with, `keeps` how many of the jobs that came off are kept; else all are.
    """

    def __init__(
        self, server: Valkey, name: str, *, failure: str = "no such mailbox", keeps: int | None = None
    ) -> None:
        self.server = server
        self.name = name
        self.failure = failure
        self._options: dict[str, Any] = {} if keeps is None else {"removeOnComplete": {"count": keeps}}
        self._queue: Queue | None = None
        self._worker: Worker | None = None
        self._running: asyncio.Task[None]
        self._ended = self._hanging = 0
        self._news = asyncio.Event()
        self._stuck = asyncio.Event()

    async def start(self) -> Self:
        """Make the queue as BullMQ for Node.js does, and start the worker. Missing without bullmq."""
        wants_package("BullMQ's worker", "bullmq")
        from bullmq import Queue

        await self.server.command("HSET", f"bull:{self.name}:meta", "opts.maxLenEvents", "10000")
        self._queue = Queue(self.name, {"connection": self.server.url})
        self.work()
        return self

    async def stop(self) -> None:
        """End the worker and hang up."""
        await self.rest()
        if self._queue is not None:
            await self._queue.close()
            self._queue = None

    def work(self) -> None:
        """Start the worker (again)."""
        from bullmq import Worker

        if self._worker is not None:
            return
        self._stuck.clear()
        options = {"connection": self.server.url, "drainDelay": 1, "runRetryDelay": 100, "concurrency": 5}
        options["autorun"] = False  # its loop is ours to end
        self._worker = Worker(self.name, self._process, options)
        for event in ("completed", "failed"):
            self._worker.on(event, self._one_ended)
        self._worker.on("error", lambda *_: None)  # a server that is down; it tries again
        self._running = asyncio.get_running_loop().create_task(self._worker.run(), name=f"worker of {self.name}")

    async def work_again(self) -> None:
        """Start the worker anew, which finds a server that was down only after a while; returns when it works."""
        await self.rest()
        self.work()
        await self.run(1)

    async def rest(self) -> None:
        """Stop the worker: what is added from now on waits, and what hangs comes off."""
        if self._worker is None:
            return
        worker, self._worker = self._worker, None
        self._stuck.set()
        await worker.close(force=True)
        # What was on its way when the connections were closed has opened them anew.
        left = [self._running, *worker.processing]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await worker.backend.close(force=True)

    @asynccontextmanager
    async def resting(self) -> AsyncIterator[None]:
        """Within it there is no worker."""
        await self.rest()
        try:
            yield
        finally:
            self.work()

    async def add(self, count: int = 1, what: str = COMES_OFF, **options: Any) -> None:
        """Add so many jobs; `options` are BullMQ's own, such as `delay` and `timestamp` in milliseconds."""
        assert self._queue is not None, "start it first"
        await self._queue.addBulk(
            [{"name": what, "data": {}, "opts": {**self._options, **options}} for _ in range(count)]
        )

    async def run(self, succeed: int, *, fail: int = 0) -> None:
        """Let the worker do so many jobs that come off and so many that fail, and return when they have ended."""
        wanted = self._ended + succeed + fail
        await self.add(succeed)
        await self.add(fail, FAILS)
        await self._until(wanted)

    async def drain(self) -> None:
        """Drop what waits."""
        assert self._queue is not None, "start it first"
        await self._queue.drain()

    async def release(self) -> None:
        """Let what hangs come off, and return when it has."""
        wanted = self._ended + self._hanging
        self._stuck.set()
        await self._until(wanted)
        self._stuck.clear()

    async def forget_failed(self) -> None:
        """Drop the jobs that have failed."""
        assert self._queue is not None, "start it first"
        await self._queue.clean(0, 10_000, "failed")

    async def _process(self, job: Any, token: str) -> str:
        if job.name == FAILS:
            raise ValueError(self.failure)
        if job.name == HANGS:
            self._hanging += 1
            try:
                await self._stuck.wait()
            finally:
                self._hanging -= 1
        return "sent"

    async def _until(self, ended: int) -> None:
        while self._ended < ended:
            self._news.clear()
            await self._news.wait()

    def _one_ended(self, *_: Any) -> None:
        self._ended += 1
        self._news.set()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
