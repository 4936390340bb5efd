"""Lavandaria's two containers on a real engine: a shell in them logs what it is told, and misbehaves where asked to."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path

from monitor.demo.parts.engine import IMAGE, Engine

DATABASE, APPLICATION = "lavandaria-db", "lavandaria-app"
MEMORY = "64m"
HELD = "56m"
"""What it can be told to hold of that."""
FIRST = ("--cgroup-parent=/", "--cpu-shares=262144")
"""So that they can keep a CPU busy, whoever else wants it."""
FAILURES = 3
"""Health checks that must fail in a row."""
HEALTHY = "healthy\nhealthy"
DONE_WITHIN = 10.0

SCRIPT = f"""
while IFS= read -r line; do
  case "$line" in
    /exit) exit 1;;
    /busy) (while :; do :; done) & busy=$!;;
    /hold) /bin/busybox head -c {HELD} /dev/zero > /dev/shm/held;;
    /free) rm -f /dev/shm/held;;
    /rest) kill $busy;;
    *) echo "$line";;
  esac
done < /host/pipe
"""
"""It is told through a pipe, a line each; the first word may be a wish."""


class Containers:
    """`lavandaria-db` and `lavandaria-app`, with health checks that ask the real parts on these ports."""

    def __init__(self, folder: Path, database_port: int, application_port: int) -> None:
        self.engine = Engine()
        self._pipe = folder / "pipe"
        connects = "/bin/busybox nc -w 2 127.0.0.1"
        # Busybox's wget crashes where there are no libraries to look names up.
        asks = r"""printf "GET /api/readyz HTTP/1.0\r\n\r\n"; read -r version status rest; test "$status" = 200"""
        self._commands = {
            DATABASE: (f"{connects} {database_port} < /dev/null", "exec sleep 1000000"),
            APPLICATION: (f"{connects} {application_port} -e /bin/sh -c '{asks}'", SCRIPT),
        }
        self._to_pipe = -1

    async def start(self) -> None:
        """Start the engine and both containers; as Engine.start where that can't be done."""
        self._pipe.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(self._pipe)
        # For reading, too: a pipe that nobody reads can't be opened for writing alone, and ends when nobody writes.
        self._to_pipe = os.open(self._pipe, os.O_RDWR | os.O_NONBLOCK)
        await self.engine.start()
        await self.make()
        for name in self._commands:
            await self.podman("start", name)

    async def stop(self) -> None:
        """End the engine, and all with it."""
        await self.engine.stop()
        if self._to_pipe >= 0:
            os.close(self._to_pipe)
            self._to_pipe = -1

    async def podman(self, *arguments: str) -> str:
        """What a podman command prints."""
        return await asyncio.to_thread(self.engine.podman, *arguments)

    async def make(self) -> None:
        """Make both, started by nobody yet."""
        for name, (asks, runs) in self._commands.items():
            await self.podman(
                "create", "--name", name, "-m", MEMORY, *FIRST, "-v", f"{self._pipe.parent}:/host",
                "--health-cmd", asks, "--health-interval=disable", f"--health-retries={FAILURES}",
                IMAGE, "/bin/sh", "-c", runs,
            )  # fmt: skip

    async def remove(self) -> None:
        """Take both away, as `docker-compose down` does."""
        await self.podman("rm", "-f", "-t", "0", *self._commands)

    async def look(self) -> None:
        """Have the health checks done once, as an engine does by itself where it has timers."""
        looks = (
            asyncio.to_thread(self.engine.podman, "healthcheck", "run", name, check=False) for name in self._commands
        )
        await asyncio.gather(*looks)

    async def recover(self) -> None:
        """Have them done until both containers are healthy."""
        async with asyncio.timeout(DONE_WITHIN):
            while await self.podman("inspect", "-f", "{{.State.Health.Status}}", *self._commands) != HEALTHY:
                await self.look()

    async def done(self) -> None:
        """Return when the application's container has done and logged all that it was told."""
        mark = f"audit {secrets.token_hex(8)}"
        self.tell(mark)
        async with asyncio.timeout(DONE_WITHIN):
            while mark not in await self.podman("logs", "--tail", "50", APPLICATION):
                pass

    def tell(self, line: str) -> None:
        """Have the application's container log a line, or do a wish of SCRIPT's."""
        try:
            os.write(self._to_pipe, f"{line}\n".encode())
        except BlockingIOError:
            return  # it has been down for so long that the pipe is full
