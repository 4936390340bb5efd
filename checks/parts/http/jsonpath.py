"""JMESPath expressions joined by + - * / and parentheses, since JMESPath itself cannot calculate."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError, LexerError, ParseError

Evaluate = Callable[[Any], Any]

_OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
}  # fmt: skip
_PAIRS = {"(": ")", "[": "]", "{": "}"}


class NotANumber(Exception):
    """A part of a calculation, or what should be a number, is something else; the text says what."""


def compile_path(text: str) -> Evaluate:
    """The function that reads `text` from a parsed JSON document, such as "heap_mb * `1048576`".

    An operator has a blank on either side, which tells it from JMESPath's own `*` and `-`. Raises ValueError with the
    position. The function yields None where a part is null or a divisor zero, and raises NotANumber where a part of
    a calculation is no number, and JMESPathError.
    """
    try:
        return _compile(text, text)
    except RecursionError:
        raise ValueError(f"{text[:80]!r} is nested too deeply") from None


def compile_number(text: str) -> Callable[[Any], float | None]:
    """As `compile_path`, for a number, true (1) or false (0): None for null, NotANumber for the rest."""
    evaluate = compile_path(text)

    def number(document: Any) -> float | None:
        value = evaluate(document)
        return value if value is None else float(value) if isinstance(value, bool) else _number(value, text)

    return number


def _compile(part: str, whole: str) -> Evaluate:
    for signs in ("+-", "*/"):
        at = _last_operator(part, signs)
        if at is not None:
            left = _compile(part[:at], whole)
            right = _compile(part[at + 1 :], whole)
            return _calculation(part[at], left, right, part[:at].strip(), part[at + 1 :].strip())
    inner = part.strip()
    if _is_bracketed(inner) and _calculates(inner):
        return _compile(inner[1:-1], whole)
    try:
        return _search(jmespath.compile(inner))
    except (ParseError, LexerError) as why:
        within: int = getattr(why, "lex_position", None) or getattr(why, "lexer_position", None) or 0
        position = whole.find(inner) + within
        raise ValueError(f"{whole!r} is no JMESPath expression: at position {position + 1}, {_cause(why)}") from None
    except JMESPathError as why:
        raise ValueError(f"{whole!r} is no JMESPath expression: {_cause(why)}") from None


def _search(expression: Any) -> Evaluate:
    def search(document: Any) -> Any:
        return expression.search(document)

    return search


def _calculation(sign: str, left: Evaluate, right: Evaluate, left_text: str, right_text: str) -> Evaluate:
    calculate = _OPERATORS[sign]

    def value(document: Any) -> float | None:
        first, second = left(document), right(document)
        if first is None or second is None:
            return None
        first, second = _number(first, left_text), _number(second, right_text)
        return None if sign == "/" and second == 0 else calculate(first, second)

    return value


def _number(value: Any, text: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        kind = {"str": "text", "bool": "true or false", "list": "a list", "dict": "an object"}
        raise NotANumber(f"{text} is {kind.get(type(value).__name__, 'something else')}, not a number")
    return float(value)


def _is_bracketed(part: str) -> bool:
    return part.startswith("(") and _close(part, 0) == len(part) - 1


def _calculates(part: str) -> bool:
    while _is_bracketed(part):
        part = part[1:-1].strip()
    return any(_last_operator(part, signs) is not None for signs in ("+-", "*/"))


def _last_operator(part: str, signs: str) -> int | None:
    """Where the last operator outside quotes and brackets is: the last, so that a - b - c is (a - b) - c."""
    found, at = None, 0
    while at < len(part):
        if part[at] in "\"'`([{":
            at = _close(part, at)
        elif part[at] in signs and part[at - 1 : at] == " " and part[at + 1 : at + 2] == " ":
            found = at
        at += 1
    return found


def _close(part: str, opened: int) -> int:
    """The index where what opens at `opened` closes; the end of the text where it never does."""
    mark, at = part[opened], opened + 1
    while at < len(part):
        if mark in "\"'`":
            if part[at] == "\\":
                at += 1
            elif part[at] == mark:
                return at
        elif part[at] == _PAIRS[mark]:
            return at
        elif part[at] in "\"'`([{":
            at = _close(part, at)
        at += 1
    return len(part)


def _cause(why: Exception) -> str:
    return " ".join(str(getattr(why, "message", "") or why).split("\n", 1)[0].split())[:200]
