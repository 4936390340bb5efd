"""What is only a symptom: by a table of what is known of the cause."""

import pytest

from alerts.dependencies import TELL, Standing, withheld
from tests.alerts.notes import alert

SYMPTOM = alert("WebDown", check="shop/web", since=100.0, fired_at=110.0)


def held(
    *standings: Standing, judged: float = 110.0, alarmed: tuple[str, ...] = (), now: float = 111.0, reach: float = 0.0
):
    causes = {f"shop/c{number}": one for number, one in enumerate(standings)}
    return withheld(SYMPTOM, judged, [*causes, "shop/unknown"], causes, alarmed, now, reach)


@pytest.mark.parametrize(
    ("cause", "now", "until"),
    [
        (Standing(asked_at=110.0, patience=5.0), 111.0, None),
        (Standing(asked_at=109.0, patience=5.0), 111.0, 115.0),
        (Standing(asked_at=99.0, patience=5.0), 114.9, 115.0),
        (Standing(asked_at=99.0, patience=5.0), 115.0, None),
        (Standing(asked_at=105.0, suspected=True, patience=5.0), 111.0, 115.0),
        (Standing(asked_at=105.0, suspected=True, patience=5.0), 115.0, None),
        (Standing(since=200.0, patience=5.0), 201.0, 205.0),
        (Standing(asked_at=111.0, recovered_at=110.5, patience=5.0), 111.0, 115.5),
        (Standing(asked_at=111.0, recovered_at=110.5, patience=5.0), 115.5, None),
        (Standing(asked_at=111.0, recovered_at=110.0, patience=5.0), 111.0, None),
    ],
)
def test_it_waits_for_the_causes_answer_and_no_longer(cause, now, until):
    found = held(cause, now=now)
    assert (bool(found.why), found.until) == (until is not None, until)


def test_a_cause_that_is_down_and_told_of_is_the_reason():
    down = Standing(failed=True, asked_at=105.0)
    assert held(down, alarmed=("shop/c0",)).why == "shop/c0 is down, and this depends on it"
    assert held(Standing(asked_at=99.0, patience=5.0), down, alarmed=("shop/c1",)).why.startswith("shop/c1 is down")


def test_a_cause_of_which_nobody_is_told_holds_nothing_back():
    down = Standing(failed=True, suspected=True, asked_at=1.0, recovered_at=110.5, patience=50.0)
    assert held(down) == TELL


def test_who_is_asked_again_is_said():
    first, second = Standing(asked_at=99.0, patience=9.0), Standing(asked_at=99.0, patience=5.0)
    both = held(first, second)
    assert (both.ask, both.until) == (("shop/c0", "shop/c1"), 119.0)
    assert both.why == "waiting for the answer of shop/c0, shop/c1"
    back = held(Standing(asked_at=111.0, recovered_at=110.5, patience=5.0))
    assert (back.ask, back.why) == (("shop/web",), "shop/c0 has just come back: asking again")


@pytest.mark.parametrize(
    ("judged", "now", "asked", "until"),
    [
        (110.0, 111.0, (), 400.0),  # recovered at 100: the window still holds that
        (399.0, 399.5, (), 400.0),
        (399.0, 400.0, ("shop/web",), 405.0),
        (399.0, 405.0, (), None),
        (400.0, 400.0, (), None),
    ],
)
def test_what_a_window_remembers_of_an_outage_is_no_news_after_it(judged, now, asked, until):
    back = Standing(asked_at=200.0, recovered_at=100.0, patience=5.0)
    found = held(back, judged=judged, now=now, reach=300.0)
    assert (found.ask, found.until, bool(found.why)) == (asked, until, until is not None)
