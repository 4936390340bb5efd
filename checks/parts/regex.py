"""Regular expressions of users over text of strangers: RE2, whose time is linear in the text whatever they are."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator

LARGEST_PROGRAM = 10_000
"""Steps of the compiled expression: what a letter of the text may cost."""


def _checked(expression: str) -> str:
    compiled(expression)
    return expression


Re2 = Annotated[str, AfterValidator(_checked)]
"""A regular expression as a key of the configuration; `compiled` gives what searches."""


@lru_cache(maxsize=4096)
def compiled(expression: str, raw: bool = False, by_line: bool = False) -> Any:
    """The expression as re2 compiles it; ValueError with a sentence.

    It is to be searched in text, or in bytes that are UTF-8; a `raw` one in any bytes, each of which is a letter to it.
    One `by_line`, searched in many lines at once, finds what it would find in each: it never matches a line's end.
    """
    import re2

    options = re2.Options()
    options.log_errors = False
    options.never_nl = by_line
    expression = f"(?m){expression}" if by_line else expression
    try:
        if raw:
            options.encoding = re2.Options.Encoding.LATIN1
            pattern = re2.compile(expression.encode(), options)
        else:
            pattern = re2.compile(expression, options)
    except UnicodeEncodeError:
        raise ValueError("the regular expression is not UTF-8 text") from None
    except re2.error as why:
        said = why.args[0].decode("utf-8", "replace") if isinstance(why.args[0], bytes) else str(why)
        raise ValueError(f"{expression[:200]!r} is no regular expression (RE2): {said}") from None
    if pattern.programsize > LARGEST_PROGRAM:
        raise ValueError(f"the regular expression is too large: {expression[:80]!r}")
    return pattern


def found(expression: str, text: str) -> bool:
    """Whether the expression matches anywhere in the text."""
    return search(expression, text) is not None


def search(expression: str, text: str) -> Any:
    """Where the expression first matches in the text, as re2's match; None where nowhere."""
    try:
        return compiled(expression).search(text)
    except UnicodeEncodeError:
        return compiled(expression).search(text.encode("utf-8", "replace").decode())
