"""Matchers: both syntaxes by tables from the documented grammar, RE2's expressions, and texts that mean harm."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.matching import LONGEST_EXPRESSION, Matcher, parse_matcher, parse_matchers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # What both syntaxes read alike.
        ('foo="bar"', [("foo", "=", "bar")]),
        ("foo=bar", [("foo", "=", "bar")]),
        (" foo = bar ", [("foo", "=", "bar")]),
        ('foo!="bar"', [("foo", "!=", "bar")]),
        ('foo=~"a|b"', [("foo", "=~", "a|b")]),
        ("foo!~a.*", [("foo", "!~", "a.*")]),
        ('foo=""', [("foo", "=", "")]),
        ('{foo="bar"}', [("foo", "=", "bar")]),
        ('{foo="bar",b=~"c"}', [("foo", "=", "bar"), ("b", "=~", "c")]),
        ('foo="bar", b!="c"', [("foo", "=", "bar"), ("b", "!=", "c")]),
        ('{foo="bar",}', [("foo", "=", "bar")]),
        ('foo="bar",', [("foo", "=", "bar")]),
        ('foo="a,b"', [("foo", "=", "a,b")]),
        ('foo="{a}"', [("foo", "=", "{a}")]),
        (r'foo="a\"b"', [("foo", "=", 'a"b')]),
        (r'foo="a\\b"', [("foo", "=", "a\\b")]),
        (r'foo="a\nb"', [("foo", "=", "a\nb")]),
        ('foo="ü 🙂"', [("foo", "=", "ü 🙂")]),
        ("{}", []),
        ("", []),
        # What only the classic one reads, and so is meant as it reads it.
        ("foo=bar baz", [("foo", "=", "bar baz")]),
        ("foo=", [("foo", "=", "")]),
        ("foo==bar", [("foo", "=", "=bar")]),
        (r'foo=~"\d+"', [("foo", "=~", r"\d+")]),
        (r"foo=~\d+", [("foo", "=~", r"\d+")]),
        ("foo=a\\", [("foo", "=", "a\\")]),
        ("foo=~[a-z]{2}x", [("foo", "=~", "[a-z]{2}x")]),
        ('foo="a\nb"', [("foo", "=", "a\nb")]),
        ("{foo=bar", [("foo", "=", "bar")]),
        # What both read, each in its own way: the classic one goes before.
        (r'foo="\x41"', [("foo", "=", r"\x41")]),
        (r'foo=~"a\b"', [("foo", "=~", r"a\b")]),
        (r'foo="\u00fc"', [("foo", "=", r"\u00fc")]),
        # What only the UTF-8 syntax reads.
        ('"foo"="bar"', [("foo", "=", "bar")]),
        ('"foo bar"="x"', [("foo bar", "=", "x")]),
        ('{"foo,bar"="x",b="c"}', [("foo,bar", "=", "x"), ("b", "=", "c")]),
        ("föö=bär", [("föö", "=", "bär")]),
        ("🙂=🙂🙂", [("🙂", "=", "🙂🙂")]),
        ("foo.bar/baz=x", [("foo.bar/baz", "=", "x")]),
        ("0foo=x", [("0foo", "=", "x")]),
        (r'"a\"b"="x"', [('a"b', "=", "x")]),
        (r'"\x41\101\u00fc\U0001f642\t"="\n"', [("AAü🙂\t", "=", "\n")]),
        ('"foo"=~"[a-z]+"', [("foo", "=~", "[a-z]+")]),
        ('ü\u3000=\u3000"x"', [("ü", "=", "x")]),
        (r'ü=~"\x28a\x29"', [("ü", "=~", "(a)")]),
    ],
)
def test_it_is_read_as_alertmanager_reads_it(text: str, expected: list[tuple[str, str, str]]) -> None:
    assert [(one.name, one.operator, one.text) for one in parse_matchers(text)] == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("foo", "'foo' is not a matcher; write severity=\"critical\""),
        ("=bar", "is not a matcher"),
        ("foo~bar", "'~' can't stand outside of quotes"),
        ("foo!bar", "can't stand outside of quotes"),
        ('foo="bar', "the quotation marks do not pair up"),
        ('foo=bar"', "the quotation marks do not pair up"),
        ('foo=ba"r', "the quotation marks do not pair up"),
        ('foo="a"b"', "the quotation marks do not pair up"),
        (',foo="bar"', "is not a matcher"),
        ('foo="bar",,b="c"', "is not a matcher"),
        ('"foo"="bar" "b"="c"', "a comma is wanted after each matcher"),
        ('{"foo"="bar"', "the braces do not pair up"),
        ('"foo"="bar"}', "the braces do not pair up"),
        ('{"foo"="bar"}}', "the braces do not pair up"),
        ('""="x"', "the name of a label is empty"),
        ('"foo="x', "is not a matcher"),
        ('"ü="x"', "the quotation marks do not pair up"),
        (r'"foo\q"="x"', "a backslash begins no escape that is known"),
        (r'"foo"="\ud800"', "a backslash begins no escape that is known"),
        (r'"foo"="\400"', "a backslash begins no escape that is known"),
        (r'"foo"="\xff"', "is not UTF-8 text"),
        ('"foo\nbar"="x"', "a line can't end within quotation marks"),
        ("ü='x'", "can't stand outside of quotes"),
        ("ü=`x`", "can't stand outside of quotes"),
        ('foo=~"("', "'(' is not a regular expression: missing )"),
        ('foo=~"[a"', "is not a regular expression: missing ]"),
        ('"foo"=~"*"', "is not a regular expression: no argument for repetition operator"),
        ('foo=~"(?=a)"', "look-ahead and look-behind are not in RE2"),
        ('foo=~"(?<!a)b"', "look-ahead and look-behind are not in RE2"),
        (r'foo=~"(a)\\1"', "back-references are not in RE2"),
        ('foo=~"a{1001}"', "invalid repetition size"),
        ('foo=~"((a{100}){100}){100}"', "is not a regular expression"),
        (r'foo=~"(\\pL{100}){9}"', "it is too large"),
        (f'foo=~"{"a" * 20_000}"', "the regular expression is too long: 20000 characters"),
        ('foo=~"\ud800."', "the regular expression is not UTF-8 text"),
    ],
)
def test_what_is_refused_says_why(text: str, why: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_matchers(text)
    assert why in str(refused.value)
    assert len(str(refused.value)) < 500


def test_one_matcher_is_one() -> None:
    assert parse_matcher('{a="b"}') == Matcher("a", "=", "b")
    for text, why in (("", "holds no matchers"), ("a=b,c=d", "holds 2 matchers")):
        with pytest.raises(ValueError, match=why):
            parse_matcher(text)


@pytest.mark.parametrize(
    ("matcher", "value", "met"),
    [
        (Matcher("a", "=", "x"), "x", True),
        (Matcher("a", "=", ""), None, True),
        (Matcher("a", "!=", "x"), None, True),
        (Matcher("a", "=~", "x|y"), "y", True),
        (Matcher("a", "=~", "x|y"), "xy", False),
        (Matcher("a", "=~", "x|"), None, True),
        (Matcher("a", "=~", ""), "", True),
        (Matcher("a", "=~", ""), "x", False),
        (Matcher("a", "=~", ".+"), None, False),
        (Matcher("a", "=~", "x"), "axa", False),
        (Matcher("a", "=~", "^x$"), "x", True),
        (Matcher("a", "=~", "x.y"), "x\ny", False),
        (Matcher("a", "=~", "(?s)x.y"), "x\ny", True),
        (Matcher("a", "=~", "x$"), "x\n", False),
        (Matcher("a", "=~", "(?i)X"), "x", True),
        (Matcher("a", "=~", "."), "ü", True),
        (Matcher("a", "=~", "a.c"), "a\0c", True),
        (Matcher("a", "!~", "x.*"), "xyz", False),
        (Matcher("a", "!~", "x.*"), None, True),
        (Matcher("a", "=~", "x.*"), "x\ud800", True),
        (Matcher("a", "=~", "\u202e.*"), "\u202exyz", True),
    ],
)
def test_a_matcher_is_met_or_not(matcher: Matcher, value: str | None, met: bool) -> None:
    assert matcher.matches({} if value is None else {"a": value}) is met


@pytest.mark.parametrize("expression", ["(a+)+b", "(a|aa)+b", "(.*)*(.*)*(.*)*b", "(a?){900}a{900}b", ".*a.{500}b"])
def test_an_expression_made_to_hang_answers(expression: str) -> None:
    assert not Matcher("a", "=~", expression).matches({"a": "a" * 20_000})


@pytest.mark.parametrize("text", ["a=b%sc", "%s", "a%s=b", '"%s', "a=%s", "a=b,%s", "{%s}"])
@pytest.mark.parametrize("filling", [" ", "\\a", ",", '"', 'a="b",', "{", "=", "a", '\\"', "🙂"])
def test_a_text_made_to_hang_is_read_or_refused(text: str, filling: str) -> None:
    try:
        parse_matchers(text % (filling * 100_000))
    except ValueError as why:
        assert len(str(why)) < 1_000


def test_an_expression_as_long_as_may_be_matches() -> None:
    names = [f"host-{number}" for number in range(1_900)]
    long = "|".join(names)[: LONGEST_EXPRESSION - 3] + ".*"
    assert Matcher("a", "=~", long).matches({"a": "host-7"})


def test_ten_thousand_that_nobody_asks_compile_nothing() -> None:
    matchers = [Matcher("a", "=~", f"(broken{number}") for number in range(10_000)]
    assert len(set(matchers)) == 10_000
    with pytest.raises(ValueError, match=r"\(broken7' is not a regular expression"):
        matchers[7].matches({})


def test_equal_texts_are_equal_matchers_whether_asked_or_not() -> None:
    asked, fresh = Matcher("a", "=~", "x.*"), Matcher("a", "=~", "x.*")
    assert asked.matches({"a": "xy"})
    assert asked == fresh and hash(asked) == hash(fresh) and replace(asked, text="y.*").matches({"a": "yy"})


def test_the_engine_is_imported_for_who_needs_it_only() -> None:
    program = (
        "import sys; from alerts.matching import parse_matcher\n"
        "assert parse_matcher('a=~\"critical|high\"').matches({'a': 'high'}) and 're2' not in sys.modules\n"
        "assert parse_matcher('a=~\"cri.*\"').matches({'a': 'critical'}) and 're2' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.text('ab"\\\n,{}= !~ü', max_size=8)


@settings(max_examples=500, deadline=None, database=None)
@given(st.lists(st.builds(Matcher, texts.filter(bool), st.sampled_from(["=", "!="]), texts), min_size=1, max_size=3))
def test_what_is_shown_reads_back_as_it_was(matchers: list[Matcher]) -> None:
    shown = [str(one) for one in matchers]
    assert list(parse_matchers("{" + ",".join(shown) + "}")) == matchers
    assert [parse_matcher(text) for text in shown] == matchers


@settings(max_examples=500, deadline=None, database=None)
@given(st.text('ab:"\\\n,{}=!~ ü(0x', max_size=12))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    try:
        found = parse_matchers(text)
    except ValueError as why:
        assert str(why) and "Traceback" not in str(why)
    else:
        assert all(one.name for one in found)


def test_an_escape_stands_for_every_character_there_is_and_no_other() -> None:
    for text, character in ((r"\U0010ffff", "\U0010ffff"), (r"\ue000", "\ue000"), (r"\ud7ff", "\ud7ff")):
        assert parse_matcher(f'"a"="{text}"').text == character
    for text in (r"\U00110000", r"\ud800", r"\udfff", r"\400"):
        with pytest.raises(ValueError, match="backslash"):
            parse_matcher(f'"a"="{text}"')
