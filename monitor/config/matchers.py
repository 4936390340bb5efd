"""Reads matchers where they stand in a configuration: the lists of today and the old pairs of label and text."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from alerts.matching import Matcher, parse_matchers
from monitor.config.notes import Notes, Spot


def _as_text(value: Any) -> Any:
    """Alertmanager takes any scalar as the text that it is."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else value


Word = Annotated[str, BeforeValidator(_as_text), WithJsonSchema({"type": ["string", "integer", "boolean"]})]


def listed(notes: Notes, spot: Spot, texts: list[str]) -> tuple[Matcher, ...]:
    """Those of a list, each item of which may hold several."""
    found: list[Matcher] = []
    for index, text in enumerate(texts):
        try:
            found += parse_matchers(text)
        except ValueError as why:
            notes.wrong(spot.at(index), str(why))
    return tuple(found)


def paired(
    notes: Notes, spot: Spot, equal: dict[str, str], expressions: dict[str, str], key: str
) -> tuple[Matcher, ...]:
    """Those of `match` and `match_re`; `key` is the name of the second, for what is wrong with it."""
    found = [Matcher(name, "=", text) for name, text in equal.items()]
    for name, text in expressions.items():
        matcher = Matcher(name, "=~", text)
        try:
            matcher.compiled()
        except ValueError as why:
            notes.wrong(spot.at(key, name), str(why))
        found.append(matcher)
    return tuple(found)
