"""What a probe of each kind costs us, and how long it keeps the event loop."""

from __future__ import annotations

import asyncio
import tempfile
import time
from asyncio import events
from pathlib import Path
from typing import Any

from bench.figure import Figure
from checks.base import Check
from monitor.config.kinds import check_kinds
from monitor.demo.servers import Postgres
from monitor.prober import Prober
from tests.system.kinds_estate import CASES, estate_in

PROBES = 20
LONGEST_HOLD = 10.0
"""Milliseconds of CPU that one turn of the loop may take."""


class Turns:
    """Measures every callback of the loop by the thread's CPU time, which other work on the machine does not touch."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._run = events.Handle._run

    def __enter__(self) -> Turns:
        run, turns = self._run, self

        def measured(handle: events.Handle) -> None:
            began = time.thread_time()
            run(handle)
            turns.longest = max(turns.longest, time.thread_time() - began)

        events.Handle._run = measured  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        events.Handle._run = self._run  # type: ignore[method-assign]


async def measured(check: Check, probes: int) -> tuple[float, float, float]:
    """Milliseconds: CPU of a probe, the longest turn of the first probe (with its imports), and of all later ones."""
    prober = Prober(time.time, lambda *_: None, lambda _: None, lambda _: None, lambda _: None)
    with Turns() as first:
        result = await prober.ask(check)
    assert result.outcome == "ok", f"{check.kind}: {result.sentence}"
    with Turns() as later:
        began = time.process_time()
        for _ in range(probes):
            await prober.ask(check)
        spent = time.process_time() - began
    return spent / probes * 1000, first.longest * 1000, later.longest * 1000


async def _all(folder: Path, probes: int) -> list[tuple[str, float, float, float]]:
    rows: list[tuple[str, float, float, float]] = []
    template = Postgres.template(folder / "template")
    async with estate_in(folder, template) as estate:
        for kind, make in sorted(CASES.items()):
            case = await make(estate)
            model: Any = check_kinds().load(kind)
            check = model.model_validate({"name": kind, "system": "default", "retries": 0, **case.fields})
            rows.append((kind, *await measured(check, probes)))
    return rows


def run(quick: bool) -> list[Figure]:
    """A line for each kind."""
    with tempfile.TemporaryDirectory() as root:
        rows = asyncio.run(_all(Path(root), 5 if quick else PROBES))
    return [
        Figure(
            f"`{kind}`",
            f"{cpu:.2g} ms of CPU a probe; the loop held for {first:.2g} ms by the first, {later:.2g} ms by later ones",
            f"held ≤ {LONGEST_HOLD:g} ms",
            max(first, later) <= LONGEST_HOLD,
        )
        for kind, cpu, first, later in rows
    ]
