"""The pgbouncer kind against a real PgBouncer; and the other kinds through it, in transaction mode."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from pydantic import ValidationError

from alerts.thresholds import parse
from checks.base import Reason, Run
from checks.pgbouncer import PgBouncer as Check
from checks.postgres import Postgres
from checks.sql import Sql
from monitor.demo.servers import Postgres as Server
from tests.checks.pgbouncer_server import PgBouncer
from tests.checks.probing import asked, errs, evidence, fails, value, values
from tests.checks.test_pgwire import LET_IN, answering, message
from tests.faults import FaultProxy
from tests.servers import NewPostgres

NewBouncer = Callable[..., Awaitable[PgBouncer]]
ORDERS = {"database": "postgres", "user": "postgres"}


@pytest_asyncio.fixture
async def new_bouncer(tmp_path: Path) -> AsyncIterator[NewBouncer]:
    """Starts a PgBouncer in front of a server: `await new_bouncer(server, **settings)`."""
    async with AsyncExitStack() as stack:

        async def start(behind: Server, **settings: str) -> PgBouncer:
            bouncer = PgBouncer(tmp_path / "pgbouncer", behind, settings)
            stack.push_async_callback(bouncer.kill)
            await bouncer.start()
            return bouncer

        yield start


async def client(bouncer: PgBouncer) -> asyncpg.Connection[asyncpg.Record]:
    return await asyncpg.connect(bouncer.dsn, statement_cache_size=0, timeout=5)


async def test_pools_and_their_means_are_of_what_happened_since(postgres: Server, new_bouncer: NewBouncer) -> None:
    bouncer = await new_bouncer(postgres, default_pool_size="4")
    check, memory = Check(name="pooler", dsn=bouncer.console), {}  # type: Check, dict[Any, Any]
    one = await client(bouncer)
    await one.execute("SELECT 1")
    await asked(check, memory, at=0)
    for _ in range(10):
        await one.execute("BEGIN; SELECT pg_sleep(0.01); COMMIT")
    await one.execute("BEGIN")
    run = await asked(check, memory, at=10)
    assert value(run, "servers_active", **ORDERS) == 1
    assert value(run, "pool_used_ratio", **ORDERS) == 0.25
    assert value(run, "clients_waiting", **ORDERS) == 0
    assert value(run, "wait_longest_seconds", **ORDERS) == 0
    assert value(run, "transaction_mean_seconds", database="postgres") > 0.009
    assert value(run, "queries_per_second", database="postgres") >= 1
    assert value(run, "wait_mean_seconds", database="postgres") >= 0
    assert value(run, "database_paused", database="postgres") == 0
    assert value(run, "clients_max") == 100
    assert value(run, "clients") == 2
    assert run.clock == "kernel"
    assert not [labels for labels in values(run, "clients_active") if ("database", "pgbouncer") in labels]
    await one.close()
    idle = await asked(check, memory, at=20)
    again = await asked(check, memory, at=30)
    assert value(idle, "servers_active", **ORDERS) == 0
    assert values(again, "query_mean_seconds") == {}, "nothing happened, so there is no mean"


async def test_clients_that_wait_are_measured_and_shown(postgres: Server, new_bouncer: NewBouncer) -> None:
    bouncer = await new_bouncer(postgres, default_pool_size="1")
    check = Check(name="pooler", dsn=bouncer.console)
    holder, waiter = await client(bouncer), await client(bouncer)
    await holder.execute("BEGIN; SELECT 1")
    waiting = asyncio.create_task(waiter.execute("SELECT 2"))
    run = await asked(check)
    while not value(run, "clients_waiting", **ORDERS):
        run = await asked(check)
    assert value(run, "pool_used_ratio", **ORDERS) == 1
    assert value(run, "wait_longest_seconds", **ORDERS) > 0
    diagnosis = Run()
    await check.diagnose(diagnosis)
    assert "postgres" in evidence(diagnosis, "clients that wait")
    assert "has waited" in evidence(diagnosis, "clients that wait")
    assert f"1: postgres at 127.0.0.1:{postgres.port}, active" in evidence(diagnosis, "connections to servers")
    await holder.execute("COMMIT")
    await waiting
    for each in (holder, waiter):
        await each.close()


async def test_a_paused_database_is_seen(postgres: Server, new_bouncer: NewBouncer) -> None:
    bouncer = await new_bouncer(postgres)
    check = Check(name="pooler", dsn=bouncer.console)
    admin = await asyncpg.connect(bouncer.console_for("admin"), statement_cache_size=0)
    database = Postgres(name="d", dsn=bouncer.dsn)
    await asked(database)
    await admin.execute("PAUSE postgres")
    assert value(await asked(check), "database_paused", database="postgres") == 1
    hurried = database.model_copy(update={"timeout": 2.0})
    await fails(hurried, Reason.READ_TIMEOUT, "cannot ask", "no answer within 2 s")
    await admin.execute("RESUME postgres")
    await admin.execute("DISABLE postgres")
    assert value(await asked(check), "database_disabled", database="postgres") == 1
    await fails(database, Reason.PROTOCOL, "cannot connect", "disabled")
    await admin.close()


async def test_a_user_who_may_not_see_the_console_is_told_the_line_to_add(
    postgres: Server, new_bouncer: NewBouncer
) -> None:
    bouncer = await new_bouncer(postgres)
    await errs(Check(name="p", dsn=bouncer.console_for("nobody")), Reason.AUTH, "pgbouncer.ini: stats_users = nobody")
    wrong = bouncer.console.replace("statspw", "other-password")
    await errs(Check(name="p", dsn=wrong), Reason.AUTH, "does not let us in")
    stranger = bouncer.console.replace("stats:", "stranger:")
    await errs(Check(name="p", dsn=stranger), Reason.AUTH, "does not let us in")


async def test_a_pooler_that_is_full_has_failed(postgres: Server, new_bouncer: NewBouncer) -> None:
    bouncer = await new_bouncer(postgres, max_client_conn="1")
    one = await client(bouncer)
    await fails(Postgres(name="d", dsn=bouncer.dsn), Reason.CONNECT_REFUSED, "no more connections allowed")
    await one.close()


async def test_a_pooler_that_is_gone_frozen_or_restarts_has_failed(postgres: Server, new_bouncer: NewBouncer) -> None:
    bouncer = await new_bouncer(postgres)
    check = Check(name="pooler", dsn=bouncer.console)
    bouncer.freeze()
    hurried = check.model_copy(update={"timeout": 1.0})
    await fails(hurried, Reason.CONNECT_TIMEOUT, "it took the connection, but there is no answer")
    bouncer.thaw()
    memory: dict[Any, Any] = {}
    await asked(check, memory)
    await bouncer.kill()
    await fails(check, Reason.CONNECT_REFUSED, "connection refused", memory=memory)
    await bouncer.start()
    await asked(check, memory)


@pytest.mark.parametrize("answered", [0, 10, 300, 700, 3000])
async def test_an_answer_that_stops_or_is_cut_leaves_nothing_behind(
    postgres: Server, new_bouncer: NewBouncer, answered: int
) -> None:
    bouncer = await new_bouncer(postgres)
    reason, timeout = (Reason.CONNECT_TIMEOUT, "1s") if answered < 500 else (Reason.READ_TIMEOUT, "2s")
    async with FaultProxy("127.0.0.1", bouncer.port) as proxy:
        check = Check(name="pooler", dsn=bouncer.console.replace(bouncer.address, proxy.address), timeout=timeout)
        proxy.blackhole_after = answered
        await fails(check, reason, "no answer within")
        proxy.blackhole_after, proxy.cut_after = None, answered
        await fails(check, Reason.PROTOCOL, "closed the connection")
        await proxy.until_open(0)


async def test_what_is_no_pgbouncer_is_never_well(postgres: Server) -> None:
    await fails(Check(name="p", dsn=postgres.dsn.removesuffix("/postgres")), Reason.PROTOCOL, "does not exist")
    column = message(b"T", struct.pack("!H", 1) + b"a\0" + struct.pack("!IHIhih", 0, 0, 25, -1, -1, 0))
    rows = (column + message(b"D", b"\x00\x01\x00\x00\x00\x01x") + message(b"Z", b"I")) * 5
    async with answering(LET_IN, rows, closing=False) as dsn:
        bare = dsn.replace("/d?", "/?")
        await errs(Check(name="p", dsn=bare, timeout="1s"), Reason.INTERNAL, "is it PgBouncer?")


@pytest.mark.parametrize("mode", ["transaction", "session"])
async def test_postgres_and_sql_ask_through_it_with_their_limits(
    new_postgres: NewPostgres, new_bouncer: NewBouncer, mode: str
) -> None:
    server = await new_postgres()
    bouncer = await new_bouncer(server, pool_mode=mode, default_pool_size="2")
    check = Postgres(name="d", dsn=bouncer.dsn, tables={}, disk={"size": "10GB"})
    memory: dict[Any, Any] = {}
    for at in (0, 30):
        run = await asked(check, memory, at)
        assert value(run, "connections_max") == 97
        assert value(run, "sections_unread") == 0
    await asyncio.gather(*(asked(check) for _ in range(6)))
    diagnosis = Run()
    await check.diagnose(diagnosis)
    query = "SELECT current_setting('transaction_read_only') = 'on' AS ro, current_setting('lock_timeout') AS lock"
    one = Sql(
        name="s", dsn=bouncer.dsn, query=query, lock_timeout="20ms", expect={"values": {"ro": True, "lock": "20ms"}}
    )
    await asked(one)
    after = await client(bouncer)
    assert await after.fetchval("SELECT current_setting('lock_timeout')") == "0", "the limits end with our transaction"
    await after.execute("CREATE TABLE orders (id int)")
    blocker = await server.connect()
    await blocker.execute("BEGIN; LOCK orders")
    locked = one.model_copy(update={"query": "SELECT true AS ro, '20ms' AS lock FROM orders"})
    await fails(locked, Reason.READ_TIMEOUT, "somebody holds a lock")
    await blocker.close()
    await after.close()


async def test_a_server_that_is_gone_behind_it_has_failed(new_postgres: NewPostgres, new_bouncer: NewBouncer) -> None:
    server = await new_postgres()
    bouncer = await new_bouncer(server, server_connect_timeout="1", query_wait_timeout="1", server_login_retry="1")
    check = Postgres(name="d", dsn=bouncer.dsn)
    await asked(check)
    await server.kill()
    await fails(check, Reason.PROTOCOL, "cannot")
    await asked(Check(name="pooler", dsn=bouncer.console))


def test_only_the_console_is_taken_and_what_is_recommended_can_be_judged() -> None:
    with pytest.raises(ValidationError, match="the console is the database pgbouncer"):
        Check(name="p", dsn="postgresql://u:p@h/shop")
    check = Check(name="p", dsn="postgresql://u:p@h")
    assert "6432" in check.server.where
    known = {one.name: one for one in check.declared()}
    for each in Check.recommended:
        parse(each.when, known)
