"""The postgres kind beside the real postgres_exporter on one server: every family that both show, value by value."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from checks.base import Run
from checks.postgres import Postgres
from monitor.demo.servers import Postgres as Database
from monitor.demo.servers import Server
from tests.checks.probing import asked
from tests.servers import NewPostgres
from tests.skips import missing

EXAMPLES = Path("/usr/share/doc/prometheus-postgres-exporter/examples/queries.yaml")
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]

MOVING = {
    # What either of the two, by asking, adds to.
    "pg_stat_database_xact_commit": 60, "pg_stat_database_blks_hit": 20_000, "pg_stat_database_blks_read": 500,
    "pg_stat_database_tup_returned": 100_000, "pg_stat_database_tup_fetched": 20_000, "pg_stat_database_numbackends": 2,
    "pg_stat_database_xact_rollback": 20, "pg_locks_count": 60, "pg_stat_statements_calls_total": 60,
    "pg_stat_statements_seconds_total": 5, "pg_stat_statements_rows_total": 60_000,
    # What the server logs by itself.
    "pg_replication_slots_pg_wal_lsn_diff": 100_000,
    # Ages.
    "pg_stat_archiver_last_archive_age": 10, "pg_replication_lag_seconds": 10,
    # The exporter gives whole seconds.
    "pg_postmaster_start_time_seconds": 1,
}  # fmt: skip
"""Families whose values move between the two readings, and by how much at most."""

NOT_THE_SAME = {"pg_up"}


class Exporter(Server):
    """Debian's prometheus-postgres-exporter."""

    title = "postgres_exporter"

    def __init__(self, folder: Path, database: Database) -> None:
        super().__init__(folder)
        self.database = database

    def _command(self) -> list[str]:
        program = shutil.which("prometheus-postgres-exporter")
        if program is None:
            missing("prometheus-postgres-exporter")
        # An image that leaves documentation out has no examples; then the families of the program itself remain.
        more = [f"--extend.query-path={EXAMPLES}"] if EXAMPLES.exists() else []
        return [program, f"--web.listen-address=127.0.0.1:{self.port}", *more]

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {"DATA_SOURCE_NAME": f"{self.database.dsn}?sslmode=disable"}

    async def _answers(self) -> bool:
        try:
            return bool(await self.scrape())
        except aiohttp.ClientConnectionError:
            return False

    async def scrape(self) -> Series:
        """What it shows, without the labels that say where."""
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{self.port}/metrics") as answer:
            text = await answer.text()
        found: Series = {}
        for line in text.splitlines():
            match = re.fullmatch(r"(pg_\w+)(?:\{(.*)\})? (\S+)", line)
            if match:
                labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
                labels.pop("server", None)
                found[match[1], frozenset(labels.items())] = float(match[3])
        return found


@asynccontextmanager
async def busy(new_postgres: NewPostgres, tmp_path: Path) -> AsyncIterator[tuple[Database, Exporter]]:
    """A server with something of everything, and the exporter beside it."""
    database = await new_postgres(
        shared_preload_libraries="pg_stat_statements",
        archive_mode="on",
        archive_command="true",
        max_connections="40",
        autovacuum="off",
    )
    connection = await database.connect()
    for statement in (
        "CREATE EXTENSION pg_stat_statements; CREATE TABLE orders (id serial PRIMARY KEY, note text)",
        "INSERT INTO orders (note) SELECT repeat('x', 100) FROM generate_series(1, 2000); VACUUM ANALYZE orders",
        "DELETE FROM orders WHERE id % 4 = 0; SELECT pg_switch_wal(); SELECT pg_stat_force_next_flush()",
        "SELECT pg_create_physical_replication_slot('left_behind', true)",
    ):
        for part in statement.split("; "):
            await connection.execute(part)
    while not await connection.fetchval("SELECT archived_count FROM pg_stat_archiver"):
        await connection.execute("SELECT pg_sleep(0.01)")
    await connection.execute("BEGIN; LOCK orders IN EXCLUSIVE MODE")
    async with AsyncExitStack() as stack:
        stack.callback(connection.terminate)
        exporter = Exporter(tmp_path / "exporter", database)
        stack.push_async_callback(exporter.kill)
        await exporter.start()
        yield database, exporter


def shown(run: Run) -> Series:
    """What one probe shows under the peer's names."""
    peers = {one.name: one.also for one in Postgres.measurements if one.also}
    return {(peers[name], frozenset(labels)): value for name, value, labels in run.measurements if name in peers}


async def test_families_that_both_show_hold_the_same_values(new_postgres: NewPostgres, tmp_path: Path) -> None:
    async with busy(new_postgres, tmp_path) as (database, exporter):
        check = Postgres(name="d", dsn=database.dsn, statements={"top": 100}, tables={}, disk={"size": "1GB"})
        theirs = await exporter.scrape()
        ours = shown(await asked(check))
    families = {name for name, _ in ours} & {name for name, _ in theirs} - NOT_THE_SAME
    both = {key for key in ours if key in theirs and key[0] in families}
    assert {name for name, _ in both} == families, "the same name with other labels"
    differing = {key: (ours[key], theirs[key]) for key in both if abs(ours[key] - theirs[key]) > MOVING.get(key[0], 0)}
    assert differing == {}
    assert {
        "pg_settings_max_connections", "pg_settings_superuser_reserved_connections", "pg_database_size_bytes",
        "pg_stat_database_tup_inserted", "pg_stat_database_deadlocks", "pg_locks_count",
        "pg_stat_archiver_failed_count", "pg_replication_slots_pg_wal_lsn_diff",
    } <= families  # fmt: skip


async def test_it_asks_less_of_the_server_than_the_exporter(new_postgres: NewPostgres, tmp_path: Path) -> None:
    async with busy(new_postgres, tmp_path) as (database, exporter):
        connection = await database.connect()

        async def asked_for() -> int:
            return int(await connection.fetchval("SELECT sum(calls) FROM pg_stat_statements WHERE toplevel"))

        async def cost(question: Awaitable[object]) -> int:
            before = await asked_for()
            await question
            return await asked_for() - before - 1

        theirs = await cost(exporter.scrape())
        first = Postgres(name="d", dsn=database.dsn, statements={}, tables={}, disk={"size": "1GB"})
        ours, everything = await cost(asked(Postgres(name="d", dsn=database.dsn))), await cost(asked(first))
        await connection.close()
    assert ours < theirs
    assert everything < 12
