"""Values read from a file that remember where they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monitor.config.problems import Place, Step

Mark = tuple[int, int]
"""Line and column from 0."""


@dataclass(slots=True)
class Source:
    """A file that was read, and what was noticed while it was."""

    file: Path
    text: str
    noticed: list[tuple[Mark, Mark, str]] = field(default_factory=list)
    """What is wrong: where, the key or value that tells the path, a sentence."""

    def place(self, line: int, column: int) -> Place:
        return Place(str(self.file), line + 1, column + 1)

    def line(self, number: int) -> str:
        """A line by its number from 0."""
        lines = self.text.split("\n", number + 1)
        return lines[number] if number < len(lines) else ""

    def offset(self, place: Place, text: str) -> int | None:
        """How far behind a place the text itself begins: 1 after a quotation mark; None where it is not written so."""
        rest = self.line(place.line - 1)[place.column - 1 :]
        if rest.startswith(text):
            return 0
        return 1 if rest[:1] in ("'", '"') and rest.startswith(text, 1) else None


class Section(dict[str, Any]):
    """A mapping that knows its file, where it begins, and where each of its keys and values stands."""

    __slots__ = ("depth", "keys_at", "mark", "size", "source", "values_at")

    def __init__(self, source: Source, mark: Mark) -> None:
        super().__init__()
        self.source = source
        self.mark = mark
        self.keys_at: dict[str, tuple[Source, Mark]] = {}
        self.values_at: dict[str, tuple[Source, Mark]] = {}
        self.size = 1
        self.depth = 1

    def place(self, path: Sequence[Step] = (), *, of_key: bool = False) -> Place:
        """Where the value at the path stands, or its key; the nearest part that exists, where it does not."""
        source, mark = self.source, self.mark
        value: Any = self
        for place, step in enumerate(path):
            if isinstance(value, Section) and isinstance(step, str) and step in value.values_at:
                last = place == len(path) - 1
                source, mark = (value.keys_at if last and of_key else value.values_at)[step]
            elif isinstance(value, Items) and isinstance(step, int) and step < len(value.values_at):
                source, mark = value.source, value.values_at[step]
            else:
                break
            value = value[step]
        return source.place(*mark)


class Items(list[Any]):
    """A list that knows where each of its values stands."""

    __slots__ = ("depth", "mark", "size", "source", "values_at")

    def __init__(self, source: Source, mark: Mark) -> None:
        super().__init__()
        self.source = source
        self.mark = mark
        self.values_at: list[Mark] = []
        self.size = 1
        self.depth = 1


def path_at(root: Section, mark: Mark) -> tuple[Step, ...]:
    """The path of the key or value that stands at a mark of the root's own file; () where there is none."""
    seen: set[int] = set()
    waiting: list[tuple[tuple[Step, ...], Any]] = [((), root)]
    while waiting:
        path, value = waiting.pop()
        if not isinstance(value, Section | Items) or id(value) in seen or value.source is not root.source:
            continue
        seen.add(id(value))
        if isinstance(value, Section):
            for name, below in value.items():
                if mark in (value.keys_at[name][1], value.values_at[name][1]):
                    return *path, name
                waiting.append(((*path, name), below))
        else:
            for index, below in enumerate(value):
                if mark == value.values_at[index] and not isinstance(below, Section | Items):
                    return *path, index
                waiting.append(((*path, index), below))
    return ()
