"""What others do with a PostgreSQL: hold its connections, and dump it as their runbooks say."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import asyncpg

from monitor.demo.process import ASK_EVERY, NotStarted
from monitor.demo.servers import postgres_tool

CONNECTS_WITHIN = 5.0
CLOSES_WITHIN = 2.0
"""Seconds that a server has to close a connection; one that is frozen never does."""


@asynccontextmanager
async def connections(
    address: str, count: int, *, application: str = "", patience: float = 3.0
) -> AsyncIterator[list[asyncpg.Connection[asyncpg.Record]]]:
    """So many connections until the end, or as many as there are; TooManyConnectionsError where there is none.

    The server has to refuse one for `patience` seconds: some are taken by others only for a moment.
    """
    held: list[asyncpg.Connection[asyncpg.Record]] = []
    try:
        try:
            while len(held) < count:
                held.append(await _connected(address, application, monotonic() + patience))
        except asyncpg.TooManyConnectionsError:
            if not held:
                raise
        yield held
    finally:
        closing = (one.close(timeout=CLOSES_WITHIN) for one in held)
        await asyncio.gather(*closing, return_exceptions=True)  # those that don't close are cut


async def _connected(address: str, application: str, until: float) -> asyncpg.Connection[asyncpg.Record]:
    while True:
        try:
            return await asyncpg.connect(
                address, timeout=CONNECTS_WITHIN, server_settings={"application_name": application}
            )
        except asyncpg.TooManyConnectionsError:
            if monotonic() > until:
                raise
        await asyncio.sleep(ASK_EVERY)


async def dump(address: str, *options: str) -> bytes:
    """What pg_dump makes of a database; NotStarted with what it complains of."""
    process = await asyncio.create_subprocess_exec(
        str(postgres_tool("pg_dump")), *options, address, stdout=PIPE, stderr=PIPE, env={"LC_ALL": "C"}
    )
    made, said = await process.communicate()
    if process.returncode:
        raise NotStarted(f"cannot make a backup: {said.decode().strip()}")
    return made


async def dump_into(file: Path, address: str, blocks: int | None = None) -> None:
    """Have pg_dump write straight into a file of so many blocks of 512 bytes at most, however that ends."""
    limit = "unlimited" if blocks is None else str(blocks)
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", f'ulimit -f {limit}; exec "$0" "$1" > "$2"',
        str(postgres_tool("pg_dump")), address, str(file), stderr=DEVNULL,
    )  # fmt: skip
    await process.wait()
