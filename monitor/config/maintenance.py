"""The section `maintenance`: announced times in which people are not told, at the top of a file or in a system's."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field

from alerts.maintenance import LONGEST, Maintenance, Once, Starts, cron, once, recurrence
from alerts.matching import Matcher, parse_matchers
from alerts.nearest import meant
from checks.units import Duration, show_duration
from monitor.config.notes import Notes, Spot
from monitor.config.systems import Part

TRIED = 50
"""Starts that are looked at to see whether one begins before the last is over."""


class MaintenanceEntry(BaseModel):
    """One item of `maintenance`: `start` and `end`, or `cron` or `rrule` with `duration`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=200, description="Said where an alert is not told because of it.")
    comment: str = Field(default="", max_length=1_000, description="What is done then.")
    matchers: list[str] = Field(default=[], description="Which alerts; those of a system are its own anyway.")
    start: str | None = Field(default=None, description="When it begins; beside `rrule`, what the rule counts from.")
    end: str | None = Field(default=None, description="When it is over.")
    cron: str | None = Field(default=None, description="When it begins, again and again: five fields.")
    rrule: str | None = Field(default=None, description="The same as a rule of RFC 5545.")
    duration: Duration | None = Field(default=None, gt=0, le=LONGEST, description="How long each of them lasts.")
    timezone: str = Field(default="UTC", description="Whose wall clock is meant.")


def read(notes: Notes, parts: Iterable[Part]) -> tuple[Maintenance, ...]:
    """The announced times of all files and of the systems in them; what is wrong goes into the notes."""
    windows = Windows(notes)
    for part in parts:
        for at, value in part.items(notes, "maintenance"):
            windows.add(at, value, part.system)
    return tuple(windows.made.values())


class Windows:
    """Makes announced times; a name stands for one of them."""

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.made: dict[str, Maintenance] = {}
        self._spots: dict[str, Spot] = {}

    def add(self, spot: Spot, value: Any, system: str = "") -> None:
        """One item; in the file of a system it is about that system's alerts only."""
        section = self.notes.section(spot, value, "a maintenance is wanted: name: …, cron: …, duration: …")
        entry = self.notes.model(MaintenanceEntry, spot, section) if section is not None else None
        if entry is None:
            return
        if entry.name in self._spots:
            first = self._spots[entry.name].place()
            self.notes.wrong(
                spot.at("name"), f"there is a maintenance {entry.name!r} already, in {first.file} line {first.line}"
            )
        self._spots.setdefault(entry.name, spot.at("name"))
        matchers = self._matchers(spot.at("matchers"), entry, system)
        zone = self._zone(spot.at("timezone"), entry.timezone)
        found = self._starts(spot, entry, zone) if zone is not None else None
        if found is None or zone is None:
            return
        starts, duration = found
        made = Maintenance(entry.name, matchers, starts, duration, entry.comment, zone)
        self._warn(spot, made)
        self.made[entry.name] = made

    def _matchers(self, spot: Spot, entry: MaintenanceEntry, system: str) -> tuple[Matcher, ...]:
        found = [Matcher("system", "=", system)] if system else []
        for index, text in enumerate(entry.matchers):
            try:
                found += parse_matchers(text)
            except ValueError as why:
                self.notes.wrong(spot.at(index), str(why))
        if not found and not entry.matchers:
            self.notes.wrong(spot, "matchers are missing; for every alert: ['alertname=~\".+\"']")
        return tuple(found)

    def _zone(self, spot: Spot, name: str) -> ZoneInfo | None:
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            hint = meant(name, available_timezones()) or "; write it as Europe/Berlin"
            self.notes.wrong(spot, f"there is no time zone {name!r}{hint}")
            return None

    def _starts(self, spot: Spot, entry: MaintenanceEntry, zone: ZoneInfo) -> tuple[Starts, float] | None:
        """When it begins, and how long it lasts; None, and a problem, where that is not said."""
        said = [key for key in ("end", "cron", "rrule") if getattr(entry, key) is not None]
        if len(said) != 1:
            problem = f"{' and '.join(said)} exclude one another" if said else "it never begins"
            self.notes.wrong(spot, f"{problem}: say start and end, or cron and duration, or rrule and duration")
            return None
        key = said[0]
        start = self._time(spot.at("start"), entry.start)
        wanted = "start" if key == "end" else "duration"
        if getattr(entry, wanted) is None:
            self.notes.wrong(spot, f"{wanted} is missing beside {key}")
            return None
        needless = "duration" if key == "end" else "start" if key == "cron" else ""
        if needless and getattr(entry, needless) is not None:
            self.notes.wrong(spot.at(needless), f"{needless} has no meaning beside {key}", of_key=True)
            return None
        if entry.start is not None and start is None:
            return None
        try:
            if key == "cron":
                return cron(entry.cron or "", zone), entry.duration or 0.0
            if key == "rrule":
                return recurrence(entry.rrule or "", zone, start), entry.duration or 0.0
            end = self._time(spot.at("end"), entry.end)
            return once(start, end, zone) if start is not None and end is not None else None
        except ValueError as why:
            self.notes.wrong(spot.at(key), str(why))
            return None

    def _time(self, spot: Spot, text: str | None) -> datetime | None:
        if text is None:
            return None
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            self.notes.wrong(spot, f"{text!r} is no time; write 2026-12-01T22:00:00, by the wall clock of `timezone`")
            return None

    def _warn(self, spot: Spot, made: Maintenance) -> None:
        now = time.time()
        if made.active(now) is None and made.next_change(now) is None:
            self.notes.warn(spot, f"the maintenance {made.name} is over, and does not come again")
        if isinstance(made.starts, Once):
            return
        apart = min((b - a for a, b in pairwise(islice(made.starts.after(now), TRIED))), default=made.duration)
        if apart < made.duration:
            lasts, every = show_duration(made.duration), show_duration(apart)
            self.notes.warn(spot.at("duration"), f"it lasts {lasts} and begins anew after {every}: it has no end")
