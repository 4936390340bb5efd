"""Turns what was read of a machine into measurements: the ratios, the rates and what is kept for them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from checks.base import Run
from checks.parts import recent as _recent
from checks.parts import trend as _trend
from checks.parts.host.cgroup import Group
from checks.parts.host.folder_size import Walk
from checks.parts.host.measurements import NEVER
from checks.parts.host.mounts import Space
from checks.parts.host.proc import MODES, Disk, Interface, Machine

DAY = 86_400.0
FOLDER_TREND, FOLDER_MINIMUM = 7 * DAY, DAY / 4


def since_start(run: Run, machine: Machine) -> bool:
    """Whether the machine has started anew since the last probe: then its counters did too, and are forgotten."""
    before = run.kept.get("boot")
    run.kept["boot"] = machine.boot
    anew = before is not None and before != machine.boot
    if anew:
        for counters in ("rate", "growth", "share", "cpu"):
            run.kept.pop(counters, None)
    return anew


def record_cpu(run: Run, machine: Machine) -> None:
    """What the CPUs did since the last probe, and the load."""
    before, run.kept["cpu"] = run.kept.get("cpu"), list(machine.cpu)
    if isinstance(before, list) and len(before) == len(MODES) and all(type(one) in (int, float) for one in before):
        # iowait may go back: proc(5).
        grown = [max(0.0, now - old) for now, old in zip(machine.cpu, before, strict=True)]
        whole = sum(grown)
        if whole:
            for mode, ticks in zip(MODES, grown, strict=True):
                run.record("cpu_ratio", ticks / whole, mode=mode)
            run.record("cpu_used_ratio", 1 - (grown[MODES.index("idle")] + grown[MODES.index("iowait")]) / whole)
    for name, load in zip(("load1", "load5", "load15"), machine.load, strict=True):
        run.record(name, load)
    run.record("cpus", machine.cpus)
    if machine.cpus:
        run.record("load_per_cpu", machine.load[1] / machine.cpus)
    run.record("uptime_seconds", machine.uptime)
    run.record("start_time_seconds", machine.started)


def record_memory(run: Run, machine: Machine, anew: bool, recent: float) -> None:
    """Memory, swap, and who was killed for want of it; `anew` after a start of the machine."""
    total, available = machine.memory["MemTotal"], machine.memory["MemAvailable"]
    swap, free = machine.memory["SwapTotal"], machine.memory["SwapFree"]
    run.record("memory_total_bytes", total)
    run.record("memory_available_bytes", available)
    if total:
        run.record("memory_available_ratio", available / total)
        run.record("memory_used_ratio", 1 - available / total)
    run.record("swap_total_bytes", swap)
    run.record("swap_free_bytes", free)
    if swap:
        run.record("swap_used_ratio", 1 - free / swap)
    if "pswpin" in machine.vmstat:
        run.rate("swap_in_bytes_per_second", machine.vmstat["pswpin"] * os.sysconf("SC_PAGE_SIZE"))
    killed = machine.vmstat.get("oom_kill")
    if killed is not None:
        run.record("oom_kills_total", killed)
        grown = run.growth("oom_kills", killed)
        fresh = (killed if anew else 0.0) if grown is None else grown
        run.record("oom_kills_recent", _recent.happened(run, "oom_kills", fresh, recent))


def record_files(run: Run, machine: Machine) -> None:
    """Open files of the system, and tasks that run or wait."""
    run.record("processes_running", machine.running)
    run.record("processes_blocked", machine.blocked)
    if machine.files is not None:
        opened, most = machine.files
        run.record("files_open", opened)
        run.record("files_max", most)
        if most:
            run.record("files_open_ratio", opened / most)


def record_pressure(run: Run, machine: Machine) -> None:
    """Time lost in waiting for CPU, I/O and memory."""
    for (resource, tasks), (minute, total) in machine.pressure.items():
        run.record("pressure_minute_ratio", minute, resource=resource, tasks=tasks)
        run.rate("pressure_ratio", total, resource=resource, tasks=tasks)
        # Of a whole machine, all tasks never wait for a CPU: one of them has it.
        if (resource, tasks) != ("cpu", "all"):
            run.record(f"pressure_{resource}_{'stalled' if tasks == 'all' else 'waiting'}_seconds_total", total)


def record_disk(run: Run, device: str, disk: Disk) -> None:
    """What a disk does."""
    run.record("io_reads_total", disk.reads, device=device)
    run.record("io_writes_total", disk.writes, device=device)
    run.record("io_read_bytes_total", disk.read_bytes, device=device)
    run.record("io_written_bytes_total", disk.written_bytes, device=device)
    run.record("io_seconds_total", disk.busy, device=device)
    run.rate("io_busy_ratio", disk.busy, device=device)
    run.rate("io_read_bytes_per_second", disk.read_bytes, device=device)
    run.rate("io_written_bytes_per_second", disk.written_bytes, device=device)
    requests = run.growth("io_requests", disk.reads + disk.writes, device=device)
    waited = run.growth("io_waited", disk.waited, device=device)
    if requests is not None and waited is not None:
        run.record("io_await_seconds", waited / requests if requests else 0.0, device=device)


def record_interface(run: Run, device: str, interface: Interface) -> None:
    """What a network interface carries and loses."""
    for direction, carried, errors, drops in (
        ("receive", interface.received, interface.received_errors, interface.received_drops),
        ("transmit", interface.sent, interface.sent_errors, interface.sent_drops),
    ):
        run.record(f"network_{direction}_bytes_total", carried, device=device)
        run.record(f"network_{direction}_errors_total", errors, device=device)
        run.record(f"network_{direction}_drops_total", drops, device=device)
    before = len(run.measurements)
    run.rate("network_receive_bytes_per_second", interface.received, device=device)
    run.rate("network_transmit_bytes_per_second", interface.sent, device=device)
    fastest = max((value for _, value, _ in run.measurements[before:]), default=None)
    if interface.speed and fastest is not None:
        run.record("network_used_ratio", fastest / interface.speed, device=device)
    run.rate("network_errors_per_second", interface.received_errors + interface.sent_errors, device=device)
    run.rate("network_drops_per_second", interface.received_drops + interface.sent_drops, device=device)


def record_group(run: Run, group: Group, recent: float) -> None:
    """The limits of the container that we are in, which are not the machine's."""
    run.evidence(
        "limits", f"cgroup_… is of the container that runwatch runs in ({group.where}), the rest of the machine"
    )
    if group.memory_limit:
        run.record("cgroup_memory_limit_bytes", group.memory_limit)
        if group.memory_used is not None:
            run.record("cgroup_memory_used_bytes", group.memory_used)
            run.record("cgroup_memory_used_ratio", group.memory_used / group.memory_limit)
    if group.cpu_limit:
        run.record("cgroup_cpu_limit", group.cpu_limit)
        if group.cpu_seconds is not None:
            run.rate("cgroup_cpu_used_ratio", group.cpu_seconds / group.cpu_limit)
        if group.periods is not None and group.throttled is not None:
            run.share("cgroup_cpu_throttled_ratio", group.throttled, group.periods - group.throttled, 1)
    if group.oom_kills is not None:
        grown = run.growth("cgroup_oom_kills", group.oom_kills) or 0.0
        run.record("cgroup_oom_kills_recent", _recent.happened(run, "cgroup_oom_kills", grown, recent))


def record_space(run: Run, space: Space, kept: Any, trend: tuple[float, float], labels: dict[str, str]) -> Any:
    """How full a file system is, and when it will be. `trend` is over how long and at least; gives what to keep."""
    used = space.size - space.free
    reachable = used + space.available
    run.record("disk_size_bytes", space.size, **labels)
    run.record("disk_free_bytes", space.free, **labels)
    run.record("disk_available_bytes", space.available, **labels)
    if reachable > 0:
        run.record("disk_used_ratio", used / reachable, **labels)
    run.record("inodes", space.inodes, **labels)
    run.record("inodes_free", space.inodes_free, **labels)
    if space.inodes:
        run.record("inodes_used_ratio", 1 - space.inodes_free / space.inodes, **labels)
    samples = _trend.sampled(kept, run.at, used, trend[0])
    grows = _trend.growth(samples, run.at, used, trend[1])
    if grows is not None:
        run.record("disk_growth_bytes_per_day", grows * DAY, **labels)
        left = space.available / grows if grows > 0 else NEVER
        run.record("disk_full_in_seconds", min(left, NEVER), **labels)
    return samples


def record_folder(run: Run, walk: Walk | None, kept: Any, folder: str) -> dict[str, Any]:
    """What a folder takes: by the walk that has just ended, else by the one before. Gives what to keep."""
    known: dict[str, Any] = kept if isinstance(kept, dict) else {}
    samples: Any = known.get("samples")
    last: Any = known.get("last")
    if walk is not None:
        samples, last = _trend.sampled(samples, run.at, walk.size, FOLDER_TREND), [run.at, walk.size, walk.files]
    if is_counted(last):
        run.record("folder_bytes", last[1], folder=folder)
        run.record("folder_files", last[2], folder=folder)
        grows = _trend.growth(_trend.sampled(samples, last[0], last[1], FOLDER_TREND), last[0], last[1], FOLDER_MINIMUM)
        if grows is not None:
            run.record("folder_growth_bytes_per_day", grows * DAY, folder=folder)
    return {"samples": samples, "last": last}


def is_counted(held: Any) -> bool:
    """Whether this is when a folder was last added up, its bytes and its files."""
    return isinstance(held, Sequence) and len(held) == 3 and all(type(one) in (int, float) for one in held)
