"""Adds up what a folder takes, a little at each probe, since folders with a million files take minutes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

SLICE = 0.05
"""Seconds that a walk may go on at a time."""
MOST_FILES = 5_000_000
MOST_LINKS = 100_000


@dataclass(slots=True)
class Walk:
    """A walk through a folder, and what it has found. Stays on its file system, follows no link, counts as du does."""

    path: str
    size: float = 0.0
    files: int = 0
    unread: int = 0
    done: bool = False
    _steps: Iterator[None] | None = field(default=None, repr=False)

    def go_on(self, seconds: float = SLICE) -> None:
        """Go on for so long, or to the end. Raises OSError where the folder itself can't be read."""
        if self._steps is None:
            self._steps = self._walk()
        until = time.monotonic() + seconds
        for _ in self._steps:
            if time.monotonic() >= until:
                return
        self.done = True

    def _walk(self) -> Iterator[None]:
        device = os.stat(self.path).st_dev  # noqa: PTH116
        linked: set[int] = set()
        folders = [self.path]
        while folders and self.files < MOST_FILES:
            folder = folders.pop()
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        self._add(entry, device, folders, linked)
                        yield
            except OSError:
                if folder == self.path:
                    raise
                self.unread += 1
            yield

    def _add(self, entry: os.DirEntry[str], device: int, folders: list[str], linked: set[int]) -> None:
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:  # it went while we looked
            return
        except OSError:
            self.unread += 1
            return
        if status.st_dev != device:
            return
        if entry.is_dir(follow_symlinks=False):
            folders.append(entry.path)
        else:
            self.files += 1
            if status.st_nlink > 1:
                if status.st_ino in linked:
                    return
                if len(linked) < MOST_LINKS:
                    linked.add(status.st_ino)
        self.size += status.st_blocks * 512
