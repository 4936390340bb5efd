"""How much the checks ask of whom: as a rule, at worst, and against the limits of those who are asked. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from checks.base import Asks, Check

MINUTE = 60.0
_METHOD = re.compile(r"[A-Z]+ ")


@dataclass(frozen=True, slots=True)
class Demand:
    """What one check asks of one address. `at_once` are the probes that an outage may start beside its beat."""

    check: str
    asks: Asks
    interval: float
    attempts: int
    at_once: int = 0

    def usual(self, seconds: float) -> float:
        """How much it asks in so many seconds while all is well."""
        return self.asks.usual * seconds / self.interval

    def worst(self, seconds: float) -> int:
        """How much it asks in any so many seconds at most.

        In these, the daemon has just started, and asked it beside its beat; every probe fails and uses up its retries;
        everything that it depends on comes back, and everything that depends on it begins to fail, once each and at a
        time of its own; and it is diagnosed.
        """
        probes = math.ceil(seconds / self.interval) + 1 + self.at_once
        return probes * self.attempts * self.asks.most + self.asks.diagnosis


@dataclass(frozen=True, slots=True)
class Limit:
    """How much somebody lets himself be asked: `requests` in `per` seconds, of which `share` are the monitor's.

    `patterns` are addresses with * for anything, maybe after a method: `POST https://shop.example.com/auth/*`.
    """

    system: str
    name: str
    patterns: tuple[str, ...]
    requests: int
    per: float
    share: float

    @property
    def ours(self) -> float:
        """How much of it the monitor may ask."""
        return self.requests * self.share

    def of(self, demands: Iterable[Demand]) -> list[Demand]:
        """What counts against it."""
        meant = [_meant(pattern) for pattern in self.patterns]
        return [one for one in demands if any(matches(one.asks) for matches in meant)]


def _meant(pattern: str) -> Callable[[Asks], object]:
    """Whether a pattern means what is asked."""
    address = re.compile(".*".join(map(re.escape, pattern.split("*"))))
    if _METHOD.match(pattern):
        return lambda asks: address.fullmatch(f"{asks.method} {asks.target}")
    return lambda asks: address.fullmatch(asks.target)


def demands(checks: Mapping[str, Check], ancestors: Mapping[str, tuple[str, ...]]) -> list[Demand]:
    """What every check asks; `ancestors` is all that each depends on.

    An alert waits for a fresh answer of what its check depends on, and of its own check once that has come back: so
    outages start probes beside the beat (`alerts/dependencies.py`).
    """
    dependents = Counter(above for keys in ancestors.values() for above in keys)
    return [
        Demand(key, asks, check.interval, check.retries + 1, dependents[key] + len(ancestors.get(key, ())))
        for key, check in checks.items()
        for asks in check.asks()
    ]
