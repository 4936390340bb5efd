"""The shape of a container engine's API as Docker has it, for machines where no container can be run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

from aiohttp import web

from monitor.demo.parts.site import Site

MEMORY = 64 * 2**20
STARTED = "2026-11-01T00:00:00.000000000Z"
KEPT = 1_000
"""Lines of each log; the oldest go first."""


class RecordedEngine(Site):
    """Containers of these names that run, are well and have logged what `log` was told; its address is `url`.

    Source of the shapes: Docker Engine API v1.41, as podman 4 answers.
    """

    def __init__(self, *names: str) -> None:
        super().__init__()
        self._logs: dict[str, list[tuple[datetime, str]]] = {name: [] for name in names}
        self.answers("/_ping", "OK", api_version="1.41")
        self.handles("/*", self._answer)

    def log(self, name: str, line: str) -> None:
        """Have a container log a line now."""
        self._logs[name].append((datetime.now(UTC), line))
        del self._logs[name][:-KEPT]

    async def _answer(self, request: web.Request) -> web.Response:
        *_, name, what = request.path.split("/")
        if what == "events":
            return web.Response()
        name = next((known for known in self._logs if name in (known, _id(known))), name)
        if name not in self._logs:
            return web.json_response({"message": f"no such container: {name}"}, status=404)
        match what:
            case "json":
                return web.json_response(_container(name))
            case "stats":
                return web.json_response(_use())
            case "logs":
                return web.Response(body=self._framed(name, request.query))
        return web.json_response({"message": "page not found"}, status=404)

    def _framed(self, name: str, asked: Mapping[str, str]) -> bytes:
        lines = [one for one in self._logs[name] if one[0].timestamp() >= float(asked.get("since", 0))]
        lines = lines[-int(asked["tail"]) :] if "tail" in asked else lines
        stamped = [f"{at:%Y-%m-%dT%H:%M:%S.%f}000Z {line}\n".encode() for at, line in lines]
        return b"".join(b"\1\0\0\0" + len(line).to_bytes(4, "big") + line for line in stamped)


def _container(name: str) -> dict[str, object]:
    return {
        "Id": _id(name), "Name": f"/{name}", "Image": "sha256:" + "0" * 64,
        "RestartCount": 0, "HostConfig": {"Memory": MEMORY}, "Config": {"Image": name, "Labels": {}, "Tty": False},
        "State": {
            "Status": "running", "ExitCode": 0, "OOMKilled": False, "Error": "", "StartedAt": STARTED,
            "FinishedAt": "0001-01-01T00:00:00Z", "Health": {"Status": "healthy", "FailingStreak": 0, "Log": []},
        },
    }  # fmt: skip


def _id(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _use() -> dict[str, object]:
    return {
        "read": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}000Z",
        "memory_stats": {"usage": MEMORY // 4, "stats": {}},
        "cpu_stats": {"cpu_usage": {"total_usage": 10**9}},
        "pids_stats": {"current": 3},
    }
