"""An installation in a thread of its own: what it does takes real time, however its daemon hurries."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from monitor.demo.installation import Installation

T = TypeVar("T")
STARTS_WITHIN = 50.0
ACTS_WITHIN = 20.0


class Threaded:
    """An installation in a thread of its own, where time is real."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name=f"{installation.name}", daemon=True)
        self._thread.start()

    def wait(self, work: Coroutine[Any, Any, T], within: float) -> T:
        """Do this there; blocks. What takes longer is cancelled: nothing may be made while all is taken away."""
        done = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return done.result(within)
        except TimeoutError:
            done.cancel()
            raise

    async def call(self, work: Coroutine[Any, Any, T], within: float = ACTS_WITHIN) -> T:
        """Do this there."""
        async with asyncio.timeout(within):
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    def end(self) -> None:
        """Stop it and its thread."""
        try:
            self.wait(self.installation.stop(), STARTS_WITHIN)
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()
            self.loop.close()
