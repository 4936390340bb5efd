"""What a server's answers to INFO and SLOWLOG say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from checks.parts.redis.resp import Refused, Reply
from checks.units import show_duration
from checks.wire.certificates import visible

LONGEST_INFO = 128 * 1024
"""Characters of INFO that are read: twenty times what a server says, and what still parses in 10 ms."""


@dataclass(frozen=True, slots=True)
class Slow:
    """An entry of the slow log: of the command only the first word, because its arguments may be secrets."""

    serial: int
    at: int
    microseconds: int
    word: str

    def __str__(self) -> str:
        at = datetime.fromtimestamp(self.at, UTC).strftime("%H:%M:%S")
        return f"{at} UTC {self.word} took {show_duration(self.microseconds / 1e6)}"


def slow_entry(reply: Reply) -> Slow | None:
    """One entry of SLOWLOG GET; None where it is none."""
    match reply:
        case [int(serial), int(at), int(took), [str(word), *_], *_] if 0 <= at < 2**33:
            return Slow(serial, at, took, visible(word.upper(), 30))
    return None


def parse_info(reply: Reply) -> dict[str, str]:
    """The fields of an INFO answer; what is none is left out."""
    lines = reply[:LONGEST_INFO].splitlines() if isinstance(reply, str) and not isinstance(reply, Refused) else []
    return {key: text for key, colon, text in (line.partition(":") for line in lines) if colon}


def pairs(text: str) -> dict[str, str]:
    """The fields in `keys=3,expires=0`."""
    return {key: value for key, equals, value in (pair.partition("=") for pair in text.split(",")) if equals}


def number(info: Mapping[str, str], field: str) -> float | None:
    """A field of INFO that is a number; None where it is absent or none."""
    try:
        value = float(info[field])
    except (KeyError, ValueError):
        return None
    return value if math.isfinite(value) else None


def progress(info: dict[str, str]) -> str:
    """How far loading is, as the end of a sentence."""
    done, left = number(info, "loading_loaded_perc"), number(info, "loading_eta_seconds")
    text = f", {done:.0f} % are loaded" if done is not None else ""
    return text + (f", about {show_duration(left)} to go" if left is not None and left > 0 else "")
