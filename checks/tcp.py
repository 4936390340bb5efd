"""Connects to a TCP port, and if asked to, speaks with it: send and expect, plain or over TLS."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from checks.base import Asks, Check, Failed, Measurement, Reason, Recommended, Run, Url
from checks.parts import network as _network
from checks.parts.regex import Re2, compiled
from checks.wire.connect import Line
from checks.wire.fault import WireError
from checks.wire.patience import Patience
from checks.wire.tls import Secure

HEARD_MOST = 4096
"""Bytes that may come before what is expected: bounds what searching them again with each packet can cost."""

SHOWN = 500
"""Characters of the conversation's end that become evidence."""

_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|([nrt0\\]))")
_GROUP = re.compile(rb"\$\{(\d{1,2})\}")
_LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}


def unescaped(text: str) -> bytes:
    r"""The bytes that a text stands for: \r \n \t \0 \\ and \xff are understood, all else is UTF-8."""
    return _ESCAPE.sub(lambda match: _LETTERS[match[2]] if match[2] else bytes([int(match[1], 16)]), text.encode())


def visible(heard: bytes | bytearray) -> str:
    """What was heard, its control characters as escapes."""
    text = bytes(heard).decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() or letter == "\n" else f"\\x{ord(letter):02x}" for letter in text)


class Step(BaseModel):
    """One turn of the conversation: something to send, something to wait for, or the turn to encryption."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    send: str | None = Field(
        default=None,
        description=r"Text to send; \r \n \t \0 \\ \xff are understood, ${1} is a group of the last match.",
    )
    expect: Re2 | None = Field(
        default=None, description="Regular expression (RE2) to wait for in what comes; ^ and $ are a line's ends."
    )
    starttls: Literal[True] | None = Field(
        default=None, description="true: from here on the connection is encrypted, by the settings in `tls`."
    )

    @model_validator(mode="after")
    def _one(self) -> Step:
        if sum(turn is not None for turn in (self.send, self.expect, self.starttls)) != 1:
            raise ValueError("a step is one of send, expect and starttls")
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
        Measurement(
            "failed_by_regex", "bool", "With expect: whether something else was said.", also="probe_failed_due_to_regex"
        ),
        _network.IP_PROTOCOL,
        _network.DNS_LOOKUP,
        _network.EXPIRES,
        _network.EXPIRES_IN,
        _network.TLS_INFO,
    )

    recommended: ClassVar[tuple[Recommended, ...]] = (
        Recommended(
            "TcpSlowerThanUsual", "duration_seconds > 3 * baseline(duration_seconds) and duration_seconds > 200ms",
            "low", "Three times what it took in the last day: its backlog, or the way there.", hold=300.0,
        ),
        *_network.CERTIFICATE_ENDS,
    )  # fmt: skip

    address: Annotated[Url, BeforeValidator(_network.with_scheme), AfterValidator(_has_port)] = Field(
        description="`host:port`."
    )
    ip_family: _network.IpFamily = Field(default="any", description="any, 4 or 6.")
    tls: Annotated[_network.TlsSettings | None, BeforeValidator(_settings)] = Field(
        default=None, description="true, or the settings of the encryption."
    )
    steps: tuple[Step, ...] = Field(default=(), description="What to say and what to hear, in order.")

    @model_validator(mode="after")
    def _encrypts_once(self) -> Tcp:
        turns = sum(step.starttls is not None for step in self.steps)
        if turns > 1 or (turns and self.tls is None):
            raise ValueError("starttls can be one step, and needs `tls: true` beside the steps")
        return self

    @property
    def target(self) -> str:
        """The address."""
        return _network.shown(self.address)

    def asks(self) -> tuple[Asks, ...]:
        """One connection."""
        return (Asks(self.target, what="connections"),)

    async def probe(self, run: Run) -> None:
        """Connect, converse, record."""
        trip = _network.Trip()
        talk = _Talk(trip)
        try:
            with Patience(self.timeout) as patience:
                await self._visit(patience, trip, talk)
        except (WireError, Failed) as error:
            run.evidence("Phases", str(trip))
            if talk.heard:
                run.evidence("Heard", visible(talk.heard[-SHOWN:]))
            raise _network.translated(error) if isinstance(error, WireError) else error from None
        else:
            run.timed(trip.total(), trip.clock)
            for phase, seconds in trip.phases():
                run.record("phase_seconds", seconds, phase=phase)
            run.record("tls", 1.0 if self.tls else 0.0)
            run.record("ip_protocol", trip.family)
            run.record("dns_lookup_seconds", trip.resolve or 0.0)
        finally:
            if talk.expects:
                run.record("failed_by_regex", float(talk.disappointed))
            _network.record_tls(run, trip)

    async def _visit(self, patience: Patience, trip: _network.Trip, talk: _Talk) -> None:
        to = _network.endpoint(self.address, _network.port_of(self.address))
        turn = next((at for at, step in enumerate(self.steps) if step.starttls), None)
        in_plain, then = ((), self.steps) if turn is None else (self.steps[:turn], self.steps[turn + 1 :])
        line = await _network.reach(to, self.ip_family, patience, trip)
        try:
            stream: Line | Secure = line
            if self.tls is not None:
                # Said anew on each connection that the handshake takes.
                first = partial(talk.hold, steps=in_plain, patience=patience) if in_plain else None
                name = _network.sni(to, self.tls)
                stream = await _network.encrypt(line, self.tls.trust(), name, patience, trip, first)
                await stream.flush()
            await talk.hold(stream, then, patience)
        finally:
            trip.kernel = trip.kernel and line.kernel
            line.close()


class _Talk:
    """A conversation: what came since the last thing that was waited for, and the groups that were found in that."""

    def __init__(self, trip: _network.Trip) -> None:
        self.heard = bytearray()
        self.expects = self.disappointed = False
        self._trip = trip
        self._groups: tuple[bytes, ...] = ()

    async def hold(self, stream: Line | Secure, steps: Sequence[Step], patience: Patience) -> None:
        """Take the steps. Raises WireError, and Failed where the other side says something else."""
        self.heard.clear()
        for step in steps:
            if step.send is not None:
                patience.doing("send", "read_timeout", f"{stream.name} did not take what we sent")
                await stream.send(self._filled(unescaped(step.send)))
            elif step.expect is not None:
                self.expects = self.disappointed = True
                patience.doing("read", "read_timeout", f"{stream.name} did not say {step.expect!r}")
                try:
                    await self._hear(stream, step.expect)
                except WireError:
                    # It may still have been about to say it.
                    self.disappointed = False
                    raise
                self.disappointed = False

    async def _hear(self, stream: Line | Secure, pattern: str) -> None:
        """Read until the pattern is found in what came since the last find; keep what came after it."""
        wanted, heard = compiled(f"(?m){pattern}", raw=True), self.heard
        asked = stream.sent
        while not (match := wanted.search(bytes(heard))):
            if len(heard) >= HEARD_MOST:
                raise Failed(Reason.ASSERTION, f"{stream.name} said {len(heard)} bytes, none of them {pattern!r}")
            data = await stream.recv(HEARD_MOST)
            if not data:
                raise Failed(Reason.ASSERTION, f"{stream.name} hung up before it said {pattern!r}")
            heard += data
        self._trip.add("processing", max(0.0, stream.arrived - asked))
        self._groups = (match[0], *(group or b"" for group in match.groups()))
        del heard[: match.end()]

    def _filled(self, text: bytes) -> bytes:
        def group(found: re.Match[bytes]) -> bytes:
            number = int(found[1])
            return self._groups[number] if number < len(self._groups) else b""

        return _GROUP.sub(group, text)
