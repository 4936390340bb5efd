"""Lavandaria's parts: the application, PostgreSQL, both containers, disks and files, and what people do with them."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from monitor.demo.installation import CannotDo, Installation
from monitor.demo.installations.lavandaria_app import SCHEMA, Application
from monitor.demo.installations.lavandaria_backups import Backups
from monitor.demo.installations.lavandaria_containers import APPLICATION, DATABASE, Containers
from monitor.demo.parts.disk import Disk
from monitor.demo.parts.recorded_engine import RecordedEngine
from monitor.demo.parts.site import Site
from monitor.demo.servers import Postgres

NAME = "lavandaria"
"""Of the database, and of the application's role in it."""
ORIGIN = "https://lavandaria.example.com"
MIB = 2**20
DAY = 86_400.0
CONNECTIONS = 80
"""That the database takes."""
SETTINGS = {
    "shared_preload_libraries": "pg_stat_statements", "max_connections": str(CONNECTIONS), "track_io_timing": "on",
    # Its disk is small.
    "max_wal_size": "48MB", "wal_keep_size": "0",
}  # fmt: skip
CONTAINERS = "containers"


class Parts(Installation):
    """What runs and lies there, and how it is handled; the faults are in the subclass."""

    name = NAME

    async def set_up(self) -> None:
        """Start every part; without root there are no disks of our own, and what seems an engine of containers."""
        self.password = secrets.token_hex(12)
        self.minutely: list[Callable[[], Awaitable[object]]] = []
        self._looks_on = self.now
        self.uploads_disk = Disk(self.folder / "uploads-disk", 64 * MIB)
        self.database_disk = Disk(self.folder / "postgres-disk", 256 * MIB)
        for disk in (self.uploads_disk, self.database_disk):
            self.stack.push_async_callback(disk.stop)
            await self.if_possible(f"a disk for {disk.folder.name}", disk.start())
            disk.folder.mkdir(exist_ok=True)
        self.uploads = self.uploads_disk.folder / "uploads"
        self.uploads.mkdir()
        self.database = await self.server(Postgres(self.database_disk.folder / "postgres", settings=SETTINGS))
        accounts = await self._fill_database()
        self.site = Site()
        self.containers = Containers(self.folder / "app", self.database.port, self.site.port)
        self.application = Application(
            self.site, self.application_dsn, self.uploads, (ORIGIN,), self._log, lambda: self.now()
        )
        self.stack.push_async_callback(self.containers.stop)
        self.recorded: RecordedEngine | None = None
        if not await self.if_possible(CONTAINERS, self.containers.start()):
            self.recorded = await self.stack.enter_async_context(RecordedEngine(DATABASE, APPLICATION))
        self.stack.push_async_callback(self.application.stop)
        await self.application.start()
        if self.recorded is None:
            await self.containers.recover()
        self.env_file = self.folder / "env"
        self.write_env(secrets.token_hex(32), 30 * DAY)
        self.backups = Backups(self.folder / "backups", lambda: self.now())
        await self.backups.make(self.database, NAME, self.uploads)
        await self.backups.keep()
        self.every(3600, self.backups.keep)
        self.every(60, self._minute)
        await self.inbox.mail.start()
        self.environment |= accounts | {
            "LAVANDARIA_URL": self.site.url,
            "LAVANDARIA_ORIGIN": ORIGIN,
            "LAVANDARIA_ENGINE": self.recorded.url if self.recorded else self.containers.engine.url,
            "LAVANDARIA_UPLOADS_DISK": _mount_of(self.uploads_disk.folder),
            "LAVANDARIA_DATABASE_DISK": _mount_of(self.database_disk.folder),
            "LAVANDARIA_BACKUPS": str(self.backups.folder),
            "LAVANDARIA_ENV_FILE": str(self.env_file),
            "LAVANDARIA_SMTP": self.inbox.mail.address,
            "LAVANDARIA_SMTP_TLS": "false",
        }

    async def _fill_database(self) -> dict[str, str]:
        """The application's tables, the roles; gives what runwatch needs to know of them."""
        watching, user, client = (secrets.token_hex(12) for _ in range(3))
        await self.sql(f"CREATE ROLE {NAME} LOGIN PASSWORD '{self.password}'", "postgres")
        await self.sql(f"CREATE ROLE runwatch LOGIN PASSWORD '{watching}'; GRANT pg_monitor TO runwatch", "postgres")
        await self.sql(f"CREATE DATABASE {NAME}", "postgres")
        await self.sql(f"CREATE EXTENSION pg_stat_statements; {SCHEMA}")
        await self.sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {NAME}")
        await self.sql(f"INSERT INTO accounts VALUES ('user', 'runwatch', '{user}'), ('client', 'anna', '{client}')")
        return {
            "LAVANDARIA_DATABASE_URL": self.database.address_for("runwatch", watching, NAME),
            "LAVANDARIA_USER": "runwatch",
            "LAVANDARIA_USER_PASSWORD": user,
            "LAVANDARIA_CLIENT": "anna",
            "LAVANDARIA_CLIENT_PASSWORD": client,
        }

    # --- what is there -------------------------------------------------------------------------------------------

    @property
    def application_dsn(self) -> str:
        """The database as the application reaches it."""
        return self.database.address_for(NAME, self.password, NAME)

    def _log(self, line: str) -> None:
        if self.recorded is None:
            self.containers.tell(line)
        else:
            self.recorded.log(APPLICATION, line)

    def engine(self) -> Containers:
        """The containers; CannotDo where there are none."""
        if CONTAINERS in self.missing:
            raise CannotDo(self.missing[CONTAINERS])
        return self.containers

    def disk(self, disk: Disk) -> Disk:
        """A disk that may be filled; CannotDo where there is none of our own."""
        why = self.missing.get(f"a disk for {disk.folder.name}")
        if why:
            raise CannotDo(why)
        return disk

    def write_env(self, secret: str, age: float = 0.0) -> None:
        """Write the file with SESSION_SECRET, as it was written so long ago."""
        self.env_file.touch(mode=0o600)
        self.env_file.write_text(f"NODE_ENV=production\nSESSION_SECRET={secret}\nCORS_ORIGINS={ORIGIN}\n")
        then = self.now() - age
        os.utime(self.env_file, (then, then))

    # --- starting and stopping -----------------------------------------------------------------------------------

    async def down(self) -> None:
        """As `docker-compose down`, and both containers made anew, as `docker-compose up` begins."""
        containers = self.engine()
        await self.application.stop()
        await self.database.stop()
        await containers.remove()
        await containers.make()

    async def database_starts(self) -> None:
        """The container of the database runs; PostgreSQL does not answer yet."""
        await self.containers.podman("start", DATABASE)

    async def application_starts(self) -> None:
        """The container of the application runs; it does not answer yet."""
        await self.containers.podman("start", APPLICATION)

    # --- the database --------------------------------------------------------------------------------------------

    async def sql(self, statements: str, database: str = NAME) -> None:
        """Run statements as the superuser."""
        connection = await self.database.connect(database)
        try:
            await connection.execute(statements)
        finally:
            await connection.close()

    async def password_of_application(self, password: str) -> None:
        """Have the database want this password of the application, whose connections are ended."""
        await self.sql(f"ALTER ROLE {NAME} PASSWORD '{password}'")
        await self.sql(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = '{NAME}'")

    # --- what people do ------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def each_minute(self, do: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
        """Within it this is done once in each minute of the time as runwatch sees it."""
        self.minutely.append(do)
        try:
            yield
        finally:
            self.minutely.remove(do)

    async def _minute(self) -> None:
        if self._looks_on is not self.now:
            # Another runwatch, whose time began elsewhere.
            self._looks_on = self.now
            self.application.forget_limits()
        for do in self.minutely:
            await do()

    async def customers(self, *requests: Awaitable[object]) -> None:
        """Have them all done, and wait until the container has logged all of it."""
        await asyncio.gather(*requests)
        if self.recorded is None:
            await self.containers.done()

    async def asks_for_prices(self) -> int:
        """A customer asks for the prices; gives the status."""
        return await self._ask("GET", "/api/prices", "198.51.100.4")

    async def tries_password(self, address: str) -> int:
        """Somebody at an address tries a password; gives the status."""
        return await self._ask("POST", "/api/auth/login/user", address)

    async def _ask(self, method: str, path: str, address: str) -> int:
        said = {"username": "master", "password": secrets.token_hex(4)} if method == "POST" else None
        async with (
            aiohttp.ClientSession(headers={"X-Forwarded-For": address}) as http,
            http.request(method, self.site.url + path, json=said) as answer,
        ):
            return answer.status

    @asynccontextmanager
    async def backups_as_they_are(self) -> AsyncIterator[None]:
        """Within it nobody makes backups; afterwards those of the scheme are there again."""
        self.backups.stopped = True
        try:
            yield
        finally:
            self.backups.stopped = False
            await self.backups.keep()


def _mount_of(folder: Path) -> str:
    """Where the file system that holds a folder is mounted."""
    while not folder.is_mount():
        folder = folder.parent
    return str(folder)
