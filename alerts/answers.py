"""What the checks have answered lately, as far as judging needs it: how causes stand, windows, who is overdue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from alerts.dependencies import Standing
from alerts.plan import Plan
from alerts.thresholds import Windows
from alerts.vocabulary import Threshold, ThresholdKey
from checks.base import Labels, Outcome, Result
from checks.units import show_duration

LONGEST_HANGOVER = 900.0
"""Seconds after a cause is back in which what depends on it is not told of what windows remember of the outage."""

Measurements = Sequence[tuple[str, float, Labels]]


class Answers:
    """Observe each result first, then judge by it; no I/O."""

    def __init__(self) -> None:
        self._standings: dict[str, Standing] = {}
        self._windows: dict[str, Windows] = {}
        self._asked_of: dict[str, tuple[str, ...]] = {}
        self._looks_back: dict[ThresholdKey, float] = {}
        self._answered: dict[str, float] = {}
        self._overdue: Mapping[str, float] = {}

    def adopt(self, plan: Plan, now: float) -> None:
        """Take over a configuration; what is asked as before is remembered."""
        causes = {key for keys in plan.ancestors.values() for key in keys}
        self._standings = {
            key: replace(self._standings.get(key, Standing(now)), patience=plan.patience.get(key, 10.0))
            for key in causes
        }
        dependent = [threshold for key in plan.ancestors for threshold in plan.thresholds.get(key, ())]
        self._looks_back = {threshold.key: _looks_back(threshold) for threshold in dependent if threshold.when.asks}
        before, self._windows, self._asked_of = (self._windows, self._asked_of), {}, {}
        for key, thresholds in plan.thresholds.items():
            conditions = [c for t in thresholds for c in (t.when, t.resolve_when) if c is not None]
            windows = Windows.of(conditions)
            if windows is not None:
                asked = tuple(condition.text for condition in conditions)
                unchanged = before[1].get(key) == asked
                self._windows[key] = before[0][key] if unchanged else windows
                self._asked_of[key] = asked
        answered, waiting = self._answered, plan.asking_for("stale")
        self._answered = {key: answered.get(key, now) for key in waiting}
        self._overdue = plan.overdue

    def is_cause(self, check: str) -> bool:
        """Whether other checks depend on this one."""
        return check in self._standings

    def suspect(self, check: str) -> None:
        """A first attempt at a check has failed and is being asked again: what depends on it had better wait."""
        standing = self._standings.get(check)
        if standing is not None:
            standing.suspected = True

    def take(self, check: str, result: Result, now: float) -> Measurements:
        """Remember one result. Gives the measurements that its check's windows remember."""
        standing = self._standings.get(check)
        if standing is not None:
            if standing.failed and result.outcome is Outcome.OK:
                standing.recovered_at = result.at
            if result.outcome is not Outcome.ERROR:
                standing.failed = result.outcome is Outcome.FAILED
            standing.asked_at = result.at
            standing.suspected = False
        if check in self._answered:
            self._answered[check] = now
        windows = self._windows.get(check)
        return () if windows is None else windows.observe(result.at, result.outcome, result.measurements, result.took)

    def recall(self, check: str, at: float, outcome: Outcome, took: float, measurements: Measurements) -> None:
        """Remember one probe from before a restart, oldest first; nothing is judged by it."""
        windows = self._windows.get(check)
        if windows is not None and outcome is not Outcome.ERROR:
            windows.observe(at, outcome, measurements, took)

    def reach(self) -> dict[str, float]:
        """How far back the windows of each check reach that has any, in seconds."""
        return {check: windows.longest for check, windows in self._windows.items()}

    def windows_of(self, check: str) -> Windows | None:
        """The windows of a check; None where no condition asks for any."""
        return self._windows.get(check)

    @property
    def standings(self) -> Mapping[str, Standing]:
        """How the checks stand that others depend on."""
        return self._standings

    def looks_back(self, threshold: ThresholdKey) -> float:
        """How far back, in seconds, a threshold of a dependent check looks for what has happened."""
        return self._looks_back.get(threshold, 0.0)

    def overdue(self, now: float) -> Iterator[tuple[str, Result]]:
        """The checks that have not answered for long, where a threshold asks for `stale`, and what that amounts to."""
        for check, answered in self._answered.items():
            if now - answered > self._overdue.get(check, float("inf")):
                why = f"no answer for {show_duration(now - answered)}"
                yield check, Result(Outcome.ERROR, answered, 0.0, None, why)


def _looks_back(threshold: Threshold) -> float:
    """How far into the past a condition looks for what has happened, in seconds; what is usual is not meant."""
    asked = [ask.seconds for ask in threshold.when.asks if ask.function != "baseline"]
    return min(max(asked, default=0.0), LONGEST_HANGOVER)
