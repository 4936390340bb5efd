"""Windows over recent probes, against the same statistics computed the slow way."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.samples import MOST_SAMPLES, percentile
from alerts.thresholds import Judgement, Windows, judge, parse
from alerts.windows import MOST_SERIES
from checks.base import Labels, Measurement, Outcome, Result

KNOWN = {
    "a": Measurement("a", "number", ""),
    "served_total": Measurement("served_total", "count", "", counter=True),
    "depth": Measurement("depth", "count", "", ("queue",)),
    "up": Measurement("up", "bool", ""),
}

Probe = tuple[float, Outcome, float | None]


def remembered(text: str, probes: list[Probe], name: str = "a", labels: Labels = ()) -> Windows:
    windows = Windows.of([parse(text, KNOWN)])
    assert windows is not None
    for at, outcome, value in probes:
        windows.observe(at, outcome, [] if value is None else [(name, value, labels)])
    return windows


def ask(text: str, probes: list[Probe], now: float | None = None, name: str = "a") -> Judgement:
    windows = remembered(text, probes, name)
    last = probes[-1][0] if now is None and probes else now or 0.0
    [(_, judgement)] = judge(parse(text, KNOWN), Result(Outcome.OK, last, 0.1), windows, last)
    return judgement


def value_of(expression: str, probes: list[Probe], now: float, name: str = "a") -> float | None:
    """The number behind an expression of one window."""
    windows = remembered(f"{expression} > 0", probes, name)
    condition = parse(f"{expression} > 0", KNOWN)
    [found] = [windows.read(window, now) for window in condition.asks]
    return found.get(())


def slow_percentile(values: list[float], percent: int) -> float:
    if len(values) < 100 / (100 - percent):  # none may lie above: the greatest that is exceeded, or the only one
        return sorted(values)[-2:][0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def slow_rises(values: list[float]) -> float:
    return sum(b - a if b >= a else b for a, b in pairwise(values))


SLOW: dict[str, Callable[[list[float], list[float]], float | None]] = {
    "avg": lambda times, values: statistics.fmean(values),
    "min": lambda times, values: min(values),
    "max": lambda times, values: max(values),
    "p50": lambda times, values: slow_percentile(values, 50),
    "p90": lambda times, values: slow_percentile(values, 90),
    "p95": lambda times, values: slow_percentile(values, 95),
    "p99": lambda times, values: slow_percentile(values, 99),
    "delta": lambda times, values: values[-1] - values[0] if len(values) > 1 else None,
    "rate": lambda times, values: (
        (values[-1] - values[0]) / (times[-1] - times[0]) if times[-1] - times[0] >= 200 else None
    ),
}

steps = st.lists(
    st.tuples(st.integers(0, 120), st.none() | st.integers(-1000, 1000), st.sampled_from(Outcome)),
    min_size=1,
    max_size=80,
)


def timeline(made: list[tuple[int, int | None, Outcome]]) -> list[Probe]:
    at, probes = 10_000.0, []
    for wait, value, outcome in made:
        at += wait
        probes.append((at, outcome, None if value is None else float(value)))
    return probes


@given(steps, st.integers(0, 300), st.sampled_from(sorted(SLOW)))
def test_a_window_is_what_the_slow_way_finds(
    made: list[tuple[int, int | None, Outcome]], later: int, function: str
) -> None:
    probes = timeline(made)
    now = probes[-1][0] + later
    seen = [(t, v) for t, o, v in probes if o is not Outcome.ERROR and v is not None and now - 600 < t <= now]
    expected = SLOW[function]([t for t, _ in seen], [v for _, v in seen]) if seen else None
    found = value_of(f"{function}(a, 10m)", probes, now)
    assert found == (None if expected is None else pytest.approx(expected, abs=1e-9))


@given(steps, st.integers(0, 300))
def test_failures_are_counted_and_errors_are_not(made: list[tuple[int, int | None, Outcome]], later: int) -> None:
    probes = timeline(made)
    now = probes[-1][0] + later
    asked = [o for t, o, _ in probes if o is not Outcome.ERROR and t > now - 600]
    expected = float(asked.count(Outcome.FAILED)) if asked else None
    assert value_of("count_failed(10m)", probes, now) == expected


@given(st.lists(st.integers(0, 50), min_size=2, max_size=60))
def test_a_counter_grows_by_its_rises_through_restarts(readings: list[int]) -> None:
    probes: list[Probe] = [(float(i * 10), Outcome.OK, float(v)) for i, v in enumerate(readings)]
    now, rises = probes[-1][0], slow_rises([float(v) for v in readings])
    assert value_of("delta(served_total, 1h)", probes, now, "served_total") == rises
    rate = value_of("rate(served_total, 10m)", probes, now, "served_total")
    assert rate == (pytest.approx(rises / now) if now >= 200 else None)


def test_a_burst_right_after_the_start_is_no_rate_of_a_whole_window() -> None:
    """Thirty in the first half minute are not thirty in every half minute."""
    probes: list[Probe] = [(seconds, Outcome.OK, min(seconds, 30.0)) for seconds in range(0, 301, 30)]
    rates = [value_of("rate(served_total, 5m)", probes[:seen], probes[seen - 1][0], "served_total") for seen in (2, 4)]
    assert rates == [None, None]
    assert value_of("rate(served_total, 5m)", probes[:5], 120.0, "served_total") == 30 / 120
    assert value_of("delta(served_total, 5m)", probes[:2], 30.0, "served_total") == 30


@pytest.mark.parametrize("interval", [100.1, 120.0, 149.9])
def test_a_window_of_two_intervals_is_full_enough_for_a_rate(interval: float) -> None:
    probes: list[Probe] = [(turn * interval, Outcome.OK, turn * interval) for turn in range(6)]
    assert value_of("rate(a, 5m)", probes, probes[-1][0] + 0.1) == pytest.approx(1)


def test_two_windows_of_one_measurement_share_one_memory() -> None:
    both = parse("avg(a, 1m) > 2 * avg(a, 10m)", KNOWN)
    windows = Windows.of([both])
    assert windows is not None
    for minute in range(10):
        windows.observe(minute * 60.0, Outcome.OK, [("a", 30.0 if minute == 9 else 1.0, ())])
    [(_, judgement)] = judge(both, Result(Outcome.OK, 540.0, 0.1), windows, 540.0)
    assert judgement == (True, "30", "over 7.8", "avg(a, 1m)")


def test_a_check_without_windows_remembers_nothing() -> None:
    assert Windows.of([parse("failed", KNOWN), parse("a > 1", KNOWN)]) is None


def test_the_share_of_time_that_something_was_up() -> None:
    probes: list[Probe] = [(i * 10.0, Outcome.OK, float(i != 3)) for i in range(10)]
    assert ask("avg(up, 10m) < 95%", probes, name="up") == (True, "90 %", "under 95 %", "avg(up, 10m)")


def test_a_window_outlives_the_value_that_a_failed_probe_lacks() -> None:
    windows = remembered("max(a, 10m) > 5", [(0.0, Outcome.OK, 9.0), (30.0, Outcome.FAILED, None)])
    condition = parse("max(a, 10m) > 5", KNOWN)
    assert judge(condition, Result(Outcome.FAILED, 30.0, 10.0), windows, 30.0)[0][1].breached is True
    assert judge(condition, Result(Outcome.ERROR, 60.0, 10.0), windows, 60.0)[0][1].breached is None


def test_durations_are_remembered_of_answers_only() -> None:
    condition = parse("avg(duration_seconds, 10m) > 1s", KNOWN)
    windows = Windows.of([condition])
    assert windows is not None
    windows.observe(0.0, Outcome.OK, [], took=2.0)
    windows.observe(10.0, Outcome.FAILED, [], took=10.0)
    windows.observe(20.0, Outcome.OK, [("duration_seconds", 4.0, ())], took=10.0)
    assert judge(condition, Result(Outcome.OK, 20.0, 4.0), windows, 20.0)[0][1].value == "3 s"


@pytest.mark.parametrize("function", ["avg", "p50", "p95"])
def test_a_long_window_is_thinned_but_stays_true(function: str) -> None:
    values = [float((i * 7919) % 1000) for i in range(20_000)]
    probes: list[Probe] = [(i * 30.0, Outcome.OK, value) for i, value in enumerate(values)]
    found = value_of(f"{function}(a, 7d)", probes, probes[-1][0])
    assert found == pytest.approx(SLOW[function]([], values), rel=0.05)


def test_memory_is_bounded_whatever_the_window() -> None:
    windows = remembered("p99(a, 7d) + delta(a, 7d) > 1", [(i * 10.0, Outcome.OK, float(i)) for i in range(60_000)])
    [series] = windows._series.values()
    [samples] = series.values()
    assert len(samples.times) <= MOST_SAMPLES
    assert samples.values[-1] == 59_999


def test_the_extremes_of_a_long_window_are_exact() -> None:
    probes: list[Probe] = [(i * 10.0, Outcome.OK, 1e6 if i == 777 else float(i % 100)) for i in range(30_000)]
    assert value_of("max(a, 7d)", probes, probes[-1][0]) == 1e6
    assert value_of("max(a, 1h)", probes, probes[-1][0]) == 99.0
    falling: list[Probe] = [(i * 10.0, Outcome.OK, -float(i)) for i in range(30_000)]
    assert value_of("max(a, 7d)", falling, falling[-1][0]) == pytest.approx(0.0, abs=1)
    assert value_of("min(a, 7d)", falling, falling[-1][0]) == -29_999


def test_a_storm_of_failures_is_counted_whole() -> None:
    probes: list[Probe] = [(i * 10.0, Outcome.FAILED, None) for i in range(50_000)]
    assert value_of("count_failed(7d)", probes, probes[-1][0]) == 50_000


def test_label_sets_are_bounded_and_forgotten_when_they_go() -> None:
    condition = parse("avg(depth, 10m) > 1", KNOWN)
    windows = Windows.of([condition])
    assert windows is not None
    windows.observe(0.0, Outcome.OK, [("depth", 5.0, (("queue", str(i)),)) for i in range(MOST_SERIES + 50)])
    assert len(judge(condition, Result(Outcome.OK, 0.0, 0.1), windows, 0.0)) == MOST_SERIES
    for i in range(1, 200):
        windows.observe(i * 10.0, Outcome.OK, [("depth", 5.0, (("queue", "new"),))])
    [(labels, judgement)] = judge(condition, Result(Outcome.OK, 1990.0, 0.1), windows, 1990.0)
    assert (labels, judgement.breached) == ((("queue", "new"),), True)
    assert sum(map(len, windows._series.values())) == 1


def test_a_selector_narrows_a_window() -> None:
    condition = parse('avg(depth{queue="mail"}, 10m) > 1', KNOWN)
    windows = Windows.of([condition])
    assert windows is not None
    windows.observe(0.0, Outcome.OK, [("depth", 5.0, (("queue", "mail"),)), ("depth", 0.0, (("queue", "sms"),))])
    [(labels, judgement)] = judge(condition, Result(Outcome.OK, 0.0, 0.1), windows, 0.0)
    assert (labels, judgement) == ((), (True, "5", "over 1", 'avg(depth{queue="mail"}, 10m)'))


@settings(max_examples=25)
@given(st.lists(st.integers(1, 100), min_size=62, max_size=200))
def test_a_baseline_is_the_median_of_whole_minutes(readings: list[int]) -> None:
    """Two probes a minute, the second one higher: each minute's average counts once; the running one not at all."""
    probes: list[Probe] = []
    for minute, value in enumerate(readings):
        probes += [
            (minute * 60.0, Outcome.OK, float(value)),
            (minute * 60.0 + 30, Outcome.OK, float(value + 10)),
        ]
    found = value_of("baseline(a)", probes, probes[-1][0])
    assert found == statistics.median([value + 5.0 for value in readings[:-1]])


def test_a_baseline_wants_an_hour_and_forgets_after_a_day() -> None:
    steady: list[Probe] = [(minute * 60.0, Outcome.OK, 10.0) for minute in range(60)]
    assert value_of("baseline(a)", steady, 59 * 60.0) is None
    steady.append((3600.0, Outcome.OK, 10.0))
    assert value_of("baseline(a)", steady, 3600.0) == 10.0
    day: list[Probe] = [(86_400.0 + minute * 60.0, Outcome.OK, 20.0) for minute in range(1440)]
    assert value_of("baseline(a)", steady + day, day[-1][0]) == 20.0


def test_the_clock_may_stand_still_or_step_back() -> None:
    windows = remembered(
        "rate(a, 10m) > 1", [(100.0, Outcome.OK, 1.0), (100.0, Outcome.OK, 2.0), (90.0, Outcome.OK, 3)]
    )
    [(_, judgement)] = judge(parse("rate(a, 10m) > 1", KNOWN), Result(Outcome.OK, 100.0, 0.1), windows, 100.0)
    assert judgement.breached is None


@pytest.mark.parametrize(
    ("ordered", "part", "value"),
    [
        ([1, 2, 4], 0.25, 1.5),
        ([1, 2, 4], 0.5, 2),
        ([1, 2, 4, 8], 0.75, 5),
        ([1, 2, 4], 0.75, 2),
        ([1, 2, 4], 1.0, 4),
        ([*range(9), 9_000], 0.9, 907.2),
        ([*range(8), 9_000], 0.9, 7),
        ([*range(19), 9_000], 0.95, 467.1),
        ([*range(18), 9_000], 0.95, 17),
        ([1, 9_000], 0.99, 1),
        ([7], 0.5, 7),
        ([1, 9], 0, 1),
    ],
)
def test_a_percentile_lies_between_its_neighbours(ordered: list[float], part: float, value: float) -> None:
    assert percentile(ordered, part) == pytest.approx(value)
