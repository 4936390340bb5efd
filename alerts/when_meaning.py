"""What a `when` means: its names, units and windows checked against what a kind can record, and made ready to run."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from alerts.nearest import meant
from alerts.samples import PERCENTILES, Ask
from alerts.when import (
    Arithmetic,
    Call,
    Comparison,
    Expression,
    Junction,
    Minus,
    Name,
    Not,
    Quantity,
    Selector,
    WhenError,
)
from alerts.when_truth import (
    MIRRORED,
    Number,
    Truth,
    calculation,
    compared,
    fixed,
    flag,
    junction,
    negation,
    negative,
    stated,
)
from alerts.when_units import PLAIN, WORDS, combine, comparable, literal
from checks.base import DURATION, Measurement
from checks.units import show_duration

LONGEST_WINDOW = 7 * 86_400.0

OWN_WORDS = {"failed": 0, "error": 1, "stale": 2, "now": 3}
"""The slots that every condition has; its readings and windows follow."""

FUNCTIONS = (*PERCENTILES, "avg", "min", "max", "delta", "rate", "count_failed", "baseline")
_LITERALS = {"true": 1.0, "false": 0.0}
_VERBS = {"+": "added", "-": "subtracted", "*": "multiplied", "/": "divided"}


@dataclass(frozen=True, slots=True)
class Reading:
    """A measurement that a condition reads from the result itself, perhaps narrowed to some labels."""

    name: str
    selectors: tuple[Selector, ...] = ()


class Meaning:
    """One pass over a syntax tree: `truth` is the whole, `slots` what it reads beyond its own words."""

    def __init__(self, text: str, tree: Expression, known: Mapping[str, Measurement]) -> None:
        self.text = text
        self.known = known if DURATION.name in known else {**known, DURATION.name: DURATION}
        self.slots: dict[Reading | Ask, int] = {}
        self.mentions_outcome = False
        self.truth = self.condition(tree)

    def condition(self, node: Expression) -> Truth:
        match node:
            case Junction():
                return junction(node.word, [self.condition(part) for part in node.parts])
            case Not():
                return negation(self.condition(node.of))
            case Comparison():
                return self.comparison(node)
            case Name() if node.name in ("failed", "error", "stale") and not node.selectors:
                self.mentions_outcome = True
                return stated(OWN_WORDS[node.name], node.name)
        number = self.number(node)
        if number.unit != "bool":
            unit = WORDS[number.unit]
            raise WhenError(
                f"{number.says} is {unit}, not a condition; compare it with a limit: {number.says} > …", node.column
            )
        return flag(number)

    def comparison(self, node: Comparison) -> Truth:
        if node.chained:
            says = self.says(node.left), node.operator, self.says(node.right)
            raise WhenError(
                f"comparisons can't be chained; write {' '.join(says)} and {self.says(node.right)} …", node.column
            )
        left, right = self.number(node.left), self.number(node.right)
        self._same(node, left, right)
        if left.constant is not None and right.constant is None:
            return compared(MIRRORED[node.operator], right, left)
        return compared(node.operator, left, right)

    def _same(self, node: Comparison, left: Number, right: Number) -> None:
        if not comparable(left.unit, right.unit):
            raise WhenError(
                f"{left.says} is {WORDS[left.unit]}, {right.says} is {WORDS[right.unit]}: they can't be compared",
                node.right.column,
            )
        for share, plain in ((left, right), (right, left)):
            if share.unit == "ratio" and plain.unit == PLAIN and plain.constant is not None and plain.constant >= 20:
                raise WhenError(
                    f"{share.says} is a share, in which {plain.says} would be {plain.constant * 100:.10g}%; "
                    f"write {plain.says}%",
                    node.right.column,
                )

    def number(self, node: Expression) -> Number:
        match node:
            case Quantity():
                try:
                    constant, unit = literal(node.text)
                except ValueError as why:
                    raise WhenError(str(why), node.column) from None
                return fixed(constant, unit, self.says(node))
            case Minus():
                return self.minus(node)
            case Arithmetic():
                return self.arithmetic(node)
            case Name():
                return self.name(node)
            case Call():
                return self.call(node)
        raise WhenError(f"{self.says(node)} is a condition where a number is wanted", node.column)

    def minus(self, node: Minus) -> Number:
        of = self.number(node.of)
        if of.unit in ("timestamp", "bool"):
            raise WhenError(f"{of.says} is {WORDS[of.unit]} and can't be negative", node.column)
        return negative(of, self.says(node))

    def arithmetic(self, node: Arithmetic) -> Number:
        left, right = self.number(node.left), self.number(node.right)
        unit = combine(node.operator, left.unit, right.unit)
        if unit is None:
            raise WhenError(
                f"{left.says} is {WORDS[left.unit]}, {right.says} is {WORDS[right.unit]}: "
                f"they can't be {_VERBS[node.operator]}",
                node.right.column,
            )
        value = calculation(node.operator, left.value, right.value)
        if left.constant is not None and right.constant is not None:
            constant = value(())
            if constant is None:
                raise WhenError(f"{self.says(node)} has no value", node.column)
            return fixed(constant, unit, self.says(node))
        return Number(unit, value, self.says(node))

    def name(self, node: Name) -> Number:
        if not node.selectors:
            if node.name in _LITERALS:
                return fixed(_LITERALS[node.name], "bool", node.name)
            if node.name == "now":
                return Number("timestamp", operator.itemgetter(OWN_WORDS["now"]), "now")
            if node.name in OWN_WORDS:
                raise WhenError(f"{node.name} is a condition already, not a number", node.column)
        measurement = self.measurement(node)
        slot = self.slot(Reading(node.name, node.selectors))
        return Number(measurement.unit, operator.itemgetter(slot), self.says(node))

    def measurement(self, node: Name) -> Measurement:
        found = self.known.get(node.name)
        if found is None:
            self._unknown(node)
        for selector in node.selectors:
            if selector.label not in found.labels:
                self._unlabelled(found, selector)
            if selector.operator not in ("=", "!=", "=~", "!~"):
                raise WhenError(f'inside braces write {selector.label}="{selector.text}"', selector.column)
            if selector.operator in ("=~", "!~"):
                try:
                    re.compile(selector.text)
                except re.error as why:
                    raise WhenError(f"{selector.text!r} is not a regular expression: {why}", selector.column) from None
        return found

    def _unknown(self, node: Name) -> NoReturn:
        if node.name in OWN_WORDS:
            raise WhenError(f"{node.name} has no labels", node.column)
        if node.name in FUNCTIONS:
            raise WhenError(f"{node.name} wants parentheses: {_usage(node.name)}", node.column)
        hint = meant(node.name, [*self.known, *OWN_WORDS])
        raise WhenError(f"there is no measurement {node.name!r}{hint}", node.column)

    def _unlabelled(self, found: Measurement, selector: Selector) -> NoReturn:
        if not found.labels:
            raise WhenError(f"{found.name} has no labels", selector.column)
        hint = meant(selector.label, found.labels, "it has")
        raise WhenError(f"{found.name} has no label {selector.label!r}{hint}", selector.column)

    def call(self, node: Call) -> Number:
        function = node.function
        if function not in FUNCTIONS:
            raise WhenError(f"there is no function {function!r}{meant(function, FUNCTIONS)}", node.column)
        wanted = 1 if function in ("count_failed", "baseline") else 2
        if len(node.arguments) != wanted:
            raise WhenError(f"{function} is written {_usage(function)}", node.column)
        seconds = 86_400.0 if function == "baseline" else self.window(function, node.arguments[-1])
        if function == "count_failed":
            self.mentions_outcome = True
            return self._asked(node, Ask(function, "", seconds), "count")
        of = node.arguments[0]
        if not isinstance(of, Name) or of.name in OWN_WORDS or of.name in _LITERALS:
            raise WhenError(f"{function} wants a measurement: {_usage(function)}", of.column)
        found = self.measurement(of)
        unit = _window_unit(function, found.unit)
        if unit is None:
            raise WhenError(f"{function} of {of.name}, which is {WORDS[found.unit]}, has no meaning", of.column)
        return self._asked(node, Ask(function, of.name, seconds, of.selectors, found.counter), unit)

    def _asked(self, node: Call, ask: Ask, unit: str) -> Number:
        return Number(unit, operator.itemgetter(self.slot(ask)), self.says(node))

    def window(self, function: str, node: Expression) -> float:
        try:
            seconds, unit = literal(node.text) if isinstance(node, Quantity) else (0.0, "")
        except ValueError as why:
            raise WhenError(str(why), node.column) from None
        if unit != "seconds" or seconds <= 0:
            raise WhenError(f"{self.says(node)} is not a window; write {_usage(function)}", node.column)
        if seconds > LONGEST_WINDOW:
            raise WhenError(f"a window of {show_duration(seconds)} is too long; 7d is the longest", node.column)
        return seconds

    def slot(self, what: Reading | Ask) -> int:
        return self.slots.setdefault(what, len(OWN_WORDS) + len(self.slots))

    def says(self, node: Expression) -> str:
        return self.text[node.start : node.end]


def _usage(function: str) -> str:
    match function:
        case "count_failed":
            return "count_failed(10m)"
        case "baseline":
            return "baseline(duration_seconds)"
        case _:
            return f"{function}(duration_seconds, 10m)"


def _window_unit(function: str, unit: str) -> str | None:
    match function:
        case "rate":
            return None if unit in ("bool", "timestamp") else combine("/", unit, "seconds")
        case "delta":
            return {"timestamp": "seconds", "bool": None}.get(unit, unit)
        case "min" | "max":
            return unit
        case _:
            return "ratio" if unit == "bool" else unit
