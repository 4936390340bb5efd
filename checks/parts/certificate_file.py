"""A certificate in a PEM file: its chain, whether it holds together, and whether a key belongs to it."""

from __future__ import annotations

import os
import stat
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from checks.parts.paths import FLAGS, sort_of
from checks.wire.certificates import Certificate, read

LARGEST = 1 << 20


class Unusable(Exception):
    """The file holds no usable certificate; the text says why. `ours` where we may not read it."""

    def __init__(self, sentence: str, *, ours: bool = False) -> None:
        super().__init__(sentence)
        self.ours = ours


def read_file(file: str, key_file: str) -> tuple[tuple[Certificate, ...], str]:
    """The file's certificates, leaf first, and what is wrong with them beside dates and names, or "".

    Reads files and computes for milliseconds: not for the event loop. Raises Unusable.
    """
    try:
        parsed = x509.load_pem_x509_certificates(_content(file))
        chain = tuple(read(certificate) for certificate in parsed)
    except ValueError:
        raise Unusable(f"there is no readable certificate in {file}") from None
    for lower, upper in pairwise(parsed):
        try:
            lower.verify_directly_issued_by(upper)
        except (ValueError, TypeError, InvalidSignature):
            below, above = read(lower).subject, read(upper).subject
            return chain, f"the chain in {file} is broken: {below} was not issued by {above}, which follows it"
    return chain, _key_trouble(parsed[0], file, key_file) if key_file else ""


def _content(file: str) -> bytes:
    try:
        # A pipe would keep the thread until somebody writes into it.
        descriptor = os.open(file, FLAGS)
        try:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise Unusable(f"cannot read {file}: it is {sort_of(mode)}, not a file")
            with open(descriptor, "rb", closefd=False) as stream:
                return stream.read(LARGEST) or b""  # the kernel's own may have nothing yet
        finally:
            os.close(descriptor)
    except PermissionError:
        raise Unusable(f"cannot read {file}: permission denied", ours=True) from None
    except OSError as why:
        raise Unusable(f"cannot read {file}: {(why.strerror or str(why)).lower()}") from None


def _key_trouble(leaf: x509.Certificate, file: str, key_file: str) -> str:
    try:
        key = serialization.load_pem_private_key(_content(key_file), None)
    except TypeError:
        raise Unusable(f"cannot read the key in {key_file}: it has a passphrase", ours=True) from None
    except ValueError:
        return f"there is no readable key in {key_file}"
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*form) != leaf.public_key().public_bytes(*form):
        return f"the key in {key_file} does not belong to the certificate in {file}"
    return ""
