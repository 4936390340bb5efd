"""The words of a page: headline, facts and times, the same for every notifier."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from urllib.parse import urlsplit

from alerts.vocabulary import Alert, Notification, Phase
from checks.base import printable
from checks.units import show_duration

CUT = " … (cut)"
LONGEST_NAME = 500
LONGEST_EXPRESSION = 100
LATEST = 253_402_300_799.0
"""The last second of the year 9999: no calendar goes further."""
LONGEST_LINE = 4_000


def headline(note: Notification) -> str:
    """One line for a lock screen: how bad, in which state, what, where, and how many more."""
    told = note.firing or note.alerts
    worst, more = told[0], len(told) - 1 + note.left_out
    mark = ", ".join(["RESOLVED"] if note.status == "resolved" else [severity_of(worst), *_states(note)])
    if note.reason == "storm" and note.status == "firing":
        said = f"{more + 1:,} alerts, first {name_of(worst)} · {worst.check}"
    else:
        said = f"{name_of(worst)} · {worst.check}" + (f" (+{more:,} more)" if more else "")
    return one_line(f"[{mark}] {cut(said, LONGEST_NAME)}: {summary(worst, note.at)}")


def one_line(text: str) -> str:
    """The text as one line that nothing hides in, and not longer than anybody reads: fit for a title or a header."""
    return " ".join(printable(cut(text, LONGEST_LINE)).split())


def _states(note: Notification) -> list[str]:
    """What a reader of the headline must know besides: one word each."""
    who = acknowledged_by(note)
    found = [f"acknowledged by {cut(who, 60)}"] if who else []
    return [*found, note.reason] if note.reason in ("escalated", "storm", "flapping") else found


def acknowledged_by(note: Notification) -> str:
    """Who has it, where somebody has all that fires; else empty."""
    names = [alert.acked_by for alert in note.firing]
    return ", ".join(dict.fromkeys(names)) if names and all(names) else ""


def circumstances(note: Notification) -> list[str]:
    """Sentences about the message as a whole: why it came, who has it, what flaps, what is counted and not listed."""
    said = [note.why] if note.why else []
    for alert in note.firing[:5]:
        if alert.acked_by:
            until = f" until {clock_time(alert.acked_until)}" if alert.acked_until else ""
            said.append(f"{name_of(alert)}: {alert.acked_by} has it since {clock_time(alert.acked_at)}{until}")
        if alert.flapping:
            said.append(f"{name_of(alert)} · {alert.check} flaps: {alert.flapping}")
    if note.left_out:
        said.append(f"{note.left_out:,} more are not listed here")
    if note.tally:
        said.append("In all: " + _listed([f"{name} × {count:,}" for name, count in note.tally], 20))
    return list(dict.fromkeys(said))


def severity_of(alert: Alert) -> str:
    """How bad, in the system's own word."""
    return alert.severity_word or alert.severity.value


def name_of(alert: Alert) -> str:
    """What it is called; an alert from elsewhere may have no name."""
    return alert.labels.get("alertname", "").strip() or "alert without a name"


def page_of(note: Notification, alert: Alert) -> str:
    """The address of the alert on our page; empty where people can't reach it."""
    return f"{note.external_url.rstrip('/')}/#{alert.fingerprint}" if note.external_url else ""


def summary(alert: Alert, now: float) -> str:
    """What is wrong in a sentence: the operator's own words, or the probe's, or value and limit."""
    if alert.phase is not Phase.FIRING:
        lasted = show_duration(max(0.0, alert.resolved_at - alert.since))
        ended = alert.annotations.get("ended")
        return f"back to normal after {lasted}: {ended}" if ended else f"back to normal after {lasted}"
    said = alert.annotations.get("summary") or alert.sentence
    if said:
        return said
    found = f"{value_of(alert)}, limit: {alert.limit}" if alert.limit else alert.value or "the threshold is breached"
    return f"{which(alert)}: {found}" if alert.measured else found


def value_of(alert: Alert) -> str:
    """The value that is wrong and what has it, such as `delta(errors, 5m) = 40`."""
    return f"{cut(alert.expression, LONGEST_EXPRESSION)} = {alert.value}" if alert.expression else alert.value


def which(alert: Alert) -> str:
    """Which of the things that its check measures it is about, by the measurement's labels; empty where it is one."""
    return ", ".join(f"{name}={value}" for name, value in alert.measured)


def facts(alert: Alert, now: float) -> list[tuple[str, str]]:
    """What a person wants to know next, as titled lines; only what there is."""
    firing = alert.phase is Phase.FIRING
    lines = [
        ("Severity", f"{severity_of(alert)} ({alert.severity.value})"),
        ("Since", f"{clock_time(alert.since)} ({show_duration(max(0.0, now - alert.since))} ago)"),
        ("Until", "" if firing else clock_time(alert.resolved_at)),
        ("Which", "" if alert.measured and which(alert) in summary(alert, now) else which(alert)),
        ("Value", f"{value_of(alert)} (limit: {alert.limit})" if alert.limit else ""),
        ("Target", alert.target),
        ("Reason", alert.reason),
        ("Meaning", alert.annotations.get("description", "")),
        ("Affected", _affected(alert.impact)),
    ]
    return [(title, text) for title, text in lines if text]


def links(note: Notification) -> list[tuple[str, str]]:
    """Title and address of what to open: the page, the runbook, the dashboard."""
    found = []
    if note.external_url:
        found.append(("Open in runwatch", page_of(note, note.alerts[0])))
    for alert in note.alerts[:3]:
        for title, address in (
            ("Runbook", alert.runbook.url or alert.annotations.get("runbook_url", "")),
            ("Dashboard", alert.annotations.get("dashboard_url", "")),
        ):
            if _opens(address) and (title, address) not in found:
                found.append((title, address))
    return found


def _opens(address: str) -> bool:
    """Whether a vendor takes it for an address: one that it refuses would cost the whole message."""
    if not address.startswith(("http://", "https://")) or not address.isprintable() or set(' <>|"') & set(address):
        return False
    try:
        return bool(urlsplit(address).hostname)
    except ValueError:
        return False


def evidence(alert: Alert, most: int) -> str:
    """All the evidence as one text of at most `most` characters."""
    return cut("\n\n".join(f"{title}:\n{text}" for title, text in alert.evidence), most)


def clock_time(at: float) -> str:
    """A time as people write it, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(min(at, LATEST))) if at else "never"


def rfc3339(at: float) -> str:
    """A time as machines write it, in UTC with milliseconds; Alertmanager's zero for never."""
    if not at:
        return "0001-01-01T00:00:00Z"
    at = min(at, LATEST)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"


def instant(value: object) -> float:
    """Unix seconds of a time as in RFC 3339; 0 for none, which is also what Go's zero time means.

    Raises ValueError with the end of a sentence for anything else.
    """
    if not value:
        return 0.0
    try:
        at = datetime.fromisoformat(value)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        raise ValueError(f"{str(value)[:60]!r} is not a time as in RFC 3339") from None
    if at.tzinfo is None:
        raise ValueError(f"{value!r} names no time zone")
    return max(0.0, at.timestamp())


def cut(text: str, most: int) -> str:
    """At most `most` characters, with a word that it was cut."""
    return text if len(text) <= most else text[: max(0, most - len(CUT))] + CUT


def _affected(impact: list[str]) -> str:
    """What can't succeed meanwhile, counted where it is more than one reads at a glance."""
    failing = sum(name.endswith(" (failing)") for name in impact)
    counted = f"{len(impact)} checks, {failing} of them failing: " if len(impact) > 3 else ""
    return counted + _listed(impact, 10)


def _listed(items: list[str], most: int) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def names(alerts: Iterable[Alert]) -> str:
    """The alerts' names, once each, in order."""
    return ", ".join(dict.fromkeys(printable(name_of(alert)) for alert in alerts))
