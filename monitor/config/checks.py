"""Makes checks of what systems list: the kind's own model over defaults, a name, and the checks that it depends on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from alerts.nearest import meant
from checks.base import Check, Measurement
from monitor.config.kinds import Kinds
from monitor.config.notes import Notes, Spot
from monitor.config.problems import Step
from monitor.config.sections import Section
from monitor.config.systems import DEFAULT_KEYS, NOT_DEFAULTS, Defaults, Draft, checked_labels

BESIDE = ("kind", "severity", "runbook", "alerts")
"""Keys of a check that are not its kind's."""

LONGEST_NAME = 200


@dataclass(slots=True)
class Listed:
    """A check as it is listed, and as far as it goes what it came to: None where it is not good."""

    name: str
    draft: Draft
    spot: Spot
    section: Section
    model: type[Check]
    check: Check | None

    @property
    def key(self) -> str:
        return f"{self.draft.name}/{self.name}"

    def known(self) -> dict[str, Measurement]:
        """What it can record; of one that is not good what its kind can, and whatever it may give a name to itself."""
        if self.check is not None:
            return {measurement.name: measurement for measurement in self.check.declared()}
        named = [name for value in self.section.values() if isinstance(value, Section) for name in value]
        return {
            **{name: Measurement(name, "number", "") for name in named},
            **{measurement.name: measurement for measurement in self.model.measurements},
        }


@dataclass(slots=True)
class Checks:
    """Makes the checks of all systems, then resolves what they depend on."""

    notes: Notes
    kinds: Kinds[Check]
    defaults: list[Defaults]
    listed: dict[str, Listed] = field(default_factory=dict)
    _taken: dict[str, Spot] = field(default_factory=dict)
    _merged: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def add(self, draft: Draft) -> None:
        """Make every check of a system; those that are not good leave problems."""
        self._merged.clear()
        unnamed = []
        for spot, value in draft.checks:
            section = self.notes.section(spot, value, "a check is wanted: kind: … and what it needs")
            if section is None:
                continue
            if section.get("name") is not None and self._name(draft, spot, section["name"]):
                self._make(draft, spot, section, section["name"])
            else:
                unnamed.append((spot, section))
        for spot, section in unnamed:
            self._make(draft, spot, section, self._invented(draft, spot, section))

    def _name(self, draft: Draft, spot: Spot, name: Any) -> bool:
        at = spot.at("name")
        if not isinstance(name, str) or not name or "/" in name or not name.isprintable() or len(name) > LONGEST_NAME:
            self.notes.wrong(at, f"a name without / is wanted, at most {LONGEST_NAME} characters long")
            return False
        key = f"{draft.name}/{name}"
        if key in self._taken:
            first = self._taken[key].place()
            self.notes.wrong(at, f"there is a check {name!r} already, in {first.file} line {first.line}")
            return False
        self._taken[key] = at
        return True

    def _invented(self, draft: Draft, spot: Spot, section: Section) -> str:
        base = slug(section)
        name = next(again for n in range(1, 10**6) if f"{draft.name}/{(again := numbered(base, n))}" not in self._taken)
        self._taken[f"{draft.name}/{name}"] = spot
        return name

    def _make(self, draft: Draft, spot: Spot, section: Section, name: str) -> None:
        kind = section.get("kind")
        if not isinstance(kind, str):
            missing = f"kind is missing; there are {', '.join(self.kinds.names())}"
            self.notes.wrong(spot.at("kind"), missing if kind is None else "the name of a kind is wanted")
            return
        model = self.kinds.load(kind)
        if isinstance(model, str):
            self.notes.wrong(spot.at("kind"), model)
            return
        values = self._defaults(draft, kind, model) | section
        for key in BESIDE:
            values.pop(key, None)
        values["name"], values["system"] = name, draft.name
        own = section.get("labels")
        inherited = self._inherited_labels(draft)
        if own is not None or inherited:
            labels = own if isinstance(own, Section) else {}
            values["labels"] = inherited | checked_labels(self.notes, spot.at("labels"), labels)
            if own is not None and not isinstance(own, Section):
                values["labels"] = own
        if "system" in section:
            self.notes.wrong(spot.at("system"), "a check's system is that of its file; leave it out", of_key=True)
        check = self.notes.model(model, spot, values, BESIDE, lambda step: self._origin(draft, spot, section, step))
        one = Listed(name, draft, spot, section, model, check)
        self.listed[one.key] = one

    def _defaults(self, draft: Draft, kind: str, model: type[Check]) -> dict[str, Any]:
        merged = self._merged.get((draft.name, kind))
        if merged is None:
            merged = {}
            for defaults in (*self.defaults, *draft.defaults):
                merged |= {key: value for key, value in defaults.values.items() if key in model.model_fields}
            merged.pop("labels", None)
            self._merged[draft.name, kind] = merged
        return merged

    def _inherited_labels(self, draft: Draft) -> dict[str, str]:
        labels = dict(draft.labels)
        for defaults in (*self.defaults, *draft.defaults):
            labels |= defaults.values.get("labels", {})
        return labels

    def _origin(self, draft: Draft, spot: Spot, section: Section, key: Step) -> Spot:
        """Where a value of the check was written: in the check itself, or among the defaults."""
        if key not in section:
            for defaults in (*draft.defaults, *reversed(self.defaults)):
                if key in defaults.values:
                    return defaults.spot
        return spot

    def check_defaults(self) -> None:
        """Refuse defaults that no kind in use has: any other may be meant for some of the checks only."""
        models = self.kinds.loaded()
        known = {*DEFAULT_KEYS, *(name for model in models for name in model.model_fields if name not in NOT_DEFAULTS)}
        drafts = {one.draft.name: one.draft for one in self.listed.values()}.values()
        for defaults in (*self.defaults, *(one for draft in drafts for one in draft.defaults)):
            self.notes.known_keys(defaults.spot, defaults.values, known, {})

    def dependencies(self) -> dict[str, tuple[str, ...]]:
        """The keys that each check depends on; a problem for each name that is none, and for each circle."""
        found = {}
        systems: dict[str, list[str]] = {}
        for key in self.listed:
            systems.setdefault(key.partition("/")[0], []).append(key)
        common = {
            draft.name: [key for at, name in draft.depends_on for key in self._resolved(draft.name, at, name, systems)]
            for draft in {one.draft.name: one.draft for one in self.listed.values()}.values()
        }
        for key, one in self.listed.items():
            names = one.check.depends_on if one.check is not None else one.section.get("depends_on")
            spot = one.spot.at("depends_on")
            listed = enumerate(names) if isinstance(names, tuple | list) else ()
            own = [
                other
                for index, name in listed
                if isinstance(name, str)
                for other in self._resolved(one.draft.name, spot.at(index), name, systems)
            ]
            # What a whole system depends on may be one of its own: that one does not depend on itself.
            keys = dict.fromkeys([*own, *(other for other in common[one.draft.name] if other != key)])
            if keys:
                found[key] = tuple(keys)
        for circle in circles(found):
            spot = self.listed[circle[0]].spot.at("depends_on")
            self.notes.wrong(spot, f"the checks depend on each other in a circle: {' → '.join(circle)}")
        return found

    def _resolved(self, own: str, spot: Spot, name: str, systems: Mapping[str, list[str]]) -> list[str]:
        """The keys that a name means: a check of the own system, `system/check`, or every check of another system."""
        for key in (f"{own}/{name}", name):
            if key in self._taken:
                return [key] if key in self.listed else []
        if name in systems and name != own:
            return systems[name]
        names = [key.removeprefix(f"{own}/") for key in self._taken]
        self.notes.wrong(spot, f"there is no check {name!r}{meant(name, [*names, *(set(systems) - {own})])}")
        return []


def numbered(base: str, number: int) -> str:
    """`base`, then `base-2`, `base-3`."""
    return base if number == 1 else f"{base}-{number}"


def slug(section: Mapping[str, Any]) -> str:
    """A name for a check without one: its target's host and path, else its kind."""
    target = next((section[key] for key in ("url", "dsn", "target", "host", "address") if section.get(key)), "")
    try:
        parts = urlsplit(str(target))
        where = f"{parts.hostname}{parts.path}" if parts.hostname else str(target).rpartition("@")[2]
    except ValueError:
        where = ""
    word = re.sub(r"[^A-Za-z0-9._]+", "-", where).strip("-")
    return word[:100] or re.sub(r"[^A-Za-z0-9._]+", "-", str(section.get("kind"))).strip("-")[:100] or "check"


def circles(dependencies: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Every circle among the dependencies that a walk in their order meets, each from its first check to itself."""
    found: list[list[str]] = []
    done: set[str] = set()
    for start in dependencies:
        if start in done:
            continue
        path = {start: iter(dependencies[start])}
        while path:
            key = next(reversed(path))
            following = next(path[key], None)
            if following is None:
                del path[key]
                done.add(key)
            elif following in path:
                keys = list(path)
                found.append([*keys[keys.index(following) :], following])
            elif following not in done:
                path[following] = iter(dependencies.get(following, ()))
    return found


def reached(edges: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """Everything that can be reached from each key, the nearest first; the edges hold no circle."""
    found: dict[str, tuple[str, ...]] = {}
    for start in edges:
        order = dict.fromkeys(edges[start])
        waiting = list(order)
        for key in waiting:
            for below in edges.get(key, ()):
                if below not in order:
                    order[below] = None
                    waiting.append(below)
        found[start] = tuple(order)
    return found
