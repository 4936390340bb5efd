"""What is read back at the start: what checks remember, and the probes that their windows reach."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import orjson

from checks.base import Labels, Outcome
from monitor.store.connection import Connection

CODES = {Outcome.OK: 0, Outcome.FAILED: 1, Outcome.ERROR: 2}
OUTCOMES = {code: outcome for outcome, code in CODES.items()}

MOST_ROWS = 500_000
"""Rows of probes that a start reads back at most (0.5 s); where windows reach further, the newest."""


class Probe(NamedTuple):
    """One probe as far as windows remember it."""

    check: str
    at: float
    outcome: Outcome
    took: float
    measurements: list[tuple[str, float, Labels]]


def written(labels: Labels) -> str:
    """Labels as a text; empty for none."""
    return orjson.dumps(labels).decode() if labels else ""


def memories(read: Callable[[str], sqlite3.Cursor]) -> dict[str, tuple[str, bytes]]:
    """For each check for what its memory is good, and the content."""
    statement = "SELECT key, about, content FROM memories JOIN checks ON id = check_id"
    return {key: (about, content) for key, about, content in read(statement)}


def memories_of_another(path: Path) -> dict[str, tuple[str, bytes]]:
    """The same out of a file that a daemon may be writing; empty where there is none that can be read."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1)) as connection:
            return memories(connection.execute)
    except sqlite3.Error:
        return {}


def probes(connection: Connection, reach: Mapping[str, float], now: float) -> Iterator[Probe]:
    """The probes of the checks in `reach`, as far back as it says of each (seconds before `now`), oldest first."""
    if not reach:
        return
    names = dict(connection.read("SELECT id, key FROM checks"))
    since = now - max(reach.values())
    columns = {"results": "at, check_id, NULL, '', outcome, took", "samples": "at, check_id, name, labels, value, 0"}
    rows = [
        connection.read(
            f"SELECT {held} FROM {table} WHERE at > ? AND at >= (SELECT coalesce(min(at), 0) FROM "
            f"(SELECT at FROM {table} ORDER BY at DESC LIMIT ?)) ORDER BY at, check_id",
            since, MOST_ROWS // 2,
        )
        for table, held in columns.items()
    ]  # fmt: skip
    together = heapq.merge(*rows, key=lambda row: row[:2])
    for (at, number), group in groupby(together, key=lambda row: row[:2]):
        check = names.get(number, "")
        if check not in reach or at <= now - reach[check]:
            continue
        measured: list[tuple[str, float, Labels]] = []
        outcome, took = Outcome.ERROR, 0.0
        for _, _, name, labels, value, seconds in group:
            if name is None:
                outcome, took = OUTCOMES[value], seconds
            else:
                pairs = orjson.loads(labels) if labels else []
                measured.append((name, value, tuple((label, text) for label, text in pairs)))
        yield Probe(check, at, outcome, took, measured)
