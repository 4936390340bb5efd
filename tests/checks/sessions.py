"""Sessions of PostgreSQL's superuser beside the one of a probe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from monitor.demo.servers import Postgres


@asynccontextmanager
async def session(server: Postgres, *statements: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A session that has run these statements."""
    connection = await server.connect()
    try:
        for statement in statements:
            await connection.execute(statement)
        yield connection
    finally:
        connection.terminate()


async def alone(session: asyncpg.Connection[asyncpg.Record]) -> None:
    """Return when the sessions of earlier probes are gone: their server ends them when it has noticed."""
    async with asyncio.timeout(5):
        others = "SELECT count(*) - 1 FROM pg_stat_activity WHERE backend_type = 'client backend'"
        while await session.fetchval(others):
            await session.execute("SELECT pg_sleep(0.005)")
            await session.execute("SELECT pg_stat_clear_snapshot()")
