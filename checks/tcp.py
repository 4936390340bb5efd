"""Connects to a TCP port, and if asked to, speaks with it: send and expect, plain or over TLS."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from checks import _network
from checks._expect import Regex
from checks.base import Check, Failed, Measurement, Reason, Run, Url
from checks.wire.connect import Line
from checks.wire.fault import WireError
from checks.wire.patience import Patience
from checks.wire.tls import Secure

HEARD_MOST = 4096
"""Bytes that may come before what is expected: bounds what searching them again with each packet can cost."""

SHOWN = 500
"""Characters of the conversation's end that become evidence."""

_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|([nrt0\\]))")
_LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}


def unescaped(text: str) -> bytes:
    r"""The bytes that a text stands for: \r \n \t \0 \\ and \xff are understood, all else is UTF-8."""
    return _ESCAPE.sub(lambda match: _LETTERS[match[2]] if match[2] else bytes([int(match[1], 16)]), text.encode())


def visible(heard: bytes | bytearray) -> str:
    """What was heard, its control characters as escapes."""
    text = bytes(heard).decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() or letter == "\n" else f"\\x{ord(letter):02x}" for letter in text)


class Step(BaseModel):
    """One turn of the conversation: something to send, or something to wait for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    send: str | None = Field(default=None, description=r"Text to send; \r \n \t \0 \\ \xff are understood.")
    expect: Regex | None = Field(default=None, description="Regular expression to wait for in what comes.")

    @model_validator(mode="after")
    def _one(self) -> Step:
        if (self.send is None) == (self.expect is None):
            raise ValueError("a step is either send or expect")
        return self


def _has_port(url: Url) -> Url:
    _network.endpoint(url, _network.port_of(url))
    return url


def _settings(value: Any) -> Any:
    return _network.TlsSettings() if value is True else None if value is False else value


class Tcp(Check):
    """Connects to a TCP port; with `steps`, also holds a conversation."""

    up: ClassVar[str] = "probe_success"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        _network.DURATION,
        Measurement("phase_seconds", "seconds", "Time by phase: resolve, connect, tls, processing.", labels=("phase",)),
        Measurement("tls", "bool", "Whether the connection was encrypted."),
        _network.IP_PROTOCOL,
        _network.DNS_LOOKUP,
        _network.EXPIRES,
        _network.EXPIRES_IN,
    )

    address: Annotated[Url, BeforeValidator(_network.with_scheme), AfterValidator(_has_port)] = Field(
        description="`host:port`."
    )
    ip_family: _network.IpFamily = Field(default="any", description="any, 4 or 6.")
    tls: Annotated[_network.TlsSettings | None, BeforeValidator(_settings)] = Field(
        default=None, description="true, or the settings of the encryption."
    )
    steps: tuple[Step, ...] = Field(default=(), description="What to say and what to hear, in order.")

    @property
    def target(self) -> str:
        """The address."""
        return _network.shown(self.address)

    async def probe(self, run: Run) -> None:
        """Connect, converse, record."""
        trip = _network.Trip()
        heard = bytearray()
        try:
            with Patience(self.timeout) as patience:
                await self._visit(patience, trip, heard)
        except (WireError, Failed) as error:
            run.evidence("Phases", str(trip))
            if heard:
                run.evidence("Heard", visible(heard[-SHOWN:]))
            raise _network.translated(error) if isinstance(error, WireError) else error from None
        else:
            run.timed(trip.total(), trip.clock)
            for phase, seconds in trip.phases():
                run.record("phase_seconds", seconds, phase=phase)
            run.record("tls", 1.0 if self.tls else 0.0)
            run.record("ip_protocol", trip.family)
            run.record("dns_lookup_seconds", trip.resolve or 0.0)
        finally:
            _network.record_expiry(run, trip.chain)

    async def _visit(self, patience: Patience, trip: _network.Trip, heard: bytearray) -> None:
        to = _network.endpoint(self.address, _network.port_of(self.address))
        line = await _network.reach(to, self.ip_family, patience, trip)
        try:
            stream: Line | Secure = line
            if self.tls is not None:
                name = self.tls.server_name or to.host.partition("%")[0]
                stream = await _network.encrypt(line, self.tls.trust(), name, patience, trip)
                await stream.flush()
            for step in self.steps:
                if step.send is not None:
                    patience.doing("send", "read_timeout", f"{line.name} did not take what we sent")
                    await stream.send(unescaped(step.send))
                elif step.expect is not None:
                    await _hear(stream, step.expect, patience, trip, heard)
        finally:
            trip.kernel = trip.kernel and line.kernel
            line.close()


async def _hear(stream: Line | Secure, pattern: str, patience: Patience, trip: _network.Trip, heard: bytearray) -> None:
    """Read until the pattern is found in what came since the last find; keeps in `heard` what came after it."""
    wanted = re.compile(pattern.encode())
    asked = stream.sent
    patience.doing("read", "read_timeout", f"{stream.name} did not say {pattern!r}")
    while not (match := wanted.search(heard)):
        if len(heard) >= HEARD_MOST:
            raise Failed(Reason.ASSERTION, f"{stream.name} said {len(heard)} bytes, none of them {pattern!r}")
        data = await stream.recv(HEARD_MOST)
        if not data:
            raise Failed(Reason.ASSERTION, f"{stream.name} hung up before it said {pattern!r}")
        heard += data
    trip.add("processing", max(0.0, stream.arrived - asked))
    del heard[: match.end()]
