"""Stands between a check and its target, and counts what goes over the wire: requests, statements, commands, calls."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

_REQUEST = re.compile(rb"^[A-Z]+ \S+ HTTP/1\.1\r$", re.MULTILINE)
_ADDRESS = re.compile(r"127\.0\.0\.1:(\d+)")
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Counting:
    """Proxies for every server that a check's fields name, on TCP, and by `udp` or a Unix socket where they want that.

    `taken` gives how much was asked since it was last called.
    """

    def __init__(self, what: str, folder: Path, *, udp: bool = False) -> None:
        self._count = COUNTS[what]
        self._folder = folder
        self._udp = udp
        self._asked: list[bytearray] = []
        self._servers: list[Any] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def instead(self, value: Any) -> Any:
        """The same value with our addresses in place of the targets'."""
        if isinstance(value, dict):
            return {key: await self.instead(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [await self.instead(inner) for inner in value]
        if not isinstance(value, str):
            return value
        if value.startswith("unix://"):
            return f"unix://{await self._socket(value.removeprefix('unix://'))}"
        for port in set(_ADDRESS.findall(value)):
            ours = await (self._datagrams(int(port)) if self._udp else self._port(int(port)))
            value = value.replace(f"127.0.0.1:{port}", f"127.0.0.1:{ours}")
        return value

    def taken(self) -> int:
        """How much was asked since the last time."""
        asked, self._asked = self._asked, []
        return sum(self._count(bytes(data)) for data in asked)

    async def _port(self, port: int) -> int:
        server = await asyncio.start_server(
            lambda reader, writer: self._serve(reader, writer, asyncio.open_connection("127.0.0.1", port)), "127.0.0.1"
        )
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _socket(self, path: str) -> str:
        ours = str(self._folder / "counted.sock")
        self._servers.append(
            await asyncio.start_unix_server(
                lambda reader, writer: self._serve(reader, writer, asyncio.open_unix_connection(path)), ours
            )
        )
        return ours

    async def _datagrams(self, port: int) -> int:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(port, self._asked), ("127.0.0.1", 0))
        self._servers.append(transport)
        return int(transport.get_extra_info("sockname")[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connecting: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        heard = bytearray()
        self._asked.append(heard)
        ends = [writer]
        try:
            above, below = await connecting
            ends.append(below)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pass_on(reader, below, heard))
                group.create_task(_pass_on(above, writer, bytearray()))
        finally:
            for each in ends:
                each.transport.abort()
            self._tasks.discard(task)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: bytearray) -> None:
    with suppress(OSError):
        while piece := await reader.read(65536):
            heard += piece
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, port: int, asked: list[bytearray]) -> None:
        self._port = port
        self._asked = asked
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        self._asked.append(bytearray(data))
        self._tasks = asyncio.ensure_future(self._ask(data, address))

    async def _ask(self, data: bytes, address: Any) -> None:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[bytes] = loop.create_future()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Answer(answered), remote_addr=("127.0.0.1", self._port)
        )
        transport.sendto(data)
        self._transport.sendto(await answered, address)
        transport.close()


class _Answer(asyncio.DatagramProtocol):
    def __init__(self, answered: asyncio.Future[bytes]) -> None:
        self._answered = answered

    def datagram_received(self, data: bytes, address: Any) -> None:
        self._answered.set_result(data)


def statements(data: bytes) -> int:
    """Of PostgreSQL's protocol 3.0: simple queries, and executions of prepared ones."""
    at, count, begun = 0, 0, False
    while at + 5 <= len(data):
        if not begun:
            length = int.from_bytes(data[at : at + 4], "big")
            begun = data[at + 4 : at + 8] == b"\x00\x03\x00\x00"
            at += length
            continue
        count += data[at : at + 1] in (b"Q", b"E")
        at += 1 + int.from_bytes(data[at + 1 : at + 5], "big")
    return count


def commands(data: bytes) -> int:
    """Of RESP: arrays of bulk strings."""
    at, count = 0, 0
    while data[at : at + 1] == b"*":
        line = data.index(b"\r\n", at)
        words, at, count = int(data[at + 1 : line]), line + 2, count + 1
        for _ in range(words):
            line = data.index(b"\r\n", at)
            at = line + 2 + int(data[at + 1 : line]) + 2
    return count


def calls(data: bytes) -> int:
    """Of HTTP/2: frames that begin a request."""
    if not data.startswith(_PREFACE):
        return 0
    at, count = len(_PREFACE), 0
    while at + 9 <= len(data):
        count += data[at + 3] == 1
        at += 9 + int.from_bytes(data[at : at + 3], "big")
    return count


COUNTS: dict[str, Callable[[bytes], int]] = {
    "requests": lambda data: len(_REQUEST.findall(data)),
    "statements": statements,
    "commands": commands,
    "calls": calls,
    "connections": lambda data: 1,
    "questions": lambda data: 1,
}
