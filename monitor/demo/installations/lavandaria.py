"""Lavandaria as a simulated installation: what can go wrong with its application, its containers and its database."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator

from aiohttp import web

from monitor.demo.installation import fault
from monitor.demo.installations.lavandaria_app import PATIENCE, POOL, SLOW
from monitor.demo.installations.lavandaria_backups import SORTS
from monitor.demo.installations.lavandaria_containers import APPLICATION, DATABASE, FAILURES
from monitor.demo.installations.lavandaria_parts import CONNECTIONS, NAME, Parts
from monitor.demo.parts.postgres import connections

DAY = 86_400.0
LATE = 5.1
"""Seconds after which a slow answer comes."""


class Lavandaria(Parts):
    """The faults; what is broken by them is in Parts."""

    name = "lavandaria"

    # --- the application -----------------------------------------------------------------------------------------

    @fault("L01", "the application takes no connections any more, though its container runs")
    async def application_deaf(self) -> AsyncIterator[None]:
        await self.application.stop()
        yield
        await self.application.start()

    @fault("L01.login", "the database refuses the application's password")
    async def application_refused(self) -> AsyncIterator[None]:
        await self.password_of_application(secrets.token_hex(8))
        yield
        await self.password_of_application(self.password)

    @fault("L01.database", "PostgreSQL is killed, though its container runs")
    async def database_killed(self) -> AsyncIterator[None]:
        await self.database.kill()
        yield
        await self.database.start()

    @fault("L02", "everything is started anew, and the application does not come up")
    async def start_fails(self) -> AsyncIterator[None]:
        await self.down()
        await self.database_starts()
        await self.database.start()
        await self.application_starts()
        yield
        await self.application.start()

    @fault("L07", "CORS_ORIGINS is another")
    async def other_origins(self) -> AsyncIterator[None]:
        before, self.application.origins = self.application.origins, ("http://localhost:3001",)
        yield
        self.application.origins = before

    @fault("L14", "the application asks its database for five seconds, whether it is ready")
    async def slow(self) -> AsyncIterator[None]:
        async def late(request: web.Request) -> web.Response:
            await asyncio.sleep(LATE)
            return await self.application.ready(request)

        with self.site.handling("/api/readyz", late):
            yield

    # --- the containers ------------------------------------------------------------------------------------------

    @fault("L03", "the application ends, because SESSION_SECRET is missing")
    async def application_ends(self) -> AsyncIterator[None]:
        containers = self.engine()
        await self.application.stop()
        containers.tell("❌ FATAL: SESSION_SECRET is not set")
        containers.tell("/exit")
        await containers.podman("wait", APPLICATION)
        yield
        await containers.podman("start", APPLICATION)
        await self.application.start()

    @fault("L03.database", "the container of the database is killed")
    async def database_container_killed(self) -> AsyncIterator[None]:
        containers = self.engine()
        await containers.podman("kill", DATABASE)
        await self.database.kill()
        yield
        await containers.podman("start", DATABASE)
        await self.database.start()

    @fault("L03.unhealthy", "the application's health check fails, because the database refuses its password")
    async def application_unhealthy(self) -> AsyncIterator[None]:
        containers = self.engine()
        await self.password_of_application(secrets.token_hex(8))
        for _ in range(FAILURES):
            await containers.look()
        yield
        await self.password_of_application(self.password)
        await containers.recover()

    @fault("L09", "the application's container needs nearly all the memory that it may have")
    async def much_memory(self) -> AsyncIterator[None]:
        containers = self.engine()
        containers.tell("/hold")
        await containers.done()
        yield
        containers.tell("/free")
        await containers.done()

    @fault("L09.cpu", "the application's container keeps a CPU busy")
    async def much_cpu(self) -> AsyncIterator[None]:
        containers = self.engine()
        containers.tell("/busy")
        await containers.done()
        yield
        containers.tell("/rest")
        await containers.done()

    # --- the log -------------------------------------------------------------------------------------------------

    @fault("L05", "a table is renamed, and what customers ask for fails")
    async def table_renamed(self) -> AsyncIterator[None]:
        await self.sql("ALTER TABLE prices RENAME TO prices_old")
        await self.customers(*[self.asks_for_prices() for _ in range(15)])
        yield
        await self.sql("ALTER TABLE prices_old RENAME TO prices")

    @fault("L05.slow", "customers wait for a table that somebody has locked for a second")
    async def table_locked(self) -> AsyncIterator[None]:
        connection = await self.database.connect(NAME)
        try:
            async with connection.transaction():
                await connection.execute("LOCK TABLE prices")
                waiting = asyncio.gather(*(self.asks_for_prices() for _ in range(POOL)))
                async with asyncio.timeout(PATIENCE):
                    while await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted") < POOL:
                        pass
                await connection.execute(f"SELECT pg_sleep({SLOW + 0.1})")
            await self.customers(waiting)
        finally:
            await connection.close()
        yield

    @fault("L05.passwords", "somebody tries passwords, and is stopped by the limit a dozen times")
    async def passwords_tried(self) -> AsyncIterator[None]:
        await self.customers(*[self.tries_password("203.0.113.7") for _ in range(22)])
        yield

    @fault("L06", "somebody tries passwords as fast as possible")
    async def passwords_hammered(self) -> AsyncIterator[None]:
        await self.customers(*[self.tries_password("203.0.113.8") for _ in range(60)])
        yield

    # --- the database --------------------------------------------------------------------------------------------

    @fault("L04", "nearly all connections of the database are taken")
    async def connections_taken(self) -> AsyncIterator[None]:
        async with connections(self.application_dsn, round(CONNECTIONS * 0.81)):
            yield

    @fault("L04.slow", "a report takes over a second, again and again")
    async def slow_report(self) -> AsyncIterator[None]:
        async with self.each_minute(lambda: self.sql("SELECT pg_sleep(1.1)")):
            yield

    @fault("L04.latency", "each query takes longer than it did")
    async def queries_slower(self) -> AsyncIterator[None]:
        async with connections(self.application_dsn, 30) as held:

            async def ask() -> None:
                await asyncio.gather(*(one.execute("SELECT pg_sleep(0.5)") for one in held))

            async with self.each_minute(ask):
                yield

    # --- disks ---------------------------------------------------------------------------------------------------

    @fault("L08", "the disk of uploads/ is nearly full")
    async def uploads_full(self) -> AsyncIterator[None]:
        self.disk(self.uploads_disk).fill(0.87)
        yield
        self.uploads_disk.empty()

    @fault("L08.database", "the disk of the database is nearly full")
    async def database_full(self) -> AsyncIterator[None]:
        self.disk(self.database_disk).fill(0.87)
        yield
        self.database_disk.empty()

    @fault("L08.growth", "somebody uploads a gigabyte a day")
    async def uploads_grow(self) -> AsyncIterator[None]:
        disk = self.disk(self.uploads_disk)
        disk.fill(0.55)

        async def upload() -> None:
            disk.fill(disk.used + 0.001)

        async with self.each_minute(upload):
            yield
        disk.empty()

    # --- backups and secrets -------------------------------------------------------------------------------------

    @fault("L11", "nobody has made a backup of the database for three days")
    async def no_backup(self) -> AsyncIterator[None]:
        async with self.backups_as_they_are():
            for file in self.backups.files(SORTS[0])[:3]:
                file.unlink()
            yield

    @fault("L11.torn", "the last backup of the database lacks its end")
    async def backup_torn(self) -> AsyncIterator[None]:
        async with self.backups_as_they_are():
            self.backups.cut(self.backups.files(SORTS[0])[0], 0.9)
            yield

    @fault("L11.gap", "the backup of a day before yesterday is gone")
    async def backup_gap(self) -> AsyncIterator[None]:
        async with self.backups_as_they_are():
            self.backups.files(SORTS[0])[3].unlink()
            yield

    @fault("L11.month", "the backup of a month, most of a year ago, is gone")
    async def backup_of_month_gone(self) -> AsyncIterator[None]:
        async with self.backups_as_they_are():
            self.backups.files(SORTS[0])[-4].unlink()
            yield

    @fault("L11.uploads", "the last archive of uploads/ is damaged")
    async def archive_torn(self) -> AsyncIterator[None]:
        async with self.backups_as_they_are():
            self.backups.cut(self.backups.files(SORTS[1])[0], 0.9)
            yield

    @fault("L12", "SESSION_SECRET has not been changed for 91 days")
    async def secret_old(self) -> AsyncIterator[None]:
        then = self.now() - 91 * DAY
        os.utime(self.env_file, (then, then))
        yield
        self.write_env(secrets.token_hex(32))

    # --- what people do ------------------------------------------------------------------------------------------

    @fault("L13", "the table of accounts is gone, so that nobody can log in")
    async def no_accounts(self) -> AsyncIterator[None]:
        await self.sql("ALTER TABLE accounts RENAME TO accounts_old")
        yield
        await self.sql("ALTER TABLE accounts_old RENAME TO accounts")

    @fault("L13.client", "clients can't log in")
    async def no_clients(self) -> AsyncIterator[None]:
        await self.sql("UPDATE accounts SET kind = 'lost' WHERE kind = 'client'")
        yield
        await self.sql("UPDATE accounts SET kind = 'client' WHERE kind = 'lost'")

    @fault("L13.order", "the application may not write orders any more")
    async def no_orders(self) -> AsyncIterator[None]:
        await self.sql(f"REVOKE INSERT ON orders FROM {NAME}")
        yield
        await self.sql(f"GRANT INSERT ON orders TO {NAME}")

    @fault("L13.photo", "the folder for uploads is away")
    async def no_uploads(self) -> AsyncIterator[None]:
        away = self.uploads.with_name("away")
        self.uploads.rename(away)
        yield
        away.rename(self.uploads)
