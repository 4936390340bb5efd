"""Threads for what would hold up the event loop: reading files, and work that takes more than a few milliseconds.

A file system that hangs keeps its thread for good. Such a thread is written off, so that it takes no place from
others; a check has at most one of them, and none of them keeps the process from ending.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from checks.base import Failed, Reason, Run
from checks.units import show_duration

T = TypeVar("T")

MOST = 4
"""Threads that may work at once, those that hang not counted."""

HANGING = "thread that hangs"


class _Job:
    """One piece of work, its outcome, and who waits for it."""

    __slots__ = ("abandoned", "answer", "done", "loop", "running", "work")

    def __init__(self, work: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.loop = loop
        self.answer: asyncio.Future[Any] = loop.create_future()
        self.running = self.abandoned = self.done = False

    def settle(self, result: Any, error: BaseException | None) -> None:
        if self.answer.done():
            return
        if error is None:
            self.answer.set_result(result)
        else:
            self.answer.set_exception(error)


class _Pool:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[_Job] = deque()
        self._working = 0

    def submit(self, job: _Job) -> None:
        with self._lock:
            self._waiting.append(job)
            self._start()

    def abandon(self, job: _Job) -> None:
        """Nobody waits for it any more: its place is free for others, though its thread may go on for ever."""
        with self._lock:
            if job.done:
                return
            job.abandoned = True
            if job.running:
                self._working -= 1
                self._start()
            else:
                self._waiting.remove(job)

    def _start(self) -> None:
        if self._waiting and self._working < MOST:
            threading.Thread(target=self._work, name="runwatch-work", daemon=True).start()
            self._working += 1  # not before: where no thread can be had, no place is lost

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting or self._working > MOST:
                    self._working -= 1
                    return
                job = self._waiting.popleft()
                job.running = True
            result, error = None, None
            try:
                result = job.work()
            except BaseException as why:  # handed to whoever waits
                error = why
            with self._lock:
                job.done = True
            with suppress(RuntimeError):  # the loop has ended, and nobody waits
                job.loop.call_soon_threadsafe(job.settle, result, error)
            if job.abandoned:
                return


_pool = _Pool()


async def in_pool(run: Run, work: Callable[..., T], *arguments: Any) -> T:
    """The result of `work`, done in a thread. Cancelled, it stops waiting; the thread ends when the work does.

    Raises what `work` raises; Failed where what this check last asked for still hangs.
    """
    before = run.memory.get(HANGING)
    if before is not None:
        job, since = before
        if not job.done:
            waited = show_duration(asyncio.get_running_loop().time() - since)
            raise Failed(Reason.READ_TIMEOUT, f"the file system has not answered for {waited}: it hangs")
        del run.memory[HANGING]
    loop = asyncio.get_running_loop()
    job, began = _Job(lambda: work(*arguments), loop), loop.time()
    _pool.submit(job)
    try:
        result: T = await job.answer
    except asyncio.CancelledError:
        _pool.abandon(job)
        if job.running and not job.done:
            run.memory[HANGING] = job, began
        raise
    return result
