"""What people were told: a message that was accepted, whom it reached, and its text as it was received."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from alerts.outbox import Parcel
from alerts.vocabulary import Alert
from monitor.demo.inbox import Received


@dataclass(frozen=True)
class Told:
    """A message that was accepted: `at` in the daemon's time, `to` such as `slack #CHANNEL` (see `whom`)."""

    at: float
    to: str
    parcel: Parcel

    @property
    def firing(self) -> dict[str, Alert]:
        return {alert.name: alert for alert in self.parcel.note.firing}

    @property
    def resolved(self) -> set[str]:
        return {alert.name for alert in self.parcel.note.resolved}

    def __str__(self) -> str:
        names = "+".join(f"{name} {alert.severity_word}" for name, alert in self.firing.items())
        return f"{self.to} {self.parcel.note.reason}: {names or 'resolved ' + '+'.join(sorted(self.resolved))}"


def whom(destination: dict[str, Any], names: dict[str, str]) -> str:
    """A destination as its readers would name it."""
    kind, config = destination["kind"], destination["config"]
    match kind:
        case "pagerduty":
            key = str(config["routing_key"])
            return f"pagerduty {names.get(key, key)}"
        case "slack":
            return f"slack {config.get('channel') or config.get('api_url')}"
        case "email":
            to = config["to"]
            return f"email {to if isinstance(to, str) else ','.join(to)}"
    return f"{kind} {config.get('url', '')}"


class Page:
    """What people were told about one alert."""

    def __init__(self, alert: Alert, seconds: float, text: str) -> None:
        self.alert = alert
        self.seconds = seconds
        self.text = text

    def says(self, *pieces: str) -> None:
        """All of these stand in the messages as they were received: evidence, numbers, the steps of the playbook."""
        for piece in pieces:
            assert piece in self.text, f"{piece!r} is not in the page:\n{self.text}"


def plain(message: Received) -> str:
    """A message's texts, one a line, whatever its form."""
    lines: list[str] = []

    def walk(value: Any) -> None:
        match value:
            case dict():
                for inner in value.values():
                    walk(inner)
            case list():
                for inner in value:
                    walk(inner)
            case str():
                lines.append(value)

    walk(message.body)
    return "\n".join(lines)
