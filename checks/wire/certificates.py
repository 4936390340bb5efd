"""What certificates say: names, issuer, dates; and in words why one was refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from time import time

from cryptography import x509
from cryptography.x509.oid import NameOID

NAMES_SHOWN = 4

# X509_V_ERR_* of OpenSSL's x509_vfy.h.
NOT_YET_VALID, EXPIRED, HOSTNAME_MISMATCH, IP_MISMATCH = 9, 10, 62, 64


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate of a chain; dates in Unix seconds. Texts come from the peer, control characters replaced."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: float
    not_after: float

    def __str__(self) -> str:
        more = f" and {len(self.names) - NAMES_SHOWN} more" if len(self.names) > NAMES_SHOWN else ""
        names = ", ".join(self.names[:NAMES_SHOWN]) + more
        dates = f"valid {day(self.not_before)} to {day(self.not_after)}"
        return f"issued by {self.issuer} for {names or self.subject}, {dates}"


@lru_cache(maxsize=4096)
def read_chain(ders: tuple[bytes, ...]) -> tuple[Certificate, ...]:
    """The certificates in DER form that can be read; cached, since a target shows the same ones for months."""
    found = []
    for der in ders:
        try:
            found.append(read(x509.load_der_x509_certificate(der)))
        except ValueError:
            continue
    return tuple(found)


def read(certificate: x509.Certificate) -> Certificate:
    """The parts that people ask for. Raises ValueError where the certificate is malformed."""
    return Certificate(
        _common(certificate.subject),
        _common(certificate.issuer),
        _names(certificate),
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
    )


def earliest(chain: Sequence[Certificate]) -> float | None:
    """When the first certificate of the chain expires, in Unix seconds."""
    return min((certificate.not_after for certificate in chain), default=None)


def matches(pattern: str, name: str) -> bool:
    """Whether a certificate's name covers a host's, where `*` stands for one whole first label (RFC 9525, 6.3)."""
    pattern, name = pattern.lower(), name.lower()
    if pattern.startswith("*."):
        return name.partition(".")[2] == pattern[2:] and not name.startswith(".")
    return pattern == name


def untrusted(code: int, message: str, chain: Sequence[Certificate], asked: str) -> tuple[str, str]:
    """Reason and sentence for the verification error `code` of OpenSSL."""
    shown = f": {chain[0]}" if chain else ""
    if code == EXPIRED:
        late = min(chain, key=lambda certificate: certificate.not_after, default=None)
        if late is None:
            return "tls_expired", f"certificate of {asked} has expired"
        which = "" if late is chain[0] else f" (the one of {late.subject} in its chain)"
        days = (time() - late.not_after) / 86400
        return "tls_expired", f"certificate of {asked}{which} expired {days:.1f} days ago{shown}"
    if code == NOT_YET_VALID:
        return "tls_expired", f"certificate of {asked} is not valid yet{shown}"
    if code in (HOSTNAME_MISMATCH, IP_MISMATCH):
        return "tls_name", f"certificate is not for {asked}{shown}"
    return "tls_handshake", f"certificate of {asked} is not trusted ({message}){shown}"


def describe(word: str) -> str:
    """OpenSSL's reason, such as TLSV1_ALERT_PROTOCOL_VERSION, in plain words."""
    return word.lower().replace("_", " ")


def day(at: float) -> str:
    """Unix seconds as 2026-11-22."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def visible(text: str, most: int = 100) -> str:
    """Text of a stranger on one line: what does not print replaced, cut at `most` characters."""
    clean = "".join(letter if letter.isprintable() else "�" for letter in text[: most + 1])
    return clean if len(clean) <= most else clean[:most] + "…"


def _common(name: x509.Name) -> str:
    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        for attribute in name.get_attributes_for_oid(oid):
            return visible(str(attribute.value))
    return visible(name.rfc4514_string()) or "nobody"


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return ()
    dns = found.get_values_for_type(x509.DNSName)
    ips = [str(address) for address in found.get_values_for_type(x509.IPAddress)]
    return tuple(visible(name) for name in [*dns, *ips])
