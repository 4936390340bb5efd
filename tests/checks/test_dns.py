"""Kind dns against real name servers on loopback that answer, lie and keep silent."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from checks.base import Reason
from checks.dns import Dns
from checks.wire import dnsmessage
from tests.checks.web import ask, closed_port
from tests.leaks import open_files

Answer = Callable[[bytes], list[bytes]]
ADDRESS = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 300, 4) + bytes([192, 0, 2, 1])


def answer(*records: bytes, code: int = 0, flags: int = 0, number: int = 0, name: bytes = b"") -> Answer:
    """Answers each question with the given records."""

    def reply(question: bytes) -> list[bytes]:
        asked = int.from_bytes(question[:2], "big")
        end = question.index(b"\0", 12) + 5
        header = struct.pack("!6H", (asked + number) % 65536, 0x8180 | flags | code, 1, len(records), 0, 0)
        return [header + (name or question[12 : end - 4]) + question[end - 4 : end] + b"".join(records)]

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
async def serving(by_udp: Answer, by_tcp: Answer | None = None) -> AsyncIterator[int]:
    """A name server on UDP, and on TCP at the same port."""
    loop = asyncio.get_running_loop()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2), "big")
        for reply in (by_tcp or by_udp)(await reader.readexactly(size)):
            writer.write(len(reply).to_bytes(2, "big") + reply)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
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


async def test_an_answer() -> None:
    async with serving(answer(ADDRESS)) as port:
        asked = await ask(check(port, expect={"answers": ["192.0.2.1"]}))
    assert asked.fault is None
    assert asked.value("answers") == asked.value("succeeded") == 1
    assert asked.value("ttl_seconds") == 300
    assert asked.run.took == asked.value("phase_seconds", phase="request")


async def test_what_does_not_fit_is_asked_by_tcp() -> None:
    async with serving(answer(flags=0x0200), answer(ADDRESS)) as port:
        asked = await ask(check(port))
        direct = await ask(check(port, transport="tcp"))
    assert asked.fault is direct.fault is None
    assert asked.value("answers") == direct.value("answers") == 1
    assert asked.value("phase_seconds", phase="connect") is not None


@pytest.mark.parametrize(
    ("reply", "expect", "reason", "sentence"),
    [
        (answer(code=3), {}, Reason.DNS, "NXDOMAIN for Shop.example.com A, expected NOERROR"),
        (answer(code=3), {"code": "NXDOMAIN"}, None, ""),
        (answer(code=2), {}, Reason.DNS, "SERVFAIL"),
        (answer(), {}, Reason.DNS, "0 records for Shop.example.com A, expected at least 1"),
        (answer(), {"at_least": 0}, None, ""),
        (answer(ADDRESS), {"answers": ["192.0.2.2"]}, Reason.ASSERTION, "lacks 192.0.2.2; it is 192.0.2.1"),
        (answer(ADDRESS), {"answers": []}, Reason.ASSERTION, "also has 192.0.2.1, which nobody expects"),
        (answer(ADDRESS), {"includes": ["192.0.2.1"]}, None, ""),
        (lambda _: [], {}, Reason.READ_TIMEOUT, "about Shop.example.com A within 0.3 s"),
        (answer(ADDRESS, number=1), {}, Reason.READ_TIMEOUT, "no answer"),
        (answer(ADDRESS, name=b"\x04evil\0"), {}, Reason.READ_TIMEOUT, "no answer"),
        (lambda _: [b"short"], {}, Reason.PROTOCOL, "malformed answer: it ends too early"),
        (lambda question: [question], {}, Reason.PROTOCOL, "no answer to one question"),
        (answer(b"\xc0\xff" + ADDRESS[2:]), {}, Reason.PROTOCOL, "malformed"),
    ],
)
async def test_judging(reply: Answer, expect: dict[str, Any], reason: Reason | None, sentence: str) -> None:
    async with serving(reply) as port:
        asked = await ask(check(port, expect=expect))
    assert asked.reason is reason
    assert sentence in asked.sentence


async def test_a_strangers_answer_before_the_right_one_is_passed_over() -> None:
    def both(question: bytes) -> list[bytes]:
        return answer(code=3, number=1)(question) + answer(ADDRESS)(question)

    async with serving(both) as port:
        asked = await ask(check(port))
    assert asked.fault is None


async def test_nobody_listens() -> None:
    asked = await ask(check(closed_port()))
    assert asked.reason is Reason.CONNECT_REFUSED
    assert asked.value("succeeded") == 0


async def test_cancelled_nothing_stays_open() -> None:
    async with serving(lambda _: []) as port:
        await ask(check(port))
        before = open_files()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await ask(check(port, timeout="5s"))
        assert not open_files() - before


def record(number: int, data: bytes) -> bytes:
    return b"\xc0\x0c" + struct.pack("!HHIH", number, 1, 60, len(data)) + data


@pytest.mark.parametrize(
    ("kind", "data", "shown"),
    [
        ("AAAA", bytes(15) + b"\1", "::1"),
        ("CNAME", b"\3WWW\xc0\x0c", "www.shop.example.com"),
        ("MX", b"\0\x0a\4mail\xc0\x0c", "10 mail.shop.example.com"),
        ("SRV", b"\0\1\0\2\0\x50\1a\0", "1 2 80 a"),
        ("TXT", b"\3v=1\2 x", "v=1 x"),
        ("CAA", b"\0\5issueca.example", '0 issue "ca.example"'),
        ("SOA", b"\2ns\xc0\x0c\1h\0" + struct.pack("!5I", 2026, 1, 2, 3, 4), "ns.Shop.example.com h 2026 1 2 3 4"),
    ],
)
async def test_every_type_is_shown_as_zone_files_write_it(kind: str, data: bytes, shown: str) -> None:
    async with serving(answer(record(dnsmessage.TYPES[kind], data))) as port:
        asked = await ask(check(port, type=kind, expect={"answers": [shown]}))
    assert asked.fault is None, asked.sentence
    assert asked.value("serial") == (2026 if kind == "SOA" else None)


@given(st.binary(max_size=600))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    try:
        dnsmessage.parse(b"\0\0\x81\x80\0\1" + data)
    except ValueError as why:
        assert str(why)


@pytest.mark.parametrize(
    "fields", [{"host": ""}, {"host": "a b"}, {"host": ".".join(["x" * 60] * 5)}, {"type": "ANY"}, {"server": "tcp://"}]
)
def test_what_can_not_be_asked(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        check(53, **fields)


def test_what_is_watched() -> None:
    assert check(53).target == "127.0.0.1:53/Shop.example.com"
    assert (
        Dns.model_validate({"name": "n", "host": "example.com", "server": "ns.example"}).target
        == "ns.example/example.com"
    )
