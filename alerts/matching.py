"""Conditions on labels, written and meant as in Alertmanager: matchers, in both syntaxes, with RE2's expressions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, cast

Operator = Literal["=", "!=", "=~", "!~"]

LONGEST_EXPRESSION = 16_384
LARGEST_PROGRAM = 50_000
"""Instructions of a compiled expression: 12 ms to compile, and linear in the label's length to run."""

_SPECIAL = re.compile(r"[\\.+*?()\[\]{}^$]")
_SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
_RESERVED = _SPACE + r"{}!=~,\\\"'`"
_PLAIN_NAME = re.compile(rf"[^{_RESERVED}]+")


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label; a missing label reads as the empty text; regular expressions are RE2's, anchored.

    Making one costs nothing and checks nothing: an expression is compiled when it is first asked for, and
    `parse_matchers` asks for it.
    """

    name: str
    operator: Operator
    text: str
    _compiled: list[Callable[[str], bool]] = field(default_factory=list, init=False, repr=False, compare=False)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels meet it; ValueError as `compiled`."""
        value = labels.get(self.name, "")
        match self.operator:
            case "=":
                return value == self.text
            case "!=":
                return value != self.text
            case "=~":
                return self.compiled()(value)
            case "!~":
                return not self.compiled()(value)

    def compiled(self) -> Callable[[str], bool]:
        """The expression as a test of a whole text; ValueError with a sentence where it is none, or too large."""
        if not self._compiled:
            self._compiled.append(_whole_match(self.text))
        return self._compiled[0]

    def __str__(self) -> str:
        name = self.name if _PLAIN_NAME.fullmatch(self.name) else _quoted(self.name)
        return f"{name}{self.operator}{_quoted(self.text)}"


def matches_all(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether the labels meet every one of them; no matchers are met by anything."""
    return all(matcher.matches(labels) for matcher in matchers)


def parse_matcher(text: str) -> Matcher:
    """The one matcher in a text; ValueError with a sentence where there is none, or more."""
    found = parse_matchers(text)
    if len(found) != 1:
        raise ValueError(f"{_shown(text)} holds {len(found) or 'no'} matchers; one is wanted")
    return found[0]


def parse_matchers(text: str) -> tuple[Matcher, ...]:
    """Every matcher in a text such as `{severity=~"critical|high",team="a b"}`; ValueError with a sentence otherwise.

    As Alertmanager since 0.27 reads it: what its two syntaxes read differently is meant as the classic one reads it,
    and what only one of them reads, so.
    """
    classic, modern = _read(_classic, text), _read(_modern, text)
    if isinstance(classic, tuple):
        return classic
    if isinstance(modern, tuple):
        return modern
    raise ValueError(classic if _CLASSIC.match(text.strip().removeprefix("{")) else modern)


def _read(syntax: Callable[[str], list[tuple[str, str, str]]], text: str) -> tuple[Matcher, ...] | str:
    """The matchers by one of the syntaxes, or the sentence that says why there are none."""
    try:
        found = tuple(Matcher(name, cast(Operator, operator), value) for name, operator, value in syntax(text))
        for matcher in found:
            if matcher.operator in ("=~", "!~"):
                matcher.compiled()
    except ValueError as why:
        return str(why)
    return found


def _shown(text: str) -> str:
    return repr(text if len(text) <= 200 else f"{text[:200]}…")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


# Source of both syntaxes, and of the fallback between them: Alertmanager's documentation, "Matchers" and "UTF-8 mode".

_BLANKS = "\t\n\f\r "
_CLASSIC = re.compile(rf"[{_BLANKS}]*([a-zA-Z_:][a-zA-Z0-9_:]*)[{_BLANKS}]*(=~|!~|!=|=)(.*)", re.S)
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"?|\\[^,]|[^,"\\]+|\\', re.S)
_CLASSIC_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


def _classic(text: str) -> list[tuple[str, str, str]]:
    """Names of letters, digits, _ and :; values in quotation marks or without; commas between."""
    parts: list[list[str]] = [[]]
    inner = text.removeprefix("{").removesuffix("}")
    position = 0
    while position < len(inner):
        piece = _PIECE.match(inner, position)
        if piece is None:
            parts.append([])
            position += 1
        else:
            parts[-1].append(piece[0])
            position = piece.end()
    whole = ["".join(part) for part in parts]
    if not whole[-1].strip(_SPACE):
        whole.pop()
    return [_classic_one(part) for part in whole]


def _classic_one(text: str) -> tuple[str, str, str]:
    found = _CLASSIC.fullmatch(text)
    if found is None:
        raise ValueError(f'{_shown(text)} is not a matcher; write severity="critical" or severity=~"critical|high"')
    name, operator, raw = found[1], found[2], found[3].strip(_BLANKS)
    whole = raw.startswith('"')
    body = raw[1:] if whole else raw
    if whole:
        if re.fullmatch(r'(?:[^"\\]|\\.)*"', body, re.S) is None:
            raise ValueError(f"{_shown(text)}: the quotation marks do not pair up")
        body = body[:-1]
    elif re.fullmatch(r'(?:[^"\\]|\\.)*\\?', body, re.S) is None:
        raise ValueError(f"{_shown(text)}: the quotation marks do not pair up")
    return name, operator, re.sub(r"\\(.)", lambda one: _CLASSIC_ESCAPES.get(one[1], one[0]), body, flags=re.S)


_TOKEN = re.compile(
    rf"[{_SPACE}]*(?:(?P<brace>[{{}}])|(?P<comma>,)|(?P<operator>=~|!~|!=|=)"
    rf'|(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<plain>[^{_RESERVED}]+)|(?P<end>\Z))',
    re.S,
)
_ESCAPE = re.compile(r'\\(?:([abfnrtv\\"])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|)')
_ONE_LETTER = dict(zip("abfnrtv", b"\a\b\f\n\r\t\v", strict=True)) | {"\\": 92, '"': 34}


def _modern(text: str) -> list[tuple[str, str, str]]:
    """Names and values in quotation marks, or plain and without white space, a backslash and any of `{}!=~,"'`."""
    tokens = _tokens(text)
    braced = tokens[0] == ("brace", "{")
    position = 1 if braced else 0
    found: list[tuple[str, str, str]] = []
    while tokens[position] not in (("brace", "}"), ("end", "")):
        name, operator, value, after = (*tokens[position : position + 4], *[("end", "")] * 3)[:4]
        if name[0] not in ("quoted", "plain") or operator[0] != "operator" or value[0] not in ("quoted", "plain"):
            raise ValueError(f'{_shown(text)} is not a matcher; write severity="critical" or severity=~"critical|high"')
        if not _unquoted(name):
            raise ValueError(f"{_shown(text)}: the name of a label is empty")
        found.append((_unquoted(name), operator[1], _unquoted(value)))
        position += 3
        if after[0] == "comma":
            position += 1
        elif after not in (("brace", "}"), ("end", "")):
            raise ValueError(f"{_shown(text)}: a comma is wanted after each matcher, and quotation marks around blanks")
    closed = tokens[position] == ("brace", "}")
    if closed != braced or (closed and tokens[position + 1][0] != "end"):
        raise ValueError(f"{_shown(text)}: the braces do not pair up")
    return found


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position = 0
    while not tokens or tokens[-1][0] != "end":
        found = _TOKEN.match(text, position)
        if found is None:
            rest = text[position:].strip(_SPACE)
            why = (
                "the quotation marks do not pair up"
                if rest[:1] == '"'
                else f"{rest[:1]!r} can't stand outside of quotes"
            )
            raise ValueError(f"{_shown(text)}: {why}")
        kind = cast(str, found.lastgroup)
        tokens.append((kind, found[kind]))
        position = found.end()
    return tokens


def _unquoted(token: tuple[str, str]) -> str:
    """What a token says: in quotation marks Go's escapes mean what they mean in Go."""
    kind, text = token
    if kind != "quoted":
        return text
    if "\n" in text:
        raise ValueError(f"{_shown(text)}: a line can't end within quotation marks; write \\n")
    made = bytearray()
    position = 1
    for escape in _ESCAPE.finditer(text, 1, len(text) - 1):
        made += text[position : escape.start()].encode("utf-8", "surrogatepass") + _escaped(escape)
        position = escape.end()
    made += text[position:-1].encode("utf-8", "surrogatepass")
    try:
        return made.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{_shown(text)} is not UTF-8 text") from None


def _escaped(escape: re.Match[str]) -> bytes:
    letter, hexadecimal, octal, short, long = escape.groups()
    if letter:
        return bytes([_ONE_LETTER[letter]])
    if hexadecimal or octal:
        number = int(hexadecimal, 16) if hexadecimal else int(octal, 8)
        if number < 256:
            return bytes([number])
    elif short or long:
        number = int(short or long, 16)
        if number < 0x110000 and not 0xD800 <= number < 0xE000:
            return chr(number).encode()
    raise ValueError(f"{_shown(escape.string)}: a backslash begins no escape that is known; write \\\\ for a plain one")


@lru_cache(maxsize=1024)
def _whole_match(expression: str) -> Callable[[str], bool]:
    """The test whether a whole text matches; of words alone a set, which needs no engine (5 MB)."""
    if len(expression) > LONGEST_EXPRESSION:
        raise ValueError(
            f"the regular expression is too long: {len(expression)} characters, {LONGEST_EXPRESSION} may be"
        )
    if _SPECIAL.search(expression) is None:
        return frozenset(expression.split("|")).__contains__
    fullmatch = _compile(expression).fullmatch

    def matches(text: str) -> bool:
        try:
            return fullmatch(text) is not None
        except UnicodeEncodeError:
            return fullmatch(text.encode("utf-8", "replace").decode()) is not None

    return matches


def _compile(expression: str) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        pattern = re2.compile(expression, options)
    except UnicodeEncodeError:
        raise ValueError("the regular expression is not UTF-8 text") from None
    except re2.error as why:
        said = why.args[0].decode("utf-8", "replace") if isinstance(why.args[0], bytes) else str(why)
        raise ValueError(f"{_shown(expression)} is not a regular expression: {_explained(said)}") from None
    if pattern.programsize > LARGEST_PROGRAM:
        raise ValueError(f"the regular expression is too large: {_shown(expression)}")
    return pattern


def _explained(said: str) -> str:
    """RE2's complaint, and what to do where it is about what RE2 leaves out."""
    if said.startswith("invalid perl operator"):
        return f"{said}; look-ahead and look-behind are not in RE2, write two matchers instead"
    if said.startswith("invalid escape sequence") and said[-1:].isdigit():
        return f"{said}; back-references are not in RE2"
    if said.startswith("pattern too large"):
        return "it is too large"
    return said
