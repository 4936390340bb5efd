"""What is no configuration at all, is not there or is too large is one sentence too; nothing else is ever raised."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.config import ConfigError, load
from monitor.config.reading import LARGEST_FILE
from tests.monitor.problems import HOME, problems


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: the file is empty"),
        ("# nothing\n", "1:1: the file is empty"),
        ("- a\n- b\n", "1:1: keys with values are wanted at the top, not a list"),
        ("just a word", "1:1: keys with values are wanted at the top, not a single value"),
        ("a: [1, 2", "cannot read the file: did not find expected ',' or ']'"),
        ("a:\n\t- b", "a tab can't indent, use spaces"),
        ("a: b: c", "1:5: cannot read the file: mapping values are not allowed in this context"),
        ("store: &x [*x]", "1:12: *x stands inside what it refers to"),
        ("store: *x", "1:8: there is no anchor &x before it"),
        ("store: !!python/object:os.system x", "1:8: the tag tag:yaml.org,2002:python/object:os.system is not"),
        ("a: 1\n---\nb: 2", "2:1: a second document begins here"),
        ("? [a]\n: b", "a key must be a word"),
        ("server: {listen: ${PORT}}", "did not find expected ',' or '}'; inside { } and [ ] put ${…} in quotes"),
        ("a: " + "[" * 100 + "]" * 100, "nested deeper than 64 levels"),
        ("a: " + "[" * 100_000, "nested deeper than 64 levels"),
        ("a: \x07", "cannot read the file: it holds a control character"),
        ("store: sqlite:///a\nserver: {}\nstore: sqlite:///b", "3:1: store: 'store' stands here a second time; the"),
        ("server: {auth: none, auth: none}", "1:22: server.auth: 'auth' stands here a second time; the first is"),
    ],
)  # fmt: skip
def test_what_is_not_even_a_configuration(tmp_path: Path, text: str, expected: str) -> None:
    told = problems(tmp_path, text)
    assert any(expected in problem for problem in told), told


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "runwatch.yaml"
    file.write_bytes(b"store: x\nsystem: \xff\n")
    with pytest.raises(ConfigError, match=r"runwatch\.yaml:2:1: cannot read the file: it is not UTF-8"):
        load(file, HOME)


def test_an_alias_bomb_is_refused_before_it_goes_off(tmp_path: Path) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"{name}: &{name} [{', '.join(f'*{before}' for _ in range(10))}]"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    [told] = problems(tmp_path, "\n".join(lines))
    assert "its aliases add up to more values than can be read" in told


def test_a_file_of_fifty_megabytes_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "runwatch.yaml"
    with file.open("wb") as opened:
        opened.truncate(50 * 2**20)
    with pytest.raises(ConfigError, match=f"larger than {LARGEST_FILE // 2**20} MB"):
        load(file, HOME)


def test_what_is_not_a_file(tmp_path: Path) -> None:
    for where, why in ((tmp_path / "none.yaml", "no such file"), (Path("/dev/zero"), "no such file")):
        with pytest.raises(ConfigError, match=why):
            load(where, HOME)
    with pytest.raises(ConfigError, match=r"the folder holds no \.yaml or \.yml file"):
        load(tmp_path, HOME)


# Any structure at all, with the words of the configuration strewn in.

WORDS = [
    "http",
    "failed",
    "a",
    "${HOME}",
    "${NO}",
    "$",
    "P1",
    "5m",
    "80%",
    "high",
    "http://a/",
    "none",
    "",
    "...",
    "#x",
]
KEYS = [
    "include", "server", "store", "watchdog", "route", "routes", "receivers", "plugins", "systems", "system", "checks",
    "severities", "respond_within", "runbook", "labels", "defaults", "kind", "name", "url", "alerts", "alert", "when",
    "for", "severity", "depends_on", "receiver", "matchers", "match", "match_re", "group_by", "listen", "auth",
    "tokens",     "interval", "expect", "headers", "webhook_configs", "slack_configs", "fallback", "<<", "escalation",
]  # fmt: skip
scalars = (
    st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats() | st.sampled_from(WORDS) | st.text(max_size=8)
)
values = st.recursive(
    scalars,
    lambda below: (
        st.lists(below, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), below, max_size=6)
    ),
    max_leaves=25,
)


@settings(
    max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(st.dictionaries(st.sampled_from(KEYS), values, max_size=8))
def test_no_structure_raises_anything_else(tmp_path: Path, made: dict[str, object]) -> None:
    import yaml

    file = tmp_path / "runwatch.yaml"
    file.write_text(yaml.safe_dump(made, allow_unicode=True))
    try:
        load(file, HOME)
    except ConfigError as error:
        assert error.problems
        assert "Input should" not in str(error)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(alphabet="ab:-{}[]&*!|>'\"#%@`,? \n\t<.0123", max_size=60) | st.binary(max_size=40))
def test_no_text_raises_anything_else(tmp_path: Path, content: str | bytes) -> None:
    file = tmp_path / "runwatch.yaml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    try:
        load(file, HOME)
    except ConfigError as error:
        assert error.problems
