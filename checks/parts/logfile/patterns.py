"""What to look for in a log's records, and the tally of what was found."""

from __future__ import annotations

import math
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from checks.base import printable
from checks.parts.logfile.fields import (
    LEVELS,
    FieldPath,
    Level,
    Scalar,
    condition,
    field_of,
    level_of,
    number_of,
    parsed,
)
from checks.parts.logfile.forbidden import Forbid
from checks.parts.logfile.records import Records
from checks.parts.naming import OWN_LABELS
from checks.parts.regex import Re2, compiled
from checks.units import BYTES, SECONDS

MOST_SETS = 50
"""Label sets of a pattern; what comes after them is counted under OTHER."""
OTHER = "other"
SHOWN = 5
"""Records of each pattern that are shown."""
LENGTH = 500
"""Characters of a record that are shown, of a label that are kept the fifth part."""
WINDOW = 8 * 1024
"""Bytes around a match that are looked at for what must be masked."""
MOST_IDS = 20
STAMPS = 50
"""Records of a piece whose time is read: enough for a percentile, and cheap."""

TURNS = 32
LONGEST_DELAY = 86_400.0
"""Seconds after which an event is not late but copied, or its time was read wrong."""
_ENDS_OF_TEXT = re.compile(r"(?<!\\)(?:\\\\)*(\\[AzZ])")

UNITS = {
    **{unit: ("seconds", factor) for unit, factor in SECONDS.items()},
    **{unit: ("bytes", float(factor)) for unit, factor in BYTES.items()},
    "%": ("ratio", 0.01), "ratio": ("ratio", 1.0), "count": ("count", 1.0), "number": ("number", 1.0),
}  # fmt: skip


def _unit(text: object) -> object:
    if text not in UNITS:
        raise ValueError(f"{text!r} is no unit; write one of {', '.join(UNITS)}")
    return text


class Pattern(BaseModel):
    """Records to count. All that is given must be true of a record."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    match: Re2 | None = Field(default=None, description="Regular expression (RE2) that is found in the record.")
    exclude: Re2 | None = Field(default=None, description="Regular expression that is not found in it.")
    level: Level | None = Field(default=None, description="The level that a record has at least, of JSON or a journal.")
    where: dict[FieldPath, Scalar | tuple[Scalar, ...]] = Field(
        default={}, description="Fields and their values, one of several values, or a limit such as `>= 500`."
    )
    labels: tuple[str, ...] = Field(
        default=(), max_length=4, description="Named captures of `match`, or fields, to tell the count apart by."
    )
    values: dict[str, Annotated[str, BeforeValidator(_unit)]] = Field(
        default={}, description="Named captures or fields that are numbers, and the unit in which they are written."
    )

    @model_validator(mode="after")
    def _whole(self) -> Pattern:
        if self.match is None and self.level is None and not self.where:
            raise ValueError("one of match, level and where is wanted")
        if self.match is not None and (found := _ENDS_OF_TEXT.search(self.match)):
            raise ValueError(f"{found[1]} is the end of all that is read at once; write ^ or $ for a record's")
        names = [identifier(label) for label in self.labels]
        if taken := [name for name in names if name in OWN_LABELS or names.count(name) > 1]:
            raise ValueError(f"{taken[0]!r} can't be a label: it is runwatch's own, or there twice")
        if self.match is not None and self.exclude is None and compiled(self.match).search(b"") is not None:
            raise ValueError(f"match {self.match!r} is found in every record")
        return self

    def check_names(self, fields: bool) -> None:
        """ValueError with a sentence where it reads what is not there; `fields`: whether records have any."""
        if self.reads_fields and not fields:
            raise ValueError("level and where need fields: set format: json, or read a journal")
        groups = compiled(self.match).groupindex if self.match is not None else {}
        for name in (*self.labels, *self.values):
            if name not in groups and not fields:
                named = ", ".join(sorted(groups)) or "none"
                raise ValueError(f"match has no capture named {name!r}, as in (?P<{name}>…); it has {named}")

    @property
    def reads_fields(self) -> bool:
        """Whether it asks for more than the record's text."""
        return self.level is not None or bool(self.where)


def shorthand(value: object) -> object:
    """A pattern written as its regular expression alone."""
    return {"match": value} if isinstance(value, str) else value


def identifier(path: str) -> str:
    """A capture or path as the name of a label or of a part of a measurement."""
    return (
        "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in path).strip("_").lower()
        or "value"
    )


@dataclass(slots=True)
class Found:
    """What one pattern found: records by the values of its labels, numbers by capture, the last records."""

    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)
    values: dict[str, list[float]] = field(default_factory=dict)
    last: deque[str] = field(default_factory=lambda: deque(maxlen=SHOWN))


@dataclass(slots=True)
class Rules:
    """All that is asked of a log, as its configuration says."""

    patterns: Mapping[str, Pattern]
    exclude: str | None
    forbid: Forbid | None
    correlation: str
    json: bool
    level_field: str
    stamp: Callable[[bytes, Mapping[str, Any] | None], float | None]
    several: bool


class Tally:
    """Counts in records as they are read. Takes time: not for the event loop."""

    def __init__(self, rules: Rules) -> None:
        self.records = self.bytes = 0
        self.found = {name: Found() for name in rules.patterns}
        self.forbidden: Counter[str] = Counter()
        self.forbidden_shown: deque[str] = deque(maxlen=SHOWN)
        self.ids: dict[str, None] = {}
        self.newest: float | None = None
        self.delays: list[float] = []
        self.tail: deque[str] = deque(maxlen=2 * SHOWN)
        self._rules = rules
        self._mask = rules.forbid or Forbid()
        self._conditions = {
            name: [(path, condition(wanted)) for path, wanted in pattern.where.items()]
            for name, pattern in rules.patterns.items()
        }
        self._parsed: dict[int, Mapping[str, Any] | None] = {}

    def add(self, records: Records, unseen_until: float | None = None) -> None:
        """Count these records. `unseen_until`: when, at the latest, none of them was there yet; None where unknown."""
        if not len(records):
            return
        self._parsed = {}
        self.records += len(records)
        self.bytes += len(records.data)
        excluded = {number for number, _ in records.found(self._rules.exclude)} if self._rules.exclude else frozenset()
        for name, pattern in self._rules.patterns.items():
            last: deque[tuple[int, int]] = deque(maxlen=MOST_IDS)
            for number, match in self._matching(records, pattern, name):
                if number not in excluded:
                    self._count(records, name, pattern, number, match)
                    start = records.starts[number] if records.by_line else 0
                    last.append((number, 0 if match is None else match.start() - start))
            self._show(records, name, last)
        if self._rules.forbid is not None:
            for what, number in self._rules.forbid.spans(records):
                self.forbidden[what] += 1
                self.forbidden_shown.append(self._shown(records, number, 0))
        self._time(records, unseen_until)
        for number in range(max(0, len(records) - (self.tail.maxlen or 0)), len(records)):
            self.tail.append(self._shown(records, number, 0))

    def _matching(self, records: Records, pattern: Pattern, name: str) -> Iterator[tuple[int, Any]]:
        if pattern.match is not None:
            candidates: Iterator[tuple[int, Any]] = records.found(pattern.match)
        else:
            candidates = ((number, None) for number in range(len(records)))
        lowest = LEVELS[pattern.level] if pattern.level else None
        for turn, (number, match) in enumerate(candidates):
            if turn % TURNS == 0:
                # Lets the event loop have its turn, for which it would wait for milliseconds each time.
                time.sleep(0)
            if pattern.reads_fields:
                fields = self._fields(records, number)
                if fields is None or not all(holds(field_of(fields, path)) for path, holds in self._conditions[name]):
                    continue
                if lowest is not None:
                    rank = level_of(fields, self._rules.level_field)
                    if rank is None or rank < lowest:
                        continue
            if pattern.exclude is None or compiled(pattern.exclude).search(records.text(number)) is None:
                yield number, match

    def _fields(self, records: Records, number: int) -> Mapping[str, Any] | None:
        if number not in self._parsed:
            fields = parsed(records.text(number)) if self._rules.json else None
            beside = records.fields[number] if records.fields is not None else None
            self._parsed[number] = {**beside, **(fields or {})} if beside is not None else fields
        return self._parsed[number]

    def _count(self, records: Records, name: str, pattern: Pattern, number: int, match: Any) -> None:
        found = self.found[name]
        captured = match.groupdict() if match is not None else {}

        def read(what: str) -> Any:
            if what in captured:
                return None if captured[what] is None else captured[what].decode("utf-8", "replace")
            fields = self._fields(records, number)
            return field_of(fields, what) if fields is not None else None

        labels = tuple(self._label(read(what)) for what in pattern.labels)
        found.counts[labels if labels in found.counts or len(found.counts) < MOST_SETS else _others(labels)] += 1
        for what, unit in pattern.values.items():
            value = number_of(read(what))
            if value is not None:
                found.values.setdefault(what, []).append(value * UNITS[unit][1])

    def _show(self, records: Records, name: str, last: Sequence[tuple[int, int]]) -> None:
        """Keep the last records of a pattern, and the ids in them."""
        self.found[name].last.extend(self._shown(records, number, at) for number, at in list(last)[-SHOWN:])
        for number, _ in last if self._rules.correlation else ():
            for one in compiled(self._rules.correlation).finditer(records.text(number)[: 2 * WINDOW]):
                self.ids.pop(text := printable(one.group().decode("utf-8", "replace"))[:100], None)
                self.ids[text] = None
        for old in list(self.ids)[:-MOST_IDS]:
            del self.ids[old]

    def _label(self, value: Any) -> str:
        if value is None or isinstance(value, dict | list):
            return ""
        text = self._mask.masked(str(value)[: 4 * LENGTH].encode("utf-8", "replace")).decode("utf-8", "replace")
        return printable(text).replace("\n", " ").replace("\t", " ").strip()[: LENGTH // 5]

    def _shown(self, records: Records, number: int, at: int) -> str:
        """The record, masked, cut to what is around the match."""
        start, end = records.starts[number], records.end(number)
        # Far from the beginning, what is cut in the middle of a word may be the rest of a secret.
        first = max(0, at - WINDOW)
        window = records.data[start + first : min(end, start + at + WINDOW)].rstrip(b"\n")
        if first:
            window = b"\xe2\x80\xa6" + (window.partition(b" ")[2] or MASKED_WHOLE)
        text = self._mask.masked(window).decode("utf-8", "replace")
        begin = 0 if at < LENGTH else max(0, len(text) // 2 - LENGTH // 2)
        cut = ("…" if begin else "") + text[begin : begin + LENGTH] + ("…" if len(text) > begin + LENGTH else "")
        return f"{records.origin}: {cut}" if self._rules.several and records.origin else cut

    def _time(self, records: Records, unseen_until: float | None) -> None:
        step = max(1, len(records) // STAMPS)
        for number in sorted({*range(0, len(records), step), len(records) - 1}):
            arrived = records.arrived[number] if records.arrived is not None else None
            at = self._rules.stamp(records.text(number), self._fields(records, number))
            if at is None:
                at, known = arrived, False
            else:
                known = True
            if at is None:
                continue
            self.newest = at if self.newest is None else max(self.newest, at)
            written = arrived if arrived is not None else unseen_until
            if known and written is not None and written - at < LONGEST_DELAY:
                self.delays.append(max(0.0, written - at))


MASKED_WHOLE = b"(a word too long to be shown)"


def _others(labels: Sequence[str]) -> tuple[str, ...]:
    return tuple(OTHER for _ in labels)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
