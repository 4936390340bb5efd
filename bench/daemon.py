"""The real daemon as a process of its own, for the benches: started from a configuration, measured, stopped."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
WITHOUT_UVLOOP = "import sys; sys.modules['uvloop'] = None; from monitor.cli import main; sys.exit(main())"
DEADLINE = 30.0


class Daemon:
    """A running daemon; `log` is what it has written so far, `url` its address."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.log: list[dict[str, Any]] = []
        self.url = ""
        self._written = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def logged(self, event: str) -> dict[str, Any]:
        """The first line of this event, as soon as it is there."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = [line for line in self.log if line["event"] == event]
            return bool(found) or self.process.poll() is not None

        with self._written:
            self._written.wait_for(there, DEADLINE)
        if not found:
            raise RuntimeError(f"the daemon never logged {event!r}; it said {self.log[-3:]}")
        return found[0]

    def count(self, event: str) -> int:
        """How many lines of this event there are."""
        return sum(line["event"] == event for line in self.log)

    def cpu(self) -> float:
        """Seconds of CPU that the process has used, children included."""
        return cpu(self.process.pid)

    def resident(self) -> int:
        """Bytes of memory."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def metrics(self) -> str:
        """What /metrics says."""
        with urllib.request.urlopen(self.url + "metrics", timeout=DEADLINE) as answer:
            return bytes(answer.read()).decode()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for raw in self.process.stdout:
            with self._written:
                self.log.append(json.loads(raw))
                self._written.notify_all()
        with self._written:
            self._written.notify_all()


def cpu(*pids: int) -> float:
    """Seconds of CPU of these processes and of all their descendants."""
    spent = 0.0
    for pid in pids:
        whole = psutil.Process(pid)
        for process in (whole, *whole.children(recursive=True)):
            times = process.cpu_times()
            spent += times.user + times.system
    return spent


@contextmanager
def daemon(folder: Path, config: str, uvloop: bool = True, **environment: str) -> Iterator[Daemon]:
    """Start `runwatch run` with a configuration (YAML); stopped with SIGTERM, killed where it does not heed it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "runwatch.yaml"
    file.write_text(config)
    how = ["-m", "monitor"] if uvloop else ["-c", WITHOUT_UVLOOP]
    process = subprocess.Popen(
        [sys.executable, *how, "run", "-c", str(file)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "RUNWATCH_STORE": f"sqlite://{folder}/runwatch.db",
            "RUNWATCH_LISTEN": "127.0.0.1:0",
            **environment,
        },
    )
    try:
        running = Daemon(process)
        running.url = running.logged("watching")["page"]
        yield running
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def configuration(checks: list[dict[str, Any]], receivers: list[dict[str, Any]] | None = None, **more: Any) -> str:
    """A configuration as text (JSON is YAML), with a route to the first receiver where there is one."""
    whole: dict[str, Any] = {"system": "bench", "checks": checks, **more}
    if receivers:
        whole["receivers"] = receivers
        whole.setdefault("route", {"receiver": receivers[0]["name"], "group_by": ["system"], "group_wait": "0s"})
    return json.dumps(whole)


def total(text: str, name: str, wanted: Callable[[str], bool] = lambda labels: True) -> float:
    """The sum of a metric's series."""
    found = re.findall(rf"^{re.escape(name)}(?:\{{([^\n]*)\}})? (\S+)$", text, re.MULTILINE)
    return sum(float(value) for labels, value in found if wanted(labels))


def quantile(before: str, after: str, name: str, part: float) -> float:
    """The bound of the bucket below which `part` of what a histogram observed in between lie; inf past the last."""
    tables = [
        re.findall(rf'^{re.escape(name)}_bucket\{{le="([^"]+)"\}} (\S+)$', text, re.MULTILINE)
        for text in (before, after)
    ]
    grown = [
        (float(bound), float(count) - float(old)) for (bound, count), (_, old) in zip(tables[1], tables[0], strict=True)
    ]
    return next(bound for bound, count in grown if count >= part * grown[-1][1])
