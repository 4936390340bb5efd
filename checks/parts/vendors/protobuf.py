"""Writes and reads protobuf's wire format, as far as a few small messages need it (protobuf.dev, Encoding)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

Value = int | bytes
"""A number, or the bytes of a text, of a message, or of a fixed-size number."""


def varint(number: int) -> bytes:
    """A whole number that is not negative."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: int | str | bytes) -> bytes:
    """One field: a number, a text, or the bytes of a message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Number and value of each field. Raises ValueError with a sentence where it is no message."""
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _read_varint(data, at)
            yield number, value
            continue
        if kind == 2:
            length, at = _read_varint(data, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of type {kind}")
        if not number or at + length > len(data):
            raise ValueError("a field is malformed")
        yield number, data[at : at + length]
        at += length


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
    raise ValueError("a number does not end")


class Message:
    """A message that was read: its fields by number, each as the type that the reader knows it to have.

    A field that is absent is 0, empty, or no message, as in proto3; of one that is there twice the last counts. Raises
    ValueError with a sentence where the bytes are no message or a field has another type.
    """

    __slots__ = ("_held",)

    def __init__(self, data: bytes) -> None:
        self._held: dict[int, list[Value]] = {}
        for number, value in fields(data):
            self._held.setdefault(number, []).append(value)

    def has(self, number: int) -> bool:
        """Whether the field is there."""
        return number in self._held

    def number(self, number: int) -> int:
        """An int64, enumeration or bool."""
        value = self._held.get(number, [0])[-1]
        if not isinstance(value, int):
            raise ValueError(f"field {number} is no number")
        return value - 2**64 if value >= 2**63 else value

    def real(self, number: int) -> float:
        """A float (of four bytes)."""
        data = self._bytes(number, b"\0\0\0\0")
        if len(data) != 4:
            raise ValueError(f"field {number} is no float")
        value: float = struct.unpack("<f", data)[0]
        return value

    def text(self, number: int) -> str:
        """A text, or bytes read as one."""
        return self._bytes(number, b"").decode("utf-8", "replace")

    def message(self, number: int) -> Message:
        """A message inside; an empty one where it is absent."""
        return Message(self._bytes(number, b""))

    def messages(self, number: int) -> list[Message]:
        """A repeated message."""
        return [Message(_as_bytes(number, value)) for value in self._held.get(number, [])]

    def seconds(self, number: int) -> float:
        """A google.protobuf.Timestamp or Duration, in seconds."""
        inner = self.message(number)
        return inner.number(1) + inner.number(2) / 1e9

    def _bytes(self, number: int, default: bytes) -> bytes:
        return _as_bytes(number, self._held.get(number, [default])[-1])


def _as_bytes(number: int, value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError(f"field {number} is a number")
    return value
