"""`{{now}}` and `{{now-10m}}` in what a check sends: that time, for APIs that want to be told since when."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from checks.units import parse_duration

_PLACE = re.compile(r"\{\{\s*now\s*(?:([+-])\s*([0-9a-z.]+)\s*)?\}\}")


def moving(text: str) -> bool:
    """Whether the text says another thing each time; ValueError where a time in it is no duration."""
    return filled(text, 0.0) != text


def filled(text: str, at: float) -> str:
    """The text with its times as they are at `at`, in Unix seconds: ISO 8601, UTC, whole seconds."""

    def one(place: re.Match[str]) -> str:
        shift = parse_duration(place[2]) if place[2] else 0.0
        moment = datetime.fromtimestamp(int(at + (-shift if place[1] == "-" else shift)), UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%SZ}"

    return _PLACE.sub(one, text)
