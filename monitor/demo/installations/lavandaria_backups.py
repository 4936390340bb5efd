"""Lavandaria's backups: real dumps and archives in a folder, of the days, weeks and months that are kept."""

from __future__ import annotations

import asyncio
import os
import tarfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from monitor.demo.parts.postgres import dump
from monitor.demo.servers import Postgres

DAYS, WEEKS, MONTHS = 8, 5, 12
SORTS = ("backup_{}.sql", "uploads_{}.tar.gz")


class Backups:
    """`folder` as `scripts/backup.sh` leaves it. `now` is the time by which the files are dated."""

    def __init__(self, folder: Path, now: Callable[[], float]) -> None:
        self.folder = folder
        self.stopped = False
        """Whether nobody makes backups any more, nor mends what is wrong with those that there are."""
        self._now = now
        self._made: dict[str, bytes] = {}

    async def make(self, database: Postgres, name: str, uploads: Path) -> None:
        """Have pg_dump and tar make one of each, of which those of all days are copies."""
        self.folder.mkdir(parents=True, exist_ok=True)
        dumped = await dump(database.address_for("postgres", database.password, name))
        archive = self.folder / "new"
        await asyncio.to_thread(_pack, archive, uploads)
        self._made = dict(zip(SORTS, (dumped, archive.read_bytes()), strict=True))
        archive.unlink()

    async def keep(self) -> None:
        """Have the files of the scheme by now, and no others."""
        if not self.stopped:
            await asyncio.to_thread(self._keep)

    def files(self, sort: str) -> list[Path]:
        """The files of one of SORTS, the newest first."""
        return sorted(self.folder.glob(sort.format("*")), reverse=True)

    def cut(self, file: Path, share: float) -> None:
        """Leave so much of a file, with the time of its last change as it was."""
        self._write(file, file.read_bytes()[: round(file.stat().st_size * share)], file.stat().st_mtime)

    def _keep(self) -> None:
        wanted = {
            self.folder / sort.format(f"{at:%Y%m%d_%H%M}"): (content, at.timestamp())
            for at in days_kept(datetime.fromtimestamp(self._now(), UTC))
            for sort, content in self._made.items()
        }
        for file in {*self.folder.iterdir()} - {*wanted}:
            file.unlink()
        for file, (content, at) in wanted.items():
            if not file.exists() or file.stat().st_size != len(content):
                self._write(file, content, at)

    @staticmethod
    def _write(file: Path, content: bytes, changed: float) -> None:
        file.write_bytes(content)
        os.utime(file, (changed, changed))


def days_kept(now: datetime) -> set[datetime]:
    """When those that are kept were made: at two, UTC, each night of a week, each Sunday, each first of a month."""

    def back() -> Iterator[datetime]:
        at = (now - timedelta(minutes=5)).replace(hour=2, minute=0, second=0, microsecond=0)
        at = at if at <= now - timedelta(minutes=5) else at - timedelta(days=1)
        while True:
            yield at
            at -= timedelta(days=1)

    kept, weeks, months = set[datetime](), 0, 0
    for day, at in enumerate(back()):
        sunday, first = at.weekday() == 6 and weeks < WEEKS, at.day == 1
        weeks, months = weeks + sunday, months + first
        if day < DAYS or sunday or first:
            kept.add(at)
        if months == MONTHS:
            return kept
    raise AssertionError("there is always another day")


def _pack(archive: Path, uploads: Path) -> None:
    with tarfile.open(archive, "w:gz") as made:
        made.add(uploads, "uploads")
