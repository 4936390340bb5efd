"""What Stripe's events tell: which payments came off, which charges look double, what webhooks must hear of."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Self

from checks.wire.certificates import visible

MINUTE = 60
OVERLAP = 60
"""Seconds before the newest known event that are read again: Stripe does not promise to list events in their order."""
MOST = 700
"""Payments, and charges, that are remembered: with the longest ids they fit what a check may keep."""
MOST_RECENT = 500

PAYMENT_TYPES = (
    "payment_intent.succeeded", "payment_intent.amount_capturable_updated", "payment_intent.payment_failed",
    "payment_intent.canceled", "charge.succeeded", "charge.failed",
)  # fmt: skip

SUCCEEDED, DECLINED, BLOCKED, FAILED = "succeeded", "declined", "blocked", "failed"
OUTCOMES = (SUCCEEDED, DECLINED, BLOCKED, FAILED)

USED = (
    "amount", "code", "currency", "customer", "decline_code", "failure_code", "id", "last_payment_error", "outcome",
    "payment_method_details", "status",
)  # fmt: skip
"""What is read of a payment or charge: the rest of a page, mostly 500 kB, need not be held until its end."""

_ID = re.compile(r"[A-Za-z0-9_]{1,64}")


@dataclass(frozen=True, slots=True)
class Event:
    """One event: `object` is the payment or charge as it was then. `created` in Unix seconds."""

    id: str
    created: int
    type: str
    object: dict[str, Any]


def read_event(value: Any) -> Event | None:
    """An event of Stripe's list; None where it is none."""
    match value:
        case {"id": str(name), "created": int(created), "type": str(kind)} if _ID.fullmatch(name) and _is_time(created):
            data = value.get("data")
            held = data.get("object") if isinstance(data, dict) else None
            known = {key: held[key] for key in USED if key in held} if isinstance(held, dict) else {}
            return Event(name, created, kind, known)
    return None


def _is_time(seconds: Any) -> bool:
    return isinstance(seconds, int) and not isinstance(seconds, bool) and 0 < seconds < 2**33


@dataclass(slots=True)
class Ledger:
    """What is remembered of the events since `since`, all of which were read; times are Unix seconds.

    `recent` are the ids of those since `again`, from where on is read the next time. `minutes` counts the events that
    webhooks must hear of; `intents` and `charges` hold time, outcome and one more word: the charge that failed, and
    who paid how much, as a digest.
    """

    of: str
    since: int
    again: int = 0
    recent: set[str] = field(default_factory=set)
    minutes: dict[int, int] = field(default_factory=dict)
    intents: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    charges: dict[str, tuple[int, str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, kept: Any, of: str, since: int) -> Self:
        """The ledger out of what was kept, forgetting what is before `since`; a new one where that is of no use."""
        fresh = cls(of, since)
        match kept:
            case {"of": str(whose), "since": int(began), "again": int(again)} if whose == of and again >= since:
                pass
            case _:
                return fresh
        try:
            ledger = cls(
                of, max(began, since), again, set(map(str, kept["recent"])),
                {int(minute): int(count) for minute, count in kept["minutes"].items()},
                _entries(kept["intents"]), _entries(kept["charges"]),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            return fresh
        ledger.forget(ledger.since)
        return ledger

    def keep(self) -> dict[str, Any]:
        """The same as plain JSON."""
        return {
            "of": self.of, "since": self.since, "again": self.again, "recent": sorted(self.recent),
            "minutes": {str(minute): count for minute, count in self.minutes.items()},
            "intents": {name: list(entry) for name, entry in self.intents.items()},
            "charges": {name: list(entry) for name, entry in self.charges.items()},
        }  # fmt: skip

    def forget(self, before: int) -> None:
        """Drop what is older; from there on everything is known."""
        self.since = max(self.since, before)
        first = -(-self.since // MINUTE)
        self.minutes = {minute: count for minute, count in self.minutes.items() if minute >= first}
        self.intents = _newest(self.intents, self.since)
        self.charges = _newest(self.charges, self.since)

    def add(self, events: Iterable[Event], subscribed: frozenset[str]) -> None:
        """Take in events, in any order; those that are known are passed over."""
        news = {one.id: one for one in events if one.id not in self.recent}
        for event in sorted(news.values(), key=lambda one: one.created):
            if "*" in subscribed or event.type in subscribed:
                minute = event.created // MINUTE
                self.minutes[minute] = self.minutes.get(minute, 0) + 1
            self._settle(event)

    def mark(self, read: list[Event], since: int, now: int) -> None:
        """Note what the next probe reads again of what was just read: the last OVERLAP seconds, or less if busy."""
        newest = sorted((one.created for one in read if one.created <= now), reverse=True)
        self.again = max(self.again, newest[0] - OVERLAP if newest else 0, since)
        if len(newest) > MOST_RECENT:
            self.again = max(self.again, newest[MOST_RECENT] + 1)
        self.recent = {one.id for one in read if one.created >= self.again}

    def _settle(self, event: Event) -> None:
        name = event.object.get("id")
        if not isinstance(name, str) or not _ID.fullmatch(name):
            return
        family, _, verb = event.type.partition(".")
        if family == "charge" and verb in (SUCCEEDED, FAILED):
            outcome = SUCCEEDED if verb == SUCCEEDED else _charge_outcome(event.object)
            payer = _payer(event.object) if verb == SUCCEEDED else ""
            self.charges[name] = (event.created, outcome, payer)
        elif family == "payment_intent" and self.intents.get(name, (0, "", ""))[1] != SUCCEEDED:
            # What succeeded can't fail any more; what failed may be paid at the next attempt.
            error = event.object.get("last_payment_error")
            if verb == SUCCEEDED or (verb == "amount_capturable_updated" and _awaits_capture(event.object)):
                self.intents[name] = (event.created, SUCCEEDED, "")
            elif verb in ("payment_failed", "canceled") and isinstance(error, dict):
                charge = error.get("charge")
                known = charge if isinstance(charge, str) and _ID.fullmatch(charge) else ""
                self.intents[name] = (event.created, DECLINED if error.get("decline_code") else FAILED, known)

    def payments(self, since: float) -> Counter[str]:
        """Payments (intents) by outcome; a failed one is what the charge says that it failed with."""
        return Counter(
            self.charges[charge][1] if charge in self.charges else outcome
            for at, outcome, charge in self.intents.values()
            if at >= since
        )

    def attempts(self, since: float) -> Counter[str]:
        """Charges by outcome: each attempt counts."""
        return Counter(outcome for at, outcome, _ in self.charges.values() if at >= since)

    def events(self, start: int, end: int) -> int:
        """Events that webhooks had to hear of, in whole minutes from `start` to before `end`."""
        return sum(count for minute, count in self.minutes.items() if start <= minute * MINUTE < end)

    def duplicates(self, since: float, within: float) -> list[tuple[str, str, int]]:
        """Charges that came off within so many seconds of another of the same payer and amount: both, and seconds."""
        paid = sorted(
            (payer, at, name) for name, (at, _, payer) in self.charges.items() if payer and at >= since - within
        )
        return [
            (first, second, later - at)
            for (payer, at, first), (same, later, second) in pairwise(paid)
            if payer == same and later - at <= within and later >= since
        ]


def _entries(kept: dict[str, Any]) -> dict[str, tuple[int, str, str]]:
    return {name: (int(at), str(outcome), str(more)) for name, (at, outcome, more) in kept.items()}


def _newest(entries: dict[str, tuple[int, str, str]], since: int) -> dict[str, tuple[int, str, str]]:
    left = [(name, entry) for name, entry in entries.items() if entry[0] >= since]
    return dict(sorted(left, key=lambda one: one[1][0])[-MOST:])


def _charge_outcome(charge: dict[str, Any]) -> str:
    """Whose no it was: the issuer's, Radar's, or anybody else's."""
    outcome = charge.get("outcome")
    kind = outcome.get("type") if isinstance(outcome, dict) else None
    return {"issuer_declined": DECLINED, "blocked": BLOCKED}.get(str(kind), FAILED)


def _awaits_capture(intent: dict[str, Any]) -> bool:
    return intent.get("status") == "requires_capture"


def _payer(charge: dict[str, Any]) -> str:
    """Who paid how much, as a digest that tells neither; empty where Stripe does not say who."""
    who = charge.get("customer")
    if not isinstance(who, str):
        method = charge.get("payment_method_details")
        card = method.get("card") if isinstance(method, dict) else None
        who = card.get("fingerprint") if isinstance(card, dict) else None
    amount, currency = charge.get("amount"), charge.get("currency")
    if not isinstance(who, str) or not isinstance(amount, int) or not isinstance(currency, str):
        return ""
    return hashlib.sha256(f"{who} {amount} {currency}".encode()).hexdigest()[:16]


def words(event: Event) -> str:
    """Type, code and decline code of a failure: what Stripe says of it that names nobody."""
    error = event.object.get("last_payment_error")
    said = error if isinstance(error, dict) else event.object
    codes = (said.get(key) for key in ("code", "failure_code", "decline_code"))
    return visible(" ".join([event.type, *(code for code in codes if isinstance(code, str))]), 120)
