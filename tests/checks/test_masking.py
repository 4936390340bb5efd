"""What is masked stays masked, however it is written and cut; what takes a journey's places takes them whole."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.parts.journey.placeholders import fill, fill_json, is_one, wanted
from checks.parts.masking import HEAD, masked

SECRETS = st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=4, max_size=60)
TEXTS = st.text(max_size=40)


@given(SECRETS, TEXTS, TEXTS, st.integers(HEAD, 60))
def test_no_secret_is_left_nor_the_beginning_of_one(secret: str, before: str, after: str, cut: int) -> None:
    written = [secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], secret[:cut]]
    for form in written if len(secret) >= HEAD else written[:3]:
        shown = masked(f"{before}{form}{after}", [secret])
        assert form not in shown or form in f"{before}***{after}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"access_token": "abc", "user": "anna"}', '{"access_token": "***", "user": "anna"}'),
        ('{"Password":"a\\nb"', '{"Password":"***"'),
        ('{"apiKey":"cut off', '{"apiKey":"***'),
        ("tok abc, tok abcd", "tok abc, tok ***"),
        ("x=a%2Fb%2Bc", "x=***"),
    ],
)
def test_what_looks_like_a_secret_is_masked_unasked(text: str, shown: str) -> None:
    assert masked(text, ["abcd", "a/b+c", "abc", ""]) == shown


def test_places_are_filled_by_text_and_by_value() -> None:
    values = {"id": 7, "name": "a/b", "row": {"x": [1]}}
    assert fill("/o/{{id}}/{{ name }}", values) == "/o/7/a/b"
    assert fill("{{row}}", values) == '{"x":[1]}'
    assert fill_json({"a": "{{id}}", "b": ["{{row}}", "n{{id}}", 5, None]}, values) == {
        "a": 7, "b": [{"x": [1]}, "n7", 5, None],
    }  # fmt: skip
    assert fill_json({"{{name}}": True}, values) == {"a/b": True}
    assert sorted(wanted({"{{a}}": ["{{b}} {{ c }}", {"d": "{d}"}]})) == ["a", "b", "c"]
    assert is_one(" {{a}} ")
    assert not is_one("{{a}}{{b}}")


@given(TEXTS)
def test_what_is_filled_in_is_not_filled_again(text: str) -> None:
    assert fill("{{a}}", {"a": text, "b": "x"}) == text
    assert fill("{{a}}", {"a": "{{b}}", "b": text}) == "{{b}}"
