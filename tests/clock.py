"""An event loop whose time passes only when nobody has anything to do: hours in milliseconds, the same every time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Never waits: tells the loop how long it would have."""

    waited = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not found and timeout:
            self.waited += timeout
        assert found or timeout is not None, "everybody waits for something that no timer will bring"
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """Starts at 1,000 seconds."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return 1_000.0 + self._virtual.waited


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on virtual time. For code that waits for timers, not for sockets."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
