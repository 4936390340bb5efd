"""Reads when a secret was changed, and nothing else of it: what leaves here are dates and a salted hash."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from checks.base import Failed, Reason
from checks.parts.paths import FLAGS, sort_of, unreadable

LARGEST = 1 << 20
FUTURE = 86_400.0
COST = 1 << 14
"""scrypt's: 16 MiB and some 40 ms for a guess, since the hash of a weak secret could be guessed from what is kept."""

_MARKER = re.compile(
    rb"(?:rotated|changed|created|issued|set|updated)(?:\s+(?:on|at))?\s*[:=]?\s*(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d(?::\d\d)?)Z?)?",
    re.IGNORECASE,
)


class State(BaseModel):
    """What is kept of a value: whose hash it has, and since when."""

    model_config = ConfigDict(extra="ignore")

    salt: str = Field(pattern=r"^[0-9a-f]{32}$")
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    since: float = Field(gt=0, lt=1e11)

    @classmethod
    def read(cls, kept: object) -> Self | None:
        """What was kept, if it is of use."""
        try:
            return cls.model_validate(kept)
        except ValidationError:
            return None


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look yielded. `stamp` is of the file, so that what did not change is not hashed again."""

    made: float
    mode: int
    definitions: int
    stamp: tuple[int, int, int, int]
    state: State | None = None


def read_secret(
    path: str, variable: str, state: State | None, known: Seen | None, since: str, now: float
) -> Seen:  # fmt: skip
    """Look at the secret: takes time, not for the event loop. Raises Failed and Errored."""
    content, status = _content(path)
    stamp = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
    value, marked, definitions = _find(path, content, variable) if variable else (content.strip(), None, 1)
    if not value:
        raise Failed(Reason.ASSERTION, f"{path}{f':{variable}' if variable else ''} is empty: there is no secret")
    made = min(status.st_mtime, now)
    if since == "marker":
        if marked is None or marked > now + FUTURE:
            said = "no date such as `# rotated: 2026-08-01`" if marked is None else "a date that is still to come"
            raise Failed(Reason.ASSERTION, f"cannot tell the age of {path}:{variable}: beside it stands {said}")
        return Seen(marked, status.st_mode, definitions, stamp)
    if since != "change":
        return Seen(made, status.st_mode, definitions, stamp)
    if known is None or known.stamp != stamp or known.state != state or state is None:
        state = _compared(value, state, made, now)
    return Seen(state.since, status.st_mode, definitions, stamp, state)


def _compared(value: bytes, state: State | None, made: float, now: float) -> State:
    """Since when the value is what it is. The first time, the file's age is the least that it can be."""
    salt = bytes.fromhex(state.salt) if state else os.urandom(16)
    fingerprint = hashlib.scrypt(value, salt=salt, n=COST, r=8, p=1, maxmem=64 * 2**20).hex()[:64]
    if state is not None and fingerprint == state.hash:
        # A file that is older than what we know, and holds the same, has held it since.
        return state if made >= state.since else state.model_copy(update={"since": made})
    return State(salt=salt.hex(), hash=fingerprint, since=made if state is None else max(made, state.since))


def _content(path: str) -> tuple[bytes, os.stat_result]:
    try:
        descriptor = os.open(path, FLAGS)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise Failed(Reason.PROTOCOL, f"cannot read {path}: it is {sort_of(status.st_mode)}, not a file")
            if status.st_size > LARGEST:
                raise Failed(Reason.PROTOCOL, f"cannot read {path}: it is too large for a secret")
            return os.read(descriptor, LARGEST), status
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise Failed(Reason.ASSERTION, f"cannot read {path}: there is no such file") from None
    except OSError as why:
        raise unreadable(path, why) from None


def _find(path: str, content: bytes, variable: str) -> tuple[bytes, float | None, int]:
    """The variable's value, the date of the marker beside it, and how often it is set. The last one counts."""
    assignment = re.compile(rb"\s*(?:export\s+)?" + re.escape(variable.encode()) + rb"\s*=(.*)")
    value, marked, definitions, above = b"", None, 0, None
    for line in content.splitlines():
        found = assignment.fullmatch(line)
        if found:
            definitions += 1
            value, comment = _unquoted(found[1].strip())
            marked = _date(comment) or above
        above = _date(line) if line.lstrip().startswith(b"#") else None
    if not definitions:
        raise Failed(Reason.ASSERTION, f"{path} does not set {variable}")
    return value, marked, definitions


def _unquoted(text: bytes) -> tuple[bytes, bytes]:
    """The value and the comment behind it."""
    if text[:1] in (b"'", b'"'):
        value, quote, rest = text[1:].partition(text[:1])
        return (value, rest) if quote else (text, b"")
    value, _, comment = text.partition(b" #")
    return value.strip(), comment


def _date(comment: bytes) -> float | None:
    found = _MARKER.search(comment)
    if found is None:
        return None
    try:
        at = datetime.fromisoformat(found[1].decode() + (f"T{found[2].decode()}" if found[2] else ""))
    except ValueError:
        return None
    return at.replace(tzinfo=UTC).timestamp()
