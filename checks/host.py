"""Asks a Linux machine how it is: CPU, memory, disks, network and pressure, out of its /proc."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, model_validator

from checks.base import Asks, Check, Errored, Failed, Measurement, Reason, Recommended, Run, printable
from checks.parts.host import records
from checks.parts.host.cgroup import own_group
from checks.parts.host.folder_size import Walk
from checks.parts.host.measurements import MEASUREMENTS, RECOMMENDED
from checks.parts.host.mounts import MOST, Chosen, Unseen, chosen, spaces
from checks.parts.host.proc import Machine, NoProc, read
from checks.parts.host.processes import busiest, largest, processes, stuck
from checks.parts.pool import HANGING, in_pool
from checks.units import Duration
from checks.wire.certificates import visible

PATIENCE = 2.0
"""Seconds after which a file system that has not answered hangs. One that is well answers in microseconds."""
COUNTED_EVERY = 60.0
"""Seconds between counting processes: it costs 20 µs for each."""
VIRTUAL = ("lo", "veth*", "docker*", "br-*", "cni*", "cali*", "flannel*", "virbr*", "dummy*", "ifb*", "kube-ipvs*")
MOST_DEVICES = 64
LOOKS_APART = 0.3
"""Seconds: what a process takes is seen only between two looks, and a page waits for a diagnosis for one second."""


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f"{path!r} is no absolute path")
    return path.rstrip("/") or "/"


Folder = Annotated[str, AfterValidator(_absolute)]


class Troubles:
    """What is wrong, found one after the other, so that the first hides none of the rest."""

    def __init__(self) -> None:
        self._theirs: list[tuple[Reason, str]] = []
        self._ours: list[tuple[Reason, str]] = []

    def theirs(self, reason: Reason, sentence: str) -> None:
        """The target is at fault."""
        self._theirs.append((reason, sentence))

    def ours(self, reason: Reason, sentence: str) -> None:
        """We are."""
        self._ours.append((reason, sentence))

    def tell(self) -> None:
        """Raise what was found: the target's faults before ours."""
        for found, raised in ((self._theirs, Failed), (self._ours, Errored)):
            if found:
                raise raised(found[0][0], "; ".join(sentence for _, sentence in found))


class Host(Check):
    """The machine that runwatch runs on, or the one whose root directory it is shown: Linux only."""

    measurements: ClassVar[tuple[Measurement, ...]] = MEASUREMENTS
    recommended: ClassVar[tuple[Recommended, ...]] = RECOMMENDED

    root: Folder = Field(
        default="/", description="Where the machine's root directory is: /host in a container that is given it there."
    )
    proc: Folder = Field(default="", validate_default=False, description="Its /proc; without it, `proc` below root.")
    mounts: Chosen = Field(default=Chosen(), description="File systems, by where they are mounted.")
    disks: Chosen = Field(default=Chosen(), description="Disks, by their names in the kernel, such as sda.")
    interfaces: Chosen = Field(default=Chosen(), description="Network interfaces, such as eth0.")
    trend: Duration = Field(default=6 * 3600.0, gt=0, description="Over how long the growth of a disk is taken.")
    trend_minimum: Duration = Field(
        default=3600.0, gt=0, description="For how long a disk must have been watched before its growth is told."
    )
    recent: Duration = Field(
        default=600.0, gt=0, description="For how long a killed process counts in oom_kills_recent."
    )
    folders: tuple[Folder, ...] = Field(
        default=(), max_length=20, description="Folders whose size and growth to watch, such as /srv/uploads."
    )
    folders_every: Duration = Field(default=3600.0, gt=0, description="Time from one look at a folder to the next.")

    @model_validator(mode="after")
    def _trend_can_be_told(self) -> Host:
        if self.trend_minimum > self.trend:
            raise ValueError("trend_minimum must not be longer than trend: growth would never be told")
        return self

    @property
    def target(self) -> str:
        """The machine's name, where it is our own, else where we are shown it."""
        return os.uname().nodename if self.root == "/" and not self.proc else self.root

    @property
    def _proc(self) -> Path:
        return Path(self.proc or f"{self.root.rstrip('/')}/proc")

    @property
    def _patience(self) -> float:
        return min(PATIENCE, self.timeout / 4)

    def asks(self) -> tuple[Asks, ...]:
        """Nobody: it reads files."""
        return ()

    async def probe(self, run: Run) -> None:
        """Read /proc in a thread, ask each file system in one of its own, look on into the folders."""
        try:
            machine = await in_pool(run, read, self._proc, Path(self.root, "sys"))
        except NoProc as why:
            raise Errored(Reason.INTERNAL, str(why)) from None
        anew = records.since_start(run, machine)
        records.record_cpu(run, machine)
        records.record_memory(run, machine, anew, self.recent)
        records.record_files(run, machine)
        records.record_pressure(run, machine)
        for device in _wanted(machine.disks, self.disks, ()):
            records.record_disk(run, device, machine.disks[device])
        for device in _wanted(machine.interfaces, self.interfaces, VIRTUAL):
            records.record_interface(run, device, machine.interfaces[device])
        await self._count_processes(run)
        group = await in_pool(run, own_group, Path(self.proc or "/proc", "self"))
        if group is not None:
            records.record_group(run, group, self.recent)
        troubles = Troubles()
        self._miss(machine, troubles)
        await self._ask_mounts(run, machine, troubles)
        await self._look_into_folders(run, troubles)
        troubles.tell()

    async def diagnose(self, run: Run) -> None:
        """The processes that take the most CPU and memory, and those that are stuck."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        before = await in_pool(run, processes, self._proc)
        await asyncio.sleep(LOOKS_APART)
        apart = loop.time() - began  # a look at thousands takes its time, too
        after = await in_pool(run, processes, self._proc)
        for title, text in (
            ("processes that take CPU", busiest(before, after, apart)),
            ("processes that hold memory", largest(after)),
            ("processes that wait for a disk", await in_pool(run, stuck, self._proc, after)),
        ):
            if text:
                run.evidence(title, text)

    async def _count_processes(self, run: Run) -> None:
        counted = run.memory.get("processes")
        if counted is None or not 0 <= run.at - counted[0] < COUNTED_EVERY:
            found = await in_pool(run, processes, self._proc)
            zombies = sum(process.state == "Z" for process in found.values())
            counted = run.memory["processes"] = run.at, len(found), zombies
        run.record("processes", counted[1])
        run.record("processes_zombie", counted[2])

    def _miss(self, machine: Machine, troubles: Troubles) -> None:
        """What was named and is not there: a disk that is not mounted would else look empty."""
        mounted = {mount.mountpoint for mount in machine.mounts}
        for name in self.mounts.absent(mounted):
            troubles.theirs(Reason.ASSERTION, f"nothing is mounted at {visible(name)}")
        for name in self.disks.absent(machine.disks):
            troubles.theirs(Reason.ASSERTION, f"there is no disk {visible(name)}, or it was never used")
        for name in self.interfaces.absent(machine.interfaces):
            troubles.theirs(Reason.ASSERTION, f"there is no network interface {visible(name)}")

    async def _ask_mounts(self, run: Run, machine: Machine, troubles: Troubles) -> None:
        mounts = chosen(machine.mounts, self.mounts)
        kept = run.kept.get("space")
        kept = dict(kept) if isinstance(kept, dict) else {}
        for mount, said in (await spaces(run, self.root, mounts, self._patience)).items():
            labels = {"device": mount.device, "fstype": mount.fstype, "mountpoint": mount.mountpoint}
            start = f"cannot use {visible(mount.mountpoint)} ({mount.fstype} from {visible(mount.device)})"
            if isinstance(said, PermissionError | Unseen):
                if self.mounts.wants(mount.mountpoint):
                    troubles.ours(Reason.AUTH, f"{start}: {said.strerror or said}")
                continue
            if isinstance(said, FileNotFoundError) and not self.mounts.wants(mount.mountpoint):
                continue  # what is mounted over its parent hides it
            run.record("disk_hangs", float(said is None), **labels)
            if said is None:
                troubles.theirs(Reason.READ_TIMEOUT, f"{start}: the file system does not answer")
            elif isinstance(said, OSError):
                troubles.theirs(Reason.PROTOCOL, f"{start}: {(said.strerror or str(said)).lower()}")
            elif said.size:
                run.record("disk_readonly", float(mount.readonly), **labels)
                name = printable(mount.mountpoint)
                samples, trend = kept.pop(name, None), (self.trend, self.trend_minimum)
                kept[name] = records.record_space(run, said, samples, trend, labels)
        # One that hangs, or is away for an hour, is needed again; the oldest of too many is not.
        run.kept["space"] = dict(list(kept.items())[-MOST:])

    async def _look_into_folders(self, run: Run, troubles: Troubles) -> None:
        kept = run.kept.get("folders")
        before = kept if isinstance(kept, dict) else {}
        after = {}
        for folder in self.folders:
            held = before.get(folder)
            start = f"cannot look into the folder {folder}"
            after[folder] = held  # what is gone for a while is needed again
            try:
                ended = await self._walk_on(run, folder, held)
            except PermissionError as why:
                troubles.ours(Reason.AUTH, f"{start}: {(why.strerror or str(why)).lower()}")
            except OSError as why:
                troubles.theirs(Reason.ASSERTION, f"{start}: {(why.strerror or str(why)).lower()}")
            except Failed as why:
                troubles.theirs(why.reason, f"{start}: {why.sentence}")
            else:
                if ended is not None and ended.unread:
                    run.evidence(f"folder {folder}", f"{ended.unread} entries could not be read and do not count")
                after[folder] = records.record_folder(run, ended, held, folder)
        run.kept["folders"] = after

    async def _walk_on(self, run: Run, folder: str, held: Any) -> Walk | None:
        """Go on with the walk through a folder if one is due; gives the walk that has ended. Raises OSError, Failed."""
        memory: dict[Any, Any] = run.memory.setdefault(("folder", folder), {})
        walk: Walk | None = memory.pop("walk", None)
        if walk is None:
            if not self._is_due(held, run.at):
                return None
            walk = Walk(str(Path(self.root, folder.lstrip("/"))))
        try:
            async with asyncio.timeout(self._patience):
                await in_pool(Run(memory), walk.go_on)
        except TimeoutError as why:
            if why.errno is not None:  # the file system's own
                raise
            if HANGING in memory:
                raise Failed(Reason.READ_TIMEOUT, "it does not answer") from None
            # Where other threads hang it was not begun.
        if walk.done:
            return walk
        memory["walk"] = walk
        return None

    def _is_due(self, held: Any, at: float) -> bool:
        last: Any = held.get("last") if isinstance(held, dict) else None
        return not records.is_counted(last) or not 0 <= at - last[0] < self.folders_every


def _wanted(there: Iterable[str], choice: Chosen, usually_not: tuple[str, ...]) -> list[str]:
    usual = Chosen(exclude=usually_not)
    wishes = ((name, choice.wants(name)) for name in sorted(there))
    return [name for name, wish in wishes if wish or (wish is None and usual.wants(name) is None)][:MOST_DEVICES]
