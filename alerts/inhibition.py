"""Decides which alerts stay quiet because another one fires: Alertmanager's inhibit rules. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from alerts.finder import Finder
from alerts.matching import Matcher, matches_all
from alerts.vocabulary import Alert


@dataclass(frozen=True, slots=True)
class InhibitRule:
    """While an alert that `source` matches fires, those that `target` matches with the same `equal` labels are quiet.

    A label that is missing is equal to one that is missing or empty. What both sides match is not inhibited by what
    both sides match.
    """

    source: tuple[Matcher, ...] = ()
    target: tuple[Matcher, ...] = ()
    equal: tuple[str, ...] = ()
    name: str = ""

    @property
    def shown(self) -> str:
        """Its name, or what it says."""
        if self.name:
            return f"rule {self.name}"
        where = f" where {', '.join(self.equal)} is the same" if self.equal else ""
        return f"the rule {_listed(self.source)} over {_listed(self.target)}{where}"


def _listed(matchers: Sequence[Matcher]) -> str:
    return "{" + ",".join(map(str, matchers)) + "}"


@dataclass(slots=True)
class _Sources:
    """The first alert that inhibits by one rule and one set of equal labels, and the first that is no target itself."""

    any: Alert
    one_sided: Alert | None = None


class Inhibitor:
    """Answers which firing alert, if any, inhibits another. Source of the meaning: Alertmanager's inhibit.go."""

    def __init__(self, rules: Sequence[InhibitRule]) -> None:
        self._rules = tuple(rules)
        self._by_source = Finder([rule.source for rule in rules])
        self._by_target = Finder([rule.target for rule in rules])
        self._sources: dict[tuple[int, tuple[str, ...]], _Sources] = {}

    def sources(self, firing: Iterable[Alert]) -> None:
        """From now on these are the alerts that fire, told or not."""
        self._sources = {}
        if not self._rules:
            return
        for alert in firing:
            for number in self._by_source.matching(alert.labels):
                key = number, self._equal(number, alert.labels)
                held = self._sources.get(key)
                if held is None:
                    held = self._sources[key] = _Sources(alert)
                if held.one_sided is None and not matches_all(self._rules[number].target, alert.labels):
                    held.one_sided = alert

    def why(self, alert: Alert) -> tuple[str, str]:
        """The fingerprint of an alert that inhibits this one, and a sentence; ("", "") when none does."""
        if not self._sources:
            return "", ""
        for number in self._by_target.matching(alert.labels):
            held = self._sources.get((number, self._equal(number, alert.labels)))
            if held is None:
                continue
            rule = self._rules[number]
            source = held.one_sided if matches_all(rule.source, alert.labels) else held.one_sided or held.any
            if source is not None:
                where = f" on {source.check}" if source.check else ""
                return (
                    source.fingerprint,
                    f"{source.labels.get('alertname', 'an alert')}{where} fires and {rule.shown} inhibits this",
                )
        return "", ""

    def _equal(self, number: int, labels: Mapping[str, str]) -> tuple[str, ...]:
        return tuple([labels.get(name, "") for name in self._rules[number].equal])
