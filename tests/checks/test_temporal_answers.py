"""The temporal kind beside the vendor's own messages, and against a frontend that refuses, lies and falls silent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import temporalio.api.enums.v1 as enums
import temporalio.api.workflowservice.v1 as messages
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from alerts.thresholds import parse
from checks.base import Reason
from checks.parts.vendors import temporal as calls
from checks.parts.vendors.protobuf import Message, field
from checks.temporal import Temporal as Check
from tests.checks import web
from tests.checks.frontends import GOOD, NOTHING, NOW, Reply, at, crowd, frontend
from tests.checks.probing import asked, errs, fails, value


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
