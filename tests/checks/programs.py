"""Programs to be run as checks."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from checks.command import Command


def command(*argv, timeout="3s", **keys):
    return Command(name="c", argv=argv, timeout=timeout, **keys)


def shell(script, **keys):
    return command("sh", "-c", script, **keys)


def program(folder, text, mode=0o755):
    file = folder / "plugin"
    file.write_text(text)
    file.chmod(mode)
    return str(file)


async def gone(pid):
    """Wait until a process has ended; to reap it may be somebody else's."""
    with contextlib.suppress(OSError):
        async with asyncio.timeout(5):
            while Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                await asyncio.sleep(0)
