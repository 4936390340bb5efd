"""SQL as it may be shown: on one line, cut, and without the values in it, which may be anybody's data."""

from __future__ import annotations

import re

from checks.wire.certificates import visible

LONGEST = 300

# As PostgreSQL reads it (chapter "Lexical Structure"). What never ends, as in a text that was cut, reaches to the end:
# to take the inside of a string for its outside would show just what must not be shown. So does a nested comment.
_TOKEN = re.compile(
    r"""
    (?P<comment> --[^\n]* | /\*(?:(?!/\*).)*?\*/ | /\*.* )
  | (?P<value> \b[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z) | '(?:[^']|'')*(?:'|\Z)
             | \$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z) )
  | (?P<name> "[^"]*(?:"|\Z) | [^\W\d][\w$]* | \$\d+ )
  | (?P<number> \d[\w.]* )
    """,
    re.VERBOSE | re.DOTALL,
)


def masked(text: str | None, most: int = LONGEST) -> str:
    """`text` with `?` for each string and number, and without comments."""
    return visible(" ".join(_TOKEN.sub(_shown, text or "").split()), most)


def _shown(token: re.Match[str]) -> str:
    if token["name"]:
        return token[0]
    return " " if token["comment"] else "?"
