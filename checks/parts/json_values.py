"""Reads values out of a stranger's JSON: what is not there, or not of the kind that is wanted, is nothing."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any


def dig(held: Any, *path: str) -> Any:
    """The value at this path in nested objects; None where there is none."""
    for name in path:
        held = held.get(name) if isinstance(held, dict) else None
    return held


def number(held: Any, *path: str) -> float | None:
    """The finite number at this path; None where there is none."""
    found = dig(held, *path)
    return float(found) if type(found) in (int, float) and math.isfinite(found) else None


def whole(held: Any, *path: str) -> int:
    """The whole number at this path, as far as JSON can hold it in every language; 0 where there is none."""
    found = number(held, *path)
    return int(found) if found is not None and abs(found) < 2**53 else 0


def values(held: Any, *path: str) -> list[Any]:
    """The list at this path; an empty one where there is none."""
    found = dig(held, *path)
    return found if isinstance(found, list) else []


def text(held: Any, *path: str) -> str:
    """The text at this path; empty where there is none."""
    found = dig(held, *path)
    return found if isinstance(found, str) else ""


def moment(written: str) -> float:
    """Unix seconds of an RFC 3339 time; 0 for none, which Go writes as the year 1."""
    try:
        at = datetime.fromisoformat(written)
        return 0.0 if at.year < 1970 else (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def header_date(written: str | None, otherwise: float) -> float:
    """Unix seconds of a Date header: what time the other side has."""
    try:
        return parsedate_to_datetime(written or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return otherwise
