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

from alerts.message import merged
from alerts.notifiers.base import NotDelivered, Notifier, Receipt, sayable, unusable
from alerts.outbox import Changes, Entry, Parcel
from alerts.pacing import LONGEST_BACK_OFF, Pacer, back_off
from alerts.places import Places

ATTEMPT_TIMEOUT = 10.0
FALL_OVER_AFTER = 120.0
AT_ONCE = 64
LOOK_FOR_LATE = 1.0
"""Seconds between two looks at all that waits for a destination that refuses."""
MERGE_FROM = 3
"""So many messages more must wait for one destination before they are put into one."""
BEHIND = 5.0
"""Seconds that a message may be from its turn to be taken along."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt that ended, for the log and the metrics; `took` and `waited` (since the parcel was made): seconds."""

    parcel: Parcel
    status: str
    why: str
    reason: str
    took: float
    waited: float


class Delivery:
    """Delivers parcels: within a queue in order, so that no resolve overtakes its page; queues side by side.

    A destination that is behind gets what waits for it in one message, where its kind allows that.

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
        self._in_flight: set[str] = set()
        self._behind: set[str] = set()
        self._superseded = Changes()
        self._due: list[tuple[float, str]] = []
        self._busy: set[asyncio.Task[None]] = set()
        self._places = Places()
        self._looked_for_late: dict[str, float] = {}
        self._pacers: dict[str, Pacer] = {}
        self._notifiers: dict[str, Notifier] = {}
        self.references: dict[str, Mapping[str, str]] = {}
        self._wake = asyncio.Event()

    def submit(self, parcels: Iterable[Parcel]) -> None:
        """Take over parcels, oldest first. One that only says more than the one waiting before it takes its place."""
        for parcel in parcels:
            queue = self._queues.setdefault(parcel.queue, deque())
            if queue and parcel.queue not in self._in_flight and _says_more(parcel, queue[-1]):
                self._supersede(queue, parcel)
                continue
            queue.append(parcel)
            if len(queue) == 1:
                heapq.heappush(self._due, (parcel.next_at, parcel.queue))
        self._wake.set()

    def _supersede(self, queue: deque[Parcel], parcel: Parcel) -> None:
        older = queue.pop()
        parcel.note.reason, parcel.note.why = older.note.reason, older.note.why
        parcel.created, parcel.next_at = older.created, older.next_at
        parcel.attempts, parcel.fell_over = older.attempts, older.fell_over
        queue.append(parcel)
        entry = Entry.of(older, "superseded", self._clock(), "a later message says the same and more")
        self._superseded.merge(Changes(parcels={older.id: None, parcel.id: parcel}, entries=[entry]))

    @property
    def pending(self) -> list[Parcel]:
        """What is not delivered yet, by queue and order."""
        return [parcel for queue in self._queues.values() for parcel in queue]

    @property
    def attempting(self) -> int:
        """How many attempts are under way."""
        return len(self._busy)

    async def run(self) -> None:
        """Deliver until cancelled; then attempts in flight get their chance to end (see `finish`)."""
        while True:
            self._wake.clear()
            now = self._clock()
            if self._superseded:
                changes, self._superseded = self._superseded, Changes()
                await self._write(changes)
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
        if not queue or name in self._in_flight or queue[0].next_at > now:
            return  # it went with another parcel meanwhile; a later turn is noted for what is left of it
        where = repr(queue[0].destination)
        if not self._places.take(where, name):
            return
        parcels = [queue[0], *self._companions(queue[0], now)]
        self._in_flight.update(parcel.queue for parcel in parcels)
        task = asyncio.get_running_loop().create_task(self._turn(parcels, now), name=f"deliver {parcels[0].id}")
        self._busy.add(task)
        task.add_done_callback(lambda done: self._ended(done, parcels, where))

    def _ended(self, task: asyncio.Task[None], parcels: list[Parcel], where: str) -> None:
        self._busy.discard(task)
        name = self._places.leave(where, lambda name: name in self._queues and name not in self._in_flight)
        if name:
            heapq.heappush(self._due, (self._queues[name][0].next_at, name))
        if not task.cancelled() and (bug := task.exception()) is not None:
            why = f"delivery broke: {type(bug).__name__}: {bug}"
            for parcel in parcels:
                self._report(Attempt(parcel, "retry", why, "other", 0.0, 0.0))
                parcel.next_at = self._clock() + LONGEST_BACK_OFF
        self._free(parcel.queue for parcel in parcels)

    def _free(self, names: Iterable[str]) -> None:
        """These queues may have their next turn when their heads are due."""
        for name in names:
            self._in_flight.discard(name)
            if name in self._queues:
                heapq.heappush(self._due, (self._queues[name][0].next_at, name))
        self._wake.set()

    async def _turn(self, parcels: list[Parcel], now: float) -> None:
        """One attempt at the heads of queues, as one message where they are several, and what follows from it."""
        try:
            notifier = self._notifier(parcels[0])
        except Exception as why:  # the second of the two named places: a destination that can't be built loses no page
            dead = NotDelivered(f"cannot use this destination: {unusable(why)}", retry=False)
            await self._refused(parcels, dead, now, 0.0)
            return
        wait = self._pacer(notifier).wait(now)
        if wait:
            if notifier.mergeable:
                self._behind.add(repr(parcels[0].destination))
            for parcel in parcels:
                parcel.next_at = now + wait
            return
        started = asyncio.get_running_loop().time()
        try:
            receipt = await self._attempt(notifier, parcels)
        except NotDelivered as refusal:
            refusal.why = sayable(refusal.why, notifier)
            await self._refused(parcels, refusal, self._clock(), asyncio.get_running_loop().time() - started)
            return
        await self._accepted(parcels, receipt, self._clock(), asyncio.get_running_loop().time() - started)

    def _companions(self, parcel: Parcel, now: float) -> list[Parcel]:
        """What else waits for a destination that is behind, where its messages can be put into one."""
        destination = repr(parcel.destination)
        if destination not in self._behind:
            return []
        free = self._queues.keys() - self._in_flight - {parcel.queue}
        heads = [self._queues[name][0] for name in free]
        found = [head for head in heads if head.next_at <= now + BEHIND and head.destination == parcel.destination]
        if len(found) < MERGE_FROM:
            self._behind.discard(destination)
            return []
        return sorted(found, key=lambda head: head.created)

    async def _attempt(self, notifier: Notifier, parcels: list[Parcel]) -> Receipt:
        for parcel in parcels:
            parcel.attempts += 1
        note = merged([parcel.note for parcel in parcels], notifier.most_alerts) if parcels[1:] else parcels[0].note
        reference = {} if parcels[1:] else self.references.get(parcels[0].thread, {})
        try:
            async with asyncio.timeout(ATTEMPT_TIMEOUT):
                return await notifier.send(note, self._http, reference)
        except NotDelivered:
            raise
        except TimeoutError:
            why = f"no answer within {ATTEMPT_TIMEOUT:g} s"
            raise NotDelivered(why, retry=True, reason="contextDeadlineExceeded") from None
        except aiohttp.ClientError as error:
            raise NotDelivered(f"cannot reach it: {error or type(error).__name__}", retry=True) from error
        except Exception as bug:  # a notifier's bug must not lose a page: it is reported and tried again
            raise NotDelivered(f"the notifier broke: {type(bug).__name__}: {bug}", retry=True) from bug

    async def _accepted(self, parcels: list[Parcel], receipt: Receipt, now: float, took: float) -> None:
        changes = Changes(
            parcels={parcel.id: None for parcel in parcels},
            entries=[Entry.of(parcel, "delivered", now) for parcel in parcels],
        )
        for parcel in parcels:
            if receipt.reference and not parcels[1:]:
                self.references[parcel.thread] = changes.references[parcel.thread] = receipt.reference
            if parcel.note.status == "resolved":
                self.references.pop(parcel.thread, None)
                changes.references[parcel.thread] = {}
            self._report(Attempt(parcel, "delivered", receipt.note, "", took, now - parcel.created))
        await self._write(changes)
        for parcel in parcels:
            self._next(parcel)

    async def _refused(self, parcels: list[Parcel], refusal: NotDelivered, now: float, took: float) -> None:
        status = "retry" if refusal.retry else "dead"
        changes = Changes()
        for parcel in parcels:
            parcel.last_error = refusal.why
            self._report(Attempt(parcel, status, refusal.why, refusal.reason, took, now - parcel.created))
            if not parcel.fell_over and not refusal.retry:
                parcel.fell_over = True
                self._fall_over(parcel)
            changes.parcels[parcel.id] = parcel if refusal.retry else None
            changes.entries.append(Entry.of(parcel, status, now, refusal.why))
            if refusal.retry:
                parcel.next_at = now + back_off(parcel.attempts, refusal.after, random.random())
        if refusal.retry:
            changes.parcels |= self._late(parcels[0], now)
        await self._write(changes)
        if not refusal.retry:
            for parcel in parcels:
                self._next(parcel)

    def _late(self, refused: Parcel, now: float) -> dict[str, Parcel]:
        """Let the fallback have all that waited too long for a destination that refuses, its turn come or not."""
        where, candidates = repr(refused.destination), [refused]
        if now >= self._looked_for_late.get(where, 0.0) + LOOK_FOR_LATE:
            self._looked_for_late[where] = now
            candidates = self.pending
        late: dict[str, Parcel] = {}
        for parcel in candidates:
            waits = not parcel.fell_over and now - parcel.created >= FALL_OVER_AFTER
            if waits and parcel.destination == refused.destination:
                parcel.fell_over, parcel.last_error = True, parcel.last_error or refused.last_error
                late[parcel.id] = parcel
                self._fall_over(parcel)
        return late

    def _next(self, parcel: Parcel) -> None:
        queue = self._queues[parcel.queue]
        queue.popleft()
        if not queue:
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


def _says_more(parcel: Parcel, older: Parcel) -> bool:
    """Whether nothing is lost when only the later of two waiting messages is sent."""
    if parcel.thread != older.thread or "resolved" in (parcel.note.status, older.note.status):
        return False
    return parcel.note.reason in ("added", "changed", "reminder", "flapping")
