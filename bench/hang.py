"""Two thousand HTTPS targets that accept and never answer, beside a thousand healthy ones."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.cost import LATENESS, checks
from bench.daemon import configuration, daemon, quantile, total
from bench.figure import Figure, at_least, at_most, told
from bench.target import certificates, target

HANGING = 2_000
RUNS = "runwatch_check_runs_total"


def _held() -> float:
    """KiB of memory that one more hanging HTTPS target takes in the engine."""
    with tempfile.TemporaryDirectory() as folder:
        authority, _ = certificates(Path(folder))
        command = [sys.executable, "-m", "bench.probe_cost", "--loop", "uvloop", "--hang", "ours", authority]
        return float(subprocess.check_output(command))


def _healthy(labels: str) -> bool:
    return 'check="c' in labels


def run(quick: bool) -> list[Figure]:
    """What one takes, and what all of them do to the healthy."""
    with tempfile.TemporaryDirectory() as root, target() as port, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(HANGING * 2)
        hanging = [
            {
                "name": f"h{number}",
                "kind": "http",
                "url": f"https://127.0.0.1:{listener.getsockname()[1]}/",
                "interval": "90s",
                "timeout": "15s",
                "retries": 0,
            }
            for number in range(HANGING)
        ]
        with daemon(Path(root), configuration([*hanging, *checks(port, 1_000, "2s")])) as running:
            time.sleep(6)
            before, began = running.metrics(), time.monotonic()
            under_way = total(before, "runwatch_probes_running")
            time.sleep(6)
            after = running.metrics()
            lasted = time.monotonic() - began
            made = total(after, RUNS, _healthy) - total(before, RUNS, _healthy)
            failed = sum(
                line["event"] in ("check fails", "check can't tell") and "/c" in line["check"] for line in running.log
            )
            late = quantile(before, after, LATENESS, 0.99) * 1000
            memory = running.resident() / 1e6
    return [
        at_most("memory of one hanging HTTPS target", _held(), "KiB", 40),
        told("under way at once", f"{under_way:,.0f} probes, {memory:.0f} MB in all"),
        at_most("healthy checks failed", failed, "of 1,000", 0),
        at_least("healthy checks made, of those that were due", made / (lasted * 500) * 100, "%", 99),
        at_most("healthy checks: lateness, p99", late, "ms", 5, "upper bound of its bucket"),
    ]
