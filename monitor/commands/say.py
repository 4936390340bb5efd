"""How commands speak: results to stdout, complaints to stderr, tables that fit the terminal."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from typing import Any

COLOURS = {"ok": "\033[32m", "failed": "\033[31m", "error": "\033[33m"}


def out(text: str) -> None:
    """A line for people. Whatever a target or a stranger put into it moves no cursor and hides nothing."""
    sys.stdout.write(harmless(text) + "\n")


def harmless(text: str) -> str:
    """The text without what a terminal would obey."""
    if text.isprintable():
        return text
    from checks.base import printable

    return printable(text)


def data(what: Any) -> None:
    """The same for machines; what a terminal would obey is escaped."""
    text = json.dumps(what, indent=2, ensure_ascii=False)
    if not text.replace("\n", "").isprintable():
        text = "".join(char if char == "\n" or char.isprintable() else json.dumps(char)[1:-1] for char in text)
    sys.stdout.write(text + "\n")


def complain(text: str) -> None:
    """A sentence about what is wrong, with the way out."""
    sys.stderr.write(f"runwatch: {harmless(text)}\n")


def progress(text: str) -> None:
    """A line that the next one overwrites; only where somebody looks."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


def coloured(text: str, word: str) -> str:
    """In the colour of an outcome, on a terminal."""
    return f"{COLOURS[word]}{text}\033[0m" if word in COLOURS and sys.stdout.isatty() else text


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], outcome_column: int | None = None) -> None:
    """Columns as wide as their content; the last one is cut where the terminal ends."""
    rows = [[harmless(" ".join(str(cell).split("\n"))).replace("\t", " ") for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [titles, *rows]) for i in range(len(titles))]
    room = shutil.get_terminal_size((200, 24)).columns if sys.stdout.isatty() else 10_000
    for number, row in enumerate([titles, *rows]):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        used = sum(width + 2 for width in widths[:-1])
        cells[-1] = row[-1][: max(20, room - used)].rstrip()
        if outcome_column is not None and number:
            cells[outcome_column] = coloured(cells[outcome_column], row[outcome_column])
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
