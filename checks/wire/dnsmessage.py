"""DNS messages as bytes: a question to send, and what an answer of any stranger says (RFC 1035, 4035, 6891, 8914)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from checks.wire.dnsrecords import NAME_OF, TYPES, Reader

CODES = {
    0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 6: "YXDOMAIN", 7: "YXRRSET",
    8: "NXRRSET", 9: "NOTAUTH", 10: "NOTZONE", 16: "BADVERS", 23: "BADCOOKIE",
}  # fmt: skip

EXPLAINED = {
    1: "unsupported DNSKEY algorithm", 2: "unsupported DS digest", 3: "stale answer", 4: "forged answer",
    5: "DNSSEC indeterminate", 6: "DNSSEC bogus", 7: "signature expired", 8: "signature not yet valid",
    9: "DNSKEY missing", 10: "RRSIGs missing", 11: "no zone key", 12: "NSEC missing", 13: "cached error",
    14: "not ready", 15: "blocked", 16: "censored", 17: "filtered", 18: "prohibited", 19: "stale NXDOMAIN answer",
    20: "not authoritative", 21: "not supported", 22: "no reachable authority", 23: "network error",
    24: "invalid data",
}  # fmt: skip
"""What an extended error's number says (RFC 8914, section 4)."""

_HEADER = struct.Struct("!6H")
_RECORD = struct.Struct("!HHIH")
_ANSWER, _AUTHORITATIVE, _TRUNCATED, _RECURSE, _AUTHENTICATED = 0x8000, 0x0400, 0x0200, 0x0100, 0x0020
_DNSSEC_OK, _EXTENDED_ERROR = 0x8000, 15
RECORDS_MOST = 500
ROOM = 1232
"""Bytes of a datagram that go through everywhere without being cut (DNS flag day 2020)."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of an answer, its data as zone files write it."""

    name: str
    type: str
    ttl: int
    data: str

    def __str__(self) -> str:
        return f"{self.name} {self.ttl} IN {self.type} {self.data}"


@dataclass(frozen=True, slots=True)
class Message:
    """An answer, its sections without the OPT record; one that is `truncated` has none.

    `authenticated` is the AD flag: a resolver says that it validated the answer. `why` is its extended error.
    """

    id: int
    code: str
    truncated: bool
    authoritative: bool
    authenticated: bool
    question: tuple[str, int]
    answers: tuple[Record, ...]
    authority: tuple[Record, ...]
    additional: tuple[Record, ...]
    extended: bool
    why: str


def question(
    number: int, name: str, kind: str, *, recurse: bool = True, extended: bool = True, dnssec: bool = False
) -> bytes:
    """The message that asks for `name`. `extended` offers EDNS, which `dnssec`, asking for signatures and AD, needs.

    ValueError for a name too long.
    """
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".") if label]
    if any(len(label) > 63 for label in labels) or sum(len(label) + 1 for label in labels) > 254:
        raise ValueError(f"{name!r} is too long for DNS")
    packed = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    flags = (_RECURSE if recurse else 0) | (_AUTHENTICATED if dnssec else 0)
    options = b"\0" + _RECORD.pack(TYPES["OPT"], ROOM, _DNSSEC_OK if dnssec else 0, 0) if extended else b""
    return _HEADER.pack(number, flags, 1, 0, 0, int(extended)) + packed + struct.pack("!HH", TYPES[kind], 1) + options


def parse(data: bytes) -> Message:
    """The message in `data`. Raises ValueError where it is malformed, or no answer."""
    reader, high, extended, why = Reader(data), 0, False, ""
    try:
        number, flags, questions, *counts = _HEADER.unpack_from(data)
        if not flags & _ANSWER or questions != 1 or sum(counts) > RECORDS_MOST:
            raise ValueError("it is no answer to one question")
        asked, at = reader.name(_HEADER.size)
        asked_type = struct.unpack_from("!H", data, at)[0]
        at += 4
        sections = answers, authority, additional = list[Record](), list[Record](), list[Record]()
        # What was cut may end anywhere, and is asked again.
        for section, count in zip(sections, () if flags & _TRUNCATED else counts, strict=False):
            for _ in range(count):
                record, at = _record(reader, at)
                if record.type == "OPT":
                    extended, high, why = True, record.ttl >> 24, _extended_error(bytes.fromhex(record.data))
                else:
                    section.append(record)
    except (struct.error, IndexError, UnicodeDecodeError):
        raise ValueError("it ends too early") from None
    code = high << 4 | flags & 15
    return Message(
        number, CODES.get(code, f"code {code}"),
        bool(flags & _TRUNCATED), bool(flags & _AUTHORITATIVE), bool(flags & _AUTHENTICATED),
        (asked.lower(), asked_type), tuple(answers), tuple(authority), tuple(additional), extended, why,
    )  # fmt: skip


def _record(reader: Reader, at: int) -> tuple[Record, int]:
    name, at = reader.name(at)
    number, _, ttl, length = _RECORD.unpack_from(reader.data, at)
    at += _RECORD.size
    end = at + length
    if end > len(reader.data):
        raise ValueError("a record is longer than the message")
    kind = NAME_OF.get(number, f"TYPE{number}")
    return Record(name, kind, ttl, reader.shown(kind, at, end)), end


def _extended_error(options: bytes) -> str:
    at = 0
    while at < len(options):
        option, length = struct.unpack_from("!2H", options, at)
        if option == _EXTENDED_ERROR and length >= 2:
            [number] = struct.unpack_from("!H", options, at + 4)
            said = options[at + 6 : at + 4 + length].decode("utf-8", "replace").strip("\0 ")
            named = EXPLAINED.get(number, f"extended error {number}")
            return f"{named}: {said[:100]}" if said else named
        at += 4 + length
    return ""
