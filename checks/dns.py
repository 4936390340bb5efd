"""Asks a name server for records and judges the answer; by UDP, by TCP where it does not fit."""

from __future__ import annotations

import secrets
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from checks import _network
from checks.base import Check, Failed, Measurement, Reason, Run, Url
from checks.wire import dnsmessage
from checks.wire.connect import Line, connect, datagrams
from checks.wire.dnsmessage import Message
from checks.wire.fault import WireError
from checks.wire.patience import Patience
from checks.wire.resolve import Address, name_servers, resolve

PORT = 53
SHOWN = 20
"""Records that become evidence."""


class Expect(BaseModel):
    """What the answer must be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: Literal["NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED", "FORMERR", "NOTIMP"] = Field(
        default="NOERROR", description="The answer's code."
    )
    answers: tuple[str, ...] | None = Field(default=None, description="Exactly these records, in any order.")
    includes: tuple[str, ...] = Field(default=(), description="These records among others.")
    at_least: int = Field(default=1, ge=0, description="How many records there must be, where the code is NOERROR.")


def _server(url: Url) -> Url:
    _network.endpoint(url, PORT)
    return url


def _host(name: str) -> str:
    if not name:
        raise ValueError("a name is wanted; the root is written as a dot")
    ascii_name = _network.to_ascii(name.rstrip("."))
    dnsmessage.question(0, ascii_name, "A")
    return ascii_name


class Dns(Check):
    """Asks a name server for the records of a name."""

    up: ClassVar[str] = "probe_success"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        _network.DURATION,
        Measurement(
            "phase_seconds", "seconds", "Time by phase: resolve, connect, request.",
            labels=("phase",), also="probe_dns_duration_seconds",
        ),
        Measurement("answers", "count", "Records in the answer.", also="probe_dns_answer_rrs"),
        Measurement("authority", "count", "Records in its authority section.", also="probe_dns_authority_rrs"),
        Measurement("additional", "count", "Records in its additional section.", also="probe_dns_additional_rrs"),
        Measurement("succeeded", "bool", "Whether an answer came.", also="probe_dns_query_succeeded"),
        Measurement("ttl_seconds", "seconds", "The shortest time to live among the records."),
        Measurement("serial", "number", "Serial of the zone, where SOA was asked for.", also="probe_dns_serial"),
        _network.IP_PROTOCOL,
    )  # fmt: skip

    host: Annotated[str, AfterValidator(_host)] = Field(description="The name to ask for.")
    type: Literal["A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"] = Field(
        default="A", description="The type of record to ask for."
    )
    server: Annotated[Url, BeforeValidator(_network.with_scheme), AfterValidator(_server)] | None = Field(
        default=None, description="The name server, `host` or `host:port`; without it, the first of the system's."
    )
    transport: Literal["udp", "tcp"] = Field(default="udp", description="udp turns to tcp for long answers.")
    expect: Expect = Field(default=Expect(), description="What the answer must be.")

    @property
    def target(self) -> str:
        """The server and the name asked for."""
        return f"{_network.shown(self.server)}/{self.host}" if self.server else self.host

    async def probe(self, run: Run) -> None:
        """Ask, record, judge."""
        trip = _network.Trip()
        try:
            with Patience(self.timeout) as patience:
                message = await self._ask(patience, trip)
        except WireError as error:
            run.record("succeeded", 0.0)
            raise _network.translated(error) from None
        run.timed(trip.total(), trip.clock)
        self._record(run, trip, message)
        try:
            self._judge(message)
        except Failed:
            records = (f"{record.name} {record.ttl} {record.type} {record.data}" for record in message.answers[:SHOWN])
            run.evidence("Answer", "\n".join([message.code, *records]))
            raise

    async def _ask(self, patience: Patience, trip: _network.Trip) -> Message:
        address = await self._server_address(patience, trip)
        number = secrets.randbelow(65536)
        question = dnsmessage.question(number, self.host, self.type)
        if self.transport == "udp":
            with datagrams(address, patience) as line:
                message = await self._exchange(line, question, number, patience, trip)
            if not message.truncated:
                return message
        with await connect([address], patience) as line:
            trip.add("connect", line.connected_in)
            framed = len(question).to_bytes(2, "big") + question
            return await self._exchange(line, framed, number, patience, trip, framed=True)

    async def _server_address(self, patience: Patience, trip: _network.Trip) -> Address:
        if self.server is None:
            address = name_servers()[0]
        else:
            to = _network.endpoint(self.server, PORT)
            began = patience.loop.time()
            address = to.fixed or (await resolve(to.host, to.port, "any", patience))[0]
            trip.add("resolve", 0.0 if to.fixed else patience.loop.time() - began)
        trip.family = _network.version_of(address)
        return address

    async def _exchange(
        self, line: Line, question: bytes, number: int, patience: Patience, trip: _network.Trip, framed: bool = False
    ) -> Message:
        """Send the question and wait for the answer to it; others, which anybody could send, are passed over."""
        about = f"{self.host} {self.type}"
        ours = self.server is None
        patience.doing("read", "read_timeout", f"no answer from {line.name} about {about}", ours)
        await line.send(question)
        asked = line.sent
        wanted = number, (self.host.lower() or ".", dnsmessage.TYPES[self.type])
        while True:
            data = await (_framed(line) if framed else line.recv())
            try:
                message = dnsmessage.parse(data)
            except ValueError as why:
                raise WireError("read", "protocol", f"{line.name} gave a malformed answer: {why}") from None
            if (message.id, message.question) == wanted:
                trip.add("processing", max(0.0, line.arrived - asked))
                trip.kernel = trip.kernel and line.kernel
                return message

    def _record(self, run: Run, trip: _network.Trip, message: Message) -> None:
        for phase, seconds in trip.phases():
            run.record("phase_seconds", seconds, phase="request" if phase == "processing" else phase)
        run.record("succeeded", 1.0)
        run.record("answers", len(message.answers))
        run.record("authority", message.authority)
        run.record("additional", message.additional)
        run.record("ip_protocol", trip.family)
        if message.answers:
            run.record("ttl_seconds", min(record.ttl for record in message.answers))
        for record in message.answers:
            if record.type == "SOA":
                run.record("serial", float(record.data.split(" ")[2]))
                break

    def _judge(self, message: Message) -> None:
        expect, about = self.expect, f"{self.host} {self.type}"
        if message.code != expect.code:
            raise Failed(Reason.DNS, f"{message.code} for {about}, expected {expect.code}")
        found = {self._plain(record.data) for record in message.answers if record.type == self.type}
        exactly = {self._plain(text) for text in expect.answers or ()}
        if message.code == "NOERROR" and expect.answers is None and len(found) < expect.at_least:
            raise Failed(Reason.DNS, f"{len(found)} records for {about}, expected at least {expect.at_least}")
        if missing := (exactly | {self._plain(text) for text in expect.includes}) - found:
            raise Failed(Reason.ASSERTION, f"{about} lacks {_listed(missing)}; it is {_listed(found)}")
        if expect.answers is not None and (surplus := found - exactly):
            raise Failed(Reason.ASSERTION, f"{about} also has {_listed(surplus)}, which nobody expects")

    def _plain(self, text: str) -> str:
        """The data for comparing: names without regard to case and final dot, texts as they are."""
        return text if self.type in ("TXT", "CAA") else text.rstrip(".").lower()


def _listed(texts: set[str]) -> str:
    shown = sorted(texts)
    more = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
    return (", ".join(text[:100] for text in shown[:5]) or "nothing") + more


async def _framed(line: Line) -> bytes:
    """One message of a TCP connection, which two bytes of length precede."""
    data = b""
    while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
        more = await line.recv()
        if not more:
            raise WireError("read", "protocol", f"{line.name} closed the connection in the middle of its answer")
        data += more
    return data[2 : 2 + int.from_bytes(data[:2], "big")]
