"""iaMenu's PostgreSQL: products and the index that finds them, orders as they come, the analytics made of them."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator

import asyncpg

from monitor.demo.installation import Installation, fault
from monitor.demo.process import ASK_EVERY
from monitor.demo.servers import DATABASE_AWAY, Postgres

DATABASE = "iamenu"
SEARCH = "to_tsvector('portuguese', name || ' ' || description)"
FORGET_LATER = 'DELETE FROM marketplace."Order" WHERE id > $1 AND "createdAt" > to_timestamp($2)'
NEW_ORDER = """
INSERT INTO marketplace."Order" ("stripePaymentIntentId", total, status, "createdAt")
VALUES ($1, 25, 'paid', to_timestamp($2))
"""
SCHEMA = f"""
CREATE SCHEMA marketplace;
CREATE SCHEMA business;
CREATE TABLE marketplace."Product" (id bigint PRIMARY KEY, name text NOT NULL, description text NOT NULL);
CREATE INDEX idx_products_search_gin ON marketplace."Product" USING gin ({SEARCH});
CREATE TABLE marketplace."Order" (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "stripePaymentIntentId" text, total numeric NOT NULL,
  status text NOT NULL, "createdAt" timestamptz NOT NULL);
CREATE TABLE business."AnalyticsDaily" (
  day date PRIMARY KEY, revenue numeric NOT NULL, "updatedAt" timestamptz NOT NULL);
GRANT USAGE ON SCHEMA marketplace, business TO runwatch;
GRANT SELECT ON ALL TABLES IN SCHEMA marketplace, business TO runwatch;
"""
PRODUCTS = """
INSERT INTO marketplace."Product" SELECT i, (ARRAY['Pasta', 'Azeite', 'Vinho', 'Queijo'])[1 + i % 4] || ' ' || i,
  'Caixa de ' || (i % 24) || ' unidades' FROM generate_series(1, 2000) i
"""
ORDERS = """
INSERT INTO marketplace."Order" ("stripePaymentIntentId", total, status, "createdAt")
SELECT 'pi_' || i, 10 + i % 50, CASE WHEN i % 40 = 0 THEN 'refunded' ELSE 'paid' END, now() - i * interval '10 minutes'
FROM generate_series(1, 1200) i
"""
ANALYTICS = """
INSERT INTO business."AnalyticsDaily" SELECT "createdAt"::date, sum(total), to_timestamp($1) FROM marketplace."Order"
WHERE "createdAt" <= to_timestamp($1) AND (status = 'paid' OR $2) GROUP BY 1
"""
BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0"
DAY = 86_400.0


class Shop(Installation):
    """An order comes every minute, and the analytics are made anew."""

    database: Postgres
    pool: asyncpg.Pool[asyncpg.Record]
    """The services' connections."""

    async def start_database(self) -> None:
        """Start it, and fill it with a week of orders."""
        self._orders_come = self._analytics_run = True
        self._refunds_count = False
        settings = {"shared_preload_libraries": "pg_stat_statements", "max_connections": "50"}
        self.database = await self.server(Postgres(self.folder / "postgres", own_clock=True, settings=settings))
        ours, theirs = secrets.token_hex(8), secrets.token_hex(8)
        connection = await self.database.connect()
        await connection.execute(
            f"CREATE ROLE runwatch LOGIN PASSWORD '{ours}'; GRANT pg_monitor TO runwatch; "
            f"CREATE ROLE services LOGIN PASSWORD '{theirs}'"
        )
        await connection.execute(f"CREATE DATABASE {DATABASE} OWNER services")
        await connection.close()
        connection = await self.database.connect(DATABASE)
        await connection.execute("CREATE EXTENSION pg_stat_statements")
        await connection.close()
        address = self.database.address_for("services", theirs, DATABASE)
        self.pool = await asyncpg.create_pool(address, min_size=1, max_size=8, timeout=5, command_timeout=9)
        self.stack.callback(self.pool.terminate)
        for statement in (SCHEMA, PRODUCTS, ORDERS):
            await self.pool.execute(statement)
        self._newest = await self.pool.fetchval('SELECT max(id) FROM marketplace."Order"')
        self.environment["IAMENU_DATABASE_URL"] = self.database.address_for("runwatch", ours, DATABASE)
        self.every(60, self._minute)

    async def _minute(self) -> None:
        """An order comes, and the analytics are made of those that there are."""
        now = self.now()
        with contextlib.suppress(*DATABASE_AWAY):
            async with self.pool.acquire() as connection, connection.transaction():
                # Where the clock was put back, what was ordered later has not happened yet.
                await connection.execute(FORGET_LATER, self._newest, now)
                if self._orders_come:
                    await connection.execute(NEW_ORDER, f"pi_{secrets.token_hex(8)}", now)
                if self._analytics_run:
                    await connection.execute('DELETE FROM business."AnalyticsDaily"')
                    await connection.execute(ANALYTICS, now, self._refunds_count)

    @fault("W05.index", "the search index is dropped")
    async def index_dropped(self) -> AsyncIterator[None]:
        await self.pool.execute("DROP INDEX marketplace.idx_products_search_gin")
        yield
        await self.pool.execute(f'CREATE INDEX idx_products_search_gin ON marketplace."Product" USING gin ({SEARCH})')

    @fault("W05.growth", "an import brings twenty thousand products, no two words of them alike")
    async def index_grows(self) -> AsyncIterator[None]:
        await self.pool.execute(
            'INSERT INTO marketplace."Product" '
            "SELECT i, md5(i::text), md5((i + 1)::text) FROM generate_series(10001, 30000) i"
        )
        yield
        await self.pool.execute('DELETE FROM marketplace."Product" WHERE id > 10000')
        await self.pool.execute("REINDEX INDEX marketplace.idx_products_search_gin")

    @fault("W08.orders", "a webhook is handled twice: one payment has two orders")
    async def order_twice(self) -> AsyncIterator[None]:
        twin = await self.pool.fetchval(
            'INSERT INTO marketplace."Order" ("stripePaymentIntentId", total, status, "createdAt") '
            """SELECT "stripePaymentIntentId", total, 'cancelled', "createdAt" FROM marketplace."Order" """
            "WHERE \"stripePaymentIntentId\" = 'pi_7' RETURNING id"
        )
        yield
        await self.pool.execute('DELETE FROM marketplace."Order" WHERE id = $1', twin)

    @fault("W09", "an order is locked by a session that forgot its transaction, and another waits for it for 31 s")
    async def session_blocked(self) -> AsyncIterator[None]:
        change = 'UPDATE marketplace."Order" SET total = total WHERE id = 1'
        async with self.pool.acquire() as blocker, self.pool.acquire() as waiting:
            forgotten = blocker.transaction()
            await forgotten.start()
            await blocker.execute(change)
            blocked = asyncio.ensure_future(waiting.execute(change, timeout=DAY))
            try:
                async with asyncio.timeout(5):
                    while not await self.pool.fetchval(BLOCKED):
                        await asyncio.sleep(ASK_EVERY)
                self.database.clock_ahead(31)
                yield
                await forgotten.rollback()
                await blocked
            finally:
                self.database.clock_ahead(0)
                blocked.cancel()
                await asyncio.gather(blocked, return_exceptions=True)

    @fault("W09.down", "PostgreSQL is killed")
    async def database_killed(self) -> AsyncIterator[None]:
        await self.database.kill()
        yield
        await self.database.start()
        await self._minute()

    @fault("W10.stale", "the job that makes the analytics stands still")
    async def analytics_stand_still(self) -> AsyncIterator[None]:
        self._analytics_run = False
        yield
        self._analytics_run = True
        await self._minute()

    @fault("W10.orders", "nobody has ordered for over an hour")
    async def no_orders(self) -> AsyncIterator[None]:
        self._orders_come = False
        moved = await self.pool.fetch(
            """UPDATE marketplace."Order" SET "createdAt" = "createdAt" - interval '3 hours' """
            """WHERE "createdAt" > now() - interval '2 hours' RETURNING id"""
        )
        yield
        await self.pool.execute(
            """UPDATE marketplace."Order" SET "createdAt" = "createdAt" + interval '3 hours' WHERE id = ANY($1)""",
            [one["id"] for one in moved],
        )
        self._orders_come = True

    @fault("W10.revenue", "the analytics count refunded orders as revenue")
    async def refunds_count(self) -> AsyncIterator[None]:
        self._refunds_count = True
        await self._minute()
        yield
        self._refunds_count = False
        await self._minute()
