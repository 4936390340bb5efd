"""A small disk of our own, in memory and mounted, that can really be filled; whose room is at an end there is none."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

from monitor.demo.process import Missing, Refused

BALLAST = "ballast"
"""The file that fills it."""


class Disk:
    """A file system of `size` bytes at `folder`: where root may mount one."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.size = size
        self._mounted = False

    @property
    def used(self) -> float:
        """Share of it that is used, as df says it."""
        found = shutil.disk_usage(self.folder)
        return found.used / (found.used + found.free)

    async def start(self) -> Self:
        """Make and mount it, empty; Missing or Refused where that can't be done."""
        if os.geteuid() != 0:
            raise Refused("cannot mount a disk: that takes root here")
        if not shutil.which("mount"):
            raise Missing("cannot mount a disk: there is no mount; `apt-get install mount` brings it")
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.folder.is_mount():  # one before us was killed
            self._mounted = True
            await self.stop()
        command = ["mount", "-t", "tmpfs", "-o", f"size={self.size},mode=755", "runwatch-demo", str(self.folder)]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Refused(f"cannot mount a disk: {done.stderr.strip()}")
        self._mounted = True
        return self

    async def stop(self) -> None:
        """Unmount it, whoever still uses it; what it held is gone."""
        if self._mounted:
            await asyncio.to_thread(subprocess.run, ["umount", "-l", str(self.folder)], check=True)
            self._mounted = False

    def fill(self, share: float) -> None:
        """Write until so much of it is used; nothing where that is so already."""
        more = round((share - self.used) * self.size)
        if more > 0:
            with (self.folder / BALLAST).open("ab") as file:
                os.posix_fallocate(file.fileno(), file.tell(), more)

    def empty(self) -> None:
        """Give that room back."""
        (self.folder / BALLAST).unlink(missing_ok=True)
