"""What an HTTP answer must be: status, headers, text and JSON values, compiled when the configuration is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Annotated, Any

import orjson
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from checks.base import Failed, Reason
from checks.parts.http.jsonpath import NotANumber, compile_path
from checks.parts.regex import Re2, search

SEARCHED = 262144
"""Characters of a body that a regular expression sees: a millisecond's work."""

TOLD = 3
"""Values that a sentence names: the first is often the sum of the others."""

Ranges = tuple[tuple[int, int], ...]

_CLASS = re.compile(r"([1-5])xx", re.IGNORECASE)
_RANGE = re.compile(r"(\d{3})\s*-\s*(\d{3})")
_ONE = re.compile(r"\d{3}")


def parse_status(value: Any) -> Ranges:
    """The ranges in 200, "2xx", "200-299" or a list of those; ValueError with a sentence otherwise."""
    if isinstance(value, list | tuple) and not _is_ranges(value):
        if not value:
            raise ValueError("at least one status is wanted")
        return tuple(item for each in value for item in parse_status(each))
    if _is_ranges(value):
        return tuple(value)
    text = str(value).strip()
    if not isinstance(value, bool):
        if match := _CLASS.fullmatch(text):
            return ((int(match[1]) * 100, int(match[1]) * 100 + 99),)
        if match := _RANGE.fullmatch(text):
            return ((int(match[1]), int(match[2])),)
        if _ONE.fullmatch(text):
            return ((int(text), int(text)),)
    raise ValueError(f"{text!r} is no HTTP status; write 200, 2xx, 200-299 or a list of those")


def _is_ranges(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(isinstance(item, tuple) for item in value)


def _path(text: str) -> str:
    compile_path(text)
    return text


Status = Annotated[
    Ranges,
    BeforeValidator(parse_status),
    WithJsonSchema(
        {"anyOf": [{"type": ["integer", "string"]}, {"type": "array", "items": {"type": ["integer", "string"]}}]}
    ),
]
JsonPath = Annotated[str, AfterValidator(_path)]


class Expect(BaseModel):
    """What the answer must be; `check` raises Failed with the first difference."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Status = Field(default=((200, 299),), description="200, 2xx, 200-299, or a list of those.")
    values: dict[JsonPath, Any] = Field(
        default={}, alias="json", description="JMESPath expressions and the values that they must have, types included."
    )
    body_regex: Re2 | None = Field(
        default=None, description="Regular expression (RE2) that must be found in the body's beginning."
    )
    body_not_regex: Re2 | None = Field(default=None, description="The same that must not be found there.")
    headers: dict[str, Re2] = Field(default={}, description="Regular expressions that headers must match.")
    headers_not: dict[str, Re2] = Field(
        default={}, description="Regular expressions that headers must not match; one that is absent does not."
    )

    @property
    def wants_text(self) -> bool:
        """Whether anything is asked of the body as text."""
        return self.body_regex is not None or self.body_not_regex is not None

    @property
    def wants_headers(self) -> bool:
        """Whether anything is asked of the headers."""
        return bool(self.headers or self.headers_not)

    def accepts(self, status: int) -> bool:
        """Whether the status is an expected one."""
        for low, high in self.status:  # noqa: SIM110 - a generator would cost more than the rest
            if low <= status <= high:
                return True
        return False

    @cached_property
    def _values(self) -> tuple[tuple[str, Callable[[Any], Any], Any], ...]:
        return tuple((path, compile_path(path), wanted) for path, wanted in self.values.items())

    def check_headers(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Raise Failed assertion for a header that is missing or does not match, or matches what it must not."""
        for name, pattern in self.headers.items():
            found = _values_of(name, headers)
            if not found:
                raise Failed(Reason.ASSERTION, f"header {name} is missing, expected to match {pattern!r}")
            if not any(search(pattern, value) for value in found):
                raise Failed(Reason.ASSERTION, f"header {name} is {brief(found[0])}, expected to match {pattern!r}")
        for name, pattern in self.headers_not.items():
            if bad := [value for value in _values_of(name, headers) if search(pattern, value)]:
                raise Failed(Reason.ASSERTION, f"header {name} is {brief(bad[0])}, which {pattern!r} forbids")

    def check_text(self, text: Callable[[int], str], size: int) -> None:
        """Raise Failed assertion where the body's text is not as expected.

        `text` gives that many characters of it; `size` is how many there may be.
        """
        for pattern, wanted in ((self.body_regex, True), (self.body_not_regex, False)):
            if pattern is None:
                continue
            match = search(pattern, text(SEARCHED))
            if wanted and match is None:
                only = f" (its first {SEARCHED // 1024} KiB were searched)" if size > SEARCHED else ""
                raise Failed(Reason.ASSERTION, f"the body does not match {pattern!r}{only}")
            if match is not None and not wanted:
                raise Failed(Reason.ASSERTION, f"the body holds {brief(match[0])}, which {pattern!r} forbids")

    def check_values(self, document: Any) -> None:
        """Raise Failed assertion where values of the JSON document are not as expected."""
        if wrong := [sentence for sentence, _ in self._wrong(document)]:
            raise Failed(Reason.ASSERTION, "; ".join(wrong[:TOLD]))

    def wrong_values(self, document: Any) -> list[str]:
        """The first values that are there and not as expected, as sentences: of an error's answer, which lacks most."""
        return [sentence for sentence, is_there in self._wrong(document) if is_there][:TOLD]

    def _wrong(self, document: Any) -> Iterator[tuple[str, bool]]:
        """What is not as expected, and whether it is there at all."""
        for path, evaluate, wanted in self._values:
            try:
                value = evaluated(evaluate, document, path)
            except Failed as why:
                yield why.sentence, False
            else:
                if not same(value, wanted):
                    yield f"{path} is {brief(value)}, expected {brief(wanted)}", value is not None


def _values_of(name: str, headers: Sequence[tuple[bytes, bytes]]) -> list[str]:
    key = name.lower().encode("latin-1", "replace")
    return [value.decode("latin-1") for known, value in headers if known.lower() == key]


def evaluated(evaluate: Callable[[Any], Any], document: Any, path: str) -> Any:
    """The value of an expression; Failed assertion where the document does not suit it."""
    try:
        return evaluate(document)
    except NotANumber as why:
        raise Failed(Reason.ASSERTION, str(why)) from None
    except (JMESPathError, TypeError, ValueError, OverflowError) as why:
        raise Failed(Reason.ASSERTION, f"cannot read {path}: {brief(str(why))}") from None


def same(value: Any, wanted: Any) -> bool:
    """Whether two JSON values are equal, where true is not 1 and "1" is not 1."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, dict) and isinstance(wanted, dict):
        return value.keys() == wanted.keys() and all(same(value[key], wanted[key]) for key in wanted)
    if isinstance(value, list) and isinstance(wanted, list):
        return len(value) == len(wanted) and all(map(same, value, wanted))
    if isinstance(value, int | float) and isinstance(wanted, int | float):
        return value == wanted
    return type(value) is type(wanted) and bool(value == wanted)


def brief(value: Any, most: int = 120) -> str:
    """A value as JSON, cut to what fits a sentence."""
    try:
        text = orjson.dumps(value).decode()
    except TypeError:
        text = str(value)
    text = "".join(letter if letter.isprintable() else "�" for letter in text[: most + 1])
    return text if len(text) <= most else text[:most] + "…"
