"""An alert's life: by a table, and against a slow model that keeps the whole history."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.lifecycle import Life, step
from alerts.vocabulary import Phase

PENDING, FIRING = Phase.PENDING, Phase.FIRING


@pytest.mark.parametrize(
    ("life", "breached", "hold", "keep", "phase", "event"),
    [
        (Life(), True, 0, 0, FIRING, "firing"),
        (Life(), True, 60, 0, PENDING, "pending"),
        (Life(), False, 0, 0, Phase.INACTIVE, ""),
        (Life(), None, 0, 0, Phase.INACTIVE, ""),
        (Life(PENDING, 40), True, 60, 0, FIRING, "firing"),
        (Life(PENDING, 40.05), True, 60, 0, FIRING, "firing"),
        (Life(PENDING, 40.15), True, 60, 0, PENDING, ""),
        (Life(PENDING, 99.05), True, 1, 0, PENDING, ""),
        (Life(PENDING, 93.8125), True, 6.25, 0, FIRING, "firing"),
        (Life(PENDING, 93.813), True, 6.25, 0, PENDING, ""),
        (Life(PENDING, 41), True, 60, 0, PENDING, ""),
        (Life(PENDING, 40), False, 60, 0, Phase.INACTIVE, "dropped"),
        (Life(PENDING, 10), None, 60, 0, PENDING, ""),
        (Life(FIRING, 40), True, 0, 0, FIRING, ""),
        (Life(FIRING, 40), False, 0, 0, Phase.INACTIVE, "resolved"),
        (Life(FIRING, 40), False, 0, 30, FIRING, ""),
        (Life(FIRING, 40, 70), False, 0, 30, Phase.INACTIVE, "resolved"),
        (Life(FIRING, 40, 70.05), False, 0, 30, Phase.INACTIVE, "resolved"),
        (Life(FIRING, 40, 71), False, 0, 30, FIRING, ""),
        (Life(FIRING, 40, 1), True, 0, 30, FIRING, ""),
        (Life(FIRING, 40), None, 0, 0, FIRING, ""),
    ],
)
def test_table(life, breached, hold, keep, phase, event):
    taken = step(life, breached, 100.0, 100.0, hold=hold, keep_firing=keep)
    assert (taken.life.phase, taken.event) == (phase, event)


def test_a_breach_ends_the_time_of_being_kept():
    life = Life(FIRING, 40, 90)
    life = step(life, True, 100.0, 100.0, hold=0, keep_firing=30).life
    assert step(life, False, 125.0, 125.0, hold=0, keep_firing=30).event == ""


def test_a_clock_set_back_neither_fires_early_nor_holds_for_ever():
    ahead = Life(PENDING, 5_000.0)
    taken = step(ahead, True, 100.0, 100.0, hold=60, keep_firing=0)
    assert taken.life == Life(PENDING, 100.0)
    assert step(taken.life, True, 160.0, 160.0, hold=60, keep_firing=0).event == "firing"


def _model(history: list[tuple[float, bool | None]], hold: float, keep: float) -> bool:
    """Whether the alert fires after this history, from the definition of `for` and `keep_firing_for` alone."""
    told = [(at, breached) for at, breached in history if breached is not None]
    firing = False
    for index, (at, _) in enumerate(told):
        past = told[: index + 1]
        if not firing:
            run = []
            for when, breached in reversed(past):
                if not breached:
                    break
                run.append(when)
            firing = bool(run) and at - run[-1] >= hold
        else:
            run = []
            for when, breached in reversed(past):
                if breached:
                    break
                run.append(when)
            firing = not (run and at - run[-1] >= keep)
    return firing


@given(
    steps=st.lists(st.tuples(st.integers(1, 50), st.sampled_from([True, False, None])), max_size=40),
    hold=st.sampled_from([0, 10, 30, 60]),
    keep=st.sampled_from([0, 10, 45]),
)
def test_agrees_with_the_model(steps, hold, keep):
    life, now, history = Life(), 1_000.0, []
    events = []
    for gap, breached in steps:
        now += gap
        taken = step(life, breached, now, now, hold=hold, keep_firing=keep)
        life = taken.life
        history.append((now, breached))
        events += [taken.event] if taken.event in ("firing", "resolved") else []
        assert (life.phase is FIRING) == _model(history, hold, keep)
    # Told in turn, beginning with a page: no resolve without one, no second page before the resolve.
    assert events == ["firing", "resolved"] * (len(events) // 2) + ["firing"] * (len(events) % 2)


def test_a_clock_set_back_during_the_probe_does_not_make_the_hold_longer():
    assert step(Life(), True, 200.0, 100.0, hold=60, keep_firing=0).life == Life(PENDING, 100.0)
