"""What is known of every check right now: its last result, and since when it is so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from checks.base import Check, Outcome, Result


@dataclass(slots=True)
class Known:
    """A check's last result, and when its outcome last changed (steady Unix seconds).

    `observed` are the seconds since the start in which it was known to be ok or failed, `fine` those of them in which
    it was ok: each result holds until the next, and an `error` tells nothing.
    """

    check: Check
    result: Result
    since: float
    observed: float = 0.0
    fine: float = 0.0

    @property
    def uptime(self) -> float | None:
        """The share of the observed time in which it was ok; None before there is any."""
        return self.fine / self.observed if self.observed else None


class State:
    """The last word about every check."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}

    def take(self, check: Check, result: Result) -> Outcome | None:
        """Take a result over; the outcome before it if it was another, else None. A first ok is no change."""
        known = self._known.get(check.key)
        if known is None:
            self._known[check.key] = Known(check, result, result.at)
            return None if result.outcome is Outcome.OK else Outcome.OK
        before = known.result.outcome
        if before is not Outcome.ERROR:
            held = result.at - known.result.at
            known.observed += held
            if before is Outcome.OK:
                known.fine += held
        known.check, known.result = check, result
        if before is result.outcome:
            return None
        known.since = result.at
        return before

    def get(self, key: str) -> Known | None:
        """What is known of one check; None before its first answer."""
        return self._known.get(key)

    def unable(self, since: float) -> list[Known]:
        """The checks that could not tell since then or longer, by a fault of ours that is not the whole monitor's."""
        return [
            known
            for known in self._known.values()
            if known.result.outcome is Outcome.ERROR and not known.result.excused and known.since <= since
        ]

    def forget(self, keys: Iterable[str]) -> None:
        """These checks are no longer watched."""
        for key in keys:
            self._known.pop(key, None)
