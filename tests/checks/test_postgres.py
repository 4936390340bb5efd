"""The postgres kind against real servers: healthy, full, starting, without rights, locked, frozen, lagging."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import trustme
from pydantic import ValidationError

from checks.base import Errored, Failed, Reason, Run
from checks.parts.postgres import sections, statements, tables
from checks.postgres import Postgres as Check
from monitor.demo.servers import Postgres
from tests.checks.sessions import alone, session
from tests.faults import FaultProxy
from tests.leaks import held, left_since
from tests.servers import NewPostgres


async def ask(dsn: str, memory: dict[Any, Any] | None = None, **fields: Any) -> Run:
    """One probe of a check with these fields."""
    run = Run({} if memory is None else memory)
    await Check(name="database", dsn=dsn, **fields).probe(run)
    return run


def value(run: Run, name: str, **labels: str) -> float:
    """The one measurement of this name and these labels."""
    [found] = [item for at, item, of in run.measurements if at == name and dict(of) == labels]
    return found


async def waiting(server: Postgres, query: str) -> None:
    """Return when a session is seen to wait for a lock in `query`."""
    async with session(server) as watcher:
        async with asyncio.timeout(5):
            while not await watcher.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query = $1", query
            ):
                await watcher.execute("SELECT pg_sleep(0.005)")


async def test_a_healthy_server_yields_every_measurement_as_it_is_declared(postgres: Postgres) -> None:
    memory: dict[Any, Any] = {}
    await ask(postgres.dsn, memory)
    run = await ask(postgres.dsn, memory)
    declared = {item.name: set(item.labels) for item in Check.measurements}
    for name, number, labels in run.measurements:
        assert {key for key, _ in labels} == declared[name], name
        assert isinstance(number, int | float), name
    standby_only = {"replication_lag_seconds", "replication_receiving", "replication_heard_seconds"}
    with_standbys = {
        "replication_lag_bytes", "replication_slot_retained_bytes", "replication_standby_lag_seconds",
        "replication_slot_active", "replication_slot_bytes",
    }  # fmt: skip
    by_time = {"cache_hit_ratio", "rollback_ratio", "checkpoints_requested_ratio", "database_growth_bytes_per_second"}
    by_setting = {"archive_failing", "archive_age_seconds", "checksum_failures"}
    by_the_caller = {"duration_seconds"}
    in_sections = {
        one.name
        for one in (*statements.MEASUREMENTS, *tables.MEASUREMENTS, *tables.DISK_MEASUREMENTS, *sections.MEASUREMENTS)
    }
    missing = set(declared) - {name for name, _, _ in run.measurements} - in_sections
    assert missing - by_time - by_setting == standby_only | with_standbys | by_the_caller
    assert value(run, "server_version") >= 120000
    assert value(run, "connections_max") == 97
    assert 0 < value(run, "answer_seconds") < value(run, "connect_seconds") < 10
    assert run.took is not None and run.clock == "kernel"
    assert value(run, "connections", state="active") >= 1
    assert value(run, "in_recovery") == 0
    assert 0 <= value(run, "uptime_seconds") < 3600
    assert abs(value(run, "start_time_seconds") + value(run, "uptime_seconds") - time.time()) < 60
    assert value(run, "database_size_bytes", datname="postgres") > 1_000_000


async def test_one_connection_and_six_statements_are_all_it_takes_none_of_which_can_write(
    new_postgres: NewPostgres,
) -> None:
    server = await new_postgres(log_statement="all", log_connections="on", log_line_prefix="<%a> ")
    async with FaultProxy("127.0.0.1", server.port) as proxy:
        await ask(server.dsn.replace(server.address, proxy.address))
        assert proxy.accepted == 1
    async with session(server):
        pass
    log = server.log(1000).splitlines()
    ours = [line for line in log if line.startswith(("<runwatch> LOG:  execute", "<runwatch> LOG:  statement"))]
    assert [ours[at].endswith(text) for at, text in ((0, "SELECT 1"), (-1, "COMMIT"))] == [True, True]
    assert "BEGIN READ ONLY" in ours[1]
    assert len(ours) == 6
    assert not [line for line in log if line.startswith(("<runwatch> WARNING", "<runwatch> ERROR", "<runwatch> FATAL"))]


async def test_a_blocked_session_is_shown_with_its_blocker(new_postgres: NewPostgres) -> None:
    server = await new_postgres()
    async with session(server, "CREATE TABLE orders ()") as blocker, session(server) as blocked:
        await blocker.execute("BEGIN; LOCK orders")
        waiter = asyncio.create_task(blocked.execute("SELECT FROM orders"))
        await waiting(server, "SELECT FROM orders")
        run = await ask(server.dsn, long_query="1ms")
        assert value(run, "blocked_sessions") == 1
        assert 0 < value(run, "blocked_longest_seconds") < 60
        assert value(run, "idle_in_transaction") == 1
        assert value(run, "idle_in_transaction_oldest_seconds") > 0
        assert value(run, "longest_query_seconds") > 0
        evidence = dict(run.evidences)
        first, second = evidence["blocked sessions"].splitlines()
        assert first.startswith(f"pid {blocked.get_server_pid()} (postgres, active) has waited ")
        assert first.endswith("SELECT FROM orders")
        assert f"blocked by pid {blocker.get_server_pid()} (postgres, idle in transaction)" in second
        assert "LOCK orders" in second
        assert f"pid {blocked.get_server_pid()}" in evidence["longest queries"]
        await blocker.execute("ROLLBACK")
        await waiter
    run = await ask(server.dsn)
    assert value(run, "blocked_sessions") == 0
    assert run.evidences == []


async def test_sessions_idle_for_longer_than_the_limit_are_counted_and_named(new_postgres: NewPostgres) -> None:
    server = await new_postgres()
    async with session(server, "SELECT 1") as idle:
        assert value(await ask(server.dsn, idle_limit="1h"), "idle_sessions") == 0
        run = await ask(server.dsn, idle_limit="1us")
        assert value(run, "idle_sessions") == 1
        assert dict(run.evidences)["idle sessions"].startswith(f"pid {idle.get_server_pid()} (postgres, idle) for ")


async def test_a_full_server_has_failed_and_the_sentence_names_its_limit(new_postgres: NewPostgres) -> None:
    server = await new_postgres(max_connections="5", superuser_reserved_connections="1", reserved_connections="0")
    async with session(server, "CREATE ROLE watcher LOGIN PASSWORD 'pw' IN ROLE pg_monitor"):
        pass
    dsn, memory = server.address_for("watcher", "pw"), {}  # type: str, dict[Any, Any]
    run = await ask(dsn, memory)
    assert value(run, "connections_max") == 4
    taken = [await asyncpg.connect(dsn) for _ in range(4)]
    with pytest.raises(Failed, match=r"cannot connect to .*slots.*\(max_connections is 5\)") as caught:
        await ask(dsn, memory)
    assert caught.value.reason is Reason.CONNECT_REFUSED
    for connection in taken:
        connection.terminate()


async def test_a_server_that_is_starting_up_says_so(new_postgres: NewPostgres) -> None:
    server = await new_postgres()
    await server.stop()
    # Recovery that waits for an archive which never answers: PostgreSQL is up, and lets nobody in.
    (server.data / "recovery.signal").touch()
    server.settings["restore_command"] = "sleep 600"
    await server.start(wait=False)
    async with asyncio.timeout(10):
        while True:
            with pytest.raises(Failed) as caught:
                await ask(server.dsn)
            if "connection refused" not in caught.value.sentence:
                break
            await server._lives_on()
    assert caught.value.reason is Reason.CONNECT_REFUSED
    assert "the database system is" in caught.value.sentence


async def test_a_wrong_password_is_our_error_and_is_not_shown(postgres: Postgres) -> None:
    check = Check(name="database", dsn=postgres.address_for("postgres", "sesame"))
    with pytest.raises(Errored, match=r"does not let us in: password authentication failed") as caught:
        await check.probe(Run())
    assert caught.value.reason is Reason.AUTH
    assert "sesame" not in caught.value.sentence + check.target + repr(check)


async def test_a_role_without_pg_monitor_is_our_error_with_the_remedy_that_works(new_postgres: NewPostgres) -> None:
    server = await new_postgres()
    async with session(server, "CREATE ROLE weak LOGIN PASSWORD 'pw'") as superuser:
        dsn, run = server.address_for("weak", "pw"), Run()
        with pytest.raises(Errored, match=r"it answers, but role weak lacks pg_monitor") as caught:
            await Check(name="database", dsn=dsn).probe(run)
        assert caught.value.reason is Reason.AUTH
        recorded = {name for name, _, _ in run.measurements}
        assert "uptime_seconds" in recorded
        assert not {name for name in recorded if "sessions" in name or name in ("connections", "connections_used")}
        await superuser.execute(caught.value.sentence.partition("run: ")[2])
        await alone(superuser)
        assert value(await ask(dsn), "connections_used") == 2


async def test_a_database_that_is_gone_has_failed(postgres: Postgres) -> None:
    with pytest.raises(Failed, match='database "shop" does not exist') as caught:
        await ask(postgres.address_for("postgres", postgres.password, "shop"))
    assert caught.value.reason is Reason.PROTOCOL


async def test_a_lock_on_what_we_read_ends_by_lock_timeout_with_a_sentence(new_postgres: NewPostgres) -> None:
    server = await new_postgres()
    async with session(server, "BEGIN; LOCK pg_locks IN ACCESS EXCLUSIVE MODE"):
        with pytest.raises(Failed, match="somebody holds a lock on what we read") as caught:
            await ask(server.dsn, lock_timeout="20ms")
        assert caught.value.reason is Reason.READ_TIMEOUT
        with pytest.raises(Failed, match=r"the query took longer than 20 ms \(statement_timeout\)"):
            await ask(server.dsn, statement_timeout="20ms", lock_timeout="5s")


async def test_a_frozen_server_is_a_timeout_that_says_what_was_waited_for(new_postgres: NewPostgres) -> None:
    server = await new_postgres()
    dsn = server.dsn
    await ask(dsn)
    before = held()
    server.freeze()
    with pytest.raises(
        Failed, match=r"cannot connect to .*: it took the connection, but there is no answer within 0.2 s"
    ) as caught:
        await ask(dsn, timeout="200ms")
    assert caught.value.reason is Reason.CONNECT_TIMEOUT
    assert not await left_since(before)
    server.thaw()
    await ask(dsn)


@pytest.mark.parametrize("answered", [0, 1, 60, 400, 700, 1500])
async def test_cancelled_anywhere_it_leaves_no_socket_and_no_task(postgres: Postgres, answered: int) -> None:
    # What is opened once and kept does not count.
    await ask(postgres.dsn)
    async with FaultProxy("127.0.0.1", postgres.port) as proxy:
        proxy.blackhole_after = answered
        before = held()
        probing = asyncio.create_task(ask(postgres.dsn.replace(postgres.address, proxy.address)))
        await proxy.until_answered(answered)
        probing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probing
        await proxy.until_open(0)
        assert not await left_since(before)
        assert proxy.accepted == 1


async def test_nobody_listening_is_refused_and_an_unknown_name_is_dns(new_postgres: NewPostgres) -> None:
    server = await new_postgres()
    dsn = server.dsn
    await server.kill()
    with pytest.raises(Failed, match="connection refused") as refused:
        await ask(dsn)
    assert refused.value.reason is Reason.CONNECT_REFUSED
    with pytest.raises(Failed, match="connection refused") as both:
        await ask(dsn.replace("127.0.0.1", "localhost"))
    assert both.value.reason is Reason.CONNECT_REFUSED


async def test_a_server_that_speaks_something_else_has_failed() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        for mode in ("disable", "prefer", "require"):
            with pytest.raises(Failed) as caught:
                await ask(f"postgresql://u:p@127.0.0.1:{port}/d?sslmode={mode}")
            assert caught.value.reason is Reason.PROTOCOL


async def test_a_connection_cut_in_the_middle_of_an_answer_has_failed(postgres: Postgres) -> None:
    async with FaultProxy("127.0.0.1", postgres.port) as proxy:
        proxy.cut_after = 700
        with pytest.raises(Failed) as caught:
            await ask(postgres.dsn.replace(postgres.address, proxy.address))
        assert caught.value.reason is Reason.PROTOCOL


@pytest.mark.parametrize(
    ("name", "days", "reason"), [("127.0.0.1", -1, Reason.TLS_EXPIRED), ("other.example", 30, Reason.TLS_NAME)]
)
async def test_a_certificate_that_does_not_hold_is_named(
    new_postgres: NewPostgres, tmp_path: Path, name: str, days: int, reason: Reason
) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert(name, not_after=datetime.now(UTC) + timedelta(days=days))
    paths = tmp_path / "ca.pem", tmp_path / "cert.pem", tmp_path / "key.pem"
    authority.cert_pem.write_to_path(paths[0])
    paths[1].write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    paths[2].touch(mode=0o600)
    certificate.private_key_pem.write_to_path(paths[2])
    server = await new_postgres(ssl="on", ssl_cert_file=str(paths[1]), ssl_key_file=str(paths[2]))
    with pytest.raises(Failed) as caught:
        await ask(f"{server.dsn}?sslmode=verify-full&sslrootcert={paths[0]}")
    assert caught.value.reason is reason
    assert "certificate" in caught.value.sentence
    await ask(f"{server.dsn}?sslmode=require")


async def test_a_deadlock_is_counted_once(new_postgres: NewPostgres) -> None:
    server = await new_postgres(deadlock_timeout="10ms")
    memory: dict[Any, Any] = {}
    first = await ask(server.dsn, memory)
    assert "deadlocks_new" not in [name for name, _, _ in first.measurements]
    async with (
        session(server, "CREATE TABLE a ()", "CREATE TABLE b ()", "BEGIN; LOCK a") as one,
        session(server) as two,
    ):
        await two.execute("BEGIN; LOCK b")
        answers = await asyncio.gather(one.execute("LOCK b"), two.execute("LOCK a"), return_exceptions=True)
        assert sum(isinstance(answer, asyncpg.DeadlockDetectedError) for answer in answers) == 1
        for connection in (one, two):
            await connection.execute("ROLLBACK; SELECT pg_stat_force_next_flush()")
    assert value(await ask(server.dsn, memory), "deadlocks_new") == 1
    assert value(await ask(server.dsn, memory), "deadlocks_new") == 0


async def test_ratios_are_of_what_happened_since_the_last_probe(new_postgres: NewPostgres) -> None:
    server = await new_postgres()
    memory: dict[Any, Any] = {}
    await ask(server.dsn, memory)
    async with session(server) as busy:
        for _ in range(60):
            await busy.execute("BEGIN; SELECT 1; ROLLBACK")
            await busy.execute("BEGIN; SELECT 1; COMMIT")
        await busy.execute("SELECT count(*) FROM pg_attribute a, generate_series(1, 50)")
        await busy.execute("SELECT pg_stat_force_next_flush()")
    run = await ask(server.dsn, memory)
    assert 0.3 < value(run, "rollback_ratio") < 0.6
    assert 0.5 < value(run, "cache_hit_ratio") <= 1
    again = await ask(server.dsn, memory)
    assert "rollback_ratio" not in [name for name, _, _ in again.measurements]


async def test_a_standby_and_its_primary_tell_how_far_it_is_behind(new_postgres: NewPostgres) -> None:
    primary = await new_postgres()
    standby = Postgres(primary.folder.with_name("standby"))
    standby.folder.mkdir()
    primary.tool(
        "pg_basebackup", "-D", str(standby.data), "-d", primary.dsn, "-R", "-C", "-S", "one", "-X", "stream",
        "-c", "fast", "--no-sync",
    )  # fmt: skip
    (standby.folder / "password").write_text(primary.password)
    async with standby, session(primary) as writer:
        async with session(standby) as reader, asyncio.timeout(10):
            while not await reader.fetchval("SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'"):
                await reader.execute("SELECT pg_sleep(0.01)")
            await reader.execute("SELECT pg_wal_replay_pause()")
            await writer.execute("SELECT pg_logical_emit_message(false, 'test', 'no transaction')")
            while await reader.fetchval("SELECT pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()"):
                await reader.execute("SELECT pg_sleep(0.01)")
            untold = await ask(standby.dsn)
            assert "replication_lag_seconds" not in [name for name, _, _ in untold.measurements]
            await reader.execute("SELECT pg_wal_replay_resume()")
            await writer.execute("CREATE TABLE orders (id int)")
            while await reader.fetchval("SELECT to_regclass('orders') IS NULL"):
                await reader.execute("SELECT pg_sleep(0.01)")
            on_standby = await ask(standby.dsn)
            assert value(on_standby, "in_recovery") == 1
            assert value(on_standby, "replication_receiving") == 1
            assert value(on_standby, "replication_lag_seconds") < 60
            await reader.execute("SELECT pg_wal_replay_pause()")
            await writer.execute("SELECT pg_create_physical_replication_slot('left_behind', true)")
            await writer.execute("INSERT INTO orders SELECT generate_series(1, 10000)")
            on_primary = await ask(primary.dsn)
            assert value(on_primary, "replication_standbys") == 1
            assert value(on_primary, "replication_lag_bytes") > 100_000
            assert value(on_primary, "replication_slot_retained_bytes") > 100_000
            while await reader.fetchval("SELECT pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()"):
                await reader.execute("SELECT pg_sleep(0.01)")
            assert value(await ask(standby.dsn), "replication_lag_seconds") > 0
            await primary.kill()
            while await reader.fetchval("SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'"):
                await reader.execute("SELECT pg_sleep(0.01)")
        cut_off = await ask(standby.dsn)
        assert value(cut_off, "replication_receiving") == 0
        assert value(cut_off, "replication_lag_seconds") > 0


@pytest.mark.parametrize(
    ("dsn", "why"),
    [
        ("mysql://db/shop", "an address such as postgresql://"),
        ("postgresql:///shop", "names no host"),
        ("postgresql://db:x/shop", "not an address"),
        ("postgresql://db/shop?password=sesame", "write the password before the host"),
    ],
)
def test_an_address_that_is_none_is_refused_when_it_is_read(dsn: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Check(name="database", dsn=dsn)


def test_the_password_is_masked_wherever_the_check_is_shown() -> None:
    check = Check(name="database", dsn="postgresql://app:sesame@db.example:5433/shop?sslmode=require")
    assert check.target == "postgresql://app:***@db.example:5433/shop?sslmode=require"
    assert "sesame" not in repr(check) + check.model_dump_json()
    assert check.secrets() == ("sesame",)
    escaped = Check(name="escaped", dsn="postgresql://app:s%40same@db/shop")
    assert escaped.secrets() == ("s%40same", "s@same")
