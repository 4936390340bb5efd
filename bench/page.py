"""From a target's death to the page that PagerDuty's stand-in has accepted: targets killed at random moments."""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path

from bench.daemon import configuration, daemon
from bench.figure import Figure, at_most, told
from monitor.demo.inbox import Inbox

INTERVAL = 2.0
TARGETS = 24
OVER = 14.0
"""Seconds over which the deaths are spread: PagerDuty takes two events a second."""


async def _greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _rounds(folder: Path) -> tuple[list[float], list[float]]:
    """Seconds from each death to its page, and from the start of the first failing probe, in order."""
    servers = [await asyncio.start_server(_greet, "127.0.0.1", 0) for _ in range(TARGETS)]
    checks = [
        {
            "name": f"c{number}",
            "kind": "tcp",
            "address": f"127.0.0.1:{server.sockets[0].getsockname()[1]}",
            "interval": f"{INTERVAL:g}s",
            "timeout": "1s",
            "alerts": [{"alert": "Down", "when": "failed", "severity": "critical"}],
        }
        for number, server in enumerate(servers)
    ]
    took: list[float] = []
    since: list[float] = []

    async def doom(number: int, inbox: Inbox) -> None:
        await asyncio.sleep(INTERVAL + random.random() * OVER)
        servers[number].close()
        died = time.time()
        accepted = await inbox.until(lambda message: _component(message.body) == f"bench/c{number}")
        took.append(accepted.at - died)
        first = datetime.fromisoformat(accepted.body["payload"]["timestamp"]).timestamp()
        since.append(accepted.at - first)

    async with Inbox() as inbox:
        receivers = [
            {"name": "on-call", "pagerduty_configs": [{"routing_key": "k" * 32, "url": f"{inbox.url}/v2/enqueue"}]}
        ]
        route = {"receiver": "on-call", "group_by": ["check"], "group_wait": "0s"}
        # So many deaths in a minute would rightly be one digest; here each page is wanted by itself.
        whole = configuration(checks, receivers=receivers, route=route, on_call={"storm": "off"})
        loop = asyncio.get_running_loop()
        started = daemon(folder, whole)
        await loop.run_in_executor(None, started.__enter__)
        try:
            async with asyncio.timeout(OVER + 30), asyncio.TaskGroup() as group:
                for number in range(TARGETS):
                    group.create_task(doom(number, inbox))
        finally:
            await loop.run_in_executor(None, started.__exit__, None, None, None)
    return sorted(took), sorted(since)


def _component(body: object) -> str:
    return str(body["payload"]["component"]) if isinstance(body, dict) and "payload" in body else ""


def run(quick: bool) -> list[Figure]:
    """Median and worst."""
    with tempfile.TemporaryDirectory() as root:
        took, since = asyncio.run(_rounds(Path(root)))
    note = f"{len(took)} deaths, interval {INTERVAL:g} s, asked again after 1 s"
    return [
        at_most("death to accepted page, worst", took[-1], "s", INTERVAL + 3, note),
        told("death to accepted page, median", f"{statistics.median(took):.2f} s"),
        at_most("start of the first failing probe to accepted page, median", statistics.median(since), "s", 1.5),
    ]
