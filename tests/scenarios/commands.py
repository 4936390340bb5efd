"""What people type in a scenario: runwatch's commands as real processes, beside the daemon and against its API."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass

from monitor.demo.installation import environment_of
from tests.scenarios.watch import Watch

ANSWERS_WITHIN = 30.0


@dataclass(frozen=True)
class Typed:
    """What a command has printed, and its exit code."""

    code: int
    out: str
    err: str


async def typed(watch: Watch, *arguments: str) -> Typed:
    """`runwatch` with these arguments, beside the daemon; real time passes meanwhile."""
    environment = environment_of(watch.installation) | {
        "COLUMNS": "200",
        "RUNWATCH_CONFIG": str(watch.folder / "runwatch.yaml"),
        "RUNWATCH_STORE": f"sqlite://{watch.folder / 'runwatch.db'}",
        "RUNWATCH_URL": watch.app.address,
    }
    with watch.loop.held():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "monitor", *arguments, env=environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode is not None
    return Typed(process.returncode, out.decode(), err.decode())
