"""Reads what people ask of the daemon in JSON: every field of its own type, anything else refused with a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from aiohttp import web

from alerts import silences
from alerts.matching import Matcher, parse_matchers
from alerts.nearest import nearest
from checks.units import parse_duration

LONGEST_NAME = 200


class Refused(Exception):
    """What was asked can't be done; the text is a sentence for whoever asked."""


async def read(request: web.Request, *known: str) -> dict[str, Any]:
    """The object in a request's body; Refused where it is none, or has keys that mean nothing here."""
    try:
        asked = orjson.loads(await request.read() or b"{}")
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        raise Refused("a JSON object is wanted")
    for key in asked:
        if key not in known:
            near = nearest(key[:40], known)
            meant = f"did you mean {near}?" if near else f"the keys are {', '.join(known)}"
            raise Refused(f"unknown key {key[:40]!r}; {meant}")
    return asked


def texts_of(asked: dict[str, Any], key: str) -> list[str]:
    """A list of texts, none of them empty; an empty list where nothing is said."""
    given = asked.get(key)
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(one, str) and one for one in given):
        raise Refused(f"{key}: a list of names is wanted")
    return given


def text_of(asked: dict[str, Any], key: str) -> str:
    """A text; the empty one where nothing is said."""
    given = asked.get(key)
    if given is not None and not isinstance(given, str):
        raise Refused(f"{key}: a text is wanted")
    return given or ""


def flag_of(asked: dict[str, Any], key: str) -> bool:
    """true or false; false where nothing is said."""
    given = asked.get(key)
    if given is not None and not isinstance(given, bool):
        raise Refused(f"{key}: true or false is wanted")
    return bool(given)


def matchers_of(asked: dict[str, Any]) -> Sequence[Matcher]:
    """What `matchers` says."""
    given = asked.get("matchers")
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise Refused('matchers: a list of texts is wanted, such as ["system="shop""]')
    if len(given) > silences.MOST_MATCHERS:
        raise Refused(f"{len(given)} matchers are too many; {silences.MOST_MATCHERS} are the most")
    try:
        return [matcher for text in given for matcher in parse_matchers(text)]
    except ValueError as why:
        raise Refused(str(why)) from None


def name_of(asked: dict[str, Any], key: str) -> str:
    """Who asks."""
    name = asked.get(key)
    if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_NAME:
        raise Refused(f"{key}: a name is wanted: who asks for this?")
    return name.strip()


def seconds_of(asked: dict[str, Any], key: str) -> float:
    """A duration above zero."""
    try:
        seconds = parse_duration(asked[key])
    except ValueError as why:
        raise Refused(f"{key}: {why}") from None
    if seconds <= 0:
        raise Refused(f"{key}: a time above zero is wanted")
    return seconds


def time_of(text: str) -> float:
    """A moment, as Unix seconds; without a time zone in this machine's own."""
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError):
        raise Refused(f"until: {text[:60]!r} is not a time; write 2026-12-01T09:00, or business-hours") from None
