"""Names the processes that a person would look for first: those that take CPU and memory, and those that are stuck."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from checks.parts.host.proc import optional
from checks.units import show_size
from checks.wire.certificates import visible

MOST = 5_000
SHOWN = 6


@dataclass(frozen=True, slots=True)
class Process:
    """One process: its name without arguments, which may be secrets; CPU and memory in seconds and bytes."""

    number: int
    name: str
    state: str
    cpu: float
    memory: float


def processes(proc: Path) -> dict[int, Process]:
    """The processes by number, the first MOST of them."""
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    found = {}
    for number in [int(name) for name in os.listdir(proc) if name.isdigit()][:MOST]:  # noqa: PTH208
        with suppress(OSError, ValueError, IndexError), open(f"{proc}/{number}/stat", "rb", 0) as file:
            # The name in brackets may hold anything, brackets too.
            before, _, after = file.read(1024).decode("utf-8", "replace").rpartition(")")
            words = after.split()
            found[number] = Process(
                number, visible(before.partition("(")[2], 40), words[0],
                (int(words[11]) + int(words[12])) / ticks, float(words[21]) * page,
            )  # fmt: skip
    return found


def busiest(before: dict[int, Process], after: dict[int, Process], seconds: float) -> str:
    """The processes that took the most CPU between two looks `seconds` apart, one a line."""
    used = [
        ((process.cpu - before[number].cpu) / seconds, process)
        for number, process in after.items()
        if number in before and process.cpu > before[number].cpu
    ]
    used.sort(key=lambda pair: -pair[0])
    return "\n".join(f"{share:.0%} of a CPU: {one.name} (pid {one.number})" for share, one in used[:SHOWN])


def largest(found: dict[int, Process]) -> str:
    """The processes that hold the most memory, one a line."""
    held = sorted((one for one in found.values() if one.memory), key=lambda one: -one.memory)
    return "\n".join(f"{show_size(one.memory)}: {one.name} (pid {one.number})" for one in held[:SHOWN])


def stuck(proc: Path, found: dict[int, Process]) -> str:
    """The processes that wait for a disk and can't be killed, with what they wait in, one a line."""
    waiting = [one for one in found.values() if one.state == "D"][:SHOWN]
    lines = []
    for one in waiting:
        within = visible(optional(proc / str(one.number) / "wchan").strip(), 60)
        lines.append(f"{one.name} (pid {one.number})" + (f" in {within}" if within not in ("", "0") else ""))
    return "\n".join(lines)
