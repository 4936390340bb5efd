"""What comes and goes is told once: the weighted window against Icinga's formula, and a timeline."""

from hypothesis import given
from hypothesis import strategies as st

from alerts.flapping import WINDOW, FlappingAlerts, FlappingLimit, Flaps
from tests.timeline import Timeline, plan, threshold


@given(st.lists(st.booleans(), max_size=60))
def test_the_share_is_icingas(answers):
    flaps, changes, before = Flaps(False), [False] * WINDOW, False
    for breached in answers:
        flaps.observe(breached, FlappingLimit())
        changes, before = [*changes[1:], breached != before], breached
    icinga = sum((0.8 + 0.02 * index) * change for index, change in enumerate(changes)) / WINDOW
    assert abs(flaps.share - icinga) < 1e-9


@given(st.lists(st.booleans(), min_size=WINDOW, max_size=80))
def test_it_begins_above_the_high_limit_and_ends_below_the_low_one(answers):
    flaps, limit = Flaps(False), FlappingLimit(0.3, 0.25)
    for breached in answers:
        before = flaps.flapping
        flaps.observe(breached, limit)
        assert flaps.flapping == (flaps.share >= 0.25 if before else flaps.share > 0.3)


def test_one_that_flaps_is_told_once_until_it_has_settled():
    line = Timeline(plan(threshold("shop/a", flapping=FlappingLimit())))
    for number in range(30):
        line.at(number * 60)
        line.fail("shop/a") if number % 2 == 0 else line.ok("shop/a")
    heard = line.heard()
    assert [said.split(" ")[2] for said in heard[-2:]] == ["first:", "flapping:"]
    assert len(heard) <= 9, "it flaps from the sixth change on"
    for number in range(30, 60):
        line.at(number * 60).ok("shop/a")
    [settled] = line.heard()
    assert settled.split(" ", 1)[1] == "team resolved: ADown"
    assert not line.engine.judging.alerts


def test_what_changes_rarely_does_not_flap():
    line = Timeline(plan(threshold("shop/a", flapping=FlappingLimit())))
    for number in range(40):
        line.at(number * 60)
        line.fail("shop/a") if number in (5, 25) else line.ok("shop/a")
    assert [said.split(" ")[2] for said in line.heard()] == ["first:", "resolved:"] * 2


def test_on_a_limit_it_stays_as_it_is():
    once = Flaps(False)
    once.observe(True, FlappingLimit(high=1.0))
    calm, restless = Flaps(False), Flaps(False, flapping=True)
    calm.observe(True, FlappingLimit(high=once.share, low=0.0))
    restless.observe(True, FlappingLimit(high=1.0, low=once.share))
    assert (calm.flapping, restless.flapping) == (False, True)


def test_only_what_was_breached_lately_and_is_asked_about_is_remembered():
    alerts, limit = FlappingAlerts(), FlappingLimit()
    assert alerts.observe("a", True, None) is None
    assert alerts.observe("a", None, limit) is None
    assert alerts.observe("a", False, limit) is None
    first = alerts.observe("a", True, limit)
    assert first is not None and alerts.observe("a", None, limit) is None
    for _ in range(WINDOW + 1):
        assert alerts.observe("a", False, limit) is first
    assert alerts.observe("a", False, limit) is None, "forgotten once the window holds no change"
