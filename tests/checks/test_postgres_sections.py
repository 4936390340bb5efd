"""The postgres kind's sections against real servers: slow statements, tables, disk; beat, locks, cost."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.thresholds import parse
from checks.base import KEPT_MOST, Reason, Run
from checks.parts.growing import MOST, growing
from checks.parts.postgres.server import server_query
from checks.parts.postgres.sessions import sessions_query
from checks.parts.postgres.statements import Counters, slow_since
from checks.parts.postgres.wire import Question
from checks.postgres import Postgres
from monitor.demo.servers import Postgres as Server
from tests.checks.probing import Memory, asked, errs, evidence, fails, value, values
from tests.checks.sessions import alone, session
from tests.servers import NewPostgres
from tests.skips import missing

HOUR, DAY = 3600.0, 86_400.0
OTHER_VERSIONS = Path("/usr/lib/postgresql")
PRELOADED = {"shared_preload_libraries": "pg_stat_statements"}


def after_a_restart(memory: Memory) -> Memory:
    """What is left of a check's memory when runwatch starts anew."""
    kept = json.dumps(memory["kept"])
    assert len(kept) < KEPT_MOST
    return {"kept": json.loads(kept)}


class Debian(Server):
    """PostgreSQL of another version than the wheel's, from Debian's package."""

    @property
    def _bin(self) -> Path:
        found = sorted(OTHER_VERSIONS.glob("*/bin/postgres"))
        if not found:
            missing("Debian's postgresql")
        return found[-1].parent

    def tool(self, name: str, *arguments: str) -> None:
        super().tool(str(self._bin / name), *arguments)

    def _command(self) -> list[str]:
        return [str(self._bin / "postgres"), *super()._command()[1:]]


async def test_statements_are_slow_by_their_mean_since_the_last_reading(new_postgres: NewPostgres) -> None:
    server = await new_postgres(**PRELOADED)
    check = Postgres(name="d", dsn=server.dsn, statements={"slow": "400ms", "every": "1m"})
    memory: Memory = {}
    async with session(
        server, "CREATE EXTENSION pg_stat_statements", "SELECT pg_sleep(0.5), 'Ada Lovelace', 42"
    ) as busy:
        first = await asked(check, memory, at=0)
        assert values(first, "slow_statements") == {}, "nothing is known yet"
        await busy.execute("SELECT pg_sleep(0.6), 'Charles Babbage', 43")
        still = await asked(check, memory, at=30)
        assert values(still, "slow_statements") == {}, "not due"
        memory = after_a_restart(memory)
        run = await asked(check, memory, at=60)
        assert value(run, "slow_statements") == 1
        assert 0.6 <= value(run, "slowest_statement_seconds") < 5
        assert value(run, "statement_mean_seconds") > 0
        assert value(run, "statements_per_second") > 0
        [shown] = evidence(run, "slow statements").splitlines()
        assert shown.endswith("in 1 runs by postgres: SELECT pg_sleep($1), $2, $3")
        held = await asked(check, memory, at=90)
        assert value(held, "slow_statements") == 1, "what was found is shown until the next reading"
        over = await asked(check, memory, at=120)
        assert value(over, "slow_statements") == 0, "a mean of a lifetime would never recover"
        assert value(over, "slowest_statement_seconds") == 0
        await busy.execute("SELECT pg_stat_statements_reset()")
        await busy.execute("SELECT pg_sleep(0.7), 'Grace', 1")
        reset = await asked(check, memory, at=180)
        assert value(reset, "slow_statements") == 1, "counters that were reset count from nothing"
        labels = {"user": "postgres", "datname": "postgres"}
        totals = values(reset, "statement_seconds_total")
        assert max(totals.values()) >= 0.7 and all(labels.items() <= set(each) for each in totals)


@pytest.mark.parametrize(
    "kept", [None, "x", 7, [1], {"1 a": None}, {"1 a": ["x", 2]}, {"1 a": [1]}, {"1 a": [True, 2]}]
)
def test_whatever_an_older_version_kept_is_borne(kept: Any) -> None:
    rows = [Counters("1", "a", 10.0, 20_000.0, 3_000.0, 1.0, 1)]
    assert slow_since(kept if isinstance(kept, dict) else {}, rows, 1.0) == []
    run = Run({"kept": {"sizes": kept}}, 0)
    assert growing(run, "tables", "t", 5) is None
    run = Run({"kept": {"sizes": {"tables": {"t": kept}}}}, 0)
    assert growing(run, "tables", "t", 5) is None


@given(
    st.integers(0, 100), st.floats(0, 1e6), st.integers(0, 100), st.floats(0, 1e6), st.floats(0.001, 100)
)  # fmt: skip
def test_a_statement_is_slow_exactly_where_its_new_runs_were(
    calls: int, total: float, more: int, took: float, limit: float
) -> None:
    now = [Counters("1", "a", calls + more, total + took, 1e9, 0, 1), Counters("2", "a", 5, 1e9, 1e9, 0, 2)]
    found = slow_since({"1 a": [calls, total]}, now, limit)
    grown = now[0].total - total
    assert [one.queryid for one in found] == (["1"] if more and grown / more >= limit * 1000 else [])


async def test_without_the_extension_the_sentence_says_what_to_do(new_postgres: NewPostgres) -> None:
    server = await new_postgres()
    check = Postgres(name="d", dsn=server.dsn, statements={})
    memory: Memory = {}
    for _ in range(2):
        words = "the extension pg_stat_statements is not in this database", "CREATE EXTENSION"
        await errs(check, Reason.INTERNAL, *words, memory=memory)
    async with session(server, "CREATE EXTENSION pg_stat_statements"):
        await errs(check, Reason.INTERNAL, "must be loaded", "restart the server")


async def test_an_extension_in_a_schema_with_an_odd_name_is_found(new_postgres: NewPostgres) -> None:
    server = await new_postgres(**PRELOADED)
    async with session(
        server, 'CREATE SCHEMA "Odd; ""One"""', 'CREATE EXTENSION pg_stat_statements SCHEMA "Odd; ""One"""'
    ):
        memory: Memory = {}
        check = Postgres(name="d", dsn=server.dsn, statements={})
        await asked(check, memory, at=0)
        assert value(await asked(check, memory, at=60), "slow_statements") == 0
        diagnosis = Run()
        await check.diagnose(diagnosis)
        assert "SELECT" in evidence(diagnosis, "statements that took most time")


async def test_tables_indexes_and_sequences_are_measured(new_postgres: NewPostgres) -> None:
    server = await new_postgres(autovacuum="off")
    check = Postgres(name="d", dsn=server.dsn, tables={"top": 2, "unused_after": "1us"})
    async with session(
        server,
        'CREATE SCHEMA "Odd"; CREATE TABLE "Odd"."Order" (id serial PRIMARY KEY, note text)',
        "CREATE TABLE small (id int); CREATE TABLE tiny (id int)",
        """INSERT INTO "Odd"."Order" (note) SELECT repeat('x', 200) FROM generate_series(1, 3000)""",
        "INSERT INTO small SELECT generate_series(1, 1000); ANALYZE",
        'CREATE INDEX unused_one ON "Odd"."Order" (note)',
        """SELECT setval('"Odd"."Order_id_seq"', 1900000000)""",
        'DELETE FROM "Odd"."Order" WHERE id % 2 = 0; SELECT pg_stat_force_next_flush()',
        "CREATE INDEX broken ON small (id)",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass",
    ) as superuser:
        memory: Memory = {}
        run = await asked(check, memory, at=0)
        order = {"datname": "postgres", "schemaname": "Odd", "relname": "Order"}
        assert {dict(labels)["relname"] for labels in values(run, "table_bytes")} == {"Order", "small"}
        sizes = await superuser.fetchrow(
            """SELECT pg_table_size('"Odd"."Order"') a, pg_indexes_size('"Odd"."Order"') b"""
        )
        assert sizes is not None
        assert value(run, "table_heap_bytes", **order) == sizes["a"]
        assert value(run, "table_index_bytes", **order) == sizes["b"]
        assert value(run, "table_bytes", **order) == sizes["a"] + sizes["b"]
        assert value(run, "table_dead_rows", **order) == 1500
        assert 0.2 < value(run, "table_dead_ratio", **order) < 0.7
        assert 0 < value(run, "table_vacuum_age_seconds", **order) < HOUR
        assert value(run, "unused_indexes") == 1
        assert evidence(run, "unused indexes").startswith("Odd.unused_one on Order: ")
        assert value(run, "invalid_indexes") == 1
        assert evidence(run, "invalid indexes").startswith("public.broken on small")
        assert value(run, "sequence_used_ratio") == pytest.approx(1.9e9 / (2**31 - 1))
        assert evidence(run, "sequences near their end") == "Odd.Order_id_seq: 88.5% used"
        assert values(run, "table_growth_bytes_per_second") == {}
        memory = after_a_restart(memory)
        await superuser.execute(
            """INSERT INTO "Odd"."Order" (note) SELECT repeat('y', 200) FROM generate_series(1, 6000)"""
        )
        later = await asked(check, memory, at=2 * HOUR)
        grown = value(later, "table_bytes", **order) - value(run, "table_bytes", **order)
        assert value(later, "table_growth_bytes_per_second", **order) == pytest.approx(grown / (2 * HOUR))
        assert value(later, "database_growth_bytes_per_second") > 0


async def test_a_locked_table_is_left_out_and_nothing_waits(new_postgres: NewPostgres) -> None:
    server = await new_postgres()
    check = Postgres(name="d", dsn=server.dsn, tables={}, lock_timeout="30s", statement_timeout="30s")
    async with (
        session(
            server, "CREATE TABLE free (id int)", "CREATE TABLE locked (id serial PRIMARY KEY, t text)",
            "CREATE TABLE reindexed (id int)", "CREATE INDEX i ON reindexed (id)",
        ),
        session(server, "BEGIN", "LOCK locked", "REINDEX INDEX i", "ALTER SEQUENCE locked_id_seq CACHE 2"),
    ):  # fmt: skip
        run = await asked(check)
        assert {dict(labels)["relname"] for labels in values(run, "table_bytes")} == {"free"}
        assert value(run, "tables_skipped") == 2
        assert value(run, "sections_unread") == 0


async def test_a_section_that_fails_for_now_costs_the_rest_nothing_and_is_told(new_postgres: NewPostgres) -> None:
    server = await new_postgres(**PRELOADED)
    every = {"every": "1m"}
    check = Postgres(
        name="d", dsn=server.dsn, lock_timeout="20ms", statements=every, tables=every, disk={"size": "1GB", **every}
    )
    memory: Memory = {}
    async with session(server, "CREATE EXTENSION pg_stat_statements", "CREATE TABLE orders (id int)") as superuser:
        run = await asked(check, memory, at=0)
        assert value(run, "sections_unread") == 0
        await superuser.execute("BEGIN; LOCK pg_sequence IN ACCESS EXCLUSIVE MODE")
        for at in (60, 120, 180):
            await alone(superuser)
            run = await asked(check, memory, at=at)
            assert value(run, "sections_unread") == 1
            assert "cannot read tables of PostgreSQL" in evidence(run, "not read")
            assert "somebody holds a lock" in evidence(run, "not read")
            assert value(run, "connections_used") == 2
            assert value(run, "tables_skipped") == 0, "as it was read last"
        run = await asked(check, memory, at=181)
        assert values(run, "tables_skipped") == {}, "too old to be shown"
        await superuser.execute("COMMIT")
        run = await asked(check, memory, at=240)
        assert value(run, "sections_unread") == 0


async def test_a_section_that_outlasts_the_probe_does_not_make_a_well_server_look_down(
    new_postgres: NewPostgres,
) -> None:
    server = await new_postgres()
    check = Postgres(name="d", dsn=server.dsn, timeout="3s", lock_timeout="30s", tables={})
    async with session(server, "BEGIN; LOCK pg_sequence IN ACCESS EXCLUSIVE MODE") as superuser:
        await alone(superuser)
        run = await asked(check)
        assert value(run, "sections_unread") == 1
        assert evidence(run, "not read").endswith("it takes longer than the check's timeout")
        assert value(run, "connections_used") == 2


async def test_the_disk_is_measured_against_its_size_with_the_time_until_it_is_full(new_postgres: NewPostgres) -> None:
    server = await new_postgres()
    check = Postgres(name="d", dsn=server.dsn, disk={"size": "1GiB"})
    memory: Memory = {}
    run = await asked(check, memory, at=0)
    used = value(run, "disk_used_bytes")
    assert value(run, "disk_used_ratio") == used / 2**30
    assert value(run, "wal_size_bytes") == value(run, "wal_segments") * 2**24
    async with session(server, "CREATE TABLE big AS SELECT repeat('x', 500) FROM generate_series(1, 20000)"):
        later = await asked(check, after_a_restart(memory), at=DAY)
    pace = value(later, "disk_growth_bytes_per_second")
    assert pace == pytest.approx((value(later, "disk_used_bytes") - used) / DAY)
    assert value(later, "disk_full_in_seconds") == pytest.approx((2**30 - value(later, "disk_used_bytes")) / pace)


async def test_everything_at_once_takes_fewer_than_twelve_statements_on_one_connection(
    new_postgres: NewPostgres,
) -> None:
    server = await new_postgres(**PRELOADED, log_statement="all", log_line_prefix="<%a %p> ")
    check = Postgres(name="d", dsn=server.dsn, statements={"slow": "1ms"}, tables={}, disk={"size": "1GB"})
    memory: Memory = {}
    async with session(server, "CREATE EXTENSION pg_stat_statements", "SELECT pg_sleep(0.01)") as busy:
        await asked(check, memory, at=0)
        before = len(server.log(10_000).splitlines())
        await busy.execute("SELECT pg_sleep(0.01)")
        run = await asked(check, memory, at=HOUR)
        assert value(run, "slow_statements") >= 1
    lines = [line for line in server.log(10_000).splitlines()[before:] if line.startswith("<runwatch")]
    asked_for = [line for line in lines if "LOG:  execute" in line or "LOG:  statement" in line]
    assert len(asked_for) == 10
    assert len({line.partition(">")[0] for line in lines}) == 1
    assert not [line for line in lines if "WARNING" in line or "ERROR" in line]


async def test_a_role_with_pg_monitor_sees_all_of_it(new_postgres: NewPostgres) -> None:
    server = await new_postgres(**PRELOADED)
    async with session(
        server, "CREATE ROLE watcher LOGIN PASSWORD 'pw' IN ROLE pg_monitor", "CREATE EXTENSION pg_stat_statements",
        "CREATE SCHEMA hidden; CREATE TABLE hidden.orders (id serial)", "INSERT INTO hidden.orders VALUES (DEFAULT)",
    ) as superuser:  # fmt: skip
        check = Postgres(
            name="d", dsn=server.address_for("watcher", "pw"), statements={}, tables={}, disk={"size": "1GB"}
        )
        run = await asked(check)
        assert value(run, "sections_unread") == 0
        assert value(run, "table_bytes", relname="orders") > 0
        assert values(run, "sequence_used_ratio") == {}, "for that it would need SELECT"
        await superuser.execute("GRANT SELECT ON ALL SEQUENCES IN SCHEMA hidden TO watcher")
        assert value(await asked(check), "sequence_used_ratio") > 0
        await check.diagnose(Run())
        await superuser.execute("REVOKE ALL ON SCHEMA public FROM public")
        await errs(check, Reason.AUTH, "our role lacks rights: permission denied for schema public")


async def test_an_archive_that_fails_is_seen_and_recovers(new_postgres: NewPostgres, tmp_path: Path) -> None:
    server = await new_postgres(archive_mode="on", archive_command="test -e blessed")
    check = Postgres(name="d", dsn=server.dsn)
    async with session(server, "CREATE TABLE t (id int)") as superuser:
        assert value(await asked(check), "archive_failing") == 0
        await superuser.execute("INSERT INTO t VALUES (1); SELECT pg_switch_wal()")
        while not value(run := await asked(check), "archive_failing"):
            assert value(run, "archived_total") == 0
        assert "could not be archived" in evidence(run, "archiving")
        (server.data / "blessed").touch()
        await superuser.execute("INSERT INTO t VALUES (2); SELECT pg_switch_wal()")
        while value(run := await asked(check), "archive_failing"):
            assert value(run, "archive_failures_total") >= 1
        assert value(run, "archived_total") >= 1
        assert value(run, "archive_age_seconds") >= 0


async def test_prepared_transactions_slots_and_old_snapshots_are_seen(new_postgres: NewPostgres) -> None:
    server = await new_postgres(max_prepared_transactions="2", wal_level="logical")
    check = Postgres(name="d", dsn=server.dsn)
    async with (
        session(
            server, "CREATE TABLE t (id int)", "BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'forgotten'",
            "SELECT pg_create_physical_replication_slot('left_behind', true)",
        ),
        session(server, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1"),
    ):  # fmt: skip
        run = await asked(check)
        assert value(run, "prepared_transactions") == 1
        assert value(run, "prepared_transaction_oldest_seconds") > 0
        assert value(run, "longest_transaction_seconds") > 0
        assert value(run, "snapshot_age") >= 0
        assert value(run, "replication_slots_inactive") == 1
        assert value(run, "replication_slot_active", slot_name="left_behind") == 0
        assert value(run, "replication_slot_bytes", slot_name="left_behind") >= 0
        assert value(run, "locks", mode="accessexclusivelock") == 0
        assert value(run, "locks", mode="rowexclusivelock") == 1
        diagnosis = Run()
        await check.diagnose(diagnosis)
        assert evidence(diagnosis, "prepared transactions").startswith("forgotten of postgres in postgres, for ")


async def test_a_diagnosis_names_what_runs_who_idles_and_what_is_large(new_postgres: NewPostgres) -> None:
    server = await new_postgres()
    check = Postgres(name="d", dsn=server.dsn, idle_limit="1us")
    async with (
        session(server, "CREATE TABLE orders AS SELECT 'Ada' AS customer", "SET application_name = 'shop'") as idle,
        session(server, "BEGIN; UPDATE orders SET customer = 'Bob'") as idling,
    ):
        run = Run()
        await check.diagnose(run)
        assert f"pid {idle.get_server_pid()} (postgres, shop, idle)" in evidence(run, "idle sessions")
        held = evidence(run, "idle in transaction")
        assert f"pid {idling.get_server_pid()}" in held
        assert held.endswith("BEGIN; UPDATE orders SET customer = ?")
        assert "1 by postgres (shop) from 127.0.0.1 to postgres, 0 active" in evidence(run, "who is connected")
        assert "public.orders" in evidence(run, "largest tables")
        assert "Bob" not in str(run.evidences)


async def test_another_version_yields_the_same(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        server = Debian(tmp_path / "debian", settings=PRELOADED)
        stack.push_async_callback(server.kill)
        await server.start()
        check = Postgres(name="d", dsn=server.dsn, statements={"slow": "1ms"}, tables={}, disk={"size": "1GB"})
        memory: Memory = {}
        async with session(server, "CREATE EXTENSION pg_stat_statements", "CREATE TABLE t (id serial)") as busy:
            await asked(check, memory, at=0)
            await busy.execute("SELECT pg_sleep(0.01)")
            await asked(check, memory, at=HOUR)
            await busy.execute("SELECT pg_sleep(0.01)")
            run = await asked(check, memory, at=2 * HOUR)
        assert value(run, "server_version") >= 120_000
        assert value(run, "slow_statements") >= 1
        assert value(run, "checkpoints_timed_total") >= 0
        assert value(run, "table_bytes", relname="t") >= 0
        assert value(run, "sections_unread") == 0
        await check.diagnose(Run())
        async with check.server.session(Run()) as asking:
            for version in (12, 13, 14):
                texts = Question(server_query(version)), Question(sessions_query(version), ("1", "1"))
                for answer in await asking.ask(*texts):
                    assert len(answer.rows) == 1, "what is asked of older ones is understood"
            await asking.end()


async def test_a_server_that_restarts_between_two_questions_has_failed_and_comes_back(
    new_postgres: NewPostgres,
) -> None:
    server = await new_postgres()
    check = Postgres(name="d", dsn=server.dsn)
    run = Run()
    with pytest.raises(Exception, match=r"cannot ask PostgreSQL at .*: terminating connection") as caught:
        async with check.server.session(run) as asking:
            await asking.timed("SELECT 1")
            async with session(
                server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'runwatch'"
            ):
                await asking.timed("SELECT 1")
    assert getattr(caught.value, "reason", None) is Reason.PROTOCOL
    await server.kill()
    await fails(check, Reason.CONNECT_REFUSED, "connection refused")
    await server.start()
    await asked(check)


def test_growth_is_over_half_a_day_or_more_and_what_is_kept_is_bounded() -> None:
    memory: Memory = {}
    paces = [growing(Run(memory, at * HOUR), "t", "a", at * 3600.0 * 5) for at in range(60)]
    assert paces[0] is None and set(paces[1:]) == {5.0}
    assert len(memory["kept"]["sizes"]["t"]["a"]) == 2
    stopped = [growing(Run(memory, at * HOUR), "t", "a", 59 * 3600.0 * 5) for at in range(60, 90)]
    assert stopped[0] is not None and stopped[0] > 4
    assert stopped[-1] == 0, "what was a day ago is forgotten"
    shrunk = growing(Run(memory, 91 * HOUR), "t", "a", 0)
    assert shrunk is not None and shrunk < 0
    for number in range(2 * MOST):
        growing(Run(memory, 92 * HOUR), "t", str(number), 1)
    assert len(memory["kept"]["sizes"]["t"]) == MOST
    assert growing(Run(memory, 0.0), "t", str(2 * MOST - 1), 1) is None, "a clock that went back knows no past"


def test_what_is_recommended_can_be_judged() -> None:
    check = Postgres(name="d", dsn="postgresql://u@h/d", statements={}, tables={}, disk={"size": "100GB"})
    known = {one.name: one for one in check.declared()}
    for each in Postgres.recommended:
        parse(each.when, known)


def test_what_is_not_read_is_not_declared() -> None:
    bare = {one.name for one in Postgres(name="d", dsn="postgresql://u@h/d").declared()}
    assert "connections_used_ratio" in bare
    assert not bare & {"slow_statements", "table_bytes", "disk_used_ratio"}
