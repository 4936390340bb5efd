"""Results, decisions, and what checks remember, in SQLite: batched in one thread, a quarter of a second behind."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from alerts.decisions import Decision
from checks.base import Labels, Result
from monitor.store import recall
from monitor.store.connection import Connection

FLUSH_EVERY = 0.25
FLUSH_AT = 500
MOST_WAITING = 50_000
KEPT_SECONDS = 86_400.0
MONTH = 30 * 86_400.0
TABLES = {"results": KEPT_SECONDS, "samples": KEPT_SECONDS, "decisions": MONTH}
"""How long the rows of each table are kept, in seconds."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS checks (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS results (
  at REAL NOT NULL, check_id INTEGER NOT NULL, outcome INTEGER NOT NULL, took REAL NOT NULL, reason TEXT
);
CREATE INDEX IF NOT EXISTS results_by_time ON results (at);
CREATE TABLE IF NOT EXISTS samples (
  at REAL NOT NULL, check_id INTEGER NOT NULL, name TEXT NOT NULL, labels TEXT NOT NULL, value REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS samples_by_time ON samples (at);
CREATE TABLE IF NOT EXISTS memories (
  check_id INTEGER PRIMARY KEY, at REAL NOT NULL, about TEXT NOT NULL, content BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS decisions (
  at REAL NOT NULL, fingerprint TEXT NOT NULL, alert TEXT NOT NULL, step TEXT NOT NULL, why TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS decisions_by_alert ON decisions (fingerprint, at);
CREATE INDEX IF NOT EXISTS decisions_by_name ON decisions (alert, at);
CREATE INDEX IF NOT EXISTS decisions_by_time ON decisions (at);
"""

Row = tuple[float, int, int, float, str | None]
Sample = tuple[float, int, str, str, float]


@dataclass(slots=True)
class _Batch:
    """What is to be written together."""

    rows: list[Row] = field(default_factory=list)
    names: list[tuple[int, str]] = field(default_factory=list)
    decisions: list[tuple[float, str, str, str, str]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    memories: dict[int, tuple[float, str, bytes]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows) + len(self.decisions) + len(self.samples)

    def take_back(self, batch: _Batch) -> int:
        """Put what could not be written before what came since, as far as there is room; how much was dropped."""
        self.names = batch.names + self.names
        self.memories = batch.memories | self.memories
        room, before = max(0, MOST_WAITING - len(self)), len(self)
        rows = batch.rows[:room]
        samples = batch.samples[: room - len(rows)]
        decisions = batch.decisions[: room - len(rows) - len(samples)]
        self.rows, self.samples, self.decisions = rows + self.rows, samples + self.samples, decisions + self.decisions
        return len(batch) - (len(self) - before)


class History:
    """What every probe yielded, for a day; what was decided about alerts, for a month; what checks remember.

    At kill -9 at most the last quarter of a second is lost; what a check remembers is as old as its newest result.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dropped = 0
        self.trouble = ""
        self._connection = Connection(path, _tune, _prepare)
        self._ids = {key: number for number, key in self._connection.read("SELECT id, key FROM checks")}
        self._thread = ThreadPoolExecutor(1, "runwatch-history")
        self._batch = _Batch()
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[None] | None = None

    @property
    def waiting(self) -> int:
        """Results and decisions not written yet."""
        return len(self._batch)

    def keep(self, check: str, result: Result, samples: Sequence[tuple[str, float, Labels]] = ()) -> None:
        """Take one result, with those of its measurements that windows remember; returns at once."""
        number = self._number(check)
        if len(self._batch) >= MOST_WAITING:
            self.dropped += 1
            return
        reason = result.reason.value if result.reason else None
        self._batch.rows.append((result.at, number, recall.CODES[result.outcome], result.took, reason))
        for name, value, labels in samples:
            self._batch.samples.append((result.at, number, name, recall.written(labels), value))
        self._flush_soon()

    def keep_memory(self, check: str, at: float, about: str, content: bytes) -> None:
        """Take what a check remembers; returns at once. `about` says for what it is good, `at` is now."""
        self._batch.memories[self._number(check)] = at, about, content
        self._flush_soon()

    async def settled(self) -> str:
        """Wait until all that was taken so far is written, or could not be: then why not."""
        await self._written_out()
        if self._writing is None:
            self._flush()
        # Otherwise somebody else who waits has begun to write it all.
        await self._written_out()
        return self.trouble

    async def _written_out(self) -> None:
        if self._writing is not None:
            await asyncio.wait([self._writing])

    def memories(self) -> dict[str, tuple[str, bytes]]:
        """What was remembered of each check when it was last written: for what that is good, and the content."""
        return recall.memories(self._connection.read)

    def probes(self, reach: Mapping[str, float], now: float) -> Iterator[recall.Probe]:
        """The probes of these checks as far back as each reaches (seconds before `now`), oldest first."""
        return recall.probes(self._connection, reach, now)

    def _number(self, check: str) -> int:
        number = self._ids.get(check)
        if number is None:
            number = self._ids[check] = len(self._ids) + 1
            self._batch.names.append((number, check))
        return number

    def keep_decisions(self, decisions: Iterable[Decision]) -> None:
        """Take what was decided about alerts, and why; returns at once."""
        self._batch.decisions += [(one.at, one.fingerprint, one.alert, one.step, one.why) for one in decisions]
        self._flush_soon()

    async def decisions(self, fingerprint: str, most: int = 200) -> list[Decision]:
        """The newest decisions about one alert, oldest first, those not written yet included."""
        if self._batch.decisions:
            self._flush()
        if self._writing is not None:
            await asyncio.wait([self._writing])

        def read() -> list[Decision]:
            statement = (
                "SELECT fingerprint, alert, at, step, why FROM decisions WHERE fingerprint = ? "
                "ORDER BY at DESC, rowid DESC LIMIT ?"
            )
            return [Decision(*row) for row in self._connection.read(statement, fingerprint, most)][::-1]

        return await asyncio.get_running_loop().run_in_executor(self._thread, read)

    async def decided_about(self, text: str, most: int = 20) -> dict[str, str]:
        """Name and check of the alerts that a text may mean, by fingerprint, the latest first: the beginning of a
        fingerprint, or of a name.
        """

        def read() -> dict[str, str]:
            statement = (
                "SELECT fingerprint, alert FROM decisions WHERE fingerprint GLOB ? OR alert GLOB ? "
                "GROUP BY fingerprint ORDER BY max(at) DESC LIMIT ?"
            )
            pattern = "".join(f"[{char}]" if char in "*?[" else char for char in text) + "*"
            return dict(self._connection.read(statement, pattern, pattern, most).fetchall())

        return await asyncio.get_running_loop().run_in_executor(self._thread, read)

    def _flush_soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_EVERY, self._flush)
        elif len(self._batch) == FLUSH_AT:
            self._timer.cancel()
            self._flush()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writing is not None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_EVERY, self._flush)
            return
        batch, self._batch = self._batch, _Batch()
        self._writing = asyncio.get_running_loop().run_in_executor(self._thread, self._write, batch)
        self._writing.add_done_callback(lambda ended: self._written(ended, batch))

    def _written(self, ended: asyncio.Future[None], batch: _Batch) -> None:
        self._writing = None
        trouble = None if ended.cancelled() else ended.exception()
        self.trouble = f"cannot write {self.path}: {trouble}" if trouble else ""
        if trouble is not None:
            self.dropped += self._batch.take_back(batch)
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(1.0, self._flush)

    def _write(self, batch: _Batch) -> None:
        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR IGNORE INTO checks VALUES (?, ?)", batch.names)
            connection.executemany("INSERT INTO results VALUES (?, ?, ?, ?, ?)", batch.rows)
            connection.executemany("INSERT INTO decisions VALUES (?, ?, ?, ?, ?)", batch.decisions)
            if batch.samples:
                connection.executemany("INSERT INTO samples VALUES (?, ?, ?, ?, ?)", batch.samples)
            if batch.memories:
                rows = [(number, *memory) for number, memory in batch.memories.items()]
                connection.executemany("INSERT OR REPLACE INTO memories VALUES (?, ?, ?, ?)", rows)

        self._connection.transaction(write)

    async def prune(self, now: float, checks: Iterable[str] = ()) -> None:
        """Forget results older than a day and decisions older than a month, a bounded number at a time; and what was
        remembered a month ago of checks that are no longer among `checks`.
        """
        watched = [number for check in checks if (number := self._ids.get(check)) is not None]

        def delete(connection: sqlite3.Connection) -> None:
            for table, kept in TABLES.items():
                oldest = f"SELECT rowid FROM {table} WHERE at < ? LIMIT 200000"
                connection.execute(f"DELETE FROM {table} WHERE rowid IN ({oldest})", (now - kept,))
            old = connection.execute("SELECT check_id FROM memories WHERE at < ?", (now - MONTH,)).fetchall()
            gone = [(number,) for (number,) in old if number not in set(watched)]
            connection.executemany("DELETE FROM memories WHERE check_id = ?", gone)

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
            self._write(self._batch)
        except sqlite3.Error as why:
            self.trouble = f"cannot write {self.path}: {why}"
        self._connection.close()


def results_beside(store: Path) -> Path:
    """The file of results that belongs to a store's file."""
    return store.with_suffix(".results" + store.suffix)


def _tune(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def _prepare(connection: sqlite3.Connection) -> None:
    connection.executescript(SCHEMA)
