"""The loop of alerting: when something changed or is due, decide, make it durable, then hand it to delivery."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from alerts.delivery import Delivery
from alerts.engine import Engine
from alerts.outbox import Changes, Keeper, NotKept, Parcel

RETRY_WRITE = 1.0
REST = 2.0


class Pager:
    """Owns the order "durable, then told". When the store can't be written, people are told all the same.

    `trouble` is the store's complaint, empty while all is well; what it could not take is offered again every second.
    """

    def __init__(
        self,
        engine: Engine,
        store: Keeper,
        clock: Callable[[], float],
        ask: Callable[[set[str]], None],
        decided: Callable[[], None] = lambda: None,
    ) -> None:
        self.engine = engine
        self.trouble = ""
        self.delivery: Delivery | None = None
        self._store = store
        self._clock = clock
        self._ask = ask
        self._decided = decided
        self._owed = Changes()
        self._writing = asyncio.Lock()
        self._wake = asyncio.Event()
        self._again: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """Something changed: decide at the next turn of the loop, once for all that came with it."""
        self._wake.set()

    def attempted(self, parcel: Parcel, status: str, why: str) -> None:
        """Delivery has tried a parcel: what that says about its receiver is the engine's to judge."""
        self.engine.attempted(parcel, status, why, self._clock())
        if self.engine.stirred:
            self.wake()

    def fall_over(self, parcel: Parcel) -> None:
        """Tell the fallback of a receiver that can't be reached."""
        self.engine.fall_over(parcel, self._clock())
        self.wake()

    async def run(self) -> None:
        """Decide until cancelled."""
        while True:
            await self._wait()
            self._wake.clear()
            thought = await self.step()
            # With thousands of alerts a decision takes long: let probes have the loop for a while in between.
            await asyncio.sleep(thought * REST)

    async def keep(self) -> None:
        """What was judged so far is durable when this returns; what follows from it is decided soon.

        For those who bring alerts by the hundred: deciding looks at all that fires, and need not do so for each batch.
        """
        changes = Changes()
        changes.alerts, self.engine.judging.changed = self.engine.judging.changed, {}
        self.wake()
        if changes:
            await self.write(changes)

    async def settle(self) -> None:
        """Decide now, for somebody who waits for it; returns when it is durable, or the store is in trouble."""
        await self.step()

    async def step(self) -> float:
        """One decision, whole: decided, durable, handed over. Gives the seconds that deciding held the loop."""
        began = time.perf_counter()
        changes = self.engine.decide(self._clock())
        self._decided()
        thought = time.perf_counter() - began
        asks, self.engine.asks = self.engine.asks, set()
        if asks:
            self._ask(asks)
        if changes or self._owed:
            await self.write(changes)
        if self.delivery is not None and changes.parcels:
            self.delivery.submit([parcel for parcel in changes.parcels.values() if parcel is not None])
        return thought

    async def write(self, changes: Changes) -> None:
        """Make changes durable together with all that is owed; what can't be written now is owed. Never raises."""
        self._owed.merge(changes)
        async with self._writing:
            owed, self._owed = self._owed, Changes()
            if not owed:
                return  # somebody who waited with us wrote ours too
            try:
                await self._store.write(owed)
            except NotKept as why:
                self.trouble = str(why)
                self._owe(owed)
            except asyncio.CancelledError:
                self._owe(owed)  # it may be on disk already: written twice is no harm, not at all would be
                raise
            else:
                self.trouble = ""

    def _owe(self, changes: Changes) -> None:
        changes.merge(self._owed)
        self._owed = changes
        # Delivery writes too, and nothing else may ever happen: whoever failed sees to it that it is tried again.
        if self._again is None:
            self._again = asyncio.get_running_loop().call_later(RETRY_WRITE, self._try_again)

    def _try_again(self) -> None:
        self._again = None
        self.wake()

    async def _wait(self) -> None:
        delay = None
        if self.engine.next_at is not None:
            delay = max(0.001, self.engine.next_at - self._clock())
        try:
            async with asyncio.timeout(delay):
                await self._wake.wait()
        except TimeoutError:
            return
