"""What this machine is about to run out of: room on the store's disk, file descriptors."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from checks.units import show_size

CALM = 1.2
"""Times `min_free` that must be free until the alert ends: what hovers about the limit shall not flap."""

FEWEST_FILES = 1_000
MOST_DESCRIPTORS = 0.9


def disk_trouble(folder: Path, min_free: int, was: str) -> str:
    """What is wrong with the disk that holds `folder`, or "". Blocks. `was` is the answer of before."""
    try:
        disk = os.statvfs(folder)
    except OSError as why:
        return f"cannot ask how much room there is in {folder}: {why.strerror}"
    free = disk.f_bavail * disk.f_frsize
    if free < min_free * (CALM if was else 1):
        return f"{show_size(free)} left on the disk that holds {folder}; there should be {show_size(min_free)}"
    if min_free and disk.f_files and disk.f_favail < FEWEST_FILES:
        return f"the disk that holds {folder} takes {disk.f_favail} files more"
    return ""


def descriptor_trouble() -> str:
    """What is wrong with our supply of file descriptors, or ""."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        # The kernel hands out the lowest free number, so those below it are all in use: no need to count them.
        lowest = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as why:
        return f"cannot open anything more: {why.strerror}"
    os.close(lowest)
    if limit == resource.RLIM_INFINITY or lowest < limit * MOST_DESCRIPTORS:
        return ""
    return f"{lowest} of {limit} file descriptors are in use; allow more (LimitNOFILE, ulimit -n)"
