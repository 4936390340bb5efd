"""Asks a PostgreSQL server how it is: reachability, connections, waits, replication, counters, tables; read only."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from checks.base import Asks, Check, Errored, Measurement, Reason, Recommended, Run
from checks.parts.postgres import sections as _postgres_sections
from checks.parts.postgres import server as _postgres_server
from checks.parts.postgres import sessions as _postgres_sessions
from checks.parts.postgres import statements as _postgres_statements
from checks.parts.postgres import tables as _postgres_tables
from checks.parts.postgres.diagnosis import diagnose
from checks.parts.postgres.recommended import RECOMMENDED
from checks.parts.postgres.sections import Reader, Sections, document
from checks.parts.postgres.server import OLDEST, record_server, server_query, usable_connections
from checks.parts.postgres.session import Asking, Dsn, Server
from checks.parts.postgres.sessions import record_sessions, sessions_query
from checks.parts.postgres.statements import Statements
from checks.parts.postgres.tables import Disk, Tables
from checks.parts.postgres.wire import Question
from checks.units import Duration

FRAME = 4
"""Statements around the questions: SELECT 1, BEGIN, our limits, COMMIT."""


class Postgres(Check):
    """A PostgreSQL server, asked over a fresh connection, so that "too many clients" is seen."""

    measurements: ClassVar[tuple[Measurement, ...]] = (
        *_postgres_server.MEASUREMENTS,
        *_postgres_sessions.MEASUREMENTS,
        *_postgres_statements.MEASUREMENTS,
        *_postgres_tables.MEASUREMENTS,
        *_postgres_tables.DISK_MEASUREMENTS,
        *_postgres_sections.MEASUREMENTS,
    )
    up: ClassVar[str] = "pg_up"
    recommended: ClassVar[tuple[Recommended, ...]] = RECOMMENDED

    dsn: Dsn = Field(description="postgresql://user:password@host:port/database?sslmode=…, read as libpq does.")
    statement_timeout: Duration = Field(default=3.0, gt=0, description="When the server ends a query of ours.")
    lock_timeout: Duration = Field(default=1.0, gt=0, description="When the server ends our wait for a lock.")
    idle_limit: Duration = Field(default=1800.0, gt=0, description="A session idle for longer counts in idle_sessions.")
    long_query: Duration = Field(default=60.0, gt=0, description="A query that runs longer is shown as evidence.")
    statements: Statements | None = Field(default=None, description="Slow statements; `{}` for the defaults.")
    tables: Tables | None = Field(default=None, description="Tables, indexes and sequences; `{}` for the defaults.")
    disk: Disk | None = Field(default=None, description="Use of the server's disk.")

    def declared(self) -> tuple[Measurement, ...]:
        """Those of the sections that are configured, and what there is without any."""
        sections = (
            (self.statements, _postgres_statements.MEASUREMENTS),
            (self.tables, _postgres_tables.MEASUREMENTS),
            (self.disk, _postgres_tables.DISK_MEASUREMENTS),
        )
        absent = {one for section, measured in sections if section is None for one in measured}
        return tuple(one for one in self.measurements if one not in absent)

    @property
    def server(self) -> Server:
        """Where it is, and our limits."""
        return Server(self.dsn, self.timeout, self.statement_timeout, self.lock_timeout, "pg_catalog")

    def secrets(self) -> tuple[str, ...]:
        """Also the password as the server knows it, without the address's escapes."""
        return self.server.secrets()

    def asks(self) -> tuple[Asks, ...]:
        """SELECT 1, a transaction with its limits and two questions, and one or two for each section that is due."""
        sections = self._sections.readers
        due = sum(self.interval / max(self.interval, one.every) for one in sections.values())
        most = FRAME + 2 + len(sections) + (self.statements is not None)
        return (Asks(self.target, FRAME + 2 + due, most, "statements", diagnosis=FRAME + 4),)

    async def probe(self, run: Run) -> None:
        """Ask once: SELECT 1, then two queries in a transaction, and those of the sections that are due."""
        async with self.server.session(run) as asking:
            run.record("connect_seconds", asking.connected)
            run.record("answer_seconds", await asking.timed("SELECT 1"))
            sections = self._sections
            due = sections.due(run)
            server = await self._ask(asking, run, last=not due)
            if due:
                await sections.read(asking, server, due, run)
            sections.show(run)

    async def diagnose(self, run: Run) -> None:
        """Running queries, idle sessions, who is connected, standbys, largest tables, statements that took most."""
        async with self.server.session(run) as asking:
            await diagnose(asking, self.idle_limit, run)
            await asking.end()

    async def _ask(self, asking: Asking, run: Run, *, last: bool) -> dict[str, Any]:
        """Ask for the server and its sessions, in one round trip; what the server said of itself."""
        version, where = self._version(asking), self.server.where
        limits = (repr(self.idle_limit), repr(self.long_query))
        answers = await asking.ask(
            Question(server_query(version), (), 1), Question(sessions_query(version), limits, 1), last=last
        )
        server, sessions = (document(answer.rows, where) for answer in answers)
        if server["database"] is None:
            raise Errored(Reason.INTERNAL, f"cannot ask {where}: it has no statistics of its database")
        record_server(server, run)
        if not server["trusted"]:
            role = server["role"]
            raise Errored(
                Reason.AUTH,
                f"cannot read the sessions of {where}: it answers, but role {role} lacks pg_monitor; "
                f'as a superuser run: GRANT pg_monitor TO "{role}"',
            )
        record_sessions(sessions, usable_connections(server), server["in_recovery"], run)
        return server

    def _version(self, asking: Asking) -> int:
        said = asking.version
        digits = said.partition(".")[0].partition(" ")[0]
        number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 5 else 0
        if number < OLDEST:
            raise Errored(
                Reason.INTERNAL,
                f"cannot ask {self.server.where}: version {said[:40] or 'unknown'} is too old, {OLDEST} is the oldest",
            )
        return number

    @property
    def _sections(self) -> Sections:
        readers: dict[str, Reader | None] = {"statements": self.statements, "tables": self.tables, "disk": self.disk}
        return Sections({name: reader for name, reader in readers.items() if reader is not None}, self.interval)
