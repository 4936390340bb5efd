"""Asks a name server for records and judges the answer; compares the serials of a zone's servers."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from checks.base import Asks, Check, Failed, Measurement, Reason, Recommended, Run, Url
from checks.parts import network as _network
from checks.parts.dns.answers import Expect, behind, is_signed
from checks.parts.dns.asking import PORTS, Question, Transport, ask
from checks.wire import dnsmessage
from checks.wire.certificates import visible
from checks.wire.dnsmessage import Message
from checks.wire.dnsrecords import expires
from checks.wire.fault import WireError
from checks.wire.patience import Patience

SHOWN = 20
"""Records that become evidence."""

SECONDARIES_MOST = 16
ELSEWHERE = 3.0
"""Seconds that others have to answer for a diagnosis."""


def _server(url: Url) -> Url:
    _network.endpoint(url, PORTS["udp"])
    return url


def _host(name: str) -> str:
    if not name:
        raise ValueError("a name is wanted; the root is written as a dot")
    if _numeric(name):
        return name
    ascii_name = _network.to_ascii(name.rstrip("."))
    dnsmessage.question(0, ascii_name, "A")
    return ascii_name


def _numeric(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


Server = Annotated[Url, BeforeValidator(_network.with_scheme), AfterValidator(_server)]


class Dns(Check):
    """Asks a name server for the records of a name."""

    up: ClassVar[str] = "probe_success"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        _network.DURATION,
        Measurement(
            "phase_seconds", "seconds", "Time by phase: resolve, connect, tls, request.",
            labels=("phase",), also="probe_dns_duration_seconds",
        ),
        Measurement("answers", "count", "Records in the answer.", also="probe_dns_answer_rrs"),
        Measurement("authority", "count", "Records in its authority section.", also="probe_dns_authority_rrs"),
        Measurement(
            "additional", "count", "Records in its additional section, without EDNS' own.",
            also="probe_dns_additional_rrs",
        ),
        Measurement("succeeded", "bool", "Whether an answer came.", also="probe_dns_query_succeeded"),
        Measurement("ttl_seconds", "seconds", "The shortest time to live among the records."),
        Measurement("serial", "number", "Serial of the zone, where SOA was asked for.", also="probe_dns_serial"),
        Measurement(
            "serial_behind", "count", "Versions by which a secondary is behind the server, negative where ahead.",
            labels=("server",),
        ),
        Measurement("authoritative", "bool", "Whether the server answers for the zone itself (AA)."),
        Measurement("authenticated", "bool", "With dnssec: whether a validating resolver vouches for the answer (AD)."),
        Measurement("signed", "bool", "With dnssec: whether the answer carries signatures (RRSIG)."),
        Measurement("signature_expires_in", "seconds", "With dnssec: time until the first signature expires."),
        _network.EXPIRES,
        _network.EXPIRES_IN,
        _network.IP_PROTOCOL,
        _network.DNS_LOOKUP,
    )  # fmt: skip
    recommended: ClassVar[tuple[Recommended, ...]] = (
        Recommended(
            "DnsSignatureExpires", "signature_expires_in < 2d", "high",
            "An expired signature makes the name vanish for everybody behind a validating resolver.",
        ),
        Recommended(
            "DnsSecondaryBehind", "serial_behind > 0", "medium",
            "A secondary that does not follow gives old answers, and none once the zone expires.", hold=3600,
        ),
    )  # fmt: skip

    host: Annotated[str, AfterValidator(_host)] = Field(
        description="The name to ask for; for PTR also an address, which is turned round."
    )
    type: Literal[
        "A", "AAAA", "CAA", "CNAME", "DNAME", "DNSKEY", "DS", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SOA", "SRV",
        "SSHFP", "SVCB", "TLSA", "TXT",
    ] = Field(default="A", description="The type of record to ask for.")  # fmt: skip
    server: Server | None = Field(
        default=None, description="The name server, `host` or `host:port`; without it, the first of the system's."
    )
    secondaries: tuple[Server, ...] = Field(
        default=(), max_length=SECONDARIES_MOST,
        description="Further servers of the zone, whose serials are compared with that of `server`; for SOA.",
    )  # fmt: skip
    transport: Transport = Field(
        default="udp", description="udp turns to tcp for long answers; tls is DNS over TLS, on port 853."
    )
    tls: _network.TlsSettings = Field(default=_network.TlsSettings(), description="Settings of the encryption.")
    recursion: bool = Field(default=True, description="Whether the server shall ask others where it does not know.")
    dnssec: bool = Field(
        default=False, description="Whether to ask for signatures and validation; also where `expect` wants them."
    )
    expect: Expect = Field(default=Expect(), description="What the answer must be.")

    @model_validator(mode="after")
    def _consistent(self) -> Dns:
        if self.secondaries and (self.type != "SOA" or self.server is None):
            raise ValueError("secondaries need `type: SOA` and the server to compare them with")
        if self.type != "PTR" and ":" in self.host:
            raise ValueError(f"{self.host!r} is an address; only PTR asks for those")
        return self

    @property
    def target(self) -> str:
        """The server and the name asked for."""
        return f"{_network.shown(self.server)}/{self.host}" if self.server else self.host

    def _question(self) -> Question:
        address = _numeric(self.host) if self.type == "PTR" else None
        name = address.reverse_pointer if address else self.host
        dnssec = self.dnssec or self.expect.wants_dnssec
        return Question(name, self.type, self.transport, self.tls, self.recursion, dnssec)

    def asks(self) -> tuple[Asks, ...]:
        """A question to each server; one more by TCP where an answer is long, and those again without EDNS."""
        where = [self.target, *(f"{_network.shown(server)}/{self.host}" for server in self.secondaries)]
        return tuple(Asks(one, 1, 4, "questions", diagnosis=0 if number else 8) for number, one in enumerate(where))

    async def probe(self, run: Run) -> None:
        """Ask, record, judge."""
        trip = _network.Trip()
        question = self._question()
        if not self.secondaries:
            await self._ask(run, trip, question)
            return
        # Gathered, so that one that is slow takes no time from the others; cancelled, it waits until all have ended.
        asked = await asyncio.gather(
            self._ask(run, trip, question),
            *(self._serial_of(url, question) for url in self.secondaries),
            return_exceptions=True,
        )
        primary, *others = asked
        if isinstance(primary, int):
            for url, serial in zip(self.secondaries, others, strict=True):
                if isinstance(serial, int):
                    run.record("serial_behind", behind(primary, serial), server=_network.shown(url))
        for outcome in asked:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _ask(self, run: Run, trip: _network.Trip, question: Question) -> int | None:
        """Ask the server itself, record, judge; the zone's serial where it was told."""
        try:
            with Patience(self.timeout) as patience:
                message = await ask(self.server, question, patience, trip)
        except WireError as error:
            run.record("succeeded", 0.0)
            _network.record_expiry(run, trip.chain)
            raise _network.translated(error) from None
        run.timed(trip.total(), trip.clock)
        self._record(run, trip, message, question.dnssec)
        try:
            self.expect.check(message, str(question), self.type)
        except Failed:
            why = [message.why] if message.why else []
            run.evidence("Answer", "\n".join([message.code, *why, *map(str, message.answers[:SHOWN])]))
            raise
        return _serial(message)

    async def _serial_of(self, url: Url, question: Question) -> int:
        """The serial that a secondary has. Raises Failed where it has none, and Errored."""
        try:
            with Patience(self.timeout) as patience:
                message = await ask(url, question, patience, _network.Trip())
        except WireError as error:
            raise _network.translated(error) from None
        serial = _serial(message)
        if serial is None or message.code != "NOERROR":
            said = f"{message.code}, {len(message.answers)} records"
            raise Failed(Reason.DNS, f"secondary {_network.shown(url)} does not serve {self.host}: {said}")
        return serial

    async def diagnose(self, run: Run) -> None:
        """What others say: the same server by TCP, and this machine's own resolver."""
        question = self._question()
        others: list[tuple[str, Url | None, Question]] = []
        if self.transport == "udp":
            others.append(("by TCP", self.server, replace(question, transport="tcp")))
        if self.server is not None:
            plain = replace(question, transport="udp", recurse=True)
            others.append(("this machine's resolver", None, plain))
        said = await asyncio.gather(*(self._said(server, question) for _, server, question in others))
        run.evidence(
            "Asked otherwise", "\n".join(f"{name}: {what}" for (name, *_), what in zip(others, said, strict=True))
        )

    async def _said(self, server: Url | None, question: Question) -> str:
        """An answer in one line, or why there is none."""
        try:
            with Patience(min(self.timeout, ELSEWHERE)) as patience:
                message = await ask(server, question, patience, _network.Trip())
        except WireError as error:
            return error.sentence
        records = [visible(record.data) for record in message.answers[:SHOWN]]
        why = f" ({visible(message.why)})" if message.why else ""
        return f"{message.code}, {', '.join(records) or 'no records'}{why}"

    def _record(self, run: Run, trip: _network.Trip, message: Message, dnssec: bool) -> None:
        for phase, seconds in trip.phases():
            run.record("phase_seconds", seconds, phase="request" if phase == "processing" else phase)
        run.record("succeeded", 1.0)
        run.record("answers", len(message.answers))
        run.record("authority", len(message.authority))
        run.record("additional", len(message.additional))
        run.record("authoritative", float(message.authoritative))
        run.record("ip_protocol", trip.family)
        run.record("dns_lookup_seconds", trip.resolve or 0.0)
        if message.answers:
            run.record("ttl_seconds", min(record.ttl for record in message.answers))
        if self.type == "SOA" and (serial := _serial(message)) is not None:
            run.record("serial", serial)
        if dnssec:
            run.record("authenticated", float(message.authenticated))
            run.record("signed", float(is_signed(message)))
            if dates := [expires(record.data) for record in message.answers if record.type == "RRSIG"]:
                run.record("signature_expires_in", min(dates) - run.at)
        _network.record_expiry(run, trip.chain)


def _serial(message: Message) -> int | None:
    """The serial of the zone, if the answer holds its SOA."""
    return next((int(record.data.split(" ")[2]) for record in message.answers if record.type == "SOA"), None)
