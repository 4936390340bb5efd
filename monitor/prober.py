"""Asks one check: deadline, retries, timing; turns whatever happens into a Result and never raises."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from checks.base import DIAGNOSIS, Check, Errored, Failed, Outcome, Reason, Result, Run, printable
from checks.units import show_duration
from checks.wire.alarms import alarms
from monitor.impairment import NETWORK_REASONS, too_long

LATE_SHARE = 0.25
LONGEST_EVIDENCE = 4_000
MOST_EVIDENCE = 12
MASK = "***"


class Doubt(Protocol):
    """Who knows whether a failure may be our own."""

    @property
    def blind(self) -> str:
        """Why nothing outside can be reached, nor reach us; empty where it can."""

    def stood_still(self, began: float, ended: float) -> float:
        """Seconds of that span of the loop's time in which the event loop stood still."""

    async def excuse(self, check: Check, result: Result) -> str:
        """Why a result that is not ok says nothing of its target; empty where it does. `at` is its last attempt's."""


class Prober:
    """Runs probes, at most one of each check at a time. `sink` gets every result; `suspect` every first failure.

    `clock` gives steady Unix seconds, `wall` those of the wall clock; `skipped(check)` is called where a beat finds its
    check still being asked; `doubt`, if there is one, is asked about every result that is not ok.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        sink: Callable[[Check, Result], None],
        suspect: Callable[[str], None],
        skipped: Callable[[Check], None],
        late: Callable[[float], None],
        doubt: Doubt | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._sink = sink
        self._suspect = suspect
        self._skipped = skipped
        self._late = late
        self._doubt = doubt
        self._wall = wall
        self._resting = 0
        self._running: dict[str, asyncio.Task[None]] = {}
        self._memory: dict[str, dict[Any, Any]] = {}
        self._diagnosing: set[asyncio.Task[None]] = set()
        self._cut_off: set[str] = set()

    def launch(self, check: Check, due: float) -> None:
        """Start asking; `due` is when it should have been, in the loop's seconds."""
        key = check.key
        if key in self._running:
            self._skipped(check)
            return
        if check.fed and self._doubt is not None and self._doubt.blind:
            self._cut_off.add(key)
            return
        loop = asyncio.get_running_loop()
        self._late(max(0.0, loop.time() - due))
        self._running[key] = loop.create_task(self._run(check, key, loop))

    def is_running(self, key: str) -> bool:
        """Whether a check is being asked."""
        return key in self._running

    @property
    def running(self) -> int:
        """How many probes are under way."""
        return len(self._running)

    @property
    def asking(self) -> int:
        """How many probes and diagnoses wait for their target now, not for their next attempt."""
        return len(self._running) + len(self._diagnosing) - self._resting

    def memory(self, key: str) -> dict[Any, Any]:
        """What a check remembers between its probes."""
        return self._memory.setdefault(key, {})

    def remember(self, key: str, memory: dict[Any, Any]) -> None:
        """Let a check remember this: what it kept before a restart, or before its configuration changed."""
        self._memory[key] = memory

    def forget(self, keys: set[str]) -> None:
        """Stop asking these checks and forget what they remember: they were removed or changed."""
        for key in keys:
            self._memory.pop(key, None)
            self._cut_off.discard(key)
            if key in self._running:
                self._running.pop(key).cancel()

    async def stop(self) -> None:
        """Cancel every probe and wait until each has cleaned up."""
        tasks = [*self._running.values(), *self._diagnosing]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, check: Check, key: str, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._sink(check, await self.ask(check))
        finally:
            if self._running.get(key) is asyncio.current_task(loop):
                del self._running[key]

    def diagnose(self, check: Check, found: Callable[[str, list[tuple[str, str]]], None]) -> None:
        """Begin to gather what a person would look at next; `found` gets the check's key and the evidence."""
        task = asyncio.get_running_loop().create_task(self._diagnose(check, found))
        self._diagnosing.add(task)
        task.add_done_callback(self._diagnosing.discard)

    async def _diagnose(self, check: Check, found: Callable[[str, list[tuple[str, str]]], None]) -> None:
        run, why = Run(self.memory(check.key), self._clock()), ""
        try:
            with _Deadline(asyncio.get_running_loop(), DIAGNOSIS):
                await check.diagnose(run)
        except (Failed, Errored) as failure:
            why = failure.sentence
        except TimeoutError:
            why = f"no answer within {show_duration(DIAGNOSIS)}"
        except Exception as bug:  # the same named place: a diagnosis that breaks takes nothing from the page
            why = f"the {check.kind} check itself broke: {type(bug).__name__}: {bug}"
        finally:
            found(check.key, _fit(check, [*run.evidences, *([("Not looked at", why)] if why else [])]))

    async def ask(self, check: Check) -> Result:
        """Ask until it is ok or the retries are used up."""
        memory = self.memory(check.key)
        result = await self._once(check, memory)
        asked_at = result.at
        for attempt in range(2, check.retries + 2):
            if result.outcome is Outcome.OK:
                break
            self._suspect(check.key)
            self._resting += 1
            try:
                await asyncio.sleep(check.retry_interval)
            finally:
                self._resting -= 1
            result = await self._once(check, memory)
            result.attempts = attempt
        if result.outcome is not Outcome.OK and self._doubt is not None:
            why = await self._doubt.excuse(check, result)
            if why:
                _excuse(result, f"not judged: {why} ({result.sentence})")
        result.at = asked_at
        return result

    async def _once(self, check: Check, memory: dict[Any, Any]) -> Result:
        loop = asyncio.get_running_loop()
        at = self._clock()
        run = Run(memory, at)
        run.wall = self._wall()
        run.cut_off = check.key in self._cut_off
        self._cut_off.discard(check.key)
        began = loop.time()
        outcome, reason, sentence = Outcome.OK, None, ""
        try:
            with _Deadline(loop, check.timeout):
                await check.probe(run)
        except Failed as failure:
            outcome, reason, sentence = Outcome.FAILED, failure.reason, failure.sentence
        except Errored as error:
            outcome, reason, sentence = Outcome.ERROR, error.reason, error.sentence
        except TimeoutError:
            outcome, reason = Outcome.FAILED, Reason.READ_TIMEOUT
            sentence = f"no answer within {show_duration(check.timeout)}"
        except Exception as bug:  # the first of the two named places: a kind's bug is our trouble, never the target's
            outcome, reason = Outcome.ERROR, Reason.INTERNAL
            sentence = f"the {check.kind} check itself broke: {type(bug).__name__}: {bug}"
        why = self._ours(check, reason, began, loop.time()) if outcome is Outcome.FAILED else ""
        # uvloop's clock counts whole milliseconds: too coarse for what a target took.
        took = time.monotonic() - run.started if run.took is None else run.took
        result = Result(outcome, at, took, reason, sentence)
        if why:
            _excuse(result, why)
        result.measurements, result.evidence, result.clock = run.measurements, run.evidences, run.clock
        return result if outcome is Outcome.OK and not run.evidences else _clean(check, result)

    def _ours(self, check: Check, reason: Reason | None, began: float, ended: float) -> str:
        """Why a failure is our own loop's: it stood still while the answer may have been there."""
        elapsed = ended - began
        if elapsed > check.timeout * (1 + LATE_SHARE):
            return f"runwatch was busy for {show_duration(elapsed - check.timeout)} past the deadline: unknown"
        if self._doubt is not None and reason in NETWORK_REASONS:
            stood = self._doubt.stood_still(began, ended)
            if too_long(stood, check.timeout):
                return f"the monitor itself stood still for {show_duration(stood)} meanwhile: unknown"
        return ""


def _excuse(result: Result, why: str) -> None:
    result.outcome, result.reason, result.sentence, result.excused = Outcome.ERROR, Reason.INTERNAL, why, True


class _Deadline:
    """What asyncio.timeout is, by an alarm: TimeoutError where the task would outlast it. 8 µs less a probe."""

    __slots__ = ("_alarm", "_asked", "_missed", "_task")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        task = asyncio.current_task(loop)
        assert task is not None
        self._task = task
        self._asked = task.cancelling()
        self._missed = False
        self._alarm = alarms(loop).set(loop, seconds, self._miss)

    def _miss(self) -> None:
        # Where the loop stood still a step's own deadline, which names the step, came due just before: it has two turns
        # of the loop, for itself and for a library's timer, to end the probe.
        loop = self._task.get_loop()
        loop.call_soon(loop.call_soon, self._end)

    def _end(self) -> None:
        if self._alarm.then is not None:
            self._missed = True
            self._task.cancel()

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._alarm.off()
        # Not ours to swallow, if somebody else wants the task to end as well.
        if self._missed and self._task.uncancel() <= self._asked and kind is asyncio.CancelledError:
            raise TimeoutError


def _clean(check: Check, result: Result) -> Result:
    """Without the check's secrets, and no longer than a page can carry."""
    result.sentence = printable(_scrubbed(result.sentence, check.secrets())[:1_000])
    result.evidence = _fit(check, result.evidence)
    return result


def _fit(check: Check, evidence: list[tuple[str, str]]) -> list[tuple[str, str]]:
    secrets = check.secrets()
    return [
        (printable(title[:200]), printable(_scrubbed(text, secrets)[:LONGEST_EVIDENCE]))
        for title, text in evidence[:MOST_EVIDENCE]
    ]


def _scrubbed(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        if secret:
            text = text.replace(secret, MASK)
    return text
