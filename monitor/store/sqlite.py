"""Alerts and the outbox in SQLite: what is acknowledged here is on disk, all of it or none of it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import orjson

from alerts.escalation import Escalation
from alerts.outbox import Changes, Entry, Kept, NotKept, Proof, alert_from, parcel_from
from alerts.silences import silence_data, silence_from
from alerts.telling import Telling
from monitor.store.connection import Connection, StoreUnusable

VERSION = 2
LEDGER_KEPT = 50_000

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alerts (fingerprint TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tellings (key TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (id TEXT PRIMARY KEY, created REAL NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS thread_refs (thread TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS silences (id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS escalations (key TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS proofs (key TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ledger (
  id INTEGER PRIMARY KEY, parcel TEXT NOT NULL, receiver TEXT NOT NULL, status TEXT NOT NULL, ended REAL NOT NULL,
  body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS ledger_by_time ON ledger (ended);
"""


Rows = dict[str, list[tuple[Any, ...]]]


class SqliteStore:
    """One database file, held by one process at a time; every `write` is one fsync, shared by all who wait."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread = ThreadPoolExecutor(1, "runwatch-store")
        self._waiting: list[tuple[Rows, asyncio.Future[None]]] = []
        self._writing = False
        self.commit_seconds = 0.0
        self._lock = _lock(path)
        try:
            self._connection = Connection(path, _tune, _prepare)
        except BaseException:
            self._lock.close()
            raise

    def load(self) -> Kept:
        """Everything that was kept; blocks, so only before the loop runs."""
        return kept_from(self._connection.read)

    async def write(self, changes: Changes) -> None:
        """Return when all of it is on disk; raise NotKept, with nothing of it written, when that can't be done."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((rows_of(changes), done))
        if not self._writing:
            self._commit_waiting()
        await done

    def _commit_waiting(self) -> None:
        batch, self._waiting = self._waiting, []
        self._writing = True
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._thread, self._commit, [rows for rows, _ in batch])
        work.add_done_callback(lambda ended: self._committed(ended, [done for _, done in batch]))

    def _committed(self, ended: asyncio.Future[None], waiting: Iterable[asyncio.Future[None]]) -> None:
        self._writing = False
        trouble = None if ended.cancelled() else ended.exception()
        for done in waiting:
            if done.done():
                continue
            if trouble is None:
                done.set_result(None)
            else:
                done.set_exception(NotKept(f"cannot write {self.path}: {trouble}"))
        if self._waiting:
            self._commit_waiting()

    def _commit(self, batches: list[Rows]) -> None:
        started = time.perf_counter()

        def write(connection: sqlite3.Connection) -> None:
            for rows in batches:
                for statement, parameters in rows.items():
                    connection.executemany(statement, parameters)

        self._connection.transaction(write)
        self.commit_seconds = time.perf_counter() - started

    async def entries(self, most: int = 100) -> list[dict[str, Any]]:
        """The newest lines of the ledger, newest first."""

        def read() -> list[dict[str, Any]]:
            found = self._connection.read("SELECT body FROM ledger ORDER BY id DESC LIMIT ?", most)
            return [orjson.loads(body) for (body,) in found]

        return await asyncio.get_running_loop().run_in_executor(self._thread, read)

    async def entries_about(self, fingerprint: str, most: int = 100) -> list[dict[str, Any]]:
        """The newest lines of the ledger about one alert, oldest first; looks through all of it."""

        def read() -> list[dict[str, Any]]:
            statement = "SELECT body FROM ledger WHERE instr(body, ?) ORDER BY id DESC LIMIT ?"
            found = self._connection.read(statement, f'"{fingerprint}"'.encode(), most)
            return [orjson.loads(body) for (body,) in found][::-1]

        return await asyncio.get_running_loop().run_in_executor(self._thread, read)

    async def prune(self) -> None:
        """Forget the oldest lines of the ledger beyond what is kept."""

        def delete(connection: sqlite3.Connection) -> None:
            newest = "(SELECT coalesce(max(id), 0) FROM ledger)"
            connection.execute(f"DELETE FROM ledger WHERE id <= {newest} - ?", (LEDGER_KEPT,))

        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.transaction, delete)
        except sqlite3.Error as why:
            raise NotKept(f"cannot prune {self.path}: {why}") from None

    def close(self) -> None:
        """Finish what is being written, then let go of the file."""
        self._thread.shutdown(wait=True)
        self._connection.close()
        self._lock.close()


def kept_from(read: Callable[[str], Iterable[tuple[Any, ...]]]) -> Kept:
    """What the tables hold; `read` gives the rows of a query."""
    parcels = read("SELECT body FROM outbox ORDER BY created, id")
    return Kept(
        alerts=[alert_from(orjson.loads(body)) for (body,) in read("SELECT body FROM alerts")],
        tellings=[Telling(**orjson.loads(body)) for (body,) in read("SELECT body FROM tellings")],
        parcels=[parcel_from(orjson.loads(body)) for (body,) in parcels],
        references={thread: orjson.loads(body) for thread, body in read("SELECT thread, body FROM thread_refs")},
        silences=[silence_from(orjson.loads(body)) for (body,) in read("SELECT body FROM silences")],
        escalations=[Escalation(**orjson.loads(body)) for (body,) in read("SELECT body FROM escalations")],
        proofs=[Proof(**orjson.loads(body)) for (body,) in read("SELECT body FROM proofs")],
    )


def rows_of(changes: Changes) -> Rows:
    """The statements that write changes, each with its parameters."""
    # Encoded here, on the loop: the objects go on changing while the thread writes.
    rows: Rows = {}

    def put(table: str, key: str, things: Iterable[tuple[str, Any]]) -> None:
        for name, thing in things:
            if thing is None:
                rows.setdefault(f"DELETE FROM {table} WHERE {key} = ?", []).append((name,))
            else:
                statement = f"INSERT OR REPLACE INTO {table} ({key}, body) VALUES (?, ?)"
                rows.setdefault(statement, []).append((name, orjson.dumps(thing)))

    put("alerts", "fingerprint", changes.alerts.items())
    put("tellings", "key", changes.tellings.items())
    put("silences", "id", ((name, one and silence_data(one)) for name, one in changes.silences.items()))
    put("escalations", "key", changes.escalations.items())
    put("proofs", "key", changes.proofs.items())
    put("thread_refs", "thread", ((thread, dict(ref) or None) for thread, ref in changes.references.items()))
    for name, parcel in changes.parcels.items():
        if parcel is None:
            rows.setdefault("DELETE FROM outbox WHERE id = ?", []).append((name,))
        else:
            rows.setdefault("INSERT OR REPLACE INTO outbox (id, created, body) VALUES (?, ?, ?)", []).append(
                (name, parcel.created, orjson.dumps(parcel))
            )
    if changes.entries:
        statement = "INSERT INTO ledger (parcel, receiver, status, ended, body) VALUES (?, ?, ?, ?, ?)"
        rows[statement] = [_ledger_row(entry) for entry in changes.entries]
    return rows


def _ledger_row(entry: Entry) -> tuple[Any, ...]:
    return entry.parcel, entry.receiver, entry.status, entry.ended, orjson.dumps(entry)


def _lock(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = open(path.with_name(path.name + ".lock"), "a+", encoding="utf-8")  # noqa: SIM115
    except OSError as why:
        raise StoreUnusable(f"cannot use {path}: {why.strerror}; give the daemon a folder it may write") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        owner = lock.read().strip() or "unknown"
        lock.close()
        raise StoreUnusable(
            f"another runwatch (process {owner}) uses {path}: stop it, or give this one its own store"
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _tune(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _prepare(connection: sqlite3.Connection) -> None:
    [found] = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(found)
    connection.executescript(SCHEMA)
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('version', ?)", (str(VERSION),))
    [version] = connection.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()
    if int(version) > VERSION:
        raise sqlite3.DatabaseError(f"it was written by a newer runwatch (layout {version}, this one knows {VERSION})")
    connection.execute("UPDATE meta SET value = ? WHERE name = 'version'", (str(VERSION),))
