"""Asks Stripe's API and says in our words what it refuses: counted, paced, at one version, with its Request-Id."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

from checks.base import Errored, Failed, Reason, Run
from checks.parts.api import Answer, Api, Query
from checks.units import show_duration
from checks.wire.certificates import visible

T = TypeVar("T")

PAGE = 100
"""Objects that Stripe gives at once, at most."""
LARGEST = 4 * 2**20
PAUSE = 5.0
"""Seconds that nothing is asked after a 429 which names no time."""
LONGEST_PAUSE = 600.0

PAUSED = "stripe paused until"

RIGHTS = {
    "/v1/balance": "Balance: Read",
    "/v1/events": "Events: Read",
    "/v1/webhook_endpoints": "Webhook Endpoints: Read",
}


class StripeApi:
    """Stripe for the length of one probe. `requests` counts what was asked; `request_id` is the last answer's."""

    def __init__(self, api: Api, run: Run, own_key: bool) -> None:
        self._api = api
        self._run = run
        self._own_key = own_key
        self.requests = 0
        self.request_id = ""

    async def get(self, path: str, query: Query | None = None) -> dict[str, Any]:
        """The object at `path`. Raises Failed or Errored, the Request-Id in evidence."""
        until = self._run.memory.get(PAUSED, 0.0)
        if self._run.at < until:
            wait = show_duration(until - self._run.at)
            raise Errored(Reason.RATE_LIMITED, f"cannot ask Stripe for another {wait}: it limited our rate")
        answer = await self._api.ask("GET", path, query, accept=())
        self.requests += 1
        self.request_id = visible(answer.headers.get("Request-Id", ""), 80)
        try:
            if answer.status != 200:
                raise self._refused(answer, path)
            found = answer.json()
            if not isinstance(found, dict):
                raise Failed(Reason.BODY, f"Stripe did not answer {path} with an object")
        except (Failed, Errored):
            self.show_request(path)
            raise
        return found

    async def listed(
        self, path: str, query: Query, pages: int, read: Callable[[Any], T | None]
    ) -> tuple[list[T], bool]:
        """The objects of a list, newest first, as `read` gives them, and whether there are more than so many pages."""
        asked, found = {**query, "limit": str(PAGE)}, []
        for _ in range(pages):
            match await self.get(path, asked):
                case {"data": list(data), "has_more": bool(more)} if data or not more:
                    objects = [read(one) for one in data]
                case _:
                    objects = [None]
            if None in objects:
                self.show_request(path)
                raise Failed(Reason.BODY, f"Stripe did not answer {path} with a list of what belongs there")
            found += [one for one in objects if one is not None]
            if not more:
                return found, False
            asked["starting_after"] = str(data[-1]["id"])
        return found, True

    def show_request(self, path: str) -> None:
        """Keep as evidence what Stripe's support asks for first."""
        if self.request_id:
            self._run.evidence("Stripe's Request-Id", f"{self.request_id} (GET {path})")

    def _refused(self, answer: Answer, path: str) -> Failed | Errored:
        """What a status other than 200 means."""
        said = _said(answer)
        match answer.status:
            case 401:
                text = f"cannot ask Stripe: it refuses the key{said}"
                if self._own_key:
                    return Errored(Reason.AUTH, f"{text}; make a new restricted key for the monitor")
                return Failed(Reason.AUTH, f"{text}; whoever uses this key can't charge either")
            case 403:
                right = RIGHTS.get(path, "")
                remedy = f"; give the restricted key the right {right!r}" if right else ""
                return Errored(Reason.AUTH, f"cannot ask Stripe: it does not let the monitor read {path}{said}{remedy}")
            case 429:
                pause = _pause(answer)
                self._run.memory[PAUSED] = self._run.at + pause
                limit = visible(answer.headers.get("Stripe-Rate-Limited-Reason", ""), 40)
                which = f" ({limit})" if limit else ""
                return Errored(Reason.RATE_LIMITED, f"cannot ask Stripe: it limits our rate{which}{said}")
            case 400 | 404 | 405:
                return Errored(
                    Reason.INTERNAL, f"cannot ask Stripe: it does not understand what we ask at {path}{said}"
                )
        return Failed(Reason.STATUS, f"cannot ask Stripe: it answered {answer.status} at {path}{said}")


def _pause(answer: Answer) -> float:
    try:
        seconds = float(answer.headers.get("Retry-After", ""))
    except ValueError:
        return PAUSE
    return min(max(seconds, 1.0), LONGEST_PAUSE) if math.isfinite(seconds) else PAUSE


def _said(answer: Answer) -> str:
    """The message and code of Stripe's error, as the end of a sentence."""
    try:
        body = answer.json()
    except Failed:
        return f": {visible(answer.text(200), 200)}" if answer.body else ""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return ""
    code, message = error.get("code") or error.get("type"), error.get("message")
    parts = [visible(part, 300) for part in (code, message) if isinstance(part, str) and part]
    return f": {': '.join(parts)}" if parts else ""
