"""Dakkah's workers: a real worker of Temporal, whose orders come off or fail, and whose imports can hang."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING
from uuid import uuid4

from monitor.demo.process import ASK_EVERY, wants_package
from monitor.demo.servers import Temporal

if TYPE_CHECKING:
    from temporalio.api.workflowservice.v1 import DescribeTaskQueueResponse
    from temporalio.client import Client
    from temporalio.runtime import Runtime

TASK_QUEUE = "commerce"
AT_ONCE = 4
"""Activities that the worker does at a time."""
HANGS = 75.0
"""Seconds after which a worker gives ERPNext up, and takes the next task; less than Temporal takes it for alive."""
SHOWS_WITHIN = 15.0
"""Seconds in which Temporal shows what has happened."""
WORKFLOW, ACTIVITY = 1, 2
"""Types of a task queue (temporal.api.enums.v1.TaskQueueType)."""


class Workers:
    """One worker that polls TASK_QUEUE, from `work` to `rest`."""

    def __init__(self, server: Temporal) -> None:
        self.erpnext = asyncio.Event()
        """Whether ERPNext answers the import."""
        self.erpnext.set()
        self._server = server
        self._client: Client | None = None
        self._quiet: Runtime | None = None
        self._working = AsyncExitStack()

    @property
    def client(self) -> Client:
        """Connected, once it works."""
        assert self._client is not None
        return self._client

    async def work(self) -> None:
        """Start the worker; returns when Temporal knows that it polls. Missing without temporalio."""
        wants_package("Temporal's worker", "temporalio")
        from temporalio import activity
        from temporalio.client import Client
        from temporalio.worker import UnsandboxedWorkflowRunner, Worker

        from monitor.demo.installations.dakkah_imports import PRODUCT, Fulfilment, Import

        @activity.defn(name=PRODUCT)
        async def import_product() -> None:
            async with asyncio.timeout(HANGS):
                await self.erpnext.wait()

        self._client = await Client.connect(self._server.address, runtime=self._runtime())
        worker = Worker(
            self._client, task_queue=TASK_QUEUE, workflows=[Fulfilment, Import], activities=[import_product],
            identity="worker-1", workflow_runner=UnsandboxedWorkflowRunner(), max_cached_workflows=0,
            max_concurrent_activities=AT_ONCE,
        )  # fmt: skip
        await self._working.enter_async_context(worker)
        async with asyncio.timeout(SHOWS_WITHIN):
            while not all([(await self._described(kind)).pollers for kind in (WORKFLOW, ACTIVITY)]):
                await asyncio.sleep(ASK_EVERY)

    async def rest(self) -> None:
        """End the worker."""
        await self._working.aclose()

    async def fulfil(self, succeed: int, *, fail: int = 0) -> None:
        """Let so many workflows come off and so many fail; returns when Temporal counts them as that."""
        before = await self._closed("Completed"), await self._closed("Failed")
        reasons = [""] * succeed + ["out of stock"] * fail
        await asyncio.gather(*(self._begin("Fulfilment", reason) for reason in reasons))
        async with asyncio.timeout(SHOWS_WITHIN):
            while (
                await self._closed("Completed") < before[0] + succeed or await self._closed("Failed") < before[1] + fail
            ):
                await asyncio.sleep(ASK_EVERY)

    async def imports(self, products: int) -> None:
        """Begin an import; returns when so many tasks wait, but for those that the worker has taken."""
        await self._begin("Import", products)
        async with asyncio.timeout(SHOWS_WITHIN):
            while await self.waiting() < products - 2 * AT_ONCE:
                await asyncio.sleep(ASK_EVERY)

    async def waiting(self) -> int:
        """Imports that wait for a worker, as Temporal counts them."""
        return (await self._described(ACTIVITY)).stats.approximate_backlog_count

    def _runtime(self) -> Runtime:
        """One that says nothing to whoever sits at the terminal: that a server is away is what is shown here."""
        from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

        if self._quiet is None:
            logging.getLogger("temporalio").addHandler(logging.NullHandler())
            silence = TelemetryFilter(core_level="ERROR", other_level="ERROR")
            self._quiet = Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter=silence)))
        return self._quiet

    async def _begin(self, workflow: str, about: object) -> None:
        name = f"{workflow.lower()}-{uuid4().hex[:12]}"
        await self.client.start_workflow(workflow, about, id=name, task_queue=TASK_QUEUE)

    async def _closed(self, status: str) -> int:
        return (await self.client.count_workflows(f'ExecutionStatus = "{status}"')).count

    async def _described(self, kind: int) -> DescribeTaskQueueResponse:
        from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

        request = DescribeTaskQueueRequest(namespace=self.client.namespace, report_stats=True)
        request.task_queue.name = TASK_QUEUE
        request.task_queue_type = kind  # type: ignore[assignment]
        return await self.client.workflow_service.describe_task_queue(request, retry=True)
