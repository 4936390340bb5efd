"""Asks a gRPC server whether it serves, by the health protocol grpc.health.v1."""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from checks.base import Asks, Check, Errored, Failed, Measurement, Reason, Run, Url
from checks.parts import network as _network
from checks.parts.http.request import AGENT, is_sensitive
from checks.parts.pool import in_pool
from checks.parts.vendors import grpc_health as _grpc_health
from checks.wire.fault import WireError
from checks.wire.http1 import Stream
from checks.wire.patience import Patience

if TYPE_CHECKING:
    from checks.wire.http2 import Answer

HTTP2 = "checks.wire.http2"
_imported = False

RESERVED = frozenset({"connection", "content-type", "host", "keep-alive", "te", "transfer-encoding", "upgrade"})
_NAME = re.compile(r"[0-9a-z_.-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")


def _has_port(url: Url) -> Url:
    _network.endpoint(url, None)
    return url


def _settings(value: Any) -> Any:
    return _network.TlsSettings() if value is True else None if value is False else value


def _metadata(headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or name in RESERVED or name.startswith("grpc-"):
            raise ValueError(f"{name!r} can't be sent as metadata: small letters, and none of gRPC's own names")
        if not _VALUE.fullmatch(value.get_secret_value()):
            raise ValueError(
                f"the value of {name!r} holds more than ASCII's letters; gRPC wants base64 under {name}-bin"
            )
    return headers


class Grpc(Check):
    """Asks a gRPC server, or one of its services, whether it serves (grpc.health.v1)."""

    up: ClassVar[str] = "probe_success"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        _network.DURATION,
        Measurement(
            "phase_seconds", "seconds", "Time by phase: resolve, connect, tls, check.",
            labels=("phase",), also="probe_grpc_duration_seconds",
        ),
        Measurement("grpc_status", "number", "Status code of the call, 0 for OK.", also="probe_grpc_status_code"),
        Measurement(
            "serving", "bool", "1 for what the service says of itself, 0 for what else it could say.",
            labels=("serving_status",), also="probe_grpc_healthcheck_response",
        ),
        Measurement("tls", "bool", "Whether the connection was encrypted.", also="probe_grpc_ssl"),
        _network.IP_PROTOCOL,
        _network.DNS_LOOKUP,
        _network.EXPIRES,
        _network.EXPIRES_IN,
    )  # fmt: skip

    address: Annotated[Url, BeforeValidator(_network.with_scheme), AfterValidator(_has_port)] = Field(
        description="`host:port`."
    )
    service: str = Field(
        default="", max_length=1000, description="Full name of the service to ask about; empty for the whole server."
    )
    headers: Annotated[dict[str, SecretStr], AfterValidator(_metadata)] = Field(
        default={}, description="Metadata to send, such as `authorization`; never shown."
    )
    authority: str = Field(
        default="", pattern=r"^[\x21-\x7e]*$", description="Name of the server to ask for, in place of the address."
    )
    tls: Annotated[_network.TlsSettings | None, BeforeValidator(_settings)] = Field(
        default=None, description="true, or the settings of the encryption."
    )
    ip_family: _network.IpFamily = Field(default="any", description="any, 4 or 6.")

    @property
    def target(self) -> str:
        """The address, and the service if it is one."""
        address = _network.shown(self.address)
        return f"{address}/{self.service}" if self.service else address

    def secrets(self) -> tuple[str, ...]:
        """The values of headers that carry secrets, with and without the word in front of them."""
        values = [value.get_secret_value() for name, value in self.headers.items() if is_sensitive(name)]
        return tuple(text for value in values for text in (value, value.partition(" ")[2]) if text)

    def asks(self) -> tuple[Asks, ...]:
        """One call; a diagnosis asks about the whole server."""
        return (Asks(self.target, what="calls", diagnosis=1 if self.service else 0),)

    async def probe(self, run: Run) -> None:
        """Ask, record, judge."""
        global _imported
        if not _imported:
            await in_pool(run, import_module, HTTP2)
            _imported = True
        from checks.wire.http2 import Answer

        trip, answer = _network.Trip(), Answer()
        try:
            with Patience(self.timeout) as patience:
                await self._ask(patience, trip, answer)
        except WireError as error:
            run.evidence("Phases", str(trip))
            raise _network.translated(error) from None
        finally:
            _network.record_expiry(run, trip.chain)
        run.timed(trip.total(), trip.clock)
        for phase, seconds in trip.phases():
            run.record("phase_seconds", seconds, phase="check" if phase == "processing" else phase)
        run.record("tls", 1.0 if self.tls else 0.0)
        run.record("ip_protocol", trip.family)
        run.record("dns_lookup_seconds", trip.resolve or 0.0)
        self._judge(run, answer)

    async def diagnose(self, run: Run) -> None:
        """What the server says of itself as a whole, where one of its services is asked for."""
        if self.service:
            try:
                await self.model_copy(update={"service": ""}).probe(Run(run.memory))
                run.evidence("The whole server", "it says that it is SERVING")
            except (Failed, Errored) as error:
                run.evidence("The whole server", error.sentence)

    async def _ask(self, patience: Patience, trip: _network.Trip, answer: Answer) -> None:
        from checks.wire.http2 import ask

        to = _network.endpoint(self.address, None)
        line = await _network.reach(to, self.ip_family, patience, trip)
        try:
            stream: Stream = line
            if self.tls is not None:
                stream = await _network.encrypt(
                    line, self.tls.trust(protocols=("h2",)), _network.sni(to, self.tls), patience, trip
                )
            milliseconds = max(1, int(self.timeout * 1000))
            headers = [
                (":method", "POST"), (":scheme", "https" if self.tls else "http"), (":path", _grpc_health.PATH),
                (":authority", self.authority or str(to)), ("te", "trailers"), ("content-type", "application/grpc"),
                ("user-agent", AGENT), ("grpc-timeout", f"{min(milliseconds, 99_999_999)}m"),
            ]  # fmt: skip
            headers += [(name, value.get_secret_value()) for name, value in self.headers.items()]
            await ask(stream, headers, _grpc_health.question(self.service), patience, answer)
        finally:
            if answer.first:
                trip.add("processing", max(0.0, answer.last - answer.asked))
            trip.kernel = trip.kernel and line.kernel
            line.close()

    def _judge(self, run: Run, answer: Answer) -> None:
        name = _network.shown(self.address)
        status = _grpc_health.status_of(answer.headers, answer.trailers, name)
        run.record("grpc_status", status.code)
        if status.code:
            _grpc_health.refuse(status, self.service, name)
        serving = _grpc_health.serving_of(bytes(answer.body), name)
        for word in _grpc_health.SERVING:
            run.record("serving", float(word == serving), serving_status=word)
        if serving != "SERVING":
            which = f"service {self.service!r} of {name}" if self.service else name
            raise Failed(Reason.STATUS, f"{which} says that it is {serving}")
