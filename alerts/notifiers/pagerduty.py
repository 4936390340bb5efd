"""Pages through PagerDuty's Events API v2: one incident per group, triggered and resolved under one dedup key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import orjson
from pydantic import Field, SecretStr

from alerts.notifiers.base import NotDelivered, Notifier, Receipt, refusal
from alerts.vocabulary import Alert, Notification, Severity
from alerts.wording import cut, evidence, facts, headline, links, names, rfc3339
from checks.base import Url, printable

if TYPE_CHECKING:
    from aiohttp import ClientSession

LARGEST_EVENT = 512_000
SEVERITIES = {
    Severity.CRITICAL: "critical",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "info",
}
ADDRESSES = {"us": "https://events.pagerduty.com/v2/enqueue", "eu": "https://events.eu.pagerduty.com/v2/enqueue"}


class PagerDuty(Notifier):
    """202 accepts; 400 is never sent again; 429, 5xx and no answer are. At most 120 events a minute for one key."""

    per_minute: ClassVar[float] = 120.0

    routing_key: SecretStr = Field(description="Integration key of a service's Events API v2 integration.")
    region: str = Field(default="us", pattern="^(us|eu)$", description="PagerDuty's service region: us or eu.")
    url: Url | None = Field(default=None, description="Another address than the region's own.")

    @property
    def limit_key(self) -> str:
        return f"pagerduty:{self.routing_key.get_secret_value()}"

    async def send(self, note: Notification, http: ClientSession, reference: Mapping[str, str]) -> Receipt:
        """Source: PagerDuty's Events API v2 documentation; every field is kept within its limit."""
        address = self.url.reveal() if self.url else ADDRESSES[self.region]
        data = encoded(event(note, self.routing_key.get_secret_value()))
        async with http.post(address, data=data, headers={"Content-Type": "application/json"}) as answer:
            said = (await answer.text())[:500]
            if answer.status == 202:
                return Receipt({"dedup_key": note.dedup_key})
            if answer.status == 400:
                raise NotDelivered(f"PagerDuty calls the event invalid: {said}", retry=False, reason="clientError")
            raise refusal("PagerDuty", answer, said)


def event(note: Notification, routing_key: str) -> dict[str, Any]:
    """The event for a notification: a trigger while anything of the group fires, else the resolve."""
    if note.status == "resolved":
        return {"routing_key": routing_key, "event_action": "resolve", "dedup_key": note.dedup_key}
    worst = note.firing[0]
    details = {
        "firing": [_detail(alert, note.at) for alert in note.firing[:20]],
        "resolved": names(note.resolved),
        "runbook": cut(printable(worst.runbook.text), 8_000),
    }
    if len(note.firing) > 20:
        details["more"] = f"{len(note.firing) - 20} more alerts fire in this group: {names(note.firing[20:200])}"
    return {
        "routing_key": routing_key,
        "event_action": "trigger",
        "dedup_key": note.dedup_key,
        "client": "runwatch",
        **({"client_url": note.external_url} if note.external_url else {}),
        "payload": {
            "summary": cut(printable(headline(note)), 1024),
            "source": cut(printable(worst.target or worst.check), 512),
            "severity": SEVERITIES[note.severity],
            "timestamp": rfc3339(worst.since),
            "component": cut(printable(worst.check), 512),
            "group": cut(printable(worst.labels.get("system", "")), 512),
            "class": cut(printable(worst.name), 512),
            "custom_details": {name: text for name, text in details.items() if text},
        },
        "links": [{"href": address, "text": title} for title, address in links(note)],
    }


def _detail(alert: Alert, now: float) -> dict[str, str]:
    told = {title.lower(): printable(cut(text, 4_000)) for title, text in facts(alert, now)}
    said = {"alert": printable(alert.name), "check": alert.check, "what": printable(cut(alert.sentence, 2_000))}
    shown = {"evidence": printable(evidence(alert, 8_000))} if alert.evidence else {}
    return said | told | shown


def encoded(event: dict[str, Any]) -> bytes:
    """The event within PagerDuty's 512 KB: the details go first, and say that they did."""
    data = orjson.dumps(event)
    if len(data) > LARGEST_EVENT:
        event["payload"]["custom_details"] = {"cut": f"the details were left out: {len(data)} bytes are too many"}
        data = orjson.dumps(event)
    return data
