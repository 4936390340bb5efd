"""Decodes what a container engine's API gives as a container's log: framed, or raw where there is a terminal."""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

HEADER = 8
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
STREAMS = {0: "stdin", 1: "stdout", 2: "stderr"}


class Line(NamedTuple):
    """One line: when it was written as the engine says it (RFC 3339), on which stream, its text."""

    at: str
    stream: str
    text: bytes

    @property
    def nanoseconds(self) -> int:
        """`at` since 1970; ValueError where it is no time."""
        found = _STAMP.fullmatch(self.at)
        if found is None:
            raise ValueError(f"the log's lines have no time in front but {self.at[:40]!r}")
        whole = int(datetime.fromisoformat(found[1] + found[3]).timestamp())
        return whole * 10**9 + int((found[2] or "").ljust(9, "0"))


def unframed(body: bytes) -> list[tuple[str, bytes]]:
    """The stream and content of each whole frame; ValueError where these are none.

    A frame is `stream, 0, 0, 0, size (4 bytes, big-endian), content`: Docker Engine API, "Attach to a container".
    """
    frames, at = [], 0
    while at + HEADER <= len(body):
        stream, size = body[at], int.from_bytes(body[at + 4 : at + HEADER], "big")
        if stream not in STREAMS or body[at + 1 : at + 4] != b"\0\0\0":
            raise ValueError(f"what stands at byte {at} is no frame")
        content = body[at + HEADER : at + HEADER + size]
        if len(content) < size:
            break
        frames.append((STREAMS[stream], content))
        at += HEADER + size
    return frames


def log_lines(body: bytes, terminal: bool) -> list[Line]:
    """The whole lines of an answer that was asked for with `timestamps=1`; half a line at the end is left out.

    ValueError where these are none. What the engine cut because it was long is joined again.
    """
    parts: dict[str, bytes] = {}
    lines: list[Line] = []
    for stream, content in [("stdout", body)] if terminal else unframed(body):
        pieces = content.split(b"\n")
        if not terminal and len(pieces) == 1:
            # A piece of a line too long for one frame; each piece has the time in front.
            before = parts.get(stream, b"")
            parts[stream] = before + (content.partition(b" ")[2] if before else content)
            continue
        for piece in pieces[:-1]:
            before = parts.pop(stream, b"")
            lines.append(_timed(stream, before + (piece.partition(b" ")[2] if before else piece)))
        if pieces[-1] and not terminal:
            parts[stream] = pieces[-1]
    return lines


def _timed(stream: str, line: bytes) -> Line:
    at, _, text = line.partition(b" ")
    return Line(at.decode("ascii", "replace"), stream, text.removesuffix(b"\r"))
