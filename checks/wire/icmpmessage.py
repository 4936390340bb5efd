"""ICMP as bytes: its numbers by version of IP, what routers say of a packet, the checksum (RFC 792, 4443, 1071)."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from checks.wire.connect import words


@dataclass(frozen=True, slots=True)
class Version:
    """Numbers of one version of IP: linux/in.h, in6.h, and the types of its ICMP."""

    protocol: int
    level: int
    hop_limit: int
    want_errors: int
    want_hop_limit: int
    uncut: int
    mtu: int
    hop_limit_came: int
    request: int
    reply: int


V4 = Version(socket.IPPROTO_ICMP, socket.IPPROTO_IP, 2, 11, 12, 10, 14, 2, 8, 0)
V6 = Version(socket.IPPROTO_ICMPV6, socket.IPPROTO_IPV6, 16, 25, 51, 23, 24, 52, 128, 129)

HEAD = 8
"""Bytes in front of an echo's payload."""

BY_ROUTERS = {2: "4", 3: "6"}
"""SO_EE_ORIGIN_ICMP and SO_EE_ORIGIN_ICMP6 of linux/errqueue.h."""

PASSED_ON = "hop limit exceeded"

SAID = {
    "4": {
        (3, 0): "network unreachable", (3, 1): "host unreachable", (3, 2): "protocol unreachable",
        (3, 3): "port unreachable", (3, 4): "packet too big", (3, 6): "network unknown", (3, 7): "host unknown",
        (3, 9): "network prohibited", (3, 10): "host prohibited", (3, 13): "prohibited by a filter",
        (11, 0): PASSED_ON, (12, 0): "malformed packet",
    },
    "6": {
        (1, 0): "no route", (1, 1): "prohibited by a filter", (1, 3): "host unreachable", (1, 4): "port unreachable",
        (1, 5): "source refused by policy", (1, 6): "route rejected", (2, 0): "packet too big",
        (3, 0): PASSED_ON, (4, 0): "malformed packet",
    },
}  # fmt: skip
"""What routers answer instead of the target, by type and code."""

_ERROR = struct.Struct("IBBBBII")


def said(data: bytes) -> str:
    """A sock_extended_err and the address of its sender (linux/errqueue.h), in words."""
    number, origin, kind, code, _, info, _ = _ERROR.unpack_from(data)
    version = BY_ROUTERS.get(origin)
    if version is None:
        return words(number)
    word = SAID[version].get((kind, code), f"type {kind} code {code}")
    if word == "packet too big":
        word += f", it takes {info} bytes"
    # A sockaddr_in has its address at 4, a sockaddr_in6 at 8.
    family, at, size = (socket.AF_INET, 4, 4) if version == "4" else (socket.AF_INET6, 8, 16)
    sender = data[_ERROR.size + at : _ERROR.size + at + size]
    return f"{socket.inet_ntop(family, sender)} says {word}" if len(sender) == size else word


def only_replies(ip: Version) -> bytes:
    """The filter of a raw socket: a bit for each type that is to be kept away, in numbers of this machine."""
    bits = bytearray(b"\xff" * (32 if ip is V6 else 4))
    bits[ip.reply // 8] ^= 1 << ip.reply % 8
    numbers = [int.from_bytes(bits[at : at + 4], "little") for at in range(0, len(bits), 4)]
    return struct.pack(f"{len(numbers)}I", *numbers)


def checksum(packet: bytes) -> int:
    """The Internet's checksum (RFC 1071)."""
    padded = packet + b"\0" * (len(packet) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
