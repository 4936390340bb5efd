"""An authority of the demo's own, and the shop's two certificates: one that holds, one that has expired."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

AUTHORITY, VALID, EXPIRED = "authority.pem", "valid.pem", "expired.pem"


def write_certificates(folder: Path) -> None:
    """Write the authority's certificate, and VALID and EXPIRED with their keys, for localhost and 127.0.0.1."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    now = datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("runwatch demo authority")
    authority = (
        _builder(name, name, key, now - timedelta(days=365), now + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / AUTHORITY).write_bytes(authority.public_bytes(Encoding.PEM))
    for file, start, end in (
        (VALID, now - timedelta(days=1), now + timedelta(days=90)),
        (EXPIRED, now - timedelta(days=91), now - timedelta(days=1)),
    ):
        leaf_key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
        leaf = (
            _builder(_name("shop.demo"), name, leaf_key, start, end)
            .add_extension(names, critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        (folder / file).touch(mode=0o600)
        secret = leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / file).write_bytes(secret + leaf.public_bytes(Encoding.PEM))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
