"""Puts together who is told what and when: receivers, the route tree, inhibit rules and time intervals of all files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from alerts.inhibition import InhibitRule
from alerts.notifiers.base import Notifier
from alerts.routing import Route
from monitor.config import alertmanager, inhibition, routes
from monitor.config.alertmanager import GlobalEntry
from monitor.config.interpolation import Interpolation
from monitor.config.intervals import Intervals
from monitor.config.kinds import Kinds
from monitor.config.notes import Notes, Spot
from monitor.config.receivers import FILE_ENDING, Receivers, check_http_config, from_file
from monitor.config.routes import Routes
from monitor.config.sections import Section
from monitor.config.systems import Part

ONCE = ("global",)
"""Keys that one file of a configuration may say."""

RESOLVE_TIMEOUT = 300.0

KEYS = (*ONCE, "route", "receivers", "inhibit_rules", "time_intervals", "mute_time_intervals", "templates")


class Telling:
    """What the files say of telling; `once` holds the values of the keys of ONCE with their spots."""

    def __init__(
        self,
        notes: Notes,
        interpolation: Interpolation,
        roots: Sequence[Section],
        parts: Iterable[Part],
        once: Mapping[str, tuple[Spot, Any]],
        kinds: Kinds[Notifier],
    ) -> None:
        self.notes = notes
        self.roots = roots
        values = self._global(interpolation, *once["global"]) if "global" in once else {}
        self.resolve_timeout: float = values.get("resolve_timeout", RESOLVE_TIMEOUT)
        receivers = Receivers(notes, kinds, interpolation, values)
        for spot, value in self._all("receivers"):
            receivers.add(spot, value)
        receivers.check_fallbacks()
        self.receivers = receivers.made
        intervals = Intervals(notes)
        for key in ("time_intervals", "mute_time_intervals"):
            for spot, value in self._all(key):
                intervals.add(spot, value)
        self.time_intervals = intervals.made
        rules = [inhibition.read(notes, spot, value) for spot, value in self._all("inhibit_rules")]
        self.inhibit_rules: tuple[InhibitRule, ...] = tuple(rule for rule in rules if rule is not None)
        for spot, _ in self._all("templates"):
            notes.wrong(
                spot,
                "Go templates can't be carried out; leave templates out, and write texts in Jinja2 where they are used",
            )
        said = routes.said(notes, parts)
        self.route: Route | None = Routes(notes, self.receivers, self.time_intervals).tree(said)
        self.has_route = bool(said)

    def _all(self, key: str) -> Iterator[tuple[Spot, Any]]:
        """Every item of a list that may stand in several files."""
        for root in self.roots:
            yield from self.notes.items(Spot(root, (key,)), root.get(key))

    def _global(self, interpolation: Interpolation, spot: Spot, value: Any) -> dict[str, Any]:
        """The values under `global`, those from files too; checked, but as they were written."""
        section = self.notes.section(spot, value)
        values = dict(section or {})
        for key in [key for key in values if key.startswith(alertmanager.FOREIGN_GLOBALS)]:
            del values[key]
            self.notes.warn(spot.at(key), "it has no effect: there are no receivers of that sort")
        for key in [key for key in values if key.endswith(FILE_ENDING)]:
            plain = key.removesuffix(FILE_ENDING)
            if plain in GlobalEntry.model_fields and plain not in values:
                file = values.pop(key)
                values[plain] = from_file(self.notes, interpolation, spot.at(key), file) if file else None
        entry = self.notes.model(GlobalEntry, spot, values)
        if isinstance(values.get("http_config"), dict):
            check_http_config(self.notes, spot.at("http_config"), values["http_config"])
        values["resolve_timeout"] = entry.resolve_timeout if entry is not None else RESOLVE_TIMEOUT
        return values
