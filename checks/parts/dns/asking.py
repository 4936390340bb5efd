"""Asks one name server one question: by UDP and, where the answer does not fit, by TCP; or by TCP or TLS alone."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Literal

from checks.base import Url
from checks.parts import network as _network
from checks.wire import dnsmessage
from checks.wire.connect import Line, connect, datagrams
from checks.wire.dnsmessage import Message
from checks.wire.dnsrecords import TYPES
from checks.wire.fault import WireError
from checks.wire.patience import Patience
from checks.wire.resolve import Address, name_servers, resolve
from checks.wire.tls import Secure

PORTS = {"udp": 53, "tcp": 53, "tls": 853}
STRANGERS_MOST = 100
"""Messages that are passed over: anybody can send some, and a hostile server as many as it likes."""

Transport = Literal["udp", "tcp", "tls"]


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask, and how."""

    name: str
    type: str
    transport: Transport
    tls: _network.TlsSettings
    recurse: bool
    dnssec: bool

    def __str__(self) -> str:
        return f"{self.name} {self.type}"

    def packed(self, number: int, extended: bool) -> bytes:
        """As a message of that number."""
        return dnsmessage.question(
            number, self.name, self.type, recurse=self.recurse, extended=extended, dnssec=self.dnssec
        )


async def ask(server: Url | None, question: Question, patience: Patience, trip: _network.Trip) -> Message:
    """The answer of `server`, without one that of the system's first. Raises WireError, as ours where that is mute."""
    try:
        return await _Asking(question, patience, trip).of(server)
    except WireError as error:
        # Our own resolver says nothing about the name.
        raise WireError(error.step, error.reason, error.sentence, ours=error.ours or server is None) from None


class _Asking:
    def __init__(self, question: Question, patience: Patience, trip: _network.Trip) -> None:
        self._question = question
        self._patience = patience
        self._trip = trip

    async def of(self, server: Url | None) -> Message:
        address, host = await self._find(server)
        message = await self._by(address, host, extended=True)
        if message.code in ("FORMERR", "NOTIMP") and not message.extended and not self._question.dnssec:
            # So answer servers from before EDNS (RFC 6891, 7).
            message = await self._by(address, host, extended=False)
        return message

    async def _find(self, server: Url | None) -> tuple[Address, str]:
        trip, patience = self._trip, self._patience
        if server is None:
            address, host = name_servers()[0], ""
        else:
            to = _network.endpoint(server, PORTS[self._question.transport])
            began, host = patience.loop.time(), to.host
            address = to.fixed or (await resolve(to.host, to.port, "any", patience))[0]
            trip.add("resolve", 0.0 if to.fixed else patience.loop.time() - began)
        trip.family = _network.version_of(address)
        return address, host

    async def _by(self, address: Address, host: str, extended: bool) -> Message:
        question, patience, trip = self._question, self._patience, self._trip
        number = secrets.randbelow(65536)
        packed = question.packed(number, extended)
        if question.transport == "udp":
            with datagrams(address, patience) as line:
                message = await self._exchange(line, _Datagrams(line), packed, number)
            if not message.truncated:
                return message
        with await connect([address], patience) as line:
            trip.add("connect", line.connected_in)
            stream: Line | Secure = line
            if question.transport == "tls":
                name = question.tls.server_name or host
                stream = await _network.encrypt(line, question.tls.trust(), name, patience, trip)
            framed = len(packed).to_bytes(2, "big") + packed
            message = await self._exchange(line, _Framed(stream), framed, number)
        if message.truncated:
            raise WireError("read", "protocol", f"{line.name} cuts its answer about {question} even on a connection")
        return message

    async def _exchange(self, line: Line, pieces: _Datagrams | _Framed, packed: bytes, number: int) -> Message:
        """Send the question and wait for the answer to it; others, which anybody could send, are passed over."""
        question, patience = self._question, self._patience
        patience.doing("read", "read_timeout", f"no answer from {line.name} about {question}")
        await pieces.stream.send(packed)
        asked = line.sent
        wanted = question.name.lower() or ".", TYPES[question.type]
        for _ in range(STRANGERS_MOST):
            data = await pieces.next()
            if len(data) >= 2 and int.from_bytes(data[:2], "big") != number:
                continue
            try:
                message = dnsmessage.parse(data)
            except ValueError as why:
                raise WireError("read", "protocol", f"{line.name} gave a malformed answer: {why}") from None
            if message.question == wanted:
                self._trip.add("processing", max(0.0, line.arrived - asked))
                self._trip.kernel = self._trip.kernel and line.kernel
                return message
        raise WireError("read", "protocol", f"{line.name} gave {STRANGERS_MOST} answers to what was not asked")


class _Datagrams:
    """The messages of a line of datagrams."""

    def __init__(self, line: Line) -> None:
        self.stream = line

    async def next(self) -> bytes:
        return await self.stream.recv()


class _Framed:
    """The messages of a connection, each preceded by two bytes of length (RFC 1035, 4.2.2)."""

    def __init__(self, stream: Line | Secure) -> None:
        self.stream = stream
        self._came = b""

    async def next(self) -> bytes:
        while len(self._came) < 2 or len(self._came) < self._size():
            more = await self.stream.recv()
            if not more:
                how = "in the middle of its answer" if self._came else "without an answer"
                raise WireError("read", "protocol", f"{self.stream.name} closed the connection {how}")
            self._came += more
        message, self._came = self._came[2 : self._size()], self._came[self._size() :]
        return message

    def _size(self) -> int:
        return 2 + int.from_bytes(self._came[:2], "big")
