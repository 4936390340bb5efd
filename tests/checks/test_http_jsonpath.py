"""The arithmetic around JMESPath, by tables."""

from typing import Any

import pytest

from checks.parts.http.jsonpath import NotANumber, compile_number, compile_path

DOCUMENT = {
    "a": 6, "b": 2, "c": 0.5, "text": "x", "none": None, "yes": True,
    "list": [1, 2, 3], "items": [{"n": 1, "tag": "a - b"}, {"n": 4, "tag": "c"}], "kebab-case": 7,
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a", 6),
        ("a * `1048576`", 6291456),
        ("a - b - c", 3.5),
        ("a - (b - c)", 4.5),
        ("a + b * c", 7),
        ("(a + b) * c", 4),
        ("a / b / c", 6),
        ("((a))", 6),
        ("((a + b))", 8),
        ("list[*]", [1, 2, 3]),
        ("items[*].n", [1, 4]),
        ("items[?tag == 'a - b'].n | [0]", 1),
        ("sum(items[*].n) / length(items)", 2.5),
        ('"kebab-case" + a', 13),
        ("a / none", None),
        ("a / missing", None),
        ("a / (b - `2`)", None),
        ("`-1` * a", -6),
        ("list[-1]", 3),
        ("(none || a).x", None),
        ("text", "x"),
    ],
)
def test_values(path: str, value: Any) -> None:
    assert compile_path(path)(DOCUMENT) == value


@pytest.mark.parametrize("path", ["a + text", "yes * b", "list / a", "text - a"])
def test_only_numbers_calculate(path: str) -> None:
    with pytest.raises(NotANumber, match="not a number"):
        compile_path(path)(DOCUMENT)


@pytest.mark.parametrize("path", ["text", "list", "@"])
def test_a_measure_is_a_number(path: str) -> None:
    with pytest.raises(NotANumber, match="not a number"):
        compile_number(path)(DOCUMENT)


@pytest.mark.parametrize(("path", "value"), [("yes", 1.0), ("text == 'no'", 0.0), ("nothing", None)])
def test_true_and_false_are_measured_as_one_and_zero(path: str, value: float | None) -> None:
    found = compile_number(path)(DOCUMENT)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("path", "position"),
    [("a..b", 3), ("a + b..c", 7), ("a b", 3), ("a + ", 0), (" + a", 0), ("'a", 0), ("(a + b", 0), ("", 0)],
)
def test_mistakes_are_named_with_their_position(path: str, position: int) -> None:
    with pytest.raises(ValueError, match="is no JMESPath expression") as error:
        compile_path(path)
    assert not position or f"at position {position}," in str(error.value)


def test_nesting_is_bounded() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        compile_path("(" * 5000 + "a + b" + ")" * 5000)
