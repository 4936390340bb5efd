"""The fields of a record that is JSON: finding one, its level, and conditions on them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator

Level = Literal["trace", "debug", "info", "notice", "warning", "error", "critical"]
LEVELS = {
    "trace": 0, "verbose": 0, "silly": 0, "debug": 1, "info": 2, "information": 2, "notice": 3, "warn": 4,
    "warning": 4, "err": 5, "error": 5, "severe": 5, "crit": 6, "critical": 6, "fatal": 6, "alert": 6, "emerg": 6,
    "emergency": 6, "panic": 6,
}  # fmt: skip
LEVEL_FIELDS = ("level", "severity", "levelname", "lvl", "log.level", "PRIORITY")
SYSLOG = (6, 6, 6, 5, 4, 3, 2, 1)
"""Ranks of journald's and syslog's priorities 0 to 7."""
PINO = 10

Scalar = str | int | float | bool | None
_COMPARED = re.compile(r"\s*(>=|<=|>|<)\s*(-?\d+(?:\.\d+)?)\s*")


def parsed(text: bytes) -> Mapping[str, Any] | None:
    """The record as a JSON object; None where it is none."""
    if not text.lstrip().startswith(b"{"):
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def field_of(fields: Mapping[str, Any], path: str) -> Any:
    """The value at a path such as `http.status`, or under that whole name; None where there is none."""
    if path in fields:
        return fields[path]
    value: Any = fields
    for step in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value


def level_of(fields: Mapping[str, Any], path: str) -> int | None:
    """The rank in LEVELS that a record says it has, in words, or in pino's or syslog's numbers."""
    for name in (path,) if path else LEVEL_FIELDS:
        value = field_of(fields, name)
        if isinstance(value, str) and not value.isdigit():
            return LEVELS.get(value.lower())
        if isinstance(value, str | int) and not isinstance(value, bool):
            number = int(value) if len(str(value)) < 4 else 1000
            if name == "PRIORITY" or 0 <= number <= 7:
                return SYSLOG[number] if 0 <= number <= 7 else None
            # pino and bunyan: 10 trace, 20 debug, 30 info, 40 warn, 50 error, 60 fatal
            return {1: 0, 2: 1, 3: 2, 4: 4, 5: 5, 6: 6}.get(number // PINO)
    return None


def condition(wanted: Scalar | Sequence[Scalar]) -> Callable[[Any], bool]:
    """Whether a field's value is (one of) what is wanted, or as far above or below as `>= 500` says."""
    if isinstance(wanted, str) and (found := _COMPARED.fullmatch(wanted)):
        sign, limit = found[1], float(found[2])

        def compared(value: Any) -> bool:
            number = number_of(value)
            if number is None:
                return False
            if sign[0] == ">":
                return number > limit or (sign == ">=" and number == limit)
            return number < limit or (sign == "<=" and number == limit)

        return compared
    choices = wanted if isinstance(wanted, list | tuple) else (wanted,)
    return lambda value: any((type(value) is type(one) and value == one) or _equal(value, one) for one in choices)


def number_of(value: Any) -> float | None:
    """A number, or text that is one."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < 1e300 else None


def _equal(value: Any, wanted: Scalar) -> bool:
    numbers = isinstance(value, int | float) and isinstance(wanted, int | float)
    return numbers and not isinstance(value, bool) and not isinstance(wanted, bool) and value == wanted


def _path(text: str) -> str:
    if not text or text != text.strip() or any(not step for step in text.split(".")):
        raise ValueError(f"{text!r} is no field; write a name, or a path such as http.status")
    return text


FieldPath = Annotated[str, AfterValidator(_path)]
