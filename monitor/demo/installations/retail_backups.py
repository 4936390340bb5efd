"""Retail's backups: real dumps of PostgreSQL and Redis, in a folder and in S3; and what is wrong with them."""

from __future__ import annotations

import asyncio
import gzip
import os
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from monitor.demo.installation import fault
from monitor.demo.installations.retail_services import RetailServices
from monitor.demo.parts.aws import REGION, Moto
from monitor.demo.process import NotStarted
from monitor.demo.servers import own_clock, postgres_tool

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
        self.job_runs = True
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
        process = await asyncio.create_subprocess_exec(
            str(postgres_tool("pg_dump")), *options,
            self.database.address_for("postgres", self.database.password, "retail"),
            stdout=PIPE, stderr=PIPE, env={"LC_ALL": "C"},
        )  # fmt: skip
        made, said = await process.communicate()
        if process.returncode:
            raise NotStarted(f"cannot make a backup: {said.decode().strip()}")
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

    async def _cron(self) -> None:
        """Tonight's job at its time: the dumps, what is too old, and the sign of life."""
        due = self.night(0)
        before, self._looked_at = self._looked_at, self.now()
        if not self.job_runs or not before < due.timestamp() <= self._looked_at:
            return
        self.contents |= {"postgres": await self.dump(), "redis": await self._snapshot()}
        for what, days in KEPT.items():
            self._file(what, due)
            for old in self.files(what)[days + 1 :]:
                old.unlink()
            await asyncio.to_thread(self._store, what, self.contents[what])
        await self.ping(JOB)

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

    @fault("R14", "all dumps are gone from the folder")
    async def dumps_gone(self) -> AsyncIterator[None]:
        self.job_runs = False
        self.backups.joinpath("postgres").rename(self.folder / "lost")
        self.backups.joinpath("postgres").mkdir()
        yield
        self.backups.joinpath("postgres").rmdir()
        (self.folder / "lost").rename(self.backups / "postgres")
        self.job_runs = True

    @fault("R14.job", "cron's job fails")
    async def job_fails(self) -> AsyncIterator[None]:
        await self.ping(JOB, fails=True)
        yield
        with suppress(aiohttp.ClientError):  # where nobody watches any more
            await self.ping(JOB)

    @fault("R14.old", "Redis was not saved in the last two nights")
    async def snapshots_old(self) -> AsyncIterator[None]:
        self.job_runs = False
        for file in self.files("redis")[:2]:
            file.unlink()
        yield
        for days_ago in (0, 1):
            self._file("redis", self.night(days_ago))
        self.job_runs = True

    @fault("R14.shrunken", "the newest dump holds the tables, and no rows")
    async def dump_shrunken(self) -> AsyncIterator[None]:
        self._file("postgres", self.night(0), await self.dump("--schema-only"))
        yield
        self._file("postgres", self.night(0))

    @fault("R14.unreadable", "the newest dump ends in its middle: the disk was full")
    async def dump_cut(self) -> AsyncIterator[None]:
        whole = self.contents["postgres"]
        self._file("postgres", self.night(0), whole[: len(whole) * 9 // 10])
        yield
        self._file("postgres", self.night(0))

    @fault("R14.kept", "nobody has removed old dumps for five days")
    async def dumps_kept(self) -> AsyncIterator[None]:
        old = [self._file("postgres", self.night(KEPT["postgres"] + days)) for days in range(1, 6)]
        yield
        for file in old:
            file.unlink()

    @fault("R14.s3", "the dumps are gone from S3")
    async def objects_gone(self) -> AsyncIterator[None]:
        await asyncio.to_thread(self._empty, "postgres")
        yield
        await asyncio.to_thread(self._refill)

    @fault("R14.s3-old", "nothing came to S3 in the last two nights")
    async def objects_old(self) -> AsyncIterator[None]:
        await self._instead("postgres", (2.0, 1.0), (1.2, 1.0))
        yield
        await asyncio.to_thread(self._refill)

    @fault("R14.s3-shrunken", "the newest snapshot in S3 has a third of the size that the one before had")
    async def object_shrunken(self) -> AsyncIterator[None]:
        await self._instead("redis", (1.0, 1.0), (0.0, 0.3))
        yield
        await asyncio.to_thread(self._refill)

    @fault("R14.s3-kept", "snapshots in S3 are kept for over eight days")
    async def objects_kept(self) -> AsyncIterator[None]:
        await self._instead("redis", (10.0, 1.0), (9.0, 1.0), (1.0, 1.0), (0.0, 1.0))
        yield
        await asyncio.to_thread(self._refill)

    async def _instead(self, what: str, *objects: tuple[float, float]) -> None:
        """In place of what is in S3: objects of these ages in days, and of these shares of the usual size."""
        content = self.contents[what]

        def put() -> None:
            self._empty(what)
            for days_ago, share in objects:
                self._store(what, content[: round(len(content) * share)], days_ago)

        await asyncio.to_thread(put)
