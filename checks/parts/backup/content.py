"""Tells whether a backup decompresses, and whether what is inside is whole, from one piece to the next."""

from __future__ import annotations

import bz2
import lzma
import re
import zlib
from collections.abc import Iterator
from typing import Protocol

from checks.wire.certificates import visible

CHUNK = 256 * 1024
END = 8 * 1024
"""Bytes at the end in which a dump says that it is complete."""
HEAD = 512
LARGEST_SUM = 256 * 2**20
"""Bytes of a Redis file whose checksum is computed, which takes a second for each forty million."""
COMPLETE = (
    (b"PostgreSQL database dump", b"PostgreSQL database dump complete"),
    (b"PostgreSQL database cluster dump", b"PostgreSQL database cluster dump complete"),
    (b"-- MySQL dump", b"-- Dump completed"),
    (b"-- MariaDB dump", b"-- Dump completed"),
)  # fmt: skip
"""What a dump in SQL begins with, and what it ends with then."""


_RDB = re.compile(rb"REDIS\d{4}|VALKEY\d{3}")


class Unreadable(Exception):
    """The backup is damaged or not whole; the text says how."""


class Decoder(Protocol):
    """Takes what a file holds; gives what it stands for."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What these bytes add, in pieces of bounded size. Raises Unreadable."""

    def end(self) -> None:
        """The file has ended. Raises Unreadable where it should not have."""


class Plain:
    """What is not compressed."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def end(self) -> None:
        return


class Gzip:
    """gzip, of one or several members (RFC 1952)."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(31)
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._member.eof:
                # What follows the last member as padding is nothing.
                data = data.lstrip(b"\0")
                if not data:
                    return
                self._member = zlib.decompressobj(31)
            try:
                piece = self._member.decompress(data, CHUNK)
            except zlib.error as why:
                raise Unreadable(f"the gzip stream is damaged: {visible(str(why), 100)}") from None
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if piece:
                yield piece
            elif not self._member.eof:
                return

    def end(self) -> None:
        if not self._member.eof:
            raise Unreadable("the gzip stream ends in the middle")


class Blocks:
    """bzip2 and xz, of one or several streams."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._stream = self._new()

    def _new(self) -> bz2.BZ2Decompressor | lzma.LZMADecompressor:
        return bz2.BZ2Decompressor() if self._name == "bzip2" else lzma.LZMADecompressor(memlimit=256 * 2**20)

    def feed(self, data: bytes) -> Iterator[bytes]:
        while True:
            if self._stream.eof:
                data = (self._stream.unused_data or data).lstrip(b"\0")
                if not data:
                    return
                self._stream = self._new()
            try:
                piece = self._stream.decompress(data, CHUNK)
            except (OSError, EOFError, lzma.LZMAError) as why:
                raise Unreadable(f"the {self._name} stream is damaged: {visible(str(why), 100)}") from None
            data = b""
            if piece:
                yield piece
            if self._stream.needs_input and not self._stream.eof:
                return

    def end(self) -> None:
        if not self._stream.eof:
            raise Unreadable(f"the {self._name} stream ends in the middle")


class Tar:
    """The members of a tar archive (POSIX ustar), each header with its checksum, up to the blocks that end it."""

    def __init__(self) -> None:
        self.members = 0
        self._held = b""
        self._skip = 0
        self._ended = False

    def feed(self, data: bytes) -> None:
        """More of the archive. Raises Unreadable."""
        while data and not self._ended:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            self._held, data = self._held + data[skipped : skipped + HEAD - len(self._held)], (
                data[skipped + HEAD - len(self._held) :]
            )  # fmt: skip
            if len(self._held) == HEAD:
                self._header(self._held)
                self._held = b""

    def _header(self, block: bytes) -> None:
        if not block.strip(b"\0"):
            self._ended = True
            return
        if _octal(block[148:156]) != sum(block[:148]) + 8 * 32 + sum(block[156:]):
            raise Unreadable(f"the tar archive is damaged: after {self.members} members comes no header")
        size = int.from_bytes(block[125:136], "big") if block[124] & 0x80 else _octal(block[124:136])
        self._skip = -(-size // HEAD) * HEAD
        self.members += 1

    def end(self) -> None:
        """Raises Unreadable where the archive is not whole."""
        if not self._ended:
            raise Unreadable(f"the tar archive ends in the middle, after {self.members} members")


def _octal(digits: bytes) -> int:
    try:
        return int(digits.strip(b"\0 ") or b"0", 8)
    except ValueError:
        raise Unreadable("the tar archive is damaged: a header holds no number where one belongs") from None


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x95AC9329AC4BC9B5 if byte & 1 else 0)
        table.append(byte)
    return table


class Rdb:
    """A Redis or Valkey database file: its version first, 0xFF and a CRC-64 (Jones) at the end, which may be off."""

    TRAILER = 9

    def __init__(self) -> None:
        self._sum = 0
        self._size = 0
        self._held = b""
        self._table = _crc_table()

    def feed(self, data: bytes) -> None:
        """More of the file."""
        data = self._held + data
        done, self._held = data[: -self.TRAILER], data[-self.TRAILER :]
        self._size += len(done)
        if self._size <= LARGEST_SUM:
            self._sum = self._added(done)

    def _added(self, data: bytes) -> int:
        total, table = self._sum, self._table
        for byte in data:
            total = table[(total ^ byte) & 0xFF] ^ total >> 8
        return total

    def end(self) -> None:
        """Raises Unreadable where the file is not whole."""
        if len(self._held) < self.TRAILER or self._held[0] != 0xFF:
            raise Unreadable("the Redis file ends in the middle: its end mark is missing")
        stated = int.from_bytes(self._held[1:], "little")
        if stated and self._size <= LARGEST_SUM and self._added(self._held[:1]) != stated:
            raise Unreadable("the Redis file is damaged: its checksum does not fit")


class Dump:
    """A dump in SQL, whose last lines say that it is complete."""

    def __init__(self, wanted: bytes) -> None:
        self._wanted = wanted
        self._last = b""

    def feed(self, data: bytes) -> None:
        """More of the dump."""
        self._last = (self._last + data)[-END:]

    def end(self) -> None:
        """Raises Unreadable where the dump is not whole."""
        if self._wanted not in self._last:
            raise Unreadable(f"the dump is not whole: it does not end with {self._wanted.decode()!r}")


def decoder_of(head: bytes) -> tuple[Decoder, str]:
    """What decompresses a file that begins so, and its name; Plain and "" where nothing has to."""
    if head.startswith(b"\x1f\x8b"):
        return Gzip(), "gzip"
    if head.startswith(b"BZh"):
        return Blocks("bzip2"), "bzip2"
    if head.startswith(b"\xfd7zXZ\0"):
        return Blocks("xz"), "xz"
    return Plain(), ""


def inside_of(head: bytes) -> Tar | Rdb | Dump | None:
    """What tells whether content that begins so is whole; None where it is of no known sort."""
    if head[257:262] == b"ustar":
        return Tar()
    if _RDB.match(head):
        return Rdb()
    return next((Dump(end) for begin, end in COMPLETE if begin in head), None)
