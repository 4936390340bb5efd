"""How commands speak: results to stdout, complaints to stderr, tables that fit the terminal."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from typing import Any

COLOURS = {"ok": "\033[32m", "failed": "\033[31m", "error": "\033[33m"}


def out(text: str) -> None:
    """A line for people."""
    sys.stdout.write(text + "\n")


def data(what: Any) -> None:
    """The same for machines."""
    sys.stdout.write(json.dumps(what, indent=2, ensure_ascii=False) + "\n")


def complain(text: str) -> None:
    """A sentence about what is wrong, with the way out."""
    sys.stderr.write(f"runwatch: {text}\n")


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
    widths = [max(len(str(row[i])) for row in [titles, *rows]) for i in range(len(titles))]
    room = shutil.get_terminal_size((200, 24)).columns if sys.stdout.isatty() else 10_000
    for number, row in enumerate([titles, *rows]):
        cells = [str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)]
        used = sum(width + 2 for width in widths[:-1])
        cells[-1] = str(row[-1])[: max(20, room - used)].rstrip()
        if outcome_column is not None and number:
            cells[outcome_column] = coloured(cells[outcome_column], str(row[outcome_column]))
        out("  ".join(cells).rstrip())
