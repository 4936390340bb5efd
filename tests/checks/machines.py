"""A machine of the tests' own: files as its kernel would show them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from checks.base import Run
from checks.host import Host
from tests.checks.probing import Memory, asked

GIB = 2**30
HOUR, DAY = 3600.0, 86_400.0

FILES = {
    "stat": "cpu  100 10 50 1000 40 0 5 0 20 0\ncpu0 50 5 25 500 20 0 2 0 0 0\ncpu1 50 5 25 500 20 0 3 0 0 0\n"
    "intr 1 2 3\nctxt 5\nbtime 1700000000\nprocesses 99\nprocs_running 3\nprocs_blocked 2\nsoftirq 1\n",
    "meminfo": "MemTotal:        8388608 kB\nMemFree:          100000 kB\nMemAvailable:    2097152 kB\n"
    "SwapTotal:       1048576 kB\nSwapFree:         262144 kB\nHugePages_Total:       0\n",
    "loadavg": "3.00 4.00 1.00 2/300 4242\n",
    "uptime": "86400.50 100000.00\n",
    "vmstat": "pgpgin 5\npswpin 100\npswpout 5\noom_kill 2\n",
    "diskstats": "   8       0 sda 100 0 2000 500 50 0 1000 1500 0 700 2000 0 0 0 0 0 0\n"
    "   8       1 sda1 90 0 2000 500 50 0 1000 1500 0 700 2000\n"
    " 202       1 xvda1 10 0 20 5 5 0 10 15 0 7 20\n"
    " 259       0 nvme0n1 1 0 8 1 1 0 8 1 0 1 2\n 259       1 nvme0n1p1 1 0 8 1 1 0 8 1 0 1 2\n"
    "   7       0 loop0 9 0 8 1 1 0 8 1 0 1 2\n   8      16 sdb 0 0 0 0 0 0 0 0 0 0 0\n",
    "net/dev": "Inter-|   Receive  |  Transmit\n face |bytes packets\n"
    "    lo: 5 5 0 0 0 0 0 0 5 5 0 0 0 0 0 0\n"
    "  eth0:1000 10 1 2 0 0 0 0 2000 20 3 4 0 0 0 0\nveth12: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n",
    "sys/fs/file-nr": "900\t0\t1000\n",
    "sys/kernel/random/boot_id": "11111111-1111-1111-1111-111111111111\n",
    "pressure/cpu": "some avg10=1.00 avg60=25.00 avg300=0.00 total=1000000\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
    "pressure/memory": "some avg10=0.00 avg60=5.00 avg300=0.00 total=2000000\n"
    "full avg10=0.00 avg60=1.00 avg300=0.00 total=500000\n",
    "mountinfo": "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n",
}


class Tree:
    """A /proc and a /sys in a folder, to be changed between probes."""

    def __init__(self, folder: Path) -> None:
        self.proc = folder / "proc"
        for name, text in FILES.items():
            self.write(name, text)
        (self.proc / "self" / "net").mkdir(parents=True)
        self.write("self/mountinfo", FILES["mountinfo"])
        self.write("self/net/dev", FILES["net/dev"])
        self.memory: Memory = {}

    def write(self, name: str, text: str) -> None:
        file = self.proc / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def check(self, **fields: Any) -> Host:
        return Host(name="machine", proc=str(self.proc), mounts={"include": ["/"]}, **fields)

    async def probe(self, at: float = 1_800_000_000.0, **fields: Any) -> Run:
        return await asked(self.check(**fields), self.memory, at)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)
