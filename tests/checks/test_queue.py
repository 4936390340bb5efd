"""The queue kind against queues that BullMQ itself fills and works off."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from bullmq import Queue as BullQueue
from bullmq import Worker
from redis.asyncio import Redis as Client

from checks.base import Reason, Run
from checks.parts.queue.bullmq_answers import worker_names
from monitor.demo.servers import Valkey
from tests.checks.probing import asked, errs, evidence, fails, value, values
from tests.checks.queues import bull, worked


async def test_jobs_of_every_state_are_counted(broker: Valkey, email: BullQueue, broker_client: Client) -> None:
    for _ in range(3):
        await email.add("send", {})
    await email.add("send", {}, {"priority": 5})
    await email.add("send", {}, {"delay": 600_000})
    run = await asked(bull(broker.url))
    shown = {name: value(run, name) for name in ("waiting", "prioritized", "delayed", "overdue", "active", "paused")}
    assert shown == {"waiting": 4, "prioritized": 1, "delayed": 1, "overdue": 0, "active": 0, "paused": 0}
    assert 0 <= value(run, "oldest_seconds") < 60
    assert value(run, "active_oldest_seconds") == value(run, "stalled") == value(run, "workers") == 0
    later = await asked(bull(broker.url), at=time.time() + 3600)
    assert 3500 < value(later, "oldest_seconds") < 3700
    assert value(later, "overdue") == 1
    await email.pause()
    run = await asked(bull(broker.url))
    assert value(run, "paused") == 1
    assert value(run, "waiting") == 4, "what waits in a paused queue waits"
    before = await broker_client.dbsize()
    await asked(bull(broker.url))
    assert await broker_client.dbsize() == before


async def test_a_worked_queue_tells_the_share_of_what_it_keeps(broker: Valkey, email: BullQueue) -> None:
    check, memory = bull(broker.url, minimum=4), dict[Any, Any]()
    assert not values(await asked(check, memory), "delivered_ratio")
    for number in range(8):
        await email.add("bad" if number % 4 == 0 else "send", {})
    await worked(broker, 8)
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


async def test_what_survives_a_restart_of_runwatch_is_json(broker: Valkey, email: BullQueue) -> None:
    check, memory = bull(broker.url, minimum=1), dict[Any, Any]()
    await asked(check, memory)
    await email.add("send", {})
    await worked(broker, 1)
    run = await asked(check, {"kept": json.loads(json.dumps(memory["kept"]))}, at=time.time() + 5)
    assert value(run, "delivered_ratio") == 1


async def test_jobs_that_are_removed_as_they_end_leave_the_share_unknown(broker: Valkey, email: BullQueue) -> None:
    for number in range(4):
        await email.add("bad" if number == 0 else "send", {}, {"removeOnComplete": True})
    await worked(broker, 4)
    memory: dict[Any, Any] = {}
    for ahead in (5, 35):
        run = await asked(bull(broker.url, minimum=1), memory, at=time.time() + ahead)
        assert not values(run, "delivered_ratio"), "it would be nought"
        assert not values(run, "completed_per_second")
    assert value(run, "failed") == 1
    for _ in range(2):
        await email.add("send", {}, {"removeOnFail": True})
    await worked(broker, 2)
    run = await asked(bull(broker.url, minimum=1), memory, at=time.time() + 60)
    assert not values(run, "delivered_ratio"), "it would be one, whatever fails"


async def test_workers_that_count_are_believed(broker: Valkey, email: BullQueue, broker_client: Client) -> None:
    # As the scripts keep it, where workers are given `metrics`.
    check, memory = bull(broker.url, minimum=10), dict[Any, Any]()
    now = time.time()
    await broker_client.hset("bull:email:metrics:completed", mapping={"count": 1000})
    assert not values(await asked(check, memory, at=now), "delivered_ratio")
    await broker_client.hset("bull:email:metrics:completed", mapping={"count": 1090})
    await broker_client.hset("bull:email:metrics:failed", mapping={"count": 10})
    run = await asked(check, memory, at=now + 60)
    assert value(run, "delivered_ratio") == 0.9
    assert (value(run, "completed_per_second"), value(run, "finished")) == (1.5, 100)
    run = await asked(check, memory, at=now + 4000)
    assert not values(run, "delivered_ratio")
    assert value(run, "finished") == 0
    await broker_client.hset("bull:email:metrics:completed", mapping={"count": 3})
    run = await asked(check, memory, at=now + 4030)
    assert not values(run, "completed_per_second"), "obliterated and begun anew"


async def test_a_job_whose_worker_died_is_stalled(broker: Valkey, email: BullQueue, broker_client: Client) -> None:
    await email.add("send", {})
    taken = asyncio.Event()

    async def process(job: Any, token: str) -> None:
        taken.set()
        await asyncio.Event().wait()

    worker = Worker("email", process, {"connection": broker.url, "name": "first"})
    await taken.wait()
    try:
        run = await asked(bull(broker.url), at=time.time() + 90)
        assert (value(run, "active"), value(run, "stalled")) == (1, 0)
        assert value(run, "workers") >= 1
        assert 80 < value(run, "active_oldest_seconds") < 100
        await broker_client.delete("bull:email:1:lock")
        assert value(await asked(bull(broker.url)), "stalled") == 1
    finally:
        await worker.close(force=True)


async def test_workers_are_known_by_their_names(broker: Valkey, email: BullQueue, broker_client: Client) -> None:
    assert value(await asked(bull(broker.url)), "workers") == 0
    await broker_client.client_setname("bull:ZW1haWw=:w:one")
    run = await asked(bull(broker.url))
    assert value(run, "workers") == 1
    assert value(run, "parts_unread") == 0
    assert not values(await asked(bull(broker.url, workers=False)), "workers")
    listed = "\n".join(
        f"id=1 addr=x name={name} db=0"
        for name in ("bull:ZW1haWw=", "bull:ZW1haWw=:qe", "bull:email", "bull:emails", "other:ZW1haWw=", "")
    )
    assert worker_names("bull", "email", listed) == ["bull:ZW1haWw=", "bull:email"]


async def test_layouts_of_versions_4_and_5(broker: Valkey, broker_client: Client) -> None:
    now = 1_800_000_000
    await broker_client.hset("bull:old:meta", mapping={"opts.maxLenEvents": 10000, "version": "bullmq:4.12.0"})
    # A marker where a delayed job is due next, at the end from which workers take.
    await broker_client.rpush("bull:old:wait", "2", "1", "0:1800000000000")
    await broker_client.hset("bull:old:1", mapping={"timestamp": (now - 500) * 1000, "opts": "{}"})
    await broker_client.zadd("bull:old:delayed", {"3": (now - 60) * 1000 * 4096 + 1, "4": (now + 60) * 1000 * 4096})
    run = await asked(bull(broker.url, "old"), at=now)
    assert (value(run, "waiting"), value(run, "oldest_seconds")) == (2, 500)
    assert (value(run, "delayed"), value(run, "overdue")) == (2, 1)
    await broker_client.delete("bull:old:wait")
    await broker_client.rpush("bull:old:wait", "0:0")
    run = await asked(bull(broker.url, "old"), at=now)
    assert (value(run, "waiting"), value(run, "oldest_seconds")) == (0, 0)
    await broker_client.rename("bull:old:wait", "bull:old:paused")
    await broker_client.lpush("bull:old:paused", "1")
    await broker_client.hset("bull:old:meta", "paused", 1)
    run = await asked(bull(broker.url, "old"), at=now)
    assert (value(run, "waiting"), value(run, "oldest_seconds"), value(run, "paused")) == (1, 500, 1)


async def test_a_name_that_is_none_is_ours_with_those_that_are(broker: Valkey, email: BullQueue) -> None:
    await email.add("send", {})
    await errs(bull(broker.url, "emial"), Reason.ASSERTION, "there is no BullMQ queue 'bull:emial'", "there are email")
    await errs(bull(broker.url, prefix="jobs"), Reason.ASSERTION, "is that its name")
    memory: dict[Any, Any] = {}
    await asked(bull(broker.url), memory)
    await email.obliterate(force=True)
    await broker.command("DEL", "bull:email:meta", "bull:email:id")
    await fails(bull(broker.url), Reason.ASSERTION, "it was there, and is gone", memory=memory)


async def test_the_diagnosis_shows_why_jobs_failed_only_where_it_may(broker: Valkey, email: BullQueue) -> None:
    await email.add("bad", {})
    await worked(broker, 1)
    await email.add("send", {})
    run = Run({})
    await bull(broker.url).diagnose(run)
    assert evidence(run, "last failed jobs") == "1: bad after 1 attempts"
    assert evidence(run, "jobs that wait longest") == "2"
    assert evidence(run, "workers") == "none"
    run = Run({})
    await bull(broker.url, show_failures=True).diagnose(run)
    assert "no such mailbox: ada@example.com" in evidence(run, "last failed jobs")
