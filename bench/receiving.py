"""runwatch and a real Alertmanager as processes that are sent alerts: started, fed, killed, measured."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import aiohttp
import orjson
import psutil
from aiohttp import web

from bench.daemon import ROOT

ALERTMANAGER = shutil.which("alertmanager") or shutil.which("prometheus-alertmanager")
BATCH = 64
"""Alerts in a request, as Prometheus sends them."""
DEADLINE = 60.0


class Sink:
    """A webhook that accepts everything: `pages` counts the messages of each group, `first` is when one came first."""

    def __init__(self) -> None:
        self.pages: Counter[str] = Counter()
        self.first = self.last = 0.0
        self.url = ""
        self._arrived = asyncio.Event()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        said = orjson.loads(await request.read())
        self.last = time.perf_counter()
        self.first = self.first or self.last
        self.pages[said["groupKey"]] += 1
        self._arrived.set()
        return web.Response()

    def clear(self) -> None:
        """Forget what came."""
        self.pages.clear()
        self.first = self.last = 0.0

    async def quiet(self, least: int, seconds: float, longest: float = DEADLINE) -> int:
        """How many messages came once there were so many and then no more for so long, or it took too long."""
        until = time.perf_counter() + longest
        while (left := until - time.perf_counter()) > 0:
            self._arrived.clear()
            try:
                async with asyncio.timeout(min(left, seconds) if self.pages.total() >= least else left):
                    await self._arrived.wait()
            except TimeoutError:
                break
        return self.pages.total()


class Server:
    """One of the two as a process of its own, in a folder that outlives it; `url` once it is started."""

    def __init__(self, name: str, folder: Path, command: Sequence[str], listens: str, **environment: str) -> None:
        self.name = name
        self.url = ""
        self._command = command
        self._listens = re.compile(listens)
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **environment}

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=ROOT,
            env=self._environment, limit=2**22,
        )  # fmt: skip
        assert self._process.stdout is not None
        lines: list[str] = []
        async with asyncio.timeout(DEADLINE):
            while not (found := self._listens.search(lines[-1] if lines else "")):
                if not (raw := await self._process.stdout.readline()):
                    raise RuntimeError(f"{self.name} ended at once: {lines[-1:]}")
                lines.append(raw.decode())
        self.url = f"http://{found[1]}"
        self._drain = asyncio.create_task(self._read(self._process.stdout))
        self._http = aiohttp.ClientSession(self.url)
        self._measured = psutil.Process(self._process.pid)
        return self

    async def __aexit__(self, *_: object) -> None:
        """kill -9."""
        await self._http.close()
        self._process.kill()
        await self._process.wait()
        await self._drain

    async def _read(self, output: asyncio.StreamReader) -> None:
        while await output.read(2**16):
            pass

    async def send(self, alerts: Sequence[dict[str, Any]]) -> float:
        """Send these as Prometheus does; seconds until the last was taken."""
        began = time.perf_counter()
        for at in range(0, len(alerts), BATCH):
            async with self._http.post("/api/v2/alerts", json=alerts[at : at + BATCH]) as answer:
                answer.raise_for_status()
        return time.perf_counter() - began

    async def silence(self, number: int) -> None:
        """Ask for a silence that lasts an hour."""
        now = datetime.now(UTC)
        wanted = {
            "matchers": [{"name": "n", "value": str(number), "isRegex": False, "isEqual": True}],
            "startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat(),
            "createdBy": "ann", "comment": "deploy",
        }  # fmt: skip
        async with self._http.post("/api/v2/silences", json=wanted) as answer:
            answer.raise_for_status()

    async def silences(self) -> int:
        """How many there are."""
        async with self._http.get("/api/v2/silences") as answer:
            return len(await answer.json())

    def cpu(self) -> float:
        """Seconds of CPU that the process has used."""
        times = self._measured.cpu_times()
        return float(times.user + times.system)

    def peak(self) -> float:
        """The most memory that it has held, in MiB."""
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self._process.pid}/status").read_text())
        assert found
        return int(found[1]) / 1024


def runwatch(folder: Path, sink: Sink, route: dict[str, Any], **more: Any) -> Server:
    """Ours."""
    folder.mkdir(parents=True)
    file = folder / "runwatch.yaml"
    file.write_text(json.dumps({**_telling(sink, route), **more}))
    return Server(
        "runwatch", folder, [sys.executable, "-m", "monitor", "run", "-c", str(file)], r'"page": ?"http://([^"/]+)',
        RUNWATCH_STORE=f"sqlite://{folder}/runwatch.db", RUNWATCH_LISTEN="127.0.0.1:0",
    )  # fmt: skip


def alertmanager(folder: Path, sink: Sink, route: dict[str, Any]) -> Server:
    """The peer."""
    assert ALERTMANAGER
    folder.mkdir(parents=True)
    file = folder / "alertmanager.yml"
    file.write_text(json.dumps(_telling(sink, route)))
    command = [
        ALERTMANAGER, f"--config.file={file}", f"--storage.path={folder / 'data'}", "--cluster.listen-address=",
        "--web.listen-address=127.0.0.1:0",
    ]  # fmt: skip
    return Server("Alertmanager", folder, command, r"[Ll]istening on.*?(127\.0\.0\.1:\d+)")


def _telling(sink: Sink, route: dict[str, Any]) -> dict[str, Any]:
    whole = {"receiver": "team", "group_wait": "0s", "group_interval": "1m", "repeat_interval": "4h", **route}
    return {"route": whole, "receivers": [{"name": "team", "webhook_configs": [{"url": sink.url}]}]}


def alerts(count: int) -> list[dict[str, Any]]:
    """So many alerts that fire, as a Prometheus describes them."""
    now = datetime.now(UTC)
    return [
        {
            "labels": {
                "alertname": "Down", "n": str(number), "severity": "critical", "job": "bench",
                "instance": f"10.0.0.1:{number}",
            },
            "annotations": {"summary": f"10.0.0.1:{number} does not answer"},
            "startsAt": now.isoformat(), "endsAt": (now + timedelta(minutes=4)).isoformat(),
            "generatorURL": "http://prometheus.example/graph",
        }
        for number in range(count)
    ]  # fmt: skip
