"""What an Alertmanager's API says, read from JSON of any shape: its alerts, its cluster, how its messages fare."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from heapq import nsmallest
from typing import Any

from checks.base import Failed, Reason, printable
from checks.parts.api import Answer
from checks.parts.http.expect import brief
from checks.parts.vendors.web_api import LONGEST_LABEL

OTHERS = "(others)"
"""The label of the alerts that are left where there are too many label sets."""

_SENT = re.compile(r"^alertmanager_(notifications(?:_failed)?)_total\{([^}]*)\} (\S+)$", re.MULTILINE)
_BLANK = re.compile(r"[ \t\r\n]*")
_INTEGRATION = re.compile(r'integration="([^"]{1,60})"')


@dataclass(frozen=True, slots=True)
class Active:
    """One alert: its labels, when it began (Unix seconds), and what its author has written about it."""

    labels: dict[str, str]
    since: float
    summary: str

    @property
    def name(self) -> str:
        """Its alertname."""
        return self.labels.get("alertname", "an alert without a name")


@dataclass(frozen=True, slots=True)
class Cluster:
    """ready, settling or disabled; how many members it sees, itself among them."""

    status: str
    peers: int


@dataclass(frozen=True, slots=True)
class Digest:
    """How many alerts there are, how many of each label set, and the oldest of them."""

    count: int
    by_labels: list[tuple[tuple[str, ...], int]]
    oldest: list[Active]


def digest(answer: Answer, by: tuple[str, ...], most: int, shown: int, without: str) -> Digest:
    """What is to be known of GET /api/v2/alerts, but for alerts called `without`; for a thread.

    Label sets come by their frequency; beyond `most` the rest is counted in one.
    """
    active = [one for one in map(partial(_active, answer.name), _items(answer)) if not without or one.name != without]
    counts = Counter(tuple(one.labels.get(name, "")[:LONGEST_LABEL] for name in by) for one in active)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in ranked[most:])
    counted = ranked[:most] + ([((OTHERS,) * len(by), rest)] if rest else [])
    return Digest(len(active), counted, nsmallest(shown, active, key=lambda one: one.since))


def _items(answer: Answer) -> Iterator[Any]:
    """The items of a JSON list one by one, so that other threads have their turns in between."""
    text, decoder, at = answer.body.decode("utf-8", "replace").strip(), json.JSONDecoder(), 1
    try:
        if text[0] != "[":
            raise ValueError
        at = _blank(text, at)
        while text[at] != "]":
            one, at = decoder.raw_decode(text, at)
            yield one
            at = _blank(text, at)
            if text[at] == ",":
                at = _blank(text, at + 1)
            elif text[at] != "]":
                raise ValueError
        if at + 1 != len(text):
            raise ValueError
    except (ValueError, IndexError, RecursionError):
        said = brief(text[:200]) if text else "an empty answer"
        raise Failed(Reason.BODY, f"{answer.name} did not answer with alerts but with {said}") from None


def _blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _active(name: str, one: Any) -> Active:
    labels = one.get("labels") if isinstance(one, dict) else None
    if not isinstance(labels, dict):
        raise Failed(Reason.BODY, f"{name} answered with an alert that is none: {brief(one)}")
    notes = one.get("annotations")
    notes = notes if isinstance(notes, dict) else {}
    written = notes.get("summary") or notes.get("description") or notes.get("message") or ""
    try:
        since = datetime.fromisoformat(one["startsAt"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        raise Failed(Reason.BODY, f"{name} answered with an alert without a beginning: {brief(labels)}") from None
    summary = printable(" ".join(written[:200].split())) if isinstance(written, str) else ""
    return Active({str(key): str(text) for key, text in labels.items()}, since, summary)


def cluster(answer: Answer) -> Cluster:
    """GET /api/v2/status."""
    held = answer.json()
    inner = held.get("cluster") if isinstance(held, dict) else None
    if not isinstance(inner, dict) or inner.get("status") not in ("ready", "settling", "disabled"):
        raise Failed(Reason.BODY, f"{answer.name} did not answer with its status but with {brief(held)}")
    peers = inner.get("peers")
    return Cluster(inner["status"], len(peers) if isinstance(peers, list) else 0)


def sent(answer: Answer, most: int) -> dict[str, tuple[float, float]]:
    """Messages sent and failed by integration, out of GET /metrics; empty where it is something else."""
    counts: dict[str, list[float]] = {}
    for what, labels, number in _SENT.findall(answer.body.decode("utf-8", "replace")):
        found = _INTEGRATION.search(labels)
        try:
            value = float(number)
        except ValueError:
            continue
        if found and (found[1] in counts or len(counts) < most):
            counts.setdefault(found[1], [0.0, 0.0])[what.endswith("failed")] += value
    return {name: (total, failed) for name, (total, failed) in counts.items()}
