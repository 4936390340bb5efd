"""The words of alerting: severity, threshold, alert, notification; no behaviour beyond naming and identity."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from checks.base import Labels

if TYPE_CHECKING:
    from alerts.flapping import FlappingLimit
    from alerts.thresholds import Condition


class Severity(StrEnum):
    """How bad, in the four words that routes know; a system maps its own words onto them."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    @property
    def rank(self) -> int:
        """0 for the worst, so that sorting puts it first."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


class Phase(StrEnum):
    """Where an alert is in its life; inactive ones are not kept."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"


ThresholdKey = tuple[str, str, Severity]


@dataclass(frozen=True, slots=True)
class Runbook:
    """What to do: a section of a Markdown file. `text` is the section's own words, `url` a link for the rest."""

    title: str = ""
    text: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A configured limit on one check's measurements. Durations in seconds."""

    alert: str
    check: str
    system: str
    when: Condition
    severity: Severity
    severity_word: str
    resolve_when: Condition | None = None
    hold: float = 0.0
    keep_firing: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    runbook: Runbook = Runbook()
    respond_within: float = 0.0
    flapping: FlappingLimit | None = None

    @property
    def key(self) -> ThresholdKey:
        """Its identity across reloads: the check's key, the alert's name, the severity."""
        return self.check, self.alert, self.severity


@dataclass(slots=True)
class Alert:
    """A threshold breached, with its history; one per fingerprint. Times in steady Unix seconds, 0 for never."""

    fingerprint: str
    labels: dict[str, str]
    check: str
    severity: Severity
    phase: Phase = Phase.PENDING
    since: float = 0.0
    fired_at: float = 0.0
    clear_since: float = 0.0
    resolved_at: float = 0.0
    annotations: dict[str, str] = field(default_factory=dict)
    value: str = ""
    limit: str = ""
    expression: str = ""
    """What has that value, in the words of the condition; empty where no comparison decides."""
    reason: str = ""
    sentence: str = ""
    evidence: list[tuple[str, str]] = field(default_factory=list)
    runbook: Runbook = Runbook()
    severity_word: str = ""
    target: str = ""
    impact: list[str] = field(default_factory=list)
    withheld: str = ""
    """Why nobody is told of it now; empty when they are, or when it does not fire."""
    told: bool = False
    measured: Labels = ()
    """The labels of the measurement that is judged, among the labels of the alert."""
    source: str = ""
    """Who sent it, where it is not one of ours: the sender's own link (`generatorURL`), or `api`."""
    ends_at: float = 0.0
    """When an alert that was sent to us ends unless its sender repeats it; 0 for ours."""
    respond_within: float = 0.0
    """Seconds within which somebody should have it, by its system's own words; 0 where nothing is said."""
    acked_by: str = ""
    acked_at: float = 0.0
    acked_until: float = 0.0
    """Who has it, since when and until when (0: until it ends); only while `acked_by` is not empty."""
    flapping: str = ""
    """That it comes and goes too often to be told each time, and how often; empty while it does not."""

    def snapshot(self) -> Alert:
        """The alert as it is now, for a message or a log line; ten times as fast as dataclasses.replace."""
        copy = Alert.__new__(Alert)
        for name in Alert.__slots__:
            setattr(copy, name, getattr(self, name))
        return copy

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "unnamed")

    @property
    def threshold_key(self) -> ThresholdKey:
        """Which threshold it breaches: `Threshold.key`. One that was sent to us stands for itself."""
        if self.source:
            return "", self.fingerprint, self.severity
        return self.check, self.name, self.severity


REASONS = (
    "first", "added", "changed", "resolved", "reminder", "escalated", "acknowledged", "unmuted", "storm", "flapping",
)  # fmt: skip
"""Why a message is sent: a group fires; more of it fires; some of it has ended; all of it has; nothing was said for the
repeat interval; nobody has acknowledged it in time; somebody has; what kept it quiet is over; too many at once, so that
they come as one digest; it began or ceased to flap."""


@dataclass(slots=True)
class Notification:
    """One message about one group to one notifier, whole and by itself: it is what the outbox keeps.

    `reason` says why it was sent, one of REASONS; `why` adds what the reader can't see from it, as a sentence ("nobody
    acknowledged it within 15m"). `at` is steady Unix seconds. `alerts` holds the worst, causes first; `left_out` counts
    those beyond what the destination takes, and `tally` then says how many of which name there are in all. `dedup_key`
    depends on the group's identity alone, never on the route, so that edits of routes orphan nothing.
    """

    status: Literal["firing", "resolved"]
    receiver: str
    group_key: str
    dedup_key: str
    reason: str
    at: float
    group_labels: dict[str, str]
    alerts: list[Alert]
    external_url: str = ""
    why: str = ""
    left_out: int = 0
    tally: list[tuple[str, int]] = field(default_factory=list)
    answerable: bool = False
    """Whether a button in the message would reach us: then it may offer acknowledging and silencing."""

    @property
    def firing(self) -> list[Alert]:
        return [alert for alert in self.alerts if alert.phase is Phase.FIRING]

    @property
    def resolved(self) -> list[Alert]:
        return [alert for alert in self.alerts if alert.phase is not Phase.FIRING]

    @property
    def severity(self) -> Severity:
        """The worst of those that fire, or of all when none does."""
        return min((alert.severity for alert in self.firing or self.alerts), key=lambda severity: severity.rank)

    def common(self, which: Literal["labels", "annotations"]) -> dict[str, str]:
        """The pairs that all of its alerts share."""
        first, *rest = [getattr(alert, which) for alert in self.alerts]
        return {name: text for name, text in first.items() if all(other.get(name) == text for other in rest)}


def fingerprint(labels: Mapping[str, str]) -> str:
    """Sixteen hex digits that identify a label set: FNV-1a over sorted pairs, as Prometheus computes it."""
    state = 14695981039346656037
    for name in sorted(labels):
        for piece in (name, "\xff", labels[name], "\xff"):
            for byte in b"\xff" if piece == "\xff" else piece.encode("utf-8", "surrogatepass"):
                state = ((state ^ byte) * 1099511628211) & 0xFFFFFFFFFFFFFFFF
    return f"{state:016x}"


def dedup_key(group_labels: Mapping[str, str], receiver: str) -> str:
    """What a receiver's service knows the group by, at most 255 characters: readable, then a digest of the identity."""
    identity = "\xff".join(f"{name}\xfe{text}" for name, text in sorted(group_labels.items()))
    digest = hashlib.sha256(f"{receiver}\xfd{identity}".encode("utf-8", "surrogatepass")).hexdigest()[:24]
    readable = "/".join(text for _, text in sorted(group_labels.items()))
    printable = "".join(char if char.isascii() and char.isprintable() and char != " " else "-" for char in readable)
    return f"runwatch/{printable[:200]}/{digest}"
