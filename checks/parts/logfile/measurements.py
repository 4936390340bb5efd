"""What a log check measures beyond its kind's own: its patterns' counts, and what is remembered of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from checks.base import Measurement, Run
from checks.parts.logfile.patterns import MOST_SETS, OTHER, UNITS, Found, Pattern, identifier, percentile
from checks.parts.logfile.rotation import Followed, Spot

KEPT = "log"
MOST_KEPT = 200
"""Label sets of all patterns together."""


class Totals(BaseModel):
    """What a log check remembers over restarts."""

    model_config = ConfigDict(extra="ignore")

    at: float = 0.0
    files: list[Spot] | None = None
    cursor: str | None = None
    records: float = 0.0
    bytes: float = 0.0
    newest: float = 0.0
    counts: dict[str, dict[str, float]] = {}
    forbidden_at: float = 0.0
    forbidden: str = ""


def remembered(run: Run, patterns: Mapping[str, Pattern]) -> Totals:
    """What was kept, as far as it is of use: counts of patterns that there are, by the labels that they have."""
    try:
        kept = Totals.model_validate(run.kept.get(KEPT, {}))
    except ValidationError:
        return Totals()
    kept.counts = {
        name: {each: count for each, count in kept.counts.get(name, {}).items() if _fits(each, len(pattern.labels))}
        for name, pattern in patterns.items()
    }
    return kept


def declared(name: str, pattern: Pattern) -> list[Measurement]:
    """The measurements that a pattern adds."""
    labels = tuple(identifier(label) for label in pattern.labels)
    counts = [
        Measurement(name, "count", f"Records since the last probe that {name} is true of.", labels),
        Measurement(f"{name}_per_second", "per_second", f"The same, per second since the last probe: {name}.", labels),
        Measurement(f"{name}_total", "count", f"All records that {name} was true of.", labels, counter=True),
    ]
    for value, unit in pattern.values.items():
        begin = f"{name}_{identifier(value)}"
        counts += [
            Measurement(f"{begin}_p95", UNITS[unit][0], f"{value} in {name} that 95 % keep within."),
            Measurement(f"{begin}_max", UNITS[unit][0], f"The largest {value} in {name} since the last probe."),
        ]
    return counts


def record_pattern(run: Run, name: str, pattern: Pattern, found: Found, kept: Totals, span: float | None) -> None:
    """Record what a pattern found, each label set that ever was included. `span`: seconds since the last probe."""
    totals = kept.counts.get(name, {})
    counts = dict.fromkeys(totals if pattern.labels else (_set(()),), 0.0)
    all_sets = sum(map(len, kept.counts.values()))
    for values, count in found.counts.items():
        known = _set(values)
        if known not in counts and (len(counts) >= MOST_SETS or all_sets + len(counts) - len(totals) >= MOST_KEPT):
            known = _set([OTHER] * len(values))
        counts[known] = counts.get(known, 0.0) + count
    kept.counts[name] = {each: totals.get(each, 0.0) + count for each, count in counts.items()}
    names = [identifier(label) for label in pattern.labels]
    for each, number in counts.items():
        labels = dict(zip(names, orjson.loads(each), strict=True))
        run.record(name, number, **labels)
        run.record(f"{name}_total", kept.counts[name][each], **labels)
        if span is not None:
            run.record(f"{name}_per_second", number / span, **labels)
    for value, numbers in found.values.items():
        begin = f"{name}_{identifier(value)}"
        run.record(f"{begin}_p95", percentile(numbers, 0.95))
        run.record(f"{begin}_max", max(numbers))


def _fits(each: str, labels: int) -> bool:
    try:
        values = orjson.loads(each)
    except orjson.JSONDecodeError:
        return False
    return isinstance(values, list) and len(values) == labels and all(isinstance(value, str) for value in values)


def _set(labels: Sequence[str]) -> str:
    return orjson.dumps(labels).decode()


def record_files(run: Run, followed: Followed) -> None:
    """Record what is peculiar to files."""
    run.record("files", followed.files)
    run.record("lag_bytes", followed.lag)
    run.record("behind", float(followed.lag > 0))
    run.record("rotations", followed.rotations)
    run.record("gaps", followed.gaps)
