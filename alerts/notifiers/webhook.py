"""Tells any HTTP address, in the body that Alertmanager's webhook receivers know (version 4), or in one of your own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import orjson
from pydantic import Field, field_validator

from alerts.notifiers._http import Reach
from alerts.notifiers.base import HookUrl, Notifier, Receipt, refusal, said
from alerts.templates import Template, Texts
from alerts.vocabulary import Alert, Notification, Phase
from alerts.wording import cut, facts, one_line, page_of, rfc3339, summary
from checks.base import printable

if TYPE_CHECKING:
    from aiohttp import ClientSession

LONGEST_TEXT = 8_000
MOST_LABELS = 500
_SECRET = re.compile("auth|token|key|secret|cookie|password", re.IGNORECASE)
_TOKEN = frozenset("!#$%&'*+-.^_`|~")


class Webhook(Reach, Notifier):
    """Sends JSON; any 2xx accepts it, 408, 429 and 5xx are tried again, other answers are not."""

    per_minute: ClassVar[float] = 1200.0
    # More would hold the event loop up for longer than 5 ms.
    most_alerts: ClassVar[int] = 300

    url: HookUrl = Field(description="Where to send it.")
    method: Literal["POST", "PUT"] = Field(default="POST", description="How.")
    max_alerts: int = Field(default=0, ge=0, description="Alerts in one body at most; 0 for all there are.")
    title: Template | None = Field(default=None, description="A text that is added to the body as `title`.")
    body: Template | None = Field(default=None, description="The whole body, in place of version 4's.")
    content_type: str = Field(default="application/json", description="What the body is; JSON is checked to be some.")
    headers: dict[str, Template] = Field(default={}, description="More headers; an empty one is left out.")

    @field_validator("headers")
    @classmethod
    def _sendable(cls, headers: dict[str, Template]) -> dict[str, Template]:
        for name in headers:
            if not name or not all(char in _TOKEN or (char.isascii() and char.isalnum()) for char in name):
                raise ValueError(f"{name!r} is not the name of a header")
            if name.lower() in ("content-length", "content-type", "host", "transfer-encoding", "connection"):
                raise ValueError(
                    f"the header {name} can't be set" + " here; content_type is" * name.lower().endswith("type")
                )
        return headers

    @property
    def limit_key(self) -> str:
        return f"webhook:{self.url.get_secret_value()}"

    async def send(self, note: Notification, http: ClientSession, reference: Mapping[str, str]) -> Receipt:
        """Source of the body: Alertmanager's documentation, webhook_config."""
        texts = Texts(note)
        headers, data = self.message(note, texts)
        async with http.request(
            self.method,
            self.url.get_secret_value(),
            data=data,
            headers=headers | self.credentials(),
            allow_redirects=False,
            **await self.trust(),
        ) as answer:
            if answer.status // 100 == 2:
                return Receipt(note=texts.note)
            raise refusal("the webhook", answer, await said(answer))

    def message(self, note: Notification, texts: Texts) -> tuple[dict[str, str], bytes]:
        """Headers, without credentials, and body."""
        headers = {"Content-Type": self.content_type}
        for name, template in self.headers.items():
            text = one_line(texts.of(f"headers.{name}", template, ""))
            headers |= {name: text} if text else {}
        own = texts.of("body", self.body, "") if self.body is not None else ""
        if own and "json" in self.content_type:
            try:
                orjson.loads(own.encode("utf-8", "surrogatepass"))
            except orjson.JSONDecodeError as why:
                name = f"the template `body` of receiver {note.receiver}"
                texts.complaints.append(f"{name} failed: it makes no JSON: {why}")
                own = ""
        if own:
            return headers, own.encode("utf-8", "replace")
        content = body(note, self.max_alerts)
        if self.title is not None:
            content["title"] = texts.of("title", self.title, "")
        if texts.complaints:
            content["templateErrors"] = texts.complaints
            headers["Content-Type"] = "application/json"
        return headers, orjson.dumps(content, default=str)

    def preview(self, note: Notification, texts: Texts) -> dict[str, Any]:
        """See Notifier."""
        headers, data = self.message(note, texts)
        headers = {name: "***" if _SECRET.search(name) else text for name, text in headers.items()}
        is_json = "json" in headers["Content-Type"]
        return {"headers": headers, "body": orjson.loads(data) if is_json else data.decode()}


def body(note: Notification, max_alerts: int = 0) -> dict[str, Any]:
    """The version 4 body. `status` of each alert is firing or resolved; times are RFC 3339 in UTC."""
    shown = note.alerts[:max_alerts] if max_alerts else note.alerts
    labels = [_labels(alert) for alert in shown]
    annotations = [_annotations(alert, note.at) for alert in shown]
    return {
        "version": "4",
        "groupKey": printable(note.group_key),
        "truncatedAlerts": note.left_out + len(note.alerts) - len(shown),
        "status": note.status,
        "receiver": note.receiver,
        "groupLabels": {printable(name): printable(text) for name, text in note.group_labels.items()},
        "commonLabels": _common(labels),
        "commonAnnotations": _common(annotations),
        "externalURL": note.external_url,
        "notification_reason": note.reason,
        "why": printable(note.why),
        "leftOut": note.left_out,
        "tally": [{"alertname": printable(name), "count": count} for name, count in note.tally],
        "alerts": [
            {
                "status": "firing" if alert.phase is Phase.FIRING else "resolved",
                "labels": own,
                "annotations": texts,
                "startsAt": rfc3339(alert.since),
                "endsAt": rfc3339(0.0 if alert.phase is Phase.FIRING else alert.resolved_at),
                "generatorURL": page_of(note, alert),
                "fingerprint": alert.fingerprint,
                **({"acknowledgedBy": printable(alert.acked_by)} if alert.acked_by else {}),
            }
            for alert, own, texts in zip(shown, labels, annotations, strict=True)
        ],
    }


def _common(found: list[dict[str, str]]) -> dict[str, str]:
    first, *rest = found or [{}]
    return {name: text for name, text in first.items() if all(other.get(name) == text for other in rest)}


def _labels(alert: Alert) -> dict[str, str]:
    shown = list(alert.labels.items())[:MOST_LABELS]
    return {printable(cut(name, LONGEST_TEXT)): printable(cut(text, LONGEST_TEXT)) for name, text in shown}


def _annotations(alert: Alert, now: float) -> dict[str, str]:
    told = {title.lower(): text for title, text in facts(alert, now)}
    more = len(alert.labels) - MOST_LABELS
    texts = {
        "summary": summary(alert, now),
        "description": alert.annotations.get("description", ""),
        "value": told.get("value", ""),
        "affected": told.get("affected", ""),
        "evidence": "\n\n".join(f"{title}:\n{text}" for title, text in alert.evidence),
        "runbook": alert.runbook.text,
        "runbook_url": alert.runbook.url,
        "flapping": alert.flapping,
        "labels_cut": f"{more} more labels were left out" if more > 0 else "",
    } | dict(list(alert.annotations.items())[:MOST_LABELS])
    return {
        printable(cut(name, LONGEST_TEXT)): printable(cut(text, LONGEST_TEXT)) for name, text in texts.items() if text
    }
