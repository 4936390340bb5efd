"""A check of Temporal, and frontends that give the replies of a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import temporalio.api.enums.v1 as enums
import temporalio.api.workflowservice.v1 as messages
from google.protobuf.message import Message as Protobuf
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded

from checks.temporal import Temporal as Check
from monitor.demo.servers import Temporal
from tests.checks import web

NOW = 1_795_360_000.0


def check(server: Temporal, *queues: Any, **fields: Any) -> Check:
    return Check(name="workflows", **{"address": server.address, "task_queues": queues, **fields})


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
