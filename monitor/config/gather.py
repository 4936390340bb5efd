"""Finds and reads every file of a configuration: the one named or a folder's, then what they include."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from glob import escape, glob, has_magic
from pathlib import Path
from typing import Any

from monitor.config.interpolation import Interpolation
from monitor.config.notes import Notes, Spot
from monitor.config.problems import Place, Problem, path_text
from monitor.config.reading import Unreadable, read
from monitor.config.sections import Items, Mark, Section, path_at

SUFFIXES = (".yaml", ".yml")
MOST_FILES = 2_000


@dataclass(slots=True)
class Gathered:
    """The top levels of all files in the order of reading, and everything that was touched on the way."""

    notes: Notes
    interpolation: Interpolation
    roots: list[Section] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    digest: Any = field(default_factory=hashlib.sha256)
    _unfilled: dict[Place, str] = field(default_factory=dict)
    _seen: set[Path] = field(default_factory=set)

    def add(self, file: Path) -> None:
        """Read a file and all that it includes; once, however often it is named."""
        real = file.resolve()
        if real in self._seen:
            return
        self._seen.add(real)
        self.files.append(file)
        if len(self._seen) > MOST_FILES:
            self.notes.wrong_at(Place(str(file)), f"more than {MOST_FILES} files are included")
            return
        try:
            value, source = read(file, file, self.interpolation)
        except Unreadable as why:
            self.notes.wrong_at(why.place, why.sentence)
            return
        self.digest.update(f"\0{file.name}\0{source.text}".encode())
        root = value if isinstance(value, Section) else None
        for mark, like, sentence in source.noticed:
            self._wrong(root, source.place(*mark), like, sentence)
        for place, sentence in self.interpolation.problems:
            self._wrong(root, place, (place.line - 1, place.column - 1), sentence)
            self._unfilled[place] = sentence
        self.interpolation.problems.clear()
        if value is None:
            self.notes.wrong_at(Place(str(file), 1, 1), "the file is empty")
        elif not isinstance(value, Section):
            found = "a list" if isinstance(value, Items) else "a single value"
            self.notes.wrong_at(Place(str(file), 1, 1), f"keys with values are wanted at the top, not {found}")
        else:
            self.roots.append(value)
            self._include(value, file)

    def problems(self) -> list[Problem]:
        """Everything that is wrong; of a text that could not be filled in nothing but that."""
        return [one for one in self.notes.problems if self._unfilled.get(one.place, one.sentence) == one.sentence]

    def _wrong(self, root: Section | None, place: Place, like: Mark, sentence: str) -> None:
        self.notes.wrong_at(place, sentence, path_text(path_at(root, like)) if root is not None else "")

    def _include(self, root: Section, file: Path) -> None:
        patterns = root.get("include")
        spot = Spot(root, ("include",))
        for at, pattern in self.notes.items(spot, [patterns] if isinstance(patterns, str) else patterns):
            if not isinstance(pattern, str) or not pattern or "\0" in pattern:
                self.notes.wrong(at, "a file's name is wanted, such as systems/*/system.yaml")
                continue
            found = _matches(file.parent, pattern)
            self._watch(file.parent, Path(pattern))
            if not found and not has_magic(pattern):
                self.notes.wrong(at, f"there is no file {pattern}")
            if not found and has_magic(pattern):
                self.notes.warn(at, f"no file matches {pattern}")
            for name in found:
                self.add_path(Path(name))

    def _watch(self, folder: Path, pattern: Path) -> None:
        """Note the folders in which a new file could come to match: from where the pattern leaves something open."""
        for part, below in zip(pattern.parents, (pattern, *pattern.parents), strict=False):
            if has_magic(str(part)) or has_magic(below.name):
                self.files += [path for name in _matches(folder, str(part)) if (path := Path(name)).is_dir()]

    def add_path(self, path: Path) -> None:
        """Read a file, or a folder."""
        if path.is_dir():
            self.add_folder(path)
        else:
            self.add(path)

    def add_folder(self, folder: Path) -> None:
        """Read every YAML file of a folder, in the order of their names."""
        self.files.append(folder)
        try:
            names = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.name[:1] != ".")
        except OSError as why:
            self.notes.wrong_at(Place(str(folder)), f"cannot read the folder: {why.strerror or why}")
            return
        if not names:
            self.notes.wrong_at(Place(str(folder)), "the folder holds no .yaml or .yml file")
        for file in names:
            self.add(file)


def _matches(folder: Path, pattern: str) -> list[str]:
    """What a pattern matches, from a folder unless it is absolute: which pathlib's own glob refuses."""
    whole = pattern if Path(pattern).is_absolute() else str(Path(escape(str(folder))) / pattern)
    return sorted(glob(whole, recursive=True))  # noqa: PTH207


def gather(where: Path, environ: Mapping[str, str]) -> Gathered:
    """Everything that a configuration consists of. Never raises for what is in the files: it is in the notes."""
    notes = Notes()
    gathered = Gathered(notes, Interpolation(environ))
    gathered.add_path(where)
    return gathered
