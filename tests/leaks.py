"""Counts what this process holds, so that a test can say that nothing was left behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

Held = tuple[int, int]


def held() -> Held:
    """Open sockets, and tasks that are not done."""
    links = []
    for file in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(file.readlink()))
        except FileNotFoundError:
            continue
    return sum(link.startswith("socket:") for link in links), len(asyncio.all_tasks())


async def settled(before: Held) -> Held:
    """What is held after the loop has had its turns to close what was let go."""
    for _ in range(20):
        if held() == before:
            break
        await asyncio.sleep(0)
    return held()
