"""What the configuration says of alerting, as the engine wants it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from alerts.routing import Receiver, Route
from alerts.vocabulary import Threshold


@dataclass(frozen=True, slots=True)
class Plan:
    """What the configuration says of alerting; replaced as a whole at a reload. `patience` in seconds."""

    thresholds: Mapping[str, tuple[Threshold, ...]] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    meanings: Mapping[str, str] = field(default_factory=dict)
    """What a check's failure means to people, by the check's key: the description of its alerts that have none."""
    units: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    patience: Mapping[str, float] = field(default_factory=dict)
    overdue: Mapping[str, float] = field(default_factory=dict)
    """Seconds without an answer after which a check is stale."""
    ancestors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    dependents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    route: Route | None = None
    receivers: Mapping[str, Receiver] = field(default_factory=dict)
    external_url: str = ""
