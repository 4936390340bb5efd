"""A machine's root directory as a monitor in a container is shown it: /proc and /sys as Linux writes them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

GIB = 2**30
TICKS = 100
"""Ticks of the kernel's counters in a second."""
GIGABIT = 1_000
"""Speed of the interface, in megabits per second."""
STARTED_BEFORE = 86_400.0


@dataclass
class Load:
    """How busy the machine is: shares of what it has."""

    cpu: float = 0.2
    memory: float = 0.4
    disk: float = 0.1
    network: float = 0.1


@dataclass
class _Counters:
    busy: float = 1_000.0
    idle: float = 9_000.0
    disk: float = 500.0
    received: float = 1e9
    oom_kills: int = 0


@dataclass
class Machine:
    """Change `load`, or have it `under` one for a while.

    What its counters count is written anew by `passes`, which somebody calls every few seconds. `now` is the time that
    passes for it, in Unix seconds. It has no file systems: a real one can be watched anyway.
    """

    root: Path
    now: Callable[[], float] = time.time
    cpus: int = 4
    memory: int = 8 * GIB
    processes: tuple[str, ...] = ("postgres", "redis-server", "node")
    """What runs on it, the last one at the cost of nearly all that is used."""
    load: Load = field(default_factory=Load)

    def __post_init__(self) -> None:
        self._counters = _Counters()
        self._began = self._at = self.now()
        self._write("sys/class/net/eth0/speed", f"{GIGABIT}\n")
        self._write("proc/sys/kernel/random/boot_id", "5f2cbb1e-6c43-4d5e-9a0e-8f6a6d1f2b10\n")
        self._write_all()

    async def passes(self) -> None:
        """What has happened since it was last called. A clock that was put back is no time that passed."""
        now = self.now()
        seconds, self._at = max(0.0, now - self._at), now
        counters = self._counters
        counters.busy += seconds * self.cpus * self.load.cpu
        counters.idle += seconds * self.cpus * (1 - self.load.cpu)
        counters.disk += seconds * self.load.disk
        counters.received += seconds * self.load.network * GIGABIT * 1e6 / 8
        self._write_all()

    @asynccontextmanager
    async def under(self, **shares: float) -> AsyncIterator[None]:
        """Within it these of its load are so high."""
        self.load = replace(self.load, **shares)
        await self.passes()
        yield
        self.load = replace(self.load, **{name: getattr(Load(), name) for name in shares})
        await self.passes()

    def kills(self) -> None:
        """The kernel kills a process for want of memory."""
        self._counters.oom_kills += 1
        self._write_all()

    def _write_all(self) -> None:
        counters, uptime = self._counters, self._at - self._began + STARTED_BEFORE
        busy, idle = round(counters.busy * TICKS), round(counters.idle * TICKS)
        cores = "".join(f"cpu{number} {busy // self.cpus} 0 0 {idle // self.cpus}\n" for number in range(self.cpus))
        free = round(self.memory * (1 - self.load.memory)) // 1024
        each, length = round(counters.disk * 1000), round(counters.disk * 200_000)
        for name, text in (
            ("stat", f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\n{cores}btime {self._at - uptime:.0f}\n"
                     f"processes 99\nprocs_running {1 + round(self.cpus * self.load.cpu)}\nprocs_blocked 0\n"),
            ("meminfo", f"MemTotal: {self.memory // 1024} kB\nMemFree: {free // 2} kB\nMemAvailable: {free} kB\n"
                        "SwapTotal: 0 kB\nSwapFree: 0 kB\n"),
            ("loadavg", f"{self.cpus * self.load.cpu:.2f} " * 3 + "2/300 4242\n"),
            ("uptime", f"{uptime:.2f} {counters.idle:.2f}\n"),
            ("vmstat", f"pswpin 0\npswpout 0\noom_kill {counters.oom_kills}\n"),
            ("diskstats", f"   8       0 sda {each} 0 {length} {each} {each} 0 {length} {each} 0 {each} {2 * each}\n"),
            ("net/dev", "Inter-|   Receive  |  Transmit\n face |bytes packets\n"
                        f"  eth0:{counters.received:.0f} 9 0 0 0 0 0 0 {counters.received / 2:.0f} 9 0 0 0 0 0 0\n"),
        ):  # fmt: skip
            self._write(f"proc/{name}", text)
        last = len(self.processes) - 1
        for number, name in enumerate(self.processes):
            most = number == last
            ticks, pages = busy if most else 100, (self.memory * self.load.memory * 0.8 if most else 2**26) / 4096
            fields = f"{101 + number} ({name}) S 1 1 1 0 -1 0 0 0 0 0 {ticks:.0f} 0 0 0 20 0 1 0 0 0 {pages:.0f}"
            self._write(f"proc/{101 + number}/stat", f"{fields}\n")

    def _write(self, name: str, text: str) -> None:
        """A file whole at any moment, as the kernel's are."""
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f".{file.name}")
        fresh.write_text(text)
        fresh.replace(file)
