"""The temporal kind against a real server with real workers."""

from __future__ import annotations

import asyncio
import secrets
import time
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from checks.base import Failed, Reason, Run
from checks.temporal import Temporal as Check
from monitor.demo.servers import Temporal
from tests.checks import web
from tests.checks.frontends import check
from tests.checks.probing import asked, errs, evidence, fails, result_of, value, values
from tests.faults import FaultProxy
from tests.leaks import held, left_since


@workflow.defn
class Order:
    """Succeeds, or fails where it is told to."""

    @workflow.run
    async def run(self, fail: bool) -> None:
        if fail:
            from temporalio.exceptions import ApplicationError

            raise ApplicationError("no stock")


@pytest.fixture
def queue() -> str:
    return f"orders-{secrets.token_hex(4)}"


async def test_waiting_tasks_are_counted_and_nobody_at_work_has_failed(temporal: Temporal, queue: str) -> None:
    client = await Client.connect(temporal.address)
    for number in range(12):
        await client.start_workflow(Order.run, False, id=f"{queue}-{number}", task_queue=queue)
    result = await fails(check(temporal, queue), Reason.ASSERTION, "no worker polls task queue", "of which 12 wait")
    assert value(result, "backlog", type="workflow", task_queue=queue) == 12
    assert value(result, "backlog", type="activity") == 0
    assert value(result, "backlog_age_seconds", type="workflow") >= 0
    assert value(result, "pollers", type="workflow") == 0
    assert value(result, "tasks_added_per_second", type="workflow") > 0
    only = {"name": queue, "types": ["workflow"], "pollers": 0}
    run = await asked(check(temporal, only))
    assert value(run, "requests") == 3
    assert run.clock == "kernel"


async def test_workers_and_the_share_of_workflows_that_fail(temporal: Temporal, queue: str) -> None:
    client = await Client.connect(temporal.address)
    runner = UnsandboxedWorkflowRunner()
    async with Worker(client, task_queue=queue, workflows=[Order], workflow_runner=runner, identity="worker-7"):
        handles = [
            await client.start_workflow(Order.run, number < 3, id=f"{queue}-{number}", task_queue=queue)
            for number in range(12)
        ]
        await asyncio.gather(*(handle.result() for handle in handles), return_exceptions=True)
        ask = check(
            temporal, {"name": queue, "types": ["workflow"]},
            failures={"minimum": 12, "query": f'TaskQueue = "{queue}"'},
        )  # fmt: skip
        async with asyncio.timeout(8):
            # Visibility is some tenths of a second behind.
            while True:
                memory: dict[Any, Any] = {}
                run = await asked(ask, memory)
                if values(run, "workflow_failure_ratio"):
                    break
        assert value(run, "workflow_failure_ratio") == 0.25
        assert value(run, "workflows_closed", status="Failed") == 3
        assert value(run, "workflows_closed", status="Completed") == 9
        assert value(run, "pollers") == 1
        again = await asked(ask, memory)
        assert value(again, "requests") == value(run, "requests") - 1
        assert value(again, "workflow_failure_ratio") == 0.25
        later = await asked(ask, memory, at=time.time() + 61)
        assert value(later, "requests") == value(run, "requests")
        await ask.diagnose(again)
        assert evidence(again, f"who polled {queue} (workflow)").startswith("worker-7, ")
        failed = evidence(again, "workflows that failed last")
        assert failed.count("\n") == 2 and failed.startswith(f"Order {queue}-") and " Failed " in failed
    await fails_later(ask)


@pytest.mark.parametrize("cut", [0, 40])
async def test_a_diagnosis_of_a_server_that_hangs_up_says_so(temporal: Temporal, cut: int) -> None:
    async with FaultProxy("127.0.0.1", temporal.port) as proxy:
        proxy.cut_after = cut
        with pytest.raises(Failed, match="closed the connection"):
            await check(temporal, address=proxy.address).diagnose(Run())


async def fails_later(ask: Check) -> None:
    """The worker that is gone is listed for five minutes, but does not count as one for longer than 90 s."""
    with pytest.raises(Failed, match="no worker polls"):
        await ask.probe(Run(at=time.time() + 91))


async def test_a_namespace_that_is_not_there_and_a_query_that_is_none(temporal: Temporal) -> None:
    await fails(check(temporal, namespace="shop"), Reason.ASSERTION, "DescribeNamespace with NOT_FOUND", "shop")
    await errs(check(temporal, failures={"query": "Nonsense ="}), Reason.INTERNAL, "INVALID_ARGUMENT")


async def test_a_server_that_was_restarted_is_asked_anew(temporal: Temporal, tmp_path: Path) -> None:
    server = Temporal(tmp_path / "temporal")
    await server.start()
    try:
        memory: dict[Any, Any] = {}
        await asked(check(server), memory)
        await server.kill()
        await fails(check(server), Reason.CONNECT_REFUSED, memory=memory)
        await server.start()
        await asked(check(server), memory)
    finally:
        await server.kill()


async def test_cut_off_and_silent_at_each_phase(temporal: Temporal) -> None:
    assert (await result_of(check(temporal))).reason is None
    async with FaultProxy("127.0.0.1", temporal.port) as proxy:
        for nothing_after in (0, 20, 60, 120):
            proxy.cut_after, proxy.blackhole_after = nothing_after, None
            await fails(Check(name="x", address=proxy.address), Reason.PROTOCOL)
            proxy.cut_after, proxy.blackhole_after = None, nothing_after
            await fails(Check(name="x", address=proxy.address, timeout="1s"), Reason.READ_TIMEOUT, "within 1 s")
    await fails(Check(name="x", address=f"127.0.0.1:{web.closed_port()}"), Reason.CONNECT_REFUSED)
    with web.full() as port:
        await fails(Check(name="x", address=f"127.0.0.1:{port}", timeout="1s"), Reason.CONNECT_TIMEOUT)


@pytest.mark.parametrize("answered", [0, 30, 90])
async def test_cancelled_anywhere_it_leaves_nothing(temporal: Temporal, answered: int) -> None:
    assert (await result_of(check(temporal))).reason is None
    async with FaultProxy("127.0.0.1", temporal.port) as proxy:
        proxy.blackhole_after = answered
        before = held()
        probing = asyncio.create_task(Check(name="x", address=proxy.address).probe(Run()))
        await proxy.until_answered(answered)
        probing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probing
        await proxy.until_open(0)
        assert not await left_since(before)
