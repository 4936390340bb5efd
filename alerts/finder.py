"""Finds which of thousands of conditions a label set meets: inhibit rules, silences. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from alerts.matching import Matcher, matches_all


class Finder:
    """Finds which of many conditions labels meet, asking only those that a look at one label leaves open."""

    def __init__(self, conditions: Sequence[tuple[Matcher, ...]]) -> None:
        self._conditions = conditions
        self._by_label: dict[str, dict[str, list[int]]] = {}
        self._rest: list[int] = []
        for number, matchers in enumerate(conditions):
            plain = next((one for one in matchers if one.operator == "="), None)
            if plain is None:
                self._rest.append(number)
            else:
                self._by_label.setdefault(plain.name, {}).setdefault(plain.text, []).append(number)

    def matching(self, labels: Mapping[str, str]) -> Iterator[int]:
        """The numbers of those met."""
        found = list(self._rest)
        for name, texts in self._by_label.items():
            found += texts.get(labels.get(name, ""), ())
        for number in sorted(found):
            if matches_all(self._conditions[number], labels):
                yield number
