"""Retail's backups: real dumps of PostgreSQL and Redis, in a folder and in S3; and what is wrong with them."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from monitor.demo.installation import fault
from monitor.demo.installations.retail_services import RetailServices
from monitor.demo.parts import postgres
from monitor.demo.parts.aws import REGION, Moto
from monitor.demo.process import NotStarted
from monitor.demo.servers import own_clock

JOB = "7f7a1c3e-5a2f-4d6b-9a53-2f1f0b6c8d02"
BUCKET = "retail-backups"
DAY = 86_400.0
NAMES = {"postgres": "retail_db_production_{}.sql.gz", "redis": "redis_{}.rdb.gz"}
KEPT = {"postgres": 30, "redis": 7}


class Storage(Moto):
    """S3, whose clock can be set back, so that what is stored is old at once."""

    title = "S3"

    def clock_back(self, days: float) -> None:
        """Set its clock back by so much."""
        (self.folder / "clock").write_text(f"{-days * DAY:+.0f}")

    async def _prepare(self) -> None:
        await super()._prepare()
        self.clock_back(0)

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), **own_clock(self.folder / "clock")}


class RetailBackups(RetailServices):
    """Backups of the last days, and the job that makes another each night at two."""

    async def start_storage(self) -> None:
        """Start S3, in which nothing is yet."""
        self.storage = await self.server(Storage(self.folder / "s3"))

    async def start_backups(self) -> None:
        """Make them."""
        self.backups = self.folder / "backups"
        self.job_runs = self.job_prunes = True
        self._looked_at = self.now()
        self.contents = {"postgres": await self.dump(), "redis": await self._snapshot()}
        for what, days in KEPT.items():
            (self.backups / what).mkdir(parents=True)
            for day in range(days + 1):
                self._file(what, self.night(day))
        await asyncio.to_thread(self._fill_storage)
        self.every(60, self._cron)
        self.environment |= {
            "RETAIL_BACKUPS": str(self.backups),
            "RETAIL_BACKUP_UUID": JOB,
            "RETAIL_BUCKET": BUCKET,
            "RETAIL_AWS_REGION": REGION,
            "RETAIL_S3_URL": self.storage.url,
            "RETAIL_AWS_KEY_ID": self.storage.key_id,
            "RETAIL_AWS_SECRET": self.storage.secret,
        }

    async def dump(self, *options: str) -> bytes:
        """What pg_dump makes of the database, compressed."""
        made = await postgres.dump(self.database.address_for("postgres", self.database.password, "retail"), *options)
        return await asyncio.to_thread(gzip.compress, made)

    async def _snapshot(self) -> bytes:
        """Redis' own snapshot, compressed."""
        if await self.cache.command("SAVE") != "+OK":
            raise NotStarted("cannot make a backup: Redis saves nothing")
        return gzip.compress((self.cache.folder / "dump.rdb").read_bytes())

    def night(self, days_ago: int) -> datetime:
        """When the backup of so many nights ago was made, 0 being the last one."""
        now = datetime.fromtimestamp(self.now(), UTC)
        tonight = now.replace(hour=2, minute=0, second=0, microsecond=0)
        return tonight - timedelta(days=days_ago + (tonight > now))

    def files(self, what: str) -> list[Path]:
        """The newest first."""
        return sorted((self.backups / what).iterdir(), reverse=True)

    def _file(self, what: str, at: datetime, content: bytes | None = None) -> Path:
        file = self.backups / what / NAMES[what].format(f"{at:%Y%m%d_%H%M%S}")
        file.write_bytes(self.contents[what] if content is None else content)
        os.utime(file, (at.timestamp(),) * 2)
        return file

    def _prune(self, what: str) -> None:
        for old in self.files(what)[KEPT[what] + 1 :]:
            old.unlink()

    async def _cron(self) -> None:
        """Tonight's job at its time, or as soon as it runs again: the dumps, what is too old, and the sign of life."""
        if not self.job_runs:
            return
        due, now = self.night(0), self.now()
        if self._looked_at < due.timestamp() <= now:
            self.contents |= {"postgres": await self.dump(), "redis": await self._snapshot()}
            for what in KEPT:
                self._file(what, due)
                if self.job_prunes:
                    self._prune(what)
                await asyncio.to_thread(self._store, what, self.contents[what])
            await self.ping(JOB)
        self._looked_at = now

    # --- S3 ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _s3(self) -> Iterator[Any]:
        with closing(self.storage.client("s3")) as client:
            yield client

    def _fill_storage(self) -> None:
        self.storage.lock()
        with self._s3() as s3:
            s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        self._refill()

    def _refill(self) -> None:
        """What there is when all is well: the backups of three nights."""
        for what, content in self.contents.items():
            self._empty(what)
            for days_ago in (2, 1, 0):
                self._store(what, content, days_ago)

    def _store(self, what: str, content: bytes, days_ago: float = 0.0) -> None:
        self.storage.clock_back(days_ago)
        at = datetime.now(UTC) - timedelta(days=days_ago)
        with self._s3() as s3:
            s3.put_object(Bucket=BUCKET, Key=f"{what}/{NAMES[what].format(f'{at:%Y%m%d_%H%M%S}')}", Body=content)
        self.storage.clock_back(0)

    def _empty(self, what: str) -> None:
        with self._s3() as s3:
            for one in s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{what}/").get("Contents", []):
                s3.delete_object(Bucket=BUCKET, Key=one["Key"])

    # --- what goes wrong -----------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _job_rests(self) -> AsyncIterator[None]:
        """Within it nobody makes a backup: what is wrong stays so, also at two."""
        self.job_runs = False
        try:
            yield
        finally:
            self.job_runs = True

    @fault("R14", "all dumps are gone from the folder")
    async def dumps_gone(self) -> AsyncIterator[None]:
        async with self._job_rests():
            self.backups.joinpath("postgres").rename(self.folder / "lost")
            self.backups.joinpath("postgres").mkdir()
            yield
            self.backups.joinpath("postgres").rmdir()
            (self.folder / "lost").rename(self.backups / "postgres")

    @fault("R14.job", "cron's job fails")
    async def job_fails(self) -> AsyncIterator[None]:
        await self.ping(JOB, fails=True)
        yield
        await self.ping(JOB)

    @fault("R14.old", "Redis was not saved in the last two nights")
    async def snapshots_old(self) -> AsyncIterator[None]:
        nights = [self.night(days_ago) for days_ago in (0, 1)]
        async with self._job_rests():
            for file in self.files("redis")[:2]:
                file.unlink()
            yield
            for night in nights:
                self._file("redis", night)

    @fault("R14.shrunken", "the newest dump holds the tables, and no rows")
    async def dump_shrunken(self) -> AsyncIterator[None]:
        async with self._newest_dump(await self.dump("--schema-only")):
            yield

    @fault("R14.unreadable", "the newest dump ends in its middle: the disk was full")
    async def dump_cut(self) -> AsyncIterator[None]:
        whole = self.contents["postgres"]
        async with self._newest_dump(whole[: len(whole) * 9 // 10]):
            yield

    @asynccontextmanager
    async def _newest_dump(self, content: bytes) -> AsyncIterator[None]:
        newest = self.night(0)
        async with self._job_rests():
            self._file("postgres", newest, content)
            yield
            self._file("postgres", newest)

    @fault("R14.kept", "nobody has removed old dumps for five days")
    async def dumps_kept(self) -> AsyncIterator[None]:
        self.job_prunes = False
        for days in range(1, 6):
            self._file("postgres", self.night(KEPT["postgres"] + days))
        yield
        self.job_prunes = True
        for what in KEPT:
            self._prune(what)

    @fault("R14.s3", "the dumps are gone from S3")
    async def objects_gone(self) -> AsyncIterator[None]:
        async with self._job_rests(), self._instead("postgres"):
            yield

    @fault("R14.s3-old", "nothing came to S3 in the last two nights")
    async def objects_old(self) -> AsyncIterator[None]:
        async with self._job_rests(), self._instead("postgres", (2.0, 1.0), (1.2, 1.0)):
            yield

    @fault("R14.s3-shrunken", "the newest snapshot in S3 has a third of the size that the one before had")
    async def object_shrunken(self) -> AsyncIterator[None]:
        async with self._job_rests(), self._instead("redis", (1.0, 1.0), (0.0, 0.3)):
            yield

    @fault("R14.s3-kept", "snapshots in S3 are kept for over eight days")
    async def objects_kept(self) -> AsyncIterator[None]:
        async with self._instead("redis", (10.0, 1.0), (9.0, 1.0), (1.0, 1.0), (0.0, 1.0)):
            yield

    @asynccontextmanager
    async def _instead(self, what: str, *objects: tuple[float, float]) -> AsyncIterator[None]:
        """In place of what is in S3: objects of these ages in days, and of these shares of the usual size."""
        content = self.contents[what]

        def put() -> None:
            self._empty(what)
            for days_ago, share in objects:
                self._store(what, content[: round(len(content) * share)], days_ago)

        await asyncio.to_thread(put)
        yield
        await asyncio.to_thread(self._refill)
