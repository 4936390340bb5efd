"""Alertmanager's API v2, silences: the same ones that our own API, the commands and the buttons know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from alerts import silences
from alerts.matching import LONGEST_EXPRESSION, Matcher, Operator
from alerts.silences import Silence
from alerts.wording import instant, rfc3339
from monitor.api.oncall import keep
from monitor.api.v2_requests import Wrong, body, flag, matchers, told, worded

if TYPE_CHECKING:
    from monitor.app import App

LARGEST = 1_000_000
OPERATORS: dict[tuple[bool, bool], Operator] = {
    (False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~",
}  # fmt: skip
"""By whether it is a regular expression, and whether it wants or refuses."""
UNTIL_RESOLVED = "until_resolved"
"""The annotation that says that a silence ends with what it silences: what Alertmanager has no word for."""


def routes(app: App) -> list[web.RouteDef]:
    """The routes of this file."""
    api = Silences(app)
    return [
        web.get("/api/v2/silences", worded(api.silences)),
        web.post("/api/v2/silences", worded(api.keep)),
        web.get("/api/v2/silence/{id}", worded(api.silence)),
        web.delete("/api/v2/silence/{id}", worded(api.expire)),
    ]


class Silences:
    """One method per route. What changes something answers when it is on disk."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def silences(self, request: web.Request) -> web.StreamResponse:
        """Those that have every matcher of the request's filter, in Alertmanager's order: active, pending, expired."""
        wall = self._app.clock.wall()
        filters = matchers(request, "filter")
        states = {state for state in ("active", "pending", "expired") if flag(request, state)}
        found = [
            one
            for one in self._app.engine.muting.silences.values()
            if one.state(wall) in states and all(wanted in one.matchers for wanted in filters)
        ]
        return told([_shown(one, wall) for one in sorted(found, key=lambda one: _order(one, wall))])

    async def silence(self, request: web.Request) -> web.StreamResponse:
        """One of them."""
        return told(_shown(self._named(request.match_info["id"]), self._app.clock.wall()))

    async def expire(self, request: web.Request) -> web.StreamResponse:
        """End one now; to have ended already is no mistake."""
        wall = self._app.clock.wall()
        silence = self._named(request.match_info["id"])
        if silence.state(wall) != "expired":
            await keep(self._app, silences.ended(silence, wall))
        return web.Response()

    async def keep(self, request: web.Request) -> web.StreamResponse:
        """A new one, or with `id` another in place of that one."""
        wall = self._app.clock.wall()
        asked = await _asked(request)
        name = asked.get("id") or ""
        old = self._named(str(name)) if name else None
        try:
            wanted = silences.new(
                _matchers(asked), _time(asked, "startsAt"), _time(asked, "endsAt"), _text(asked, "createdBy"),
                _text(asked, "comment"), wall, until_resolved=_until_resolved(asked, old),
            )  # fmt: skip
        except ValueError as why:
            raise Wrong(str(why)) from None
        before, held = (None, wanted) if old is None else silences.changed(old, wanted, wall)
        await keep(self._app, *([before] if before is not None else []), held)
        return told({"silenceID": held.id})

    def _named(self, name: str) -> Silence:
        found = self._app.engine.muting.silences.get(name)
        if found is None:
            raise Wrong(f"silence {name[:60]} not found", 404)
        return found


def _order(silence: Silence, wall: float) -> tuple[int, float]:
    match silence.state(wall):
        case "active":
            return 0, silence.ends_at
        case "pending":
            return 1, silence.starts_at
        case "expired":
            return 2, -silence.ends_at


async def _asked(request: web.Request) -> dict[str, Any]:
    try:
        asked = orjson.loads(await body(request, LARGEST))
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        raise Wrong("the body is not JSON: a silence is wanted")
    return asked


def _matchers(asked: dict[str, Any]) -> Sequence[Matcher]:
    given = asked.get("matchers")
    if not isinstance(given, list):
        raise Wrong("matchers: a list of objects is wanted")
    if len(given) > silences.MOST_MATCHERS:
        raise Wrong(f"a silence may have {silences.MOST_MATCHERS} matchers; this one has {len(given)}")
    return tuple(map(_matcher, given))


def _matcher(given: Any) -> Matcher:
    if not isinstance(given, dict):
        raise Wrong('matchers: objects are wanted, such as {"name": "system", "value": "shop", "isRegex": false}')
    name, value = given.get("name"), given.get("value")
    regex, equal = given.get("isRegex", False), given.get("isEqual")
    equal = True if equal is None else equal
    if not isinstance(name, str) or not name or not isinstance(value, str):
        raise Wrong("matchers: each has a name and a value, which are texts")
    if not isinstance(regex, bool) or not isinstance(equal, bool):
        raise Wrong("matchers: isRegex and isEqual are true or false")
    if len(name) + len(value) > LONGEST_EXPRESSION:
        raise Wrong(f"matchers: a name and its value have {LONGEST_EXPRESSION} characters at most")
    made = Matcher(name, OPERATORS[regex, equal], value)
    if regex:
        made.compiled()
    return made


def _text(asked: dict[str, Any], key: str) -> str:
    text = asked.get(key)
    if not isinstance(text, str):
        raise Wrong(f"{key}: a text is wanted")
    return text.replace("\0", "\ufffd")


def _time(asked: dict[str, Any], key: str) -> float:
    """Unix seconds; 0 for none."""
    try:
        return instant(asked.get(key))
    except ValueError as why:
        raise Wrong(f"{key}: {why}") from None


def _until_resolved(asked: dict[str, Any], old: Silence | None) -> bool:
    annotations = asked.get("annotations")
    if isinstance(annotations, dict) and UNTIL_RESOLVED in annotations:
        return bool(annotations[UNTIL_RESOLVED] == "true")
    return old is not None and old.until_resolved


def _shown(silence: Silence, wall: float) -> dict[str, Any]:
    return {
        "id": silence.id,
        "status": {"state": silence.state(wall)},
        "updatedAt": rfc3339(silence.updated_at),
        "comment": silence.comment,
        "createdBy": silence.created_by,
        "startsAt": rfc3339(silence.starts_at),
        "endsAt": rfc3339(silence.ends_at),
        "matchers": [
            {
                "name": matcher.name,
                "value": matcher.text,
                "isRegex": "~" in matcher.operator,
                "isEqual": matcher.operator.startswith("="),
            }
            for matcher in silence.matchers
        ],
        "annotations": {UNTIL_RESOLVED: "true"} if silence.until_resolved else {},
    }
