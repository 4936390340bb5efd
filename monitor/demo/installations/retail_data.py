"""Retail's data: PostgreSQL with its standby and its orders, and how they fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from monitor.demo.installation import Installation, fault
from monitor.demo.parts.postgres import connections
from monitor.demo.process import ASK_EVERY
from monitor.demo.servers import Postgres

API = "retail-api"
"""What the API says that it is."""
MOST_CONNECTIONS, RESERVED = 30, 3
DISK = 200_000_000
"""Bytes that the database's disk holds."""
SLOW = 0.52
"""Seconds that the slow statement takes."""
IDLE = 31 * 60.0
SHOWS_WITHIN = 10.0
"""Seconds within which a part has to show what was done to it."""
MIB = 2**20
ORDERS = """
CREATE TABLE orders (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id int NOT NULL, total numeric NOT NULL,
  status text NOT NULL DEFAULT 'paid', created_at timestamptz NOT NULL);
INSERT INTO orders (customer_id, total, created_at)
  SELECT number % 997, 20 + number % 60, at
  FROM generate_series(now() - interval '9 days', now() + interval '1 day', interval '1 minute')
  WITH ORDINALITY AS minutes (at, number);
CREATE INDEX ON orders (created_at);
CREATE UNLOGGED TABLE ballast (filling text STORAGE EXTERNAL);
GRANT SELECT ON orders TO runwatch, app;
"""
"""One order a minute, also for as long as this may run."""
USED = "SELECT (SELECT sum(pg_database_size(oid)) FROM pg_database) + (SELECT sum(size) FROM pg_ls_waldir())"
BEHIND = "SELECT coalesce(sum(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)), -1) FROM pg_stat_replication"
LAST_HOUR = "created_at BETWEEN now() - interval '1 hour' AND now() + interval '1 hour'"


class RetailData(Installation):
    """The databases."""

    async def start_databases(self) -> None:
        """PostgreSQL with a standby that streams from it."""
        settings = {
            "shared_preload_libraries": "pg_stat_statements", "max_connections": str(MOST_CONNECTIONS),
            "superuser_reserved_connections": str(RESERVED), "max_wal_size": "48MB", "min_wal_size": "32MB",
            # A clock that is set ahead must not look like a peer that is silent.
            "wal_sender_timeout": "0", "wal_receiver_timeout": "0", "wal_retrieve_retry_interval": "100ms",
        }  # fmt: skip
        self.slow_statement = False
        self.idle_pid = 0
        self.database = await self.server(Postgres(self.folder / "postgres", settings=settings, own_clock=True))
        async with self.session("postgres") as session:
            for statement in (
                "CREATE ROLE runwatch LOGIN PASSWORD 'watching-you'", "GRANT pg_monitor TO runwatch",
                "CREATE ROLE app LOGIN PASSWORD 'application'", "CREATE DATABASE retail",
            ):  # fmt: skip
                await session.execute(statement)
        async with self.session() as session:
            await session.execute("CREATE EXTENSION pg_stat_statements")
            await session.execute(ORDERS)
        self.standby = Postgres(self.folder / "standby", settings=settings, own_clock=True)
        await asyncio.to_thread(self._copy_to_standby)
        await self.server(self.standby)
        self.every(45, self._work)
        self.environment |= {
            "RETAIL_DATABASE_URL": self.database.address_for("runwatch", "watching-you", "retail"),
            "RETAIL_STANDBY_URL": self.standby.address_for("runwatch", "watching-you", "retail"),
            "RETAIL_DATABASE_DISK": f"{DISK}B",
        }

    def _copy_to_standby(self) -> None:
        self.standby.folder.mkdir(mode=0o700)
        self.standby.clock_ahead(0)
        self.standby.tool(
            "pg_basebackup", "-D", str(self.standby.data), "-d", self.database.dsn, "-R", "-C", "-S", "standby",
            "-X", "stream", "--checkpoint=fast", "--no-sync",
        )  # fmt: skip
        (self.standby.folder / "password").write_text(self.database.password)

    @asynccontextmanager
    async def session(self, database: str = "retail") -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """A connection of the superuser."""
        connection = await self.database.connect(database)
        try:
            yield connection
        finally:
            await connection.close()

    async def app_session(self) -> asyncpg.Connection[asyncpg.Record]:
        """A connection of the API's role, which the caller closes."""
        return await asyncpg.connect(self._app, timeout=5, server_settings={"application_name": API})

    @property
    def _app(self) -> str:
        """The database as the API reaches it."""
        return self.database.address_for("app", "application", "retail")

    async def _work(self) -> None:
        """What the API asks for now and then."""
        if self.slow_statement:
            async with connections(self._app, 1, application=API) as [connection]:
                await connection.execute(f"SELECT count(*), pg_sleep({SLOW}) FROM orders")

    # --- PostgreSQL ----------------------------------------------------------------------------------------------

    @fault("R02", "PostgreSQL is killed")
    async def database_killed(self) -> AsyncIterator[None]:
        await self.database.kill()
        yield
        await self.database.start()
        await self._standby_streams(True)

    @fault("R02.frozen", "PostgreSQL takes connections and answers nothing")
    async def database_frozen(self) -> AsyncIterator[None]:
        self.database.freeze()
        yield
        self.database.thaw()

    @fault("R02.full", "every connection is taken, those for superusers too")
    async def connections_gone(self) -> AsyncIterator[None]:
        superuser = self.database.address_for("postgres", self.database.password, "retail")
        async with connections(self._app, MOST_CONNECTIONS, application=API), connections(superuser, RESERVED):
            yield

    @fault("R02.near", "nine tenths of the connections are taken")
    async def connections_near(self) -> AsyncIterator[None]:
        async with connections(self._app, round((MOST_CONNECTIONS - RESERVED) * 0.9), application=API):
            yield

    @fault("R03", "a session has been idle for 31 minutes")
    async def session_idle(self) -> AsyncIterator[None]:
        async with connections(self._app, 1, application=API) as [connection]:
            self.idle_pid = connection.get_server_pid()
            await connection.execute("SELECT 1")
            self.database.clock_ahead(IDLE)
            yield
        self.database.clock_ahead(0)

    @fault("R04", f"a report takes {SLOW * 1000:.0f} ms of the database each time")
    async def statement_slow(self) -> AsyncIterator[None]:
        self.slow_statement = True
        await self._work()
        yield
        self.slow_statement = False

    # --- the standby, the disk -----------------------------------------------------------------------------------

    @fault("R05", "the standby's replay is paused, and 80 MiB are written meanwhile")
    async def standby_behind(self) -> AsyncIterator[None]:
        async with self._replay_paused(80):
            yield

    @fault("R05.old", "the standby's replay has been paused for two minutes")
    async def standby_old(self) -> AsyncIterator[None]:
        async with self._replay_paused(1):
            self.standby.clock_ahead(120)
            yield
            self.standby.clock_ahead(0)

    @fault("R05.cut-off", "the standby does not know its primary any more")
    async def standby_cut_off(self) -> AsyncIterator[None]:
        await self._standby_has_all()
        before = await self._on_standby("SELECT quote_literal(current_setting('primary_conninfo'))")
        await self._on_standby("ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
        await self._standby_streams(False)
        yield
        await self._on_standby(f"ALTER SYSTEM SET primary_conninfo = {before}", "SELECT pg_reload_conf()")
        await self._standby_streams(True)

    @fault("R05.disk", "the database's disk is filled up to nine tenths")
    async def disk_full(self) -> AsyncIterator[None]:
        async with self.session() as session:
            while await session.fetchval(USED) < 0.9 * DISK:
                await session.execute("INSERT INTO ballast SELECT repeat('x', 8000) FROM generate_series(1, 1000)")
        yield
        async with self.session() as session:
            await session.execute("TRUNCATE ballast")

    @asynccontextmanager
    async def _replay_paused(self, mebibytes: int) -> AsyncIterator[None]:
        await self._standby_has_all()
        await self._on_standby("SELECT pg_wal_replay_pause()")
        async with self.session() as session:
            writes = "SELECT pg_logical_emit_message(false, 'demo', repeat('x', 1048576)) FROM generate_series(1, $1)"
            await session.execute(writes, mebibytes)
        await self._shows(BEHIND, lambda behind: behind >= mebibytes * MIB)
        try:
            yield
        finally:
            await self._on_standby("SELECT pg_wal_replay_resume()")
            await self._shows(BEHIND, lambda behind: behind < MIB)
            async with self.session() as session:
                await session.execute("CHECKPOINT")

    async def _on_standby(self, *statements: str) -> Any:
        """What the last of these gives."""
        connection = await self.standby.connect()
        answers = [await connection.fetchval(statement) for statement in statements]
        await connection.close()
        return answers[-1]

    async def _standby_has_all(self) -> None:
        """Have it replay an order of this moment."""
        await self._change_orders("total = total", "id = 1")
        await self._shows(BEHIND, lambda behind: behind == 0)

    async def _standby_streams(self, wanted: bool) -> None:
        """Return when the primary sees that it does, or does not."""
        question = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
        await self._shows(question, lambda streaming: bool(streaming) == wanted)

    async def _shows(self, question: str, wanted: Callable[[Any], bool]) -> None:
        async with asyncio.timeout(SHOWS_WITHIN), self.session() as session:
            while not wanted(await session.fetchval(question)):
                await asyncio.sleep(ASK_EVERY)

    # --- business ------------------------------------------------------------------------------------------------

    @fault("R12", "two of three sales of the last hour did not happen")
    async def sales_fall(self) -> AsyncIterator[None]:
        years = "created_at = created_at {} interval '100 years'"
        await self._change_orders(years.format("+"), f"{LAST_HOUR} AND id % 3 > 0")
        yield
        await self._change_orders(years.format("-"), "created_at > now() + interval '50 years'")

    @fault("R12.revenue", "a price list with a decimal point too many sells everything for a tenth")
    async def revenue_falls(self) -> AsyncIterator[None]:
        await self._change_orders("total = total / 10", LAST_HOUR)
        yield
        await self._change_orders("total = total * 10", "total < 10")

    @fault("R12.customers", "all orders of the last hour are from three customers")
    async def customers_fall(self) -> AsyncIterator[None]:
        await self._change_orders("customer_id = -customer_id % 3 - 1", LAST_HOUR)
        yield
        await self._change_orders("customer_id = id % 997", "customer_id < 0")

    @fault("R12.failed", "one payment in six fails")
    async def payments_fail(self) -> AsyncIterator[None]:
        await self._change_orders("status = 'failed'", f"{LAST_HOUR} AND id % 6 = 0")
        yield
        await self._change_orders("status = 'paid'", "status = 'failed'")

    async def _change_orders(self, change: str, which: str) -> None:
        async with self.session() as session:
            await session.execute(f"UPDATE orders SET {change} WHERE {which}")
