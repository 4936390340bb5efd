"""Dakkah's database and cache: the shop's tables with their load, and what goes wrong with them (D02, D07 to D09)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg

from monitor.demo.installation import Installation, fault, together
from monitor.demo.parts.postgres import connections
from monitor.demo.process import ASK_EVERY
from monitor.demo.servers import DATABASE_AWAY, Postgres, Valkey

DATABASE = "medusa"
CONNECTIONS = 20
RESERVED = 3
"""Of these, PostgreSQL keeps so many for superusers."""
DAY = 86_400.0
WEEK_AND_A_DAY = 8 * DAY
MEGABYTE = 1_000_000
SHOWN_WITHIN = 10.0
PATIENCE = 2.0
"""Seconds that the backend waits for its database."""
PAY = "UPDATE payment SET captured_at = now() WHERE id = $1"
TABLES = """
CREATE EXTENSION pg_stat_statements;
CREATE TABLE customer (id bigint PRIMARY KEY, email text NOT NULL);
CREATE TABLE product (id bigint PRIMARY KEY, title text NOT NULL, handle text NOT NULL);
CREATE TABLE "order" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id bigint NOT NULL,
                      status text NOT NULL DEFAULT 'pending', created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE payment (id bigint PRIMARY KEY, amount numeric NOT NULL, captured_at timestamptz);
CREATE TABLE audit_log (id bigint GENERATED ALWAYS AS IDENTITY, entry text NOT NULL);
CREATE INDEX order_customer ON "order" (customer_id);
INSERT INTO customer SELECT i, 'customer' || i || '@example.com' FROM generate_series(1, 500) i;
INSERT INTO product SELECT i, 'Product ' || i, 'product-' || i FROM generate_series(1, 500) i;
INSERT INTO "order" (customer_id) SELECT 1 + i % 500 FROM generate_series(1, 12000) i;
INSERT INTO payment SELECT i, 10 FROM generate_series(1, 100) i;
GRANT ALL ON ALL TABLES IN SCHEMA public TO medusa;
"""


class DakkahData(Installation):
    """PostgreSQL with the shop's tables, and Valkey with a limit of memory."""

    database: Postgres
    cache: Valkey
    application: str
    """The address with which the backend logs in to its database."""
    _ahead = 0.0

    async def start_data(self) -> None:
        """Start both, make the tables, and begin to trade."""
        settings = {
            "shared_preload_libraries": "pg_stat_statements", "max_connections": str(CONNECTIONS),
            "superuser_reserved_connections": str(RESERVED), "autovacuum": "off",  # the runbook vacuums by hand
        }  # fmt: skip
        self.database = Postgres(self.folder / "postgres", settings=settings, own_clock=True)
        self.cache = Valkey(self.folder / "valkey", settings={"maxmemory": "20mb", "maxmemory-policy": "allkeys-lru"})
        await together(self.server(self.database), self.server(self.cache))
        administrator = await self.database.connect()
        await administrator.execute("CREATE ROLE medusa LOGIN PASSWORD 'orders'")
        await administrator.execute("CREATE ROLE runwatch LOGIN PASSWORD 'watching-you'; GRANT pg_monitor TO runwatch")
        await administrator.execute(f"CREATE DATABASE {DATABASE}")
        await administrator.close()
        await self.as_superuser(TABLES)
        await self.as_superuser("VACUUM ANALYZE")
        self.application = self.database.address_for("medusa", "orders", DATABASE)
        # A statement that was never slow is known to be slow only when it is so for a second time.
        await self._customers_wait()
        self.environment |= {
            "DAKKAH_DATABASE_URL": self.database.address_for("runwatch", "watching-you", DATABASE),
            "DAKKAH_REDIS_URL": self.cache.url,
        }
        self.every(60, self.trade)

    async def as_superuser(self, *statements: str) -> None:
        """Do this in the shop's database."""
        connection = await self.database.connect(DATABASE)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def trade(self) -> None:
        """A customer buys; nothing comes of it while the database is away."""
        await self.asks_database(
            'SELECT id FROM "order" WHERE customer_id = 7', 'INSERT INTO "order" (customer_id) VALUES (7)'
        )
        await self.cache.command("SET", "cart:7", "3 items", "EX", "600")
        await self.cache.command("GET", "cart:7")

    async def asks_database(self, *statements: str) -> bool:
        """Whether the backend can do this in its database."""
        try:
            connection = await asyncpg.connect(self.application, timeout=PATIENCE)
            try:
                for statement in statements:
                    await connection.fetch(statement, timeout=PATIENCE)
            finally:
                connection.terminate()
        except DATABASE_AWAY:
            return False
        return True

    @fault("D02", "the password of the backend's DATABASE_URL is no longer right")
    async def password_changed(self) -> AsyncIterator[None]:
        """PostgreSQL itself is well."""
        await self.as_superuser("ALTER ROLE medusa PASSWORD 'changed'")
        yield
        await self.as_superuser("ALTER ROLE medusa PASSWORD 'orders'")

    @fault("D07", "PostgreSQL is killed")
    async def database_killed(self) -> AsyncIterator[None]:
        """With everything that needs it."""
        await self.database.kill()
        yield
        await self.database.start()
        await self._customers_wait()

    @fault("D07.frozen", "PostgreSQL takes connections and answers nobody")
    async def database_frozen(self) -> AsyncIterator[None]:
        """As on a disk that hangs."""
        self.database.freeze()
        yield
        self.database.thaw()

    @fault("D07.connections", "14 of 17 connections are taken")
    async def connections_run_out(self) -> AsyncIterator[None]:
        """Over the runbook's 80 %."""
        async with connections(self.application, 14, patience=SHOWN_WITHIN):
            yield

    @fault("D07.refused", "all connections are taken: PostgreSQL refuses the next one")
    async def connections_refused(self) -> AsyncIterator[None]:
        """sorry, too many clients already."""
        async with connections(self.application, CONNECTIONS - RESERVED, patience=SHOWN_WITHIN):
            yield

    @fault("D08", "whoever pays waits more than two seconds for a lock")
    async def statements_slow(self) -> AsyncIterator[None]:
        """Three customers wait for a row that a forgotten transaction holds."""
        await self._customers_wait()
        yield

    @fault("D08.vacuum", "the weekly VACUUM was not done: PostgreSQL's clock is eight days ahead")
    async def not_vacuumed(self) -> AsyncIterator[None]:
        """Of any table."""
        self._week_passes()
        yield
        await self.as_superuser("VACUUM ANALYZE")

    @fault("D08.index", "an index was made that nobody uses, and PostgreSQL counts for eight days")
    async def index_unused(self) -> AsyncIterator[None]:
        """Everything is vacuumed."""
        self._week_passes()
        await self.as_superuser('CREATE INDEX order_status ON "order" (status)', "VACUUM ANALYZE")
        await self.trade()
        yield
        await self.as_superuser("DROP INDEX order_status")

    @fault("D08.bloat", "every order was changed, and nothing vacuumed: half of the table is dead")
    async def table_bloated(self) -> AsyncIterator[None]:
        """Over 20 %, and over 10,000 rows."""
        await self.as_superuser("UPDATE \"order\" SET status = 'archived'")
        yield
        await self.as_superuser('VACUUM FULL ANALYZE "order"', 'VACUUM ANALYZE "order"')

    @fault("D08.growth", "the audit log grows by 60 MB")
    async def table_grows(self) -> AsyncIterator[None]:
        """Since the last look at the tables."""
        await self.as_superuser(
            "INSERT INTO audit_log (entry) SELECT repeat(md5(i::text), 60) FROM generate_series(1, 30000) i"
        )
        yield
        await self.as_superuser("TRUNCATE audit_log")

    @fault("D09", "Valkey is killed")
    async def cache_killed(self) -> AsyncIterator[None]:
        """It comes back empty."""
        await self.cache.kill()
        yield
        await self.cache.start()

    @fault("D09.memory", "18 of the 20 MB of the cache are used")
    async def cache_fills(self) -> AsyncIterator[None]:
        """Over the runbook's 85 %."""
        for number in range(18):
            await self.cache.command("SET", f"export:{number}", "x" * MEGABYTE)
        yield
        await self.cache.command("DEL", *(f"export:{number}" for number in range(18)))

    async def _customers_wait(self) -> None:
        as_superuser = self.database.address_for("postgres", self.database.password, DATABASE)
        async with connections(as_superuser, 1) as [holder], connections(self.application, 3) as customers:
            async with holder.transaction():
                await holder.execute(PAY, 2)
                paying = asyncio.gather(*(customer.execute(PAY, 2) for customer in customers))
                async with asyncio.timeout(SHOWN_WITHIN):
                    while await holder.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted") < len(customers):
                        await asyncio.sleep(ASK_EVERY)
                await holder.execute("SELECT pg_sleep(2.1)")
            await paying

    def _week_passes(self) -> None:
        """It is never put back: what was vacuumed in the future would be strange."""
        self._ahead += WEEK_AND_A_DAY
        self.database.clock_ahead(self._ahead)
