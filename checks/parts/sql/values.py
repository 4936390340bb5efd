"""What a column holds, as a number or as text to compare, from PostgreSQL's text form and the type that it names."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from checks.wire.certificates import visible

# Object ids of pg_type.dat, fixed for all versions.
BOOL, INTERVAL, DATE, TIMESTAMP, TIMESTAMPTZ, TIME = 16, 1186, 1082, 1114, 1184, 1083
NUMBERS = frozenset({20, 21, 23, 26, 700, 701, 1700})
TIMES = frozenset({DATE, TIMESTAMP, TIMESTAMPTZ})

LONGEST = 200
"""Characters of a value that are compared or shown."""

# intervalstyle iso_8601, chapter "Date/Time Types".
_INTERVAL = re.compile(
    r"P(?:(-?\d+)Y)?(?:(-?\d+)M)?(?:(-?\d+)W)?(?:(-?\d+)D)?(?:T(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?\d+(?:\.\d+)?)S)?)?"
)
# A year and a month as extract(epoch) counts them.
_SECONDS = (31_557_600.0, 2_592_000.0, 604_800.0, 86_400.0, 3600.0, 60.0, 1.0)


class NotANumber(ValueError):
    """A value that can't be measured; the text says what it is."""


def number(text: str | None, kind: int) -> Decimal | None:
    """The value as a number: seconds for an interval, Unix seconds for a point in time, 1 and 0 for true and false.

    None for NULL. A timestamp without time zone is taken for UTC. Raises NotANumber.
    """
    if text is None:
        return None
    reader = _READERS.get(kind) or (_decimal if kind in NUMBERS else None)
    found = reader(text) if reader is not None else None
    if found is None or not found.is_finite():
        what = visible(text, 40)
        raise NotANumber(f"{what!r}" + ("" if kind in NUMBERS else f", of a type that is no number ({kind})"))
    return found


def _decimal(text: str) -> Decimal | None:
    # More digits than a double's exponent has are nobody's measurement, and slow to convert.
    try:
        return Decimal(text) if len(text) <= 300 else None
    except InvalidOperation:
        return None


def _truth(text: str) -> Decimal | None:
    return {"t": Decimal(1), "f": Decimal(0)}.get(text)


def _moment(text: str) -> Decimal | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:  # infinity, or before our era
        return None
    return Decimal(repr((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()))


def _span(text: str) -> Decimal | None:
    match = _INTERVAL.fullmatch(text)
    if match is None:
        return None
    return sum(
        (Decimal(part) * Decimal(size) for part, size in zip(match.groups(), _SECONDS, strict=True) if part), Decimal(0)
    )


_READERS: dict[int, Callable[[str], Decimal | None]] = {
    BOOL: _truth, INTERVAL: _span, DATE: _moment, TIMESTAMP: _moment, TIMESTAMPTZ: _moment,
}  # fmt: skip


def is_same(text: str | None, kind: int, wanted: Any) -> bool:
    """Whether a value is the one that the configuration wants: NULL, true or false, a number, or a text."""
    if text is None or wanted is None:
        return text is None and wanted is None
    if isinstance(wanted, bool):
        return kind == BOOL and text == ("t" if wanted else "f")
    if isinstance(wanted, int | float):
        try:
            return kind != BOOL and number(text, kind) == Decimal(repr(wanted))
        except NotANumber:
            return False
    return text == str(wanted)


def shown(text: str | None, kind: int) -> str:
    """A value as a person reads it, on one line."""
    if text is None:
        return "NULL"
    return {"t": "true", "f": "false"}.get(text, text) if kind == BOOL else visible(text, LONGEST)
