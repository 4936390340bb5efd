"""kill -9 after the page: who is paged again when the sender repeats its alerts, and which silences are left."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from bench.figure import Figure, at_least, at_most, told
from bench.receiving import ALERTMANAGER, Server, Sink, alertmanager, alerts, runwatch

ALERTS = 1_000
SILENCES = 10
EACH = {"group_by": ["alertname", "n"]}
QUIET = 4.0


async def _again(server: Server, sink: Sink) -> tuple[int, int]:
    """Pages before the kill, and after the restart and the sender's repetition."""
    async with server:
        await server.send(alerts(ALERTS))
        before = await sink.quiet(ALERTS, QUIET)
    sink.clear()
    async with server:
        await server.send(alerts(ALERTS))
        return before, await sink.quiet(0, QUIET)


async def _silences(server: Server) -> int:
    """How many outlive a kill right after the last was taken."""
    async with server:
        for number in range(SILENCES):
            await server.silence(number)
    async with server:
        return await server.silences()


async def _measured(folder: Path) -> list[Figure]:
    figures = []
    async with Sink() as sink:
        ours = runwatch(folder / "ours", sink, EACH, on_call={"storm": "off"})
        before, after = await _again(ours, sink)
        left = await _silences(ours)
        figures += [
            at_most(f"runwatch: paged again, of {before:,}", after, "pages", 0),
            at_least(f"runwatch: silences left, of {SILENCES}", left, "silences", SILENCES),
        ]
        if not ALERTMANAGER:
            return [*figures, told("Alertmanager", "not installed here")]
        sink.clear()
        theirs = alertmanager(folder / "theirs", sink, EACH)
        before, after = await _again(theirs, sink)
        left = await _silences(theirs)
        figures += [
            told(f"Alertmanager: paged again, of {before:,}", f"{after:,} pages"),
            told(f"Alertmanager: silences left, of {SILENCES}", f"{left} silences"),
        ]
    return figures


def run(quick: bool) -> list[Figure]:
    """Both, one after the other."""
    with tempfile.TemporaryDirectory() as root:
        return asyncio.run(_measured(Path(root)))
