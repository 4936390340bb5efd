"""The units of `when`: what a literal is worth, what may meet what, and what comes of it."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from alerts.nearest import nearest
from checks.units import BYTES, SECONDS, parse_duration, parse_size, show

PLAIN = "plain"
"""The unit of a number written without one: it fits beside anything."""

WORDS = {
    "seconds": "in seconds",
    "bytes": "in bytes",
    "ratio": "a share",
    "count": "a count",
    "timestamp": "a point in time",
    "bool": "true or false",
    "per_second": "per second",
    "bytes_per_second": "in bytes per second",
    "number": "a number without a unit",
    PLAIN: "a number without a unit",
}
"""How a unit is said after "is"."""

_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e\d+)?")
_SCALES = frozenset({"ratio", "count", "number", PLAIN})
_PRODUCTS = {
    ("seconds", "per_second"): "count",
    ("seconds", "bytes_per_second"): "bytes",
}
_QUOTIENTS = {
    ("bytes", "seconds"): "bytes_per_second",
    ("bytes", "bytes_per_second"): "seconds",
    ("count", "per_second"): "seconds",
    **{(scale, "seconds"): "per_second" for scale in _SCALES},
    **{(scale, unit): "number" for scale in _SCALES for unit in ("bytes", "per_second", "bytes_per_second")},
    ("bytes_per_second", "per_second"): "bytes",
    ("bytes_per_second", "bytes"): "per_second",
}
_QUOTIENTS["count", "per_second"] = "seconds"


def literal(text: str) -> tuple[float, str]:
    """The base-unit value and the unit of a number as written; ValueError with a sentence."""
    written = "".join(text.split())
    if _NUMBER.fullmatch(written):
        value, unit = float(written), PLAIN
    elif written.endswith("%") and _NUMBER.fullmatch(written[:-1]):
        value, unit = float(written[:-1]) / 100, "ratio"
    else:
        value, unit = _with_unit(written)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large a number")
    return value, unit


def _with_unit(written: str) -> tuple[float, str]:
    for parse, unit in ((parse_size, "bytes"), (parse_duration, "seconds")):
        try:
            return float(parse(written)), unit
        except (ValueError, OverflowError):
            continue
    word = written.lstrip("0123456789.")
    known = [*SECONDS, *BYTES, "%"]
    near = nearest(word, known)
    hint = f"; did you mean {near}?" if near else "; the units are ms s m h d, B KB MB GB KiB MiB GiB, and %"
    raise ValueError(f"{written}: there is no unit {word!r}{hint}")


def comparable(left: str, right: str) -> bool:
    """Whether two units may stand on the two sides of a comparison."""
    return left == right or bool({left, right} & {PLAIN, "number"})


def combine(operator: str, left: str, right: str) -> str | None:
    """The unit of `left operator right`; None where that has no meaning."""
    left, right = ("count" if unit == "bool" else unit for unit in (left, right))
    match operator:
        case "+" | "-":
            return _sum(operator, left, right)
        case "*":
            return _product(left, right)
        case _:
            return _quotient(left, right)


def _sum(operator: str, left: str, right: str) -> str | None:
    if "timestamp" in (left, right):
        if left == right:
            return "seconds" if operator == "-" else None
        other = right if left == "timestamp" else left
        return "timestamp" if other == "seconds" and (operator == "+" or left == "timestamp") else None
    if left == right:
        return left
    for unit, other in ((left, right), (right, left)):
        if unit == PLAIN or (unit == "number" and other != PLAIN):
            return other
    return None


def _product(left: str, right: str) -> str | None:
    if "timestamp" in (left, right):
        return None
    for scale, other in ((left, right), (right, left)):
        if scale == PLAIN:
            return other
    if left == right and left in _SCALES:
        return left
    for scale, other in ((left, right), (right, left)):
        if scale in _SCALES and other not in _SCALES:
            return other
    if left in _SCALES and right in _SCALES:
        return "number" if "number" in (left, right) else "count"
    return _PRODUCTS.get((left, right)) or _PRODUCTS.get((right, left))


def _quotient(left: str, right: str) -> str | None:
    if "timestamp" in (left, right):
        return None
    if left == right:
        return left if left in (PLAIN, "number") else "ratio"
    if right in (PLAIN, "number"):
        return left
    if left not in _SCALES and right in _SCALES:
        return left
    if left in _SCALES and right in _SCALES:
        return "count" if (left, right) == ("count", "ratio") else "ratio" if left == "ratio" else "number"
    return _QUOTIENTS.get((left, right))


def shown(value: float | None, unit: str) -> str:
    """A value as a person reads it; a point in time as its UTC date and minute."""
    if value is None:
        return "no value"
    if unit == "timestamp":
        try:
            return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M} UTC"
        except (ValueError, OverflowError, OSError):
            return f"{value:.10g}"
    return show(value, unit) if math.isfinite(value) else f"{value}"
