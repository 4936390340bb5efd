"""A scrape of /metrics with 10,000 checks and 120,000 series: how long, how large, and how long the loop stands still.

The daemon's own route on the daemon's own objects, fed with made-up results; the scraper is another process.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
from time import perf_counter

from aiohttp import web

from bench.figure import Figure, at_most, told
from checks.base import Outcome, Result
from checks.tcp import Tcp
from monitor.api.server import Routes
from monitor.metrics import Metrics
from monitor.series import Series

CHECKS = 10_000
SCRAPER = """
import http.client, sys, time
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
for _ in range(int(sys.argv[3])):
    began = time.perf_counter()
    connection.request("GET", "/metrics", headers={"Accept-Encoding": sys.argv[2]})
    answer = connection.getresponse()
    size = 0
    while piece := answer.read(1 << 20):
        size += len(piece)
    print(time.perf_counter() - began, size, flush=True)
    time.sleep(0.2)
"""


class _Alerts:
    """No alerts."""

    def live(self) -> list[object]:
        return []


class _Engine:
    judging = _Alerts()


class _App:
    """As much of the daemon as a scrape touches."""

    def __init__(self) -> None:
        self.metrics, self.series, self.engine = Metrics(), Series(), _Engine()

    def refresh_metrics(self) -> None:
        """There is nothing to bring up to date."""


def _filled() -> tuple[_App, int]:
    app = _App()
    phases = [("phase_seconds", 0.000123456789, (("phase", name),)) for name in ("resolve", "connect", "processing")]
    for number in range(CHECKS):
        check = Tcp.model_validate(
            {"name": f"check-{number:05}", "system": "system", "address": f"10.0.0.1:{number + 1}"}
        )
        result = Result(Outcome.OK, 1.7e9 + number / 7, 0.0123456789)
        result.measurements = [*phases, ("ip_protocol", 4.0, ()), ("dns_lookup_seconds", 0.000123, ())][:5]
        app.series.update(check, result)
    return app, sum(len(family.lines) for family in app.series.families.values())


async def _scrapes(port: int, encoding: str, times: int, watched: bool) -> tuple[list[float], int, float]:
    """Seconds of each scrape, bytes of the last, and the longest that the loop stood still."""
    command = [sys.executable, "-c", SCRAPER, str(port), encoding, str(times)]
    scraper = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    longest, ended = 0.0, asyncio.Event()

    async def heartbeat() -> None:
        # Turns without a pause: a sleep would be late by itself.
        nonlocal longest
        while not ended.is_set():
            began = perf_counter()
            await asyncio.sleep(0)
            longest = max(longest, perf_counter() - began)

    async with asyncio.TaskGroup() as group:
        if watched:
            group.create_task(heartbeat())
        said, _ = await scraper.communicate()
        ended.set()
    lines = [line.split() for line in said.decode().splitlines()]
    return sorted(float(took) for took, _ in lines), int(lines[-1][1]), longest


async def _measure(times: int) -> list[Figure]:
    app, series = _filled()
    gc.freeze()  # as the daemon does
    server = web.Application()
    server.router.add_get("/metrics", Routes(app).metrics)  # type: ignore[arg-type]
    runner = web.AppRunner(server, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    found = [told("series", f"{series:,} of {CHECKS:,} checks")]
    try:
        for encoding, title, budget in (("identity", "plain", 25.0), ("gzip", "gzip", 40.0)):
            took, size, _ = await _scrapes(port, encoding, times, False)
            stalls = sorted([(await _scrapes(port, encoding, 1, True))[2] for _ in range(times)])
            note = f"best {took[0] * 1000:.0f}, {size / 1e6:.1f} MB"
            found.append(at_most(f"{title}: scrape, median", statistics.median(took) * 1000, "ms", budget, note))
            stall = statistics.median(stalls) * 1000
            note = f"of {times} scrapes; the longest of all {stalls[-1] * 1000:.1f}"
            found.append(at_most(f"{title}: longest stall of the loop, median", stall, "ms", 2.0, note))
    finally:
        await runner.cleanup()
    return found


def run(quick: bool) -> list[Figure]:
    """Plain and compressed."""
    try:
        from uvloop import run as on_loop
    except ImportError:
        on_loop = asyncio.run
    found: list[Figure] = on_loop(_measure(5 if quick else 15))
    return found
