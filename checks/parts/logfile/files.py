"""Follows files that grow: through rotation, truncation and restarts, each record once."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from checks.parts.logfile.patterns import Tally
from checks.parts.logfile.records import BLOCK, LONGEST, Cutter
from checks.parts.logfile.rotation import File, Followed, Spot, files_of, mark_of, plan_of
from checks.parts.paths import FLAGS, unreadable


@dataclass(slots=True)
class Budget:
    """What may still be read: bytes, and until when (monotonic)."""

    bytes: int
    until: float

    @property
    def spent(self) -> bool:
        """Whether the rest has to wait for the next probe."""
        return self.bytes <= 0 or time.monotonic() >= self.until


def follow(
    patterns: Sequence[str], spots: Sequence[Spot] | None, at: float, from_end: bool, cutter: Cutter, budget: Budget,
    tally: Tally,
) -> Followed:  # fmt: skip
    """Read what is new in the files into the tally. `spots` is how far they were read; None the first time.

    Takes time: not for the event loop. Raises Failed or Errored before anything is counted as read: the caller keeps
    `spots` of the answer, or asks again with the old ones.
    """
    followed = Followed()
    there = files_of(patterns, followed)
    followed.files = len(there)
    followed.modified = max((file.modified for file in there), default=None)
    plan = plan_of(there, spots, at, from_end, followed)
    # Who has waited longest comes first, so that a file that grows without end starves no other.
    for spot, file in sorted(plan, key=lambda pair: pair[0].caught):
        kept = _read(spot, file, at, cutter, budget, tally, followed)
        if kept is not None:
            followed.spots.append(kept)
    return followed


def _read(
    spot: Spot, file: File, at: float, cutter: Cutter, budget: Budget, tally: Tally, followed: Followed
) -> Spot | None:
    """Read on from the spot; how far it is now, None where nothing more will come."""
    try:
        descriptor = os.open(file.path, FLAGS)
    except FileNotFoundError:
        return spot
    except OSError as why:
        raise unreadable(file.path, why) from None
    try:
        status = os.fstat(descriptor)
        if (status.st_dev, status.st_ino) != file.identity:
            return spot
        size = status.st_size
        # What has not changed since it was seen, and will not: what it ends with is all there is of it.
        still = size == spot.seen and size > spot.offset
        final = still and (spot.rotated > 1 or _ends_with_line(descriptor, size))
        offset = _read_on(descriptor, spot.offset, size, final, file.path, cutter, budget, tally, spot.caught or None)
        held = size - offset < LONGEST and not budget.spent
        if spot.rotated > 1 and size == spot.seen and offset >= size:
            return None
        followed.lag += 0 if held else size - offset
        return spot.model_copy(
            update={"offset": offset, "mark": mark_of(descriptor, offset), "seen": size,
                    "caught": at if held else spot.caught}
        )  # fmt: skip
    except OSError as why:
        raise unreadable(file.path, why) from None
    finally:
        os.close(descriptor)


def _read_on(
    descriptor: int, offset: int, size: int, final: bool, path: str, cutter: Cutter, budget: Budget, tally: Tally,
    unseen_until: float | None,
) -> int:  # fmt: skip
    """Where reading stopped."""
    want = BLOCK
    while offset < size and not budget.spent:
        offset = _past_hole(descriptor, offset, size)
        raw = os.pread(descriptor, min(want, size - offset), offset)
        if not raw:
            break
        blank = len(raw) - len(raw.lstrip(b"\0"))
        if blank:
            offset, budget.bytes = offset + blank, budget.bytes - blank
            continue
        at_end = offset + len(raw) >= size
        whole = cutter.whole(raw, final and at_end)
        if not whole:
            if at_end:
                break
            want = min(4 * want, LONGEST)
            continue
        tally.add(cutter.records(path, raw[:whole]), unseen_until)
        budget.bytes -= whole
        offset += whole
        want = BLOCK
    return offset


def _past_hole(descriptor: int, offset: int, size: int) -> int:
    """Where data go on: a file that was cut while its writer kept its place has a hole in front of them."""
    try:
        return max(offset, os.lseek(descriptor, offset, os.SEEK_DATA))
    except OSError as why:
        return size if why.errno == errno.ENXIO else offset


def _ends_with_line(descriptor: int, size: int) -> bool:
    return os.pread(descriptor, 1, size - 1) == b"\n"


def newest_of(patterns: Sequence[str], most: int) -> list[str]:
    """The files that changed last."""
    files = sorted(files_of(patterns, Followed()), key=lambda file: -file.modified)
    return [file.path for file in files[:most]]


def tail(path: str, most: int = 16 * 1024) -> bytes:
    """The last lines of a file; empty where it can't be read."""
    with suppress(OSError):
        descriptor = os.open(path, FLAGS)
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                size = os.fstat(descriptor).st_size
                raw = os.pread(descriptor, most, max(0, size - most))
                return raw if size <= most else raw.partition(b"\n")[2]
        finally:
            os.close(descriptor)
    return b""
