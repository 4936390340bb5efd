"""Makes the notification of a group for one destination: the worst first, causes before symptoms, the rest counted."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
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
        return (
            not fires,
            alert.severity.rank,
            -len(plan.dependents.get(alert.check, ())),
            alert.since,
            alert.name,
            alert.check,
        )

    shown, tally = _most_important(alerts, most, importance)
    return Notification(
        status="resolved" if reason == "resolved" else "firing",
        receiver=telling.receiver,
        group_key=telling.group_key,
        dedup_key=telling.dedup_key,
        reason=reason,
        at=now,
        group_labels=dict(telling.group_labels),
        alerts=[_as_now(alert, plan, failing) for alert in shown],
        external_url=plan.external_url,
        why=why,
        left_out=len(alerts) - len(shown),
        tally=tally,
        answerable=str(telling.destination.get("kind")) in plan.answerable,
    )


def _as_now(alert: Alert, plan: Plan, failing: Collection[str]) -> Alert:
    copy = alert.snapshot()
    copy.impact = impact(alert, plan, failing)
    return copy


def merged(notes: Sequence[Notification], most: int) -> Notification:
    """What several waiting messages say, as one: the firing first, the rest counted."""
    alerts = [alert for note in notes for alert in note.alerts]
    shown, tally = _most_important(alerts, most, lambda alert: (alert.phase is not Phase.FIRING, alert.severity.rank))
    return replace(
        notes[0],
        status="firing" if any(note.status == "firing" for note in notes) else "resolved",
        reason="storm",
        why=f"{len(notes)} messages waited for this receiver and come as one",
        alerts=shown,
        left_out=len(alerts) - len(shown) + sum(note.left_out for note in notes),
        tally=tally,
    )


def _most_important(
    alerts: Collection[Alert], most: int, importance: Callable[[Alert], tuple[Any, ...]]
) -> tuple[list[Alert], list[tuple[str, int]]]:
    """The worst `most` (0: all) in order, and how many of which name there are where that leaves any out."""
    if not most or len(alerts) <= most:
        return sorted(alerts, key=importance), []
    return heapq.nsmallest(most, alerts, key=importance), Counter(one.name for one in alerts).most_common(MOST_TALLIED)


def impact(alert: Alert, plan: Plan, failing: Collection[str]) -> list[str]:
    """What can't succeed while this fires: first what fails already, which it says, then what others need.

    Where the check itself answers, and a number of it is wrong, nothing need fail: only what does is named.
    """
    dependents = plan.dependents.get(alert.check, ())
    if not dependents or alert.phase is not Phase.FIRING:
        return []
    first = sorted(dependents, key=lambda key: (key not in failing, -len(plan.dependents.get(key, ()))))
    return [f"{key} (failing)" if key in failing else key for key in first if alert.reason or key in failing]
