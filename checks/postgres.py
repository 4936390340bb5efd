"""Asks a PostgreSQL server how it is: reachability, connections, waits, replication, counters; read only."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import ssl
from time import monotonic
from typing import Any, ClassVar, TypeAlias
from urllib.parse import unquote

import asyncpg
from pydantic import Field, field_validator

from checks import _network as network
from checks._postgres_queries import (
    ENOUGH_BLOCKS,
    ENOUGH_TRANSACTIONS,
    MEASUREMENTS,
    OLDEST,
    SERVER,
    SESSIONS,
    STATES,
)
from checks.base import Check, Errored, Failed, Measurement, Reason, Run, Url
from checks.units import Duration, show_duration
from checks.wire.certificates import untrusted
from checks.wire.fault import WireError
from checks.wire.patience import HAIR, Patience
from checks.wire.resolve import resolve
from checks.wire.tls import fault

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class Postgres(Check):
    """A PostgreSQL server, asked over a fresh connection, so that "too many clients" is seen."""

    measurements: ClassVar[tuple[Measurement, ...]] = MEASUREMENTS
    up: ClassVar[str] = "pg_up"

    dsn: Url = Field(description="postgresql://user:password@host:port/database?sslmode=…, read as libpq does.")
    statement_timeout: Duration = Field(default=3.0, gt=0, description="When the server ends a query of ours.")
    lock_timeout: Duration = Field(default=1.0, gt=0, description="When the server ends our wait for a lock.")
    idle_limit: Duration = Field(default=1800.0, gt=0, description="A session idle for longer counts in idle_sessions.")
    long_query: Duration = Field(default=60.0, gt=0, description="A query that runs longer is shown as evidence.")

    @field_validator("dsn")
    @classmethod
    def _a_server(cls, dsn: Url) -> Url:
        if dsn.parts.scheme not in ("postgresql", "postgres"):
            raise ValueError("an address such as postgresql://user:password@host:5432/database is wanted")
        network.endpoint(dsn, 5432)
        if "password=" in dsn.parts.query:
            raise ValueError("write the password before the host, user:password@host: there it is kept secret")
        return dsn

    @property
    def where(self) -> str:
        """The server in sentences."""
        return f"PostgreSQL at {network.endpoint(self.dsn, 5432)}"

    def secrets(self) -> tuple[str, ...]:
        """Also the password as the server knows it, without the address's escapes."""
        return tuple(dict.fromkeys((*super().secrets(), *map(unquote, self.dsn.secrets()))))

    async def probe(self, run: Run) -> None:
        """Ask once: two queries, with PgBouncer in between a frame of two more statements."""
        step = (Reason.CONNECT_TIMEOUT, f"cannot connect to {self.where}")
        try:
            # A hair before the caller's deadline, so that the sentence says what was waited for.
            async with asyncio.timeout(self.timeout - min(HAIR, self.timeout * 0.1)):
                await self._resolve()
                connection = await self._connect(run)
                step = (Reason.READ_TIMEOUT, f"cannot ask {self.where}")
                try:
                    await self._ask(connection, run)
                    await connection.close()
                finally:
                    connection.terminate()
        except TimeoutError:
            raise Failed(step[0], f"{step[1]}: no answer within {show_duration(self.timeout)}") from None
        except asyncpg.PostgresError as why:
            raise self._refusal(why, step[1], run) from None
        except (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as why:
            raise _broken(why, step[1], self.where) from None

    async def _resolve(self) -> None:
        """See that the name has an address, before the driver asks the system, which a dead name server stops."""
        to = network.endpoint(self.dsn, 5432)
        with Patience(self.timeout) as patience:
            try:
                await resolve(to.host, to.port, "any", patience)
            except WireError as why:
                raise network.translated(why) from None

    async def _connect(self, run: Run) -> Connection:
        """A connection with our limits on it; where PgBouncer refuses such parameters, one without, remembered."""
        limits = {
            "statement_timeout": f"{self.statement_timeout * 1000:.0f}",
            "lock_timeout": f"{self.lock_timeout * 1000:.0f}",
            "default_transaction_read_only": "on",
            "search_path": "pg_catalog",
            "jit": "off",
        }
        started = monotonic()
        if not run.memory.get("pooled"):
            try:
                connection = await self._open({"application_name": "runwatch", **limits})
            except asyncpg.ProtocolViolationError:
                run.memory["pooled"] = True
        if run.memory.get("pooled"):
            connection = await self._open({"application_name": "runwatch"})
        run.record("connect_seconds", monotonic() - started)
        if run.memory.get("pooled"):
            words = "".join(
                f"; SET LOCAL {name} = {value}" for name, value in limits.items() if "read_only" not in name
            )
            await _whole(connection, connection.execute(f"BEGIN READ ONLY{words}"))
        return connection

    async def _open(self, settings: dict[str, str]) -> Connection:
        return await asyncpg.connect(
            self.dsn.reveal(), timeout=self.timeout + 1, statement_cache_size=0, server_settings=settings
        )

    async def _ask(self, connection: Connection, run: Run) -> None:
        server = await _whole(connection, connection.fetchrow(SERVER))
        if server is None:
            raise Failed(Reason.PROTOCOL, f"cannot ask {self.where}: it has no statistics of its database")
        self._record_server(server, run)
        if not server["trusted"]:
            role = server["role"]
            raise Errored(
                Reason.AUTH,
                f"cannot read the sessions of {self.where}: it answers, but role {role} lacks pg_monitor; "
                f'as a superuser run: GRANT pg_monitor TO "{role}"',
            )
        sessions = await _whole(connection, connection.fetchrow(SESSIONS, self.idle_limit, self.long_query))
        if run.memory.get("pooled"):
            await _whole(connection, connection.execute("COMMIT"))
        assert sessions is not None
        _record_sessions(sessions, server["connections_max"], run)
        _record_replication(sessions, server["in_recovery"], run)
        _show(sessions, run)

    def _record_server(self, server: asyncpg.Record, run: Run) -> None:
        if server["version"] < OLDEST:
            version = server["version"] // 10000
            raise Errored(Reason.INTERNAL, f"cannot ask {self.where}: version {version} is too old, 12 is the oldest")
        run.memory["max_connections"] = server["max_connections"]
        run.record("server_version", server["version"])
        run.record("start_time_seconds", server["started"])
        run.record("uptime_seconds", server["uptime"])
        run.record("in_recovery", float(server["in_recovery"]))
        run.record("connections_max", server["connections_max"])
        run.record("transaction_id_age", server["oldest_transaction"])
        run.record("database_size_bytes", server["size"], datname=server["datname"])
        run.record("deadlocks_total", server["deadlocks"], datid=server["datid"], datname=server["datname"])
        deadlocks = run.growth("deadlocks", server["deadlocks"])
        if deadlocks is not None:
            run.record("deadlocks_new", deadlocks)
        run.share("cache_hit_ratio", server["blks_hit"], server["blks_read"], ENOUGH_BLOCKS)
        run.share("rollback_ratio", server["xact_rollback"], server["xact_commit"], ENOUGH_TRANSACTIONS)

    def _refusal(self, why: asyncpg.PostgresError, step: str, run: Run) -> Failed | Errored:
        """What the server's own words mean; SQLSTATE classes as in appendix A of its manual."""
        said, state = str(why).splitlines()[0], why.sqlstate or ""
        match state:
            case "53300":
                limit = run.memory.get("max_connections")
                known = f" (max_connections is {limit})" if limit else ""
                return Failed(Reason.CONNECT_REFUSED, f"{step}: {said}{known}")
            case "57P03":
                return Failed(Reason.CONNECT_REFUSED, f"{step}: {said}")
            case "57014":
                limit = show_duration(self.statement_timeout)
                return Failed(Reason.READ_TIMEOUT, f"{step}: the query took longer than {limit} (statement_timeout)")
            case "55P03":
                limit = show_duration(self.lock_timeout)
                return Failed(
                    Reason.READ_TIMEOUT,
                    f"{step}: somebody holds a lock on the statistics that we read, for longer than {limit}",
                )
            case "28P01" | "28000":
                return Errored(Reason.AUTH, f"{step}: it does not let us in: {said}")
            case "42501":
                remedy = "GRANT pg_monitor TO our role"
                return Errored(Reason.AUTH, f"{step}: our role lacks rights: {said}; as a superuser run: {remedy}")
        if state[:2] in ("42", "0A", "22"):
            return Errored(Reason.INTERNAL, f"{step}: it does not understand our query: {said}")
        return Failed(Reason.PROTOCOL, f"{step}: {said}")


async def _whole(connection: Connection, question: Any) -> Any:
    """The answer to a question. Cancelled, it ends the connection first, because asyncpg would open a second one then,
    to ask the server to stop, and leave it behind where the server is frozen; statement_timeout stops the query."""
    asked = asyncio.ensure_future(question)
    try:
        return await asyncio.shield(asked)
    except asyncio.CancelledError:
        connection.terminate()
        await asyncio.wait((asked,))
        if not asked.cancelled():
            asked.exception()
        raise


def _record_sessions(sessions: asyncpg.Record, usable: int, run: Run) -> None:
    states = json.loads(sessions["states"] or "{}")
    for state in dict.fromkeys((*STATES, *states)):
        run.record("connections", states.get(state, 0), state=state)
    run.record("connections_used", sessions["used"])
    if usable > 0:
        run.record("connections_used_ratio", sessions["used"] / usable)
    run.record("idle_in_transaction", sessions["idling"])
    run.record("idle_in_transaction_oldest_seconds", sessions["idling_oldest"])
    run.record("idle_sessions", sessions["idle"])
    run.record("longest_query_seconds", sessions["longest"])
    run.record("blocked_sessions", sessions["blocked"])
    run.record("blocked_longest_seconds", sessions["blocked_longest"])


def _record_replication(sessions: asyncpg.Record, standby: bool, run: Run) -> None:
    run.record("replication_standbys", sessions["standbys"])
    if standby:
        run.record("replication_receiving", float(sessions["receiving"]))
    for name, key in (
        ("replication_lag_seconds", "lag_seconds"),
        ("replication_lag_bytes", "lag_bytes"),
        ("replication_slot_retained_bytes", "retained"),
    ):
        if sessions[key] is not None:
            run.record(name, max(0.0, sessions[key]))


def _show(sessions: asyncpg.Record, run: Run) -> None:
    """The evidence, where there is something to see."""
    blocked = json.loads(sessions["blocked_rows"] or "[]")
    if blocked:
        run.evidence("blocked sessions", "\n".join(_blocked(row) for row in blocked))
    running = json.loads(sessions["long_rows"] or "[]")
    if running:
        run.evidence(
            "longest queries", "\n".join(f"{_who(row)} for {_age(row['query_age'])}: {row['query']}" for row in running)
        )
    idle = json.loads(sessions["idle_rows"] or "[]")
    if idle:
        run.evidence("idle sessions", "\n".join(f"{_who(row)} for {_age(row['state_age'])}" for row in idle))


def _blocked(row: dict[str, Any]) -> str:
    lines = [f"{_who(row)} has waited {_age(row['waiting'])}: {row['query']}"]
    blockers = [
        f"  blocked by {_who(other)} in a transaction for {_age(other['transaction_age'])}: {other['query']}"
        for other in row["blockers"] or ()
    ]
    # A lock held by a prepared transaction has no session, hence no row.
    return "\n".join([*lines, *(blockers or ["  blocked by a transaction without a session"])])


def _who(row: dict[str, Any]) -> str:
    application = f", {row['application']}" if row["application"] else ""
    return f"pid {row['pid']} ({row['usename'] or row['backend_type']}{application}, {row['state']})"


def _age(seconds: float | None) -> str:
    return "an unknown time" if seconds is None else show_duration(seconds)


def _broken(why: Exception, step: str, where: str) -> Failed | Errored:
    """What a fault beneath PostgreSQL's protocol, or of the driver, means."""
    if isinstance(why, asyncpg.InterfaceError | ValueError) and not isinstance(why, OSError):
        return Errored(Reason.INTERNAL, f"{step}: {why}")
    if isinstance(why, ssl.SSLCertVerificationError):
        reason, sentence = untrusted(why.verify_code, why.verify_message, (), where)
        return Failed(Reason(reason), f"{step}: {sentence}")
    if isinstance(why, ssl.SSLError):
        return network.translated(fault(why, where))
    # asyncio joins the faults of several addresses into one text without a number.
    number = getattr(why, "errno", None) or int((re.findall(r"\[Errno (\d+)\]", str(why)) or ["0"])[0])
    if number in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENETUNREACH, errno.EADDRNOTAVAIL):
        return Errored(Reason.INTERNAL, f"{step}: {os.strerror(number)}")
    if number in (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENOENT):
        return Failed(Reason.CONNECT_REFUSED, f"{step}: {os.strerror(number).lower()}")
    if number == errno.ETIMEDOUT:
        return Failed(Reason.CONNECT_TIMEOUT, f"{step}: {os.strerror(number).lower()}")
    return Failed(Reason.PROTOCOL, f"{step}: {str(why) or 'the server closed the connection'}")
