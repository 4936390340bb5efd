"""What the network kinds share beneath their questions: addresses as configured, TLS settings, faults in our words."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from time import monotonic, time
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from checks.base import Errored, Failed, Measurement, Reason, Recommended, Run, Url
from checks.units import show_duration
from checks.wire.certificates import Certificate, earliest
from checks.wire.connect import Line, connect
from checks.wire.contexts import Trust
from checks.wire.fault import WireError
from checks.wire.patience import Patience
from checks.wire.resolve import Address, numeric, resolve
from checks.wire.tls import BadCertificate, Prepare, Secure, secure

DURATION = Measurement(
    "duration_seconds", "seconds", "How long the target took, all phases together.", also="probe_duration_seconds"
)
IpFamily = Annotated[
    Literal["any", "4", "6"], BeforeValidator(lambda value: str(value) if isinstance(value, int) else value)
]

EXPIRES = Measurement(
    "certificate_expires", "timestamp", "When the first certificate of the chain expires.",
    also="probe_ssl_earliest_cert_expiry",
)  # fmt: skip
EXPIRES_IN = Measurement("certificate_expires_in", "seconds", "Time until the first certificate of the chain expires.")
CERTIFICATE_ENDS = (
    Recommended(
        "CertificateEndsIn30Days", "certificate_expires_in < 30d", "low",
        "What renews certificates by itself should have done so by now.",
    ),
    Recommended(
        "CertificateEndsIn14Days", "certificate_expires_in < 14d", "medium",
        "Renew it by hand, and find out why that did not happen by itself.",
    ),
    Recommended(
        "CertificateEndsIn7Days", "certificate_expires_in < 7d", "high",
        "When it has ended, browsers and clients turn away.",
    ),
)  # fmt: skip
TLS_INFO = Measurement(
    "tls_info", "number", "1, with the version of TLS that was agreed on.",
    labels=("version",), also="probe_tls_version_info",
)  # fmt: skip
IP_PROTOCOL = Measurement("ip_protocol", "number", "IP version of the connection: 4 or 6.", also="probe_ip_protocol")
DNS_LOOKUP = Measurement(
    "dns_lookup_seconds", "seconds", "How long the name took to resolve.", also="probe_dns_lookup_time_seconds"
)


class TlsSettings(BaseModel):
    """Whom to believe, as whom to appear."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verify: bool = Field(default=True, description="Whether the certificate must be trusted and match the name.")
    ca_file: str = Field(default="", description="PEM file of the authorities to trust, in place of the system's.")
    cert_file: str = Field(default="", description="PEM file of our client certificate, with its chain.")
    key_file: str = Field(default="", description="PEM file of its key; not needed where cert_file holds it.")
    server_name: str = Field(default="", description="Name to ask for and to verify, in place of the address's host.")
    min_version: Literal["1.0", "1.1", "1.2", "1.3"] = Field(default="1.2", description="Oldest TLS version to accept.")

    @model_validator(mode="after")
    def _key_has_certificate(self) -> TlsSettings:
        if self.key_file and not self.cert_file:
            raise ValueError("key_file needs cert_file beside it")
        return self

    def trust(self, protocols: tuple[str, ...] = ()) -> Trust:
        """The same for the wire; `protocols` are offered on top of TLS (ALPN)."""
        return Trust(self.verify, self.ca_file, self.cert_file, self.key_file, self.min_version, protocols=protocols)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect: `host` is in ASCII (IDNA), without brackets; `fixed` is its address where it is numeric."""

    host: str
    port: int
    fixed: Address | None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def endpoint(url: Url, port: int | None) -> Endpoint:
    """Where an address points to; `port` is that of its scheme. Raises ValueError with a sentence."""
    host = url.parts.hostname
    if not host:
        raise ValueError(f"{str(url)!r} names no host; write it as scheme://host/…")
    port = url.parts.port if url.parts.port is not None else port
    if not port:
        raise ValueError(f"{str(url)!r} names no port")
    fixed = numeric(host, port)
    if fixed is None:
        host = to_ascii(host)
    return Endpoint(host, port, fixed)


def to_ascii(host: str) -> str:
    """A host's name as DNS knows it (IDNA). Raises ValueError with a sentence."""
    try:
        name = host.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError(f"{host!r} is no host name") from None
    if any(not (letter.isalnum() or letter in "-_.") for letter in name):
        raise ValueError(f"{host!r} is no host name")
    return name


def with_scheme(value: Any) -> Any:
    """`host:port` as an address with a scheme, so that it can be parsed like all others."""
    return f"tcp://{value}" if isinstance(value, str) and "://" not in value else value


def port_of(url: Url, otherwise: int | None = None) -> int | None:
    """The port that the address's scheme implies."""
    return WELL_KNOWN.get(url.parts.scheme, otherwise)


WELL_KNOWN = {"http": 80, "https": 443, "imap": 143, "imaps": 993, "ldaps": 636, "smtp": 25, "smtps": 465}


def shown(url: Url) -> str:
    """The address as it was written: without the scheme that `with_scheme` put there."""
    return str(url).removeprefix("tcp://")


class Trip:
    """How far one question came and how long each phase took, in seconds; a phase that was not reached is None."""

    __slots__ = ("chain", "connect", "family", "kernel", "processing", "resolve", "tls", "tls_version", "transfer")

    def __init__(self) -> None:
        self.resolve: float | None = None
        self.connect: float | None = None
        self.tls: float | None = None
        self.processing: float | None = None
        self.transfer: float | None = None
        self.kernel = True
        self.family = 0
        self.chain: tuple[Certificate, ...] = ()
        self.tls_version = ""

    def phases(self) -> list[tuple[str, float]]:
        """The phases that were reached, in order."""
        names = ("resolve", "connect", "tls", "processing", "transfer")
        return [(name, value) for name in names if (value := getattr(self, name)) is not None]

    def total(self) -> float:
        """Seconds of all phases: what the target took, whatever our loop did meanwhile."""
        return sum(value for _, value in self.phases())

    def add(self, phase: str, seconds: float) -> None:
        """Add to a phase, which a redirect goes through again."""
        setattr(self, phase, (getattr(self, phase) or 0.0) + seconds)

    @property
    def clock(self) -> str:
        """kernel or loop: whose clock the times are by."""
        return "kernel" if self.kernel else "loop"

    def __str__(self) -> str:
        return ", ".join(f"{name} {show_duration(value)}" for name, value in self.phases()) or "none"


def version_of(address: Address) -> int:
    """4 or 6."""
    return 6 if address[0] == socket.AF_INET6 else 4


async def reach(to: Endpoint, family: str, patience: Patience, trip: Trip) -> Line:
    """A connection to `to`, which is the caller's to close. Raises WireError."""
    if to.fixed is not None and family == "any":
        addresses = [to.fixed]
        trip.add("resolve", 0.0)
    else:
        began = monotonic()
        addresses = await resolve(to.host, to.port, family, patience)
        trip.add("resolve", monotonic() - began if to.fixed is None else 0.0)
    line = await connect(addresses, patience)
    trip.add("connect", line.connected_in)
    trip.family = version_of(line.address)
    trip.kernel = trip.kernel and line.kernel
    return line


async def encrypt(
    line: Line, trust: Trust, server_name: str, patience: Patience, trip: Trip, prepare: Prepare | None = None
) -> Secure:
    """`line` encrypted, its chain kept in `trip` even where it is refused. Raises WireError."""
    try:
        stream = await secure(line, trust, server_name, patience, prepare)
    except BadCertificate as error:
        trip.chain = error.chain
        raise
    trip.add("tls", stream.took)
    trip.chain = stream.chain()
    trip.tls_version = stream.version()
    return stream


def record_expiry(run: Run, chain: tuple[Certificate, ...]) -> None:
    """Record when the chain expires, if there is one."""
    at = earliest(chain)
    if at is not None:
        run.record("certificate_expires", at)
        run.record("certificate_expires_in", at - time())


def record_tls(run: Run, trip: Trip) -> None:
    """Record what is known of the encryption, if there is any: when the chain expires, and the version."""
    record_expiry(run, trip.chain)
    if trip.tls_version:
        run.record("tls_info", 1, version=trip.tls_version.replace("TLSv", "TLS "))


def translated(error: WireError) -> Failed | Errored:
    """The wire's fault as a check's: ours or the target's."""
    return (Errored if error.ours else Failed)(Reason(error.reason), error.sentence)


def sni(to: Endpoint, settings: TlsSettings) -> str:
    """The name to ask for and verify."""
    return settings.server_name or to.host.partition("%")[0]
