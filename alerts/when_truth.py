"""The running parts of a checked `when`: three-valued truth over numbers that may be missing."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from alerts.when_units import PLAIN, shown

Values = Sequence[float | None]
"""One value per slot; None where there is none. A word of the language is 1 or 0."""


@dataclass(frozen=True, slots=True)
class Number:
    """A checked part that yields a number. `constant` where it is one; `says` is its text."""

    unit: str
    value: Callable[[Values], float | None]
    says: str
    constant: float | None = None


@dataclass(frozen=True, slots=True)
class Truth:
    """A checked part that yields true, false or None for "can't be told".

    `tell` gives the deciding comparison's value and limit as people read them, and its left side as it was written; its
    second argument says whether the part stands under an odd number of `not`.
    """

    holds: Callable[[Values], bool | None]
    tell: Callable[[Values, bool], tuple[str, str, str]]


def fixed(number: float, unit: str, says: str) -> Number:
    """A literal, or what literals come to."""
    return Number(unit, lambda values: number, says, number)


def negative(of: Number, says: str) -> Number:
    """The number with its sign turned."""
    if of.constant is not None:
        return fixed(-of.constant, of.unit, says)
    inner = of.value

    def value(values: Values) -> float | None:
        number = inner(values)
        return None if number is None else -number

    return Number(of.unit, value, says)


_ARITHMETIC = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}


def calculation(
    sign: str, left: Callable[[Values], float | None], right: Callable[[Values], float | None]
) -> Callable[[Values], float | None]:
    """None where a side is missing, where it is divided by zero, and where infinities leave no number."""
    apply, divides = _ARITHMETIC[sign], sign == "/"

    def value(values: Values) -> float | None:
        one, other = left(values), right(values)
        if one is None or other is None or (divides and not other):
            return None
        number: float = apply(one, other)
        return number if number == number else None

    return value


_COMPARE = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
MIRRORED = {">": "<", ">=": "<=", "<": ">", "<=": ">=", "==": "==", "!=": "!="}
_OPPOSITE = {">": "<=", ">=": "<", "<": ">=", "<=": ">", "==": "!=", "!=": "=="}
_LIMITS = {">": "over", ">=": "at least", "<": "under", "<=": "at most", "==": "equal to", "!=": "other than"}


def compared(sign: str, left: Number, right: Number) -> Truth:
    """One number compared with another."""
    compare, of, limit = _COMPARE[sign], left.value, right.value
    unit = left.unit if left.unit not in (PLAIN, "number") else right.unit
    words = _LIMITS[sign], _LIMITS[_OPPOSITE[sign]]

    def tell(values: Values, negated: bool) -> tuple[str, str, str]:
        return shown(of(values), unit), f"{words[negated]} {shown(limit(values), unit)}", left.says

    def holds(values: Values) -> bool | None:
        value, other = of(values), limit(values)
        return None if value is None or other is None else compare(value, other)

    return Truth(holds, tell) if right.constant is None else _against(sign, left, right.constant, unit)


def _against(sign: str, left: Number, number: float, unit: str) -> Truth:
    """The commonest comparison, with a literal, at half the cost."""
    compare, of, text = _COMPARE[sign], left.value, shown(number, unit)
    limits = f"{_LIMITS[sign]} {text}", f"{_LIMITS[_OPPOSITE[sign]]} {text}"

    def holds(values: Values) -> bool | None:
        value = of(values)
        return None if value is None else compare(value, number)

    return Truth(holds, lambda values, negated: (shown(of(values), unit), limits[negated], left.says))


def flag(number: Number) -> Truth:
    """A true-or-false measurement, or the words true and false, as a condition."""

    def holds(values: Values) -> bool | None:
        value = number.value(values)
        return None if value is None else value != 0

    return Truth(holds, _stated(holds, number.says))


def stated(slot: int, word: str) -> Truth:
    """One of the words failed, error, stale."""

    def holds(values: Values) -> bool | None:
        value = values[slot]
        return None if value is None else value != 0

    return Truth(holds, _stated(holds, word))


def _stated(holds: Callable[[Values], bool | None], says: str) -> Callable[[Values, bool], tuple[str, str, str]]:
    def tell(values: Values, negated: bool) -> tuple[str, str, str]:
        held = holds(values)
        return ("unknown" if held is None else says if held else f"not {says}"), "", ""

    return tell


def negation(of: Truth) -> Truth:
    """The condition turned round; what can't be told still can't."""

    def holds(values: Values) -> bool | None:
        held = of.holds(values)
        return None if held is None else not held

    return Truth(holds, lambda values, negated: of.tell(values, not negated))


def junction(word: str, parts: list[Truth]) -> Truth:
    """Kleene's `and` and `or`: one deciding part is enough, and only without it does a missing one leave it open."""
    decides = word == "or"
    conditions = tuple(part.holds for part in parts)

    def holds(values: Values) -> bool | None:
        held: bool | None = not decides
        for condition in conditions:
            one = condition(values)
            if one is decides:
                return decides
            if one is None:
                held = None
        return held

    def tell(values: Values, negated: bool) -> tuple[str, str, str]:
        """Of the part that decided; else of the one that left it open; else of the first."""
        held = [condition(values) for condition in conditions]
        for wanted in (decides, None):
            if wanted in held:
                return parts[held.index(wanted)].tell(values, negated)
        return parts[0].tell(values, negated)

    return Truth(holds, tell)
