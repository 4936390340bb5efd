"""What must never be logged: values of keys such as `password`, card numbers; finding it, and masking it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from checks.parts.logfile.records import Records
from checks.parts.regex import Re2, compiled

WORDS = ("password", "creditCard", "ssn", "cardNumber")
MASK = b"***"
VALUE = 3
"""The group of an expression that holds the value; before it are those of the key, in any case or in camel case."""
HARMLESS = frozenset({"", "null", "none", "nil", "undefined", "true", "false", "string", "required"})
HIDDEN = ("redacted", "masked", "filtered", "hidden", "removed", "omitted", "secret>")

CARD = r"\b(?:\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{1,7}|\d{4}[ -]\d{6}[ -]\d{4,5}|\d{12,19})\b"
CARDS: tuple[tuple[int, int, frozenset[int]], ...] = tuple(
    (low, high, frozenset(lengths))
    for low, high, lengths in (
        (4, 4, {13, 16, 19}), (51, 55, {16}), (2221, 2720, {16}), (34, 34, {15}), (37, 37, {15}),
        (300, 305, {14, 16, 19}), (3095, 3095, {14, 16, 19}), (36, 36, {14, 16, 19}), (38, 39, {14, 16, 19}),
        (6011, 6011, {16, 19}), (644, 649, {16, 19}), (65, 65, {16, 19}), (3528, 3589, {16, 17, 18, 19}),
        (62, 62, {16, 17, 18, 19}), (5018, 5018, {12, 13, 14, 15, 16, 17, 18, 19}), (6759, 6759, {16, 18, 19}),
    )
)  # fmt: skip
"""First and last prefix of an issuer, and how many digits its numbers have (ISO/IEC 7812, issuers' own tables)."""

_MASKED = re.compile(r"[*•#.\-_ ]+|x{3,}|[*x•#.\- ]{4,}[0-9]{4}")
_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])|[^\W_]+")


def _key(text: str) -> str:
    if not _WORDS.findall(text):
        raise ValueError(f"{text!r} is no key; write one such as password or cardNumber")
    return text


class Forbid(BaseModel):
    """What must never be logged. A record that holds some of it makes the check fail; what it holds is shown masked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    words: tuple[Annotated[str, AfterValidator(_key)], ...] = Field(
        default=WORDS, description='Keys that must have no value: `password=…`, `"card_number": …`, however written.'
    )
    cards: bool = Field(default=True, description="Whether card numbers are looked for, by issuer, length and Luhn.")
    patterns: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], Re2] = Field(
        default={}, description="Regular expressions (RE2) for what else must not be there, by name."
    )
    unless: Re2 | None = Field(default=None, description="Records that match this are known to be harmless.")

    def spans(self, records: Records) -> Iterator[tuple[str, int]]:
        """What was found in which record: each at most once for a record."""
        seen: set[tuple[str, int]] = set()
        for what, number in self._all(records):
            if (what, number) not in seen:
                seen.add((what, number))
                if self.unless is None or compiled(self.unless).search(records.text(number)) is None:
                    yield what, number

    def _all(self, records: Records) -> Iterator[tuple[str, int]]:
        data = records.data
        if self.words:
            for _, what, start, _ in keyed(data, self.words):
                yield what, records.at(start)
        if self.cards:
            for start, _ in cards(data):
                yield "card", records.at(start)
        for name, expression in self.patterns.items():
            for number, _ in records.found(expression):
                yield name, number

    def masked(self, text: bytes) -> bytes:
        """The text without what must not be shown; of card numbers the last four digits stay."""
        cuts = [(start, end) for start, _, _, end in _values(text, tuple(dict.fromkeys((*WORDS, *self.words))))]
        cuts += [(start, end - 4) for start, end in cards(text)]
        for expression in self.patterns.values():
            cuts += [match.span() for match in _nonempty(compiled(expression), text)]
        pieces, done = [], 0
        for start, end in sorted(cuts):
            if end > done:
                pieces += [text[done : max(start, done)], MASK]
                done = end
        return b"".join([*pieces, text[done:]])


def _values(text: bytes, keys: tuple[str, ...]) -> Iterator[tuple[int, str, int, int]]:
    for _, what, start, end in keyed(text, keys):
        yield start, what, start, end


def keyed(text: bytes, keys: tuple[str, ...]) -> Iterator[tuple[int, str, int, int]]:
    """Where the key is, which it is, and from where to where its value goes; values that are masked are none."""
    pattern, names = _expression(keys)
    position = 0
    while (match := pattern.search(text, position)) is not None:
        start, end = match.span(VALUE)
        position = max(end, match.end())
        if _shows(text[start:end]):
            word = match.group(1) or match.group(2)
            yield match.start(), names[_plain(word.decode("utf-8", "replace"))], start, end


def cards(text: bytes) -> Iterator[tuple[int, int]]:
    """From where to where each card number goes: right length for its issuer, right check digit (Luhn)."""
    for match in compiled(CARD).finditer(text):
        start, end = match.span()
        before, after = text[max(0, start - 2) : start], text[end : end + 2]
        if before[-1:] in (b".", b"-", b"_") or (after[:1] in (b".", b"-") and after[1:].isdigit()):
            continue
        if is_card(match.group().translate(None, b" -").decode("ascii")):
            yield start, end


def is_card(digits: str) -> bool:
    """Whether these digits are a card number: known issuer, one of its lengths, Luhn's check digit (ISO/IEC 7812-1)."""
    if digits[:1] not in "23456":
        return False
    known = any(low <= int(digits[: len(str(low))]) <= high and len(digits) in lengths for low, high, lengths in CARDS)
    if not known or len(set(digits)) == 1:
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _nonempty(pattern: Any, text: bytes) -> Iterator[Any]:
    return (match for match in pattern.finditer(text) if match.end() > match.start())


def _shows(value: bytes) -> bool:
    """Whether the value is one, and not what stands in its place."""
    text = value.decode("utf-8", "replace").strip(" \t\\\"'[]{}").lower()
    if text in HARMLESS or _MASKED.fullmatch(text):
        return False
    return not any(word in text for word in HIDDEN)


@lru_cache(maxsize=256)
def _expression(keys: tuple[str, ...]) -> tuple[Any, dict[str, str]]:
    words = {key: [word.lower() for word in _WORDS.findall(key)] for key in keys}
    plain = "|".join(r"[_\- ]?".join(map(re.escape, parts)) for parts in words.values())
    camel = "|".join("".join(re.escape(part.capitalize()) for part in parts) for parts in words.values())
    expression = (
        rf"(?:(?:\b|_)((?i:{plain}))|[a-z0-9]({camel}))"
        r"""(?:\\*["'])?(?:\s{0,3}(?:=>|[:=]|%3[dD])\s{0,3}|>)"""
        r"""(\[[^\]\n]*|\{[^}\n]*|\\*"(?:[^"\\\n]|\\.)*|\\*'[^'\n]*|[^\s"'&,;}\])<>]*)"""
    )
    return compiled(expression, by_line=True), {"".join(parts): key for key, parts in words.items()}


def _plain(word: str) -> str:
    return "".join(letter for letter in word.lower() if letter not in "_- ")
