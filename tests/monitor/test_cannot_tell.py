"""Checks that can't tell for long are named, unless somebody is told of them anyway."""

from __future__ import annotations

from alerts.plan import Plan
from alerts.vocabulary import Threshold
from checks.base import Check, Outcome, Reason, Result
from monitor.housekeeping import CANNOT_TELL_FOR, cannot_tell
from monitor.state import State
from tests.timeline import threshold

NOW = 1_000_000.0
LONG_AGO = NOW - CANNOT_TELL_FOR


def state(*results: tuple[str, Outcome, float], excused: bool = False) -> State:
    """What is known after these results, each of a check at a time."""
    found = State()
    for name, outcome, at in results:
        said = "" if outcome is Outcome.OK else f"role of {name} lacks rights"
        reason = None if outcome is Outcome.OK else Reason.AUTH
        found.take(Check(name=name, system="shop"), Result(outcome, at, 0.1, reason, said, excused=excused))
    return found


def told(found: State, *thresholds: Threshold) -> str:
    return cannot_tell(found, Plan(thresholds={one.check: (one,) for one in thresholds}), NOW)


def test_one_that_has_not_been_able_to_tell_for_long_is_named_with_its_reason() -> None:
    found = state(("db", Outcome.ERROR, LONG_AGO), ("db", Outcome.ERROR, NOW), ("web", Outcome.OK, NOW))
    assert told(found) == "1 check has not been able to tell for 15m: shop/db: role of db lacks rights"


def test_neither_is_one_that_has_only_begun_nor_one_that_fails_or_is_excused() -> None:
    assert told(state(("db", Outcome.ERROR, LONG_AGO + 1))) == ""
    assert told(state(("db", Outcome.ERROR, LONG_AGO), ("db", Outcome.OK, NOW - 60), ("db", Outcome.ERROR, NOW))) == ""
    assert told(state(("db", Outcome.FAILED, LONG_AGO))) == ""
    assert told(state(("db", Outcome.ERROR, LONG_AGO), excused=True)) == ""


def test_nor_one_whose_own_threshold_asks_for_it() -> None:
    found = state(("db", Outcome.ERROR, LONG_AGO))
    assert told(found, threshold("shop/db", "error")) == ""
    assert told(found, threshold("shop/db", "failed or error")) == ""
    assert told(found, threshold("shop/db", "failed"))
    assert told(found, threshold("shop/db", 'depth{queue="error"} > 5'))


def test_of_many_a_few_are_named_and_the_rest_counted() -> None:
    found = state(*((f"db{number}", Outcome.ERROR, LONG_AGO) for number in range(7)))
    said = told(found)
    assert said.startswith("7 checks have not been able to tell for 15m: shop/db0: ")
    assert said.endswith("shop/db4: role of db4 lacks rights; and 2 more")
