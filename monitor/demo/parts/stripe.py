"""A stand-in for Stripe on loopback: one account, whose lists page, filter and refuse as the published schema says."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from monitor.demo.parts.served import Served

KEY = "rk_live_51abcdefghijklmnop"
KEPT = 1_000
"""Requests that it remembers; the oldest go first."""
LIST_PARAMETERS = {"limit", "starting_after", "ending_before"}
MOST_TYPES = 20
EVENT_PARAMETERS = LIST_PARAMETERS | {"created[gte]", "created[lt]", "delivery_success", "types[]"}


class Account(Served):
    """What the account holds; `answers` are sent in place of the real ones, one for each request, by path."""

    def __init__(self) -> None:
        super().__init__()
        self.livemode = True
        self.key = KEY
        """The only one that is accepted."""
        self.events: list[dict[str, Any]] = []
        self.endpoints: list[dict[str, Any]] = []
        self.rights = {"/v1/balance", "/v1/events", "/v1/webhook_endpoints"}
        """Paths that the key may ask for."""
        self.answers: dict[str, list[web.Response]] = {}
        self.asked: list[str] = []
        self.versions: set[str] = set()
        self._serial = 0

    def event(self, kind: str, at: float, held: dict[str, Any] | None = None, *, delivered: bool = True) -> str:
        """An event of this type happens."""
        self._serial += 1
        name = f"evt_{self._serial:08d}"
        self.events.append(
            {
                "id": name, "object": "event", "type": kind, "created": int(at), "livemode": self.livemode,
                "pending_webhooks": 0 if delivered else 1, "data": {"object": held or {}},
            }
        )  # fmt: skip
        return name

    def attempt(self, at: float, intent: str, *, fails: str = "", who: str | None = "cus_1", amount: int = 1000) -> str:
        """A customer tries to pay: a charge, which comes off or `fails` with an outcome's type."""
        self._serial += 1
        charge = {
            "id": f"ch_{self._serial:08d}", "object": "charge", "customer": who, "amount": amount, "currency": "eur",
            "payment_intent": intent, "outcome": {"type": fails or "authorized"},
        }  # fmt: skip
        self.event("charge.failed" if fails else "charge.succeeded", at, charge)
        error = {"type": "card_error", "code": "card_declined", "decline_code": "generic", "charge": charge["id"]}
        held = {"id": intent, "object": "payment_intent", "last_payment_error": error if fails else None}
        self.event("payment_intent.payment_failed" if fails else "payment_intent.succeeded", at, held)
        return str(charge["id"])

    def endpoint(self, url: str, *events: str, status: str = "enabled") -> None:
        """A webhook endpoint is registered."""
        self.endpoints.append(
            {"id": f"we_{len(self.endpoints)}", "object": "webhook_endpoint", "url": url, "status": status,
             "enabled_events": list(events) or ["*"]}
        )  # fmt: skip

    async def handle(self, request: web.Request) -> web.Response:
        """One answer."""
        self.asked.append(str(request.rel_url))
        del self.asked[:-KEPT]
        self.versions.add(request.headers.get("Stripe-Version", ""))
        if self.answers.get(request.path):
            return self.answers[request.path].pop(0)
        if request.headers.get("Authorization") != f"Bearer {self.key}":
            return refusal(401, "invalid_request_error", "Invalid API Key provided: rk_live_****")
        if request.path not in self.rights:
            return refusal(403, "more_permissions_required", f"The provided key '{KEY}' does not have the permissions")
        match request.path:
            case "/v1/balance":
                amounts = [{"amount": 4_200_00, "currency": "eur"}]
                return _json({"object": "balance", "livemode": self.livemode, "available": amounts, "pending": []})
            case "/v1/webhook_endpoints":
                return self._list(request, self.endpoints, LIST_PARAMETERS)
            case "/v1/events" if len(set(request.query.getall("types[]", []))) > MOST_TYPES:
                return refusal(400, "parameter_invalid", f"You may filter by at most {MOST_TYPES} types")
            case "/v1/events":
                return self._list(request, self._chosen(request), EVENT_PARAMETERS)
        return refusal(404, "resource_missing", f"Unrecognized request URL (GET: {request.path})")

    def _chosen(self, request: web.Request) -> list[dict[str, Any]]:
        query = request.query
        types = set(query.getall("types[]", []))
        first, end = int(query.get("created[gte]", 0)), int(query.get("created[lt]", 2**33))
        chosen = [
            one for one in self.events
            if first <= one["created"] < end and (not types or one["type"] in types)
            and ("delivery_success" not in query or one["pending_webhooks"])
        ]  # fmt: skip
        return sorted(chosen, key=lambda one: (one["created"], one["id"]), reverse=True)

    def _list(self, request: web.Request, found: list[dict[str, Any]], known: set[str]) -> web.Response:
        if strange := set(request.query) - known:
            return refusal(400, "parameter_unknown", f"Received unknown parameter: {strange}")
        limit = int(request.query.get("limit", 10))
        if not 1 <= limit <= 100:
            return refusal(400, "parameter_invalid_integer", "Invalid integer: limit")
        names = [one["id"] for one in found]
        after = request.query.get("starting_after")
        if after is not None and after not in names:
            return refusal(400, "resource_missing", f"No such object: {after}")
        start = names.index(after) + 1 if after else 0
        page = found[start : start + limit]
        more = start + limit < len(found)
        return _json({"object": "list", "url": request.path, "has_more": more, "data": page})


def refusal(status: int, code: str, message: str, **headers: str) -> web.Response:
    """Stripe's form of an error."""
    body = {"error": {"type": "invalid_request_error", "code": code, "message": message}}
    return _json(body, status, {name.replace("_", "-"): text for name, text in headers.items()})


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(body, status=status, headers={"Request-Id": "req_123", **(headers or {})})
