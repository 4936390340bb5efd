"""An event loop with real sockets whose clock jumps over the time in which nobody waits for an answer."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from monitor.clock import Clock


class _Selector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Waits for sockets as ever; where the loop would only wait for a timer, and may hurry, counts the wait as over."""

    skipped = 0.0
    idle: Callable[[], bool] = staticmethod(lambda: False)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if found or (timeout is not None and timeout <= 0):
            return found
        if timeout is not None and self.idle():
            self.skipped += timeout
            return found
        return super().select(timeout)  # type: ignore[no-any-return]


class HurriedLoop(asyncio.SelectorEventLoop):
    """Real time, until `hurrying`: then time passes at once while neither a thread of ours nor `busy` is at work."""

    def __init__(self) -> None:
        self._hurried = _Selector()
        self._hurried.idle = self._idle
        super().__init__(self._hurried)
        self._hurry = False
        self._executing = 0
        self._held = 0
        self.busy: Callable[[], object] = lambda: False
        """Whether somebody waits for an answer from outside, which takes real time."""

    def time(self) -> float:
        """Seconds: those of the monotonic clock and those that were jumped over."""
        return time.monotonic() + self._hurried.skipped

    def _idle(self) -> bool:
        return self._hurry and not (self._held or self._executing or self.busy())

    @contextmanager
    def hurrying(self) -> Iterator[None]:
        """Jump over idle time meanwhile."""
        self._hurry = True
        try:
            yield
        finally:
            self._hurry = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Real time meanwhile, also while another part of the program hurries."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """What threads do takes real time."""
        future = super().run_in_executor(executor, func, *args)
        self._executing += 1
        future.add_done_callback(self._executed)
        return future

    def add_signal_handler(self, sig: int, callback: Callable[..., Any], *args: Any) -> None:
        """Nothing: whoever ends the tests does not mean the daemon alone, which is only one of them."""

    def _executed(self, future: asyncio.Future[Any]) -> None:
        self._executing -= 1


class HurriedClock(Clock):
    """The daemon's clock on a hurried loop: it starts `began_before` seconds before the real time."""

    def __init__(self, loop: HurriedLoop, began_before: float = 0.0) -> None:
        self._loop = loop
        self._start = time.time() - began_before - loop.time()

    def now(self) -> float:
        return self._start + self._loop.time()

    def wall(self) -> float:
        return self.now()

    def stepped(self) -> float:
        return 0.0
