"""CPU of the first answers: `--help`, `validate` with 1,000 checks, and the daemon until its first probe."""

from __future__ import annotations

import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.cost import checks
from bench.daemon import ROOT, configuration, cpu
from bench.figure import Figure, at_most, told


def _spent(*command: str) -> float:
    """ms of CPU that a command takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def _first_probe(folder: Path) -> float:
    """ms of CPU that the daemon has used when its first probe connects."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        listener.settimeout(20)
        file = folder / "first.yaml"
        file.write_text(configuration(checks(listener.getsockname()[1], 20, "1s")))
        process = subprocess.Popen(
            [sys.executable, "-m", "monitor", "run", "-c", str(file)],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "RUNWATCH_STORE": f"sqlite://{folder}/first.db", "RUNWATCH_LISTEN": "127.0.0.1:0"},
        )
        try:
            listener.accept()[0].close()
            return cpu(process.pid) * 1000
        finally:
            process.kill()
            process.wait()


def run(quick: bool) -> list[Figure]:
    """Medians."""
    times = 3 if quick else 7
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        file = folder / "runwatch.yaml"
        file.write_text(configuration(checks(1, 1_000, "5s")))
        bare = statistics.median(_spent("-c", "pass") for _ in range(times))
        help_ = statistics.median(_spent("-m", "monitor", "--help") for _ in range(times))
        validate = statistics.median(_spent("-m", "monitor", "validate", "-c", str(file)) for _ in range(times))
        first = statistics.median(_first_probe(folder) for _ in range(times))
    return [
        told("bare Python", f"{bare:.0f} ms"),
        at_most("`--help`", help_, "ms", 50),
        at_most("`validate` of 1,000 checks", validate, "ms", 150),
        at_most("the daemon's first probe", first, "ms", 500, "in steps of 10 ms"),
    ]
