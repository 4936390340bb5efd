"""Fixtures: a real Alertmanager, and amtool: what the differential tests ask for the truth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from monitor.demo.parts.alertmanager import NOBODY, Alertmanager
from monitor.demo.process import program
from tests.skips import had, running

DEADLINE = 30.0
"""Seconds that a machine may take at worst."""


async def amtool(*arguments: str) -> tuple[int, str, str]:
    """Exit code, output and complaints of amtool."""
    with had():
        found = program("amtool", "amtool", remedy="apt-get install prometheus-alertmanager")
    process = await asyncio.create_subprocess_exec(
        found, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, complaints = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), complaints.decode()


@asynccontextmanager
async def alertmanager(folder: Path, configuration: str = NOBODY) -> AsyncIterator[Alertmanager]:
    """One that listens, alone in its folder."""
    async with running(Alertmanager(folder, configuration)) as server:
        yield server
