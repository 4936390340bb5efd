"""Finds out first that the trouble is our own: asks anchors, resolver and machine, and excuses targets meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from alerts.wording import clock_time
from checks.base import Check, Outcome, Reason, Result
from checks.units import show_duration
from monitor import anchors, impairment, machine
from monitor.config.impaired import Impaired as Settings
from monitor.impairment import Finding, Standstills

log = structlog.get_logger()

AGAIN = 1.0
"""Seconds between two looks while something is wrong."""

APART = 0.25
"""Seconds between two looks at most often, however many targets seem to fail."""

CERTAIN = 2
"""Looks in a row that must find the same trouble before people are told; results are excused from the first."""

DISK_ANSWERS_WITHIN = 5.0


class Impaired:
    """The daemon's doubt about itself. `run` looks; `excuse` and `stood_still` are asked about results that are not ok.

    `report(cause, trouble, ended)` takes each cause's trouble, "" for none, and what to say at its end;
    `outcome_of(key)` gives a check's last outcome; `ask_again(keys)` has checks asked at once. `clock` gives steady
    Unix seconds.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        clock: Callable[[], float],
        report: Callable[[str, str, str], None],
        outcome_of: Callable[[str], Outcome | None],
        ask_again: Callable[[set[str]], None],
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._clock = clock
        self._report = report
        self._outcome_of = outcome_of
        self._ask_again = ask_again
        self._loop = asyncio.get_running_loop()
        self._standstills = Standstills(self._loop.time())
        self._finding = self._last_bad = Finding()
        self._good_since = 0.0
        self._begun = self._loop.time() - APART
        self._wanted = asyncio.Event()
        self._ended = asyncio.Event()
        self._spells = {"network": _Spell(), "dns": _Spell()}
        self._excused: dict[str, int] = {}
        self._disk = ""
        self.looking = False
        """Whether somebody outside is being asked now."""

    # --- what the prober asks ------------------------------------------------------------------------------------

    def beat(self) -> None:
        """The event loop turns."""
        self._standstills.beat(self._loop.time())

    def stood_still(self, began: float, ended: float) -> float:
        """Seconds of a span (of the loop's time) in which the event loop stood still."""
        return self._standstills.within(began, ended)

    async def excuse(self, check: Check, result: Result) -> str:
        """Why this result says nothing of its target; empty where it does, which is certain within two seconds.

        A check that was all right until now waits for an answer of the outside that is younger than its failure. What
        was asked while nothing could be reached may fail when something can: `result.at` is when it was asked last.
        """
        settings = self._settings
        watched = bool(settings.anchors) or (bool(settings.names) and result.reason is Reason.DNS)
        if not watched or not impairment.concerns(result):
            return ""
        found = self._finding
        if found.good and self._outcome_of(check.key) is not result.outcome:
            found = await self._found_after(self._loop.time())
        late = found.good and result.at < self._good_since
        why = impairment.excuse(result, self._last_bad if late else found)
        if why:
            self._excused[check.key] = self._excused.get(check.key, 0) + 1
        if why and late:
            self._wanted.set()
        return why

    @property
    def blind(self) -> str:
        """Why nothing outside can be seen; empty where it can."""
        return self._finding.network or self._finding.dns

    async def _found_after(self, moment: float) -> Finding:
        """What a look finds that began after `moment`, or one before it that ends badly."""
        with_others = 2 * self._settings.timeout + APART
        try:
            async with asyncio.timeout(with_others):
                while True:
                    self._wanted.set()
                    await self._ended.wait()
                    if not self._finding.good or self._begun >= moment:
                        return self._finding
        except TimeoutError:
            return self._finding

    # --- the loops -----------------------------------------------------------------------------------------------

    def adopt(self, settings: Settings) -> None:
        """Take over a new configuration."""
        self._settings = settings
        self._wanted.set()

    async def run(self) -> None:
        """Look until cancelled."""
        thread = ThreadPoolExecutor(1, "runwatch-machine")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch_outside(), name="anchors")
                group.create_task(self._watch_machine(thread), name="machine")
        finally:
            thread.shutdown(wait=False, cancel_futures=True)

    async def _watch_outside(self) -> None:
        while True:
            begun = self._loop.time()
            settings = self._settings
            self.looking = True
            try:
                reached, resolved = await anchors.ask(settings.anchors, settings.names, settings.timeout)
            finally:
                self.looking = False
            self._take(begun, impairment.finding(reached, resolved))
            await self._rest(begun)

    async def _rest(self, begun: float) -> None:
        """Until the next look is due, or somebody wants one."""
        pause = self._settings.interval if self._finding.good else AGAIN
        try:
            async with asyncio.timeout_at(max(begun + pause, self._loop.time())):
                await self._wanted.wait()
        except TimeoutError:
            return
        finally:
            self._wanted.clear()
        await asyncio.sleep(max(0.0, begun + APART - self._loop.time()))

    def _take(self, begun: float, found: Finding) -> None:
        now = self._clock()
        if found.good and not self._finding.good:
            self._last_bad, self._good_since = self._finding, now - (self._loop.time() - begun)
        self._begun, self._finding = begun, found
        ended, self._ended = self._ended, asyncio.Event()
        ended.set()
        for cause, trouble in (("network", found.network), ("dns", found.dns)):
            self._tell(cause, trouble, now)
        if found.good and self._excused:
            again, self._excused = self._excused, {}
            self._ask_again(set(again))

    def _tell(self, cause: str, trouble: str, now: float) -> None:
        spell = self._spells[cause]
        if trouble:
            spell.since = spell.since or now
            spell.looks += 1
            if spell.looks == CERTAIN:
                log.warning("impaired", cause=cause, why=trouble)
                self._report(cause, trouble, "")
            return
        ended = ""
        if spell.looks >= CERTAIN:
            log.info("no longer impaired", cause=cause, seconds=now - spell.since, checks=len(self._excused))
            ended = (
                f"blind for {show_duration(now - spell.since)} since {clock_time(spell.since)}; "
                f"{sum(self._excused.values())} results of {len(self._excused)} checks were not judged"
            )
        self._report(cause, "", ended)
        self._spells[cause] = _Spell()

    async def _watch_machine(self, thread: ThreadPoolExecutor) -> None:
        while True:
            settings = self._settings
            asked = self._loop.run_in_executor(
                thread, machine.disk_trouble, self._folder, settings.min_free, self._disk
            )
            done, _ = await asyncio.wait([asked], timeout=DISK_ANSWERS_WITHIN)
            if not done:
                self._report("disk", f"the disk that holds {self._folder} does not answer", "")
            self._disk = await asked
            self._report("disk", self._disk, "")
            self._report("descriptors", machine.descriptor_trouble(), "")
            await asyncio.sleep(settings.interval)


class _Spell:
    """A time in which something was wrong."""

    __slots__ = ("looks", "since")

    def __init__(self) -> None:
        self.looks = 0
        self.since = 0.0
