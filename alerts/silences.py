"""Silences: what people have asked not to be told, until when and why. Pure: time is an argument."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from alerts.routing import Matcher
from checks.units import show_duration

if TYPE_CHECKING:
    from alerts.intervals import TimeInterval

State = Literal["pending", "active", "expired"]

MOST_MATCHERS = 100
LONGEST_TEXT = 8_000
LATEST = 253_370_764_800.0
KEPT_AFTER = 5 * 86_400.0
"""Seconds for which an ended silence is still shown, as in Alertmanager."""
WARN_BEFORE = 900.0
"""Seconds before its end at which a silence's author is warned."""
WARN_FROM = 3600.0
"""Seconds that a silence must last for that: a shorter one is still in its author's mind."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Alerts that match all of `matchers` are not told from `starts_at` until `ends_at` (Unix seconds, wall clock).

    `until_resolved`: it ends early, once it has matched something and nothing that it matches fires any more.
    """

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: float
    ends_at: float
    created_by: str
    comment: str
    updated_at: float
    until_resolved: bool = False
    has_matched: bool = False

    def state(self, now: float) -> State:
        if now >= self.ends_at:
            return "expired"
        return "active" if now >= self.starts_at else "pending"

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(matcher.matches(labels) for matcher in self.matchers)

    @property
    def warns_at(self) -> float:
        """When its author is to be told that it is about to end; never where it is short."""
        return self.ends_at - WARN_BEFORE if self.ends_at - self.starts_at >= WARN_FROM else float("inf")

    def __str__(self) -> str:
        return ",".join(str(matcher) for matcher in self.matchers)


def new(
    matchers: Sequence[Matcher],
    starts_at: float,
    ends_at: float,
    created_by: str,
    comment: str,
    now: float,
    *,
    until_resolved: bool = False,
) -> Silence:
    """A silence that can be kept; ValueError with a sentence for one that can't."""
    if not matchers:
        raise ValueError('a silence needs a matcher, such as system="shop"')
    if len(matchers) > MOST_MATCHERS:
        raise ValueError(f"a silence may have {MOST_MATCHERS} matchers; this one has {len(matchers)}")
    if all(matcher.matches({}) for matcher in matchers):
        raise ValueError("every matcher matches the empty text: this would silence everything; name one label's value")
    if not ends_at:
        raise ValueError("a silence needs an end: one that is forgotten hides the next outage")
    if not ends_at < LATEST:
        raise ValueError("a silence must end before the year 9999")
    if ends_at <= now:
        raise ValueError(f"the silence's end is {show_duration(now - ends_at)} in the past")
    if ends_at <= starts_at:
        raise ValueError("a silence must end after it starts")
    if not comment.strip() or not created_by.strip():
        raise ValueError("a silence needs an author and a comment: who asked for it, and why")
    if len(comment) + len(created_by) > LONGEST_TEXT:
        raise ValueError(f"author and comment may have {LONGEST_TEXT} characters together")
    starts_at = max(starts_at, now)
    return Silence(str(uuid.uuid4()), tuple(matchers), starts_at, ends_at, created_by, comment, now, until_resolved)


def changed(old: Silence, wanted: Silence, now: float) -> tuple[Silence | None, Silence]:
    """What editing a silence comes to: the old one ended (None: it goes on), and the one that holds from now.

    As in Alertmanager: other matchers make a new silence and end the old one; what has ended is not taken up again.
    """
    if old.state(now) == "expired":
        return None, wanted
    if old.matchers != wanted.matchers:
        return ended(old, now), wanted
    starts_at = old.starts_at if old.state(now) == "active" else wanted.starts_at
    return None, replace(wanted, id=old.id, starts_at=starts_at, has_matched=old.has_matched)


def ended(silence: Silence, now: float) -> Silence:
    """The silence, ended now."""
    return replace(silence, ends_at=now, starts_at=min(silence.starts_at, now), updated_at=now)


def until_resolved(silence: Silence, matches: bool, now: float) -> Silence | None:
    """What becomes of a silence that is to end when what it matches has: changed, or None where nothing changes."""
    if not silence.until_resolved or silence.state(now) != "active":
        return None
    if matches:
        return None if silence.has_matched else replace(silence, has_matched=True)
    return ended(silence, now) if silence.has_matched else None


def next_business_hour(now: float, hours: TimeInterval) -> float:
    """When the business hours next begin, after `now`: the end of a silence "until the next business hour"."""
    at: float | None = now
    if hours.active(now):
        at = hours.next_change(now)
    begins = hours.next_change(at) if at is not None else None
    if begins is None:
        raise ValueError(f"the time interval {hours.name!r} never begins again")
    return begins


def silence_data(silence: Silence) -> dict[str, Any]:
    """What is written of a silence."""
    return {
        **{name: getattr(silence, name) for name in Silence.__slots__ if name != "matchers"},
        "matchers": [[matcher.name, matcher.operator, matcher.text] for matcher in silence.matchers],
    }


def silence_from(data: dict[str, Any]) -> Silence:
    """A silence as `silence_data` wrote it."""
    return Silence(**data | {"matchers": tuple(Matcher(*parts) for parts in data["matchers"])})
