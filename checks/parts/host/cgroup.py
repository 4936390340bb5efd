"""Reads the limits of the control group that runwatch itself runs in: cgroup v1 and v2.

After the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from checks.parts.host.proc import optional

UNLIMITED = 2.0**60
"""v1 writes the largest number of pages for no limit: 2^63 less a page."""


@dataclass(slots=True)
class Group:
    """A group's limits and use: bytes, CPUs, seconds; what it has not is None."""

    where: str
    memory_limit: float | None = None
    memory_used: float | None = None
    cpu_limit: float | None = None
    cpu_seconds: float | None = None
    periods: float | None = None
    throttled: float | None = None
    oom_kills: float | None = None


def own_group(self_: Path) -> Group | None:
    """The group of the process whose /proc/self this is; None where it has no limit, or can't be found."""
    lines = [line.split(":", 2) for line in optional(self_ / "cgroup").splitlines()]
    paths = {name: line[2] for line in lines if len(line) == 3 for name in line[1].split(",")}
    places = _places(optional(self_ / "mountinfo"))
    memory, cpu = _place(places, paths, "memory"), _place(places, paths, "cpu")
    if memory or cpu:
        group = _version_1(memory, cpu, _place(places, paths, "cpuacct"))
    elif unified := _place(places, paths, ""):
        group = _version_2(*unified)
    else:
        return None
    return group if group.memory_limit or group.cpu_limit else None


Place = tuple[Path, Path]
"""Folder of a group, and the topmost folder of its hierarchy that can be seen."""


def _places(text: str) -> dict[str, tuple[str, str]]:
    """By controller, "" for v2: the path of the group that is mounted, and where."""
    found = {}
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        left, right = before.split(" "), after.split(" ")
        if right[0] == "cgroup2":
            found[""] = left[3], left[4]
        elif right[0] == "cgroup":
            found |= dict.fromkeys(right[2].split(","), (left[3], left[4]))
    return found


def _place(places: dict[str, tuple[str, str]], paths: dict[str, str], name: str) -> Place | None:
    if name not in places or name not in paths:
        return None
    mounted, at = places[name]
    path = paths[name]
    # Without a namespace of its own a container is told the machine's path, and is shown only its own part.
    inside = path.removeprefix(mounted) if mounted != "/" and path.startswith(mounted) else path
    folder = Path(at) / inside.lstrip("/") if ".." not in inside else Path(at)
    return (folder if folder.is_dir() else Path(at)), Path(at)


def _upwards(folder: Path, top: Path) -> Iterator[Path]:
    """The group and those around it: each limits what is inside it."""
    yield folder
    while folder != top and top in folder.parents:
        folder = folder.parent
        yield folder


def _number(path: Path) -> float | None:
    text = optional(path).strip()
    return float(text) if text.isdigit() else None


def _table(path: Path) -> dict[str, float]:
    rows = (line.split() for line in optional(path).splitlines())
    return {row[0]: float(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def _version_2(folder: Path, top: Path) -> Group:
    group = Group(f"cgroup v2, {folder}")
    limits = [(limit, at) for at in _upwards(folder, top) if (limit := _number(at / "memory.max")) is not None]
    if limits:
        group.memory_limit, at = min(limits)
        used = _number(at / "memory.current")
        if used is not None:
            group.memory_used = max(0.0, used - _table(at / "memory.stat").get("inactive_file", 0.0))
    quotas = []
    for at in _upwards(folder, top):
        quota, _, period = optional(at / "cpu.max").strip().partition(" ")
        if quota.isdigit() and period.isdigit() and int(period):
            quotas.append((int(quota) / int(period), at))
    if quotas:
        group.cpu_limit, at = min(quotas)
        said = _table(at / "cpu.stat")
        group.cpu_seconds = said["usage_usec"] / 1e6 if "usage_usec" in said else None
        group.periods, group.throttled = said.get("nr_periods"), said.get("nr_throttled")
    group.oom_kills = _table(folder / "memory.events").get("oom_kill")
    return group


def _version_1(memory: Place | None, cpu: Place | None, accounts: Place | None) -> Group:
    group = Group(f"cgroup v1, {(memory or cpu or ('',))[0]}")
    if memory:
        folder = memory[0]
        said = _table(folder / "memory.stat")
        # The lowest of its own and those around it, which may be out of sight.
        limit = said.get("hierarchical_memory_limit", _number(folder / "memory.limit_in_bytes"))
        used = _number(folder / "memory.usage_in_bytes")
        if limit is not None and limit < UNLIMITED:
            group.memory_limit = limit
            group.memory_used = max(0.0, used - said.get("total_inactive_file", 0.0)) if used is not None else None
        group.oom_kills = _table(folder / "memory.oom_control").get("oom_kill")
    if cpu:
        quotas = []
        for at in _upwards(*cpu):
            quota, period = _number(at / "cpu.cfs_quota_us"), _number(at / "cpu.cfs_period_us")
            if quota and period:
                quotas.append((quota / period, at))
        if quotas:
            group.cpu_limit, at = min(quotas)
            said = _table(at / "cpu.stat")
            group.periods, group.throttled = said.get("nr_periods"), said.get("nr_throttled")
            if accounts:
                used = _number(accounts[0] / "cpuacct.usage")
                group.cpu_seconds = used / 1e9 if used is not None else None
    return group
