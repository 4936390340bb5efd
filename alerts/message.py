"""Makes the notification of a group for one destination: the worst first, causes before symptoms, the rest counted."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from alerts.notifiers.base import Notifier
from alerts.plan import Plan
from alerts.telling import Telling
from alerts.vocabulary import Alert, Notification, Phase
from checks.base import revealed

MOST_TALLIED = 50


def destination(notifier: Notifier) -> dict[str, Any]:
    """A notifier as it is configured now: what a parcel keeps of it."""
    return {"kind": notifier.kind, "config": revealed(notifier)}


def digest(destination: Mapping[str, Any]) -> str:
    """Tells destinations apart."""
    return hashlib.sha256(repr(sorted(destination.items())).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def compose(
    telling: Telling,
    alerts: Collection[Alert],
    reason: str,
    why: str,
    most: int,
    plan: Plan,
    failing: Collection[str],
    now: float,
) -> Notification:
    """One message about these alerts: at most `most` of them in full (0: all). `failing` are checks with an alert."""

    def importance(alert: Alert) -> tuple[Any, ...]:
        fires = alert.phase is Phase.FIRING
        return not fires, alert.severity.rank, -len(plan.dependents.get(alert.check, ())), alert.since

    shown = sorted(alerts, key=importance) if not most else heapq.nsmallest(most, alerts, key=importance)
    left_out = len(alerts) - len(shown)
    counted = Counter(alert.name for alert in alerts) if left_out else Counter()
    return Notification(
        status="resolved" if reason == "resolved" else "firing",
        receiver=telling.receiver,
        group_key=telling.group_key,
        dedup_key=telling.dedup_key,
        reason=reason,
        at=now,
        group_labels=dict(telling.group_labels),
        alerts=[replace(alert, impact=impact(alert, plan, failing)) for alert in shown],
        external_url=plan.external_url,
        why=why,
        left_out=left_out,
        tally=counted.most_common(MOST_TALLIED),
        answerable=str(telling.destination.get("kind")) in plan.answerable,
    )


def impact(alert: Alert, plan: Plan, failing: Collection[str]) -> list[str]:
    """What can't succeed while this fires, near and far; those that fail already say so."""
    dependents = plan.dependents.get(alert.check, ())
    if not dependents or alert.phase is not Phase.FIRING:
        return []
    return [f"{key} (failing)" if key in failing else key for key in dependents]
