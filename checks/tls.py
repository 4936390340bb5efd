"""Watches a certificate: the one that an endpoint shows, or the one in a PEM file."""

from __future__ import annotations

import asyncio
from functools import partial
from time import time
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from checks.base import Asks, Check, Errored, Failed, Measurement, Reason, Recommended, Run, Url
from checks.parts import network as _network
from checks.parts.certificate_file import Unusable, read_file
from checks.parts.pool import in_pool
from checks.parts.starttls import start_tls
from checks.units import show_duration
from checks.wire.certificates import EXPIRED, NOT_YET_VALID, Certificate, matches, untrusted
from checks.wire.fault import WireError
from checks.wire.patience import HAIR, Patience

HTTPS = 443


class Tls(Check):
    """Watches the certificate that an endpoint shows, or the one in a PEM file."""

    up: ClassVar[str] = "probe_success"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        _network.DURATION,
        Measurement("phase_seconds", "seconds", "Time by phase: resolve, connect, tls.", labels=("phase",)),
        _network.EXPIRES,
        _network.EXPIRES_IN,
        Measurement("certificates", "count", "Certificates in the chain."),
        Measurement("tls_version", "number", "TLS version agreed on, such as 1.3."),
        _network.TLS_INFO,
        _network.IP_PROTOCOL,
        _network.DNS_LOOKUP,
    )

    recommended: ClassVar[tuple[Recommended, ...]] = _network.CERTIFICATE_ENDS

    address: Annotated[Url | None, BeforeValidator(_network.with_scheme)] = Field(
        default=None, description="`host:port`, `host` for port 443, or an address."
    )
    file: str = Field(default="", description="PEM file, in place of `address`: the certificate and its chain.")
    key_file: str = Field(default="", description="PEM file of the key that must belong to `file`.")
    names: tuple[str, ...] = Field(default=(), description="Names that the certificate must be valid for.")
    tls: _network.TlsSettings = Field(default=_network.TlsSettings(), description="Settings of the encryption.")
    starttls: Literal["smtp", "imap", "postgres"] | None = Field(
        default=None, description="Protocol in which to ask for encryption first."
    )
    ip_family: _network.IpFamily = Field(default="any", description="any, 4 or 6.")

    @model_validator(mode="after")
    def _one_subject(self) -> Tls:
        if (self.address is None) == (not self.file):
            raise ValueError("either address or file is wanted")
        if self.key_file and not self.file:
            raise ValueError("key_file needs file beside it")
        if self.address is not None:
            _network.endpoint(self.address, _network.port_of(self.address, HTTPS))
        return self

    @property
    def target(self) -> str:
        """The address, or the file."""
        return self.file or (_network.shown(self.address) if self.address else "")

    def asks(self) -> tuple[Asks, ...]:
        """One connection, where it does not read a file."""
        return (Asks(self.target, what="connections"),) if self.address is not None else ()

    async def probe(self, run: Run) -> None:
        """Read the certificate, record what it says, judge it."""
        trip = _network.Trip()
        try:
            if self.address is None:
                await self._read(run, trip)
            else:
                with Patience(self.timeout) as patience:
                    await self._visit(self.address, patience, trip)
            check_names(trip.chain, self.names, self.target)
        except WireError as error:
            raise _network.translated(error) from None
        finally:
            self._record(run, trip)

    def _record(self, run: Run, trip: _network.Trip) -> None:
        _network.record_tls(run, trip)
        if trip.chain:
            run.record("certificates", len(trip.chain))
            run.evidence("Certificates", "\n".join(str(certificate) for certificate in trip.chain[:10]))
        if trip.tls_version:
            run.timed(trip.total(), trip.clock)
            run.record("tls_version", float(trip.tls_version.removeprefix("TLSv")))
            run.record("ip_protocol", trip.family)
            run.record("dns_lookup_seconds", trip.resolve or 0.0)
            for phase, seconds in trip.phases():
                run.record("phase_seconds", seconds, phase=phase)

    async def _visit(self, address: Url, patience: Patience, trip: _network.Trip) -> None:
        to = _network.endpoint(address, _network.port_of(address, HTTPS))
        with await _network.reach(to, self.ip_family, patience, trip) as line:
            name = self.tls.server_name or to.host.partition("%")[0]
            first = partial(start_tls, protocol=self.starttls, patience=patience) if self.starttls else None
            stream = await _network.encrypt(line, self.tls.trust(), name, patience, trip, first)
            await stream.flush()
            trip.kernel = trip.kernel and line.kernel

    async def _read(self, run: Run, trip: _network.Trip) -> None:
        try:
            async with asyncio.timeout(self.timeout - min(HAIR, self.timeout * 0.1)):
                trip.chain, trouble = await in_pool(run, read_file, self.file, self.key_file)
        except Unusable as why:
            if why.ours:
                raise Errored(Reason.INTERNAL, str(why)) from None
            raise Failed(Reason.PROTOCOL, str(why)) from None
        except TimeoutError:
            within = f"no answer from the file system within {show_duration(self.timeout)}"
            raise Errored(Reason.INTERNAL, f"cannot read {self.file}: {within}") from None
        except Failed as hanging:
            # The disk of the machine that watches, not the target's.
            raise Errored(Reason.INTERNAL, f"cannot read {self.file}: {hanging.sentence}") from None
        now = time()
        for certificate in trip.chain:
            code = EXPIRED if certificate.not_after <= now else NOT_YET_VALID if certificate.not_before > now else 0
            if code:
                reason, sentence = untrusted(code, "", trip.chain, self.file)
                raise Failed(Reason(reason), sentence)
        if trouble:
            raise Failed(Reason.TLS_HANDSHAKE, trouble)


def check_names(chain: tuple[Certificate, ...], names: tuple[str, ...], target: str) -> None:
    """Raise Failed tls_name for the first of `names` that the chain's leaf does not cover."""
    for name in names:
        if chain and not any(matches(pattern, name) for pattern in chain[0].names):
            raise Failed(Reason.TLS_NAME, f"certificate of {target} is not for {name}: {chain[0]}")
