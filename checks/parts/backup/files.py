"""Finds backups by their names, and says when each was made and how large it is."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from statistics import median
from zoneinfo import ZoneInfo

from checks.base import Errored, Reason
from checks.parts.paths import legible, searchable, unreadable

MOST = 10_000
"""Files that are looked at; as many inside a backup that is a folder."""
COMPARED = 7

_DIRECTIVES = {"Y": r"\d{4}", "m": r"\d\d", "d": r"\d\d", "H": r"\d\d", "M": r"\d\d", "S": r"\d\d", "y": r"\d\d"}


def date_expression(form: str) -> re.Pattern[str]:
    """What finds a date of this form, such as %Y%m%d_%H%M, in a name; ValueError with a sentence."""
    pieces, at = [], 0
    for found in re.finditer(r"%(.)", form):
        if found[1] not in _DIRECTIVES:
            raise ValueError(f"%{found[1]} can't stand in {form!r}; %Y %m %d %H %M %S %y can")
        pieces += [re.escape(form[at : found.start()]), _DIRECTIVES[found[1]]]
        at = found.end()
    if not any(f"%{sign}" in form for sign in "Yy") or "%m" not in form or "%d" not in form:
        raise ValueError(f"{form!r} is no date; write the one in the names, such as %Y%m%d_%H%M%S")
    return re.compile("".join([*pieces, re.escape(form[at:])]))


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup: a file, or a folder with all that is in it. `made` in Unix seconds, by its name or its change."""

    path: str
    size: int
    changed: float
    made: float
    folder: bool = False

    @property
    def stamp(self) -> list[float]:
        """What is different once it was written to again."""
        return [self.size, self.changed]


def backups_of(patterns: Sequence[str], form: str, zone: ZoneInfo) -> list[Backup]:
    """The backups that the patterns name, the oldest first. Takes time: not for the event loop.

    With a `form`, files without such a date in their name are none. Raises Errored where we may not look.
    """
    expression = date_expression(form) if form else None
    found: dict[str, Backup] = {}
    for pattern in patterns:
        # pathlib reads "[" and ".." otherwise, and in memory.
        paths = list(islice(glob.iglob(pattern), MOST + 1))  # noqa: PTH207
        if len(paths) > MOST:
            raise Errored(Reason.INTERNAL, f"cannot look at {pattern}: it matches more than {MOST} files")
        if not paths:
            searchable(pattern)
        for path in map(legible, paths):
            made = _dated(path, form, expression, zone) if expression is not None else None
            if expression is None or made is not None:
                with suppress(FileNotFoundError):
                    found[path] = _look(path, made)
    return sorted(found.values(), key=lambda backup: (backup.made, backup.path))


def _dated(path: str, form: str, expression: re.Pattern[str], zone: ZoneInfo) -> float | None:
    for found in expression.finditer(path.rpartition("/")[2]):
        with suppress(ValueError, OverflowError):
            return datetime.strptime(found[0], form).replace(tzinfo=zone).timestamp()
    return None


def _look(path: str, made: float | None) -> Backup:
    try:
        status = os.stat(path)  # noqa: PTH116 - a name as it is
        size, changed = status.st_size, status.st_mtime
        folder = stat.S_ISDIR(status.st_mode)
        if folder:
            held = [(0, changed), *islice(_inside(path), MOST)]
            size, changed = sum(size for size, _ in held), max(changed for _, changed in held)
    except FileNotFoundError:
        raise
    except OSError as why:
        raise unreadable(path, why) from None
    return Backup(path, size, changed, changed if made is None else made, folder)


def _inside(folder: str) -> Iterator[tuple[int, float]]:
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                status = os.lstat(os.path.join(place, name))  # noqa: PTH118 - a name as it is
                yield status.st_size, status.st_mtime


def size_ratio(backups: Sequence[Backup]) -> float | None:
    """The size of the last against the usual: the median of up to COMPARED before it, so that one bad backup
    does not become the measure of the next. None where there is nothing to compare with.
    """
    before = [backup.size for backup in backups[-1 - COMPARED : -1]]
    usual = median(before) if before else 0
    return backups[-1].size / usual if usual else None


def disks_of(patterns: Sequence[str]) -> list[tuple[str, int, int]]:
    """The folders of the patterns, as far as they are there: bytes free and in all on the disk of each."""
    found: dict[str, tuple[str, int, int]] = {}
    for pattern in patterns:
        folder = os.path.dirname(pattern)  # noqa: PTH120 - a pattern is no path
        while glob.has_magic(folder):
            folder = os.path.dirname(folder)  # noqa: PTH120
        with suppress(OSError):
            disk = os.statvfs(folder)
            found[folder] = folder, disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
    return list(found.values())
