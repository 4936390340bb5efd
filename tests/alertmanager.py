"""A real Alertmanager as a process, and amtool: what the differential tests ask for the truth."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
from pathlib import Path
from typing import Any, Self

import aiohttp

from tests.skips import missing

DEADLINE = 9.0
NAMES = ("alertmanager", "prometheus-alertmanager")


def program(*names: str) -> str:
    """Where the first of these programs is that this machine has; skips the test where it has none."""
    return next((found for name in names if (found := shutil.which(name))), "") or missing(names[0])


async def amtool(*arguments: str) -> tuple[int, str, str]:
    """Exit code, output and complaints of amtool."""
    process = await asyncio.create_subprocess_exec(
        program("amtool"), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, complaints = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), complaints.decode()


class Alertmanager:
    """`async with Alertmanager(folder, configuration)`: alone, on a free port of loopback; `lines` is its log."""

    def __init__(self, folder: Path, configuration: str) -> None:
        self.folder = folder
        self.file = folder / "alertmanager.yml"
        self.file.write_text(configuration, encoding="utf-8")
        self.lines: list[str] = []
        self.url = ""
        self._written = asyncio.Event()
        self._ended = False
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._http: aiohttp.ClientSession | None = None

    async def start(self) -> Self:
        """Start it, and wait until it listens."""
        self._process = await asyncio.create_subprocess_exec(
            program(*NAMES), f"--config.file={self.file}", f"--storage.path={self.folder / 'data'}",
            "--web.listen-address=127.0.0.1:0", "--cluster.listen-address=", "--log.level=debug",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self._reader = asyncio.create_task(self._read())
        [line] = await self.logged('msg="Listening on"', 1)
        found = re.search(r"address=(127\.0\.0\.1:\d+)", line)
        assert found
        self.url = f"http://{found[1]}"
        self._http = aiohttp.ClientSession(self.url)
        return self

    async def get(self, path: str, **parameters: str) -> Any:
        """What its API answers."""
        assert self._http is not None
        async with self._http.get(path, params=parameters, raise_for_status=True) as answer:
            return await answer.json()

    async def post(self, path: str, content: Any) -> Any:
        """What its API answers to JSON; its own sentence as AssertionError where it refuses."""
        assert self._http is not None
        async with self._http.post(path, json=content) as answer:
            said = await answer.text()
            assert answer.status == 200, said
            return await answer.json() if said else None

    async def logged(self, pattern: str, count: int) -> list[str]:
        """That many lines of its log in which the pattern is found, as soon as they are there."""
        async with asyncio.timeout(DEADLINE):
            while True:
                self._written.clear()
                found = [line for line in self.lines if re.search(pattern, line)]
                if len(found) >= count:
                    return found
                assert self._reader is not None and not self._ended, self.lines[-3:]
                await self._written.wait()

    async def kill(self) -> None:
        """kill -9."""
        if self._http is not None:
            await self._http.close()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        if self._reader is not None:
            await self._reader

    async def _read(self) -> None:
        assert self._process is not None and self._process.stderr is not None
        async for raw in self._process.stderr:
            self.lines.append(raw.decode())
            self._written.set()
        self._ended = True
        self._written.set()

    async def __aenter__(self) -> Self:
        try:
            return await self.start()
        except BaseException:
            await self.kill()
            raise

    async def __aexit__(self, *_: object) -> None:
        await self.kill()
