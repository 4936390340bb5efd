"""Makes the route tree, in Alertmanager's words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from alerts.escalation import EscalationStep
from alerts.matching import Matcher
from alerts.nearest import meant
from alerts.routing import Receiver, Route
from checks.units import Duration
from monitor.config import matchers
from monitor.config.matchers import Word
from monitor.config.notes import Notes, Spot
from monitor.config.sections import Section
from monitor.config.systems import RESERVED, Part

TAKES_ALL = ("matchers", "match", "match_re", "continue", "mute_time_intervals", "active_time_intervals")
"""Keys that the top route and the route of a system can't have."""


class EscalationEntry(BaseModel):
    """One further receiver, told of what nobody has acknowledged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    receiver: str = Field(min_length=1, description="Whom to tell.")
    after: Duration | None = Field(
        default=None, gt=0, description="After how long; without it as soon as the system's `respond_within` is over."
    )


class RouteEntry(BaseModel):
    """One node of the route tree; `routes` is read by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    receiver: str | None = Field(default=None, min_length=1, description="Whom to tell; inherited.")
    matchers: list[str] = Field(default=[], description='Which alerts: severity="critical", system=~"a|b".')
    match: dict[str, Word] = Field(default={}, description="The old form of matchers: label and value.")
    match_re: dict[str, Word] = Field(default={}, description="The old form of matchers: label and regular expression.")
    group_by: list[str] | None = Field(default=None, description="Labels that alerts of one message share; '...' all.")
    group_wait: Duration | None = Field(default=None, ge=0, description="Wait for more before the first message.")
    group_interval: Duration | None = Field(default=None, gt=0, description="Time between messages about changes.")
    repeat_interval: Duration | None = Field(default=None, gt=0, description="Time between reminders.")
    max_reminders: int | None = Field(default=None, ge=0, description="Reminders at most; inherited.")
    follow_on: bool = Field(default=False, alias="continue", description="Whether later routes take the alert too.")
    mute_time_intervals: list[str] = Field(default=[], description="Time intervals in which nobody is told.")
    active_time_intervals: list[str] = Field(default=[], description="The only time intervals in which anybody is.")
    escalation: list[EscalationEntry] | None = Field(
        default=None, description="Who hears of what nobody acknowledges, and after how long; inherited."
    )


def said(notes: Notes, parts: Iterable[Part]) -> dict[str, tuple[Spot, Any]]:
    """Every `route` of the files by the system in whose file or item it stands, in their order; "" where in none's."""
    found: dict[str, tuple[Spot, Any]] = {}
    for part in parts:
        spot, name = part.spot.at("route"), part.system
        if part.section.get("route") is None:
            continue
        if name in found:
            what = f"the route of the system {name!r}" if name else "route"
            notes.wrong(spot, f"{what} is said already, in {found[name][0].place()}", of_key=True)
        else:
            found[name] = spot, part.section["route"]
    return found


class Routes:
    """Makes the route tree."""

    def __init__(self, notes: Notes, receivers: Mapping[str, Receiver], intervals: Iterable[str]) -> None:
        self.notes = notes
        self.receivers = receivers
        self.intervals = tuple(intervals)

    def tree(self, said: Mapping[str, tuple[Spot, Any]]) -> Route | None:
        """The whole tree; None where there is none, or its top is not good.

        `said` holds each route by its system, "" for the top one. The only route is the top one, whosesoever it is; the
        routes of systems are else its first branches, each for all alerts of its system.
        """
        systems = {name: one for name, one in said.items() if name}
        if "" not in said:
            tops = [self._root(*one) for one in systems.values()]
            if len(tops) > 1:
                self.notes.wrong(
                    next(iter(systems.values()))[0],
                    f"several systems have a route ({', '.join(systems)}), and none is the top one: nobody would hear "
                    f"of the monitor's own alerts (system={RESERVED}), nor of any other system's; say who hears of "
                    "them: route: {receiver: …} in a file without system",
                    of_key=True,
                )
            return tops[0] if len(tops) == 1 else None
        top = self._root(*said[""])
        branches = [self._branch(name, *one, top or Route(receiver="")) for name, one in systems.items()]
        made = tuple(branch for branch in branches if branch is not None)
        return replace(top, routes=made + top.routes) if top is not None else None

    def _root(self, spot: Spot, value: Any) -> Route | None:
        section = self.notes.section(spot, value)
        if section is None:
            return None
        if section.get("receiver") is None:
            self.notes.wrong(spot.at("receiver"), "the top route needs a receiver: who hears what no other route takes")
        self._takes_all(spot, section, "the top route takes every alert")
        return self._node(spot, section, None)

    def _branch(self, system: str, spot: Spot, value: Any, top: Route) -> Route | None:
        """The route of a system: what it does not say, it has from the top one, as any route below that."""
        section = self.notes.section(spot, value)
        if section is None:
            return None
        self._takes_all(spot, section, "the route of a system takes all alerts of the system")
        made = self._node(spot, section, top)
        return replace(made, matchers=(Matcher("system", "=", system),)) if made is not None else None

    def _takes_all(self, spot: Spot, section: Section, sentence: str) -> None:
        for key in TAKES_ALL:
            if section.get(key):
                self.notes.wrong(spot.at(key), f"{sentence}; it can't have {key}", of_key=True)

    def _node(self, spot: Spot, section: Section, above: Route | None) -> Route | None:
        own = {key: value for key, value in section.items() if key != "routes"}
        entry = self.notes.model(RouteEntry, spot, own, ("routes",))
        route = self._filled(spot, entry, above) if entry is not None else above or Route(receiver="")
        children = []
        for at, value in self.notes.items(spot.at("routes"), section.get("routes")):
            child = self.notes.section(at, value)
            made = self._node(at, child, route) if child is not None else None
            if made is not None:
                children.append(made)
        return replace(route, routes=tuple(children)) if entry is not None else None

    def _filled(self, spot: Spot, entry: RouteEntry, above: Route | None) -> Route:
        """What the node says, and where it says nothing what stands above it."""
        if entry.receiver:
            self._known(spot.at("receiver"), entry.receiver, "receiver", self.receivers)
        inherited = above or Route(receiver="")
        given = {
            name: value
            for name in ("receiver", "group_wait", "group_interval", "repeat_interval", "max_reminders")
            if (value := getattr(entry, name)) is not None
        }
        if entry.escalation is not None:
            given["escalation"] = self._escalation(spot.at("escalation"), entry.escalation)
        for key in ("mute_time_intervals", "active_time_intervals"):
            for index, name in enumerate(getattr(entry, key)):
                self._known(spot.at(key, index), name, "time interval", self.intervals)
        return replace(
            inherited,
            **given,
            group_by=self._group_by(spot.at("group_by"), entry.group_by, above),
            matchers=self._matchers(spot, entry),
            follow_on=entry.follow_on,
            mute_time_intervals=tuple(entry.mute_time_intervals),
            active_time_intervals=tuple(entry.active_time_intervals),
            routes=(),
        )

    def _group_by(self, spot: Spot, names: list[str] | None, above: Route | None) -> tuple[str, ...] | None:
        if names is None or (not names and isinstance(spot.path[-2], int)):
            # As in Alertmanager an empty list in one of `routes` says nothing.
            return (above or Route(receiver="")).group_by
        if "..." in names and len(names) > 1:
            self.notes.wrong(spot, "'...' means every label; nothing can stand beside it")
        return None if "..." in names else tuple(dict.fromkeys(names))

    def _escalation(self, spot: Spot, entries: list[EscalationEntry]) -> tuple[EscalationStep, ...]:
        before = 0.0
        for index, entry in enumerate(entries):
            self._known(spot.at(index, "receiver"), entry.receiver, "receiver", self.receivers)
            if entry.after is None and index > 0:
                self.notes.wrong(spot.at(index), "after is missing: only the first step can go by respond_within")
            elif entry.after is not None and entry.after <= before:
                self.notes.wrong(spot.at(index, "after"), "each step must come later than the one before it")
            before = entry.after or before
        return tuple(EscalationStep(entry.receiver, entry.after) for entry in entries)

    def _known(self, spot: Spot, name: str, what: str, known: Iterable[str]) -> None:
        if name not in known:
            self.notes.wrong(spot, f"there is no {what} {name!r}{meant(name, known)}")

    def _matchers(self, spot: Spot, entry: RouteEntry) -> tuple[Matcher, ...]:
        old = matchers.paired(self.notes, spot, entry.match, entry.match_re, "match_re")
        return old + matchers.listed(self.notes, spot.at("matchers"), entry.matchers)
