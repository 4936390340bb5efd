"""What templates see: a notification as plain values, every text printable and of bounded length."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from alerts.vocabulary import Alert, Notification, Phase
from alerts.wording import cut, headline, name_of, page_of, summary
from checks.base import printable

LONGEST = 4_000
"""Characters of one text; what is longer is cut with a word that it was."""
LONGEST_PASSAGE = 8_000
"""The same for evidence and runbook."""
MOST_ALERTS = 200
MOST_PAIRS = 200


class Pairs(dict[str, str]):
    """Labels or annotations; one that is missing reads as empty, as in routes."""

    def __missing__(self, name: str) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Passage:
    """A titled text: a piece of evidence, a runbook's section."""

    title: str
    text: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Count:
    """How many alerts of a name there are."""

    name: str
    count: int


@dataclass(frozen=True, slots=True)
class AlertView:
    """One alert. Times in Unix seconds, 0 for never."""

    name: str
    status: str
    fingerprint: str
    labels: Pairs
    annotations: Pairs
    check: str
    severity: str
    severity_word: str
    since: float
    resolved_at: float
    value: str
    limit: str
    expression: str
    reason: str
    sentence: str
    summary: str
    evidence: list[Passage]
    runbook: Passage
    target: str
    impact: list[str]
    link: str
    source: str
    acked_by: str
    acked_at: float
    acked_until: float
    flapping: str


@dataclass(frozen=True, slots=True)
class NoteView:
    """One notification; `headline` is the built-in one-line summary."""

    status: str
    receiver: str
    reason: str
    why: str
    severity: str
    headline: str
    group_key: str
    dedup_key: str
    group_labels: Pairs
    common_labels: Pairs
    common_annotations: Pairs
    alerts: list[AlertView]
    firing: list[AlertView]
    resolved: list[AlertView]
    external_url: str
    left_out: int
    tally: list[Count]
    at: float


@lru_cache(maxsize=8)
def names_of(view: type[Any]) -> tuple[str, ...]:
    """The names that a template may ask a view for."""
    return tuple(field.name for field in fields(view))


def view_of(note: Notification) -> NoteView:
    """The notification as templates see it."""
    shown = note.alerts[:MOST_ALERTS]
    alerts = [_alert(alert, note) for alert in shown]
    return NoteView(
        status=note.status,
        receiver=_text(note.receiver),
        reason=note.reason,
        why=_text(note.why),
        severity=note.severity.value if note.alerts else "",
        headline=_text(headline(note)),
        group_key=_text(note.group_key),
        dedup_key=note.dedup_key,
        group_labels=_pairs(note.group_labels),
        common_labels=_common([alert.labels for alert in alerts]),
        common_annotations=_common([alert.annotations for alert in alerts]),
        alerts=alerts,
        firing=[alert for alert in alerts if alert.status == "firing"],
        resolved=[alert for alert in alerts if alert.status == "resolved"],
        external_url=note.external_url,
        left_out=note.left_out + len(note.alerts) - len(shown),
        tally=[Count(_text(name), count) for name, count in note.tally],
        at=note.at,
    )


def _alert(alert: Alert, note: Notification) -> AlertView:
    return AlertView(
        name=_text(name_of(alert)),
        status="firing" if alert.phase is Phase.FIRING else "resolved",
        fingerprint=alert.fingerprint,
        labels=_pairs(alert.labels),
        annotations=_pairs(alert.annotations),
        check=_text(alert.check),
        severity=alert.severity.value,
        severity_word=_text(alert.severity_word or alert.severity.value),
        since=alert.since,
        resolved_at=alert.resolved_at,
        value=_text(alert.value),
        limit=_text(alert.limit),
        expression=_text(alert.expression),
        reason=_text(alert.reason),
        sentence=_text(alert.sentence),
        summary=_text(summary(alert, note.at)),
        evidence=[Passage(_text(title), _text(text, LONGEST_PASSAGE)) for title, text in alert.evidence[:20]],
        runbook=Passage(
            _text(alert.runbook.title), _text(alert.runbook.text, LONGEST_PASSAGE), _text(alert.runbook.url)
        ),
        target=_text(alert.target),
        impact=[_text(one) for one in alert.impact[:100]],
        link=page_of(note, alert),
        source=_text(alert.source),
        acked_by=_text(alert.acked_by),
        acked_at=alert.acked_at,
        acked_until=alert.acked_until,
        flapping=_text(alert.flapping),
    )


def _text(text: str, most: int = LONGEST) -> str:
    return printable(cut(text, most))


def _pairs(pairs: dict[str, str]) -> Pairs:
    return Pairs({_text(name): _text(text) for name, text in list(pairs.items())[:MOST_PAIRS]})


def _common(found: list[Pairs]) -> Pairs:
    if not found:
        return Pairs()
    first, *rest = found
    return Pairs({name: text for name, text in first.items() if all(other.get(name) == text for other in rest)})
