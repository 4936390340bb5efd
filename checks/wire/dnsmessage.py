"""DNS messages as bytes: a question to send, and what an answer of any stranger says (RFC 1035, 6891)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

TYPES = {
    "A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "CAA": 257,
}  # fmt: skip
CODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}

_NAME_OF = {number: name for name, number in TYPES.items()}
_HEADER = struct.Struct("!6H")
_RECORD = struct.Struct("!HHIH")
_TRUNCATED, _ANSWER = 0x0200, 0x8000
RECORDS_MOST = 500
LABELS_MOST = 128


@dataclass(frozen=True, slots=True)
class Record:
    """One record of an answer, its data as zone files write it."""

    name: str
    type: str
    ttl: int
    data: str


@dataclass(frozen=True, slots=True)
class Message:
    """An answer. `authority` and `additional` are counts of records."""

    id: int
    code: str
    truncated: bool
    question: tuple[str, int]
    answers: tuple[Record, ...]
    authority: int
    additional: int


def question(number: int, name: str, kind: str) -> bytes:
    """The message that asks for `name`, recursion wanted, up to 1232 bytes taken. ValueError for a name too long."""
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".") if label]
    if any(len(label) > 63 for label in labels) or sum(len(label) + 1 for label in labels) > 254:
        raise ValueError(f"{name!r} is too long for DNS")
    packed = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    options = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)
    return _HEADER.pack(number, 0x0100, 1, 0, 0, 1) + packed + struct.pack("!HH", TYPES[kind], 1) + options


def parse(data: bytes) -> Message:
    """The message in `data`. Raises ValueError where it is malformed, or no answer."""
    try:
        number, flags, questions, answers, authority, additional = _HEADER.unpack_from(data)
        if not flags & _ANSWER or questions != 1 or answers > RECORDS_MOST:
            raise ValueError("it is no answer to one question")
        asked, at = _name(data, 12)
        asked_type = struct.unpack_from("!H", data, at)[0]
        at += 4
        records = []
        for _ in range(answers):
            record, at = _record(data, at)
            records.append(record)
    except (struct.error, IndexError, UnicodeDecodeError):
        raise ValueError("it ends too early") from None
    code = CODES.get(flags & 15, str(flags & 15))
    return Message(
        number, code, bool(flags & _TRUNCATED), (asked.lower(), asked_type), tuple(records), authority, additional
    )


def _name(data: bytes, at: int) -> tuple[str, int]:
    """The name at an offset, and the offset after it; pointers only lead backwards, so that none leads in a circle."""
    labels: list[str] = []
    after, limit = -1, at
    while data[at]:
        length = data[at]
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


def _text(raw: bytes) -> str:
    return "".join(chr(byte) if 32 < byte < 127 else f"\\{byte:03d}" for byte in raw)


def _record(data: bytes, at: int) -> tuple[Record, int]:
    name, at = _name(data, at)
    number, _, ttl, length = _RECORD.unpack_from(data, at)
    at += _RECORD.size
    end = at + length
    if end > len(data):
        raise ValueError("a record is longer than the message")
    kind = _NAME_OF.get(number, f"TYPE{number}")
    shown = _DATA[kind](data, at, end) if kind in _DATA else data[at:end].hex()
    return Record(name, kind, ttl, shown), end


def _host(data: bytes, at: int, end: int) -> str:
    return _name(data, at)[0].lower()


def _mx(data: bytes, at: int, end: int) -> str:
    return f"{struct.unpack_from('!H', data, at)[0]} {_host(data, at + 2, end)}"


def _srv(data: bytes, at: int, end: int) -> str:
    priority, weight, port = struct.unpack_from("!3H", data, at)
    return f"{priority} {weight} {port} {_host(data, at + 6, end)}"


def _soa(data: bytes, at: int, end: int) -> str:
    primary, at = _name(data, at)
    mailbox, at = _name(data, at)
    numbers = " ".join(str(number) for number in struct.unpack_from("!5I", data, at))
    return f"{primary} {mailbox} {numbers}"


def _txt(data: bytes, at: int, end: int) -> str:
    text = b""
    while at < end:
        text += data[at + 1 : min(end, at + 1 + data[at])]
        at += 1 + data[at]
    return text.decode("utf-8", "replace")


def _caa(data: bytes, at: int, end: int) -> str:
    tag = at + 2 + data[at + 1]
    return f'{data[at]} {_text(data[at + 2 : tag])} "{_text(data[tag:end])}"'


def _address(family: int, size: int) -> Callable[[bytes, int, int], str]:
    def show(data: bytes, at: int, end: int) -> str:
        if end - at != size:
            raise ValueError("an address has the wrong length")
        return socket.inet_ntop(family, data[at:end])

    return show


_DATA: dict[str, Callable[[bytes, int, int], str]] = {
    "A": _address(socket.AF_INET, 4), "AAAA": _address(socket.AF_INET6, 16),
    "NS": _host, "CNAME": _host, "PTR": _host, "MX": _mx, "SRV": _srv, "SOA": _soa, "TXT": _txt, "CAA": _caa,
}  # fmt: skip
