"""Decides what is not told for now, and why: silences, maintenance, inhibition, time intervals. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from alerts.finder import Finder
from alerts.inhibition import Inhibitor
from alerts.intervals import muted as outside_intervals
from alerts.intervals import next_change as intervals_change
from alerts.plan import Plan
from alerts.routing import Route
from alerts.silences import Silence
from alerts.vocabulary import Alert
from alerts.wording import clock_time

if TYPE_CHECKING:
    from alerts.maintenance import Maintenance


class Mute(NamedTuple):
    """Why something is not told now (`why` empty: it may be), in one of the words of `KINDS`."""

    kind: str
    why: str


KINDS = ("silence", "maintenance", "inhibition", "interval", "dependency")
NOT_MUTED = Mute("", "")


class Muting:
    """What keeps alerts quiet at one moment. `wall` is Unix seconds by the wall clock: people and calendars go by it.

    `next_at` says when something of it begins or ends by itself. What the calendar says is asked once for each stretch
    of time in which it stays the same, and what a silence matches once for each alert: with thousands of both, asking
    anew at each decision would hold the loop up for seconds.
    """

    def __init__(self, plan: Plan, silences: Mapping[str, Silence]) -> None:
        self.silences = dict(silences)
        self._matched: dict[str, tuple[Mapping[str, str], tuple[str, ...]]] = {}
        self._lasting: tuple[tuple[str, ...], Finder] | None = None
        self._wall = 0.0
        self._now: set[str] = set()
        self.adopt(plan)

    def adopt(self, plan: Plan) -> None:
        """Take over a new configuration."""
        self._plan = plan
        self._inhibitor = Inhibitor(plan.inhibit_rules)
        self._stretches: dict[object, tuple[float, float, str]] = {}
        self._active: tuple[Maintenance, ...] = ()
        self._reasons: dict[str, str] = {}

    def change(self, silence: Silence) -> None:
        """A silence is new, or another than before."""
        old = self.silences.get(silence.id)
        self.silences[silence.id] = silence
        self._lasting = None
        if old is not None and old.matchers == silence.matchers and old.ends_at > self._wall:
            return
        for mark, (labels, names) in self._matched.items():
            others = tuple(name for name in names if name != silence.id)
            self._matched[mark] = labels, (*others, silence.id) if silence.matches(labels) else others

    def forget(self, fingerprint: str) -> None:
        """An alert is no more."""
        self._matched.pop(fingerprint, None)

    def forget_silence(self, name: str) -> None:
        """A silence ended so long ago that nobody asks for it any more."""
        del self.silences[name]
        self._lasting = None

    def look(self, firing: Iterable[Alert], wall: float) -> None:
        """Begin a round: which alerts fire, and what time it is."""
        self._wall = wall
        self._now = {name for name, silence in self.silences.items() if silence.state(wall) == "active"}
        self._inhibitor.sources(firing)
        self._active = tuple(
            one for one in self._plan.maintenance if self._while(one.name, one.next_change, self._said(one))
        )

    def _said(self, one: Maintenance) -> Callable[[], str]:
        def say() -> str:
            ends = one.active(self._wall)
            comment = f": {one.comment}" if one.comment else ""
            return "" if ends is None else f"maintenance {one.name} until {clock_time(ends)}{comment}"

        return say

    def _while(self, key: object, next_change: Callable[[float], float | None], say: Callable[[], str]) -> str:
        """What the calendar says of something, asked anew only when it may have changed."""
        begins, ends, why = self._stretches.get(key, (0.0, 0.0, ""))
        if not begins <= self._wall < ends:
            upcoming = next_change(self._wall)
            why = say()
            self._stretches[key] = self._wall, float("inf") if upcoming is None else upcoming, why
        return why

    def next_at(self) -> float | None:
        """When a silence or a stretch of the calendar begins or ends next, by the wall clock."""
        times = [ends for _, ends, _ in self._stretches.values()]
        for silence in self.silences.values():
            times += [silence.starts_at, silence.warns_at, silence.ends_at]
        return min((at for at in times if self._wall < at < float("inf")), default=None)

    def of(self, alert: Alert) -> Mute:
        """Why an alert is not told to anybody now."""
        names = self.silenced_by(alert)
        if names:
            silence = self.silences[names[0]]
            ends = clock_time(silence.ends_at)
            return Mute("silence", f"silenced by {silence.created_by} until {ends}: {silence.comment}")
        for one in self._active:
            if all(matcher.matches(alert.labels) for matcher in one.matchers):
                return Mute("maintenance", self._stretches[one.name][2])
        why = self._inhibitor.why(alert)[1]
        return Mute("inhibition", why) if why else NOT_MUTED

    def silenced_by(self, alert: Alert) -> tuple[str, ...]:
        """The active silences that match an alert."""
        if not self._now:
            return ()
        found = self._matched.get(alert.fingerprint)
        if found is None:
            if self._lasting is None:
                # Ended silences stay listed for days: they are not worth matching.
                lasting = [one for one in self.silences.values() if one.ends_at > self._wall]
                self._lasting = tuple(one.id for one in lasting), Finder([one.matchers for one in lasting])
            names, finder = self._lasting
            found = alert.labels, tuple(names[number] for number in finder.matching(alert.labels))
            self._matched[alert.fingerprint] = found
        return tuple([name for name in found[1] if name in self._now])

    def inhibited_by(self, alert: Alert) -> str:
        """The fingerprint of the alert that inhibits this one; empty when none does."""
        return self._inhibitor.why(alert)[0]

    def of_route(self, route: Route) -> Mute:
        """Why a route is quiet now: its own time intervals."""
        named = route.mute_time_intervals, route.active_time_intervals
        if not any(named):
            return NOT_MUTED
        intervals = self._plan.time_intervals
        why = self._while(
            named,
            lambda at: intervals_change(route, intervals, at),
            lambda: outside_intervals(route, intervals, self._wall),
        )
        return Mute("interval", why) if why else NOT_MUTED
