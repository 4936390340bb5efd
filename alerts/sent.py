"""Alerts that others judged and sent to us, as Prometheus sends them: read, bounded, and made ours. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from alerts.vocabulary import Alert, Phase, Severity, fingerprint
from alerts.wording import cut, instant

MOST_LABELS = 128
LONGEST_LABEL = 4_096
LONGEST_ANNOTATION = 16_384
MOST_ANNOTATIONS = 64
SEVERITIES = {
    "page": Severity.CRITICAL,
    "error": Severity.HIGH,
    "major": Severity.HIGH,
    "warning": Severity.MEDIUM,
    "warn": Severity.MEDIUM,
    "minor": Severity.MEDIUM,
    "info": Severity.LOW,
    "none": Severity.LOW,
} | {severity.value: severity for severity in Severity}
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class SentAlert:
    """One alert of a request. Times in Unix seconds; `ends_at` 0 where its sender gave none."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)
    starts_at: float = 0.0
    ends_at: float = 0.0
    generator_url: str = ""
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fingerprint", fingerprint(self.labels))

    def alert(self, now: float, ends_at: float, told: bool) -> Alert:
        """The alert that it becomes here, firing since its sender saw it."""
        labels = dict(self.labels)
        word = labels.get("severity", "")
        target = labels.get("instance", "")
        return Alert(
            fingerprint=self.fingerprint,
            labels=labels,
            check=target or labels.get("job", "") or labels.get("alertname", ""),
            severity=SEVERITIES.get(word.lower(), Severity.MEDIUM),
            phase=Phase.FIRING,
            since=min(self.starts_at or now, now),
            fired_at=now,
            annotations=dict(self.annotations),
            sentence=self.annotations.get("summary", "") or self.annotations.get("description", ""),
            severity_word=word,
            target=target,
            told=told,
            source=self.generator_url or "api",
            ends_at=ends_at,
        )


def read(body: Any, behind: float) -> list[SentAlert]:
    """The alerts of a `POST /api/v2/alerts`; ValueError with a sentence when any of them can't be taken.

    `behind`: seconds by which our steady clock is behind the wall clock that senders go by.
    """
    if not isinstance(body, list):
        raise ValueError("a list of alerts is wanted")
    return [read_one(number, item, behind) for number, item in enumerate(body)]


def read_one(number: int, item: Any, behind: float) -> SentAlert:
    """One of them, for whoever takes what is good although something else is not."""
    where = f"alert {number}"
    if not isinstance(item, dict):
        raise ValueError(f"{where}: an object is wanted")
    labels = {name: text for name, text in _texts(where, "labels", item.get("labels"), MOST_LABELS).items() if text}
    if not labels:
        raise ValueError(f"{where}: at least one label is wanted: without any, nobody could tell it from others")
    for name, text in labels.items():
        if not _LABEL_NAME.fullmatch(name) and (not name or not name.isprintable()):
            raise ValueError(f"{where}: {name[:60]!r} is not a label's name")
        if len(text) > LONGEST_LABEL:
            raise ValueError(f"{where}: the label {name} has {len(text)} characters; {LONGEST_LABEL} are the most")
    annotations = _texts(where, "annotations", item.get("annotations") or {}, MOST_ANNOTATIONS)
    starts_at, ends_at = _time(where, "startsAt", item), _time(where, "endsAt", item)
    if starts_at and ends_at and ends_at < starts_at:
        raise ValueError(f"{where}: it ends before it starts")
    generator = item.get("generatorURL") or ""
    return SentAlert(
        labels,
        {name: cut(text, LONGEST_ANNOTATION) for name, text in annotations.items()},
        starts_at - behind if starts_at else 0.0,
        ends_at - behind if ends_at else 0.0,
        generator[:2_000] if isinstance(generator, str) else "",
    )


def _texts(where: str, key: str, value: Any, most: int) -> dict[str, str]:
    if not isinstance(value, dict) or any(not isinstance(text, str) for text in value.values()):
        raise ValueError(f"{where}: {key}: an object of texts is wanted")
    if len(value) > most:
        raise ValueError(f"{where}: {len(value)} {key} are too many; {most} are the most")
    return {_sayable(name): _sayable(text) for name, text in value.items()}


def _sayable(text: str) -> str:
    """Without what neither a database nor UTF-8 can hold."""
    text = text if text.isascii() else text.encode("utf-8", "replace").decode()
    return text.replace("\0", "�")


def _time(where: str, key: str, item: dict[str, Any]) -> float:
    try:
        return instant(item.get(key))
    except ValueError as why:
        raise ValueError(f"{where}: {key}: {why}") from None
