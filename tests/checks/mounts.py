"""File systems of the tests' own, seen by this process alone: one whose server never answers."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.skips import refused

LIBC = ctypes.CDLL(None, use_errno=True)
NEW_MOUNTS, OWN_FOLDER, PRIVATE, DETACH = 0x20000, 0x200, 0x4000 | 0x40000, 2


@contextmanager
def own_mounts() -> Iterator[None]:
    """What is mounted meanwhile is seen by this process alone, and by no test beside it."""
    before, folder = os.open("/proc/self/ns/mnt", os.O_RDONLY), Path.cwd()
    try:
        if LIBC.unshare(NEW_MOUNTS) or LIBC.mount(b"none", b"/", None, PRIVATE, None):
            refused("root, to mount a file system")
        try:
            yield
        finally:
            # A thread that is not quite gone shares our working folder, with which nobody may leave.
            assert LIBC.unshare(OWN_FOLDER) == 0
            assert LIBC.setns(before, NEW_MOUNTS) == 0
            os.chdir(folder)
    finally:
        os.close(before)


@contextmanager
def hanging_mount(at: Path) -> Iterator[None]:
    """A real file system whose server never answers: FUSE with nobody behind it."""
    if not Path("/dev/fuse").exists():
        refused("/dev/fuse, to mount a file system that hangs")
    with own_mounts():
        device = os.open("/dev/fuse", os.O_RDWR)
        how = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
        assert LIBC.mount(b"server:/export", str(at).encode(), b"fuse", 0, how) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            os.close(device)  # whoever waits for an answer is told that there will be none
            LIBC.umount2(str(at).encode(), DETACH)
