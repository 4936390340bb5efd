"""Which tests answer for which file, and the planted bugs that nothing could tell."""

from __future__ import annotations

from typing import NamedTuple

# In the order in which they are asked: what is fast and near first.
_ENGINE = (
    "alerts/test_engine.py",
    "alerts/test_muting.py",
    "alerts/test_escalation.py",
    "alerts/test_flapping.py",
    "alerts/test_sent.py",
    "alerts/test_proving.py",
    "alerts/test_explaining.py",
    "alerts/test_promises.py",
    "alerts/test_state_machine.py",
)
_CONDITIONS = (
    "alerts/test_thresholds.py",
    "alerts/test_thresholds_reference.py",
    "alerts/test_thresholds_windows.py",
    "alerts/test_engine.py",
)

COVERED: dict[str, tuple[str, ...]] = {
    "alerts/telling.py": ("alerts/test_telling.py", *_ENGINE),
    "alerts/lifecycle.py": ("alerts/test_lifecycle.py", "alerts/test_engine.py"),
    "alerts/escalation.py": ("alerts/test_escalation.py", "alerts/test_explaining.py", "alerts/test_state_machine.py"),
    "alerts/ladders.py": ("alerts/test_escalation.py", *_ENGINE),
    "alerts/flapping.py": ("alerts/test_flapping.py", "alerts/test_engine.py"),
    "alerts/storm.py": ("alerts/test_storm.py", "alerts/test_muting.py", *_ENGINE),
    "alerts/silences.py": ("alerts/test_silences.py", "alerts/test_muting.py", "alerts/test_state_machine.py"),
    "alerts/dependencies.py": ("alerts/test_dependencies.py", *_ENGINE),
    "alerts/intervals.py": ("alerts/test_intervals.py", "alerts/test_muting.py"),
    "alerts/inhibition.py": ("alerts/test_inhibition.py", "alerts/test_muting.py"),
    "alerts/matching.py": ("alerts/test_matching.py", "alerts/test_inhibition.py"),
    "alerts/routing.py": ("alerts/test_routing.py", *_ENGINE),
    "alerts/muting.py": ("alerts/test_muting.py", "alerts/test_inhibition.py", *_ENGINE),
    "alerts/audience.py": ("alerts/test_audience.py", "alerts/test_storm.py", *_ENGINE),
    "alerts/pacing.py": ("alerts/test_delivery.py",),
    "alerts/sent.py": ("alerts/test_sent.py",),
    "alerts/message.py": ("alerts/test_message.py", *_ENGINE, "alerts/test_delivery.py"),
    "alerts/explaining.py": ("alerts/test_explaining.py",),
    "alerts/when_truth.py": _CONDITIONS,
    "alerts/windows.py": _CONDITIONS,
    "alerts/samples.py": _CONDITIONS,
    "alerts/thresholds.py": _CONDITIONS,
}


class Equal(NamedTuple):
    """A planted bug that changes nothing: in this line (its text), `after` for `before`; `why` nobody can tell."""

    file: str
    line: str
    before: str
    after: str
    why: str


EQUAL: tuple[Equal, ...] = (
    Equal(
        "alerts/storm.py",
        "digested.setdefault(telling.receiver, set()).update(telling.told, telling.muted)",
        "telling.told, telling.muted",
        "telling.muted, telling.told",
        "a set takes both in either order",
    ),
    Equal(
        "alerts/pacing.py",
        "return min(2.0 ** min(attempts - 1, 10), LONGEST_BACK_OFF) * (0.5 + 0.5 * chance)",
        "10",
        "11",
        "either power is beyond the longest back-off; it only keeps the number small",
    ),
    Equal("alerts/inhibition.py", "return", "return", "pass", "without rules no alert is a source: spares the look"),
    Equal(
        "alerts/intervals.py",
        "begins = last + first + 1 if first < 0 else first",
        "first < 0",
        "(first <= 0)",
        "the configuration refuses a day 0 of the month",
    ),
    Equal(
        "alerts/intervals.py",
        "ends = last + end + 1 if end < 0 else end",
        "end < 0",
        "(end <= 0)",
        "the configuration refuses a day 0 of the month",
    ),
    Equal(
        "alerts/intervals.py",
        "if merged and first <= merged[-1][1]:",
        "first <= merged[-1][1]",
        "(first < merged[-1][1])",
        "two spans that touch cover the same minutes as one",
    ),
    Equal(
        "alerts/muting.py",
        'begins, ends, why = self._stretches.get(key, (0.0, 0.0, ""))',
        "0.0",
        "1.0",
        "no wall clock stands in the first second of 1970",
    ),
    Equal(
        "alerts/muting.py",
        "if not begins <= self._wall < ends:",
        "begins <= self._wall < ends",
        "(begins < self._wall < ends)",
        "at the very moment it was asked the calendar says the same again",
    ),
    Equal(
        "alerts/dependencies.py",
        "until = 0.0",
        "0.0",
        "1.0",
        "no clock stands in the first second of 1970",
    ),
    Equal(
        "alerts/ladders.py",
        "rank = min((alert.severity.rank for alert in waiting), default=0)",
        "0",
        "1",
        "a ladder on which nobody waits is paused, and begins anew whatever its rank was",
    ),
)
