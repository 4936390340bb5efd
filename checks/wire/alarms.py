"""Deadlines, which hardly ever come: all of one length in one queue, and one timer of the loop for all queues.

Of those of equal length the first that was set is the first to ring, so setting one is an append and taking it back a
mark. A timer of the loop's own for each would cost 5 µs, twice a probe.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary

EARLY = 0.001
"""Seconds by which a loop's timer may be early: uvloop counts in whole milliseconds."""

_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Alarms] = WeakKeyDictionary()


class Alarm:
    """Set by `Alarms.set`. Rings once, unless it is taken back before."""

    __slots__ = ("at", "then")

    def __init__(self, at: float, then: Callable[[], None]) -> None:
        self.at = at
        self.then: Callable[[], None] | None = then

    def off(self) -> None:
        """Take it back."""
        self.then = None


class Alarms:
    """The alarms of one event loop. Get it from `alarms`."""

    __slots__ = ("__weakref__", "_next", "_queues", "_timer")

    def __init__(self) -> None:
        # No reference to the loop, which refers to us: it would never be freed.
        self._queues: dict[float, deque[Alarm]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0

    def set(self, loop: asyncio.AbstractEventLoop, seconds: float, then: Callable[[], None]) -> Alarm:
        """Have `then` called in so many seconds."""
        queue = self._queues.get(seconds)
        if queue is None:
            queue = self._queues[seconds] = deque()
        while queue and queue[0].then is None:
            queue.popleft()
        alarm = Alarm(loop.time() + seconds, then)
        queue.append(alarm)
        if self._timer is None or alarm.at < self._next:
            self._arm(loop, alarm.at)
        return alarm

    def _arm(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = at
        self._timer = loop.call_at(at, self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time() + EARLY
        due = []
        for seconds, queue in list(self._queues.items()):
            while queue and (queue[0].then is None or queue[0].at <= now):
                due.append(queue.popleft())
            if not queue:
                del self._queues[seconds]
        if self._queues:
            self._arm(loop, min(queue[0].at for queue in self._queues.values()))
        for alarm in due:
            # One that rings may take others back.
            if alarm.then is not None:
                alarm.then()


def alarms(loop: asyncio.AbstractEventLoop) -> Alarms:
    """Those of this loop."""
    found = _of_loop.get(loop)
    if found is None:
        found = _of_loop[loop] = Alarms()
    return found
