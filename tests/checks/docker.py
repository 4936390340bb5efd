"""A stand-in with Docker's answers, where podman's are others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from checks.container import Container
from checks.parts.container import engine as answers
from monitor.demo.parts.kubernetes import CUTS, HANGS, broken

GIB, MIB = 2**30, 2**20
NOW = "Mon, 23 Nov 2026 01:00:00 GMT"
AT = 1_795_395_600
"""The same in Unix seconds."""
IDS = {name: (name[0] * 64) for name in ("app", "db", "migrate", "worker")}


def state(**fields: Any) -> dict[str, Any]:
    """A running container's state as Docker gives it."""
    return {
        "Status": "running", "Running": True, "Paused": False, "Restarting": False, "OOMKilled": False, "Dead": False,
        "Pid": 5, "ExitCode": 0, "Error": "", "StartedAt": "2026-11-23T00:59:00.123456789Z",
        "FinishedAt": "0001-01-01T00:00:00Z", **fields,
    }  # fmt: skip


def ended(code: int, **fields: Any) -> dict[str, Any]:
    return state(Status="exited", Running=False, ExitCode=code, FinishedAt="2026-11-23T00:59:30.5Z", **fields)


def container(name: str, **fields: Any) -> dict[str, Any]:
    """What Docker says of a container (Engine API 1.51, ContainerInspectResponse)."""
    return {
        "Id": IDS[name], "Name": f"/{name}", "Image": "sha256:" + "1" * 64, "RestartCount": 0, "State": state(),
        "HostConfig": {"Memory": 512 * MIB, "NanoCpus": 500_000_000, "CpuQuota": 0, "CpuPeriod": 0},
        "Config": {"Image": f"{name}:1", "Tty": False, "Labels": {answers.PROJECT: "shop", answers.SERVICE: name}},
        **fields,
    }  # fmt: skip


def stats(memory: dict[str, Any], cpu: float = 5e9, second: int = 0, **throttling: int) -> dict[str, Any]:
    return {
        "read": f"2026-11-23T01:00:{second:02d}.000000001Z", "memory_stats": memory, "pids_stats": {"current": 7},
        "cpu_stats": {"cpu_usage": {"total_usage": cpu}, "online_cpus": 2, "throttling_data": throttling},
    }  # fmt: skip


class Docker:
    """A stand-in with Docker's answers: change what it says between probes."""

    def __init__(self) -> None:
        self.version = "1.51"
        self.date = NOW
        self.containers = {"app": container("app"), "db": container("db")}
        self.stats: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []
        self.logs = b""
        self.said: dict[str, tuple[int, bytes]] = {}
        """Answers in place of the usual, by the end of the path."""
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        for end, (status, body) in self.said.items():
            if request.path.endswith(end):
                if status in (HANGS, CUTS):
                    await broken(request, status)
                return web.Response(status=status, body=body)
        parts = request.path.split("/")
        match parts[2:]:
            case []:
                return web.Response(text="OK", headers={"Api-Version": self.version, "Date": self.date})
            case ["containers", "json"]:
                wanted = orjson.loads(request.query["filters"])["label"]
                found = [
                    {"Id": one["Id"]}
                    for one in self.containers.values()
                    if set(wanted) <= {f"{key}={text}" for key, text in one["Config"]["Labels"].items()}
                ]
                return web.json_response(found)
            case ["events"]:
                since, until = int(request.query["since"]), int(request.query["until"])
                lines = [one for one in self.events if since <= one["time"] <= until]
                return web.Response(body=b"".join(orjson.dumps(one) + b"\n" for one in lines))
            case ["containers", name, what]:
                found_ = [one for key, one in self.containers.items() if name == key or one["Id"].startswith(name)]
                if not found_:
                    return web.json_response({"message": f"No such container: {name}"}, status=404)
                if what == "stats":
                    name = found_[0]["Name"][1:]
                    return web.json_response(self.stats.get(name, stats({"usage": 100 * MIB, "stats": {}})))
                return web.json_response(found_[0]) if what == "json" else web.Response(body=self.logs)
        return web.json_response({"message": "page not found"}, status=404)

    @asynccontextmanager
    async def serving(self, folder: Path) -> AsyncIterator[str]:
        application = web.Application()
        application.router.add_get("/{path:.*}", self.answer)
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True)
        await runner.setup()
        try:
            await web.UnixSite(runner, str(folder / "d.sock")).start()
            yield f"unix://{folder}/d.sock"
        finally:
            await runner.cleanup()


@pytest.fixture
def docker() -> Docker:
    return Docker()


@pytest.fixture
async def docker_url(docker: Docker, tmp_path: Path) -> AsyncIterator[str]:
    async with docker.serving(tmp_path) as url:
        yield url


def check(url: str, *names: str, **fields: Any) -> Container:
    return Container(name="shop", url=url, containers=names, **fields)
