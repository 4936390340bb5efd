"""Runs a program that is not ours: bounded in time, number and output, killed with its whole group, reaped always.

It is started in a thread, because a file system that hangs would hold the loop up in the middle of `exec`. Its end is
seen by its pidfd, and is dealt with whether anybody still waits for it or not.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple
from weakref import WeakKeyDictionary

from checks.base import Errored, Failed, Reason, Run
from checks.parts.pool import in_pool
from checks.units import show_duration, show_size

MOST_AT_ONCE = 16
KEPT = 64 * 1024
"""Bytes of each of its two outputs that are kept."""
MOST_WRITTEN = 4 * 2**20
"""Bytes after which a program that floods us is killed."""
CHUNK = 64 * 1024
SHOWN = 1_000
GENTLE = 0.5
"""Seconds at most between asking it to end and killing it."""
LEFT = "program that can't be killed"

_places: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


class Ended(NamedTuple):
    """How a program ended: its exit code, or the number of the signal that ended it as a negative one."""

    code: int
    output: bytes
    errors: bytes
    cpu_seconds: float


async def run_program(
    run: Run, argv: Sequence[str], env: Mapping[str, str], cwd: str, seconds: float, *, enough: int = 0,
    stdin: int = subprocess.DEVNULL,
) -> Ended:  # fmt: skip
    """Run it to its end in a group of its own, its input empty or a descriptor. All of it takes less than `seconds`.

    With `enough`, so many bytes of its output are kept, at which it is killed: that is no error then.

    The program is looked for in the PATH of `env`. Raises Errored with a sentence where it could not be started, did
    not end in time, or wrote too much. Cancelled, it ends the program before it is done.
    """
    loop = asyncio.get_running_loop()
    began, gentle = loop.time(), min(GENTLE, seconds / 10)
    _none_left(run, argv[0], began)
    places = _places.setdefault(loop, asyncio.Semaphore(MOST_AT_ONCE))
    try:
        async with asyncio.timeout(seconds / 2):
            await places.acquire()
    except TimeoutError:
        sentence = f"cannot run {argv[0]}: {MOST_AT_ONCE} other commands run already, and none ended in time"
        raise Errored(Reason.INTERNAL, sentence) from None
    try:
        try:
            async with asyncio.timeout(seconds - 3 * gentle - (loop.time() - began)):
                program = await _started(run, _Order(argv, env, cwd, stdin), enough)
        except TimeoutError:
            sentence = f"cannot run {argv[0]}: it does not start; the file system that it is on, or another, hangs"
            raise Errored(Reason.INTERNAL, sentence) from None
        try:
            # Ending it gently, and then not, has to fit in before the probe's own deadline.
            return await program.end_of(seconds - 3 * gentle - (loop.time() - began), gentle)
        except Errored:
            if program.written:
                run.evidence("what it wrote until then", program.written)
            raise
        finally:
            if not program.ended.done():
                run.memory[LEFT] = program, began
            program.abandon()
    finally:
        places.release()


def _none_left(run: Run, name: str, now: float) -> None:
    """Nothing more is started while what was killed is still there: it would pile up."""
    program, since = run.memory.pop(LEFT, (None, 0.0))
    if program is not None and not program.ended.done():
        run.memory[LEFT] = program, since
        raise Errored(
            Reason.INTERNAL,
            f"cannot run {name}: the one before (pid {program.pid}) was killed and has not ended for "
            f"{show_duration(now - since)}: a disk or a mount that hangs holds it, or it runs as another user",
        )


class _Program:
    """One child process and its two outputs."""

    def __init__(
        self, name: str, process: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop, enough: int = 0
    ) -> None:
        self.name = name
        self.pid = process.pid
        self.ended: asyncio.Future[tuple[int, float]] = loop.create_future()
        self.flooded = False
        self._process = process
        self._loop = loop
        self._kept = {stream: bytearray() for stream in (process.stdout, process.stderr) if stream is not None}
        self._open = set(self._kept)
        self._count = 0
        self._enough = enough
        self._pidfd = os.pidfd_open(process.pid)
        loop.add_reader(self._pidfd, self._ends)
        for stream in self._open:
            os.set_blocking(stream.fileno(), False)
            loop.add_reader(stream.fileno(), self._read, stream)

    async def end_of(self, seconds: float, gentle: float) -> Ended:
        """Its end, within so many seconds; after them TERM, and after `gentle` more KILL, and Errored."""
        try:
            await asyncio.wait([self.ended], timeout=max(0.0, seconds))
            overran = not self.ended.done()
        finally:
            await self._ended_by_us(gentle)
        if self.flooded:
            raise Errored(
                Reason.BODY, f"cannot tell: {self.name} wrote more than {show_size(MOST_WRITTEN)} and was killed"
            )
        if overran:
            said = f"{self.name} did not end within {show_duration(seconds)} and was killed"
            raise Errored(Reason.READ_TIMEOUT, f"cannot tell: {said}; give it a time limit of its own below that")
        code, cpu = self.ended.result()
        output, errors = (bytes(kept) for kept in self._kept.values())
        return Ended(code, output, errors, cpu)

    @property
    def written(self) -> str:
        """What it has written so far, on both outputs: their beginning."""
        return b"\n".join(kept[:SHOWN] for kept in self._kept.values()).decode("utf-8", "replace").strip()

    async def _ended_by_us(self, gentle: float) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self.ended.done():
                self.signal(number)
                await asyncio.wait([self.ended], timeout=gentle)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all of its group."""
        # Once it is reaped, its number may be somebody else's.
        if not self.ended.done():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def abandon(self) -> None:
        """Kill it; it is reaped when it has ended."""
        self.signal(signal.SIGKILL)
        self.close()

    def close(self) -> None:
        """Read no more: whoever still holds the other end is not ours to wait for."""
        for stream in tuple(self._open):
            self._hang_up(stream)

    def _ends(self) -> None:
        """It has ended: end what it left in its group, take what it wrote last, reap it."""
        self.signal(signal.SIGKILL)
        for stream in tuple(self._open):
            while stream in self._open and self._read(stream):
                pass
        reaped, status, usage = os.wait4(self.pid, os.WNOHANG)
        if not reaped:
            return
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        code = self._process.returncode = os.waitstatus_to_exitcode(status)
        self.ended.set_result((code, usage.ru_utime + usage.ru_stime))

    def _read(self, stream: IO[bytes]) -> bool:
        """Take what is there, and whether there may be more."""
        try:
            data = os.read(stream.fileno(), CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._hang_up(stream)
            return False
        kept = self._kept[stream]
        most = self._enough if self._enough and stream is self._process.stdout else KEPT
        kept += data[: most - len(kept)]
        self._count += len(data)
        if len(kept) == self._enough or self._count > max(MOST_WRITTEN, 2 * self._enough):
            self.flooded = len(kept) != self._enough
            self.close()
            self.signal(signal.SIGKILL)
        return True

    def _hang_up(self, stream: IO[bytes]) -> None:
        self._open.discard(stream)
        self._loop.remove_reader(stream.fileno())
        stream.close()


async def _started(run: Run, order: _Order, enough: int) -> _Program:
    """The program, started in a thread; of one that nobody waits for any more the thread itself makes an end."""
    loop, argv, cwd = asyncio.get_running_loop(), order.argv, order.cwd
    try:
        process = await in_pool(run, order.carry_out)
    except asyncio.CancelledError:
        if (started := order.cancel()) is not None:
            _Program(argv[0], started, loop).abandon()
        raise
    except Failed as why:
        raise Errored(Reason.INTERNAL, f"cannot run {argv[0]}: {why.sentence}") from None
    except OSError as why:
        raise Errored(Reason.INTERNAL, f"cannot run {argv[0]}: {_why_not(argv[0], why, cwd)}") from None
    try:
        return _Program(argv[0], process, loop, enough)
    except OSError as why:
        _make_an_end(process)
        hint = "; it needs Linux 5.3 or newer" if why.errno == errno.ENOSYS else ""
        raise Errored(Reason.INTERNAL, f"cannot watch over {argv[0]}: {why.strerror}{hint}") from None


class _Order:
    """To start a program, in a thread; can be cancelled at any time."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], cwd: str, stdin: int) -> None:
        self.argv = argv
        self.cwd = cwd
        self._env = env
        self._stdin = stdin
        self._lock = threading.Lock()
        self._cancelled = False
        self._process: subprocess.Popen[bytes] | None = None

    def carry_out(self) -> subprocess.Popen[bytes]:
        """Start it. Raises OSError."""
        program = shutil.which(self.argv[0], path=self._env["PATH"])
        process = subprocess.Popen(
            self.argv, executable=program or self.argv[0], env=dict(self._env), cwd=self.cwd, bufsize=0,
            stdin=self._stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        with self._lock:
            self._process = process
            cancelled = self._cancelled
        if cancelled:
            _make_an_end(process)
        return process

    def cancel(self) -> subprocess.Popen[bytes] | None:
        """Nobody wants it any more: what was started already, for the caller to end."""
        with self._lock:
            self._cancelled = True
            return self._process


def _make_an_end(process: subprocess.Popen[bytes]) -> None:
    """Kill a program that has just been started, and reap it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    process.wait()


def _why_not(name: str, why: OSError, cwd: str) -> str:
    """Why it could not be started, as far as the kernel's word can be told apart."""
    if why.filename == cwd and cwd != name:
        return f"there is no folder {cwd} to run it in, or we may not enter it"
    match why.errno:
        case errno.ENOENT if Path(name).is_absolute() and Path(name).exists():
            return "it is there, but what its first line names to run it with is not"
        case errno.ENOENT:
            return "there is no such program" + ("" if Path(name).is_absolute() else "; write its whole path")
        case errno.EACCES:
            return "we may not run it: it, or a folder on the way to it, lacks the right (chmod +x)"
        case errno.ENOEXEC:
            return "it is no program: a script begins with a line such as #!/bin/sh"
    return str(why.strerror or why)
