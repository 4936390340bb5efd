"""Judges results by the conditions of thresholds: `when` parsed once, then asked of every result."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from alerts.samples import Ask
from alerts.when import Selector, WhenError, names_in, read
from alerts.when_meaning import OWN_WORDS, Meaning, Reading
from alerts.when_truth import Truth
from alerts.windows import Windows
from checks.base import DURATION, Labels, Measurement, Outcome, Result

__all__ = ["Condition", "Judgement", "WhenError", "Windows", "judge", "parse"]

Table = Mapping[Labels, float | None]
"""What one reading or window of a condition found: a value for each label set; () for an unlabelled one.

None where a probe recorded NaN: the label set is there, its value is unknown."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A `when` that has been checked: ready to judge, the same for every check whose kind records the same.

    `names` are the measurements it reads, now or over a window, and `reads` what was known of them; `mentions_outcome`
    says that it asks whether probes failed, erred or stopped. `windows` gives the longest window in seconds by
    measurement, and by "failed".
    """

    text: str
    names: frozenset[str]
    reads: tuple[tuple[str, Measurement], ...]
    mentions_outcome: bool
    windows: Mapping[str, float] = field(compare=False)
    asks: tuple[Ask, ...]
    slots: tuple[Reading | Ask, ...]
    truth: Truth = field(compare=False, repr=False)
    direct: Mapping[str, int] | None = field(compare=False, repr=False)
    """The slot of each measurement, where the condition reads nothing but measurements as they are."""

    def __str__(self) -> str:
        return self.text


class Judgement(NamedTuple):
    """What a condition says of a result. `breached` None: it can't be told, because a value that it needs is missing.

    `value` is the left side of the deciding comparison as people read it (`2.3 s`) or the deciding word (`failed`);
    `limit` is its right side with the comparison in words (`over 2 s`), empty beside a word; `expression` is the left
    side as it was written (`delta(matches, 5m)`), empty beside a word.
    """

    breached: bool | None
    value: str
    limit: str
    expression: str = ""


GONE = Judgement(False, "no longer reported", "")
"""Of a label set of which an ok probe reported nothing, not even that its value is unknown (NaN)."""


def parse(text: str, known: Mapping[str, Measurement]) -> Condition:
    """The condition in `text` over the measurements that a check can record; WhenError with a sentence otherwise.

    duration_seconds is known for every check. The same text over the same measurements is the same object.
    """
    tree = read(text)
    key = text, tuple((name, known[name]) for name in names_in(tree) if name in known)
    condition = _ready.get(key)
    if condition is None:
        condition = _condition(*key, Meaning(text, tree, known))
        if len(_ready) >= MOST_READY:
            _ready.clear()
        _ready[key] = condition
    return condition


MOST_READY = 4096
_ready: dict[tuple[str, tuple[tuple[str, Measurement], ...]], Condition] = {}
"""Conditions by their text and the measurements that they use: a thousand checks share a few."""


def _condition(text: str, reads: tuple[tuple[str, Measurement], ...], meaning: Meaning) -> Condition:
    asks = tuple(what for what in meaning.slots if isinstance(what, Ask))
    windows: dict[str, float] = {}
    for ask in asks:
        windows[ask.name or "failed"] = max(ask.seconds, windows.get(ask.name or "failed", 0.0))
    plain = all(isinstance(what, Reading) and not what.selectors for what in meaning.slots)
    return Condition(
        text=text,
        names=frozenset(what.name for what in meaning.slots if what.name),
        reads=reads,
        mentions_outcome=meaning.mentions_outcome,
        windows=windows,
        asks=asks,
        slots=tuple(meaning.slots),
        truth=meaning.truth,
        direct={what.name: slot for what, slot in meaning.slots.items()} if plain else None,
    )


def judge(
    condition: Condition, result: Result, windows: Windows | None, now: float, stale: bool = False
) -> list[tuple[Labels, Judgement]]:
    """What the condition says of a result: once for each label set that its measurements carry, else once with ().

    Labels that a selector fixes with `=` are not part of the set; a measurement with fewer labels joins every set that
    contains them. GONE where what a selector names is no longer there. `windows` must have observed this result
    already. `now` in steady Unix seconds. duration_seconds is `result.took` where the probe was ok and did not record
    it. After an `error` nothing is known but that.
    """
    outcome = result.outcome
    values: list[float | None] = [None] * (len(OWN_WORDS) + len(condition.slots))
    values[1], values[2], values[3] = None if result.excused else outcome is Outcome.ERROR, stale, now
    if outcome is Outcome.ERROR:
        return [((), _judged(condition.truth, values))]
    values[0] = outcome is Outcome.FAILED
    slots = condition.direct
    if slots is None:
        return _each(condition, result, windows, now, values)
    if not slots:
        return [((), _judged(condition.truth, values))]
    for name, value, labels in result.measurements:
        if name in slots:
            if labels:
                return _each(condition, result, windows, now, values)
            values[slots[name]] = value if value == value else None
    if DURATION.name in slots and values[slots[DURATION.name]] is None and outcome is Outcome.OK:
        values[slots[DURATION.name]] = result.took
    return [((), _judged(condition.truth, values))]


def _judged(truth: Truth, values: Sequence[float | None]) -> Judgement:
    return Judgement(truth.holds(values), *truth.tell(values, False))


def _each(
    condition: Condition, result: Result, windows: Windows | None, now: float, values: list[float | None]
) -> list[tuple[Labels, Judgement]]:
    tables = [
        _narrowed(
            what.selectors,
            _recorded(what.name, result) if isinstance(what, Reading) else _remembered(what, windows, now),
        )
        for what in condition.slots
    ]
    shapes = [sorted({_names(labels) for labels in table}, key=len, reverse=True) for table in tables]
    judged = []
    for labels in _joined(shapes, tables):
        for slot, (table, parts) in enumerate(zip(tables, shapes, strict=True), len(OWN_WORDS)):
            values[slot] = next((table[part] for part in _parts(labels, parts) if part in table), None)
        judged.append((labels, _judged(condition.truth, values)))
    if judged[0][1].breached is None and not judged[0][0] and result.outcome is Outcome.OK:
        # Whoever names a label set by `=` means the same as who is told of each.
        named = [isinstance(what, Reading) and what.selectors for what in condition.slots]
        if any(by and not table for by, table in zip(named, tables, strict=True)):
            return [((), GONE)]
    return judged


def _recorded(name: str, result: Result) -> Table:
    found = {labels: value if value == value else None for known, value, labels in result.measurements if known == name}
    if not found and name == DURATION.name and result.outcome is Outcome.OK:
        return {(): result.took}
    return found


def _remembered(ask: Ask, windows: Windows | None, now: float) -> Table:
    return windows.read(ask, now) if windows is not None else {}


def _narrowed(selectors: tuple[Selector, ...], table: Table) -> Table:
    """The label sets that the selectors admit, without the labels that one fixes."""
    if not selectors:
        return table
    fixed = {selector.label for selector in selectors if selector.operator == "="}
    return {
        tuple(pair for pair in labels if pair[0] not in fixed): value
        for labels, value in table.items()
        if all(_admits(selector, dict(labels)) for selector in selectors)
    }


def _admits(selector: Selector, labels: Mapping[str, str]) -> bool:
    text = labels.get(selector.label, "")
    match selector.operator:
        case "=":
            return text == selector.text
        case "!=":
            return text != selector.text
        case "=~":
            return re.fullmatch(selector.text, text) is not None
        case _:
            return re.fullmatch(selector.text, text) is None


def _joined(shapes: Iterable[Iterable[tuple[str, ...]]], tables: Iterable[Table]) -> list[Labels]:
    """The label sets to judge by: every one found that no other contains."""
    found = dict.fromkeys(labels for table in tables for labels in table if labels)
    different = {shape for some in shapes for shape in some}
    if len(different - {()}) < 2:
        return list(found) or [()]
    contained = {part for labels in found for part in _parts(labels, different) if part != labels}
    return [labels for labels in found if labels not in contained]


def _names(labels: Labels) -> tuple[str, ...]:
    return tuple(name for name, _ in labels)


def _parts(labels: Labels, shapes: Iterable[tuple[str, ...]]) -> Iterator[Labels]:
    """The label set cut to each of the shapes."""
    return (tuple(pair for pair in labels if pair[0] in shape) for shape in shapes)


def eased(judgement: Judgement, easing: Judgement | None) -> Judgement:
    """While it fires, only `resolve_when` ends it."""
    if easing is None or easing.breached is None:
        return judgement._replace(breached=None)
    return judgement._replace(breached=not easing.breached)
