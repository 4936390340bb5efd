"""Notifications that never were: what templates are tried with at load, and shown with by `template render`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from alerts.vocabulary import Alert, Notification, Phase, Runbook, Severity, dedup_key, fingerprint

NOON = 1_795_348_800.0


def _alert(name: str, check: str, severity: Severity, word: str, since: float) -> Alert:
    labels = {"alertname": name, "severity": severity.value, "system": "shop", "check": check, "instance": f"{check}:1"}
    return Alert(
        fingerprint=fingerprint(labels),
        labels=labels,
        check=f"shop/{check}",
        severity=severity,
        phase=Phase.FIRING,
        since=since,
        fired_at=since,
        annotations={
            "summary": f"{check} does not answer",
            "description": "Customers can't pay.",
            "dashboard_url": "https://dashboards.example.com/shop",
        },
        value="failed",
        limit="",
        reason="connect_refused",
        sentence=f"cannot connect to {check}:1: connection refused",
        evidence=[
            ("Measured", "duration_seconds = 2 ms"),
            ("Last lines of the log", "FATAL: no space left <on> device"),
        ],
        runbook=Runbook("Database down", "1. Look at the disk.\n2. Start it.", "https://runbooks.example.com/database"),
        severity_word=word,
        target=f"postgresql://{check}:1/shop",
        impact=["shop/web (failing)", "shop/api"],
    )


def _note(status: str, reason: str, why: str, alerts: list[Alert]) -> Notification:
    group = {"system": "shop", "alertname": alerts[0].labels["alertname"]}
    return Notification(
        status="resolved" if status == "resolved" else "firing",
        receiver="on-call",
        group_key='on-call:{system="shop"}',
        dedup_key=dedup_key(group, "on-call"),
        reason=reason,
        at=NOON,
        group_labels=group,
        alerts=alerts,
        external_url="https://watch.example.com",
        why=why,
    )


def firing() -> Notification:
    """The first page about one alert."""
    return _note("firing", "first", "", [_alert("DatabaseDown", "database", Severity.CRITICAL, "P0", NOON - 60)])


def resolved() -> Notification:
    """Its end."""
    ended = _alert("DatabaseDown", "database", Severity.CRITICAL, "P0", NOON - 900)
    ended.phase, ended.resolved_at = Phase.INACTIVE, NOON - 1
    return _note("resolved", "resolved", "", [ended])


def acknowledged() -> Notification:
    """Somebody has it."""
    taken = _alert("DatabaseDown", "database", Severity.CRITICAL, "P0", NOON - 300)
    taken.acked_by, taken.acked_at, taken.acked_until = "anna", NOON - 5, NOON + 3600
    return _note("firing", "acknowledged", "anna has it until 13:00", [taken])


def escalated() -> Notification:
    """Nobody had it in time."""
    late = _alert("DatabaseDown", "database", Severity.CRITICAL, "P0", NOON - 960)
    return _note("firing", "escalated", "nobody acknowledged it within 15m", [late])


def storm() -> Notification:
    """A digest of thousands: the cause and the worst, and the rest counted."""
    cause = _alert("DatabaseDown", "database", Severity.CRITICAL, "P0", NOON - 60)
    symptoms = [_alert("HighLatency", f"web-{number}", Severity.HIGH, "P1", NOON - 30) for number in range(49)]
    note = _note("firing", "storm", "8,313 alerts fired within a minute", [cause, *symptoms])
    group = {"system": "shop"}
    return dataclasses.replace(
        note, group_labels=group, left_out=8_263, tally=[("HighLatency", 8_312), ("DatabaseDown", 1)]
    )


SAMPLES: dict[str, Callable[[], Notification]] = {
    "firing": firing, "resolved": resolved, "acknowledged": acknowledged, "escalated": escalated, "storm": storm,
}  # fmt: skip
