"""The temporal kind against a real server with real workers, and against one that refuses, lies and falls silent."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import temporalio.api.enums.v1 as enums
import temporalio.api.workflowservice.v1 as messages
from google.protobuf.message import Message as Protobuf
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from alerts.thresholds import parse
from checks.base import Failed, Reason, Run
from checks.parts.vendors import temporal as calls
from checks.parts.vendors.protobuf import Message, field
from checks.temporal import Temporal as Check
from monitor.demo.servers import Temporal
from tests.checks import web
from tests.checks.probing import asked, errs, evidence, fails, result_of, value, values
from tests.faults import FaultProxy
from tests.leaks import held, left_since

NOW = 1_795_360_000.0


@workflow.defn
class Order:
    """Succeeds, or fails where it is told to."""

    @workflow.run
    async def run(self, fail: bool) -> None:
        if fail:
            from temporalio.exceptions import ApplicationError

            raise ApplicationError("no stock")


def check(server: Temporal, *queues: Any, **fields: Any) -> Check:
    return Check(name="workflows", **{"address": server.address, "task_queues": queues, **fields})


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
            await fails(Check(name="x", address=proxy.address, timeout="200ms"), Reason.READ_TIMEOUT, "within 0.2 s")
    await fails(Check(name="x", address=f"127.0.0.1:{web.closed_port()}"), Reason.CONNECT_REFUSED)
    with web.full() as port:
        await fails(Check(name="x", address=f"127.0.0.1:{port}", timeout="200ms"), Reason.CONNECT_TIMEOUT)


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


Reply = bytes | tuple[int, str] | Protobuf


@asynccontextmanager
async def frontend(replies: dict[str, Reply], tls: Any = None) -> AsyncIterator[web.Web]:
    """A frontend that gives each method's reply: a message, a frame, or a status with its message."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        peer.initiate_connection()
        heads: dict[int, dict[str, str]] = {}
        left: dict[int, bytes] = {}
        while data := await reader.read(65536):
            for event in peer.receive_data(data):
                match event:
                    case RequestReceived(stream_id=number, headers=headers):
                        heads[number] = dict(headers)
                    case StreamEnded(stream_id=number):
                        seen.append(heads[number])
                        left[number] = _begin(peer, number, replies[heads[number][":path"].rpartition("/")[2]])
            for number in tuple(left):
                _go_on(peer, number, left)
            writer.write(peer.data_to_send())
            await writer.drain()

    seen: list[dict[str, str]] = []
    async with web.serving(handle, tls=tls) as running:
        running.seen = seen  # type: ignore[attr-defined]
        yield running


def _begin(peer: H2Connection, number: int, reply: Reply) -> bytes:
    """Send the head of an answer; the body that is left."""
    head = [(":status", "200"), ("content-type", "application/grpc")]
    if isinstance(reply, tuple):
        peer.send_headers(number, [*head, ("grpc-status", str(reply[0])), ("grpc-message", reply[1])], end_stream=True)
        return b""
    peer.send_headers(number, head)
    if isinstance(reply, bytes):
        return reply or b"\0"
    body = reply.SerializeToString()
    return b"\0" + len(body).to_bytes(4, "big") + body


def _go_on(peer: H2Connection, number: int, left: dict[int, bytes]) -> None:
    """Send as much as the window lets through."""
    while left[number]:
        most = min(peer.local_flow_control_window(number), 16_384)
        if not most:
            return
        peer.send_data(number, left[number][:most])
        left[number] = left[number][most:]
        if not left[number]:
            peer.send_headers(number, [("grpc-status", "0")], end_stream=True)
    del left[number]


GOOD = messages.DescribeNamespaceResponse()
GOOD.namespace_info.state = enums.NamespaceState.NAMESPACE_STATE_REGISTERED
NOTHING = messages.CountWorkflowExecutionsResponse()


def at(running: web.Web, **fields: Any) -> Check:
    return Check(name="x", **{"address": f"127.0.0.1:{running.port}", **fields})


def crowd(pollers: int, backlog: int | None = 7) -> messages.DescribeTaskQueueResponse:
    """A queue that so many workers polled ten seconds ago."""
    found = messages.DescribeTaskQueueResponse()
    for number in range(pollers):
        found.pollers.add(identity=f"worker-{number}").last_access_time.FromSeconds(int(NOW) - 10)
    if backlog is not None:
        found.stats.approximate_backlog_count = backlog
        found.stats.approximate_backlog_age.FromTimedelta(timedelta(seconds=42.5))
        found.stats.tasks_add_rate, found.stats.tasks_dispatch_rate = 1.5, 0.25
    return found


async def test_every_field_is_the_one_that_the_vendors_library_writes() -> None:
    counts = messages.CountWorkflowExecutionsResponse(count=9)
    for status, count in (("Completed", 95), ("TimedOut", 3), ("Terminated", 2), ("ContinuedAsNew", 900)):
        group = counts.groups.add(count=count)
        group.group_values.add(data=f'"{status}"'.encode())
    replies: dict[str, Reply] = {
        "DescribeNamespace": GOOD, "DescribeTaskQueue": crowd(3), "CountWorkflowExecutions": counts,
    }  # fmt: skip
    async with frontend(replies) as running:
        run = await asked(at(running, task_queues=["orders"]), at=NOW)
    labels = {"task_queue": "orders", "type": "activity"}
    assert value(run, "backlog", **labels) == 7
    assert value(run, "backlog_age_seconds", **labels) == 42.5
    assert value(run, "tasks_added_per_second", **labels) == 1.5
    assert value(run, "tasks_dispatched_per_second", **labels) == 0.25
    assert value(run, "pollers", **labels) == 3
    assert value(run, "workflow_failure_ratio") == 0.03
    assert value(run, "workflows_closed", status="ContinuedAsNew") == 900


async def test_what_is_asked_is_what_the_vendors_library_reads() -> None:
    questions: dict[str, bytes] = {}

    class Recorded(calls.Frontend):
        async def _call(self, method: str, question: bytes, read: Any) -> Any:
            questions[method] = question
            return 1

    ask = Recorded.__new__(Recorded)
    ask._namespace = "shop"
    await ask.namespace_state()
    await ask.queue("orders", "activity")
    await ask.counted('CloseTime > "x"')
    await ask.executions("q", 10)
    assert messages.DescribeNamespaceRequest.FromString(questions["DescribeNamespace"]).namespace == "shop"
    asked_queue = messages.DescribeTaskQueueRequest.FromString(questions["DescribeTaskQueue"])
    assert (asked_queue.namespace, asked_queue.task_queue.name) == ("shop", "orders")
    assert asked_queue.task_queue_type == enums.TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
    assert asked_queue.report_stats
    counted = messages.CountWorkflowExecutionsRequest.FromString(questions["CountWorkflowExecutions"])
    assert (counted.namespace, counted.query) == ("shop", 'CloseTime > "x" GROUP BY ExecutionStatus')
    listed = messages.ListWorkflowExecutionsRequest.FromString(questions["ListWorkflowExecutions"])
    assert (listed.namespace, listed.page_size, listed.query) == ("shop", 10, "q")


async def test_an_answer_of_many_pollers_is_read_and_an_endless_one_is_left() -> None:
    only = {"task_queues": [{"name": "orders", "types": ["workflow"], "pollers": 5000}], "failures": None}
    async with frontend({"DescribeNamespace": GOOD, "DescribeTaskQueue": crowd(5000)}) as running:
        assert value(await asked(at(running, **only), at=NOW), "pollers") == 5000
    for length, words in ((60_000, "not one whole message"), (2**20, "sent more than 524288 bytes")):
        async with frontend({"DescribeNamespace": b"\0" * length}) as running:
            await fails(at(running), Reason.PROTOCOL, words)


@pytest.mark.parametrize(
    ("reply", "reason", "words"),
    [
        ((7, "Request unauthorized."), Reason.AUTH, "PERMISSION_DENIED: Request unauthorized."),
        ((16, "Jwt is expired"), Reason.AUTH, "give the monitor's key or certificate read access"),
        ((8, "namespace rate limit exceeded"), Reason.RATE_LIMITED, "RESOURCE_EXHAUSTED"),
        ((12, "unknown service"), Reason.PROTOCOL, "no Temporal frontend"),
        ((3, "bad"), Reason.INTERNAL, "INVALID_ARGUMENT"),
    ],
)
async def test_refusals_that_say_nothing_of_temporal_are_ours(reply: Reply, reason: Reason, words: str) -> None:
    async with frontend({"DescribeNamespace": reply}) as running:
        await errs(at(running), reason, words)


@pytest.mark.parametrize(
    ("reply", "reason", "words"),
    [
        ((14, "upstream connect error"), Reason.STATUS, "UNAVAILABLE: upstream connect error"),
        ((4, ""), Reason.READ_TIMEOUT, "DEADLINE_EXCEEDED"),
        ((5, "Namespace default is not found."), Reason.ASSERTION, "NOT_FOUND"),
        ((13, "\x7f"), Reason.STATUS, "INTERNAL"),
        ((999, ""), Reason.STATUS, "code 999"),
        (messages.DescribeNamespaceResponse(), Reason.ASSERTION, "is in state 0"),
        (b"", Reason.PROTOCOL, "not one whole message"),
        (b"\1\0\0\0\0", Reason.PROTOCOL, "compressed"),
        (b"\0\0\0\0\1\xff", Reason.PROTOCOL, "a number does not end"),
        (b"\0\0\0\0\2\x08\x01", Reason.PROTOCOL, "field 1 is a number"),
        (b"\0\0\0\0\2\x0a\x7f", Reason.PROTOCOL, "a field is malformed"),
        (b"\0\0\0\0\1\x0b", Reason.PROTOCOL, "a field of type 3"),
    ],
)
async def test_refusals_and_answers_that_are_its_own_fault(reply: Reply, reason: Reason, words: str) -> None:
    async with frontend({"DescribeNamespace": reply}) as running:
        await fails(at(running), reason, words)


async def test_a_server_that_is_too_old_to_count_is_named_by_its_version() -> None:
    replies: dict[str, Reply] = {
        "DescribeNamespace": GOOD, "DescribeTaskQueue": crowd(1, None),
        "GetSystemInfo": messages.GetSystemInfoResponse(server_version="1.20.1"),
    }  # fmt: skip
    async with frontend(replies) as running:
        await errs(at(running, task_queues=["orders"]), Reason.PROTOCOL, "version 1.20.1", "no backlog")


async def test_counts_that_are_none() -> None:
    for data in (b"x", b"5", b""):
        counts = messages.CountWorkflowExecutionsResponse(count=5)
        counts.groups.add(count=5).group_values.add(data=data)
        async with frontend({"DescribeNamespace": GOOD, "CountWorkflowExecutions": counts}) as running:
            await fails(at(running), Reason.PROTOCOL, "malformed answer to CountWorkflowExecutions")
    ungrouped = messages.CountWorkflowExecutionsResponse(count=5)
    async with frontend({"DescribeNamespace": GOOD, "CountWorkflowExecutions": ungrouped}) as running:
        await fails(at(running), Reason.PROTOCOL, "does not count by status")


async def test_an_api_key_goes_encrypted_and_a_client_certificate_is_shown(tmp_path: Path) -> None:
    authority = web.Authority(tmp_path)
    replies: dict[str, Reply] = {"DescribeNamespace": GOOD, "CountWorkflowExecutions": NOTHING}
    server = authority.server("127.0.0.1")
    server.set_alpn_protocols(["h2"])
    async with frontend(replies, server) as running:
        ask = at(running, api_key="s3same-key", namespace="shop.a1b2c", tls={"ca_file": authority.file})
        run = await asked(ask)
        assert value(run, "certificate_expires_in") > 86400
        [head, _] = running.seen  # type: ignore[attr-defined]
        assert head["authorization"] == "Bearer s3same-key"
        assert head["temporal-namespace"] == "shop.a1b2c"
        assert head["grpc-timeout"] == "10000m"
        await fails(at(running, api_key="s3same-key"), Reason.TLS_HANDSHAKE, "is not trusted")
    demanding = authority.server("127.0.0.1")
    demanding.set_alpn_protocols(["h2"])
    demanding.verify_mode = web.ssl.CERT_REQUIRED
    authority.ca.configure_trust(demanding)
    own = authority.issue("runwatch.example")
    own.private_key_and_cert_chain_pem.write_to_path(tmp_path / "own.pem")
    async with frontend(replies, demanding) as running:
        settings = {"ca_file": authority.file, "cert_file": str(tmp_path / "own.pem")}
        await asked(at(running, tls=settings))
    expired = authority.server("127.0.0.1", days=-1)
    async with frontend(replies, expired) as running:
        await fails(at(running, tls={"ca_file": authority.file}), Reason.TLS_EXPIRED)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"address": "x:7233", "api_key": "k", "tls": False}, "in the open"),
        ({"address": "http://x:7233"}, "an address such as"),
        ({"address": "x:7233", "api_key": "a\nb"}, "what can't be in a header"),
        ({"address": "x:7233", "namespace": "a b"}, "String should match"),
        ({"address": "x:7233", "task_queues": [{"name": "a", "types": ["worker"]}]}, "Input should be"),
    ],
)
def test_what_can_not_be_meant_is_refused_at_load(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Check(name="x", **fields)


def test_recommended_conditions_are_of_its_measurements() -> None:
    for one in Check.recommended:
        parse(one.when, {measured.name: measured for measured in Check.measurements})


@given(st.binary())
def test_any_bytes_are_a_message_or_a_sentence(data: bytes) -> None:
    for read in (calls._queue, calls._groups, calls._executions):
        try:
            read(Message(data))
        except ValueError as why:
            assert str(why)


@given(st.integers(0, 2**63 - 1), st.text(), st.integers(-(2**63), -1))
def test_numbers_and_texts_come_back(number: int, text: str, negative: int) -> None:
    message = Message(field(1, number) + field(900, text) + field(3, negative % 2**64))
    assert (message.number(1), message.text(900), message.number(3)) == (number, text, negative)
    assert not message.has(2) and message.text(2) == "" and message.real(2) == 0
