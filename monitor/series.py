"""The checks' own series for /metrics: kept as rendered lines by family, streamed in pieces.

A scrape of 120,000 series joins bytes that are there already; formatting them at the scrape would stall the loop. A
value that is as it was leaves its line alone, which spares half of them.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from math import isfinite
from weakref import WeakValueDictionary

from checks.base import DURATION, Check, Labels, Measurement, Outcome, Result

LINES_AT_ONCE = 1_000

UP = Measurement("up", "bool", "1: the last probe was ok, 0: it failed, NaN: it could not be told.")
LAST = Measurement("last_run_timestamp_seconds", "timestamp", "When the last probe started.")
RUNS = Measurement("runs_total", "count", "Probes that ended, retries not counted.", counter=True)
FAILURES = Measurement("failures_total", "count", "Probes that failed, by reason.", ("reason",), counter=True)
REACHED = Measurement("up", "bool", "1 if the target was reached and is as expected.")
NOT_A_NUMBER = float("nan")

OWN = {f"!{one.name}": one for one in (UP, LAST, RUNS, FAILURES)}
"""Series that every check has beside its measurements, under names that no measurement can have."""

UP_BY_OUTCOME = {Outcome.OK: 1.0, Outcome.FAILED: 0.0, Outcome.ERROR: NOT_A_NUMBER}


@dataclass(slots=True, eq=False)
class Family:
    """One metric: its type, its help, its lines by row."""

    name: str
    type: str
    help: str
    lines: dict[int, bytes] = field(default_factory=dict)

    def header(self, openmetrics: bool, taken: Container[str] = ()) -> bytes:
        """HELP and TYPE. `taken` are the names of the other families: OpenMetrics' counters share them otherwise."""
        kind, name = self.type, self.name
        if openmetrics and kind == "counter":
            name = name.removesuffix("_total")
            if name in taken:  # a pattern's `errors` of this probe and `errors_total` since ever
                kind, name = "unknown", self.name
        kind = "untyped" if kind == "unknown" and not openmetrics else kind
        help_text = self.help.replace("\\", "\\\\").replace("\n", "\\n")
        return f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n".encode()


Slot = tuple[str, Labels]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Shape:
    """What a check shows: its slots, and the families in which each has a line. Checks that are alike share one."""

    slots: tuple[Slot, ...]
    families: tuple[tuple[Family, ...], ...]


@dataclass(slots=True)
class Shown:
    """One check's present lines: slot n of its shape is row `row + n` of each of the slot's families."""

    shape: Shape
    row: int = 0
    runs: float = 0.0
    failures: dict[Labels, float] = field(default_factory=dict)
    values: list[float] = field(default_factory=list)

    def take(self, result: Result) -> tuple[list[float], tuple[Slot, ...]]:
        """Count one result: all values that there are now, and what they are."""
        self.runs += 1
        values = [UP_BY_OUTCOME[result.outcome], result.at, self.runs, result.took]
        slots = EVERY
        if result.reason is not None:
            labels = (("reason", result.reason.value),)
            self.failures[labels] = self.failures.get(labels, 0.0) + 1
        if self.failures:
            values += self.failures.values()
            slots += tuple([("!failures_total", labels) for labels in self.failures])
        measured = [one for one in result.measurements if one[0] != DURATION.name]
        values += [value for _, value, _ in measured]
        return values, slots + tuple([(name, labels) for name, _, labels in measured])


EVERY: tuple[Slot, ...] = (("!up", ()), ("!last_run_timestamp_seconds", ()), ("!runs_total", ()), (DURATION.name, ()))
NOTHING = Shape((), ())


class Series:
    """Every check's numbers as Prometheus reads them. `update` replaces all that one check showed before."""

    def __init__(self) -> None:
        self.families: dict[str, Family] = {}
        self._shown: dict[str, Shown] = {}
        self._shapes: WeakValueDictionary[tuple[object, ...], Shape] = WeakValueDictionary()
        self._rows = 0

    def update(self, check: Check, result: Result) -> None:
        """Show one result: about 0.5 µs for each line that changes."""
        shown = self._shown.get(check.key)
        if shown is None:
            shown = self._shown[check.key] = Shown(NOTHING)
        values, slots = shown.take(result)
        if slots != shown.shape.slots:
            self._reshape(check, shown, slots, values)
            return
        before, shown.values = shown.values, values
        for row, (value, old, families) in enumerate(zip(values, before, shown.shape.families, strict=True), shown.row):
            if value != old:
                text = _text(value)
                for family in families:
                    line = family.lines[row]
                    family.lines[row] = line[: line.rindex(b" ") + 1] + text

    def _reshape(self, check: Check, shown: Shown, slots: tuple[Slot, ...], values: list[float]) -> None:
        """Show other lines than before, under new rows."""
        self._hide(shown)
        declared = {DURATION.name: DURATION} | {one.name: one for one in check.declared()}
        families: list[tuple[Family, ...]] = []
        taken: set[tuple[str, Labels]] = set()
        for name, labels in reversed(slots):
            # A series that was measured twice is shown once, as it was last: a scraper refuses all else with it.
            own = [one for one in self._families_of(check, name, declared) if (one.name, labels) not in taken]
            taken |= {(family.name, labels) for family in own}
            families.append(tuple(own))
        key = (slots, tuple(reversed(families)))
        shape = shown.shape = self._shapes.setdefault(key, Shape(*key))
        shown.row, shown.values = self._rows, values
        self._rows += len(slots)
        common = {"check": check.name, "instance": check.target, "job": check.system}
        for row, ((_, labels), value, places) in enumerate(zip(slots, values, shape.families, strict=True), shown.row):
            for family in places:
                family.lines[row] = line(family.name, common | dict(labels), value)

    def _hide(self, shown: Shown) -> None:
        for row, families in enumerate(shown.shape.families, shown.row):
            for family in families:
                del family.lines[row]

    def _families_of(self, check: Check, name: str, declared: dict[str, Measurement]) -> Iterable[Family]:
        if name in OWN:
            yield self._family(f"runwatch_check_{name[1:]}", OWN[name])
            if name == "!up" and check.up:
                yield self._family(check.up, REACHED)
        elif name in declared:
            measurement = declared[name]
            yield self._family(f"runwatch_{check.kind}_{name}", measurement)
            if measurement.also:
                yield self._family(measurement.also, measurement)

    def _family(self, name: str, declared: Measurement) -> Family:
        if name not in self.families:
            self.families[name] = Family(name, _type(name, declared), declared.help)
        return self.families[name]

    def forget(self, keys: Iterable[str]) -> None:
        """Show nothing more of these checks."""
        for key in keys:
            if key in self._shown:
                self._hide(self._shown.pop(key))

    def pieces(self, openmetrics: bool = False) -> Iterator[bytes]:
        """All of it, in pieces small enough that the loop can turn between them."""
        for name in sorted(self.families):
            family = self.families[name]
            if not family.lines:
                continue
            lines = list(family.lines.values())
            yield family.header(openmetrics, self.families)
            for start in range(0, len(lines), LINES_AT_ONCE):
                yield b"".join(lines[start : start + LINES_AT_ONCE])


def _type(name: str, declared: Measurement) -> str:
    if not declared.counter:
        return "gauge"
    # Peers' counters without the suffix (pg_stat_database_deadlocks) keep their name, not the type that demands it.
    return "counter" if name.endswith("_total") else "unknown"


def line(name: str, labels: dict[str, str], value: float) -> bytes:
    """One sample as text."""
    text = ",".join(f'{label}="{_escaped(held)}"' for label, held in sorted(labels.items()))
    return f"{name}{{{text}}} ".encode() + _text(value)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _text(value: float) -> bytes:
    if isfinite(value):
        return b"%r\n" % (value + 0.0)
    return b"NaN\n" if value != value else b"+Inf\n" if value > 0 else b"-Inf\n"
