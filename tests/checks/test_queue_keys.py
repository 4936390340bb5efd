"""The queue kind against real lists and streams, alone, in a cluster and behind sentinels."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest_asyncio
from redis.asyncio import Redis as Client

from checks.base import Reason, Run
from checks.queue import Queue
from monitor.demo.servers import Valkey
from tests.checks.probing import Memory, asked, errs, evidence, fails, value, values
from tests.checks.redis_servers import cluster_of, sentinels_of


async def test_a_list_tells_its_length_and_its_oldest(broker: Valkey, broker_client: Client) -> None:
    def check(**more: Any) -> Queue:
        return Queue(name="q", url=broker.url, list={"key": "tasks", "time": "meta.created", **more})

    memory: Memory = {}
    await errs(check(), Reason.ASSERTION, "there is no list 'tasks'", "set absent_is_empty: true")
    run = await asked(check(absent_is_empty=True))
    assert (value(run, "waiting"), value(run, "oldest_seconds")) == (0, 0)
    for made in ("2027-01-15T08:00:00Z", 1_800_000_100, 1_800_000_200_000):
        await broker_client.lpush("tasks", json.dumps({"meta": {"created": made}}))
    await broker_client.lpush("taken", "x")
    run = await asked(check(active_key="taken"), memory, at=1_800_000_300)
    assert (value(run, "waiting"), value(run, "active"), value(run, "oldest_seconds")) == (3, 1, 300)
    assert value(await asked(check(oldest="left"), at=1_800_000_300), "oldest_seconds") == 100
    await broker_client.rpush("tasks", "no json")
    run = await asked(check())
    assert value(run, "parts_unread") == 1
    assert "has no time at 'meta.created'" in evidence(run, "age not read")
    await broker_client.delete("tasks")
    assert value(await asked(check(), memory), "waiting") == 0, "it was there: now it is empty"
    await broker_client.set("tasks", "x")
    await errs(check(), Reason.ASSERTION, "cannot read 'tasks'", "it is something else than expected")


async def test_a_stream_tells_by_group_what_is_not_delivered_and_not_acknowledged(
    broker: Valkey, broker_client: Client
) -> None:
    check = Queue(name="q", url=broker.url, stream={"key": "events"})
    await errs(check, Reason.ASSERTION, "there is no stream 'events'")
    for number in range(5):
        await broker_client.xadd("events", {"n": number}, id=f"{1_800_000_000_000 + number * 1000}-0")
    await errs(check, Reason.ASSERTION, "there is no group of stream 'events'", "so nobody reads it")
    await broker_client.xgroup_create("events", "mail", id="0")
    await broker_client.xgroup_create("events", "all", id="$")
    await broker_client.xreadgroup("mail", "one", {"events": ">"}, count=2)
    run = await asked(check, at=1_800_000_010)
    assert value(run, "length") == 5
    assert (value(run, "waiting", group="mail"), value(run, "active", group="mail")) == (3, 2)
    assert value(run, "oldest_seconds", group="mail") == 8
    assert value(run, "workers", group="mail") == 1
    assert value(run, "worker_seen_seconds", group="mail") < 60
    assert value(run, "active_oldest_seconds", group="mail") < 60
    assert value(run, "waiting", group="all") == value(run, "oldest_seconds", group="all") == 0
    chosen = Queue(name="q", url=broker.url, stream={"key": "events", "groups": ["all"]})
    memory: Memory = {}
    assert set(values(await asked(chosen, memory), "waiting")) == {(("group", "all"),)}
    await broker_client.xgroup_destroy("events", "all")
    await fails(chosen, Reason.ASSERTION, "there is no group 'all'", "there are mail", memory=memory)
    run = Run({})
    await check.diagnose(run)
    assert evidence(run, "consumers of mail").startswith("one holds 2, heard ")


async def test_in_a_cluster_the_node_of_the_queue_is_found_and_remembered(
    stack: AsyncExitStack, tmp_path: Path
) -> None:
    nodes = await cluster_of(stack, tmp_path, 2)
    for name in ("a", "b", "c", "d", "e", "f", "g", "h"):
        for node in nodes:
            await node.command("LPUSH", f"{{{name}}}tasks", "x")
    memory: Memory = {}
    there: dict[bool, Queue] = {}
    for name in ("a", "b", "c", "d", "e", "f", "g", "h"):
        check = Queue(name="q", url=nodes[0].url, list={"key": f"{{{name}}}tasks"})
        assert value(await asked(check, memory), "waiting") == 1
        there[memory.get("node of the queue") == ("127.0.0.1", nodes[1].port)] = check
    await asked(there[True], memory)
    await nodes[1].kill()
    await asked(there[False], memory)
    await fails(there[True], Reason.CONNECT_REFUSED, nodes[1].address)


@pytest_asyncio.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def test_behind_sentinels(stack: AsyncExitStack, tmp_path: Path, broker: Valkey, broker_client: Client) -> None:
    [sentinel] = await sentinels_of(stack, tmp_path, broker, 1, 1)
    await broker_client.lpush("tasks", "x")
    check = Queue(
        name="q", url="redis://primary", sentinel={"addresses": [sentinel.address]}, list={"key": "tasks"}
    )  # fmt: skip
    assert value(await asked(check), "waiting") == 1
