"""Reads a Markdown page: its blocks of code, tables, links, code spans and anchors, each with its line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from monitor.config.playbook import sections

_FENCE = re.compile(r"(`{3,})(.*)")
_COMMENT = re.compile(r"<!--\s*(.*?)\s*-->")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_CELL = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"\|[\s:|-]+\|")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; `note` is the comment in the line above it, `line` that of its first line, from 1."""

    language: str
    text: str
    line: int
    note: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table with the title of its first column in small letters."""

    title: str
    cells: tuple[str, ...]
    line: int


class Page:
    """One page. `path` is where it lies, from the repository's root."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.text = text
        self.blocks: list[Block] = []
        self.prose: list[str] = []
        self._cut(text.splitlines())

    def _cut(self, lines: list[str]) -> None:
        """Tell code from prose; a line of code is an empty line of prose, so that the numbers stay."""
        fence, language, start, body = "", "", 0, list[str]()
        for number, line in enumerate(lines):
            found = _FENCE.fullmatch(line.strip())
            if not fence and found:
                fence, language, start, body = found[1], found[2].strip(), number, []
            elif fence and found and found[1] == fence and not found[2]:
                above = _COMMENT.fullmatch(lines[start - 1].strip()) if start else None
                note = above[1] if above else ""
                self.blocks.append(Block(language, "\n".join(body) + "\n", start + 2, note))
                fence = ""
                self.prose.append("")
                continue
            elif fence:
                body.append(line)
            self.prose.append("" if fence else line)

    @cached_property
    def rows(self) -> list[Row]:
        """The rows of all tables, without their headers."""
        found = []
        title = ""
        for number, line in enumerate(self.prose, 1):
            if not line.startswith("|"):
                title = ""
                continue
            cells = tuple(cell.strip().replace("\\|", "|") for cell in _CELL.split(line)[1:-1])
            if not title:
                title = cells[0].lower()
            elif not _RULE.fullmatch(line):
                found.append(Row(title, cells, number))
        return found

    @cached_property
    def links(self) -> list[tuple[int, str]]:
        """Line and destination of every link and picture."""
        return [(number, found) for number, line in self._without_spans() for found in _LINK.findall(line)]

    @cached_property
    def spans(self) -> list[tuple[int, str]]:
        """Line and text of every `code span`."""
        return [(number, found) for number, line in enumerate(self.prose, 1) for found in _SPAN.findall(line)]

    @cached_property
    def anchors(self) -> set[str]:
        """What a link may name after the #."""
        return set(sections(self.text, str(self.path)))

    def _without_spans(self) -> list[tuple[int, str]]:
        return [(number, _SPAN.sub("", line)) for number, line in enumerate(self.prose, 1)]


def spans_of(cell: str) -> list[str]:
    """The code spans of a table's cell."""
    return _SPAN.findall(cell)


def table(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table as Markdown."""
    lines = [titles, tuple("---" for _ in titles), *rows]
    return "\n".join(
        "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in row) + " |" for row in lines
    )
