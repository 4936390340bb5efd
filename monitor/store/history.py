"""Results in SQLite: batched in one thread, a quarter of a second behind, and never in the way of a probe."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from checks.base import Outcome, Result
from monitor.store.connection import Connection

FLUSH_EVERY = 0.25
FLUSH_AT = 500
MOST_WAITING = 50_000
KEPT_SECONDS = 86_400.0

SCHEMA = """
CREATE TABLE IF NOT EXISTS checks (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS results (
  at REAL NOT NULL, check_id INTEGER NOT NULL, outcome INTEGER NOT NULL, took REAL NOT NULL, reason TEXT
);
CREATE INDEX IF NOT EXISTS results_by_time ON results (at);
"""
CODES = {Outcome.OK: 0, Outcome.FAILED: 1, Outcome.ERROR: 2}

Row = tuple[float, int, int, float, str | None]


class History:
    """What every probe yielded, for a day. At kill -9 at most the last quarter of a second is lost."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dropped = 0
        self.trouble = ""
        self._connection = Connection(path, _tune, _prepare)
        self._ids = {key: number for number, key in self._connection.read("SELECT id, key FROM checks")}
        self._thread = ThreadPoolExecutor(1, "runwatch-history")
        self._rows: list[Row] = []
        self._names: list[tuple[int, str]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[None] | None = None

    @property
    def waiting(self) -> int:
        """Results not written yet."""
        return len(self._rows)

    def keep(self, check: str, result: Result) -> None:
        """Take one result; returns at once."""
        number = self._ids.get(check)
        if number is None:
            number = self._ids[check] = len(self._ids) + 1
            self._names.append((number, check))
        if len(self._rows) >= MOST_WAITING:
            self.dropped += 1
            return
        reason = result.reason.value if result.reason else None
        self._rows.append((result.at, number, CODES[result.outcome], result.took, reason))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_EVERY, self._flush)
        elif len(self._rows) == FLUSH_AT:
            self._timer.cancel()
            self._flush()

    def _flush(self) -> None:
        if self._writing is not None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_EVERY, self._flush)
            return
        self._timer = None
        rows, names = self._rows, self._names
        self._rows, self._names = [], []
        self._writing = asyncio.get_running_loop().run_in_executor(self._thread, self._write, rows, names)
        self._writing.add_done_callback(lambda ended: self._written(ended, rows, names))

    def _written(self, ended: asyncio.Future[None], rows: list[Row], names: list[tuple[int, str]]) -> None:
        self._writing = None
        trouble = None if ended.cancelled() else ended.exception()
        self.trouble = f"cannot write {self.path}: {trouble}" if trouble else ""
        if trouble is not None:
            self._names = names + self._names
            room = max(0, MOST_WAITING - len(self._rows))
            self.dropped += max(0, len(rows) - room)
            self._rows = rows[:room] + self._rows
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(1.0, self._flush)

    def _write(self, rows: list[Row], names: list[tuple[int, str]]) -> None:
        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR IGNORE INTO checks VALUES (?, ?)", names)
            connection.executemany("INSERT INTO results VALUES (?, ?, ?, ?, ?)", rows)

        self._connection.transaction(write)

    async def prune(self, now: float) -> None:
        """Forget results older than a day, a bounded number at a time."""

        def delete(connection: sqlite3.Connection) -> None:
            oldest = "SELECT rowid FROM results WHERE at < ? LIMIT 200000"
            connection.execute(f"DELETE FROM results WHERE rowid IN ({oldest})", (now - KEPT_SECONDS,))

        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.transaction, delete)
        except sqlite3.Error as why:
            self.trouble = f"cannot prune {self.path}: {why}"

    def close(self) -> None:
        """Write what waits, then let go of the file."""
        if self._timer is not None:
            self._timer.cancel()
        self._thread.shutdown(wait=True)
        try:
            self._write(self._rows, self._names)
        except sqlite3.Error as why:
            self.trouble = f"cannot write {self.path}: {why}"
        self._connection.close()


def _tune(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def _prepare(connection: sqlite3.Connection) -> None:
    connection.executescript(SCHEMA)
