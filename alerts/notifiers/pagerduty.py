"""Pages through PagerDuty's Events API v2: one incident per group, triggered and resolved under one dedup key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import orjson
from pydantic import Field, SecretStr

from alerts.notifiers.base import NotDelivered, Notifier, Receipt, refusal, said
from alerts.templates import Template, Texts
from alerts.vocabulary import Alert, Notification, Severity
from alerts.wording import (
    acknowledged_by,
    circumstances,
    cut,
    evidence,
    facts,
    headline,
    links,
    name_of,
    names,
    one_line,
    rfc3339,
)
from checks.base import Url, printable

if TYPE_CHECKING:
    from aiohttp import ClientSession

LARGEST_EVENT = 512_000
LONGEST_LINK = 2_000
MOST_DETAILS = 20
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

    description: Template | None = Field(default=None, description="The incident's title, in place of the headline.")
    details: dict[str, Template] = Field(default={}, description="More details by name; an empty one is left out.")
    client: Template | None = Field(default=None, description="Who says it, in place of runwatch.")

    @property
    def limit_key(self) -> str:
        return f"pagerduty:{self.routing_key.get_secret_value()}"

    async def send(self, note: Notification, http: ClientSession, reference: Mapping[str, str]) -> Receipt:
        """Source: PagerDuty's Events API v2 documentation; every field is kept within its limit."""
        address = self.url.reveal() if self.url else ADDRESSES[self.region]
        texts = Texts(note)
        data = encoded(self.message(note, texts) | {"routing_key": self.routing_key.get_secret_value()})
        headers = {"Content-Type": "application/json"}
        async with http.post(address, data=data, headers=headers, allow_redirects=False) as answer:
            if answer.status == 202:
                return Receipt({"dedup_key": note.dedup_key}, texts.note)
            heard = await said(answer)
            if answer.status == 400:
                reason = "authError" if "routing_key" in heard or "routing key" in heard.lower() else "clientError"
                raise NotDelivered(f"PagerDuty calls the event invalid: {heard}", retry=False, reason=reason)
            raise refusal("PagerDuty", answer, heard)

    def message(self, note: Notification, texts: Texts) -> dict[str, Any]:
        """The event, but for the routing key."""
        made = event(note)
        if made["event_action"] != "trigger":
            return made
        payload = made["payload"]
        summary = texts.of("description", self.description, "").strip()
        payload["summary"] = cut(printable(summary), 1024) if summary else payload["summary"]
        client = texts.of("client", self.client, "").strip()
        made["client"] = cut(printable(client), 512) if client else made["client"]
        for name, template in list(self.details.items())[:MOST_DETAILS]:
            text = texts.of(f"details.{name}", template, "")
            if text:
                payload["custom_details"][name] = cut(printable(text), 8_000)
        if texts.complaints:
            payload["custom_details"]["templates"] = printable(texts.note)
        return made

    def preview(self, note: Notification, texts: Texts) -> dict[str, Any]:
        """See Notifier."""
        return self.message(note, texts)


def event(note: Notification) -> dict[str, Any]:
    """The event for a notification: the resolve, an acknowledgement of all that fires, else a trigger."""
    if note.status == "resolved":
        return {"event_action": "resolve", "dedup_key": note.dedup_key}
    if note.reason == "acknowledged" and acknowledged_by(note):
        return {"event_action": "acknowledge", "dedup_key": note.dedup_key}
    worst = note.firing[0] if note.firing else note.alerts[0]
    shown = note.firing[:MOST_DETAILS]
    details = {
        "why": [printable(cut(sentence, 2_000)) for sentence in circumstances(note)],
        "firing": [_detail(alert, note.at) for alert in shown],
        "resolved": cut(names(note.resolved), 4_000),
        "runbook": cut(printable(worst.runbook.text), 8_000),
    }
    more = len(note.firing) - len(shown) + note.left_out
    if more > 0:
        rest = note.firing[MOST_DETAILS:200]
        details["more"] = f"{more:,} more alerts fire in this group" + (f": {cut(names(rest), 4_000)}" if rest else "")
    return {
        "event_action": "trigger",
        "dedup_key": note.dedup_key,
        "client": "runwatch",
        **({"client_url": note.external_url} if note.external_url else {}),
        "payload": {
            "summary": cut(printable(headline(note)), 1024),
            "source": cut(one_line(worst.target) or one_line(worst.check) or one_line(name_of(worst)), 512),
            "severity": SEVERITIES[note.severity],
            "timestamp": rfc3339(worst.since),
            "component": cut(printable(worst.check), 512),
            "group": cut(printable(worst.labels.get("system", "")), 512),
            "class": cut(printable(name_of(worst)), 512),
            "custom_details": {name: text for name, text in details.items() if text},
        },
        "links": [{"href": address, "text": title} for title, address in links(note) if len(address) <= LONGEST_LINK],
    }


def _detail(alert: Alert, now: float) -> dict[str, str]:
    told = {title.lower(): printable(cut(text, 4_000)) for title, text in facts(alert, now)}
    what = {
        "alert": printable(cut(name_of(alert), 512)),
        "check": printable(alert.check[:512]),
        "what": printable(cut(alert.sentence, 2_000)),
    }
    shown = {"evidence": printable(evidence(alert, 8_000))} if alert.evidence else {}
    return what | told | shown


def encoded(event: dict[str, Any]) -> bytes:
    """The event within PagerDuty's 512 KB: the details go first, and say that they did."""
    data = orjson.dumps(event)
    if len(data) > LARGEST_EVENT:
        event["payload"]["custom_details"] = {"cut": f"the details were left out: {len(data)} bytes are too many"}
        data = orjson.dumps(event)
    return data
