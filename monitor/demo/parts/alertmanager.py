"""A real Alertmanager as a process."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import aiohttp

from monitor.demo.process import Server, program, status_of

NAMES = ("alertmanager", "prometheus-alertmanager")
NOBODY = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
"""A configuration that tells nobody."""
PATIENCE = aiohttp.ClientTimeout(total=9.0)


class Alertmanager(Server):
    """One Alertmanager with a configuration of its own language; its log is a verbose one."""

    title = "Alertmanager"
    as_nobody = False

    def __init__(self, folder: Path, configuration: str = NOBODY, port: int | None = None) -> None:
        super().__init__(folder, port)
        self.configuration = configuration

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://{self.address}"

    @property
    def file(self) -> Path:
        """Its configuration."""
        return self.folder / "alertmanager.yml"

    async def get(self, path: str, **parameters: str) -> Any:
        """What its API answers."""
        async with (
            aiohttp.ClientSession(timeout=PATIENCE) as http,
            http.get(self.url + path, params=parameters, raise_for_status=True) as answer,
        ):
            return await answer.json()

    async def post(self, path: str, content: Any) -> Any:
        """What its API answers to JSON; ValueError with its own sentence where it refuses."""
        async with (
            aiohttp.ClientSession(timeout=PATIENCE) as http,
            http.post(self.url + path, json=content) as answer,
        ):
            said = await answer.text()
            if answer.status != 200:
                raise ValueError(said)
            return await answer.json() if said else None

    async def logged(self, pattern: str, count: int = 1, within: float = 9.0) -> list[str]:
        """So many lines of its log in which the pattern is found, once they are there; TimeoutError."""
        async with asyncio.timeout(within):
            while True:
                written = self._logfile.read_text(errors="replace")
                found = [line for line in written.splitlines() if re.search(pattern, line)]
                if len(found) >= count:
                    return found
                await self._lives_on()

    async def _prepare(self) -> None:
        self.file.write_text(self.configuration, encoding="utf-8")

    def _command(self) -> list[str]:
        found = program(self.title, *NAMES, remedy="apt-get install prometheus-alertmanager")
        return [
            found, f"--config.file={self.file}", f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address={self.address}", "--cluster.listen-address=", "--log.level=debug",
        ]  # fmt: skip

    async def _answers(self) -> bool:
        return await status_of(f"{self.url}/-/ready") == 200
