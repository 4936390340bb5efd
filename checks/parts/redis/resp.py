"""Redis' wire protocol (RESP2): commands out, replies in, bounded, because what answers may be anything.

Source: the Redis serialization protocol specification. Every server since 1.2 speaks it without being asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from checks.wire.fault import WireError
from checks.wire.http1 import Stream

MOST_BYTES = 4 * 2**20
"""Of all the replies on one connection."""
LONGEST_LINE = 4096
MOST_ITEMS = 100_000
DEEPEST = 5
PIECE = 16 * 1024
"""Bytes that are read at once: what they hold is parsed in 3 ms at the most, and then others have their turn."""

Reply: TypeAlias = "str | int | Refused | list[Reply] | None"


class Refused(str):
    """An error reply: its first word is the code, such as NOAUTH."""

    __slots__ = ()

    @property
    def code(self) -> str:
        """The first word."""
        return self.partition(" ")[0]


def command(*words: str) -> bytes:
    """A command as it goes over the wire."""
    parts = [word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


class Replies:
    """Reads replies one after another from a connection; `name` says in sentences who answers."""

    __slots__ = ("_buffer", "_items", "_name", "_read", "_stream")

    def __init__(self, stream: Stream, name: str) -> None:
        self._stream = stream
        self._name = name
        self._buffer = bytearray()
        self._read = 0
        self._items = 0

    async def next(self, depth: int = 0) -> Reply:
        """The next reply. Raises WireError protocol for what is none, is too big, or ends in the middle."""
        line = await self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return _text(rest)
        if kind == b"-":
            return Refused(_text(rest))
        if kind == b":":
            return self._number(rest)
        if kind == b"$":
            return await self._bulk(self._number(rest))
        if kind == b"*" and depth < DEEPEST:
            return await self._array(self._number(rest), depth)
        raise self._nonsense(f"it answers {_text(line[:40])!r}")

    async def _bulk(self, size: int) -> str | None:
        if size < 0:
            return None
        if size > MOST_BYTES:
            raise self._nonsense(f"it announces a reply of {size} bytes")
        while len(self._buffer) < size + 2:
            await self._more()
        text = _text(bytes(self._buffer[:size]))
        del self._buffer[: size + 2]
        return text

    async def _array(self, count: int, depth: int) -> list[Reply] | None:
        if count < 0:
            return None
        self._items += count
        if self._items > MOST_ITEMS:
            raise self._nonsense(f"it announces {self._items} replies")
        return [await self.next(depth + 1) for _ in range(count)]

    async def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > LONGEST_LINE:
                break
            await self._more()
        if not 0 <= end <= LONGEST_LINE:
            raise self._nonsense(f"it answers {_text(bytes(self._buffer[:40]))!r}")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    async def _more(self) -> None:
        data = await self._stream.recv(PIECE)
        if not data:
            raise WireError("read", "protocol", f"{self._name} closed the connection before its answer was complete")
        self._read += len(data)
        if self._read > MOST_BYTES:
            raise self._nonsense(f"it answers more than {MOST_BYTES} bytes")
        self._buffer += data

    def _number(self, digits: bytes) -> int:
        if len(digits) > 20 or not digits.lstrip(b"-").isdigit():
            raise self._nonsense(f"it answers {_text(digits[:40])!r} in place of a number")
        return int(digits)

    def _nonsense(self, why: str) -> WireError:
        return WireError("read", "protocol", f"{self._name} does not speak Redis' protocol: {why}")


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def commands(*words: Sequence[str]) -> bytes:
    """Commands in one write, so that all of them are one round trip."""
    return b"".join(command(*each) for each in words)
