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
    """`runwatch` with these arguments, which asks the daemon; real time passes meanwhile."""
    return await _typed(watch, arguments, {"RUNWATCH_URL": watch.app.address})


async def typed_alone(watch: Watch, *arguments: str) -> Typed:
    """The same without a daemon: what the command does by itself, with the installation's variables."""
    return await _typed(watch, arguments, {"RUNWATCH_STORE": f"sqlite://{watch.folder / 'none.db'}"})


async def _typed(watch: Watch, arguments: tuple[str, ...], more: dict[str, str]) -> Typed:
    environment = environment_of(watch.installation) | {"COLUMNS": "200"} | more
    with watch.loop.held():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "monitor", *arguments, env=environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                out, err = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
    assert process.returncode is not None
    return Typed(process.returncode, out.decode(), err.decode())
