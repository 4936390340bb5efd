"""Notifications to try notifiers with."""

from __future__ import annotations

from alerts.vocabulary import Alert, Notification, Phase, Runbook, Severity, dedup_key, fingerprint

NOON = 1_795_348_800.0


def alert(name: str = "DatabaseDown", **fields: object) -> Alert:
    """A firing alert with everything in it."""
    labels = {"alertname": name, "severity": "critical", "system": "shop", "check": "database"}
    given: dict[str, object] = {
        "fingerprint": fingerprint(labels),
        "labels": labels,
        "check": "shop/database",
        "severity": Severity.CRITICAL,
        "severity_word": "P0",
        "phase": Phase.FIRING,
        "since": NOON - 60,
        "fired_at": NOON - 59,
        "value": "failed",
        "reason": "connect_refused",
        "sentence": "cannot connect to 10.0.0.5:5432: connection refused",
        "evidence": [("Measured", "duration_seconds = 2 ms")],
        "runbook": Runbook("Database down", "1. Look at the disk.\n2. Start it.", "https://runbooks.example/db"),
        "target": "postgresql://10.0.0.5/shop",
        "impact": ["shop/web (failing)"],
    } | fields
    return Alert(**given)  # type: ignore[arg-type]


def note(*alerts: Alert, status: str = "firing", reason: str = "first", **fields: object) -> Notification:
    """A notification about these alerts, or about one."""
    group = {"system": "shop", "alertname": "DatabaseDown"}
    given: dict[str, object] = {
        "status": status,
        "receiver": "on-call",
        "group_key": "on-call:{}",
        "dedup_key": dedup_key(group, "on-call"),
        "reason": reason,
        "at": NOON,
        "group_labels": group,
        "alerts": list(alerts) or [alert()],
        "external_url": "https://watch.example.com",
    } | fields
    return Notification(**given)  # type: ignore[arg-type]


def resolved(*alerts: Alert) -> Notification:
    """The end of it."""
    ended = [alert(phase=Phase.INACTIVE, resolved_at=NOON)] if not alerts else list(alerts)
    return note(*ended, status="resolved", reason="resolved")
