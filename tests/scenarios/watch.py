"""A simulated installation watched by the real daemon on hurried time: break it, and read who is told what, when."""

from __future__ import annotations

import asyncio
import io
import json
import os
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from alerts.delivery import Attempt
from checks.base import Outcome
from checks.units import parse_duration, show_duration
from monitor.app import App
from monitor.config import load
from monitor.demo.installation import UNREACHABLE
from monitor.logs import Writer, configure
from tests.scenarios.hurry import HurriedClock, HurriedLoop
from tests.scenarios.records import Proof, record
from tests.scenarios.threaded import ACTS_WITHIN, Threaded
from tests.scenarios.told import Page, Told, plain, whom


class Daemon(App):
    """The daemon, with a list of what was accepted from it."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.told: list[Told] = []
        self.news = asyncio.Event()
        self.names: dict[str, str] = {}

    def _attempted(self, attempt: Attempt) -> None:
        super()._attempted(attempt)
        if attempt.status == "delivered":
            self.told.append(Told(self.clock.now(), whom(attempt.parcel.destination, self.names), attempt.parcel))
            self.news.set()


class Watch:
    """One daemon and the installation that it watches; what is not said here is as shipped.

    `options`: `root` is YAML of the top-level file beside the include, `environment` further variables, `timeout`
    seconds for every check (where servers are frozen, so that a probe does not take ten real seconds), `only` the
    checks to keep.
    """

    def __init__(self, threaded: Threaded, folder: Path) -> None:
        self.threaded = threaded
        self.installation = threaded.installation
        self.folder = folder
        self.log = io.StringIO()
        self.root = ""
        self.environment: dict[str, str] = {}
        self.timeout: float | None = None
        self.only: Callable[[str], bool] = lambda key: True
        self.app: Daemon
        self.broke_at = 0.0
        self.fault = ""
        self._first = 0
        self._before = 0
        self._asserted: set[str] = set()
        self._running: asyncio.Task[None] | None = None
        self._jobs: list[asyncio.Task[None]] = []
        self._writer: Writer | None = None
        loop = asyncio.get_running_loop()
        assert isinstance(loop, HurriedLoop)
        self.loop = loop

    # --- life ----------------------------------------------------------------------------------------------------

    async def start(self, began_before: str = "0s") -> None:
        """Start the daemon; its time begins that long before the real one."""
        file = self.folder / "runwatch.yaml"
        system = self.installation.configuration
        if not file.exists():
            file.write_text(f"include: [{json.dumps(str(system))}]\nserver: {{listen: '127.0.0.1:0'}}\n{self.root}\n")
        environ = {
            **os.environ, **self.installation.environment, **self.environment,
            "RUNWATCH_STORE": f"sqlite://{self.folder / 'runwatch.db'}",
        }  # fmt: skip
        config = load(file, environ)
        changes = {} if self.timeout is None else {"timeout": self.timeout}
        kept = {key: check.model_copy(update=changes) for key, check in config.checks.items() if self.only(key)}
        object.__setattr__(config, "checks", kept)
        self._writer, redact = configure("info", "console", self.log)
        clock = HurriedClock(self.loop, parse_duration(began_before))
        self.app = Daemon(config, file, environ, self._writer, redact, clock)
        self.app.names = self.installation.names
        try:
            await self.app.build()
        except BaseException:
            await self.app.close()
            raise
        self.loop.busy = self._busy
        self.installation.now = clock.now
        self.installation.daemon_url = self.app.address.rstrip("/")
        self._running = self.loop.create_task(self.app.run())
        started = [asyncio.Event() for _ in self.installation.jobs]
        self._jobs = [
            self.loop.create_task(self._repeat(job.period, job.do, first))
            for job, first in zip(self.installation.jobs, started, strict=True)
        ]
        for job, event in zip(self._jobs, started, strict=True):
            begun = self.loop.create_task(event.wait())
            await asyncio.wait({job, begun}, return_when=asyncio.FIRST_COMPLETED)
            if not begun.done():
                begun.cancel()
                job.result()

    def _busy(self) -> object:
        app = self.app
        return app.prober.asking or app.delivery.attempting or app.impaired.looking

    async def _repeat(self, period: float, do: Callable[[], Awaitable[None]], first: asyncio.Event) -> None:
        async def once() -> None:
            with self.loop.held():
                await self.threaded.call(in_its_thread())

        async def in_its_thread() -> None:
            await do()

        await once()
        first.set()
        while True:
            await asyncio.sleep(period)
            with suppress(*UNREACHABLE):  # as live: what it works with is broken; it tries again
                await once()

    async def stop(self) -> None:
        """Stop the daemon."""
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        try:
            if self._running is not None:
                self.app.stop()
                running, self._running = self._running, None
                await running
        finally:
            if self._writer is not None:
                self._writer.close(ACTS_WITHIN)
                structlog.reset_defaults()

    # --- the timeline --------------------------------------------------------------------------------------------

    async def passes(self, span: str) -> None:
        """So much time passes."""
        with self.loop.hurrying():
            await asyncio.sleep(parse_duration(span))
        self._alive()

    async def quiet(self, span: str) -> None:
        """So much time passes, and nobody is told anything. The first time, it is the time before the real one."""
        if self._running is None:
            await self.start(span)
        before = len(self.app.told)
        await self.passes(span)
        told = self.app.told[before:]
        assert not told, f"somebody was told in quiet times: {'; '.join(map(str, told))}{self._state()}"

    async def breaks(self, fault: str) -> None:
        """Break something."""
        self.fault = self.installation.known(fault).name
        self.broke_at = self.app.clock.now()
        self._first = len(self.app.told)
        self._before = max((message.number for message in self.installation.inbox.messages), default=0)
        self._asserted.clear()
        await self.threaded.call(self.installation.break_part(fault))

    async def heals(self, fault: str = "") -> None:
        """Heal it again."""
        await self.threaded.call(self.installation.heal_part(fault or self.fault))

    async def paged(self, alert: str, word: str, *, to: Iterable[str], within: str, also: Iterable[str] = ()) -> Page:
        """All of these are told that the alert fires, with the system's own severity word, so soon after the fault.

        Nobody is told of other alerts, up to the moment when `resolved` says that it is over, but for those of `also`.
        """
        wanted = set(to)
        self._asserted |= {alert, *also}

        def everybody() -> bool:
            return wanted <= {told.to for told in self.since_fault() if alert in told.firing}

        await self.until(everybody, self.broke_at + parse_duration(within), f"{alert} at {', '.join(sorted(wanted))}")
        told = [told for told in self.since_fault() if alert in told.firing]
        strangers = {one.to for one in told} - wanted
        assert not strangers, f"{alert} was also sent to {', '.join(sorted(strangers))}"
        about = told[0].firing[alert]
        assert about.severity_word == word, f"{alert} has severity {about.severity_word}, not {word}"
        self._only_asserted()
        page = Page(about, max(one.at for one in told if one.to in wanted) - self.broke_at, self.received(alert))
        assert about.runbook.text and about.runbook.text.splitlines()[-1][:40] in page.text, "the page has no playbook"
        record(
            Proof(
                self.installation.name, self.fault, self.installation.faults()[self.fault].sentence,
                about.check.partition("/")[2], alert, word, about.limit, tuple(sorted(wanted)), within, page.seconds,
            )
        )  # fmt: skip
        return page

    async def resolved(self, *alerts: str, within: str) -> None:
        """Everybody who was told that these fire is told so soon from now that they are over."""

        def everybody() -> bool:
            told = self.since_fault()
            return all(
                {one.to for one in told if name in one.firing} <= {one.to for one in told if name in one.resolved}
                for name in alerts
            )

        await self.until(everybody, self.app.clock.now() + parse_duration(within), f"{', '.join(alerts)} resolved")
        self._only_asserted()

    async def until(self, reached: Callable[[], bool], deadline: float, what: str) -> None:
        """Let time pass until it is so, at the latest at `deadline` of the daemon's time."""
        with self.loop.hurrying():
            try:
                async with asyncio.timeout_at(self.loop.time() + max(0.0, deadline - self.app.clock.now())):
                    while not reached():
                        self.app.news.clear()
                        await self.app.news.wait()
            except TimeoutError:
                pass
        self._alive()
        late = f"not in time: {what}; told: {'; '.join(map(str, self.since_fault())) or 'nothing'}"
        assert reached(), late + self._state()

    # --- what was seen -------------------------------------------------------------------------------------------

    def since_fault(self) -> list[Told]:
        """What was accepted since the fault."""
        return self.app.told[self._first :]

    def received(self, alert: str) -> str:
        """Everything that arrived in the inbox since the fault and names the alert, as plain text."""
        messages = self.installation.inbox.messages
        texts = [plain(one) for one in messages if one.number > self._before and one.status < 300]
        return "\n\n".join(text for text in texts if alert in text)

    def _only_asserted(self) -> None:
        others = {name for told in self.since_fault() for name in told.firing} - self._asserted
        assert not others, f"also told: {', '.join(sorted(others))}{self._state()}"

    def _alive(self) -> None:
        assert self._running is not None
        if self._running.done():
            self._running.result()
            raise AssertionError("the daemon has ended")
        for job in self._jobs:
            if job.done():
                job.result()

    def _state(self) -> str:
        """What the daemon knows, for a test that has failed."""
        live = self.app.engine.judging.live()
        lines = ["", "alerts that live:"]
        lines += [
            f"  {one.name} {one.phase} {one.value} {one.sentence} withheld: {one.withheld or 'no'}" for one in live
        ]
        lines.append("checks that are not ok:")
        for key in self.app.config.checks:
            known = self.app.state.get(key)
            if known is None or known.result.outcome is not Outcome.OK:
                lines.append(f"  {key}: {'not asked yet' if known is None else known.result.sentence}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Row:
    """A line of a system's table: this fault, this page.

    `within` is how soon after the fault it is accepted, `resolves` how soon after healing its end; `says` must stand in
    the messages; `also` may be told besides; `quiet` is how long all is well before. `timeout`: see Watch.
    """

    fault: str
    alert: str
    word: str
    within: str
    says: tuple[str, ...] = ()
    resolves: str = ""
    also: tuple[str, ...] = ()
    quiet: str = "10m"
    timeout: float | None = None
    to: tuple[str, ...] = ()

    async def play(self, watch: Watch, to: Iterable[str]) -> None:
        """All is well; then the fault, the page, the end."""
        watch.timeout = self.timeout
        await watch.quiet(self.quiet)
        await watch.breaks(self.fault)
        page = await watch.paged(self.alert, self.word, to=self.to or to, within=self.within, also=self.also)
        page.says(*self.says)
        await watch.heals()
        await watch.resolved(self.alert, *self.also, within=self.resolves or self.within)
        assert page.seconds <= parse_duration(self.within), show_duration(page.seconds)
