"""Puts systems together: their severities, labels, runbook and defaults, and the checks that they list."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from alerts.nearest import meant
from alerts.vocabulary import Runbook, Severity
from checks.base import Check
from checks.units import parse_duration
from monitor.config.model import System
from monitor.config.notes import Notes, Spot
from monitor.config.playbook import read_playbook
from monitor.config.sections import Section

DEFAULT_SYSTEM = "default"
"""The name of the system whose file says no `system`."""

RESERVED = "runwatch"
"""The system of the monitor's own checks."""

SETTINGS = ("severities", "respond_within", "runbook", "labels", "depends_on", "defaults")
KEYS = ("system", *SETTINGS, "route", "maintenance", "limits", "checks")

LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OWN_LABELS = frozenset({"alertname", "severity", "system", "check", "instance"})
_PRIORITY = re.compile(r"[Pp](?:riority)?[-_ ]?[0-9]|[Ss][Ee][Vv][-_ ]?[0-9]")

NOT_DEFAULTS = frozenset({"name", "system", "depends_on"})
DEFAULT_KEYS = tuple(name for name in Check.model_fields if name not in NOT_DEFAULTS)


class Part(NamedTuple):
    """Where what belongs to a system may stand: the top of a file, or an item of `systems`."""

    spot: Spot
    section: Section

    @property
    def system(self) -> str:
        """Whose it is; empty at the top of a file that names no system: then it is about all of them."""
        name = self.section.get("system", DEFAULT_SYSTEM if self.spot.path else "")
        return name if isinstance(name, str) else DEFAULT_SYSTEM

    def items(self, notes: Notes, key: str) -> list[tuple[Spot, Any]]:
        """What it lists under a key, each with its spot."""
        return notes.items(self.spot.at(key), self.section.get(key))


@dataclass(slots=True)
class Defaults:
    """Values for checks that don't say their own, and where they stand."""

    spot: Spot
    values: Mapping[str, Any]


@dataclass(slots=True)
class Draft:
    """A system in the making; it may be spread over files, with each setting in one of them."""

    name: str
    severities: dict[str, Severity] = field(default_factory=dict)
    respond_within: dict[str, float] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    defaults: list[Defaults] = field(default_factory=list)
    playbook: Path | None = None
    sections: dict[str, Runbook] = field(default_factory=dict)
    checks: list[tuple[Spot, Any]] = field(default_factory=list)
    set_in: dict[str, Spot] = field(default_factory=dict)
    depends_on: list[tuple[Spot, str]] = field(default_factory=list)
    """What every check of it depends on, besides what it says itself."""

    def finished(self) -> System:
        return System(self.name, self.severities, self.respond_within, self.labels, self.playbook)


class Systems:
    """Takes the parts of systems from files, in any order."""

    def __init__(self, notes: Notes, files: list[Path], digest: Any) -> None:
        self.notes = notes
        self.files = files
        self.digest = digest
        self.drafts: dict[str, Draft] = {}

    def add(self, spot: Spot, section: Section) -> None:
        """Take one mapping that holds a system's keys: an item of `systems`, or the top level of a file."""
        draft = self._draft(spot, section)
        for key in SETTINGS:
            if section.get(key) is None or (key == "defaults" and "system" not in section and not spot.path):
                continue
            if key in draft.set_in:
                first = draft.set_in[key].place()
                self.notes.wrong(
                    spot.at(key), f"{key} of the system {draft.name!r} is set already, in {first}", of_key=True
                )
                continue
            draft.set_in[key] = spot.at(key)
            getattr(self, f"_{key}")(draft, spot.at(key), section[key])
        draft.checks += self.notes.items(spot.at("checks"), section.get("checks"))
        for word in [word for word in draft.respond_within if word not in draft.severities]:
            if word not in list(Severity):
                spots = draft.set_in["respond_within"].at(word)
                hint = meant(word, [*draft.severities, *Severity])
                self.notes.wrong(spots, f"{word!r} is no severity of this system{hint}", of_key=True)

    def _draft(self, spot: Spot, section: Section) -> Draft:
        name = section.get("system", DEFAULT_SYSTEM)
        if not isinstance(name, str) or not name.strip() or "/" in name or not name.isprintable() or len(name) > 100:
            self.notes.wrong(spot.at("system"), "a name without / is wanted, at most 100 characters long")
            name = DEFAULT_SYSTEM
        elif name == RESERVED:
            self.notes.wrong(spot.at("system"), "runwatch is the name of the monitor's own checks; choose another")
        return self.drafts.setdefault(name, Draft(name))

    def _severities(self, draft: Draft, spot: Spot, value: Any) -> None:
        for word, severity in (self.notes.section(spot, value) or {}).items():
            if severity in list(Severity):
                draft.severities[word] = Severity(severity)
            else:
                hint = meant(str(severity), Severity)
                self.notes.wrong(spot.at(word), f"{severity!r} is not one of critical, high, medium, low{hint}")
                draft.severities[word] = Severity.HIGH

    def _respond_within(self, draft: Draft, spot: Spot, value: Any) -> None:
        for word, duration in (self.notes.section(spot, value) or {}).items():
            try:
                draft.respond_within[word] = parse_duration(duration)
            except ValueError as why:
                self.notes.wrong(spot.at(word), str(why))

    def _labels(self, draft: Draft, spot: Spot, value: Any) -> None:
        draft.labels = checked_labels(self.notes, spot, self.notes.section(spot, value) or {})

    def _depends_on(self, draft: Draft, spot: Spot, value: Any) -> None:
        for at, name in self.notes.items(spot, value):
            if isinstance(name, str) and name:
                draft.depends_on.append((at, name))
            else:
                self.notes.wrong(at, "the name of a check or of a system is wanted")

    def _defaults(self, draft: Draft, spot: Spot, value: Any) -> None:
        defaults = checked_defaults(self.notes, spot, value)
        if defaults is not None:
            draft.defaults.append(defaults)

    def _runbook(self, draft: Draft, spot: Spot, value: Any) -> None:
        if not isinstance(value, str) or not value or "\0" in value:
            self.notes.wrong(spot, "the name of a Markdown file is wanted")
            return
        file = Path(spot.place().file).parent / value
        draft.playbook = file
        self.files.append(file)
        try:
            draft.sections = read_playbook(file, value)
        except (OSError, ValueError) as why:
            self.notes.wrong(spot, f"cannot read the runbook {value}: {getattr(why, 'strerror', None) or why}")
        self.digest.update(repr(sorted(draft.sections.items())).encode("utf-8", "surrogatepass"))


def checked_defaults(notes: Notes, spot: Spot, value: Any) -> Defaults | None:
    """The defaults that stand in a file; None where there are none."""
    section = notes.section(spot, value)
    if section is None:
        return None
    values = dict(section)
    if "labels" in values:
        values["labels"] = checked_labels(
            notes, spot.at("labels"), notes.section(spot.at("labels"), values["labels"]) or {}
        )
    return Defaults(spot, values)


def checked_labels(notes: Notes, spot: Spot, labels: Mapping[str, Any]) -> dict[str, str]:
    """The labels that can be put on alerts; a problem for each that can't."""
    good = {}
    for name, text in labels.items():
        if not LABEL.fullmatch(name) or name.startswith("__"):
            notes.wrong(spot.at(name), f"{name!r} can't be a label: letters, digits and _ only", of_key=True)
        elif name in OWN_LABELS:
            notes.wrong(spot.at(name), f"the label {name} is set by runwatch itself", of_key=True)
        elif not isinstance(text, str):
            notes.wrong(spot.at(name), "a text is wanted; put it in quotes")
        else:
            good[name] = text
    return good


def severity_of(draft: Draft, word: Any) -> Severity:
    """What a word means in this system; ValueError with a sentence where it means nothing."""
    if isinstance(word, str) and word in draft.severities:
        return draft.severities[word]
    if word in list(Severity):
        return Severity(word)
    if isinstance(word, str) and _PRIORITY.fullmatch(word) and not draft.severities:
        raise ValueError(
            f"{word} means different things to different teams; say what it means here: "
            f"severities: {{{word}: critical}}"
        )
    words = [*draft.severities, *Severity]
    raise ValueError(f"{word!r} is no severity of the system {draft.name!r}{meant(str(word), words)}")
