"""What Sentry's web API says, read from JSON of any shape (docs.sentry.io/api): counts, issues, outcomes, refusals."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from checks.base import Errored, Failed, Reason, printable
from checks.parts.api import Answer, refused
from checks.parts.http.expect import brief
from checks.units import show_duration

SCOPES = "org:read, project:read and event:read"
MOST = 1000
"""Rows of an answer that are read: more than are asked for."""
LIMITED = "X-Sentry-Rate-Limit-"


@dataclass(frozen=True, slots=True)
class Issue:
    """One unresolved issue; times in Unix seconds."""

    short: str
    title: str
    project: str
    level: str
    events: str
    first_seen: float
    link: str

    def __str__(self) -> str:
        return f"{self.short} {self.level} in {self.project}: {self.title} ({self.events} events) {self.link}"


def checked(answer: Answer, now: float) -> Any:
    """The JSON of a 200; Errored where the question, the token or the budget is at fault, Failed where Sentry is."""
    if answer.status == 200:
        return answer.json()
    said = _detail(answer)
    ours = {
        400: (Reason.INTERNAL, f"refuses the question: {said}"),
        401: (Reason.AUTH, f"does not accept the token: {said}"),
        403: (Reason.AUTH, f"does not let the token look: {said}; it needs the scopes {SCOPES}"),
        404: (Reason.AUTH, f"knows no such organization, or hides it from the token: {said}"),
        429: (Reason.RATE_LIMITED, f"is asked too often: {_budget(answer, now)}"),
    }
    if answer.status in ours:
        reason, sentence = ours[answer.status]
        raise Errored(reason, f"{answer.name} {sentence}")
    raise refused(answer)


def _detail(answer: Answer) -> str:
    try:
        held = answer.json()
    except Failed:
        held = answer.text(200)
    held = held.get("detail", held) if isinstance(held, dict) else held
    return brief(held, 200)


def _budget(answer: Answer, now: float) -> str:
    limit = brief(answer.headers.get(f"{LIMITED}Limit", "")).strip('"')
    reset = answer.headers.get(f"{LIMITED}Reset", "")
    again = show_duration(max(0.0, int(reset) - now)) if reset.isdecimal() and len(reset) < 12 else "unknown"
    return f"its limit is {limit or 'unknown'}, it begins anew in {again}"


def remaining(answer: Answer) -> float | None:
    """Requests that Sentry allows until its limit begins anew, where it says so."""
    text = answer.headers.get(f"{LIMITED}Remaining", "")
    return float(text) if text.isdecimal() and len(text) < 12 else None


def counts(name: str, document: Any) -> dict[str, float]:
    """Events by project, of GET …/events/?field=project&field=count()."""
    rows = document.get("data") if isinstance(document, dict) else None
    if not isinstance(rows, list) or len(rows) > MOST:
        raise Failed(Reason.BODY, f"{name} did not answer with counts but with {brief(document)}")
    found: Counter[str] = Counter()
    for row in rows:
        count = row.get("count()") if isinstance(row, dict) else None
        if isinstance(count, bool) or not isinstance(count, int | float) or not count >= 0:
            raise Failed(Reason.BODY, f"{name} answered with a row without a count: {brief(row)}")
        found[str(row.get("project", ""))[:100]] += count  # type: ignore[assignment]  # a count may be a float
    return dict(found)


def issues(name: str, document: Any) -> list[Issue]:
    """GET …/issues/."""
    if not isinstance(document, list) or len(document) > MOST:
        raise Failed(Reason.BODY, f"{name} did not answer with issues but with {brief(document)}")
    return [_issue(name, one) for one in document]


def _issue(name: str, one: Any) -> Issue:
    try:
        first = datetime.fromisoformat(one["firstSeen"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        raise Failed(Reason.BODY, f"{name} answered with an issue that is none: {brief(one)}") from None
    project = one.get("project")
    within = project.get("slug") if isinstance(project, dict) else ""
    texts = [one.get(key) for key in ("shortId", "title", "level", "count", "permalink")]
    short, title, level, events, link = (printable(str(text or "?"))[:200] for text in texts)
    return Issue(short, title, printable(str(within or "?"))[:100], level, events, first, link)


def dropped(name: str, document: Any) -> tuple[float, float]:
    """Events that Sentry took and that it did not, of GET …/stats_v2/?groupBy=outcome."""
    groups = document.get("groups") if isinstance(document, dict) else None
    if not isinstance(groups, list):
        raise Failed(Reason.BODY, f"{name} did not answer with outcomes but with {brief(document)}")
    taken = lost = 0.0
    for group in groups:
        try:
            outcome, quantity = group["by"]["outcome"], float(group["totals"]["sum(quantity)"])
        except (KeyError, TypeError, ValueError):
            raise Failed(Reason.BODY, f"{name} answered with an outcome that is none: {brief(group)}") from None
        if outcome == "accepted":
            taken += quantity
        elif outcome in ("rate_limited", "invalid", "abuse"):
            lost += quantity
    return taken, lost
