"""How punctual the scheduler is with 50,000 checks, and how many whole checks a second the daemon keeps up with."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from bench.cost import LATENESS, checks
from bench.daemon import configuration, daemon, quantile, total
from bench.figure import Figure, at_most, share, told
from bench.target import target
from checks.base import Check
from monitor.scheduler import Scheduler

WARM_UP = 14.0
"""Seconds until the backlog of the start, when every check is asked within two seconds, is worked off."""

LATE_MOST = 100
"""ms."""


class Quiet(Check):
    """A check that is scheduled, never asked."""


async def _lateness(count: int, seconds: float) -> tuple[list[float], float]:
    """ms that each launch was late, in order, after the first round; and µs of CPU for each."""
    loop = asyncio.get_running_loop()
    late: list[float] = []
    scheduler = Scheduler(lambda check, due: late.append((loop.time() - due) * 1000), lambda check: None)
    made = [Quiet(name=f"c{number}", system="s", interval="10s") for number in range(count)]
    scheduler.plan({check.key: check for check in made})
    await asyncio.sleep(3)
    late.clear()
    before = time.process_time()
    await asyncio.sleep(seconds)
    spent = time.process_time() - before
    scheduler.stop()
    return sorted(late), spent / max(1, len(late)) * 1e6


def _kept_up(folder: Path, rate: int, seconds: float) -> Figure:
    """The whole daemon at one rate."""
    with target() as port, daemon(folder, configuration(checks(port, rate * 2, "2s"))) as running:
        time.sleep(WARM_UP)
        before, began, spent = running.metrics(), time.monotonic(), running.cpu()
        time.sleep(seconds)
        spent, after = running.cpu() - spent, running.metrics()
        lasted = time.monotonic() - began
        made = total(after, f"{LATENESS}_count") - total(before, f"{LATENESS}_count")
        failed = running.count("check fails") + running.count("check can't tell")
        late = quantile(before, after, LATENESS, 0.99) * 1000
        text = f"{made / lasted:,.0f}/s made, {failed} failures, {spent / lasted:.0%} of a core, p99 late ≤ {late:g} ms"
        # More than the rate is no merit: a backlog is being worked off.
        kept = not failed and abs(made / lasted / rate - 1) < 0.03 and late <= LATE_MOST
        return Figure(f"whole daemon at {rate:,} checks/s", text, f"all made, p99 late ≤ {LATE_MOST} ms", kept)


def run(quick: bool) -> list[Figure]:
    """Bare, then with everything."""
    try:
        from uvloop import run as on_loop
    except ImportError:
        on_loop = asyncio.run
    late, each = on_loop(_lateness(50_000, 3 if quick else 10))
    found = [
        at_most("50,000 checks every 10 s: lateness, p99", share(late, 0.99), "ms", 5, f"max {late[-1]:.1f}"),
        told("50,000 checks every 10 s: CPU for each launch", f"{each:.1f} µs"),
    ]
    with tempfile.TemporaryDirectory() as root:
        rates = (2_000,) if quick else (2_000, 4_000, 5_000)
        found += [_kept_up(Path(root) / str(rate), rate, 8) for rate in rates]
    return found
