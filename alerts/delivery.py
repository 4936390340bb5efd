"""The outbox's consumer: one attempt at a time for each queue, back-off, pace and fallback, until it is accepted."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from alerts.notifiers.base import NotDelivered, Notifier, Receipt
from alerts.outbox import Changes, Entry, Parcel

ATTEMPT_TIMEOUT = 10.0
LONGEST_BACK_OFF = 60.0
LONGEST_RETRY_AFTER = 3600.0
FALL_OVER_AFTER = 120.0
AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt that ended, for the log and the metrics; `took` and `waited` (since the parcel was made): seconds."""

    parcel: Parcel
    status: str
    why: str
    reason: str
    took: float
    waited: float


def back_off(attempts: int, asked: float | None, chance: float) -> float:
    """Seconds until the next attempt: the receiver's own word, else 1, 2, 4 … 60 with jitter (`chance` in 0..1)."""
    if asked is not None:
        return min(max(asked, 1.0), LONGEST_RETRY_AFTER)
    return min(2.0 ** min(attempts - 1, 10), LONGEST_BACK_OFF) * (0.5 + 0.5 * chance)


class Pacer:
    """A token bucket: as many at once as the destination takes in three seconds (at least one), then evenly."""

    def __init__(self, per_minute: float) -> None:
        self._per_second = per_minute / 60
        self._most = max(1.0, self._per_second * 3)
        self._tokens = self._most
        self._at: float | None = None

    def wait(self, now: float) -> float:
        """Seconds until one more may go; 0 takes it."""
        if self._at is not None:
            self._tokens = min(self._most, self._tokens + max(0.0, now - self._at) * self._per_second)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._per_second


class Delivery:
    """Delivers parcels: within a queue in order, so that no resolve overtakes its page; queues side by side.

    `clock` gives steady Unix seconds; `build` makes a notifier of a destination; `write` makes changes durable, trying
    again by itself; `fall_over` is asked once when a parcel can't be delivered for long; `report` hears of attempts.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        clock: Callable[[], float],
        build: Callable[[Mapping[str, Any]], Notifier],
        write: Callable[[Changes], Awaitable[None]],
        fall_over: Callable[[Parcel], None],
        report: Callable[[Attempt], None],
    ) -> None:
        self._http = http
        self._clock = clock
        self._build = build
        self._write = write
        self._fall_over = fall_over
        self._report = report
        self._queues: dict[str, deque[Parcel]] = {}
        self._due: list[tuple[float, str]] = []
        self._busy: set[asyncio.Task[None]] = set()
        self._pacers: dict[str, Pacer] = {}
        self._notifiers: dict[str, Notifier] = {}
        self.references: dict[str, Mapping[str, str]] = {}
        self._wake = asyncio.Event()

    def submit(self, parcels: Iterable[Parcel]) -> None:
        """Take over parcels, oldest first."""
        for parcel in parcels:
            queue = self._queues.setdefault(parcel.queue, deque())
            queue.append(parcel)
            if len(queue) == 1:
                heapq.heappush(self._due, (parcel.next_at, parcel.queue))
        self._wake.set()

    @property
    def pending(self) -> list[Parcel]:
        """What is not delivered yet, by queue and order."""
        return [parcel for queue in self._queues.values() for parcel in queue]

    async def run(self) -> None:
        """Deliver until cancelled; then attempts in flight get their chance to end (see `finish`)."""
        while True:
            self._wake.clear()
            now = self._clock()
            while self._due and self._due[0][0] <= now and len(self._busy) < AT_ONCE:
                _, name = heapq.heappop(self._due)
                self._start(name, now)
            delay = self._due[0][0] - now if self._due and len(self._busy) < AT_ONCE else None
            try:
                async with asyncio.timeout(None if delay is None else max(delay, 0.001)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def finish(self, within: float) -> None:
        """Let attempts in flight end, for at most `within` seconds; the rest stays in the outbox."""
        if self._busy:
            _, late = await asyncio.wait(self._busy, timeout=within)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _start(self, name: str, now: float) -> None:
        queue = self._queues.get(name)
        if not queue:
            return
        parcel = queue[0]
        task = asyncio.get_running_loop().create_task(self._turn(parcel, now), name=f"deliver {parcel.id}")
        self._busy.add(task)
        task.add_done_callback(lambda done: self._ended(done, parcel))

    def _ended(self, task: asyncio.Task[None], parcel: Parcel) -> None:
        self._busy.discard(task)
        if not task.cancelled() and (bug := task.exception()) is not None:
            why = f"delivery broke: {type(bug).__name__}: {bug}"
            self._report(Attempt(parcel, "retry", why, "other", 0.0, 0.0))
            self._later(parcel, self._clock() + LONGEST_BACK_OFF)
        self._wake.set()

    async def _turn(self, parcel: Parcel, now: float) -> None:
        """One attempt at the head of a queue, and what follows from it."""
        try:
            notifier = self._notifier(parcel)
        except Exception as why:  # the second of the two named places: a destination that can't be built loses no page
            await self._refused(parcel, NotDelivered(f"cannot use this destination: {why}", retry=False), now, 0.0)
            return
        wait = self._pacer(notifier).wait(now)
        if wait:
            self._later(parcel, now + wait)
            return
        started = asyncio.get_running_loop().time()
        try:
            receipt = await self._attempt(notifier, parcel)
        except NotDelivered as refusal:
            await self._refused(parcel, refusal, self._clock(), asyncio.get_running_loop().time() - started)
            return
        await self._accepted(parcel, receipt, self._clock(), asyncio.get_running_loop().time() - started)

    async def _attempt(self, notifier: Notifier, parcel: Parcel) -> Receipt:
        parcel.attempts += 1
        try:
            async with asyncio.timeout(ATTEMPT_TIMEOUT):
                return await notifier.send(parcel.note, self._http, self.references.get(parcel.thread, {}))
        except NotDelivered:
            raise
        except TimeoutError:
            why = f"no answer within {ATTEMPT_TIMEOUT:g} s"
            raise NotDelivered(why, retry=True, reason="contextDeadlineExceeded") from None
        except aiohttp.ClientError as error:
            raise NotDelivered(f"cannot reach it: {error or type(error).__name__}", retry=True) from error
        except Exception as bug:  # a notifier's bug must not lose a page: it is reported and tried again
            raise NotDelivered(f"the notifier broke: {type(bug).__name__}: {bug}", retry=True) from bug

    async def _accepted(self, parcel: Parcel, receipt: Receipt, now: float, took: float) -> None:
        changes = Changes(parcels={parcel.id: None}, entries=[_entry(parcel, "delivered", now)])
        if receipt.reference:
            self.references[parcel.thread] = changes.references[parcel.thread] = receipt.reference
        if parcel.note.status == "resolved":
            self.references.pop(parcel.thread, None)
            changes.references[parcel.thread] = {}
        self._report(Attempt(parcel, "delivered", receipt.note, "", took, now - parcel.created))
        await self._write(changes)
        self._next(parcel)

    async def _refused(self, parcel: Parcel, refusal: NotDelivered, now: float, took: float) -> None:
        parcel.last_error = refusal.why
        status = "retry" if refusal.retry else "dead"
        self._report(Attempt(parcel, status, refusal.why, refusal.reason, took, now - parcel.created))
        if not parcel.fell_over and (not refusal.retry or now - parcel.created >= FALL_OVER_AFTER):
            parcel.fell_over = True
            self._fall_over(parcel)
        if not refusal.retry:
            entry = _entry(parcel, "dead", now, refusal.why)
            await self._write(Changes(parcels={parcel.id: None}, entries=[entry]))
            self._next(parcel)
            return
        delay = back_off(parcel.attempts, refusal.after, random.random())
        self._later(parcel, now + delay)
        await self._write(Changes(parcels={parcel.id: parcel}))

    def _later(self, parcel: Parcel, at: float) -> None:
        parcel.next_at = at
        heapq.heappush(self._due, (at, parcel.queue))
        self._wake.set()

    def _next(self, parcel: Parcel) -> None:
        queue = self._queues[parcel.queue]
        queue.popleft()
        if queue:
            self._later(queue[0], max(queue[0].next_at, self._clock()))
        else:
            del self._queues[parcel.queue]

    def _notifier(self, parcel: Parcel) -> Notifier:
        key = repr(parcel.destination)
        if key not in self._notifiers:
            self._notifiers[key] = self._build(parcel.destination)
        return self._notifiers[key]

    def _pacer(self, notifier: Notifier) -> Pacer:
        key = notifier.limit_key
        if key not in self._pacers:
            self._pacers[key] = Pacer(notifier.per_minute)
        return self._pacers[key]


def _entry(parcel: Parcel, status: str, now: float, error: str = "") -> Entry:
    return Entry(
        parcel=parcel.id,
        thread=parcel.thread,
        receiver=parcel.note.receiver,
        kind=str(parcel.destination.get("kind", "")),
        reason=parcel.note.reason,
        dedup_key=parcel.note.dedup_key,
        status=status,
        attempts=parcel.attempts,
        created=parcel.created,
        ended=now,
        error=error,
        alerts=[alert.fingerprint for alert in parcel.note.alerts],
    )
