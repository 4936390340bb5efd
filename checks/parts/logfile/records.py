"""Cuts what was read of a log into records: lines, or several lines where one begins each."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from checks.parts.regex import Re2, compiled

BLOCK = 256 * 1024
"""Bytes that are searched at a time: some milliseconds, between which others may run."""
LONGEST = 1 << 20
"""Bytes of a record; what is longer counts as several."""

_LINE_END = re.compile(rb"\n")


class Multiline(BaseModel):
    """How several lines make one record, such as a stack trace."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: Re2 = Field(description="What the first line of each record matches, such as `^\\d{4}-` or `^\\S`.")


class Read(NamedTuple):
    """Where to read on, and whether there is more already."""

    cursor: str
    behind: bool


@dataclass(slots=True)
class Records:
    """Whole records of one origin, in their order: `data`, and where in it each begins.

    `data` is UTF-8 and ends with a line's end. `arrived` holds when each was written down, where the source knows;
    `fields` what the source says of each beside its text.
    """

    origin: str
    data: bytes
    starts: Sequence[int]
    arrived: Sequence[float] | None = None
    fields: Sequence[Mapping[str, Any]] | None = None
    by_line: bool = True

    def __len__(self) -> int:
        return len(self.starts)

    def at(self, position: int) -> int:
        """The number of the record that holds this byte."""
        return bisect_right(self.starts, position) - 1

    def end(self, number: int) -> int:
        """Where the next record begins."""
        return self.starts[number + 1] if number + 1 < len(self.starts) else len(self.data)

    def text(self, number: int) -> bytes:
        """The record without its line's end."""
        return self.data[self.starts[number] : self.end(number)].rstrip(b"\r\n")

    def found(self, expression: str) -> Iterator[tuple[int, Any]]:
        """The number of each record in which the expression is found, and its first match there.

        Lines are searched all at once, which is many times faster; positions are those in `data` then, and in the
        record where it may have several lines.
        """
        if not self.by_line:
            pattern = compiled(expression)
            for number in range(len(self)):
                match = pattern.search(self.text(number))
                if match is not None:
                    yield number, match
            return
        pattern, position = compiled(expression, by_line=True), 0
        while position < len(self.data) and (match := pattern.search(self.data, position)) is not None:
            number = self.at(min(match.start(), len(self.data) - 1))
            yield number, match
            position = self.end(number)


def lines(origin: str, raw: bytes) -> Records:
    """Each line of `raw` as a record."""
    data = clean(raw)
    return Records(origin, data, _after_line_ends(data))


def joined(
    origin: str, texts: Sequence[bytes], arrived: Sequence[float], fields: Sequence[Mapping[str, Any]] | None = None
) -> Records:
    """Texts that came one by one, each a record, whatever lines it has."""
    starts, size, data = [], 0, [clean(text) for text in texts]
    for text in data:
        starts.append(size)
        size += len(text)
    by_line = not any(b"\n" in text[:-1] for text in data)
    return Records(origin, b"".join(data), starts, arrived, fields, by_line)


class Cutter:
    """Cuts a log that grows into records, in pieces."""

    def __init__(self, multiline: Multiline | None = None) -> None:
        self._start = multiline.start if multiline else ""

    def whole(self, raw: bytes, final: bool) -> int:
        """How many bytes of `raw`, which begins with a record, are whole records; all of them where `final`."""
        if final:
            return len(raw)
        end = raw.rfind(b"\n") + 1
        if self._start:
            end = self._last_start(raw, end)
        # A record that never ends must not be waited for.
        return len(raw) if end == 0 and len(raw) >= LONGEST else end

    def _last_start(self, raw: bytes, end: int) -> int:
        """Where the last record before `end` begins: more lines of it may come."""
        pattern, last, position = compiled(self._start, by_line=True), 0, 0
        while position < end and (match := pattern.search(raw, position, end)) is not None:
            last = raw.rfind(b"\n", 0, match.start()) + 1
            position = raw.find(b"\n", match.start()) + 1
        return last

    def records(self, origin: str, raw: bytes) -> Records:
        """The records of `raw`, which holds whole ones."""
        found = lines(origin, raw)
        if not self._start:
            return found
        firsts = {0, *(found.starts[number] for number, _ in found.found(self._start))}
        return Records(origin, found.data, sorted(firsts), by_line=False)


def clean(raw: bytes) -> bytes:
    """The bytes as UTF-8 with a line's end after each line: `\\n`."""
    if not raw.isascii():
        raw = raw.decode("utf-8", "replace").encode()
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n")
    return raw if raw.endswith(b"\n") else raw + b"\n"


def _after_line_ends(data: bytes) -> list[int]:
    starts = [0, *(match.end() for match in _LINE_END.finditer(data))]
    starts.pop()
    return starts
