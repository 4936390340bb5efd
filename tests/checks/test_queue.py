"""The queue kind against queues that BullMQ itself fills and works off, and against real lists and streams."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from bullmq import Queue as BullQueue
from bullmq import Worker
from pydantic import ValidationError
from redis.asyncio import Redis as Client

from checks.base import Reason, Run
from checks.parts.queue.bullmq_answers import Job, Standing, worker_names
from checks.parts.queue.reading import when
from checks.parts.queue.share import ended_by_counters, known_since
from checks.parts.queue.stream import following, made_at, record_group
from checks.queue import Queue
from monitor.demo.servers import Valkey, free_port
from tests.checks.probing import Memory, asked, errs, evidence, fails, value, values
from tests.checks.redis_servers import cluster_of, sentinels_of
from tests.faults import FaultProxy
from tests.servers import NewValkey

NewBull = Callable[..., Awaitable[BullQueue]]


def bull(url: str, name: str = "email", **more: Any) -> Queue:
    return Queue(name="mail", url=url, bullmq={"name": name, **more})


@pytest_asyncio.fixture
async def server(new_valkey: NewValkey) -> Valkey:
    return await new_valkey()


@pytest_asyncio.fixture
async def client(server: Valkey) -> AsyncIterator[Client]:
    async with Client(port=server.port, decode_responses=True, protocol=2) as client:
        yield client


@pytest_asyncio.fixture
async def email(server: Valkey) -> AsyncIterator[BullQueue]:
    """A real BullMQ queue named email."""
    queue = BullQueue("email", {"connection": server.url})
    # As BullMQ for Node.js does it as soon as there is a queue.
    await server.command("HSET", "bull:email:meta", "opts.maxLenEvents", "10000")
    yield queue
    await queue.close()


async def worked(server: Valkey, jobs: int, name: str = "email", **options: Any) -> None:
    """Let a real worker work until so many jobs have ended; those named `bad` fail."""
    over, ended = asyncio.Event(), 0

    async def process(job: Any, token: str) -> str:
        if job.name == "bad":
            raise ValueError("no such mailbox: ada@example.com")
        return "sent"

    def count(*_: Any) -> None:
        nonlocal ended
        ended += 1
        if ended == jobs:
            over.set()

    worker = Worker(name, process, {"connection": server.url, "drainDelay": 1, **options})
    worker.on("completed", count)
    worker.on("failed", count)
    await over.wait()
    await worker.close(force=True)


async def test_jobs_of_every_state_are_counted(server: Valkey, email: BullQueue, client: Client) -> None:
    for _ in range(3):
        await email.add("send", {})
    await email.add("send", {}, {"priority": 5})
    await email.add("send", {}, {"delay": 600_000})
    run = await asked(bull(server.url))
    shown = {name: value(run, name) for name in ("waiting", "prioritized", "delayed", "overdue", "active", "paused")}
    assert shown == {"waiting": 4, "prioritized": 1, "delayed": 1, "overdue": 0, "active": 0, "paused": 0}
    assert 0 <= value(run, "oldest_seconds") < 60
    assert value(run, "active_oldest_seconds") == value(run, "stalled") == value(run, "workers") == 0
    later = await asked(bull(server.url), at=time.time() + 3600)
    assert 3500 < value(later, "oldest_seconds") < 3700
    assert value(later, "overdue") == 1
    await email.pause()
    run = await asked(bull(server.url))
    assert value(run, "paused") == 1
    assert value(run, "waiting") == 4, "what waits in a paused queue waits"
    before = await client.dbsize()
    await asked(bull(server.url))
    assert await client.dbsize() == before


async def test_a_worked_queue_tells_the_share_of_what_it_keeps(server: Valkey, email: BullQueue) -> None:
    check, memory = bull(server.url, minimum=4), dict[Any, Any]()
    assert not values(await asked(check, memory), "delivered_ratio")
    for number in range(8):
        await email.add("bad" if number % 4 == 0 else "send", {})
    await worked(server, 8)
    at = time.time() + 5
    run = await asked(check, memory, at=at)
    assert (value(run, "completed"), value(run, "failed"), value(run, "finished")) == (6, 2, 8)
    assert value(run, "delivered_ratio") == 0.75
    assert value(run, "failed_per_second") > 0
    assert value(run, "completed_per_second") == pytest.approx(3 * value(run, "failed_per_second"))
    run = await asked(check, memory, at=at + 30)
    assert value(run, "failed_per_second") == value(run, "completed_per_second") == 0
    assert value(run, "delivered_ratio") == 0.75
    run = await asked(check, memory, at=at + 3700)
    assert value(run, "finished") == 0
    assert not values(run, "delivered_ratio"), "nothing ended within the window"


async def test_what_survives_a_restart_of_runwatch_is_json(server: Valkey, email: BullQueue) -> None:
    check, memory = bull(server.url, minimum=1), dict[Any, Any]()
    await asked(check, memory)
    await email.add("send", {})
    await worked(server, 1)
    run = await asked(check, {"kept": json.loads(json.dumps(memory["kept"]))}, at=time.time() + 5)
    assert value(run, "delivered_ratio") == 1


async def test_jobs_that_are_removed_as_they_end_leave_the_share_unknown(server: Valkey, email: BullQueue) -> None:
    for number in range(4):
        await email.add("bad" if number == 0 else "send", {}, {"removeOnComplete": True})
    await worked(server, 4)
    memory: dict[Any, Any] = {}
    for ahead in (5, 35):
        run = await asked(bull(server.url, minimum=1), memory, at=time.time() + ahead)
        assert not values(run, "delivered_ratio"), "it would be nought"
        assert not values(run, "completed_per_second")
    assert value(run, "failed") == 1
    for _ in range(2):
        await email.add("send", {}, {"removeOnFail": True})
    await worked(server, 2)
    run = await asked(bull(server.url, minimum=1), memory, at=time.time() + 60)
    assert not values(run, "delivered_ratio"), "it would be one, whatever fails"


async def test_workers_that_count_are_believed(server: Valkey, email: BullQueue, client: Client) -> None:
    # As the scripts keep it, where workers are given `metrics`.
    check, memory = bull(server.url, minimum=10), dict[Any, Any]()
    now = time.time()
    await client.hset("bull:email:metrics:completed", mapping={"count": 1000})
    assert not values(await asked(check, memory, at=now), "delivered_ratio")
    await client.hset("bull:email:metrics:completed", mapping={"count": 1090})
    await client.hset("bull:email:metrics:failed", mapping={"count": 10})
    run = await asked(check, memory, at=now + 60)
    assert value(run, "delivered_ratio") == 0.9
    assert (value(run, "completed_per_second"), value(run, "finished")) == (1.5, 100)
    run = await asked(check, memory, at=now + 4000)
    assert not values(run, "delivered_ratio")
    assert value(run, "finished") == 0
    await client.hset("bull:email:metrics:completed", mapping={"count": 3})
    run = await asked(check, memory, at=now + 4030)
    assert not values(run, "completed_per_second"), "obliterated and begun anew"


async def test_a_job_whose_worker_died_is_stalled(server: Valkey, email: BullQueue, client: Client) -> None:
    await email.add("send", {})
    taken = asyncio.Event()

    async def process(job: Any, token: str) -> None:
        taken.set()
        await asyncio.Event().wait()

    worker = Worker("email", process, {"connection": server.url, "name": "first"})
    await taken.wait()
    try:
        run = await asked(bull(server.url), at=time.time() + 90)
        assert (value(run, "active"), value(run, "stalled")) == (1, 0)
        assert value(run, "workers") >= 1
        assert 80 < value(run, "active_oldest_seconds") < 100
        await client.delete("bull:email:1:lock")
        assert value(await asked(bull(server.url)), "stalled") == 1
    finally:
        await worker.close(force=True)


async def test_workers_are_known_by_their_names(server: Valkey, email: BullQueue, client: Client) -> None:
    assert value(await asked(bull(server.url)), "workers") == 0
    await client.client_setname("bull:ZW1haWw=:w:one")
    run = await asked(bull(server.url))
    assert value(run, "workers") == 1
    assert value(run, "parts_unread") == 0
    assert not values(await asked(bull(server.url, workers=False)), "workers")
    listed = "\n".join(
        f"id=1 addr=x name={name} db=0"
        for name in ("bull:ZW1haWw=", "bull:ZW1haWw=:qe", "bull:email", "bull:emails", "other:ZW1haWw=", "")
    )
    assert worker_names("bull", "email", listed) == ["bull:ZW1haWw=", "bull:email"]


async def test_layouts_of_versions_4_and_5(server: Valkey, client: Client) -> None:
    now = 1_800_000_000
    await client.hset("bull:old:meta", mapping={"opts.maxLenEvents": 10000, "version": "bullmq:4.12.0"})
    # A marker where a delayed job is due next, at the end from which workers take.
    await client.rpush("bull:old:wait", "2", "1", "0:1800000000000")
    await client.hset("bull:old:1", mapping={"timestamp": (now - 500) * 1000, "opts": "{}"})
    await client.zadd("bull:old:delayed", {"3": (now - 60) * 1000 * 4096 + 1, "4": (now + 60) * 1000 * 4096})
    run = await asked(bull(server.url, "old"), at=now)
    assert (value(run, "waiting"), value(run, "oldest_seconds")) == (2, 500)
    assert (value(run, "delayed"), value(run, "overdue")) == (2, 1)
    await client.delete("bull:old:wait")
    await client.rpush("bull:old:wait", "0:0")
    run = await asked(bull(server.url, "old"), at=now)
    assert (value(run, "waiting"), value(run, "oldest_seconds")) == (0, 0)
    await client.rename("bull:old:wait", "bull:old:paused")
    await client.lpush("bull:old:paused", "1")
    await client.hset("bull:old:meta", "paused", 1)
    run = await asked(bull(server.url, "old"), at=now)
    assert (value(run, "waiting"), value(run, "oldest_seconds"), value(run, "paused")) == (1, 500, 1)


async def test_a_name_that_is_none_is_ours_with_those_that_are(server: Valkey, email: BullQueue) -> None:
    await email.add("send", {})
    await errs(bull(server.url, "emial"), Reason.ASSERTION, "there is no BullMQ queue 'bull:emial'", "there are email")
    await errs(bull(server.url, prefix="jobs"), Reason.ASSERTION, "is that its name")
    memory: dict[Any, Any] = {}
    await asked(bull(server.url), memory)
    await email.obliterate(force=True)
    await server.command("DEL", "bull:email:meta", "bull:email:id")
    await fails(bull(server.url), Reason.ASSERTION, "it was there, and is gone", memory=memory)


async def test_the_diagnosis_shows_why_jobs_failed_only_where_it_may(server: Valkey, email: BullQueue) -> None:
    await email.add("bad", {})
    await worked(server, 1)
    await email.add("send", {})
    run = Run({})
    await bull(server.url).diagnose(run)
    assert evidence(run, "last failed jobs") == "1: bad after 1 attempts"
    assert evidence(run, "jobs that wait longest") == "2"
    assert evidence(run, "workers") == "none"
    run = Run({})
    await bull(server.url, show_failures=True).diagnose(run)
    assert "no such mailbox: ada@example.com" in evidence(run, "last failed jobs")


@pytest.mark.parametrize("mode", ["bullmq", "list", "stream"])
async def test_the_remedy_grants_all_that_is_needed(
    server: Valkey, client: Client, mode: str, email: BullQueue
) -> None:
    await email.add("send", {})
    await client.lpush("tasks", '{"at": 1}')
    await client.xadd("events", {"a": "b"})
    await client.xgroup_create("events", "mail")
    queues: dict[str, Any] = {
        "bullmq": {"name": "email"}, "list": {"key": "tasks", "time": "at"}, "stream": {"key": "events"},
    }  # fmt: skip
    await client.execute_command("ACL", "SETUSER", "looker", "on", ">pw", "+ping")
    check = Queue(name="q", url=f"redis://looker:pw@{server.address}", **{mode: queues[mode]})
    result = await errs(check, Reason.AUTH, "NOPERM", "as its administrator run: ACL SETUSER <our user> ")
    await client.execute_command("ACL", "SETUSER", "looker", *result.sentence.partition("<our user> ")[2].split())
    run = await asked(check)
    assert not [title for title, _ in run.evidences]
    await check.diagnose(Run({}))


async def test_without_the_right_to_list_clients_only_the_workers_are_unknown(
    server: Valkey, client: Client, email: BullQueue
) -> None:
    await email.add("send", {})
    rights = "on >pw ~bull:email:* +ping +exists +hmget +llen +lrange +zcard +zrange +zcount"
    await client.execute_command("ACL", "SETUSER", "looker", *rights.split())
    run = await asked(bull(f"redis://looker:pw@{server.address}"))
    assert value(run, "waiting") == value(run, "parts_unread") == 1
    assert not values(run, "workers")
    assert "or set workers: false" in evidence(run, "workers not read")


async def test_a_list_tells_its_length_and_its_oldest(server: Valkey, client: Client) -> None:
    def check(**more: Any) -> Queue:
        return Queue(name="q", url=server.url, list={"key": "tasks", "time": "meta.created", **more})

    memory: Memory = {}
    await errs(check(), Reason.ASSERTION, "there is no list 'tasks'", "set absent_is_empty: true")
    run = await asked(check(absent_is_empty=True))
    assert (value(run, "waiting"), value(run, "oldest_seconds")) == (0, 0)
    for made in ("2027-01-15T08:00:00Z", 1_800_000_100, 1_800_000_200_000):
        await client.lpush("tasks", json.dumps({"meta": {"created": made}}))
    await client.lpush("taken", "x")
    run = await asked(check(active_key="taken"), memory, at=1_800_000_300)
    assert (value(run, "waiting"), value(run, "active"), value(run, "oldest_seconds")) == (3, 1, 300)
    assert value(await asked(check(oldest="left"), at=1_800_000_300), "oldest_seconds") == 100
    await client.rpush("tasks", "no json")
    run = await asked(check())
    assert value(run, "parts_unread") == 1
    assert "has no time at 'meta.created'" in evidence(run, "age not read")
    await client.delete("tasks")
    assert value(await asked(check(), memory), "waiting") == 0, "it was there: now it is empty"
    await client.set("tasks", "x")
    await errs(check(), Reason.ASSERTION, "cannot read 'tasks'", "it is something else than expected")


async def test_a_stream_tells_by_group_what_is_not_delivered_and_not_acknowledged(
    server: Valkey, client: Client
) -> None:
    check = Queue(name="q", url=server.url, stream={"key": "events"})
    await errs(check, Reason.ASSERTION, "there is no stream 'events'")
    for number in range(5):
        await client.xadd("events", {"n": number}, id=f"{1_800_000_000_000 + number * 1000}-0")
    await errs(check, Reason.ASSERTION, "there is no group of stream 'events'", "so nobody reads it")
    await client.xgroup_create("events", "mail", id="0")
    await client.xgroup_create("events", "all", id="$")
    await client.xreadgroup("mail", "one", {"events": ">"}, count=2)
    run = await asked(check, at=1_800_000_010)
    assert value(run, "length") == 5
    assert (value(run, "waiting", group="mail"), value(run, "active", group="mail")) == (3, 2)
    assert value(run, "oldest_seconds", group="mail") == 8
    assert value(run, "workers", group="mail") == 1
    assert value(run, "worker_seen_seconds", group="mail") < 60
    assert value(run, "active_oldest_seconds", group="mail") < 60
    assert value(run, "waiting", group="all") == value(run, "oldest_seconds", group="all") == 0
    chosen = Queue(name="q", url=server.url, stream={"key": "events", "groups": ["all"]})
    memory: Memory = {}
    assert set(values(await asked(chosen, memory), "waiting")) == {(("group", "all"),)}
    await client.xgroup_destroy("events", "all")
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


async def test_behind_sentinels(stack: AsyncExitStack, tmp_path: Path, server: Valkey, client: Client) -> None:
    [sentinel] = await sentinels_of(stack, tmp_path, server, 1, 1)
    await client.lpush("tasks", "x")
    check = Queue(
        name="q", url="redis://primary", sentinel={"addresses": [sentinel.address]}, list={"key": "tasks"}
    )  # fmt: skip
    assert value(await asked(check), "waiting") == 1


async def test_a_probe_costs_one_connection_and_four_round_trips(server: Valkey, email: BullQueue) -> None:
    await email.add("send", {})
    async with FaultProxy("127.0.0.1", server.port) as proxy:
        await asked(bull(f"redis://{proxy.address}"))
        assert proxy.accepted == 1


@pytest.mark.parametrize("after", [0, 7, 60, 200, 2600])
async def test_cut_or_silent_anywhere_it_fails_and_leaves_nothing(
    server: Valkey, email: BullQueue, client: Client, after: int
) -> None:
    for _ in range(60):
        await email.add("send", {})
        await client.rpoplpush("bull:email:wait", "bull:email:active")
    async with FaultProxy("127.0.0.1", server.port) as proxy:
        check = bull(f"redis://{proxy.address}")
        proxy.cut_after = after
        await fails(check, Reason.PROTOCOL)
        proxy.cut_after, proxy.blackhole_after = None, after
        await fails(check.model_copy(update={"timeout": 0.3}), Reason.READ_TIMEOUT, "is connected, but does not answer")


async def test_nobody_there_and_nobody_let_in(server: Valkey) -> None:
    await fails(bull(f"redis://127.0.0.1:{free_port()}"), Reason.CONNECT_REFUSED)
    await errs(bull(server.url.replace("redis://", "redis://:wr0ng@")), Reason.AUTH, "does not let us in")


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


def test_counters_are_taken_over_a_window_and_begin_anew_after_a_reset() -> None:
    memory: Memory = {}
    grown = [
        ended_by_counters(Run(memory, at), 600, completed, failed)
        for at, completed, failed in ((0, 10, 1), (300, 20, 1), (600, 30, 3), (900, 40, 3), (1800, 40, 3), (1810, 2, 0))
    ]
    assert grown == [(0, 0), (10, 0), (20, 2), (20, 2), (0, 0), (0, 0)]
    for at in range(2000, 20000, 7):
        ended_by_counters(Run(memory, at), 600, at, 0)
    assert len(memory["kept"]["ended"]) < 70
    for strange in (7, [1], [[1, 2]], [["a", 1, 2]], {"a": 1}):
        assert ended_by_counters(Run({"kept": {"ended": strange}}, 0), 600, 5, 5) == (0, 0)


def test_how_far_back_the_ends_are_complete_is_known_only_from_watching_the_oldest() -> None:
    def since(memory: Memory, at: float, completed: float | None, failed: float | None) -> float | None:
        return known_since(Run(memory, at), 3600, {"completed": completed, "failed": failed})

    assert since({}, 10_000, 1_000, None) == 6_400, "the oldest is older than the window"
    young: Memory = {}
    assert since(young, 10_000, 9_000, None) is None, "a young queue, or one that removes? seen once, nobody knows"
    assert since(young, 10_030, 9_000, None) == 6_430, "it did not move: all are there"
    assert since(young, 10_060, 9_000, 10_050) == 6_460, "a first failure does not make it unknown"
    assert since(young, 10_090, 9_500, 10_050) == 9_500, "the oldest went: only what is younger is complete"
    assert since(young, 13_000, 9_500, 10_050) == 9_500
    assert since(young, 13_700, 9_500, 10_050) == 10_100
    for strange in (7, {"completed": 7}, {"completed": ["a", "b"]}, {"completed": [None, None]}):
        since({"kept": {"oldest kept": strange}}, 10_000, 9_000, 9_000)


@pytest.mark.parametrize(
    ("written", "at"),
    [
        (1_800_000_000, 1_800_000_000), (1_800_000_000_000, 1_800_000_000), ("1800000000123", 1_800_000_000.123),
        ("2027-01-15T08:00:00Z", 1_800_000_000), ("2027-01-15T09:00:00+01:00", 1_800_000_000),
        ("2027-01-15 08:00:00", 1_800_000_000), ("0001-01-01T00:00:00+14:00", None), ("", None), ("soon", None),
        (None, None), (True, None), (-5, None), (0, None), ("nan", None), ("1e400", None), (10**30, None), ([], None),
    ],
)  # fmt: skip
def test_times_are_read_as_people_write_them(written: Any, at: float | None) -> None:
    assert when(written) == at


def test_when_a_job_could_be_taken_is_after_its_delay_and_its_last_attempt() -> None:
    assert Job.read(["1000000000000", None, '{"delay": 60000}']).ready == 1_000_000_060
    assert Job.read(["1000000000000", "1000000500000", "{}"]).ready == 1_000_000_500
    assert Job.read([None, None, None]).ready is None
    for strange in (None, [], ["x"], ["x", "y", "z"], [1, 2, 3], ["1", "2", "[]"], ["1", "2", '{"delay": "x"}']):
        Job.read(strange)
    assert Job.read(["1", None, '{"removeOnFail": {"count": 5}}']).keeps_failed
    assert not Job.read(["1", None, '{"removeOnFail": true}']).keeps_failed
    assert not Job.read(["1", None, '{"removeOnFail": 0}']).keeps_failed


def test_ids_of_streams() -> None:
    assert following("5-7") == "5-8"
    assert following(None) == following("x") == following("1-2-3") == "-"
    assert made_at("1800000000000-0") == 1_800_000_000
    assert made_at("5-1") is None
    assert Standing.read(dict.fromkeys(NAMES)).exists is False


def test_before_redis_7_a_group_has_no_lag_and_what_waits_is_known_only_where_it_is_nothing() -> None:
    old = {"name": "mail", "consumers": 1, "pending": 0, "last-delivered-id": "1800000000000-0"}
    behind, done = Run({}, 1_800_000_100), Run({}, 1_800_000_100)
    record_group(behind, old, [], [["name", "one", "pending", 0, "idle", 2000]], [["1800000040000-0", ["a", "b"]]])
    record_group(done, old, [], None, [])
    assert not values(behind, "waiting")
    assert (value(behind, "oldest_seconds"), value(behind, "worker_seen_seconds")) == (60, 2)
    assert value(done, "waiting") == value(done, "oldest_seconds") == value(done, "active_oldest_seconds") == 0
    assert not values(done, "worker_seen_seconds")


NAMES = (
    "exists", "meta", "wait", "paused", "active", "prioritized", "delayed", "failed", "completed", "waiting-children",
    "overdue", "wait end", "paused end", "first prioritized", "taken", "completed first", "failed first",
    "completed counter", "failed counter", "newest",
)  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "one of `bullmq`, `list` and `stream` is wanted"),
        ({"bullmq": {"name": "a"}, "list": {"key": "b"}}, "one of `bullmq`, `list` and `stream` is wanted"),
        ({"list": {"key": "b", "time": "a["}}, "is no JMESPath expression"),
        ({"bullmq": {"name": ""}}, "at least 1 character"),
        ({"bullmq": {"name": "a", "nam": "b"}}, "Extra inputs"),
        ({"stream": {"key": "b"}, "url": "amqp://x"}, "an address such as redis://"),
    ],
)
def test_what_can_not_be_is_refused_when_it_is_read(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Queue(**{"name": "q", "url": "redis://x"} | fields)
