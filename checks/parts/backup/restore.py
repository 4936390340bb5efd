"""Restores a backup into a scratch database of its own, asks that a question, and drops it."""

from __future__ import annotations

import asyncio
import importlib
import platform
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import Annotated, Any
from urllib.parse import unquote

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from checks.base import Errored, Failed, Reason, Run, Url
from checks.parts.backup.content import Unreadable
from checks.parts.backup.files import Backup
from checks.parts.backup.psql import by_psql, complaints_of
from checks.parts.backup.test import programs
from checks.parts.paths import unreadable
from checks.parts.pool import in_pool
from checks.parts.program import Ended, run_program
from checks.units import Duration
from checks.wire.certificates import visible

KEPT = "restored"
CONNECT = 10.0
DROP = 0.1
"""Share of the probe's time that is left for dropping the database."""
TABLES = "SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
FORCE_SINCE = 13
SERVER_S_FAULT = (
    "connection to server", "server closed the connection", "terminating connection", "No space left on device",
    "the database system is", "no connection to the server",
)  # fmt: skip


def _address(url: Url) -> Url:
    if url.parts.scheme not in ("postgres", "postgresql") or not url.parts.hostname:
        raise ValueError("an address such as postgresql://user:password@host:5432/postgres is wanted")
    return url


class Restore(BaseModel):
    """A PostgreSQL server to restore into. A database of its own is made there, and always dropped again."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    dsn: Annotated[Url, AfterValidator(_address)] = Field(
        description="A scratch server's, never production's: postgresql://user:password@host:5432/postgres."
    )
    query: str = Field(default=TABLES, min_length=1, description="A question with one number for an answer.")
    at_least: float = Field(default=1.0, description="What the number must be at least.")
    every: Duration = Field(default=604800.0, gt=0, description="How often; 7d without this.")


class Tried(BaseModel):
    """How the last restore went."""

    model_config = ConfigDict(extra="ignore")

    path: str
    at: float
    took: float
    problem: str = ""
    value: float | None = None


async def restore(settings: Restore, newest: Backup, run: Run, key: str, seconds: float, folder: str | None) -> None:
    """Restore where it is due, record how it went. Raises Failed where the backup can't be restored, else Errored."""
    tried = _remembered(run)
    if tried is None or run.at - tried.at >= settings.every or (tried.problem and tried.path != newest.path):
        tried = await _try(settings, newest, run, key, seconds, folder)
        run.kept[KEPT] = tried.model_dump()
    run.record("restored", float(not tried.problem))
    run.record("restore_age_seconds", max(0.0, run.at - tried.at))
    run.record("restore_took_seconds", tried.took)
    if tried.value is not None:
        run.record("restored_value", tried.value)
    if tried.problem:
        raise Failed(Reason.ASSERTION, f"the backup can't be restored: {tried.problem}: {tried.path}")


def _remembered(run: Run) -> Tried | None:
    try:
        return Tried.model_validate(run.kept.get(KEPT))
    except ValidationError:
        return None


async def _try(settings: Restore, newest: Backup, run: Run, key: str, seconds: float, folder: str | None) -> Tried:
    loop = asyncio.get_running_loop()
    began = loop.time()
    asyncpg = await in_pool(run, importlib.import_module, "asyncpg")
    # Of this check and this machine alone, so that what a kill -9 left behind can be dropped the next time.
    name = "runwatch_restore_" + blake2b(f"{platform.node()}\n{key}".encode(), digest_size=6).hexdigest()
    problem, value = "", None
    try:
        async with _database(asyncpg, settings, name, run):
            left = seconds * (1 - 2 * DROP) - (loop.time() - began)
            problem = await _fill(settings, newest, run, name, left, folder)
            if not problem:
                value, problem = await _asked(asyncpg, settings, name, seconds)
    except asyncpg.InsufficientPrivilegeError as why:
        said = f"{_said(why)}; as its administrator run: ALTER ROLE <our user> CREATEDB"
        raise Errored(Reason.AUTH, f"cannot try a restore at {settings.dsn}: {said}") from None
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as why:
        raise Errored(Reason.AUTH, f"cannot try a restore at {settings.dsn}: {_said(why)}") from None
    except _away(asyncpg) as why:
        raise Errored(Reason.INTERNAL, f"cannot try a restore at {settings.dsn}: {_said(why)}") from None
    return Tried(path=newest.path, at=run.at, took=loop.time() - began, problem=problem, value=value)


def _away(asyncpg: Any) -> tuple[type[Exception], ...]:
    """What a server that is gone, slow, ending amid a statement or not the one that the DSN wants is met with."""
    return asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError


def _said(why: Exception) -> str:
    return visible(str(why), 300) or type(why).__name__


@asynccontextmanager
async def _connected(asyncpg: Any, settings: Restore, database: str | None) -> AsyncIterator[Any]:
    # asyncpg bounds connecting by itself; a server that then hangs is left to the bound of each command.
    connection = await asyncpg.connect(
        settings.dsn.reveal(), timeout=CONNECT, command_timeout=CONNECT, statement_cache_size=0,
        **({"database": database} if database else {}),
    )  # fmt: skip
    try:
        yield connection
    finally:
        connection.terminate()


@asynccontextmanager
async def _database(asyncpg: Any, settings: Restore, name: str, run: Run) -> AsyncIterator[None]:
    """An empty database for as long as this lasts."""
    async with _connected(asyncpg, settings, None) as connection:
        await _drop(connection, name)
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    try:
        yield
    finally:
        try:
            async with _connected(asyncpg, settings, None) as connection:
                await _drop(connection, name)
        except _away(asyncpg) as why:
            run.evidence("Left behind", f'The database "{name}" could not be dropped: {_said(why)}')


async def _drop(connection: Any, name: str) -> None:
    force = " WITH (FORCE)" if connection.get_server_version().major >= FORCE_SINCE else ""
    await connection.execute(f'DROP DATABASE IF EXISTS "{name}"{force}')


async def _asked(asyncpg: Any, settings: Restore, name: str, seconds: float) -> tuple[float | None, str]:
    """What the query answers, and what is wrong with that."""
    async with _connected(asyncpg, settings, name) as connection, connection.transaction(readonly=True):
        try:
            answer = await connection.fetchval(settings.query, timeout=seconds * DROP)
        except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.InvalidSchemaNameError) as why:
            return None, f"restored, but it lacks what the query asks for: {_said(why)}"
    try:
        value = float(answer)
    except (TypeError, ValueError):
        said = visible(str(answer), 100)
        raise Errored(Reason.INTERNAL, f"cannot judge the restore: the query answers {said!r}, no number") from None
    if value < settings.at_least:
        return value, f"restored, the query answers {value:.10g}, at least {settings.at_least:.10g} is expected"
    return value, ""


async def _fill(settings: Restore, newest: Backup, run: Run, name: str, seconds: float, folder: str | None) -> str:
    """Restore into the database; what went wrong, or ""."""
    env = {**programs(folder), **_login(settings.dsn), "PGDATABASE": name}
    try:
        archive, tar = await in_pool(run, _sort, newest)
        if archive or tar:
            words = ["--no-owner", "--no-acl", f"--dbname={name}", newest.path]
            ended = await run_program(Run(run.memory, run.at), ["pg_restore", *words], env, "/", seconds)
            _spare(settings, ended)
            return complaints_of(ended) or "pg_restore failed" if ended.code else ""
        ended = await by_psql(newest, run, env, seconds)
    except OSError as why:
        raise unreadable(newest.path, why) from None
    except Unreadable as why:
        return str(why)
    _spare(settings, ended)
    if complaints_of(ended):
        run.evidence("What psql said", complaints_of(ended))
    return complaints_of(ended) or f"psql ended with {ended.code}" if ended.code else ""


def _spare(settings: Restore, ended: Ended) -> None:
    """Raise Errored where it was the scratch server's fault, not the backup's."""
    said = complaints_of(ended)
    if ended.code and any(word in said for word in SERVER_S_FAULT):
        raise Errored(Reason.INTERNAL, f"cannot try a restore at {settings.dsn}: {said}")


def _sort(newest: Backup) -> tuple[bool, bool]:
    """Whether it is one of pg_dump's archives, whether it is a tar archive."""
    if newest.folder:
        return True, False
    with open(newest.path, "rb") as stream:
        head = stream.read(512)
    return head.startswith(b"PGDMP"), head[257:262] == b"ustar"


def _login(dsn: Url) -> dict[str, str]:
    """How libpq's programs are told where to connect: not on their command line, which everybody can read."""
    parts = dsn.parts
    query = dict(pair.split("=", 1) for pair in parts.query.split("&") if "=" in pair)
    given = {
        "PGHOST": parts.hostname or "", "PGPORT": str(parts.port or 5432), "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""), "PGSSLMODE": query.get("sslmode", ""), "PGCONNECT_TIMEOUT": "10",
    }  # fmt: skip
    return {name: value for name, value in given.items() if value}
