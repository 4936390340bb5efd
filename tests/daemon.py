"""The real daemon as a process: started from a configuration, read by its log and its API, stopped by signals."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import aiohttp

from monitor.demo.ports import free_port

DEADLINE = 30.0
"""Seconds that a machine may take at worst."""


class Daemon:
    """`async with Daemon(folder, yaml)`; `text` is the configuration, `log` what it has written so far."""

    def __init__(self, folder: Path, text: str, *arguments: str, **environment: str) -> None:
        self.file = folder / "runwatch.yaml"
        self.file.write_text(text)
        self.store = folder / "runwatch.db"
        self.log: list[dict[str, Any]] = []
        self.complaints = ""
        self._arguments = arguments
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "RUNWATCH_STORE": f"sqlite://{self.store}",
            "RUNWATCH_LISTEN": "127.0.0.1:0",
            **environment,
        }
        self._written = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []

    async def start(self, ready: bool = True) -> Self:
        """Start it, and wait until it watches."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "monitor", "run", "-c", str(self.file), *self._arguments,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=self._environment,
            cwd=Path(__file__).parents[1],
        )  # fmt: skip
        self._readers = [asyncio.create_task(self._read_log()), asyncio.create_task(self._read_complaints())]
        if ready:
            self.url = (await self.logged("watching"))["page"].rstrip("/")
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    async def ended(self) -> int:
        """Its exit code, once it has ended by itself or by a signal."""
        assert self._process is not None
        async with asyncio.timeout(DEADLINE):
            code = await self._process.wait()
            await asyncio.gather(*self._readers, return_exceptions=True)
        return code

    async def kill(self) -> None:
        """kill -9."""
        if self._process is not None and self._process.returncode is None:
            self.signal(signal.SIGKILL)
            await self.ended()

    async def logged(self, event: str, wanted: Callable[[dict[str, Any]], bool] = lambda line: True) -> dict[str, Any]:
        """The first line of this event, as soon as it is there."""
        async with asyncio.timeout(DEADLINE):
            while True:
                self._written.clear()
                for line in self.log:
                    if line["event"] == event and wanted(line):
                        return line
                assert self._process is not None and self._process.stdout is not None
                if self._process.returncode is not None or self._process.stdout.at_eof():
                    await asyncio.gather(*self._readers)
                    raise AssertionError(f"it ended before it said {event!r}: {self.complaints}")
                await self._written.wait()

    async def get(self, path: str, method: str = "GET", **options: Any) -> tuple[int, str]:
        """Status and text of an answer of its API."""
        async with aiohttp.ClientSession() as http, http.request(method, self.url + path, **options) as answer:
            return answer.status, await answer.text()

    async def metric(self, name: str) -> float:
        """The value of a metric that has one series, or of a series with its labels as written."""
        _, text = await self.get("/metrics")
        found = re.search(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
        assert found, f"no {name} in /metrics"
        return float(found[1])

    async def _read_log(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        async for raw in self._process.stdout:
            self.log.append(json.loads(raw))
            self._written.set()
        self._written.set()

    async def _read_complaints(self) -> None:
        assert self._process is not None and self._process.stderr is not None
        self.complaints = (await self._process.stderr.read()).decode()
        self._written.set()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.kill()


class Target:
    """A TCP target that is up or down: the same port all the time."""

    def __init__(self) -> None:
        self.port = free_port()
        self._server: asyncio.Server | None = None

    async def up(self) -> Self:
        """Listen."""
        if self._server is None:
            self._server = await asyncio.start_server(self._greet, "127.0.0.1", self.port, reuse_address=True)
        return self

    async def down(self) -> None:
        """Refuse."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def __aenter__(self) -> Self:
        return await self.up()

    async def __aexit__(self, *_: object) -> None:
        await self.down()
