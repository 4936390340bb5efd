"""The checks' own series for /metrics: kept as rendered lines by family, streamed in pieces.

A scrape of 120,000 series joins bytes that are there already; formatting them at the scrape would stall the loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from checks.base import DURATION, Check, Labels, Measurement, Outcome, Result

LINES_AT_ONCE = 1_000

UP = Measurement("up", "bool", "1: the last probe was ok, 0: it failed, NaN: it could not be told.")
LAST = Measurement("last_run_timestamp_seconds", "timestamp", "When the last probe started.")
RUNS = Measurement("runs_total", "count", "Probes that ended, retries not counted.", counter=True)
FAILURES = Measurement("failures_total", "count", "Probes that failed, by reason.", ("reason",), counter=True)
REACHED = Measurement("up", "bool", "1 if the target was reached and is as expected.")
NOT_A_NUMBER = float("nan")


@dataclass(slots=True)
class Family:
    """One metric: its type, its help, its lines by (check, labels)."""

    name: str
    type: str
    help: str
    lines: dict[tuple[str, Labels], bytes] = field(default_factory=dict)

    def header(self, openmetrics: bool) -> bytes:
        kind, name = self.type, self.name
        if openmetrics and kind == "counter":
            name = name.removesuffix("_total")
        kind = "untyped" if kind == "unknown" and not openmetrics else kind
        help_text = self.help.replace("\\", "\\\\").replace("\n", "\\n")
        return f"# HELP {name} {help_text}\n# TYPE {name} {kind}\n".encode()


Slot = tuple[str, Labels, tuple[tuple[Family, tuple[str, Labels], str], ...]]


class Series:
    """Every check's numbers as Prometheus reads them. `update` replaces all that one check showed before."""

    def __init__(self) -> None:
        self.families: dict[str, Family] = {}
        self._shapes: dict[str, list[Slot]] = {}
        self._declared: dict[str, dict[str, Measurement]] = {}
        self._shown: dict[str, set[tuple[str, tuple[str, Labels]]]] = {}
        self._counts: dict[str, dict[Labels, float]] = {}

    def update(self, check: Check, result: Result) -> None:
        """Show one result. About 0.4 µs a line: the prefix of each is made once and kept."""
        values = self._values(check, result)
        shape = self._shapes.get(check.key)
        if shape is None or len(shape) != len(values):
            shape = self._reshape(check, values)
        for (name, value, labels), (slot_name, slot_labels, places) in zip(values, shape, strict=True):
            if name != slot_name or labels != slot_labels:
                self._reshape(check, values)
                self.update_lines(self._shapes[check.key], values)
                return
            text = f"{value!r}\n" if value == value and abs(value) != float("inf") else _odd(value)
            for family, key, prefix in places:
                family.lines[key] = (prefix + text).encode()

    @staticmethod
    def update_lines(shape: list[Slot], values: list[tuple[str, float, Labels]]) -> None:
        """Write values into the places of a shape that fits them."""
        for (_, value, _), (_, _, places) in zip(values, shape, strict=True):
            for family, key, prefix in places:
                family.lines[key] = (prefix + _odd(value)).encode()

    def _values(self, check: Check, result: Result) -> list[tuple[str, float, Labels]]:
        counts = self._counts.setdefault(check.key, {})
        counts[()] = counts.get((), 0.0) + 1
        up = {Outcome.OK: 1.0, Outcome.FAILED: 0.0, Outcome.ERROR: NOT_A_NUMBER}[result.outcome]
        values: list[tuple[str, float, Labels]] = [
            ("!up", up, ()),
            ("!last_run_timestamp_seconds", result.at, ()),
            ("!runs_total", counts[()], ()),
            (DURATION.name, result.took, ()),
        ]
        if result.reason is not None:
            labels = (("reason", result.reason.value),)
            counts[labels] = counts.get(labels, 0.0) + 1
        if len(counts) > 1:
            values += [("!failures_total", count, labels) for labels, count in counts.items() if labels]
        values += [(name, value, labels) for name, value, labels in result.measurements if name != DURATION.name]
        return values

    def _reshape(self, check: Check, values: list[tuple[str, float, Labels]]) -> list[Slot]:
        if check.key not in self._declared:
            self._declared[check.key] = {DURATION.name: DURATION} | {one.name: one for one in check.declared()}
        shape: list[Slot] = []
        shown = set()
        for name, _, labels in values:
            places = tuple(self._places(check, name, labels))
            shape.append((name, labels, places))
            shown |= {(family.name, key) for family, key, _ in places}
        for family_name, key in self._shown.get(check.key, set()) - shown:
            self.families[family_name].lines.pop(key, None)
        self._shapes[check.key], self._shown[check.key] = shape, shown
        return shape

    def _places(self, check: Check, name: str, labels: Labels) -> Iterator[tuple[Family, tuple[str, Labels], str]]:
        common = {"check": check.name, "instance": check.target, "job": check.system}
        text = ",".join(f'{label}="{_escaped(value)}"' for label, value in sorted((common | dict(labels)).items()))
        key = (check.key, labels)
        for family in self._families_of(check, name):
            yield family, key, f"{family.name}{{{text}}} "

    def _families_of(self, check: Check, name: str) -> Iterable[Family]:
        if name == "!up":
            yield self._family("runwatch_check_up", UP)
            if check.up:
                yield self._family(
                    check.up, Measurement("up", "bool", "1 if the target was reached and is as expected.")
                )
            return
        if name.startswith("!"):
            own = {one.name: one for one in (LAST, RUNS, FAILURES)}[name[1:]]
            yield self._family(f"runwatch_check_{own.name}", own)
            return
        declared = self._declared[check.key].get(name)
        if declared is None:
            return
        yield self._family(f"runwatch_{check.kind}_{name}", declared)
        if declared.also:
            yield self._family(declared.also, declared)

    def _family(self, name: str, declared: Measurement) -> Family:
        if name not in self.families:
            self.families[name] = Family(name, _type(name, declared), declared.help)
        return self.families[name]

    def forget(self, keys: Iterable[str]) -> None:
        """Show nothing more of these checks."""
        for key in keys:
            for family_name, place in self._shown.pop(key, set()):
                self.families[family_name].lines.pop(place, None)
            for memory in (self._shapes, self._declared, self._counts):
                memory.pop(key, None)

    def pieces(self, openmetrics: bool = False) -> Iterator[bytes]:
        """All of it, in pieces small enough that the loop can turn between them."""
        for name in sorted(self.families):
            family = self.families[name]
            if not family.lines:
                continue
            lines = list(family.lines.values())
            yield family.header(openmetrics)
            for start in range(0, len(lines), LINES_AT_ONCE):
                yield b"".join(lines[start : start + LINES_AT_ONCE])


def _type(name: str, declared: Measurement) -> str:
    if not declared.counter:
        return "gauge"
    # Peers' counters without the suffix (pg_stat_database_deadlocks) keep their name, not the type that demands it.
    return "counter" if name.endswith("_total") else "unknown"


def line(name: str, labels: dict[str, str], value: float) -> bytes:
    """One sample as text, for series that are made at the scrape."""
    text = ",".join(f'{label}="{_escaped(held)}"' for label, held in sorted(labels.items()))
    return f"{name}{{{text}}} {_odd(value)}".encode()


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _odd(value: float) -> str:
    if value != value:
        return "NaN\n"
    if value in (float("inf"), float("-inf")):
        return "+Inf\n" if value > 0 else "-Inf\n"
    return f"{value!r}\n"
