"""A SQLite file of ours: opened with care, written in whole transactions, and opened afresh after trouble."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

ResultT = TypeVar("ResultT")


class StoreUnusable(Exception):
    """The store can't be opened; the text names the file, the trouble and the way out."""


class Connection:
    """One connection, used from one thread at a time. Only this user may read the file.

    `tune` is run at every opening, `prepare` at the first: it makes the tables, and raises sqlite3.DatabaseError for a
    file that is damaged or not ours, which is then left as it is.
    """

    def __init__(
        self,
        path: Path,
        tune: Callable[[sqlite3.Connection], None],
        prepare: Callable[[sqlite3.Connection], None],
    ) -> None:
        self.path = path
        self._tune = tune
        self._failed = False
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._open = self._connected()
        except OSError as why:
            raise StoreUnusable(f"cannot open {path}: {why}") from None
        except sqlite3.DatabaseError as why:
            raise _damaged(path, why) from None
        try:
            prepare(self._open)
        except sqlite3.DatabaseError as why:
            self._open.close()
            raise _damaged(path, why) from None

    def transaction(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        """Do all of it or, with sqlite3.Error, none of it."""
        if self._failed:
            # After an I/O error SQLite may go on refusing when the disk has long recovered: begin afresh.
            self._open.close()
            self._open = self._connected()
        self._failed = True
        with self._open:
            self._open.execute("BEGIN IMMEDIATE")
            result = work(self._open)
        self._failed = False
        return result

    def read(self, statement: str, *parameters: object) -> sqlite3.Cursor:
        """The rows of a query."""
        return self._open.execute(statement, parameters)

    def close(self) -> None:
        """Let go of the file."""
        self._open.close()

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=1)
        try:
            self._tune(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def _damaged(path: Path, why: sqlite3.DatabaseError) -> StoreUnusable:
    return StoreUnusable(
        f"{path} is damaged or is not runwatch's: {why}. Nothing was changed. "
        f"Move it away to start afresh (open pages are then forgotten), or restore it from a backup"
    )
