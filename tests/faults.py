"""A TCP proxy on loopback that breaks what goes through it: late, cut, lost, reset, refused or never answered."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Self

from monitor.demo.ports import free_port

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: closing sends RST instead of FIN."""


class FaultProxy:
    """Passes connections on to host:port, with the faults that its attributes say; they count from the next byte on.

    Start it with `async with`; leaving closes every connection.
    """

    def __init__(self, host: str, port: int) -> None:
        self.upstream = (host, port)
        self.port = free_port()
        self.hang = False
        """Accept, then neither connect upstream nor answer."""
        self.latency = 0.0
        """Seconds by which every piece of the answer is late."""
        self.blackhole_after: int | None = None
        """Bytes of each connection's answer after which nothing arrives any more, while it stays open."""
        self.cut_after: int | None = None
        """Bytes of each connection's answer after which it is closed."""
        self.accepted = 0
        """Connections so far."""
        self.answered = 0
        """Bytes of answers that came from upstream so far."""
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._changed = asyncio.Event()

    @property
    def address(self) -> str:
        """host:port of the proxy."""
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()
        self.cut()
        while self._open:
            self._changed.clear()
            await self._changed.wait()

    async def refuse(self) -> None:
        """Take no new connections: they are refused. Those that are open go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def accept(self) -> None:
        """Take connections (again)."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    def cut(self) -> None:
        """Close every open connection."""
        for writer in self._open:
            writer.close()

    def reset(self) -> None:
        """Reset every open connection (RST)."""
        for writer in self._open:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()

    async def until_open(self, count: int) -> None:
        """Wait until exactly `count` connections are open."""
        while len(self._open) != count:
            self._changed.clear()
            await self._changed.wait()

    async def until_answered(self, count: int) -> None:
        """Wait until a connection is open and upstream has answered at least `count` bytes in all."""
        while self.answered < count or not self._open:
            self._changed.clear()
            await self._changed.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._open.add(writer)
        self._changed.set()
        try:
            if self.hang:
                await reader.read()
            else:
                await self._pass_on(reader, writer)
        except OSError:
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self._open.discard(writer)
            self._changed.set()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(*self.upstream)
        asking = asyncio.create_task(self._ask(reader, upstream_writer))
        answering = asyncio.create_task(self._answer(upstream_reader, writer))
        try:
            await asyncio.wait((asking, answering), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (asking, answering):
                task.cancel()
            await asyncio.gather(asking, answering, return_exceptions=True)
            upstream_writer.close()
            with contextlib.suppress(OSError):
                await upstream_writer.wait_closed()

    async def _ask(self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65536):
            upstream.write(piece)
            await upstream.drain()

    async def _answer(self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent = 0
        while piece := await upstream.read(65536):
            await asyncio.sleep(self.latency)
            self.answered += len(piece)
            self._changed.set()
            if self.blackhole_after is not None:
                piece = piece[: max(0, self.blackhole_after - sent)]
            if self.cut_after is not None:
                piece = piece[: max(0, self.cut_after - sent)]
            sent += len(piece)
            writer.write(piece)
            await writer.drain()
            if self.cut_after is not None and sent >= self.cut_after:
                return
