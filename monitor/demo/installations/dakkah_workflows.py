"""What goes wrong with Dakkah's workflows: Temporal, its workers, the queue, the orders (D12)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from monitor.demo.installation import Installation, fault
from monitor.demo.installations.dakkah_workers import TASK_QUEUE, Workers
from monitor.demo.servers import Temporal


class DakkahWorkflows(Installation):
    """Temporal's part of the installation."""

    temporal: Temporal
    workers: Workers

    async def start_workflows(self) -> None:
        """Start Temporal and a worker."""
        self.temporal = await self.server(Temporal(self.folder / "temporal"))
        self.workers = Workers(self.temporal)
        self.stack.push_async_callback(self.workers.rest)
        await self.workers.work()
        self.environment |= {
            "DAKKAH_TEMPORAL_ENDPOINT": self.temporal.address,
            "DAKKAH_TEMPORAL_NAMESPACE": "default",
            "DAKKAH_TASK_QUEUE": TASK_QUEUE,
        }

    @fault("D12", "Temporal is killed")
    async def temporal_killed(self) -> AsyncIterator[None]:
        """Its workers end with it: they have nobody to ask."""
        await self._end()
        yield
        await self._begin()

    @fault("D12.workers", "Temporal was started anew, and its workers did not come back")
    async def workers_end(self) -> AsyncIterator[None]:
        """Nobody polls the queue any more."""
        await self._end()
        await self.temporal.start()
        yield
        await self.workers.work()

    @fault("D12.scale", "ERPNext does not answer the workers, and an import of 540 products waits")
    async def queue_grows(self) -> AsyncIterator[None]:
        """More than the runbook's 500, at which to add workers."""
        async with self._hangs(540):
            yield

    @fault("D12.queue", "ERPNext does not answer the workers, and an import of 1,050 products waits")
    async def queue_too_long(self) -> AsyncIterator[None]:
        """More than the runbook's 1,000."""
        async with self._hangs(1_050):
            yield

    @fault("D12.failures", "two of forty workflows fail: out of stock")
    async def workflows_fail(self) -> AsyncIterator[None]:
        """Over the runbook's 1 %."""
        await self.workers.fulfil(38, fail=2)
        yield
        await self._end()
        await self._begin()
        await self.workers.fulfil(25)

    @asynccontextmanager
    async def _hangs(self, products: int) -> AsyncIterator[None]:
        """The quickest way to be rid of so many tasks is a Temporal that knows nothing of them."""
        self.workers.erpnext.clear()
        await self.workers.imports(products)
        yield
        self.workers.erpnext.set()
        await self._end()
        await self._begin()

    async def _end(self) -> None:
        await self.workers.rest()
        await self.temporal.kill()

    async def _begin(self) -> None:
        await self.temporal.start()
        await self.workers.work()
