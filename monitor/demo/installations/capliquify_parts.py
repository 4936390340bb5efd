"""What CapLiquify is made of: PostgreSQL over TLS, its services and log, its vendors, a machine, jobs, backups."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from monitor.demo.certificates import Authority
from monitor.demo.installation import Installation
from monitor.demo.installations.capliquify_services import Backend, Edge, Listener, Log
from monitor.demo.installations.capliquify_vendors import Railway, Vendors
from monitor.demo.parts.machine import Machine
from monitor.demo.parts.memory_group import MemoryGroup
from monitor.demo.parts.postgres import dump_into
from monitor.demo.parts.site import Site
from monitor.demo.servers import DATABASE_AWAY, Postgres

DAY = 86_400.0
PAGE = '<!doctype html><div id="root"></div><script type="module" src="/assets/index.js"></script>'
JOBS = "3f0c2a44-7d0e-4c1b-9a51-6a1f4a7e2d10"
SLOW = 2.05
"""Seconds that the slow statement and the slow answer take."""
MOST_CONNECTIONS = 20
RESERVED = 3
MEMORY = 0.4
"""Share of the machine's that is usually used."""


class CapliquifyParts(Installation):
    """All of it, well; what can go wrong stands beside it."""

    name = "capliquify"

    async def set_up(self) -> None:
        """Start everything."""
        await self._start_database()
        await self._start_services()
        await self._start_memory()
        railway = Railway(lambda: self.container.used, lambda: self.now())
        self.vendors = await self.stack.enter_async_context(Vendors(railway))
        self.backups = self.folder / "backups"
        self.backups.mkdir()
        await self.back_up()
        self.jobs_run, self.jobs_fail, self.report_is_slow = True, False, False
        self.every(300, self.log_rotates)
        self.every(900, self.scheduled_jobs)
        self.every(200, self.report)
        keys = ("ON_CALL", "TEAM_LEAD", "MANAGER", "CTO")
        self.environment |= {
            **{
                f"CAPLIQUIFY_PAGERDUTY_{key}_KEY": self.pagerduty_key(f"capliquify-{key.lower().replace('_', '-')}")
                for key in keys
            },
            **self.vendors.environment(),
            "CAPLIQUIFY_DATABASE_URL": self.address("runwatch"),
            "CAPLIQUIFY_PRODUCTION_URL": self.production.url,
            "CAPLIQUIFY_TESTING_URL": self.testing.url,
            "CAPLIQUIFY_DEVELOPMENT_URL": self.development.url,
            "CAPLIQUIFY_FRONTEND_URL": self.frontend.url,
            "CAPLIQUIFY_BACKEND": self.backend.address,
            "CAPLIQUIFY_MCP": self.mcp.address,
            "CAPLIQUIFY_LOGS": str(self.log.file.parent),
            "CAPLIQUIFY_ROOT": str(self.machine.root),
            "CAPLIQUIFY_JOBS_UUID": JOBS,
            "CAPLIQUIFY_JOBS_SCHEDULE": "*/15 * * * *",
            "CAPLIQUIFY_BACKUPS": str(self.backups),
            # Half a day away, whenever this is: nobody maintains anything just now.
            "CAPLIQUIFY_MAINTENANCE_HOUR": str((datetime.now(UTC) + timedelta(hours=12)).hour),
        }

    async def _start_database(self) -> None:
        folder = self.folder / "postgres"
        folder.mkdir(mode=0o700)
        Authority("CapLiquify's test authority").issue("127.0.0.1").write_apart(
            folder / "server.crt", folder / "server.key"
        )
        settings = {
            "ssl": "on", "ssl_cert_file": str(folder / "server.crt"), "ssl_key_file": str(folder / "server.key"),
            "shared_preload_libraries": "pg_stat_statements", "max_connections": str(MOST_CONNECTIONS),
            "superuser_reserved_connections": str(RESERVED),
        }  # fmt: skip
        self.database = await self.server(Postgres(folder, settings=settings))
        connection = await self.database.connect()
        for statement in (
            "CREATE ROLE runwatch LOGIN PASSWORD 'watching-you'", "GRANT pg_monitor TO runwatch",
            "CREATE ROLE app LOGIN PASSWORD 'application'", "CREATE DATABASE neondb OWNER app",
        ):  # fmt: skip
            await connection.execute(statement)
        await connection.close()
        connection = await self.database.connect("neondb")
        await connection.execute("CREATE EXTENSION pg_stat_statements")
        await connection.execute("SET ROLE app")
        await connection.execute("CREATE TABLE stock (id int PRIMARY KEY, name text NOT NULL)")
        await connection.execute("INSERT INTO stock SELECT i, 'bottle ' || i FROM generate_series(1, 2000) i")
        await connection.close()

    async def connections(self) -> int:
        """How many connections of the application the database has."""
        connection = await self.database.connect()
        counted = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename = 'app'"
        found: int = await connection.fetchval(counted)
        await connection.close()
        return found

    def address(self, role: str) -> str:
        """The database's for a role, over TLS."""
        password = {"runwatch": "watching-you", "app": "application"}[role]
        return self.database.address_for(role, password, "neondb") + "?sslmode=require"

    async def _start_services(self) -> None:
        logs = self.folder / "logs"
        logs.mkdir()
        self.log = Log(logs / "production.log", lambda: self.now())
        enter = self.stack.enter_async_context
        self.backend = await enter(Backend(self.address("app"), self.log))
        self.production = await enter(Edge(self.backend))
        self.testing, self.development, self.frontend = [await enter(Site()) for _ in range(3)]
        for site in (self.testing, self.development):
            site.answers("/api/health", {"status": "ok", "database": "connected"})
        self.frontend.answers("/", PAGE)
        self.mcp = Listener()
        self.stack.push_async_callback(self.mcp.stop)
        await self.mcp.start()

    async def _start_memory(self) -> None:
        """The memory of the machine, and of production's container at Railway: control groups where they can be had."""
        self.machine = Machine(self.folder / "machine", lambda: self.now(), processes=("cron", "pg_dump", "node"))
        self.every(60, self.machine.passes)
        self.memory, self.container = MemoryGroup(), MemoryGroup()
        for part, group in (("the machine's memory", self.memory), ("the container's memory", self.container)):
            self.stack.push_async_callback(group.stop)
            await self.if_possible(part, group.start())
            await group.hold(MEMORY)

    # --- what happens by itself ----------------------------------------------------------------------------------

    async def log_rotates(self) -> None:
        """As logrotate has it."""
        self.log.rotate()

    async def scheduled_jobs(self) -> None:
        """The jobs of the quarter, with their sign of life."""
        if self.jobs_run:
            await self.ping(JOBS, fails=self.jobs_fail)

    async def report(self) -> None:
        """A report that somebody looks at every few minutes."""
        with suppress(*DATABASE_AWAY):  # without the database there is none
            connection = await asyncpg.connect(self.address("app"), timeout=5)
            try:
                await connection.fetch("SELECT count(*), pg_sleep($1) FROM stock", SLOW if self.report_is_slow else 0.0)
            finally:
                connection.terminate()

    def backup_of(self, days_ago: int) -> Path:
        """The file of a day."""
        day = datetime.fromtimestamp(self.now() - days_ago * DAY, UTC)
        return self.backups / f"backup_{day:%Y%m%d}.sql"

    async def back_up(self, blocks: int | None = None) -> None:
        """Have pg_dump make today's file, of so many blocks of 512 bytes at most, and copy it where days have none."""
        today = self.backup_of(0)
        await dump_into(today, self.address("app"), blocks)
        for days_ago in range(8):
            file = self.backup_of(days_ago)
            if not file.exists():
                file.write_bytes(today.read_bytes())
            made = self.now() - days_ago * DAY - 3600
            os.utime(file, (made, made))

    async def hold_memory(self, share: float) -> None:
        """Have a process hold this share of the machine's memory; the kernel kills it where that is more than all."""
        if await self.memory.hold(share):
            self.machine.load.memory = self.memory.used
        else:
            self.machine.kills()
        await self.machine.passes()

    async def ask(self, path: str, method: str = "GET", **options: Any) -> int:
        """Ask the backend as a user's browser does; the status."""
        url = self.backend.url + path
        async with aiohttp.ClientSession() as http, http.request(method, url, **options) as answer:
            return answer.status
