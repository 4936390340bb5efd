"""One probe's deadline: a single alarm for all its waits, which names the step that was waited for."""

from __future__ import annotations

import asyncio
from typing import Any

from checks.wire.alarms import alarms
from checks.wire.fault import WireError
from checks.wire.ready import ready

HAIR = 0.05
"""Seconds before the caller's own deadline, so that the named timeout comes before the nameless cancellation."""


class Patience:
    """Waits on behalf of one probe until `seconds` after its construction; a context manager that drops its deadline.

    Say `doing(step, reason, sentence, ours)` before a step: a wait that outlasts the deadline raises that WireError,
    with "within … s" added.
    """

    __slots__ = ("_alarm", "_expired", "_waiter", "loop", "ours", "ready", "reason", "seconds", "sentence", "step")

    def __init__(self, seconds: float) -> None:
        self.loop = asyncio.get_running_loop()
        self.ready = ready(self.loop)
        self.seconds = seconds
        self.doing("connect", "connect_timeout", "no answer")
        self._waiter: asyncio.Future[Any] | None = None
        self._expired = False
        self._alarm = alarms(self.loop).set(self.loop, seconds - min(HAIR, seconds * 0.1), self._expire)

    def doing(self, step: str, reason: str, sentence: str, ours: bool = False) -> None:
        """Name what the next waits are for."""
        self.step, self.reason, self.sentence, self.ours = step, reason, sentence, ours

    async def wait(self, future: asyncio.Future[Any]) -> Any:
        """The future's result, or the named timeout. Cancellation goes through to the future."""
        if self._expired:
            future.cancel()
            raise self.timeout()
        self._waiter = future
        try:
            return await future
        finally:
            self._waiter = None

    def timeout(self) -> WireError:
        """The fault of having waited too long for the present step."""
        return WireError(self.step, self.reason, f"{self.sentence} within {self.seconds:g} s", ours=self.ours)

    def check(self) -> None:
        """Raise the named timeout where the deadline is past: for steps that compute rather than wait."""
        if self._expired:
            raise self.timeout()

    def close(self) -> None:
        """Drop the deadline."""
        self._alarm.off()

    def _expire(self) -> None:
        self._expired = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(self.timeout())

    def __enter__(self) -> Patience:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
