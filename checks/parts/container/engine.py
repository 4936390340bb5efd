"""Reads the answers of a Docker Engine API (Docker, podman): containers, statistics, events, log frames."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import orjson

from checks.base import Failed, Reason
from checks.parts.engine_logs import unframed
from checks.parts.json_values import dig, moment, number, text, whole
from checks.wire.certificates import visible

OLDEST = (1, 24)
LONGEST_NAME = 255
SERVICE = "com.docker.compose.service"
PROJECT = "com.docker.compose.project"
EXITS = {
    125: "the engine could not start it", 126: "its command can't be run", 127: "its command was not found",
    134: "aborted", 137: "killed: out of memory, or by force", 139: "segmentation fault", 143: "told to end",
}  # fmt: skip
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def spoken(offered: str, name: str) -> str:
    """The version of the API to speak with an engine that offers this one: its own, since what we read has been the
    same in all of them, and old ones are dropped. Raises Failed where it offers none or one that is too old."""
    found = re.fullmatch(r"(\d{1,3})\.(\d{1,3})", offered)
    if found is None:
        raise Failed(Reason.PROTOCOL, f"cannot ask {name}: it does not speak the Docker Engine API")
    if (int(found[1]), int(found[2])) < OLDEST:
        raise Failed(Reason.PROTOCOL, f"cannot ask {name}: it speaks version {offered} of the API, 1.24 is needed")
    return offered


@dataclass(frozen=True, slots=True)
class Container:
    """One container as the engine sees it; times in Unix seconds, 0 for never; limits None for none."""

    id: str
    name: str
    service: str
    image: str
    image_name: str
    status: str
    error: str
    exit_code: int
    oom_killed: bool
    started: float
    finished: float
    restarts: int
    health: str
    streak: int
    health_log: str
    memory_limit: float | None
    cpu_limit: float | None
    terminal: bool

    @property
    def running(self) -> bool:
        """Whether it runs and does something."""
        return self.status == "running"


def container(answer: Any, name: str) -> Container:
    """What /containers/{id}/json says. Raises Failed where that is no container."""
    identity, status = text(answer, "Id")[:LONGEST_NAME], text(answer, "State", "Status")
    if not identity or not status:
        raise Failed(Reason.PROTOCOL, f"{name} answered with something that is no container")
    nano, quota = number(answer, "HostConfig", "NanoCpus"), number(answer, "HostConfig", "CpuQuota")
    period = number(answer, "HostConfig", "CpuPeriod") or 100_000.0
    limit = nano / 1e9 if nano and nano > 0 else quota / period if quota and quota > 0 and period > 0 else None
    memory = number(answer, "HostConfig", "Memory")
    return Container(
        id=identity,
        name=text(answer, "Name").lstrip("/")[:LONGEST_NAME] or identity[:12],
        service=text(answer, "Config", "Labels", SERVICE),
        image=text(answer, "Image")[:LONGEST_NAME],
        image_name=text(answer, "Config", "Image"),
        status=status,
        error=text(answer, "State", "Error"),
        exit_code=whole(answer, "State", "ExitCode"),
        oom_killed=dig(answer, "State", "OOMKilled") is True,
        started=moment(text(answer, "State", "StartedAt")),
        finished=moment(text(answer, "State", "FinishedAt")),
        restarts=whole(answer, "RestartCount"),
        health=text(answer, "State", "Health", "Status"),
        streak=whole(answer, "State", "Health", "FailingStreak"),
        health_log=_health_log(dig(answer, "State", "Health", "Log")),
        memory_limit=memory if memory and memory > 0 else None,
        cpu_limit=limit,
        terminal=dig(answer, "Config", "Tty") is True,
    )


def _health_log(entries: Any) -> str:
    lines = []
    for entry in entries[-5:] if isinstance(entries, list) else ():
        said = visible(" ".join(text(entry, "Output").split()), 200)
        lines.append(f"{text(entry, 'Start')[:19]} exit {number(entry, 'ExitCode') or 0:.0f}: {said}")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Use:
    """What a container used by then (`at`, Unix seconds): bytes, CPU seconds since its start; None where not said."""

    at: float
    memory: float | None
    cpu: float | None
    periods: float | None
    throttled: float | None
    processes: float | None


def use(answer: Any) -> Use:
    """What /containers/{id}/stats says, counted as the `docker stats` command does (docker/cli, stats_helpers.go)."""
    memory = number(answer, "memory_stats", "usage")
    if memory is not None:
        # cgroup v1 has the sum over all groups inside under the longer name.
        for name in ("total_inactive_file", "inactive_file"):
            cache = number(answer, "memory_stats", "stats", name)
            if cache is not None:
                memory -= cache if cache < memory else 0.0
                break
    cpu = number(answer, "cpu_stats", "cpu_usage", "total_usage")
    return Use(
        moment(text(answer, "read")),
        memory,
        cpu / 1e9 if cpu is not None else None,
        number(answer, "cpu_stats", "throttling_data", "periods"),
        number(answer, "cpu_stats", "throttling_data", "throttled_periods"),
        number(answer, "pids_stats", "current"),
    )


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a container: `oom`, or `die` with its exit code. `at` in nanoseconds."""

    at: int
    container: str
    action: str
    exit_code: str


def events(body: bytes, until: float) -> list[Event]:
    """What /events says: one object after another. What is none, or comes after `until` (Unix seconds), is left out."""
    found = []
    for line in body.splitlines():
        try:
            said = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        at, action = dig(said, "timeNano"), text(said, "Action") or text(said, "status")
        identity = text(said, "Actor", "ID") or text(said, "id")
        if type(at) is int and 0 < at < (until + 1) * 1e9 and action in ("oom", "die"):
            found.append(Event(at, identity, action, text(said, "Actor", "Attributes", "exitCode")))
    return found


def log_lines(body: bytes, terminal: bool) -> str:
    """What /containers/{id}/logs says, without its frames and without what colours a terminal."""
    try:
        pieces = [body] if terminal else [content for _, content in unframed(body)]
    except ValueError:
        pieces = [body]
    return _ESCAPES.sub("", b"".join(pieces).decode("utf-8", "replace")).replace("\r\n", "\n").strip()
