"""A simulated installation: real parts in one folder that can be broken and healed by name, live and in tests."""

from __future__ import annotations

import asyncio
import hashlib
import operator
import os
import shutil
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from time import monotonic
from typing import Any, ClassVar, TypeVar

import aiohttp
from redis.exceptions import RedisError

from checks.units import show_duration
from monitor.demo.inbox import Inbox
from monitor.demo.process import NotStarted, Server
from monitor.demo.servers import DATABASE_AWAY
from monitor.demo.telling import CannotDo as CannotDo

Report = Callable[[str], None]
InstallationT = TypeVar("InstallationT", bound="Installation")
ServerT = TypeVar("ServerT", bound=Server)
UNREACHABLE = (*DATABASE_AWAY, aiohttp.ClientError, RedisError, NotStarted)
"""What a part's work ends with while another part is broken."""
ACTS_WITHIN = 50.0
"""Seconds that breaking or healing may take; whoever asked for it waits a little longer."""
LETS_GO_WITHIN = 5.0
"""Seconds that a fault which nobody has healed has to let go of what it holds, when all is stopped."""


@dataclass(frozen=True)
class Fault:
    """What can be broken: `name` is a row of the coverage table, or `row.word`; `sentence` says what was done."""

    name: str
    sentence: str
    steps: Callable[[Any], AsyncIterator[None]]

    @property
    def row(self) -> str:
        """The row of the coverage table that it is about."""
        return self.name.partition(".")[0]


def fault(
    name: str, sentence: str
) -> Callable[[Callable[[InstallationT], AsyncIterator[None]]], Callable[[InstallationT], AsyncIterator[None]]]:
    """Makes a fault of an asynchronous generator method: up to its `yield` it breaks, after it it heals."""

    def enter(
        steps: Callable[[InstallationT], AsyncIterator[None]],
    ) -> Callable[[InstallationT], AsyncIterator[None]]:
        steps.fault = Fault(name, sentence, steps)  # type: ignore[attr-defined]
        return steps

    return enter


@dataclass
class Job:
    """Something that the installation does by itself every `period` seconds, such as a cron job with its ping."""

    period: float
    do: Callable[[], Awaitable[None]]


@dataclass
class _Broken:
    fault: Fault
    steps: AsyncGenerator[None, None]


class Installation:
    """Start it, then break and heal it by name; what is broken stays broken until it is healed.

    A subclass starts its parts in `set_up`, puts every variable that its system.yaml needs into `environment`, and has
    a method with `@fault` for each thing that can go wrong. `folder` is its own and is removed at the end.
    """

    name: ClassVar[str]
    pages: ClassVar[Mapping[str, str]] = {}
    """Which alert a fault leads to, where no scenario has shown it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.now: Callable[[], float] = time.time
        """The time as runwatch sees it, in Unix seconds; real servers have the real time."""
        self.daemon_url = ""
        """Where runwatch listens, for those who send it signs of life."""
        self.environment: dict[str, str] = {}
        self.jobs: list[Job] = []
        self.missing: dict[str, str] = {}
        """Parts that can't be had here, with the reason; the rest runs without them."""
        self.inbox = Inbox()
        self.stack = AsyncExitStack()
        """What ends with the installation, last first."""
        self.names = self.inbox.names
        """Who is meant by a PagerDuty routing key."""
        self._broken: dict[str, _Broken] = {}
        self._busy = asyncio.Lock()
        self._report: Report = lambda line: None

    @property
    def configuration(self) -> Path:
        """The system.yaml that it is watched by."""
        return shipped(self.name) / "system.yaml"

    # --- for subclasses ------------------------------------------------------------------------------------------

    async def set_up(self) -> None:
        """Start every part; NotStarted where one is missing that the others need."""
        raise NotImplementedError

    async def server(self, server: ServerT) -> ServerT:
        """Start a server and say so; it is killed with the installation."""
        self.stack.push_async_callback(server.kill)
        began = monotonic()
        await server.start()
        self._report(f"{server.title} runs on {server.address} ({show_duration(monotonic() - began)})")
        return server

    async def if_possible(self, part: str, start: Awaitable[Any]) -> bool:
        """Whether a part could be started that the others can do without; the reason is kept and said if not."""
        try:
            await start
        except NotStarted as why:
            self.missing[part] = str(why)
            self._report(f"{why}; everything else goes on without it")
            return False
        return True

    def every(self, period: float, do: Callable[[], Awaitable[None]]) -> None:
        """Do this every `period` seconds of the time as runwatch sees it, and once at the start."""
        self.jobs.append(Job(period, do))

    async def ping(self, uuid: str, *, fails: bool = False) -> None:
        """Send runwatch, where it runs, a sign of life for a heartbeat; ClientError where it does not take it."""
        if not self.daemon_url:
            return  # nobody watches yet
        address = f"{self.daemon_url}/ping/{uuid}" + ("/fail" if fails else "")
        with suppress(aiohttp.ClientConnectorError):  # nobody watches any more
            async with aiohttp.ClientSession() as http, http.post(address, raise_for_status=True):
                return

    def pagerduty_key(self, name: str) -> str:
        """A routing key that is known by this name."""
        key = hashlib.md5(f"{self.name} {name}".encode(), usedforsecurity=False).hexdigest()
        self.names[key] = name
        return key

    # --- life ----------------------------------------------------------------------------------------------------

    async def start(self, report: Report = lambda line: None) -> None:
        """Start everything, saying so as it goes. NotStarted where that can't be done."""
        self._report = report
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        await self.inbox.start()
        self.stack.push_async_callback(self.inbox.stop)
        self.environment |= {
            "PAGERDUTY_URL": f"{self.inbox.url}/v2/enqueue",
            "SLACK_API_URL": f"{self.inbox.url}/api",
            "SLACK_BOT_TOKEN": "xoxb-demo-5d41402abc4b2a76",
            "DEMO_SLACK_SIGNING_SECRET": self.inbox.presser.secret,
        }
        await self.set_up()

    async def stop(self) -> None:
        """Stop everything, whatever is broken, and remove the folder."""
        for broken in self._broken.values():
            self.stack.push_async_callback(_let_go, broken.steps)
        self._broken.clear()
        try:
            await self.stack.aclose()
        finally:
            await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    # --- breaking and healing ------------------------------------------------------------------------------------

    @classmethod
    def faults(cls) -> dict[str, Fault]:
        """All that can be broken, by name, in the order of the names."""
        found = {one.fault.name: one.fault for one in vars(cls).values() if hasattr(one, "fault")}
        inherited = [base.faults() for base in cls.__bases__ if issubclass(base, Installation)]
        return dict(sorted(reduce(operator.or_, [*inherited, found]).items()))

    @property
    def broken(self) -> list[str]:
        """What is broken now, the oldest first."""
        return list(self._broken)

    async def break_part(self, what: str) -> str:
        """Break something by its name, or by its row alone; what was done, as a sentence; else CannotDo."""
        async with self._busy:
            wanted = self.known(what)
            if wanted.name in self._broken:
                raise CannotDo(f"cannot break {wanted.name}: {wanted.sentence} already")
            steps = wanted.steps(self)
            assert isinstance(steps, AsyncGenerator)
            await self._goes_on("break", wanted, steps)
            self._broken[wanted.name] = _Broken(wanted, steps)
            return wanted.sentence

    async def heal_part(self, what: str) -> str:
        """Heal something by its name, or by its row alone; what was done, as a sentence; else CannotDo."""
        async with self._busy:
            return await self._heal(self.known(what, heal=True))

    async def heal_all(self) -> str:
        """Heal whatever is broken, the latest first; CannotDo, when all that can be healed is, with what could not."""
        done, trouble = [], []
        async with self._busy:
            for name in reversed(self.broken):
                try:
                    done.append(await self._heal(self._broken[name].fault))
                except CannotDo as why:
                    trouble.append(str(why))
        if trouble:
            raise CannotDo("; ".join([*trouble, *done]))
        return "; ".join(done) or "nothing was broken"

    async def _heal(self, wanted: Fault) -> str:
        if wanted.name not in self._broken:
            raise CannotDo(f"cannot heal {wanted.name}: it is not broken")
        broken = self._broken.pop(wanted.name)
        if not await self._goes_on("heal", wanted, broken.steps):
            raise AssertionError(f"the fault {wanted.name} yields twice")
        return f"{wanted.name} is healed"

    async def _goes_on(self, verb: str, fault: Fault, steps: AsyncGenerator[None, None]) -> bool:
        """Go on to the fault's yield, or to its end, which is said; CannotDo where a part that it needs is away."""
        try:
            async with asyncio.timeout(ACTS_WITHIN):
                return await anext(steps, "ended") is not None
        except UNREACHABLE as why:
            said = "it takes too long" if isinstance(why, TimeoutError) else str(why) or type(why).__name__
            besides = f"; what is broken besides: {', '.join(self._broken)}" if self._broken else ""
            raise CannotDo(f"cannot {verb} {fault.name}: {said}{besides}") from why

    def known(self, what: str, *, heal: bool = False) -> Fault:
        """The fault of this name; of a row's name, its first (to heal: its first that is broken). CannotDo if none."""
        faults = self.faults()
        if what in faults:
            return faults[what]
        of_row = [one for one in faults.values() if one.row == what]
        found = next((one for one in of_row if heal and one.name in self._broken), of_row[0] if of_row else None)
        if found is None:
            raise CannotDo(f"cannot {'heal' if heal else 'break'} {what!r}: what can be broken is {', '.join(faults)}")
        return found


async def together(*parts: Coroutine[Any, Any, object]) -> None:
    """Do all of this at the same time; where one fails, the others are cancelled and ended before that is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)
    except ExceptionGroup as several:
        raise several.exceptions[0] from None


async def _let_go(steps: AsyncGenerator[None, None]) -> None:
    """End a fault that was not healed."""
    with suppress(*UNREACHABLE):
        async with asyncio.timeout(LETS_GO_WITHIN):
            await steps.aclose()


def shipped(name: str) -> Path:
    """The folder of a system's shipped configuration: beside the package when installed, in deploy/ of a clone."""
    inside = Path(__file__).parent / "shipped" / name
    return inside if inside.exists() else Path(__file__).parents[2] / "deploy" / "systems" / name


def environment_of(installation: Installation) -> dict[str, str]:
    """The process's environment and the installation's."""
    return {**os.environ, **installation.environment}
