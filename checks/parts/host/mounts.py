"""Chooses the file systems that matter among all that is mounted, and asks each how full it is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from checks.base import Run
from checks.parts.host.proc import Mount
from checks.parts.pool import HANGING, in_pool

MOST = 64
NO_DISKS = frozenset({
    "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "cpuset", "debugfs", "devfs", "devpts",
    "devtmpfs", "efivarfs", "erofs", "fuse.gvfsd-fuse", "fuse.lxcfs", "fuse.portal", "fuse.snapfuse", "fusectl",
    "hugetlbfs", "iso9660", "mqueue", "nsfs", "overlay", "proc", "pstore", "ramfs", "rpc_pipefs", "securityfs",
    "selinuxfs", "squashfs", "sysfs", "tmpfs", "tracefs",
})  # fmt: skip
"""File systems that hold nothing, that are always full, or that are shown already: an overlay lies on a disk."""

FROM_OUTSIDE = frozenset({"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"})
"""Files that container engines mount: their file system is that of the machine's containers."""


class Chosen(BaseModel):
    """Which of many to look at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    include: tuple[str, ...] = Field(
        default=(), description="Only these, as shell patterns. One without * ? or [ has to be there."
    )
    exclude: tuple[str, ...] = Field(default=(), description="Not these, as shell patterns.")

    def wants(self, name: str) -> bool | None:
        """Whether it is wanted; None where nothing is said."""
        if any(fnmatchcase(name, pattern) for pattern in self.exclude):
            return False
        if self.include:
            return any(fnmatchcase(name, pattern) for pattern in self.include)
        return None

    def absent(self, names: Iterable[str]) -> list[str]:
        """What has to be there and is not."""
        there = set(names)
        return [name for name in self.include if not any(one in name for one in "*?[") and name not in there]


@dataclass(frozen=True, slots=True)
class Space:
    """How full a file system is, in bytes and inodes; `available` is what ordinary users can have."""

    size: float
    free: float
    available: float
    inodes: float
    inodes_free: float


def chosen(mounts: Sequence[Mount], choice: Chosen) -> list[Mount]:
    """The mounts to look at: each file system once, at its root or its shortest place, unless it was asked for."""
    asked = [mount for mount in mounts if choice.wants(mount.mountpoint)]
    usual = [mount for mount in mounts if choice.wants(mount.mountpoint) is None and _matters(mount)]
    usual.sort(key=lambda mount: (not mount.whole, len(mount.mountpoint)))
    once = {mount.number: mount for mount in reversed(usual)}
    return sorted([*asked, *once.values()], key=lambda mount: mount.mountpoint)[:MOST]


def _matters(mount: Mount) -> bool:
    if mount.mountpoint == "/":
        return mount.fstype not in NO_DISKS or mount.fstype == "overlay"
    return mount.fstype not in NO_DISKS and mount.mountpoint not in FROM_OUTSIDE


def below(root: str, mountpoint: str) -> str:
    """Where a mount of the machine is, whose root directory we see at `root`."""
    return mountpoint if root == "/" else f"{root.rstrip('/')}{mountpoint}".rstrip("/")


class Unseen(OSError):
    """The machine has it mounted, but not where we look."""


def space(root: str, mount: Mount) -> Space:
    """How full a file system of the machine is whose root directory is at `root`. Raises OSError."""
    path = below(root, mount.mountpoint)
    said = os.statvfs(path)
    if root != "/" and mount.fstype != "btrfs":  # which gives each subvolume a number of its own
        number = os.stat(path).st_dev  # noqa: PTH116
        if f"{os.major(number)}:{os.minor(number)}" != mount.number:
            raise Unseen(f"it is not mounted below {root}: give the container / with rslave")
    block = said.f_frsize
    return Space(
        said.f_blocks * block, said.f_bfree * block, said.f_bavail * block, float(said.f_files), float(said.f_ffree)
    )


async def spaces(run: Run, root: str, mounts: Sequence[Mount], patience: float) -> dict[Mount, Space | OSError | None]:
    """How full each is; what it said where it can't be asked, None where it does not answer within `patience`.

    Each in a thread of its own, so that one that hangs (a network file system whose server is gone) holds up no other
    and is not asked again while it does.
    """
    memories: dict[str, dict[Any, Any]] = run.memory.setdefault("mounts", {})
    for gone in memories.keys() - {mount.mountpoint for mount in mounts}:
        del memories[gone]
    found: dict[Mount, Space | OSError | None] = {}

    async def ask(mount: Mount) -> None:
        memory = memories.setdefault(mount.mountpoint, {})
        before = memory.get(HANGING)
        if before is not None and not before[0].done:
            found[mount] = None
            return
        try:
            async with asyncio.timeout(patience):
                found[mount] = await in_pool(Run(memory), space, root, mount)
        except OSError as why:
            if not isinstance(why, TimeoutError) or why.errno is not None:
                found[mount] = why
            elif HANGING in memory:  # else other threads hang, and it was not asked: nothing is known of it
                found[mount] = None

    async with asyncio.TaskGroup() as group:
        for mount in mounts:
            group.create_task(ask(mount), name=f"mount {mount.mountpoint}")
    return found
