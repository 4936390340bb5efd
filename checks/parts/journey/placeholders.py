"""`{{name}}` in what a journey sends, filled with what its earlier steps captured."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

_PLACE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")

Values = Mapping[str, Any]


def wanted(held: Any) -> Iterator[str]:
    """The names that a text, or a JSON value with texts in it, wants filled in."""
    if isinstance(held, str):
        yield from _PLACE.findall(held)
    elif isinstance(held, dict):
        for name, inner in held.items():
            yield from wanted(name)
            yield from wanted(inner)
    elif isinstance(held, list | tuple):
        for inner in held:
            yield from wanted(inner)


def as_text(value: Any) -> str:
    """A captured value as it stands in a text: texts as they are, the rest as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def fill(text: str, values: Values, escape: Callable[[str], str] = str) -> str:
    """The text with every place filled; `escape` makes a value fit."""
    return _PLACE.sub(lambda place: escape(as_text(values[place[1]])), text)


def is_one(text: str) -> bool:
    """Whether the text is a place and nothing else: then what is captured stands for the whole."""
    return _PLACE.fullmatch(text.strip()) is not None


def fill_json(held: Any, values: Values) -> Any:
    """A JSON value with every place filled. A text that is one place becomes the value itself, a number a number."""
    if isinstance(held, str):
        return values[_PLACE.findall(held)[0]] if is_one(held) else fill(held, values)
    if isinstance(held, dict):
        return {fill(name, values): fill_json(inner, values) for name, inner in held.items()}
    if isinstance(held, list | tuple):
        return [fill_json(inner, values) for inner in held]
    return held
