"""Finds the files of a log, and what rotation made of those that were read before."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from checks.base import Errored, Failed, Reason
from checks.parts.logfile.records import LONGEST
from checks.parts.paths import FLAGS, legible, searchable, sort_of, unreadable

MOST_FILES = 500
LONGEST_NAMES = 64 * 1024
"""Letters of all paths together: they are kept with the places."""
MARK = 256
COMPRESSED = (".gz", ".xz", ".bz2", ".zst", ".lz4", ".lzo", ".zip", ".Z")
FORGOTTEN = 86_400.0
"""Seconds after which a file that is gone is forgotten."""
MOST_SIBLINGS = 10_000
_GENERATION = re.compile(r"[.\-_][0-9][0-9T.\-_]*|\.(?:old|bak|prev|orig)")


class Spot(BaseModel):
    """How far a file was read. `mark` tells whether what was read is still there; `seen` is the size it had;
    `caught` when it was last read to its end; `rotated` is more than 0 where another file has taken its name, and more
    than 1 where that was so the last time already.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    path: str
    real: str = ""
    device: int
    inode: int
    offset: int
    mark: str = ""
    seen: int = 0
    caught: float = 0.0
    rotated: int = 0

    @property
    def identity(self) -> tuple[int, int]:
        """What stays the same when the file is renamed."""
        return self.device, self.inode


@dataclass(slots=True)
class Followed:
    """What one look at the files yielded beside the tally."""

    spots: list[Spot] = field(default_factory=list)
    files: int = 0
    lag: int = 0
    rotations: int = 0
    gaps: int = 0
    modified: float | None = None
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class File:
    path: str
    size: int
    modified: float
    identity: tuple[int, int]


def files_of(patterns: Sequence[str], followed: Followed) -> list[File]:
    """The regular files that the patterns name, compressed ones left out."""
    found: dict[tuple[int, int], File] = {}
    for pattern in patterns:
        many = glob.has_magic(pattern)
        # pathlib reads "[" and ".." otherwise, and in memory.
        paths = islice(glob.iglob(pattern), MOST_SIBLINGS) if many else (pattern,)  # noqa: PTH207
        count = 0
        for path in paths:
            if many and path.endswith(COMPRESSED):
                continue
            file = _look(legible(path), strict=not many)
            if file is not None:
                count += 1
                found.setdefault(file.identity, file)
        if len(found) > MOST_FILES or sum(len(file.path) for file in found.values()) > LONGEST_NAMES:
            more = f"it matches more than {MOST_FILES} files, or names too long to remember; narrow it down"
            raise Errored(Reason.INTERNAL, f"cannot follow {pattern}: {more}")
        if not count:
            searchable(pattern)
            followed.missing.append(pattern)
    return list(found.values())


def _look(path: str, strict: bool) -> File | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - a name as it is
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as why:
        raise unreadable(path, why) from None
    if not stat.S_ISREG(status.st_mode):
        if not strict:
            return None
        raise Failed(Reason.PROTOCOL, f"cannot read {path}: it is {sort_of(status.st_mode)}, not a file")
    return File(path, status.st_size, status.st_mtime, (status.st_dev, status.st_ino))


def plan_of(
    there: list[File], spots: Sequence[Spot] | None, at: float, from_end: bool, followed: Followed
) -> list[tuple[Spot, File]]:
    """Which file is to be read from where."""
    if spots is None:
        return [(_first(file, at, from_end), file) for file in there]
    by_identity = {file.identity: file for file in there}
    plan: dict[tuple[int, int], tuple[Spot, File]] = {}
    lost: list[Spot] = []
    for spot in spots:
        file = by_identity.get(spot.identity)
        if file is not None and _same(spot, file):
            plan[file.identity] = spot.model_copy(update={"path": file.path, "rotated": 0}), file
        elif file is None or file.path == spot.path:
            lost.append(spot)
    names = {file.path: file for file in there}
    for spot in lost:
        _find_rest(spot, names, plan, at, followed)
    for file in there:
        if file.identity not in plan:
            plan[file.identity] = _spot(file, 0), file
    return list(plan.values())


def _find_rest(
    spot: Spot, names: dict[str, File], plan: dict[tuple[int, int], tuple[Spot, File]], at: float, followed: Followed
) -> None:
    """Where a file's name now stands for something else: plan to read the rest of it under the name it has now."""
    again = names.get(spot.path)
    if again is not None and spot.mark and not spot.rotated and _same(spot, again):
        # Copied over from elsewhere, or a disk that has another number since the machine started.
        plan[again.identity] = _moved(spot, again), again
        return
    replaced = again is not None and not spot.rotated
    followed.rotations += replaced
    generations = list(_generations(spot.path))
    known = [file for file in (*generations[::-1], *_target(spot)) if _same(spot, file)]
    renamed = [file for file in known if file.identity == spot.identity]
    # Without a mark nothing was read yet, and any file would do.
    mine = next(iter(renamed or (known if spot.mark else [])), None)
    if mine is None:
        followed.gaps += replaced
        if spot.path not in names and spot.caught > at - FORGOTTEN:
            followed.spots.append(spot)
        return
    inside = {file.identity for file in names.values()}
    outside = mine.identity not in inside
    moved = _moved(spot, mine)
    if outside:
        rotated = min(spot.rotated + 1, 2) if replaced or spot.rotated else 0
        moved = moved.model_copy(update={"path": spot.path, "rotated": rotated})
    plan.setdefault(mine.identity, (moved, mine))
    for file in generations if replaced else ():
        # What was rotated since, while nobody looked.
        newer = file.modified > mine.modified and _form(spot.path, file.path) == _form(spot.path, mine.path)
        if newer and file.identity not in inside and file.identity not in plan:
            plan[file.identity] = _spot(file, 0).model_copy(update={"path": spot.path, "rotated": 1}), file


def _moved(spot: Spot, file: File) -> Spot:
    """The spot in the file that now holds what was read."""
    device, inode = file.identity
    return spot.model_copy(update={"path": file.path, "device": device, "inode": inode, "rotated": 0})


def _target(spot: Spot) -> Iterator[File]:
    """What the name, if it was a link, led to."""
    with suppress(Failed, Errored):
        file = _look(spot.real, strict=False) if spot.real else None
        if file is not None:
            yield file


def _generations(path: str) -> Iterator[File]:
    """The files beside this one that rotation made of it, the oldest first."""
    found, folder = [], os.path.dirname(path)  # noqa: PTH120 - a name as it is
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in islice(entries, MOST_SIBLINGS):
            if _form(path, entry.path):
                with suppress(Failed, Errored):
                    file = _look(entry.path, strict=False)
                    if file is not None:
                        found.append(file)
    yield from sorted(found, key=lambda file: file.modified)


def _form(path: str, other: str) -> str:
    """How rotation made the name `other` of `path`: behind (app.log.1), within (app-20260801.log), or not at all."""
    stem, suffix = os.path.splitext(path)  # noqa: PTH122 - a name as it is
    if other.startswith(path) and _GENERATION.fullmatch(other[len(path) :]):
        return "behind"
    middle = other[len(stem) : len(other) - len(suffix)] if suffix and other.endswith(suffix) else ""
    return "within" if other.startswith(stem) and _GENERATION.fullmatch(middle) else ""


def _first(file: File, at: float, from_end: bool) -> Spot:
    if not from_end:
        return _spot(file, 0)
    with suppress(OSError), Path(file.path).open("rb") as stream:
        return _spot(file, _line_start(stream.fileno(), file.size), at).model_copy(update={"seen": file.size})
    return _spot(file, file.size, at)


def _spot(file: File, offset: int, caught: float = 0.0) -> Spot:
    device, inode = file.identity
    real = os.path.realpath(file.path)
    return Spot(
        path=file.path, real="" if real == file.path else real, device=device, inode=inode, offset=offset, caught=caught
    )


def _line_start(descriptor: int, size: int) -> int:
    """Where the last line begins that is not finished; the end of the file where there is none."""
    start = max(0, size - LONGEST)
    tail = os.pread(descriptor, size - start, start)
    return start + tail.rfind(b"\n") + 1 if b"\n" in tail or start == 0 else size


def _same(spot: Spot, file: File) -> bool:
    """Whether the file under this identity is the one that was read, and no more than grew since."""
    return file.size >= spot.offset and (not spot.mark or _mark_at(file.path, spot.offset) == spot.mark)


def _mark_at(path: str, offset: int) -> str:
    with suppress(OSError):
        descriptor = os.open(path, FLAGS)
        try:
            return mark_of(descriptor, offset)
        finally:
            os.close(descriptor)
    return ""


def mark_of(descriptor: int, offset: int) -> str:
    """A fingerprint of what was read: of its beginning and its end."""
    if not offset:
        return ""
    size = min(MARK, offset)
    ends = os.pread(descriptor, size, 0), os.pread(descriptor, size, offset - size)
    return blake2b(b"".join(ends), digest_size=8).hexdigest()
