"""What our own API answers with: JSON, and an alert in the one form that all of its routes show."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from alerts.vocabulary import Alert
from alerts.wording import rfc3339


def answer(data: Any, status: int = 200) -> web.Response:
    """An answer for machines."""
    return web.Response(body=orjson.dumps(data), content_type="application/json", status=status)


def alert_data(alert: Alert) -> dict[str, Any]:
    """An alert as our API shows it; times are RFC 3339."""
    return {
        "fingerprint": alert.fingerprint,
        "alert": alert.name,
        "check": alert.check,
        "phase": alert.phase,
        "severity": alert.severity,
        "severity_word": alert.severity_word,
        "since": rfc3339(alert.since),
        "fired_at": rfc3339(alert.fired_at),
        "value": alert.value,
        "limit": alert.limit,
        "expression": alert.expression,
        "reason": alert.reason,
        "sentence": alert.sentence,
        "labels": alert.labels,
        "annotations": alert.annotations,
        "evidence": [{"title": title, "text": text} for title, text in alert.evidence],
        "runbook": {"title": alert.runbook.title, "url": alert.runbook.url},
        "told": alert.told,
        "withheld": alert.withheld,
        "acked_by": alert.acked_by,
        "acked_until": rfc3339(alert.acked_until) if alert.acked_by else "",
        "flapping": alert.flapping,
        "source": alert.source,
    }
