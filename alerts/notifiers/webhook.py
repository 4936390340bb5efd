"""Tells any HTTP address, in the body that Alertmanager's webhook receivers know (version 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, SecretStr

from alerts.notifiers.base import HookUrl, Notifier, Receipt, refusal
from alerts.vocabulary import Alert, Notification, Phase
from alerts.wording import cut, facts, rfc3339, summary
from checks.base import printable

if TYPE_CHECKING:
    from aiohttp import ClientSession

LONGEST_ANNOTATION = 8_000


class Webhook(Notifier):
    """POSTs JSON; any 2xx accepts it, 408, 429 and 5xx are tried again, other answers are not."""

    per_minute: ClassVar[float] = 1200.0

    url: HookUrl = Field(description="Where to POST.")
    bearer_token: SecretStr | None = Field(default=None, description="Sent as `Authorization: Bearer …`.")
    max_alerts: int = Field(default=0, ge=0, description="Alerts in one body at most; 0 for all.")

    @property
    def limit_key(self) -> str:
        return f"webhook:{self.url.get_secret_value()}"

    async def send(self, note: Notification, http: ClientSession, reference: Mapping[str, str]) -> Receipt:
        """Source of the body: Alertmanager's documentation, webhook_config."""
        headers = {"Authorization": f"Bearer {self.bearer_token.get_secret_value()}"} if self.bearer_token else {}
        async with http.post(self.url.get_secret_value(), json=body(note, self.max_alerts), headers=headers) as answer:
            if answer.status // 100 == 2:
                return Receipt()
            raise refusal("the webhook", answer, (await answer.text())[:300])


def body(note: Notification, max_alerts: int = 0) -> dict[str, Any]:
    """The version 4 body. `status` of each alert is firing or resolved; times are RFC 3339 in UTC."""
    shown = note.alerts[:max_alerts] if max_alerts else note.alerts
    annotations = [_annotations(alert, note.at) for alert in shown]
    shared = {
        name: text for name, text in annotations[0].items() if all(other.get(name) == text for other in annotations)
    }
    return {
        "version": "4",
        "groupKey": note.group_key,
        "truncatedAlerts": len(note.alerts) - len(shown),
        "status": note.status,
        "receiver": note.receiver,
        "groupLabels": note.group_labels,
        "commonLabels": note.common("labels"),
        "commonAnnotations": shared,
        "externalURL": note.external_url,
        "notification_reason": note.reason,
        "alerts": [
            {
                "status": "firing" if alert.phase is Phase.FIRING else "resolved",
                "labels": alert.labels,
                "annotations": texts,
                "startsAt": rfc3339(alert.since),
                "endsAt": rfc3339(0.0 if alert.phase is Phase.FIRING else alert.resolved_at),
                "generatorURL": note.external_url,
                "fingerprint": alert.fingerprint,
            }
            for alert, texts in zip(shown, annotations, strict=True)
        ],
    }


def _annotations(alert: Alert, now: float) -> dict[str, str]:
    told = {title.lower(): text for title, text in facts(alert, now)}
    texts = {
        "summary": summary(alert, now),
        "description": alert.annotations.get("description", ""),
        "value": told.get("value", ""),
        "affected": told.get("affected", ""),
        "evidence": "\n\n".join(f"{title}:\n{text}" for title, text in alert.evidence),
        "runbook": alert.runbook.text,
        "runbook_url": alert.runbook.url,
    } | alert.annotations
    return {name: cut(printable(text), LONGEST_ANNOTATION) for name, text in texts.items() if text}
