"""Certificates for simulated installations: an authority of their own, which issues what a test or a demo needs."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from tempfile import NamedTemporaryFile

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

AUTHORITY, VALID, EXPIRED = "authority.pem", "valid.pem", "expired.pem"
YEARS = 10.0 * 365


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, both PEM."""

    certificate: bytes
    key: bytes

    @property
    def pem(self) -> bytes:
        """Both, as one file has them."""
        return self.key + self.certificate

    def write(self, file: Path) -> Path:
        """Both into one file that only we can read."""
        return _secret(file, self.pem)

    def write_apart(self, certificate: Path, key: Path) -> None:
        """Each into a file of its own."""
        certificate.write_bytes(self.certificate)
        _secret(key, self.key)

    def install(self, context: ssl.SSLContext) -> None:
        """Have a context show it from the next handshake on."""
        with NamedTemporaryFile() as file:
            file.write(self.pem)
            file.flush()
            context.load_cert_chain(file.name)

    def context(self) -> ssl.SSLContext:
        """A new one for a server that shows it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.options |= ssl.OP_NO_TICKET  # who resumes a session sees no certificate
        self.install(context)
        return context


class Authority:
    """Issues certificates for servers and clients; `pem` is its own certificate."""

    def __init__(self, name: str = "runwatch demo authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        start, end = _span(-YEARS, YEARS, None)
        authority = (
            _builder(self._name, self._name, self._key.public_key(), start, end)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = authority.public_bytes(Encoding.PEM)

    def write(self, file: Path) -> Path:
        """Its certificate into a file."""
        file.write_bytes(self.pem)
        return file

    def issue(
        self, *names: str, days: float = 90.0, starts: float = -1.0, at: float | None = None, subject: str = ""
    ) -> Certificate:
        """A certificate for these host names and addresses, valid from `starts` until `days` days after `at`.

        `at` is in Unix seconds and now where it is None; the subject is the first name unless given.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        start, end = _span(starts, days, at)
        leaf = (
            _builder(_name(subject or names[0]), self._name, key.public_key(), start, end)
            .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Certificate(leaf.public_bytes(Encoding.PEM), secret)


def write_certificates(folder: Path) -> None:
    """Write an authority's certificate, and VALID and EXPIRED with their keys, for localhost and 127.0.0.1."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = Authority()
    authority.write(folder / AUTHORITY)
    for file, starts, days in ((VALID, -1, 90), (EXPIRED, -91, -1)):
        authority.issue("localhost", "127.0.0.1", starts=starts, days=days, subject="shop.demo").write(folder / file)


def _secret(file: Path, content: bytes) -> Path:
    file.touch(mode=0o600)
    file.write_bytes(content)
    return file


def _span(starts: float, days: float, at: float | None) -> tuple[datetime, datetime]:
    now = datetime.fromtimestamp(time.time() if at is None else at, UTC)
    return now + timedelta(days=starts), now + timedelta(days=days)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.RFC822Name(name) if "@" in name else x509.DNSName(name)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
