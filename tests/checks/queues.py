"""Queues on a real server that BullMQ itself fills and works off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from bullmq import Queue as BullQueue
from bullmq import Worker
from redis.asyncio import Redis as Client

from checks.queue import Queue
from monitor.demo.servers import Valkey
from tests.servers import NewValkey


def bull(url: str, name: str = "email", **more: Any) -> Queue:
    return Queue(name="mail", url=url, bullmq={"name": name, **more})


@pytest_asyncio.fixture
async def broker(new_valkey: NewValkey) -> Valkey:
    return await new_valkey()


@pytest_asyncio.fixture
async def broker_client(broker: Valkey) -> AsyncIterator[Client]:
    async with Client(port=broker.port, decode_responses=True, protocol=2) as client:
        yield client


@pytest_asyncio.fixture
async def email(broker: Valkey) -> AsyncIterator[BullQueue]:
    """A real BullMQ queue named email."""
    queue = BullQueue("email", {"connection": broker.url})
    # As BullMQ for Node.js does it as soon as there is a queue.
    await broker.command("HSET", "bull:email:meta", "opts.maxLenEvents", "10000")
    yield queue
    await queue.close()


async def worked(broker: Valkey, jobs: int, name: str = "email", **options: Any) -> None:
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

    worker = Worker(name, process, {"connection": broker.url, "drainDelay": 1, **options})
    worker.on("completed", count)
    worker.on("failed", count)
    await over.wait()
    await worker.close(force=True)
