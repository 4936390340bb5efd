"""Temporal's worker as a process of its own: its arguments are an address, a task queue, its identity, a file."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from temporalio import workflow
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker


@workflow.defn
class Order:
    """Comes off, or fails with the reason that it is given."""

    @workflow.run
    async def run(self, fails_with: str) -> None:
        """Nothing is done; what matters is the end."""
        if fails_with:
            raise ApplicationError(fails_with)


async def main(address: str, task_queue: str, identity: str, ready: str) -> None:
    """Work until killed; the file is there once it works."""
    client = await Client.connect(address)
    runner = UnsandboxedWorkflowRunner()
    async with Worker(client, task_queue=task_queue, workflows=[Order], identity=identity, workflow_runner=runner):
        Path(ready).touch()  # noqa: ASYNC240  # once, on a disk
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5]))
