"""The data of DNS records as zone files write it, read from the bytes of any stranger (RFC 1035, 4034, 6698, 9460)."""

from __future__ import annotations

import socket
import struct
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime

TYPES = {
    "A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "NAPTR": 35,
    "DNAME": 39, "OPT": 41, "DS": 43, "SSHFP": 44, "RRSIG": 46, "NSEC": 47, "DNSKEY": 48, "NSEC3": 50, "TLSA": 52,
    "SVCB": 64, "HTTPS": 65, "CAA": 257,
}  # fmt: skip
NAME_OF = {number: name for name, number in TYPES.items()}

LABELS_MOST = 128
WORK_MOST = 20_000
"""Labels and pointers that the names of one message may have together: a few milliseconds' work."""

_PARAMETERS = ("mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint")


class Reader:
    """A message and what reading its names has cost so far. Malformed data: ValueError, IndexError, struct.error."""

    __slots__ = ("_work", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._work = 0

    def name(self, at: int) -> tuple[str, int]:
        """The name at an offset, and the offset after it; pointers lead backwards only, so that none leads in a circle.

        Chains of pointers could still make a message of 64 KiB cost seconds: their length is bounded for all names.
        """
        data, labels = self.data, list[str]()
        after, limit = -1, at
        while data[at]:
            self._work += 1
            length = data[at]
            if self._work > WORK_MOST:
                raise ValueError("its names lead through a maze")
            if length >= 0xC0:
                to = (length & 0x3F) << 8 | data[at + 1]
                after = at + 2 if after < 0 else after
                if to >= limit:
                    raise ValueError("a name points forward")
                at = limit = to
                continue
            if length > 63 or len(labels) > LABELS_MOST:
                raise ValueError("a name is malformed")
            labels.append(_text(data[at + 1 : at + 1 + length]))
            at += 1 + length
        return ".".join(labels) or ".", at + 1 if after < 0 else after

    def host(self, at: int) -> str:
        """The name there in small letters."""
        return self.name(at)[0].lower()

    def shown(self, kind: str, at: int, end: int) -> str:
        """The data of a record of that type between two offsets; of an unknown type in hexadecimal digits."""
        show = _DATA.get(kind)
        return show(self, at, end) if show is not None else self.data[at:end].hex()

    def bytes(self, at: int, end: int) -> bytes:
        """What stands between; ValueError where the record ends before it."""
        if at > end:
            raise ValueError("a record is too short")
        return self.data[at:end]


def expires(signature: str) -> float:
    """When a signature (the data of an RRSIG) expires, in Unix seconds."""
    return datetime.strptime(signature.split(" ")[4], "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()


def _text(raw: bytes) -> str:
    if raw.isalnum():
        return raw.decode("ascii")
    return "".join(chr(byte) if 32 < byte < 127 else f"\\{byte:03d}" for byte in raw)


def _host(reader: Reader, at: int, end: int) -> str:
    return reader.host(at)


def _mx(reader: Reader, at: int, end: int) -> str:
    return f"{struct.unpack_from('!H', reader.data, at)[0]} {reader.host(at + 2)}"


def _srv(reader: Reader, at: int, end: int) -> str:
    priority, weight, port = struct.unpack_from("!3H", reader.data, at)
    return f"{priority} {weight} {port} {reader.host(at + 6)}"


def _soa(reader: Reader, at: int, end: int) -> str:
    primary, at = reader.name(at)
    mailbox, at = reader.name(at)
    numbers = " ".join(str(number) for number in struct.unpack_from("!5I", reader.data, at))
    return f"{primary} {mailbox} {numbers}"


def _strings(reader: Reader, at: int, end: int) -> list[bytes]:
    found = []
    while at < end:
        found.append(reader.data[at + 1 : min(end, at + 1 + reader.data[at])])
        at += 1 + reader.data[at]
    return found


def _txt(reader: Reader, at: int, end: int) -> str:
    return b"".join(_strings(reader, at, end)).decode("utf-8", "replace")


def _caa(reader: Reader, at: int, end: int) -> str:
    data = reader.data
    tag = at + 2 + data[at + 1]
    return f'{data[at]} {_text(data[at + 2 : tag])} "{_text(reader.bytes(tag, end))}"'


def _ds(reader: Reader, at: int, end: int) -> str:
    tag, algorithm, digest = struct.unpack_from("!HBB", reader.data, at)
    return f"{tag} {algorithm} {digest} {reader.bytes(at + 4, end).hex()}"


def _dnskey(reader: Reader, at: int, end: int) -> str:
    flags, protocol, algorithm = struct.unpack_from("!HBB", reader.data, at)
    return f"{flags} {protocol} {algorithm} {b64encode(reader.bytes(at + 4, end)).decode()}"


def _tlsa(reader: Reader, at: int, end: int) -> str:
    usage, selector, matching = struct.unpack_from("!3B", reader.data, at)
    return f"{usage} {selector} {matching} {reader.bytes(at + 3, end).hex()}"


def _sshfp(reader: Reader, at: int, end: int) -> str:
    algorithm, digest = struct.unpack_from("!2B", reader.data, at)
    return f"{algorithm} {digest} {reader.bytes(at + 2, end).hex()}"


def _rrsig(reader: Reader, at: int, end: int) -> str:
    covered, algorithm, labels, ttl, until, since, tag = struct.unpack_from("!HBBIIIH", reader.data, at)
    signer, rest = reader.name(at + 18)
    dates = " ".join(datetime.fromtimestamp(second, UTC).strftime("%Y%m%d%H%M%S") for second in (until, since))
    signature = b64encode(reader.bytes(rest, end)).decode()
    return f"{NAME_OF.get(covered, f'TYPE{covered}')} {algorithm} {labels} {ttl} {dates} {tag} {signer} {signature}"


def _svcb(reader: Reader, at: int, end: int) -> str:
    [priority] = struct.unpack_from("!H", reader.data, at)
    target, at = reader.name(at + 2)
    parts = [str(priority), target.lower()]
    while at < end:
        key, length = struct.unpack_from("!2H", reader.data, at)
        value = reader.bytes(at + 4, at + 4 + length)
        at += 4 + length
        if at > end:
            raise ValueError("a parameter is longer than its record")
        name = _PARAMETERS[key] if key < len(_PARAMETERS) else f"key{key}"
        shown = _parameter(name, value)
        parts.append(f"{name}={shown}" if shown else name)
    return " ".join(parts)


def _parameter(name: str, value: bytes) -> str:
    if name == "alpn":
        return ",".join(_text(word) for word in _strings(Reader(value), 0, len(value)))
    if name == "port" and len(value) == 2:
        return str(int.from_bytes(value, "big"))
    family, size = (socket.AF_INET6, 16) if name == "ipv6hint" else (socket.AF_INET, 4)
    if name in ("ipv4hint", "ipv6hint") and len(value) % size == 0:
        return ",".join(socket.inet_ntop(family, value[at : at + size]) for at in range(0, len(value), size))
    return b64encode(value).decode() if name == "ech" else value.hex()


def _address(family: int, size: int) -> Callable[[Reader, int, int], str]:
    def show(reader: Reader, at: int, end: int) -> str:
        if end - at != size:
            raise ValueError("an address has the wrong length")
        return socket.inet_ntop(family, reader.data[at:end])

    return show


_DATA: dict[str, Callable[[Reader, int, int], str]] = {
    "A": _address(socket.AF_INET, 4), "AAAA": _address(socket.AF_INET6, 16), "CAA": _caa, "CNAME": _host,
    "DNAME": _host, "DNSKEY": _dnskey, "DS": _ds, "HTTPS": _svcb, "MX": _mx, "NS": _host, "PTR": _host,
    "RRSIG": _rrsig, "SOA": _soa, "SRV": _srv, "SSHFP": _sshfp, "SVCB": _svcb, "TLSA": _tlsa, "TXT": _txt,
}  # fmt: skip
