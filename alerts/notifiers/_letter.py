"""A notification as a letter: plain text, and small HTML with its styles inside, as mail clients want it."""

from __future__ import annotations

from html import escape

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
    page_of,
    severity_of,
    summary,
)
from checks.base import printable

COLOURS = {
    Severity.CRITICAL: "#c8102e",
    Severity.HIGH: "#d9480f",
    Severity.MEDIUM: "#b08900",
    Severity.LOW: "#1c6fd6",
}
GREEN = "#2b8a3e"
TAKEN = "#6741d9"
MOST_WHOLE = 5
"""Alerts that are told in full; the rest is a line each. Some clients cut what is longer than 100 KB."""
LONGEST_FACT = 1_500
LONGEST_EVIDENCE = 4_000
LONGEST_STEPS = 4_000

_FONT = "font-family:-apple-system,Segoe UI,Roboto,Helvetica,Arial,sans-serif"
_PRE = (
    "margin:4px 0 12px;padding:8px 10px;background:#f4f5f7;border-radius:4px;white-space:pre-wrap;"
    "word-break:break-word;font:12px/1.5 Menlo,Consolas,monospace;color:#222"
)


def plain(note: Notification, complaints: list[str]) -> str:
    """The letter as text."""
    parts = [cut(headline(note), LONGEST_FACT), "\n".join([*circumstances(note), *complaints])]
    for alert in note.alerts[:MOST_WHOLE]:
        told = [f"{name_of(alert)} · {alert.check}", summary(alert, note.at)]
        told += [f"{title + ':':10} {cut(text, LONGEST_FACT)}" for title, text in facts(alert, note.at)]
        parts.append("\n".join(cut(line, LONGEST_FACT) for line in told))
        if alert in note.firing:
            parts.append(f"Evidence\n\n{_indented(evidence(alert, LONGEST_EVIDENCE))}" if alert.evidence else "")
            steps, title = alert.runbook.text, alert.runbook.title or "Runbook"
            parts.append(f"What to do: {title}\n\n{_indented(cut(steps, LONGEST_STEPS))}" if steps else "")
    parts.append("\n".join(cut(_line(alert), 300) for alert in note.alerts[MOST_WHOLE:]))
    parts.append("\n".join(f"{title}: {address}" for title, address in links(note)))
    return printable("\n\n".join(part for part in parts if part.strip())) + "\n"


def html(note: Notification, complaints: list[str]) -> str:
    """The letter as HTML; every text in it is escaped."""
    colour = GREEN if note.status == "resolved" else TAKEN if acknowledged_by(note) else COLOURS[note.severity]
    told = [*circumstances(note), *complaints]
    inside = [f'<p style="margin:0 0 12px;color:#555">{_said(cut(text, LONGEST_FACT))}</p>' for text in told]
    inside += [_whole(alert, note) for alert in note.alerts[:MOST_WHOLE]]
    rest = "".join(f"<li>{_said(cut(_line(alert), 300))}</li>" for alert in note.alerts[MOST_WHOLE:])
    inside.append(f'<ul style="margin:0 0 16px;padding-left:20px">{rest}</ul>' if rest else "")
    inside.append("".join(_button(title, address, colour) for title, address in links(note)))
    return (
        '<!doctype html><html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'</head><body style="margin:0;padding:16px;background:#eceef1;{_FONT};color:#222">'
        '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="max-width:680px;margin:0 auto;'
        f'background:#fff;border-radius:6px;border-top:6px solid {colour}"><tr><td style="padding:20px 24px">'
        f'<h1 style="margin:0 0 14px;font-size:18px;color:{colour}">{_said(cut(headline(note), 600))}</h1>'
        f"{''.join(inside)}</td></tr></table></body></html>\n"
    )


def _whole(alert: Alert, note: Notification) -> str:
    rows = "".join(
        f'<tr><td style="padding:2px 14px 2px 0;color:#777;vertical-align:top;white-space:nowrap">{title}</td>'
        f'<td style="padding:2px 0;word-break:break-word">{_said(cut(text, LONGEST_FACT))}</td></tr>'
        for title, text in facts(alert, note.at)
    )
    name = _said(cut(f"{name_of(alert)} · {alert.check}", 300))
    page = page_of(note, alert)
    linked = f'<a href={_quoted(page)} style="color:inherit">{name}</a>' if page else name
    parts = [
        f'<h2 style="margin:18px 0 4px;font-size:15px">{linked}</h2>',
        f'<p style="margin:0 0 8px">{_said(cut(summary(alert, note.at), LONGEST_FACT))}</p>',
        f'<table role="presentation" cellspacing="0" style="font-size:13px;margin:0 0 10px">{rows}</table>',
    ]
    if alert in note.firing:
        for title, text in alert.evidence[:8]:
            parts.append(_heading(title) + f'<pre style="{_PRE}">{_said(cut(text, LONGEST_EVIDENCE // 4))}</pre>')
        if alert.runbook.text:
            parts.append(_heading(f"What to do: {alert.runbook.title or 'Runbook'}"))
            parts.append(f'<pre style="{_PRE}">{_said(cut(alert.runbook.text, LONGEST_STEPS))}</pre>')
    return "".join(parts)


def _heading(text: str) -> str:
    return f'<div style="font-size:12px;font-weight:600;color:#555">{_said(cut(text, 200))}</div>'


def _button(title: str, address: str, colour: str) -> str:
    style = f"display:inline-block;margin:4px 8px 4px 0;padding:7px 14px;background:{colour};color:#fff;"
    return (
        f"<a href={_quoted(address)} "
        f'style="{style}border-radius:4px;text-decoration:none;font-size:13px">{_said(title)}</a>'
    )


def _quoted(address: str) -> str:
    return f'"{escape(printable(cut(address, 2_000)), quote=True)}"'


def _said(text: str) -> str:
    return escape(printable(text), quote=True)


def _line(alert: Alert) -> str:
    return f"[{severity_of(alert)}] {name_of(alert)} · {alert.check}"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())
