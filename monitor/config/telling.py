"""Makes receivers with their notifiers, and the route tree, in Alertmanager's words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from alerts.nearest import meant
from alerts.notifiers.base import Notifier
from alerts.routing import Matcher, Receiver, Route, parse_matcher
from checks.units import Duration
from monitor.config.checks import circles
from monitor.config.kinds import Kinds
from monitor.config.model import NOT_YET
from monitor.config.notes import Notes, Spot
from monitor.config.sections import Section

ENDING = "_configs"


class RouteEntry(BaseModel):
    """One node of the route tree; `routes` is read by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    receiver: str | None = Field(default=None, min_length=1, description="Whom to tell; inherited.")
    matchers: list[str] = Field(default=[], description='Which alerts: severity="critical", system=~"a|b".')
    match: dict[str, str] = Field(default={}, description="The old form of matchers: label and value.")
    match_re: dict[str, str] = Field(default={}, description="The old form of matchers: label and regular expression.")
    group_by: list[str] | None = Field(default=None, description="Labels that alerts of one message share; '...' all.")
    group_wait: Duration | None = Field(default=None, ge=0, description="Wait for more before the first message.")
    group_interval: Duration | None = Field(default=None, gt=0, description="Time between messages about changes.")
    repeat_interval: Duration | None = Field(default=None, gt=0, description="Time between reminders.")
    follow_on: bool = Field(default=False, alias="continue", description="Whether later routes take the alert too.")


class Receivers:
    """Makes receivers of the `receivers` of all files."""

    def __init__(self, notes: Notes, kinds: Kinds[Notifier]) -> None:
        self.notes = notes
        self.kinds = kinds
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
                self.notes.known_keys(spot, {key: None}, known, NOT_YET)
        fallback = section.get("fallback")
        if fallback is not None and not isinstance(fallback, str):
            self.notes.wrong(spot.at("fallback"), "the name of a receiver is wanted")
            fallback = None
        if name and name not in self.made:
            self.made[name] = Receiver(name, tuple(notifiers), fallback or "")
            self._spots[name] = spot.at("name")

    def _notifiers(self, spot: Spot, key: str, configs: Any) -> list[Notifier]:
        kind = self.kinds.load(key.removesuffix(ENDING))
        if isinstance(kind, str):
            if kind.startswith("there is no kind"):
                known = [name + ENDING for name in self.kinds.names()]
                kind = f"unknown key {key!r}{meant(key, ['name', 'fallback', *known], 'the keys are')}"
            self.notes.wrong(spot, kind, of_key=True)
            return []
        found = []
        for at, values in self.notes.items(spot, configs):
            section = self.notes.section(at, values)
            notifier = self.notes.model(kind, at, section) if section is not None else None
            if notifier is not None:
                found.append(notifier)
        return found

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


class Routes:
    """Makes the route tree."""

    def __init__(self, notes: Notes, receivers: Mapping[str, Receiver]) -> None:
        self.notes = notes
        self.receivers = receivers

    def root(self, spot: Spot, value: Any) -> Route | None:
        """The whole tree; None where there is none, or its top is not good."""
        section = self.notes.section(spot, value)
        if section is None:
            return None
        if section.get("receiver") is None:
            self.notes.wrong(spot.at("receiver"), "the top route needs a receiver: who hears what no other route takes")
        for key in ("matchers", "match", "match_re", "continue"):
            if section.get(key):
                self.notes.wrong(spot.at(key), f"the top route takes every alert; it can't have {key}", of_key=True)
        return self._node(spot, section, Route(receiver=""))

    def _node(self, spot: Spot, section: Section, above: Route) -> Route | None:
        not_yet = [key for key in section if key in NOT_YET]
        for key in not_yet:
            self.notes.wrong(spot.at(key), NOT_YET[key], of_key=True)
        own = {key: value for key, value in section.items() if key != "routes" and key not in not_yet}
        entry = self.notes.model(RouteEntry, spot, own, ("routes",))
        route = self._filled(spot, entry, above) if entry is not None else above
        children = []
        for at, value in self.notes.items(spot.at("routes"), section.get("routes")):
            child = self.notes.section(at, value)
            made = self._node(at, child, route) if child is not None else None
            if made is not None:
                children.append(made)
        if entry is None:
            return None
        return Route(
            route.receiver, self._matchers(spot, entry), route.group_by, route.group_wait, route.group_interval,
            route.repeat_interval, entry.follow_on, routes=tuple(children),
        )  # fmt: skip

    def _filled(self, spot: Spot, entry: RouteEntry, above: Route) -> Route:
        """What the node says, and where it says nothing what stands above it."""
        receiver = entry.receiver or above.receiver
        if entry.receiver and entry.receiver not in self.receivers:
            sentence = f"there is no receiver {entry.receiver!r}{meant(entry.receiver, self.receivers)}"
            self.notes.wrong(spot.at("receiver"), sentence)
        group_by = above.group_by
        if entry.group_by is not None:
            group_by = None if "..." in entry.group_by else tuple(dict.fromkeys(entry.group_by))
            if "..." in entry.group_by and len(entry.group_by) > 1:
                self.notes.wrong(spot.at("group_by"), "'...' means every label; nothing can stand beside it")
        return Route(
            receiver,
            group_by=group_by,
            group_wait=above.group_wait if entry.group_wait is None else entry.group_wait,
            group_interval=above.group_interval if entry.group_interval is None else entry.group_interval,
            repeat_interval=above.repeat_interval if entry.repeat_interval is None else entry.repeat_interval,
        )

    def _matchers(self, spot: Spot, entry: RouteEntry) -> tuple[Matcher, ...]:
        found = [Matcher(name, "=", text) for name, text in entry.match.items()]
        for name, text in entry.match_re.items():
            try:
                re.compile(text)
            except re.error as why:
                self.notes.wrong(spot.at("match_re", name), f"{text!r} is not a regular expression: {why}")
            found.append(Matcher(name, "=~", text))
        for index, text in enumerate(entry.matchers):
            try:
                found.append(parse_matcher(text))
            except ValueError as why:
                self.notes.wrong(spot.at("matchers", index), str(why))
        return tuple(found)
