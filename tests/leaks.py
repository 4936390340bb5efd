"""Names what this process holds, so that a test can say that nothing was left behind."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

Held = frozenset[object]


def open_files() -> Held:
    """This process's file descriptors, and what each is open on. What an earlier test let go may vanish at any instant,
    so what matters is what came new, not how many there are.
    """
    files = set[object]()
    for file in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            files.add((file.name, str(file.readlink())))
    return frozenset(files)


def held() -> Held:
    """Open files, and tasks that are not done."""
    return open_files() | asyncio.all_tasks()


async def left_since(before: Held) -> Held:
    """What is held now and was not before, after the loop has had its turns to close what was let go."""
    for _ in range(20):
        if not held() - before:
            break
        await asyncio.sleep(0)
    return held() - before
