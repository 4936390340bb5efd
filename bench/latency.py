"""How far the latency that the daemon reports is from the truth, on a target that holds for 50 ms and tells its hold.

One scrape after a few rounds reads both numbers of every check; a second one tells which were the same probe's.
"""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.daemon import configuration, daemon
from bench.figure import Figure, at_most, share
from bench.target import target

PLUGIN = '''
import asyncio, time
from checks.base import Check, Run

class Careless(Check):
    """Stops the loop for 100 ms."""

    async def probe(self, run: Run) -> None:
        time.sleep(0.1)
'''
INTERVAL = 3


def errors(folder: Path, rate: int, blocked: bool) -> list[float]:
    """Reported less held, in ms, of one probe of each check, in order; raises where probes failed."""
    folder.mkdir()
    (folder / "plugins").mkdir()
    (folder / "plugins" / "careless.py").write_text(PLUGIN)
    with target(module="bench.holder") as port:
        checks: list[dict[str, Any]] = [
            {
                "name": f"c{number}",
                "kind": "http",
                "url": f"http://127.0.0.1:{port}/hold",
                "interval": f"{INTERVAL}s",
                "timeout": "2s",
                "measure": {"held": "held_ms"},
            }
            for number in range(rate * INTERVAL)
        ]
        if blocked:
            checks.append({"name": "careless", "kind": "careless", "interval": "500ms"})
        with daemon(folder / "daemon", configuration(checks, plugins=[str(folder / "plugins")])) as running:
            time.sleep(INTERVAL * 3)
            first, second = _numbers(running.metrics()), _numbers(running.metrics())
            if failed := running.count("check fails"):
                raise RuntimeError(f"{failed} healthy targets were called failed at {rate}/s")
    same = [name for name, (_, _, at) in first.items() if name in second and second[name][2] == at]
    return sorted(first[name][0] * 1000 - first[name][1] for name in same)


def _numbers(text: str) -> dict[str, tuple[float, float, float]]:
    """Reported seconds, held ms and time of the last probe, by check."""
    tables = [
        dict(re.findall(rf'^{family}{{check="([^"]+)"[^}}]*}} (\S+)$', text, re.MULTILINE))
        for family in (
            "runwatch_http_duration_seconds",
            "runwatch_http_held",
            "runwatch_check_last_run_timestamp_seconds",
        )
    ]
    return {
        name: (float(took), float(tables[1][name]), float(tables[2][name]))
        for name, took in tables[0].items()
        if name in tables[1] and name in tables[2]
    }


def run(quick: bool) -> list[Figure]:
    """At three rates, and with the loop blocked."""
    found = []
    with tempfile.TemporaryDirectory() as root:
        cases = [(200, False, 0.3), (1_000, False, 0.3), (2_000, False, 0.3), (200, True, 1.0)]
        for rate, blocked, budget in cases[1:2] + cases[3:] if quick else cases:
            off = errors(Path(root) / f"{rate}{blocked}", rate, blocked)
            title = f"{rate:,} checks/s" + (", the loop blocked for 100 ms twice a second" if blocked else "")
            note = f"p50 {share(off, 0.5):.3f}, max {off[-1]:.2f}, {len(off)} probes"
            found.append(at_most(f"{title}: error, p99", share(off, 0.99), "ms", budget, note))
    return found
