"""Takes out of texts what was learned on the way and is not to be shown: tokens, cookies, what looks like them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from checks.parts.regex import compiled

SHORTEST = 4
"""Characters of the shortest secret: masking what is shorter would leave no text to read."""
HEAD = 20
"""Characters by which a longer secret is known, since texts are cut."""
MASK = "***"

_WORDS = "token|secret|passw|api_?key|authorization|session|signature|credential"
_NAMED = rf'(?i)("[^"]{{0,64}}(?:{_WORDS})[^"]{{0,64}}"\s*:\s*")[^"]*'
"""What JSON calls by a name of secrets."""


def masked(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets, in whichever form they stand in it, whole or only their beginning."""
    forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = _without(text, form)
    masked_too: str = compiled(_NAMED).sub(r"\1" + MASK, text)
    return masked_too


def _forms(secret: str) -> Iterator[str]:
    """As it is, as JSON has it, in ASCII or not, with slashes as PHP writes them, and as an address has it."""
    yield from (secret, quote(secret, safe="", errors="replace"))
    for inside in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        yield from (inside, inside.replace("/", "\\/"))


def _without(text: str, secret: str) -> str:
    head, pieces, start = secret[:HEAD], [], 0
    while (at := text.find(head, start)) >= 0:
        pieces += [text[start:at], MASK]
        alike = zip(text[at : at + len(secret)], secret, strict=False)
        start = at + next((count for count, (one, other) in enumerate(alike) if one != other), len(secret))
    return "".join([*pieces, text[start:]])
