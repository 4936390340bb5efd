"""Calls to Temporal's frontend: what is asked and answered, and whose fault a refusal is.

The messages are those of temporal.api.workflowservice.v1 (github.com/temporalio/api); only the fields that are used are
written and read. The vendor's SDK would do it with 42 MB, 1.2 s of import and a client with threads of its own, which
can't be closed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import orjson

from checks.base import Errored, Failed, Reason, Run
from checks.parts.http.request import AGENT
from checks.parts.network import Trip
from checks.parts.pool import in_pool
from checks.parts.vendors.grpc_health import Status, status_of
from checks.parts.vendors.protobuf import Message, field
from checks.wire.http1 import Stream
from checks.wire.patience import Patience

if TYPE_CHECKING:
    from checks.wire.http2 import Conversation

T = TypeVar("T")

SERVICE = "/temporal.api.workflowservice.v1.WorkflowService/"
LARGEST = 2**19
AT_ONCE = 4096
"""Bytes that are read at once; a larger answer is read in a thread."""

TYPES = {"workflow": 1, "activity": 2, "nexus": 3}
REGISTERED = 1
STATUSES = ("Running", "Completed", "Failed", "Canceled", "Terminated", "ContinuedAsNew", "TimedOut", "Paused")


@dataclass(frozen=True, slots=True)
class Queue:
    """What a task queue of one type holds. `pollers`: who polls it, and when last, in Unix seconds.

    `backlog` is None where the server does not report it. Age in seconds, rates per second.
    """

    pollers: tuple[tuple[str, float], ...]
    backlog: int | None
    age: float
    added: float
    dispatched: float


@dataclass(frozen=True, slots=True)
class Execution:
    """A workflow that was carried out; `closed` in Unix seconds."""

    id: str
    type: str
    closed: float
    status: str


class Frontend:
    """A frontend for the length of one probe, on a stream that is the caller's to close."""

    def __init__(
        self, stream: Stream, patience: Patience, trip: Trip, run: Run, *,
        name: str, namespace: str, authority: str, api_key: str, secure: bool,
    ) -> None:  # fmt: skip
        from checks.wire.http2 import Conversation

        self.name = name
        self.requests = 0
        self._namespace = namespace
        self._trip = trip
        self._run = run
        self._talk: Conversation = Conversation(stream, patience, LARGEST)
        milliseconds = min(max(1, int(patience.seconds * 1000)), 99_999_999)
        self._headers = [
            (":method", "POST"), (":scheme", "https" if secure else "http"), (":authority", authority),
            ("te", "trailers"), ("content-type", "application/grpc"), ("user-agent", AGENT),
            ("grpc-timeout", f"{milliseconds}m"), ("temporal-namespace", namespace),
        ]  # fmt: skip
        if api_key:
            self._headers.append(("authorization", f"Bearer {api_key}"))

    async def version(self) -> str:
        """The server's version."""
        return await self._call("GetSystemInfo", b"", lambda answer: answer.text(1))

    async def namespace_state(self) -> int:
        """State of the namespace: 1 registered, 2 deprecated, 3 deleted."""
        return await self._call(
            "DescribeNamespace", field(1, self._namespace), lambda answer: answer.message(1).number(2)
        )

    async def queue(self, name: str, kind: str) -> Queue:
        """A task queue of one type of TYPES. One that was never used looks like an empty one."""
        question = field(1, self._namespace) + field(2, field(1, name)) + field(3, TYPES[kind]) + field(8, 1)
        return await self._call("DescribeTaskQueue", question, _queue)

    async def counted(self, query: str) -> dict[str, int]:
        """Workflows by status, of those that the query finds: about, and as of some seconds ago."""
        question = field(1, self._namespace) + field(2, f"{query} GROUP BY ExecutionStatus")
        return await self._call("CountWorkflowExecutions", question, _groups)

    async def executions(self, query: str, most: int) -> list[Execution]:
        """Workflows that the query finds, the latest first."""
        question = field(1, self._namespace) + field(2, most) + field(4, query)
        return await self._call("ListWorkflowExecutions", question, _executions)

    async def _call(self, method: str, question: bytes, read: Callable[[Message], T]) -> T:
        """One call. Raises WireError, Failed and Errored."""
        from checks.wire.http2 import Answer

        answer = Answer()
        framed = b"\0" + len(question).to_bytes(4, "big") + question
        try:
            await self._talk.ask([(":path", SERVICE + method), *self._headers], framed, answer)
        finally:
            if answer.first:
                self._trip.add("processing", max(0.0, answer.last - answer.asked))
        self.requests += 1
        status = status_of(answer.headers, answer.trailers, self.name)
        if status.code:
            raise self._refused(status, method)
        body = bytes(answer.body)
        try:
            if len(body) > AT_ONCE:
                return await in_pool(self._run, _read, body, read)
            return _read(body, read)
        except ValueError as why:
            raise Failed(Reason.PROTOCOL, f"{self.name} gave a malformed answer to {method}: {why}") from None

    def _refused(self, status: Status, method: str) -> Failed | Errored:
        """What a status other than OK means."""
        said = f": {status.message}" if status.message else ""
        start = f"cannot ask {self.name}: it answers {method} with {status.name}{said}"
        match status.name:
            case "UNAUTHENTICATED" | "PERMISSION_DENIED":
                return Errored(Reason.AUTH, f"{start}; give the monitor's key or certificate read access to it")
            case "RESOURCE_EXHAUSTED":
                return Errored(Reason.RATE_LIMITED, f"{start}; the monitor, or everybody, asks too much")
            case "UNIMPLEMENTED":
                return Errored(Reason.PROTOCOL, f"{start}; this is no Temporal frontend, or one that is too old")
            case "INVALID_ARGUMENT":
                return Errored(Reason.INTERNAL, f"{start}; it does not understand what we ask")
            case "NOT_FOUND":
                return Failed(Reason.ASSERTION, start)
            case "DEADLINE_EXCEEDED":
                return Failed(Reason.READ_TIMEOUT, start)
        return Failed(Reason.STATUS, start)


def _read(body: bytes, read: Callable[[Message], T]) -> T:
    """The message in gRPC's frame. Raises ValueError."""
    if len(body) < 5 or len(body) != 5 + int.from_bytes(body[1:5], "big"):
        raise ValueError("not one whole message")
    if body[0]:
        raise ValueError("compressed, which nobody asked for")
    return read(Message(body[5:]))


def _queue(answer: Message) -> Queue:
    pollers = tuple((one.text(2), one.seconds(1)) for one in answer.messages(1))
    stats = answer.message(5)
    added, dispatched = stats.real(3), stats.real(4)
    if not (math.isfinite(added) and math.isfinite(dispatched)):
        raise ValueError("a rate is no number")
    backlog = stats.number(1) if answer.has(5) else None
    return Queue(pollers, backlog, stats.seconds(2), added, dispatched)


def _groups(answer: Message) -> dict[str, int]:
    groups = {}
    for group in answer.messages(2):
        # The value is a payload: JSON in its data.
        values = group.messages(1)
        status = orjson.loads(values[0].text(2)) if values else None
        if not isinstance(status, str):
            raise ValueError("a group names no status")
        groups[status] = group.number(2)
    if not groups and answer.number(1):
        raise ValueError("it does not count by status")
    return groups


def _executions(answer: Message) -> list[Execution]:
    return [
        Execution(one.message(1).text(1), one.message(2).text(1), one.seconds(4), _status(one.number(5)))
        for one in answer.messages(1)
    ]


def _status(number: int) -> str:
    return STATUSES[number - 1] if 1 <= number <= len(STATUSES) else f"status {number}"
