"""A real Prometheus as a process, with two things to scrape: one that is well, one that answers 500."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path
from typing import Self

from aiohttp import web

from tests.alertmanager import program

DEADLINE = 9.5


class Prometheus:
    """`async with Prometheus(folder)`: alone, on a free port of loopback. Leaving kills it."""

    def __init__(self, folder: Path) -> None:
        self.url = ""
        self._folder = folder
        self._asked = {"good": 0, "broken": 0}
        self._told = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.add_routes([web.get("/{how}", self._scraped)])
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, "127.0.0.1", 0).start()
            await self._start(self._runner.addresses[0][1])
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def _start(self, port: int) -> None:
        jobs = ", ".join(
            f'{{job_name: {job}, metrics_path: /{job}, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}'
            for job in self._asked
        )
        file = self._folder / "prometheus.yml"
        file.write_text(f"global: {{scrape_interval: 300ms, scrape_timeout: 300ms}}\nscrape_configs: [{jobs}]\n")
        self._process = await asyncio.create_subprocess_exec(
            program("prometheus"), f"--config.file={file}", f"--storage.tsdb.path={self._folder / 'data'}",
            "--web.listen-address=127.0.0.1:0",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self._reader = asyncio.create_task(self._read())
        async with asyncio.timeout(DEADLINE):
            while not (self._ready and self.url):  # said in either order
                self._told.clear()
                await self._told.wait()

    _ready = False

    async def _read(self) -> None:
        assert self._process is not None and self._process.stderr is not None
        async for raw in self._process.stderr:
            line = raw.decode()
            if found := re.search(r'msg="Listening on" address=(\S+)', line):
                self.url = f"http://{found[1]}"
            self._ready = self._ready or "Server is ready to receive web requests" in line
            self._told.set()

    async def _scraped(self, request: web.Request) -> web.Response:
        how = request.match_info["how"]
        self._asked[how] += 1
        self._told.set()
        return web.Response(text="widgets 7\n") if how == "good" else web.Response(status=500)

    async def scraped(self) -> None:
        """Return when each target was scraped and the result of that is known: it was asked again."""
        async with asyncio.timeout(DEADLINE):
            while min(self._asked.values()) < 2:
                self._told.clear()
                await self._told.wait()

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        if self._reader is not None:
            await self._reader
        await self._runner.cleanup()
