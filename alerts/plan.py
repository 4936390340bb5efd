"""What the configuration says of alerting, as the engine wants it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from alerts.inhibition import InhibitRule
from alerts.intervals import TimeInterval
from alerts.routing import Receiver, Route
from alerts.vocabulary import Threshold
from alerts.when import names_in, read

if TYPE_CHECKING:
    from alerts.maintenance import Maintenance


@dataclass(frozen=True, slots=True)
class StormLimit:
    """More than `pages` first pages to one receiver in `within` seconds: a storm, whose digest comes every `update`."""

    pages: int = 20
    within: float = 60.0
    update: float = 60.0


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
    inhibit_rules: tuple[InhibitRule, ...] = ()
    time_intervals: Mapping[str, TimeInterval] = field(default_factory=dict)
    maintenance: tuple[Maintenance, ...] = ()
    resolve_timeout: float = 300.0
    """Seconds after which an alert that was sent to us ends, unless it is sent again."""
    storm: StormLimit | None = None
    prove_within: float | None = None
    """Seconds after which a receiver that accepted nothing is reported; None: never."""
    diagnosable: frozenset[str] = frozenset()
    """Checks that can gather evidence of their own when an alert begins to fire."""
    answerable: frozenset[str] = frozenset()
    """Kinds of notifiers whose messages may hold buttons, as somebody listens for them."""

    def asking_for(self, word: str) -> set[str]:
        """The checks that have a threshold on one of the language's own words, such as `stale`.

        A text that a selector looks for is none: `events{pattern="error"} > 5` asks for no error.
        """
        return {
            key
            for key, thresholds in self.thresholds.items()
            if any(word in one.when.text and word in names_in(read(one.when.text)) for one in thresholds)
        }
