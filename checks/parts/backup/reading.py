"""Reads a backup to its end, in slices, from probe to probe."""

from __future__ import annotations

import time
from dataclasses import dataclass

from checks.parts.backup.content import HEAD, Decoder, Dump, Rdb, Tar, Unreadable, decoder_of, inside_of
from checks.units import show_size

TAKEN = 16 * 1024
"""Bytes that are decompressed at a time: of a bomb they become hundreds of megabytes."""


@dataclass(slots=True)
class Reading:
    """How far a backup was read, from probe to probe."""

    path: str
    size: int
    at: int = 0
    sort: str = ""
    busy: bool = False
    _decoder: Decoder | None = None
    _inside: Tar | Rdb | Dump | None = None
    _head: bytes | None = b""
    _seen: int = 0

    def go_on(self, until: float) -> bool:
        """Read on until that time (monotonic); whether the end was reached. Raises Unreadable and OSError."""
        with open(self.path, "rb") as stream:
            stream.seek(self.at)
            while data := stream.read(TAKEN):
                self._feed(data)
                self.at += len(data)
                if time.monotonic() >= until:
                    return False
        if self._decoder is None:
            raise Unreadable("it is empty")
        self._decoder.end()
        self._begin_inside()
        if self._inside is not None:
            self._inside.end()
        return True

    def _feed(self, data: bytes) -> None:
        if self._decoder is None:
            self._decoder, self.sort = decoder_of(data)
        for piece in self._decoder.feed(data):
            # Others may run: some of the pieces are of one byte, of a bomb thousands.
            time.sleep(0)
            self._seen += len(piece)
            if self._head is None:
                if self._inside is not None:
                    self._inside.feed(piece)
                continue
            self._head += piece
            if len(self._head) >= HEAD:
                self._begin_inside()

    def _begin_inside(self) -> None:
        if self._head is not None:
            self._inside, head, self._head = inside_of(self._head), self._head, None
            self.sort += {Tar: " tar", Rdb: " Redis", Dump: " SQL"}.get(type(self._inside), "")
            if self._inside is not None:
                self._inside.feed(head)

    @property
    def known(self) -> bool:
        """Whether anything could be tested."""
        return bool(self.sort)

    def __str__(self) -> str:
        inside = f", {show_size(self._seen)} inside" if self._seen != self.at else ""
        return f"{self.sort.strip() or 'unknown format'}, {show_size(self.at)}{inside}"
