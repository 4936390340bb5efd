"""Makes the parts of the pages that come from the code: kinds, keys, commands, metrics."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

from prometheus_client.metrics_core import Metric

from checks.units import BYTES, SECONDS, show_duration
from docs import coverage
from docs.markdown import table
from monitor import series
from monitor.cli import parser
from monitor.config.schema import schema
from monitor.config.systems import KEYS as SYSTEM_KEYS
from monitor.kinds_doc import Document, Key, document, documents
from monitor.metrics import Metrics

KINDS = "docs/kinds"
PER_CHECK = (series.UP, series.LAST, series.RUNS, series.FAILURES)

OTHERWISE = {
    "name": "By which routes call it.",
    "route": "Who is told; see below.",
    "routes": "The nodes below this one.",
    "respond_within": "How soon each severity wants an answer.",
    "depends_on": "Checks, or whole systems, without which none of its checks can succeed.",
    "defaults": "For checks that don't say their own.",
}
"""Keys whose declaration leaves the meaning to the reader."""


def block(name: str) -> str:
    """The content of a generated part, by what stands in its mark; ValueError with a sentence for an unknown one."""
    what, _, argument = name.partition(" ")
    if what not in PARTS:
        raise ValueError(f"there is no generated part {what!r}; there are {', '.join(PARTS)}")
    return PARTS[what](argument)


def _kind(name: str) -> str:
    return "\n\n".join(map(_described, document(name)))


def _described(one: Document) -> str:
    if one.trouble:
        raise ValueError(f"cannot describe the kind {one.kind!r}: {one.trouble}")
    parts = [one.summary, "### Keys" if one.sort == "check" else f"### Keys of `{one.kind}_configs`"]
    parts.append(_keys(one.keys) if one.keys else "None of its own.")
    there = "configuration.md" if one.sort == "check" else "notifiers.md"
    parts.append(f"Besides, it has the [keys of every {one.sort}](../{there}#keys-of-every-{one.sort}).")
    if one.sort == "check":
        parts += ["### Measurements", _measurements(one)]
    if one.recommended:
        rows = [(f"`{it.alert}`", f"`{it.when}`", it.hold, it.severity, it.why) for it in one.recommended]
        parts += [
            "### Recommended thresholds",
            "What `alerts: recommended` stands for, beside `failed`:",
            table(("Alert", "When", "For", "Severity", "Why"), rows),
        ]
    if one.up:
        parts.append(
            f"`{one.up}` is 1 while the target is reached and is as expected, 0 if not, NaN where it can't be told."
        )
    return "\n\n".join(parts)


def _measurements(one: Document) -> str:
    rows = [
        (
            f"`{reading.name}`"
            + (" by " + ", ".join(f"`{label}`" for label in reading.labels) if reading.labels else ""),
            reading.unit.replace("_", " "),
            reading.help,
            _code(reading.metrics),
        )
        for reading in one.measurements
    ]
    return table(("Measurement", "Unit", "Meaning", "In /metrics"), rows)


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _keys(keys: Iterable[Key]) -> str:
    return table(("Key", "Type", "Default", "Meaning"), list(_key_rows(keys, "")))


def _key_rows(keys: Iterable[Key], above: str) -> Iterable[tuple[str, ...]]:
    for key in keys:
        default = "required" if key.required else f"`{key.default}`" if key.default else ""
        yield f"`{above}{key.name}`", key.type.replace(" | ", " or "), default, key.description
        yield from _key_rows(key.keys, f"{above}{key.name}.")


def _common(sort: str) -> str:
    return _keys(next(one for one in documents() if one.sort == sort).common_keys)


def _overview(sort: str) -> str:
    rows = [(f"[{one.kind}](kinds/{one.kind}.md)", one.summary) for one in documents() if one.sort == sort]
    return table(("Kind", "What it does"), rows)


def _section(name: str) -> str:
    """The keys of one part of the configuration."""
    whole = schema()
    part: dict[str, Any] = whole if name == "top" else whole["$defs"].get(name) or whole["properties"][name]
    required = part.get("required", [])
    rows = []
    for key, held in part["properties"].items():
        if name == "top" and key in SYSTEM_KEYS and key != "route":
            continue
        default = "required" if key in required else _default(held)
        rows.append((f"`{key}`", default, held.get("description", "") or OTHERWISE.get(key) or _elsewhere(held)))
    return table(("Key", "Default", "Meaning"), rows)


def _default(held: dict[str, Any]) -> str:
    value = held.get("default")
    if isinstance(value, float) and "(us|ms|s|m|h" in str(held):
        return f"`{show_duration(value).replace(' ', '')}`"
    if value in (None, "", [], {}):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _elsewhere(held: dict[str, Any]) -> str:
    """What a key holds that has tables of its own."""
    name = str(held.get("$ref") or held.get("items", {}).get("$ref") or "").rpartition("/")[2]
    if name.startswith("notifier_"):
        kind = name.removeprefix("notifier_")
        return f"A list; see [{kind}](kinds/{kind}.md)."
    return "A list; see below." if name else ""


def _commands(argument: str) -> str:
    del argument
    return "\n\n".join(_command_parts(parser(), "runwatch"))


def _command_parts(above: argparse.ArgumentParser, called: str) -> Iterator[str]:
    """The commands of a parser, and theirs, each with its arguments."""
    for commands in above._actions:
        if not isinstance(commands, argparse._SubParsersAction):
            continue
        about = {choice.dest: choice.help or "" for choice in commands._choices_actions}
        for name, command in commands.choices.items():
            yield f"## {called} {name}"
            yield about[name][:1].upper() + about[name][1:] + "."
            plain = [action for action in command._actions if not isinstance(action, argparse._SubParsersAction)]
            rows = [_option(action) for action in plain if action.dest != "help"]
            if rows:
                yield table(("Argument", "Meaning"), rows)
            yield from _command_parts(command, f"{called} {name}")


def _option(action: argparse.Action) -> tuple[str, str]:
    choices = " | ".join(map(str, action.choices)) if action.choices else ""
    shown = choices or str(action.metavar or action.dest.upper())
    takes = "" if action.nargs == 0 else f" {shown}"
    names = ", ".join(f"`{name}{takes}`" for name in action.option_strings) or f"`{shown}`"
    notes = [action.help or ""]
    if action.required and action.option_strings:
        notes.append("Required.")
    if action.default not in (None, False, [], argparse.SUPPRESS) and "default" not in (action.help or ""):
        notes.append(f"Default: `{action.default}`.")
    return names, " ".join(note[:1].upper() + note[1:] for note in notes if note)


def _own_metrics(argument: str) -> str:
    del argument
    rows = []
    for family in Metrics().registry.collect():
        labels = sorted(_labels_of(family.name))
        rows.append((f"`{_shown(family)}`", family.type, _code(labels), family.documentation))
    return table(("Metric", "Type", "Labels", "Meaning"), rows)


def _shown(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def _labels_of(name: str) -> Iterable[str]:
    # A metric that nobody has counted yet has no sample to read its labels from.
    collector = Metrics().registry._names_to_collectors[name]
    return getattr(collector, "_labelnames", ())


def _check_metrics(argument: str) -> str:
    del argument
    rows = []
    for one in PER_CHECK:
        labels = _code(one.labels)
        rows.append((f"`runwatch_check_{one.name}`", "counter" if one.counter else "gauge", labels, one.help))
    return table(("Metric", "Type", "More labels", "Meaning"), rows)


def _kind_metrics(argument: str) -> str:
    del argument
    parts = []
    for one in documents():
        if one.sort == "check":
            names = [name for reading in one.measurements for name in reading.metrics]
            parts.append((f"[{one.kind}](kinds/{one.kind}.md)", _code([*names, one.up] if one.up else names)))
    return table(("Kind", "Metrics"), parts)


def _units(argument: str) -> str:
    del argument
    return table(
        ("What", "Units", "Such as"),
        [
            ("duration", " ".join(f"`{unit}`" for unit in SECONDS), "`500ms`, `30s`, `1h30m`, `7d`; nothing is `0`"),
            ("size", " ".join(f"`{unit}`" for unit in BYTES), "`400MB`, `2GiB`, or a plain number of bytes"),
            ("share", "`%`", "`80%`, or `0.8`"),
        ],
    )


PARTS: dict[str, Callable[[str], str]] = {
    "kind": _kind,
    "common": _common,
    "overview": _overview,
    "keys": _section,
    "commands": _commands,
    "own-metrics": _own_metrics,
    "check-metrics": _check_metrics,
    "kind-metrics": _kind_metrics,
    "units": _units,
    "coverage": coverage.part,
}


@cache
def metric_names() -> frozenset[str]:
    """Every family that /metrics can show."""
    own = {_shown(family) for family in Metrics().registry.collect()}
    checks = {f"runwatch_check_{one.name}" for one in PER_CHECK}
    kinds = {name for one in documents() for reading in one.measurements for name in (*reading.metrics, one.up)}
    return frozenset((own | checks | kinds | {"ALERTS", "ALERTS_FOR_STATE"}) - {""})


@cache
def key_names() -> frozenset[str]:
    """Every key that a configuration can hold, without what stands above it."""
    found: set[str] = set()

    def visit(value: Any) -> None:
        if isinstance(value, dict):
            found.update(value.get("properties", {}))
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            visit(item)

    visit(schema())
    return frozenset(found)
