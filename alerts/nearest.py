"""Finds the name that was probably meant, for the sentences of errors."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, names: Iterable[str]) -> str | None:
    """The likeliest of the names: the same but for its case, the closest in spelling, or the one that contains it."""
    names = sorted(set(names))
    small = word.lower()
    same = [name for name in names if name.lower() == small]
    within = [name for name in names if len(small) > 2 and small in name.lower()]
    return next(iter(same or get_close_matches(word[:80], names, n=1) or sorted(within, key=len)), None)


def meant(word: str, names: Iterable[str], there_are: str = "there are") -> str:
    """What to say after the word was refused: `; did you mean 'x'?`, or all there are, or nothing."""
    names = sorted({str(name) for name in names})
    near = nearest(word, names)
    if near is not None:
        return f"; did you mean {near!r}?"
    return f"; {there_are} {', '.join(names)}" if 0 < len(names) <= 25 else ""
