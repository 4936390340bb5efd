"""What is wrong with a configuration: every problem with its place, as `file:line:column: key.path: sentence`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Step = str | int


@dataclass(frozen=True, slots=True)
class Place:
    """Where in which file; lines and columns count from 1, 0 where there is none."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that keeps a configuration from being used, or, as a warning, that its author may want to know."""

    place: Place
    path: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.place}: {self.path}: {self.sentence}" if self.path else f"{self.place}: {self.sentence}"


MOST_TOLD = 10


class ConfigError(Exception):
    """The configuration can't be used. `problems` holds everything that is wrong, in the order of the files."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def brief(self) -> str:
        """The first problems and the number of the others: what a log line and a page can carry."""
        told = [str(problem) for problem in self.problems[:MOST_TOLD]]
        more = len(self.problems) - len(told)
        return "\n".join(told + [f"and {more} more; `runwatch validate` names them all"] * bool(more))


def path_text(path: Sequence[Step]) -> str:
    """`checks[0].alerts[1].when` from its steps."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


CREDENTIALS = re.compile(r"(://[^/@\s:]*):[^@\s]*@")
"""The password inside an address, wherever it stands in a text."""

SHORTEST_SECRET = 6

LONGEST = 600
"""Characters of a sentence, which may quote what somebody wrote: it goes into a log line and into a page."""


def cut(text: str) -> str:
    """The text, without its middle where it is long."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"


def scrubbed(text: str, secrets: Iterable[str]) -> str:
    """The text without any of the secrets, and without the passwords of addresses."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, "***").replace(repr(secret)[1:-1], "***")
    return CREDENTIALS.sub(r"\1:***@", text)
