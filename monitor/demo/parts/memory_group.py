"""A control group with little memory: processes in it really hold it, and the kernel really kills who takes more."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path

from monitor.demo.process import NotStarted, Refused

SIZE = 64 * 2**20
VERSION_1, VERSION_2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
HOLDS = """
import sys
group, use, most, held = sys.argv[1], sys.argv[2], int(sys.argv[3]), []
open(group + "/cgroup.procs", "w").write("0")
while int(open(use).read()) < most:
    held.append(b"x" * 2**19)
print("held", flush=True)
sys.stdin.read()
"""


class MemoryGroup:
    """SIZE bytes of memory, cgroup v1 or v2, which want root. Without them it only says what it would be."""

    def __init__(self) -> None:
        first = VERSION_1.is_dir()
        self._folder = (VERSION_1 if first else VERSION_2) / f"runwatch-{os.getpid()}-{id(self):x}"
        self._use = self._folder / ("memory.usage_in_bytes" if first else "memory.current")
        self._limits = (
            {"memory.limit_in_bytes": str(SIZE), "memory.memsw.limit_in_bytes": str(SIZE)}
            if first else {"memory.max": str(SIZE), "memory.swap.max": "0"}
        )  # fmt: skip
        self._process: Process | None = None
        self._said = 0.0

    @property
    def used(self) -> float:
        """The share of its memory that is used."""
        return int(self._use.read_text()) / SIZE if self._use.exists() else self._said

    async def start(self) -> None:
        """Make it; Refused where this machine does not let us: then no process holds anything."""
        try:
            _forget_the_dead(self._folder.parent)
            self._folder.mkdir()
            for name, limit in self._limits.items():
                # Not every kernel counts swap.
                if (self._folder / name).exists() or name in ("memory.limit_in_bytes", "memory.max"):
                    (self._folder / name).write_text(limit)
        except OSError as why:
            await self.stop()
            raise Refused(f"cannot make a control group: {(why.strerror or str(why)).lower()}") from None

    async def stop(self) -> None:
        """End its process, and take it away."""
        await self.free()
        if self._folder.is_dir():
            self._folder.rmdir()

    async def hold(self, share: float) -> bool:
        """Have a process hold this share, in place of the last one; False where it is killed, for more than all."""
        await self.free()
        if not self._use.exists():
            self._said = share if share <= 1 else 0.0
            return share <= 1
        # Its input is a pipe from us, so that it ends with us whatever happens.
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-c", HOLDS, str(self._folder), str(self._use), str(round(share * SIZE)),
            stdin=PIPE, stdout=PIPE, stderr=DEVNULL,
        )  # fmt: skip
        assert process.stdout is not None
        if await process.stdout.readline():
            return True
        self._process = None
        status = await process.wait()
        if status != -signal.SIGKILL:
            raise NotStarted(f"cannot use the memory of a control group: the process ended with status {status}")
        return False

    async def free(self) -> None:
        """End the process that holds it."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()


def _forget_the_dead(parent: Path) -> None:
    """Take away what processes have left that were killed."""
    for left in parent.glob("runwatch-*-*"):
        if not Path("/proc", left.name.split("-")[1]).exists():
            with suppress(OSError):  # somebody else does so at the same time
                left.rmdir()
