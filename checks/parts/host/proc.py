"""Reads what Linux says of a machine in /proc (proc(5)): its texts, and the numbers in them."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LARGEST = 2 * 2**20
SECTOR = 512
"""/proc/diskstats counts in sectors of 512 bytes, whatever the disk's are."""
MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
MEMORY = ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree")
RESOURCES = ("cpu", "io", "memory")
_PARTITION = re.compile(r"((?:sd|hd|vd|xvd)[a-z]+)\d+|((?:nvme\d+n|mmcblk|md|nbd)\d+)p\d+")
_NO_DISK = re.compile(r"(?:loop|ram|zram|fd|sr)\d+")


class NoProc(Exception):
    """Something that every Linux has is not there, or is not as it is on Linux; a sentence."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system; `device` is its source, `number` tells one from another, `whole` unless a part of it."""

    mountpoint: str
    fstype: str
    device: str
    number: str
    whole: bool
    readonly: bool


@dataclass(frozen=True, slots=True)
class Disk:
    """Counters of a block device since the start: requests, bytes, and seconds."""

    reads: float
    writes: float
    read_bytes: float
    written_bytes: float
    waited: float
    busy: float


@dataclass(frozen=True, slots=True)
class Interface:
    """Counters of a network interface since the start; `speed` in bytes per second, 0 where it is not known."""

    received: float
    received_errors: float
    received_drops: float
    sent: float
    sent_errors: float
    sent_drops: float
    speed: float = 0.0


@dataclass(slots=True)
class Machine:
    """All that was read, in seconds and bytes; what this kernel does not have is empty or None."""

    boot: str
    started: float
    uptime: float
    cpus: int
    cpu: tuple[float, ...]
    running: float
    blocked: float
    load: tuple[float, float, float]
    memory: dict[str, float]
    vmstat: dict[str, float]
    files: tuple[float, float] | None
    pressure: dict[tuple[str, str], tuple[float, float]]
    disks: dict[str, Disk]
    interfaces: dict[str, Interface]
    mounts: list[Mount]


def read_text(path: Path, errors: str = "replace") -> str:
    """A file of /proc or /sys; `errors` is for what is no UTF-8. Raises OSError."""
    with path.open("rb") as file:
        return file.read(LARGEST).decode("utf-8", errors)


def read(proc: Path, sys: Path) -> Machine:
    """The machine whose /proc and /sys these are. Raises NoProc."""
    try:
        return _read(proc, sys)
    except OSError as why:
        said = (why.strerror or str(why)).lower()
        raise NoProc(f"cannot read {why.filename or proc}: {said}; this check reads the /proc of a Linux") from None
    except (ValueError, IndexError, KeyError) as why:
        raise NoProc(f"cannot read {proc}: it is not what Linux writes ({type(why).__name__}: {why})") from None


def _read(proc: Path, sys: Path) -> Machine:
    stat = _fields(read_text(proc / "stat"))
    sizes = _fields(read_text(proc / "meminfo"))
    if "MemAvailable:" not in sizes:
        raise NoProc(f"cannot read {proc}/meminfo: it has no MemAvailable, so this kernel is older than 3.14")
    load = read_text(proc / "loadavg").split()
    others = _fields(optional(proc / "vmstat"))
    # Of another machine's /proc, `self` is this process: it sees its own network and its own mounts.
    of = proc / "1" if proc != Path("/proc") and optional(proc / "1/mountinfo") else proc / "self"
    return Machine(
        boot=optional(proc / "sys/kernel/random/boot_id").strip(),
        started=float(stat["btime"][0]),
        uptime=float(read_text(proc / "uptime").split()[0]),
        cpus=sum(name[3:].isdigit() for name in stat if name.startswith("cpu")),
        cpu=_cpu([float(one) for one in stat["cpu"]]),
        running=float(stat["procs_running"][0]),
        blocked=float(stat["procs_blocked"][0]),
        load=(float(load[0]), float(load[1]), float(load[2])),
        memory={name: float(sizes[f"{name}:"][0]) * 1024 for name in MEMORY},
        vmstat={name: float(others[name][0]) for name in ("pswpin", "oom_kill") if name in others},
        files=_files(optional(proc / "sys/fs/file-nr")),
        pressure={
            (name, tasks): found
            for name in RESOURCES
            for tasks, found in pressures(optional(proc / "pressure" / name)).items()
        },
        disks=disks(optional(proc / "diskstats")),
        interfaces=interfaces(optional(of / "net/dev") or optional(proc / "net/dev"), sys / "class/net"),
        mounts=mounts(optional(of / "mountinfo", "surrogateescape")),
    )


def optional(path: Path, errors: str = "replace") -> str:
    """A file that not every kernel has, or shows to everybody."""
    try:
        return read_text(path, errors)
    except OSError:
        return ""


def _fields(text: str) -> dict[str, list[str]]:
    return {words[0]: words[1:] for line in text.splitlines() if (words := line.split())}


def _cpu(ticks: list[float]) -> tuple[float, ...]:
    """Ticks by MODES. What guests got is in user and nice already."""
    if len(ticks) < 4:
        raise ValueError("too few CPU modes")
    return tuple((ticks + [0.0] * len(MODES))[: len(MODES)])


def _files(text: str) -> tuple[float, float] | None:
    words = text.split()
    return (float(words[0]), float(words[2])) if len(words) == 3 else None


def pressures(text: str) -> dict[str, tuple[float, float]]:
    """By `some` and `all` tasks: the share of the last minute, and seconds in all (accounting/psi.rst)."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        values = dict(word.partition("=")[::2] for word in words[1:])
        found["all" if words[0] == "full" else words[0]] = float(values["avg60"]) / 100, float(values["total"]) / 1e6
    return found


def disks(text: str) -> dict[str, Disk]:
    """Disks by name: no partitions of disks that are there too, nothing that was never used (iostats.rst)."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        name, numbers = words[2], [float(word) for word in words[3:]]
        if _NO_DISK.fullmatch(name) or not any(numbers[:10]):
            continue
        found[name] = Disk(
            numbers[0], numbers[4], numbers[2] * SECTOR, numbers[6] * SECTOR, (numbers[3] + numbers[7]) / 1e3,
            numbers[9] / 1e3,
        )  # fmt: skip
    parents = {name: match[1] or match[2] for name in found if (match := _PARTITION.fullmatch(name))}
    return {name: disk for name, disk in found.items() if parents.get(name) not in found}


def interfaces(text: str, speeds: Path) -> dict[str, Interface]:
    """Network interfaces by name; `speeds` is /sys/class/net."""
    found = {}
    for line in text.splitlines()[2:]:
        name, _, rest = line.rpartition(":")
        n = [float(word) for word in rest.split()]
        speed = 0.0
        with suppress(ValueError, OSError):  # a virtual one has none, one without a cable says -1
            speed = max(0.0, float(read_text(speeds / name.strip() / "speed")) * 1e6 / 8)
        found[name.strip()] = Interface(n[0], n[2], n[3], n[8], n[10], n[11], speed)
    return found


def mounts(text: str) -> list[Mount]:
    """What is mounted, where something else is not mounted over it (proc(5), mountinfo)."""
    found: dict[str, Mount] = {}
    for line in text.splitlines():
        before, dash, after = line.partition(" - ")
        left, right = before.split(" "), after.split(" ")
        if not dash or len(left) < 6 or len(right) < 3:
            continue
        at = _unescaped(left[4])
        readonly = "ro" in left[5].split(",") or "ro" in right[2].split(",")
        found.pop(at, None)
        found[at] = Mount(at, right[0], _unescaped(right[1]), left[2], left[3] == "/", readonly)
    return list(found.values())


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
