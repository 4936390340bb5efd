"""Name servers on loopback that answer what a test says, and a check that asks them."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from typing import Any, cast

from checks.dns import Dns
from monitor.demo.ports import free_port

Answer = Callable[[bytes], list[bytes]]
ADDRESS = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 300, 4) + bytes([192, 0, 2, 1])


def option(code: int, data: bytes, high: int = 0) -> bytes:
    """The OPT record with one option."""
    return (
        b"\0" + struct.pack("!HHIH", 41, 1232, high << 24, 4 + len(data)) + struct.pack("!2H", code, len(data)) + data
    )


def answer(
    *records: bytes,
    code: int = 0,
    flags: int = 0,
    number: int = 0,
    name: bytes = b"",
    authority: tuple[bytes, ...] = (),
    additional: tuple[bytes, ...] = (),
) -> Answer:
    """Answers each question with the given records."""

    def reply(question: bytes) -> list[bytes]:
        asked = int.from_bytes(question[:2], "big")
        end = question.index(b"\0", 12) + 5
        counts = (1, len(records), len(authority), len(additional))
        header = struct.pack("!6H", (asked + number) % 65536, 0x8180 | flags | code, *counts)
        everything = b"".join([*records, *authority, *additional])
        return [header + (name or question[12 : end - 4]) + question[end - 4 : end] + everything]

    return reply


class Server(asyncio.DatagramProtocol):
    def __init__(self, by_udp: Answer) -> None:
        self.by_udp = by_udp

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: Any) -> None:
        for reply in self.by_udp(data):
            self.transport.sendto(reply, address)


@asynccontextmanager
async def serving(
    by_udp: Answer, by_tcp: Answer | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """A name server on UDP, and on TCP (or TLS) at the same port."""
    loop, port = asyncio.get_running_loop(), free_port()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Somebody may hang up, or not speak DNS at all; not every Python closes what a broken task leaves open.
        with closing(writer), suppress(asyncio.IncompleteReadError):
            size = int.from_bytes(await reader.readexactly(2), "big")
            for reply in (by_tcp or by_udp)(await reader.readexactly(size)):
                writer.write(len(reply).to_bytes(2, "big") + reply)

    server = await asyncio.start_server(connected, "127.0.0.1", port, ssl=tls)
    transport, _ = await loop.create_datagram_endpoint(lambda: Server(by_udp), ("127.0.0.1", port))
    try:
        yield port
    finally:
        transport.close()
        ended = asyncio.ensure_future(server.wait_closed())
        await asyncio.sleep(0)
        server.close()
        await ended


def check(port: int, **fields: Any) -> Dns:
    base = {"name": "names", "host": "Shop.example.com", "server": f"127.0.0.1:{port}", "timeout": "300ms"}
    return Dns.model_validate({**base, **fields})


def record(number: int, data: bytes) -> bytes:
    return b"\xc0\x0c" + struct.pack("!HHIH", number, 1, 60, len(data)) + data


BOGUS = option(15, struct.pack("!H", 6) + b"no \x1b[31msignature")


def soa(serial: int) -> bytes:
    return record(6, b"\2ns\xc0\x0c\1h\0" + struct.pack("!5I", serial, 1, 2, 3, 4))
