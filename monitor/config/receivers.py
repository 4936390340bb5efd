"""Makes receivers with their notifiers, in Alertmanager's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from alerts.nearest import meant
from alerts.notifiers.base import Notifier
from alerts.routing import Receiver
from monitor.config import alertmanager
from monitor.config.checks import circles
from monitor.config.interpolation import Interpolation
from monitor.config.kinds import Kinds
from monitor.config.notes import Notes, Spot
from monitor.config.sections import Section
from monitor.config.sentences import inner_model

ENDING = "_configs"
FILE_ENDING = "_file"


class Receivers:
    """Makes receivers of the `receivers` of all files; `defaults` are the values under `global`."""

    def __init__(
        self, notes: Notes, kinds: Kinds[Notifier], interpolation: Interpolation, defaults: Mapping[str, Any]
    ) -> None:
        self.notes = notes
        self.kinds = kinds
        self.interpolation = interpolation
        self.defaults = defaults
        self.made: dict[str, Receiver] = {}
        self._spots: dict[str, Spot] = {}

    def add(self, spot: Spot, value: Any) -> None:
        """One item of `receivers`."""
        section = self.notes.section(spot, value, "a receiver is wanted: name: …")
        if section is None:
            return
        name = section.get("name")
        if not isinstance(name, str) or not name:
            self.notes.wrong(spot.at("name"), "name is missing" if name is None else "a name is wanted")
            name = ""
        elif name in self._spots:
            first = self._spots[name].place()
            self.notes.wrong(
                spot.at("name"), f"there is a receiver {name!r} already, in {first.file} line {first.line}"
            )
        notifiers: list[Notifier] = []
        for key, configs in section.items():
            if key.endswith(ENDING):
                notifiers += self._notifiers(spot.at(key), key, configs)
            elif key not in ("name", "fallback"):
                known = ["name", "fallback", *(kind + ENDING for kind in self.kinds.names())]
                self.notes.known_keys(spot, {key: None}, known, {})
        fallback = section.get("fallback")
        if fallback is not None and not isinstance(fallback, str):
            self.notes.wrong(spot.at("fallback"), "the name of a receiver is wanted")
            fallback = None
        if name and name not in self.made:
            self.made[name] = Receiver(name, tuple(notifiers), fallback or "")
            self._spots[name] = spot.at("name")

    def _notifiers(self, spot: Spot, key: str, configs: Any) -> list[Notifier]:
        name = key.removesuffix(ENDING)
        kind = self.kinds.load(name)
        if isinstance(kind, str):
            if name in alertmanager.FOREIGN and name not in self.kinds.names():
                kind = f"{key} can't be carried out; {alertmanager.FOREIGN[name]}"
            elif kind.startswith("there is no kind"):
                known = [name + ENDING for name in self.kinds.names()]
                kind = f"unknown key {key!r}{meant(key, ['name', 'fallback', *known], 'the keys are')}"
            self.notes.wrong(spot, kind, of_key=True)
            return []
        found = []
        for at, values in self.notes.items(spot, configs):
            section = self.notes.section(at, values)
            notifier = self._notifier(kind, name, at, section) if section is not None else None
            if notifier is not None:
                found.append(notifier)
        return found

    def _notifier(self, kind: type[Notifier], name: str, spot: Spot, section: Section) -> Notifier | None:
        """A notifier of what its section says, with what files hold and what `global` gives."""
        before = len(self.notes.problems)
        values = dict(section)
        self._http_config(kind, spot, values)
        self._from_files(kind, spot, values)
        fields = {field.alias or name: field for name, field in kind.model_fields.items()}
        replaced = {key: text for key, text in alertmanager.KEYS.get(name, {}).items() if key not in fields}
        for key in [key for key in values if key.removesuffix(FILE_ENDING) in replaced]:
            del values[key]
            self.notes.wrong(spot.at(key), f"{key}: {replaced[key.removesuffix(FILE_ENDING)]}", of_key=True)
        for key, value in values.items():
            if "Template" not in repr(fields[key].annotation if key in fields else None):
                for path, sentence in alertmanager.go_templates(value):
                    self.notes.wrong(spot.at(key, *path), sentence)
        for key, (_, value, alternatives) in alertmanager.defaults(self.defaults, name).items():
            if key in fields and alternatives.isdisjoint(values):
                values[key] = value
        made = self.notes.model(kind, spot, values)
        return made if len(self.notes.problems) == before else None

    def _from_files(self, model: type[BaseModel], spot: Spot, values: dict[str, Any]) -> None:
        """Put in place of each `<key>_file` the key with what stands in the file, in the parts below too."""
        for name, value in list(values.items()):
            key = name.removesuffix(FILE_ENDING)
            if name in model.model_fields:
                inner = inner_model(model.model_fields[name].annotation)
                if inner is not None and isinstance(value, dict):
                    values[name] = dict(value)
                    self._from_files(inner, spot.at(name), values[name])
            elif name != key and key in model.model_fields:
                del values[name]
                if key in values:
                    self.notes.wrong(spot.at(name), f"{key} and {name} say the same thing; leave one of them out")
                elif not isinstance(value, str) or not value or "\0" in value:
                    self.notes.wrong(spot.at(name), "a file's name is wanted")
                else:
                    values[key] = from_file(self.notes, self.interpolation, spot.at(name), value)

    def _http_config(self, kind: type[Notifier], spot: Spot, values: dict[str, Any]) -> None:
        """Leave in `http_config` what the notifier carries out, and refuse the rest."""
        given = values.pop("http_config", None)
        section = self.notes.section(spot.at("http_config"), given) if given is not None else None
        if section is None:
            return
        rest = dict(section)
        field = kind.model_fields.get("http_config")
        inner = inner_model(field.annotation) if field is not None else None
        own = {key: rest.pop(key) for key in list(rest) if inner is not None and key in inner.model_fields}
        if own:
            values["http_config"] = own
        for key in ("bearer_token", "bearer_token_file"):
            if "bearer_token" in kind.model_fields and key in rest:
                values[key] = rest.pop(key)
        check_http_config(self.notes, spot.at("http_config"), rest)

    def check_fallbacks(self) -> None:
        """Refuse fallbacks that are not there, and those that lead back to where they began."""
        for name, receiver in self.made.items():
            if receiver.fallback and receiver.fallback not in self.made:
                spot = Spot(self._spots[name].root, (*self._spots[name].path[:-1], "fallback"))
                self.notes.wrong(
                    spot, f"there is no receiver {receiver.fallback!r}{meant(receiver.fallback, self.made)}"
                )
        edges = {name: (one.fallback,) for name, one in self.made.items() if one.fallback in self.made}
        for circle in circles(edges):
            spot = Spot(self._spots[circle[0]].root, (*self._spots[circle[0]].path[:-1], "fallback"))
            self.notes.wrong(spot, f"the fallbacks go in a circle: {' → '.join(circle)}")


def check_http_config(notes: Notes, spot: Spot, values: Mapping[str, Any]) -> None:
    """Refuse settings of `http_config` that would do something."""
    for key, value in values.items():
        if key in alertmanager.NO_EFFECT and value in alertmanager.NO_EFFECT[key]:
            continue
        if key in alertmanager.HTTP_CONFIG:
            notes.wrong(spot.at(key), f"{key}: {alertmanager.HTTP_CONFIG[key]}", of_key=True)
        else:
            notes.known_keys(spot, {key: value}, [*alertmanager.NO_EFFECT, *alertmanager.HTTP_CONFIG], {})


def from_file(notes: Notes, interpolation: Interpolation, spot: Spot, file: str) -> str:
    """What a file holds, blanks around it cut off; "" and a problem where it can't be read."""
    found = interpolation.from_file(file, spot.place()).strip()
    for place, sentence in interpolation.problems:
        notes.wrong_at(place, sentence)
    interpolation.problems.clear()
    return found
