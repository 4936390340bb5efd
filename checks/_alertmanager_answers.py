"""What an Alertmanager's API says, read from JSON of any shape: its alerts, its cluster, how its messages fare."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from checks._api import Answer
from checks._expect import brief
from checks.base import Failed, Reason

OTHERS = "(others)"
"""The label of the alerts that are left where there are too many label sets."""

_SENT = re.compile(r"^alertmanager_(notifications(?:_failed)?)_total\{([^}]*)\} (\S+)$", re.MULTILINE)
_INTEGRATION = re.compile(r'integration="([^"]{1,60})"')


@dataclass(frozen=True, slots=True)
class Active:
    """One alert: its labels, when it began (Unix seconds), and what its author has written about it."""

    labels: dict[str, str]
    since: float
    summary: str

    @property
    def name(self) -> str:
        """Its alertname."""
        return self.labels.get("alertname", "an alert without a name")


@dataclass(frozen=True, slots=True)
class Cluster:
    """ready, settling or disabled; how many members it sees, itself among them."""

    status: str
    peers: int


def alerts(answer: Answer) -> list[Active]:
    """GET /api/v2/alerts."""
    held = answer.json()
    if not isinstance(held, list):
        raise Failed(Reason.BODY, f"{answer.name} did not answer with alerts but with {brief(held)}")
    return [_active(answer.name, one) for one in held]


def _active(name: str, one: Any) -> Active:
    labels = one.get("labels") if isinstance(one, dict) else None
    if not isinstance(labels, dict):
        raise Failed(Reason.BODY, f"{name} answered with an alert that is none: {brief(one)}")
    notes = one.get("annotations")
    notes = notes if isinstance(notes, dict) else {}
    written = notes.get("summary") or notes.get("description") or notes.get("message") or ""
    try:
        since = datetime.fromisoformat(one["startsAt"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        raise Failed(Reason.BODY, f"{name} answered with an alert without a beginning: {brief(labels)}") from None
    return Active({str(key): str(text) for key, text in labels.items()}, since, brief(written, 200).strip('"'))


def cluster(answer: Answer) -> Cluster:
    """GET /api/v2/status."""
    held = answer.json()
    inner = held.get("cluster") if isinstance(held, dict) else None
    if not isinstance(inner, dict) or inner.get("status") not in ("ready", "settling", "disabled"):
        raise Failed(Reason.BODY, f"{answer.name} did not answer with its status but with {brief(held)}")
    peers = inner.get("peers")
    return Cluster(inner["status"], len(peers) if isinstance(peers, list) else 0)


def sent(answer: Answer, most: int) -> dict[str, tuple[float, float]]:
    """Messages sent and failed by integration, out of GET /metrics; empty where it is something else."""
    counts: dict[str, list[float]] = {}
    for what, labels, number in _SENT.findall(answer.body.decode("utf-8", "replace")):
        found = _INTEGRATION.search(labels)
        try:
            value = float(number)
        except ValueError:
            continue
        if found and (found[1] in counts or len(counts) < most):
            counts.setdefault(found[1], [0.0, 0.0])[what.endswith("failed")] += value
    return {name: (total, failed) for name, (total, failed) in counts.items()}


def counted(active: Iterable[Active], by: tuple[str, ...], most: int) -> list[tuple[tuple[str, ...], int]]:
    """How many there are of each label set, the most frequent first; beyond `most` sets the rest in one."""
    counts = Counter(tuple(one.labels.get(name, "") for name in by) for one in active)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in ranked[most:])
    return ranked[:most] + ([((OTHERS,) * len(by), rest)] if rest else [])
