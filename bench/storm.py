"""Ten thousand alerts at once: in our own process to one page, and over the API beside a real Alertmanager."""

from __future__ import annotations

import asyncio
import gc
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

from alerts.delivery import Delivery
from alerts.engine import Engine
from alerts.notifiers.base import Notifier
from alerts.outbox import Kept
from alerts.pager import Pager
from bench.daemon import configuration
from bench.figure import Figure, at_most, told
from bench.receiving import ALERTMANAGER, Server, Sink, alertmanager, alerts, runwatch
from checks import kinds
from checks.base import Outcome, Reason, Result
from monitor.clock import Clock
from monitor.commands.run import COLLECT_AFTER
from monitor.config import load
from monitor.demo.inbox import Inbox
from monitor.planning import plan_of
from monitor.store.sqlite import SqliteStore

ALERTS = 10_000
GROUPINGS: dict[str, dict[str, Any]] = {
    "one group": {"group_by": ["job"], "group_wait": "1s"},
    "a group each": {"group_by": ["alertname", "n"]},
}
QUIET = 5.0
"""Seconds without a page after which the storm is over."""


async def _storm(folder: Path) -> list[Figure]:
    clock = Clock()
    async with Inbox() as inbox, aiohttp.ClientSession() as http:
        receivers = [
            {"name": "on-call", "pagerduty_configs": [{"routing_key": "k" * 32, "url": f"{inbox.url}/v2/enqueue"}]}
        ]
        made = [{"name": f"c{number}", "kind": "tcp", "address": f"10.0.0.1:{number + 1}"} for number in range(ALERTS)]
        (folder / "runwatch.yaml").write_text(configuration(made, receivers))
        config = load(folder / "runwatch.yaml", {"HOME": str(folder)})
        store = SqliteStore(folder / "runwatch.db")
        engine = Engine(plan_of(config), Kept(), clock.now())
        pager = Pager(engine, store, clock.now, lambda keys: None)
        delivery = Delivery(
            http, clock.now,
            lambda where: kinds.load("alerts.notifiers", str(where["kind"]), Notifier)(**where["config"]),
            pager.write, pager.fall_over, lambda attempt: None,
        )  # fmt: skip
        pager.delivery = delivery
        running = asyncio.create_task(delivery.run())
        delivery.submit([])
        await asyncio.sleep(0.1)
        gc.freeze()
        gc.set_threshold(*COLLECT_AFTER)  # as the daemon does once it runs
        spent, began = time.process_time(), time.perf_counter()
        for key in config.checks:
            failed = Result(Outcome.FAILED, clock.now(), 0.01, Reason.CONNECT_REFUSED, "nobody listens")
            engine.judging.observe(key, failed, clock.now())
        judged = time.perf_counter()
        await pager.step()
        durable = time.perf_counter()
        async with asyncio.timeout(30):
            await inbox.until(lambda message: message.path == "/v2/enqueue")
        paged, spent = time.perf_counter(), time.process_time() - spent
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        store.close()
        pages = len(inbox.messages)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        told(f"{ALERTS:,} results judged", f"{(judged - began) * 1000:.0f} ms"),
        at_most(
            "then decided and durable",
            (durable - judged) * 1000,
            "ms",
            100,
            f"commit {store.commit_seconds * 1000:.0f}",
        ),
        at_most("the page accepted, from the first result", paged - began, "s", 2, f"{pages} page"),
        at_most("CPU of all of it, the stand-in included", spent, "s", 3),
        at_most("most memory, the stand-in included", peak, "MiB", 300),
    ]


async def _sent(server: Server, sink: Sink, grouping: str) -> list[Figure]:
    """The same storm from a Prometheus, sent to a process of its own."""
    sink.clear()
    async with server:
        spent, began = server.cpu(), time.perf_counter()
        taken = await server.send(alerts(ALERTS))
        pages = await sink.quiet(1, QUIET)
        first, last = sink.first - began, sink.last - began
        name = f"sent over the API, {grouping}: {server.name}"
        return [
            told(
                name,
                f"taken in {taken:.2g} s, first page after {first:.2g} s, the last of {pages:,} after {last:.2g} s, "
                f"CPU {server.cpu() - spent:.2g} s, most memory {server.peak():.0f} MiB",
            )
        ]


async def _beside(folder: Path) -> list[Figure]:
    figures = []
    async with Sink() as sink:
        for number, (grouping, route) in enumerate(GROUPINGS.items()):
            figures += await _sent(runwatch(folder / f"ours-{number}", sink, route), sink, grouping)
            if ALERTMANAGER:
                figures += await _sent(alertmanager(folder / f"theirs-{number}", sink, route), sink, grouping)
    return figures


def run(quick: bool) -> list[Figure]:
    """One storm in this process, then the same for both as processes of their own."""
    with tempfile.TemporaryDirectory() as root:
        return asyncio.run(_storm(Path(root))) + asyncio.run(_beside(Path(root)))
