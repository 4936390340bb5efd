"""A notification as a Slack message: headline, one coloured attachment within Block Kit's limits, buttons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from alerts.vocabulary import Alert, Notification, Severity
from alerts.wording import (
    acknowledged_by,
    circumstances,
    cut,
    evidence,
    facts,
    headline,
    links,
    name_of,
    severity_of,
    summary,
)
from checks.base import printable

COLOURS = {
    Severity.CRITICAL: "#c8102e",
    Severity.HIGH: "#e8590c",
    Severity.MEDIUM: "#f2c037",
    Severity.LOW: "#4c8bf5",
}
GREEN = "#2f9e44"
TAKEN = "#7950f2"
"""The colour of what somebody has acknowledged."""
LONGEST_SECTION = 3_000
LONGEST_MESSAGE = 12_000
LONGEST_LINK = 3_000
MOST_ALERTS = 5
MOST_LISTED = 30

Block = dict[str, Any]


def message(note: Notification, title: str, body: str | None, complaints: list[str]) -> dict[str, Any]:
    """The headline as text (for the lock screen), the rest in one attachment with the severity's colour.

    `title` and `body` stand in place of what is built in, where they are not empty; they are escaped already.
    """
    blocks = _Blocks()
    for sentence in complaints:
        blocks.context(f":warning: {escaped(sentence)}")
    told = circumstances(note)
    if told:
        blocks.section("\n".join(f"_{escaped(cut(sentence, 500))}_" for sentence in told))
    if body is not None:
        for part in _split(body[:LONGEST_MESSAGE]):
            blocks.section(part)
        if len(body) > LONGEST_MESSAGE:
            blocks.context("… (cut)")
    else:
        _alerts(note, blocks)
    actions = _buttons(note)
    if actions:
        blocks.made.append({"type": "actions", "block_id": "runwatch", "elements": actions})
    text = cut(title, 3_000) if title else escaped(cut(headline(note), 3_000))
    return {
        "text": text,
        "attachments": [{"color": _colour(note), "fallback": cut(text, 1_000), "blocks": blocks.made[:50]}],
    }


def follow_up(note: Notification, headline: str) -> str:
    """What goes into the thread; `headline` is escaped already."""
    said = {
        "added": "More fire",
        "changed": "Some have ended",
        "reminder": "Still firing",
        "resolved": "Resolved",
        "escalated": "Escalated",
        "acknowledged": "Acknowledged",
        "unmuted": "No longer quiet, and it still fires",
        "flapping": "Flapping",
        "storm": "Storm",
    }
    why = f" ({escaped(cut(note.why, 500))})" if note.why else ""
    return f"{said.get(note.reason, 'Again')}{why}: {headline}"


def escaped(text: str) -> str:
    """Text that Slack shows as it is: no markup, no mention, nothing invisible."""
    return printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class _Blocks:
    """Blocks within the limits of one message: what does not fit is cut, and says so."""

    def __init__(self) -> None:
        self.made: list[Block] = []
        self._left = LONGEST_MESSAGE

    def section(self, text: str) -> None:
        part = cut(text, min(LONGEST_SECTION, self._left))
        self._left -= len(part)
        if self._left > 200 and text.strip() and len(self.made) < 45:
            self.made.append({"type": "section", "text": {"type": "mrkdwn", "text": part}})

    def context(self, text: str) -> None:
        if len(self.made) < 48:
            self.made.append({"type": "context", "elements": [{"type": "mrkdwn", "text": cut(text, 1_500)}]})


def _split(text: str) -> Iterator[str]:
    """Sections of a text, each as long as may be and broken where a line ends, so that no markup is torn apart."""
    while text:
        end = len(text) if len(text) <= LONGEST_SECTION else text.rfind("\n", 1, LONGEST_SECTION) + 1
        yield text[: end or LONGEST_SECTION]
        text = text[end or LONGEST_SECTION :]


def _colour(note: Notification) -> str:
    if note.status == "resolved":
        return GREEN
    return TAKEN if acknowledged_by(note) else COLOURS[note.severity]


def _alerts(note: Notification, blocks: _Blocks) -> None:
    for alert in note.alerts[:MOST_ALERTS]:
        for text in _sections(alert, note):
            blocks.section(text)
    rest = note.alerts[MOST_ALERTS:]
    if rest:
        lines = [
            f"• {escaped(cut(f'[{severity_of(alert)}] {name_of(alert)} · {alert.check}', 120))}"
            for alert in rest[:MOST_LISTED]
        ]
        blocks.section("\n".join(lines))
        more = len(rest) - MOST_LISTED
        if more > 0:
            blocks.context(f"… and {more + note.left_out:,} more alerts in this group")


def _sections(alert: Alert, note: Notification) -> list[str]:
    told = "\n".join(f"*{title}:* {escaped(cut(text, 600))}" for title, text in facts(alert, note.at))
    name, check = escaped(cut(name_of(alert), 200)), escaped(cut(alert.check, 200))
    sections = [f"*{name}* · {check}\n{escaped(cut(summary(alert, note.at), 1_000))}", told]
    if alert in note.firing:
        if alert.evidence:
            sections.append(f"*Evidence*\n```{escaped(evidence(alert, 1_800))}```")
        if alert.runbook.text:
            title = escaped(cut(alert.runbook.title or "Runbook", 200))
            sections.append(f"*What to do: {title}*\n{escaped(cut(alert.runbook.text, 1_800))}")
    return sections


def _buttons(note: Notification) -> list[Block]:
    made: list[Block] = []
    if note.answerable and note.status == "firing":
        if not acknowledged_by(note):
            made.append(_button("ack", "Acknowledge", value=note.dedup_key, style="primary"))
        confirm = {
            "title": {"type": "plain_text", "text": "Silence for an hour?"},
            "text": {"type": "plain_text", "text": "Nobody is told of this group until then."},
            "confirm": {"type": "plain_text", "text": "Silence"},
            "deny": {"type": "plain_text", "text": "Leave it"},
        }
        made.append(_button("silence_1h", "Silence 1 h", value=note.dedup_key, confirm=confirm))
    fitting = [(title, address) for title, address in links(note) if len(address) <= LONGEST_LINK]
    made += [_button(f"open_{number}", title, url=address) for number, (title, address) in enumerate(fitting[:5])]
    return made


def _button(action: str, title: str, **more: Any) -> Block:
    return {"type": "button", "action_id": action, "text": {"type": "plain_text", "text": title[:75]}, **more}
