"""The beat of the checks, on virtual time."""

import asyncio
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from checks.base import Check
from monitor.scheduler import AT_ONCE, FIRST_SPREAD, Scheduler, phase
from tests.clock import run


class Quiet(Check):
    """A check that is scheduled, never asked."""


def checks(count: int, interval: str = "10s", prefix: str = "c") -> dict[str, Check]:
    made = [Quiet(name=f"{prefix}{number}", system="s", interval=interval) for number in range(count)]
    return {check.key: check for check in made}


class Beats:
    """What was launched when."""

    def __init__(self) -> None:
        self.launched: list[tuple[str, float, float]] = []
        self.skipped: list[str] = []
        self.scheduler = Scheduler(self._launch, lambda check: self.skipped.append(check.key))

    def _launch(self, check: Check, due: float) -> None:
        self.launched.append((check.key, asyncio.get_running_loop().time(), due))

    def times(self, key: str) -> list[float]:
        return [at for launched, at, _ in self.launched if launched == key]


def test_every_check_is_asked_at_its_rate_without_drift():
    async def main() -> Beats:
        beats = Beats()
        beats.scheduler.plan(checks(50))
        await asyncio.sleep(1_000)
        beats.scheduler.stop()
        return beats

    beats = run(main())
    for number in range(50):
        times = beats.times(f"s/c{number}")
        assert times[0] <= 1_000 + FIRST_SPREAD
        regular = times[1:]
        assert 98 <= len(regular) <= 101
        gaps = [after - before for before, after in itertools.pairwise(regular)]
        assert all(abs(gap - 10) < 1e-6 for gap in gaps), "the beat drifts"


def test_beats_are_spread_over_the_interval():
    phases = sorted(phase(f"s/c{number}", 10.0) for number in range(1_000))
    assert all(0 <= offset < 10 for offset in phases)
    gaps = [after - before for before, after in itertools.pairwise(phases)]
    assert max(gaps) < 0.2, "a tenth of a second of nothing, and then a storm"


def test_a_reload_leaves_known_checks_their_beat():
    async def main() -> Beats:
        beats = Beats()
        beats.scheduler.plan(checks(5))
        await asyncio.sleep(100)
        beats.scheduler.plan(checks(5) | checks(5, prefix="new"))
        await asyncio.sleep(100)
        beats.scheduler.stop()
        return beats

    beats = run(main())
    for number in range(5):
        regular = beats.times(f"s/c{number}")[1:]
        assert len({round(at % 10, 6) for at in regular}) == 1
        assert beats.times(f"s/new{number}")[0] <= 1_100 + FIRST_SPREAD


def test_a_removed_check_is_asked_no_more():
    async def main() -> Beats:
        beats = Beats()
        beats.scheduler.plan(checks(2))
        await asyncio.sleep(100)
        beats.scheduler.plan(checks(1))
        beats.launched.clear()
        await asyncio.sleep(100)
        beats.scheduler.stop()
        return beats

    assert {key for key, _, _ in run(main()).launched} == {"s/c0"}


def test_a_machine_that_slept_makes_up_for_nothing():
    async def main() -> Beats:
        beats = Beats()
        beats.scheduler.plan(checks(3))
        await asyncio.sleep(50)
        asyncio.get_running_loop()._virtual.waited += 1_000  # the machine sleeps
        beats.launched.clear()
        await asyncio.sleep(9.9)
        beats.scheduler.stop()
        return beats

    beats = run(main())
    assert len(beats.launched) <= 6, "a beat for each missed interval"
    assert len(beats.skipped) >= 3 * 98


def test_ask_now_comes_at_once_and_leaves_the_beat():
    async def main() -> Beats:
        beats = Beats()
        beats.scheduler.plan(checks(1))
        await asyncio.sleep(13)
        beats.launched.clear()
        beats.scheduler.ask_now("s/c0")
        beats.scheduler.ask_now("s/nobody")
        await asyncio.sleep(0.001)
        assert len(beats.launched) == 1
        await asyncio.sleep(20)
        beats.scheduler.stop()
        return beats

    assert len(run(main()).launched) == 3


@settings(max_examples=30)
@given(st.lists(st.sampled_from([1, 2, 5, 30, 60]), min_size=1, max_size=60))
def test_any_mixture_of_intervals_keeps_each_rate(intervals):
    mixed = {f"s/m{n}": Quiet(name=f"m{n}", system="s", interval=f"{seconds}s") for n, seconds in enumerate(intervals)}

    async def main() -> Beats:
        beats = Beats()
        beats.scheduler.plan(mixed)
        await asyncio.sleep(120)
        beats.scheduler.stop()
        return beats

    beats = run(main())
    for n, seconds in enumerate(intervals):
        assert 120 // seconds <= len(beats.times(f"s/m{n}")) <= 120 // seconds + 2


def test_a_storm_lets_the_loop_turn_between_handfuls():
    turns = 0

    async def main() -> Beats:
        nonlocal turns
        beats = Beats()
        crowd = checks(AT_ONCE * 10)
        beats.scheduler.plan(crowd)
        beats.scheduler._once = [(999.0, key) for key in sorted(crowd)]
        beats.launched.clear()
        beats.scheduler._arm()
        while len(beats.launched) < AT_ONCE * 10:
            turns += 1
            await asyncio.sleep(0)
        beats.scheduler.stop()
        return beats

    run(main())
    assert turns >= 10
