"""The words in which status pages speak, and careful reading of what should be their JSON."""

from __future__ import annotations

from typing import Any

import orjson

from checks.base import printable
from checks.parts.http.expect import brief
from checks.parts.statuspage.page import (
    DEGRADED,
    MAJOR_OUTAGE,
    NOTICE,
    OPERATIONAL,
    PARTIAL_OUTAGE,
    Component,
    Unreadable,
)

ENDED = {"resolved", "postmortem", "completed", "scheduled", "notstartedyet", "planned"}
"""States of incidents and maintenances that are not under way."""

MOST = 2000
"""Things in one list of a page: more than any vendor has."""

IMPACTS = {"none": NOTICE, "minor": DEGRADED, "major": PARTIAL_OUTAGE, "critical": MAJOR_OUTAGE}
INDICATORS = IMPACTS | {"none": OPERATIONAL, "maintenance": OPERATIONAL}
COMPONENTS = {
    "operational": OPERATIONAL, "undermaintenance": OPERATIONAL, "maintenance": OPERATIONAL,
    "degradedperformance": DEGRADED, "degraded": DEGRADED, "minoroutage": DEGRADED,
    "partialoutage": PARTIAL_OUTAGE, "majoroutage": MAJOR_OUTAGE, "fulloutage": MAJOR_OUTAGE,
}  # fmt: skip
"""Statuspage's words, incident.io's, Railway's and Instatus'."""


def parsed(body: bytes) -> Any:
    """The JSON in a body, in UTF-8 or in UTF-16 with its mark. Raises Unreadable."""
    try:
        if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
            body = body.decode("utf-16").encode()
        return orjson.loads(body)
    except (ValueError, UnicodeError):
        start = brief(body[:80].decode("utf-8", "replace")) if body else "nothing"
        raise Unreadable(f"the body is no JSON but {start}") from None


def an_object(held: Any, what: str) -> dict[str, Any]:
    """What has to be an object."""
    if not isinstance(held, dict):
        raise Unreadable(f"{what} is {brief(held, 60)}, not an object")
    return held


def a_list(held: Any, what: str) -> list[dict[str, Any]]:
    """A list of objects; null and a missing key are an empty one."""
    if held is None:
        return []
    if not isinstance(held, list):
        raise Unreadable(f"{what} is {brief(held, 60)}, not a list")
    if len(held) > MOST:
        raise Unreadable(f"{what} has {len(held)} items, more than {MOST}")
    return [an_object(one, f"an item of {what}") for one in held]


def text(held: Any) -> str:
    """A text or a number on one line, short enough to be shown; "" for anything else."""
    if isinstance(held, int | float):
        return str(held)
    return printable(" ".join(held[:300].split())) if isinstance(held, str) else ""


def word(held: Any) -> str:
    """A state as it is looked up: without case, blanks and underscores, which formats use as they like."""
    return held.lower().replace("_", "").replace(" ", "").replace("-", "") if isinstance(held, str) else ""


def names(held: Any, *keys: str) -> tuple[str, ...]:
    """The names of things that are objects, or texts."""
    found = (
        next((text(one[key]) for key in keys if one.get(key)), "") if isinstance(one, dict) else text(one)
        for one in (held if isinstance(held, list) else ())
    )
    return tuple(name for name in found if name)


def objects(held: Any) -> list[dict[str, Any]]:
    """The objects of what should be a list of them; for what only adds details."""
    return [one for one in held if isinstance(one, dict)] if isinstance(held, list) else []


def component(one: dict[str, Any], group: str = "") -> Component:
    """One with a name, a status and maybe an id."""
    state = word(one.get("status"))
    level, at_work = COMPONENTS.get(state), "maintenance" in state
    return Component(text(one.get("name")), level, text(one.get("status")), text(one.get("id")), group, at_work)


def newest(held: Any, *keys: str) -> str:
    """The newest update's text: the first in the list."""
    first = held[0] if isinstance(held, list) and held else None
    return next((text(first[key]) for key in keys if first.get(key)), "") if isinstance(first, dict) else ""
