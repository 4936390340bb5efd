"""Jinja2 within bounds: no way out of the sandbox, and a budget for steps and characters that no template exceeds.

Imported by who compiles a template: jinja2 takes 40 ms. What the sandbox calls is counted in `call`, `getattr`,
`getitem`, operators and filters; loops and `~`, which it does not, are rewritten to be counted.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from jinja2 import StrictUndefined, Template, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, markup_join, str_join
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing
from markupsafe import Markup

from alerts.nearest import meant
from alerts.template_view import AlertView, NoteView, names_of
from alerts.wording import clock_time, rfc3339
from checks.units import show_duration

MOST_STEPS = 50_000
MOST_CHARACTERS = 500_000
LARGEST_NUMBER_OF_BITS = 256
WIDEST = 1_000
"""The largest whole number that a filter or method may be given: a width, a count."""

TEXT_METHODS = frozenset(
    {"upper", "lower", "title", "capitalize", "strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "partition"}
    | {"rpartition", "startswith", "endswith", "removeprefix", "removesuffix", "find", "count", "isdigit", "join"}
)
FILTERS = (
    "abs", "capitalize", "d", "default", "dictsort", "e", "escape", "first", "float", "forceescape", "groupby",
    "indent",
    "int", "items", "join", "last", "length", "count", "list", "lower", "map", "max", "min", "reject", "rejectattr",
    "reverse", "round", "safe", "select", "selectattr", "sort", "string", "striptags", "sum", "title", "tojson", "trim",
    "truncate", "unique", "upper", "urlencode", "wordcount",
)  # fmt: skip


class TooMuch(Exception):
    """The template asks for more than a message may take; the text says of what."""


class Unknown(StrictUndefined):
    """A name that is not there: an error wherever it is used, which names the nearest."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        name = str(self._undefined_name)
        if self._undefined_hint:
            return self._undefined_hint
        owner: type = type(self._undefined_obj)
        if dataclasses.is_dataclass(owner):
            known = names_of(owner)
            return f"{SHOWN.get(owner, 'it')} has no {name!r}{meant(name, known, 'it has')}"
        if self._undefined_obj is missing:
            return f"there is no {name!r}"
        if isinstance(self._undefined_obj, list):
            return f"there is no item {name} of {len(self._undefined_obj)}"
        return f"{owner.__name__} has no {name!r}"


SHOWN: dict[type, str] = {NoteView: "note", AlertView: "an alert"}


class _Budget:
    __slots__ = ("characters", "steps")

    def __init__(self) -> None:
        self.steps = MOST_STEPS
        self.characters = MOST_CHARACTERS


_budget: ContextVar[_Budget | None] = ContextVar("budget", default=None)


@contextmanager
def budget() -> Iterator[None]:
    """What is rendered within shares one budget; TooMuch is raised where it ends."""
    token = _budget.set(_Budget())
    try:
        yield
    finally:
        _budget.reset(token)


def spend(steps: int, characters: int = 0) -> None:
    """Take from the budget; without one, each spending must fit into a whole budget."""
    left = _budget.get() or _Budget()
    left.steps -= steps
    left.characters -= characters
    if left.steps < 0:
        raise TooMuch(f"it takes more than {MOST_STEPS:,} steps")
    if left.characters < 0:
        raise TooMuch(f"it makes more than {MOST_CHARACTERS:,} characters")


class Sandbox(ImmutableSandboxedEnvironment):
    """Every operation is counted; texts have the methods that can't make them much longer."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        spend(1)
        if isinstance(left, int | float) and isinstance(right, int | float):
            _bounded(operator, left, right)
        elif operator == "+":
            spend(0, sum(len(side) for side in (left, right) if isinstance(side, str | list | tuple)))
        elif operator == "*":
            size = next((len(side) for side in (left, right) if isinstance(side, str | list | tuple)), 0)
            spend(0, size * max((side for side in (left, right) if isinstance(side, int)), default=0))
        elif isinstance(left, str):
            raise SecurityError("texts are not made with %; write {{ a }} {{ b }}, or a ~ b")
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        spend(1)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        spend(1)
        return super().getitem(obj, argument)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        spend(1)
        _narrow(args, kwargs)
        made = super().call(__context, __obj, *args, **kwargs)
        spend(0, len(made) if isinstance(made, str) else 0)
        return made

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, str):
            return attr in TEXT_METHODS
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        # No `format`: its widths are another way to a text of a gigabyte.
        return None


def _bounded(operator: str, left: float, right: float) -> None:
    bits = left.bit_length() if isinstance(left, int) else 64
    if operator == "*":
        bits += right.bit_length() if isinstance(right, int) else 64
    elif operator == "**":
        bits *= max(1, abs(int(right)))
    if bits > LARGEST_NUMBER_OF_BITS:
        raise TooMuch("it makes a number that is too large")


def _narrow(args: Iterable[Any], kwargs: dict[str, Any]) -> None:
    for value in (*args, *kwargs.values()):
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**12:
            raise TooMuch("it uses a number that is too large")


def _counted(work: Callable[..., Any]) -> Callable[..., Any]:
    """A filter whose widths are bounded and whose text is paid for."""

    @functools.wraps(work)
    def filtered(*args: Any, **kwargs: Any) -> Any:
        for value in (*args[1:], *kwargs.values()):
            if isinstance(value, int) and not isinstance(value, bool) and value > WIDEST:
                raise TooMuch(f"a filter is given {value}; {WIDEST} is the most")
        made = work(*args, **kwargs)
        spend(1, len(made) if isinstance(made, str) else 0)
        return made

    return filtered


def _range(*bounds: int) -> range:
    made = range(*bounds)
    spend(len(made))
    return made


def _replace(text: Any, old: str, new: str) -> str:
    whole: str = text if isinstance(text, str) else str(text)
    spend(1, len(whole) + whole.count(old) * len(new))
    return whole.replace(old, new)


def _each(items: Any, weight: int) -> list[Any]:
    """What a loop runs over, paid for in advance: each turn costs a step and the loop's own text."""
    found = list(items)
    spend(len(found), len(found) * weight)
    return found


def _joined(autoescape: bool, pieces: list[Any]) -> str:
    spend(1, sum(len(piece) for piece in pieces if isinstance(piece, str)))
    made: str = markup_join(pieces) if autoescape else str_join(pieces)
    return made


def _said(value: Any) -> Any:
    """What an expression puts into the message."""
    said = value if isinstance(value, str) or hasattr(value, "__html__") else str(value)
    spend(1, len(said))
    return said


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"{type(value).__name__} can't be written as JSON")


def _dumps(value: Any, **options: Any) -> str:
    return json.dumps(value, default=_plain, ensure_ascii=False, **options)


def _headline(note: NoteView) -> str:
    return note.headline


def _summary(alert: AlertView) -> str:
    return alert.summary


def _slack(text: Any) -> Markup:
    """As Slack shows it: no markup, no mention."""
    return Markup(str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


_OURS: dict[str, Callable[..., Any]] = {
    "headline": _headline,
    "summary": _summary,
    "duration": show_duration,
    "clock_time": clock_time,
    "rfc3339": rfc3339,
}


@functools.lru_cache(maxsize=2)
def environment(autoescape: bool) -> Sandbox:
    """The environment of all templates that do, or do not, escape what they insert."""
    made = Sandbox(
        autoescape=autoescape, undefined=Unknown, finalize=_said, trim_blocks=True, lstrip_blocks=True,
        optimized=False, cache_size=0,
    )  # fmt: skip
    made.filters = {name: _counted(made.filters[name]) for name in FILTERS}
    made.filters |= {name: _counted(work) for name, work in _OURS.items()}
    made.filters |= {"replace": _replace, "slack": _slack, "_each": _each}
    made.filters["_joined"] = functools.partial(_joined, autoescape)
    made.globals = {name: made.globals[name] for name in ("dict", "namespace", "joiner", "cycler")}
    made.globals |= {"range": _range, **_OURS}
    made.policies["json.dumps_function"] = _dumps
    made.policies["json.dumps_kwargs"] = {}
    return made


def compiled(text: str, autoescape: bool) -> Template:
    """The template, with its loops and joins counted. Raises jinja2's TemplateSyntaxError."""
    sandbox = environment(autoescape)
    tree = sandbox.parse(text)
    for loop in list(tree.find_all(nodes.For)):
        weight = sum(len(data.data) for data in loop.find_all(nodes.TemplateData))
        loop.iter = _filter(loop.iter, "_each", [nodes.Const(weight, lineno=loop.lineno)])
    _rewrite_joins(tree)
    tree.set_environment(sandbox)
    code = sandbox.compile(tree, filename="<template>")
    return Template.from_code(sandbox, code, sandbox.globals)


def _filter(of: nodes.Node, name: str, arguments: list[nodes.Expr]) -> nodes.Filter:
    return nodes.Filter(of, name, arguments, [], None, None, lineno=of.lineno)


def _rewrite_joins(node: nodes.Node) -> None:
    for field, value in list(node.iter_fields()):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, nodes.Node):
                _rewrite_joins(child)
        if isinstance(value, list):
            setattr(node, field, [_rewritten(child) for child in value])
        else:
            setattr(node, field, _rewritten(value))


def _rewritten(node: Any) -> Any:
    if isinstance(node, nodes.Concat):
        return _filter(nodes.List(node.nodes, lineno=node.lineno), "_joined", [])
    return node
