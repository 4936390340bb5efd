"""A worker of Temporal that really works, and workflows that run, fail and wait on its task queue."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

from monitor.demo.process import ASK_EVERY, Server, wants_package
from monitor.demo.servers import Temporal

if TYPE_CHECKING:
    from temporalio.client import Client

T = TypeVar("T")
AT_ONCE = 40
"""Requests to the server at a time."""


class Workflows(Server):
    """A worker process with its task queue: start it when Temporal answers; it finds a Temporal that comes back.

    What is put while it does not work waits, and ends by itself as soon as it works again.
    """

    title = "Temporal's worker"
    as_nobody = False

    def __init__(self, folder: Path, server: Temporal, task_queue: str, *, identity: str = "worker-1") -> None:
        super().__init__(folder, server.port)
        self.task_queue = task_queue
        self._identity = identity
        self._client: Client | None = None

    async def put(self, count: int, *, fails_with: str = "") -> list[str]:
        """Start so many workflows, and return their names when Temporal has them; without a worker, when they wait."""
        before = 0 if self.alive else await self.waiting()
        names = await _together([partial(self._one, fails_with) for _ in range(count)])
        while not self.alive and await self.waiting() < before + count:
            await asyncio.sleep(ASK_EVERY)
        return names

    async def run(self, succeed: int, *, fail: int = 0, fails_with: str = "no stock") -> None:
        """Let so many workflows come off and so many fail; returns when Temporal counts them as that."""
        wanted = {"Completed": succeed, "Failed": fail}
        before = {status: await self._counted(status) for status in wanted}
        await self.put(succeed)
        await self.put(fail, fails_with=fails_with)
        for status, count in wanted.items():
            while await self._counted(status) < before[status] + count:
                await asyncio.sleep(ASK_EVERY)

    async def waiting(self) -> int:
        """Tasks that no worker has taken."""
        from temporalio.api.enums.v1 import TaskQueueType
        from temporalio.api.taskqueue.v1 import TaskQueue
        from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

        question = DescribeTaskQueueRequest(
            namespace="default", task_queue=TaskQueue(name=self.task_queue), report_stats=True,
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )  # fmt: skip
        answer = await (await self._connected()).workflow_service.describe_task_queue(question)
        return answer.stats.approximate_backlog_count

    async def _one(self, fails_with: str) -> str:
        client = await self._connected()
        started = await client.start_workflow(
            "Order", fails_with, id=f"order-{uuid4().hex[:12]}", task_queue=self.task_queue
        )
        return started.id

    async def _counted(self, status: str) -> int:
        query = f'TaskQueue = "{self.task_queue}" AND ExecutionStatus = "{status}"'
        return (await (await self._connected()).count_workflows(query)).count

    async def _connected(self) -> Client:
        wants_package(self.title, "temporalio")
        from temporalio.client import Client

        if self._client is None:
            self._client = await Client.connect(self.address)
        return self._client

    @property
    def _ready(self) -> Path:
        return self.folder / "ready"

    async def _prepare(self) -> None:
        wants_package(self.title, "temporalio")
        self._ready.unlink(missing_ok=True)

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def _command(self) -> list[str]:
        program = [sys.executable, "-m", "monitor.demo.parts.orders"]
        return [*program, self.address, self.task_queue, self._identity, str(self._ready)]

    async def _answers(self) -> bool:
        return self._ready.exists()


async def _together(works: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """All of them, so many at a time."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(work: Callable[[], Awaitable[T]]) -> T:
        async with places:
            return await work()

    return await asyncio.gather(*map(one, works))
