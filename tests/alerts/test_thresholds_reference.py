"""Conditions beside an evaluator that shares nothing with ours but the words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.thresholds import WhenError, judge, parse
from checks.base import Outcome
from tests.alerts.conditions import KNOWN, one, result

# The reference: an evaluator of the generated expressions that shares nothing with ours but the words.

Made = tuple[Any, ...]
numbers = st.recursive(
    st.sampled_from(["a", "b", "c"]).map(lambda name: ("name", name))
    | st.integers(0, 9).map(lambda number: ("number", float(number))),
    lambda below: (
        st.tuples(st.just("arithmetic"), st.sampled_from("+-*/"), below, below) | st.tuples(st.just("minus"), below)
    ),
    max_leaves=6,
)
conditions = st.recursive(
    st.tuples(st.just("compare"), st.sampled_from([">", ">=", "<", "<=", "==", "!="]), numbers, numbers)
    | st.sampled_from(["failed", "error", "stale", "true", "false"]).map(lambda word: ("word", word)),
    lambda below: (
        st.tuples(st.just("join"), st.sampled_from(["and", "or"]), below, below) | st.tuples(st.just("not"), below)
    ),
    max_leaves=8,
)
values = st.none() | st.integers(-9, 9).map(float)


def render(made: Made) -> str:
    match made:
        case ("name" | "word", name):
            return str(name)
        case ("number", number):
            return f"{number:g}"
        case ("minus", of):
            return f"-({render(of)})"
        case ("not", of):
            return f"not ({render(of)})"
        case (_, sign, left, right):
            return f"({render(left)}) {sign} ({render(right)})"
    raise AssertionError(made)


def reckon(made: Made, world: dict[str, float | None]) -> float | None:
    match made:
        case ("name", name):
            return world[name]
        case ("number", number):
            return float(number)
        case ("minus", of):
            inner = reckon(of, world)
            return None if inner is None else -inner
        case (_, sign, left, right):
            one_side, other = reckon(left, world), reckon(right, world)
            if one_side is None or other is None:
                return None
            match sign:
                case "+":
                    return one_side + other
                case "-":
                    return one_side - other
                case "*":
                    return one_side * other
            return one_side / other if other else None
    raise AssertionError(made)


def literal_only(made: Made) -> bool:
    return made[0] == "number" or (made[0] in ("minus", "arithmetic") and all(map(literal_only, _below(made))))


def _below(made: Made) -> list[Made]:
    return [part for part in made if isinstance(part, tuple)]


def meaningless(made: Made) -> bool:
    """Whether a part is a division of literals by zero."""
    if made[0] == "arithmetic" and literal_only(made) and reckon(made, {}) is None:
        return True
    return any(map(meaningless, _below(made)))


def decide(made: Made, world: dict[str, float | None]) -> bool | None:
    match made:
        case ("word", word):
            held = world[word]
            return None if held is None else bool(held)
        case ("compare", sign, left, right):
            pair = reckon(left, world), reckon(right, world)
            if None in pair:
                return None
            return bool(eval(f"left {sign} right", {"left": pair[0], "right": pair[1]}))
        case ("not", of):
            inner = decide(of, world)
            return None if inner is None else not inner
        case ("join", word, left, right):
            pair_held = {decide(left, world), decide(right, world)}
            deciding = word == "or"
            if deciding in pair_held:
                return deciding
            return None if None in pair_held else not deciding
    raise AssertionError(made)


@given(conditions, st.tuples(values, values, values), st.sampled_from(Outcome), st.booleans())
def test_agrees_with_a_naive_evaluator(
    made: Made, recorded: tuple[float | None, ...], outcome: Outcome, stale: bool
) -> None:
    present = {name: value for name, value in zip("abc", recorded, strict=True) if value is not None}
    erred = outcome is Outcome.ERROR
    world: dict[str, float | None] = {name: None if erred else present.get(name) for name in "abc"}
    world |= {"failed": None if erred else outcome is Outcome.FAILED, "error": erred, "stale": stale}
    world |= {"true": 1.0, "false": 0.0}
    text = render(made)
    if meaningless(made):
        with pytest.raises(WhenError, match="has no value"):
            parse(text, KNOWN)
        return
    judged = one(text, result(outcome, 0.3, **present), stale=stale)
    assert judged.breached is decide(made, world)


@given(st.text(max_size=60) | st.text(alphabet='ab01.%()<>=!-+*/{}", sm\n', max_size=40))
def test_any_text_is_a_condition_or_a_sentence(text: str) -> None:
    try:
        condition = parse(text, KNOWN)
    except WhenError as why:
        assert why.sentence
        assert why.column is None or 1 <= why.column <= len(text) + 1
    else:
        assert len(judge(condition, result(a=1, b=2), None, 1_000.0)) == 1
