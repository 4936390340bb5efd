"""What is owed and what has changed: parcels to deliver, and one set of changes that becomes durable as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from alerts.escalation import Escalation
from alerts.silences import Silence
from alerts.telling import Telling
from alerts.vocabulary import Alert, Notification, Phase, Runbook, Severity


@dataclass(slots=True)
class Parcel:
    """A notification on its way to one destination. Times in steady Unix seconds.

    `queue` names group and destination: parcels of one queue are delivered strictly in order, also when the alert has
    ended and fires again. `thread` names one opening of the group: what its messages share.
    """

    id: str
    queue: str
    thread: str
    destination: dict[str, Any]
    note: Notification
    created: float
    attempts: int = 0
    next_at: float = 0.0
    last_error: str = ""
    fell_over: bool = False


@dataclass(slots=True)
class Entry:
    """A line of the ledger: one attempt at a parcel that ended. `status` is delivered, retry, dead or superseded."""

    parcel: str
    thread: str
    receiver: str
    kind: str
    reason: str
    dedup_key: str
    status: str
    attempts: int
    created: float
    ended: float
    error: str = ""
    alerts: list[str] = field(default_factory=list)

    @staticmethod
    def of(parcel: Parcel, status: str, now: float, error: str = "") -> Entry:
        """The line about an attempt at a parcel that ends now."""
        return Entry(
            parcel=parcel.id,
            thread=parcel.thread,
            receiver=parcel.note.receiver,
            kind=str(parcel.destination.get("kind", "")),
            reason=parcel.note.reason,
            dedup_key=parcel.note.dedup_key,
            status=status,
            attempts=parcel.attempts,
            created=parcel.created,
            ended=now,
            error=error,
            alerts=[alert.fingerprint for alert in parcel.note.alerts],
        )


@dataclass(frozen=True, slots=True)
class Proof:
    """That a way to reach people works: since when it is configured, and when it last accepted something (0: never)."""

    key: str
    known_since: float
    delivered_at: float = 0.0


@dataclass(slots=True)
class Changes:
    """Everything one decision changes; None marks what is to be forgotten. Written in one transaction."""

    alerts: dict[str, Alert | None] = field(default_factory=dict)
    tellings: dict[str, Telling | None] = field(default_factory=dict)
    parcels: dict[str, Parcel | None] = field(default_factory=dict)
    references: dict[str, Mapping[str, str]] = field(default_factory=dict)
    silences: dict[str, Silence | None] = field(default_factory=dict)
    escalations: dict[str, Escalation | None] = field(default_factory=dict)
    proofs: dict[str, Proof | None] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)

    def merge(self, later: Changes) -> None:
        """Add what came later; the later word about a thing holds."""
        self.alerts |= later.alerts
        self.tellings |= later.tellings
        self.parcels |= later.parcels
        self.references |= later.references
        self.silences |= later.silences
        self.escalations |= later.escalations
        self.proofs |= later.proofs
        self.entries += later.entries


@dataclass(slots=True)
class Kept:
    """What a store gives back at the start."""

    alerts: list[Alert] = field(default_factory=list)
    tellings: list[Telling] = field(default_factory=list)
    parcels: list[Parcel] = field(default_factory=list)
    references: dict[str, dict[str, str]] = field(default_factory=dict)
    silences: list[Silence] = field(default_factory=list)
    escalations: list[Escalation] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)


class NotKept(Exception):
    """The store could not make changes durable; the text says why, and none of them was written."""


class Keeper(Protocol):
    """Where changes become durable."""

    async def write(self, changes: Changes) -> None:
        """Return when all of it is on disk, or raise NotKept."""


def alert_from(data: dict[str, Any]) -> Alert:
    """An alert as `asdict` wrote it."""
    return Alert(
        **data
        | {
            "severity": Severity(data["severity"]),
            "phase": Phase(data["phase"]),
            "runbook": Runbook(**data["runbook"]),
            "evidence": [(title, text) for title, text in data["evidence"]],
            "measured": tuple((name, text) for name, text in data["measured"]),
        }
    )


def note_from(data: dict[str, Any]) -> Notification:
    """A notification as `asdict` wrote it."""
    return Notification(**data | {"alerts": [alert_from(alert) for alert in data["alerts"]]})


def parcel_from(data: dict[str, Any]) -> Parcel:
    """A parcel as `asdict` wrote it."""
    return Parcel(**data | {"note": note_from(data["note"])})


def as_data(thing: Alert | Telling | Parcel | Entry) -> dict[str, Any]:
    """What is written of a thing: plain data, the inverse of the `…_from` above."""
    return asdict(thing)
