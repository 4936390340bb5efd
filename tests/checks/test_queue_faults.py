"""The queue kind without its rights, and against servers that are cut off, silent, hostile or not there."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from bullmq import Queue as BullQueue
from redis.asyncio import Redis as Client

from checks.base import Reason, Run
from checks.queue import Queue
from monitor.demo.ports import free_port
from monitor.demo.servers import Valkey
from tests.checks.probing import asked, errs, evidence, fails, value, values
from tests.checks.queues import bull
from tests.faults import FaultProxy


@pytest.mark.parametrize("mode", ["bullmq", "list", "stream"])
async def test_the_remedy_grants_all_that_is_needed(
    broker: Valkey, broker_client: Client, mode: str, email: BullQueue
) -> None:
    await email.add("send", {})
    await broker_client.lpush("tasks", '{"at": 1}')
    await broker_client.xadd("events", {"a": "b"})
    await broker_client.xgroup_create("events", "mail")
    queues: dict[str, Any] = {
        "bullmq": {"name": "email"}, "list": {"key": "tasks", "time": "at"}, "stream": {"key": "events"},
    }  # fmt: skip
    await broker_client.execute_command("ACL", "SETUSER", "looker", "on", ">pw", "+ping")
    check = Queue(name="q", url=f"redis://looker:pw@{broker.address}", **{mode: queues[mode]})
    result = await errs(check, Reason.AUTH, "NOPERM", "as its administrator run: ACL SETUSER <our user> ")
    await broker_client.execute_command(
        "ACL", "SETUSER", "looker", *result.sentence.partition("<our user> ")[2].split()
    )
    run = await asked(check)
    assert not [title for title, _ in run.evidences]
    await check.diagnose(Run({}))


async def test_without_the_right_to_list_clients_only_the_workers_are_unknown(
    broker: Valkey, broker_client: Client, email: BullQueue
) -> None:
    await email.add("send", {})
    rights = "on >pw ~bull:email:* +ping +exists +hmget +llen +lrange +zcard +zrange +zcount"
    await broker_client.execute_command("ACL", "SETUSER", "looker", *rights.split())
    run = await asked(bull(f"redis://looker:pw@{broker.address}"))
    assert value(run, "waiting") == value(run, "parts_unread") == 1
    assert not values(run, "workers")
    assert "or set workers: false" in evidence(run, "workers not read")


async def test_a_probe_costs_one_connection_and_four_round_trips(broker: Valkey, email: BullQueue) -> None:
    await email.add("send", {})
    async with FaultProxy("127.0.0.1", broker.port) as proxy:
        await asked(bull(f"redis://{proxy.address}"))
        assert proxy.accepted == 1


@pytest.mark.parametrize("after", [0, 7, 60, 200, 2600])
async def test_cut_or_silent_anywhere_it_fails_and_leaves_nothing(
    broker: Valkey, email: BullQueue, broker_client: Client, after: int
) -> None:
    for _ in range(60):
        await email.add("send", {})
        await broker_client.rpoplpush("bull:email:wait", "bull:email:active")
    async with FaultProxy("127.0.0.1", broker.port) as proxy:
        check = bull(f"redis://{proxy.address}")
        proxy.cut_after = after
        await fails(check, Reason.PROTOCOL)
        proxy.cut_after, proxy.blackhole_after = None, after
        await fails(check.model_copy(update={"timeout": 1.0}), Reason.READ_TIMEOUT, "is connected, but does not answer")


async def test_nobody_there_and_nobody_let_in(broker: Valkey) -> None:
    await fails(bull(f"redis://127.0.0.1:{free_port()}"), Reason.CONNECT_REFUSED)
    await errs(bull(broker.url.replace("redis://", "redis://:wr0ng@")), Reason.AUTH, "does not let us in")


@pytest.mark.parametrize(
    "answers",
    [
        b":1\r\n" * 40, b"$-1\r\n" * 40, b"*0\r\n" * 40, b"+OK\r\n" * 40, b"*1\r\n:5\r\n" * 40,
        b"*2\r\n*1\r\n:5\r\n$1\r\nx\r\n" * 40, b"$9\r\n\x1b[2J\x00\xff\xfe\r\n\r\n" * 40, b"*1\r\n" * 300,
        b":-1\r\n" * 40, b":99999999999999999\r\n" * 40, b"-MOVED 1 \x00:x\r\n" * 40, b"-MOVED 1 :70000\r\n" * 40,
        b"-MOVED\r\n" * 40, b"-ASK 1 127.0.0.1:1\r\n" * 40, b"-CLUSTERDOWN The cluster is down\r\n" * 40,
        b"*2\r\n$1\r\n9\r\n$400\r\n" + b"9" * 400 + b"\r\n" * 40,
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["bullmq", "list", "stream"])
async def test_hostile_answers_end_in_a_result(answers: bytes, mode: str) -> None:
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"+PONG\r\n" + answers)
        await reader.read(65536)
        await asyncio.sleep(0)
        writer.close()
        over.set()

    queues: dict[str, Any] = {
        "bullmq": {"name": "q"}, "list": {"key": "q", "time": "at"}, "stream": {"key": "q"},
    }  # fmt: skip
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as hostile:
        url = f"redis://127.0.0.1:{hostile.sockets[0].getsockname()[1]}"
        check = Queue(name="q", url=url, timeout="500ms", retries=0, **{mode: queues[mode]})
        run = Run({})
        try:
            await check.probe(run)
        except Exception as why:
            assert type(why).__name__ in ("Failed", "Errored"), why
            assert str(why).isprintable()
        await over.wait()
