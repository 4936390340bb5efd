"""Searches CloudWatch's logs page by page, so far and no farther, and reads what it finds."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from checks.base import Failed, Reason, Run
from checks.parts.api import Answer
from checks.parts.aws.asking import Aws
from checks.parts.pool import in_pool
from checks.wire.certificates import visible

FILTER = "Logs_20140328.FilterLogEvents"
LIMIT = 10_000
"""Events that AWS gives at once, at most; also at most 1 MB."""
SHOWN = 5
LONGEST_LINE = 300
_NUMBER = re.compile(r"\d(?:[ -]?\d){12,18}")
"""What could be the number of a card."""


@dataclass(frozen=True, slots=True)
class LogEvent:
    """A line of a log; its times in Unix seconds."""

    at: float
    ingested: float
    stream: str
    message: str

    def line(self, secret: tuple[str, ...]) -> str:
        """For evidence: nothing of a message that holds a secret word, and no long numbers."""
        word = next((word for word in secret if word in self.message), None)
        message = visible(_NUMBER.sub("***", self.message), LONGEST_LINE) if word is None else f"*** (holds {word!r})"
        return f"{self.clock()} {message}"

    def clock(self) -> str:
        """When it was, for people."""
        return datetime.fromtimestamp(self.at, UTC).strftime("%H:%M:%S UTC")


@dataclass(slots=True)
class Found:
    """What a search found: how many, the last of them, how long each took to arrive; `complete` if to its end."""

    count: int = 0
    complete: bool = False
    last: deque[LogEvent] = field(default_factory=lambda: deque(maxlen=SHOWN))
    delays: list[float] = field(default_factory=list)

    def p95(self) -> float | None:
        """The delay that 95 % of them did not exceed (nearest rank); None of none."""
        return sorted(self.delays)[math.ceil(0.95 * len(self.delays)) - 1] if self.delays else None


async def search(
    aws: Aws, run: Run, group: str, start: float, pages: int, *,
    pattern: str = "", wanted: Callable[[str], bool] | None = None,
) -> Found:  # fmt: skip
    """What is in a log group since `start`, in at most so many pages. Raises Failed or Errored.

    `pattern` is AWS' own; of what it lets through, `wanted` decides.
    """
    which = "logGroupIdentifier" if group.startswith("arn:") else "logGroupName"
    question: dict[str, Any] = {which: group, "startTime": max(0, int(start * 1000)), "limit": LIMIT}
    if pattern:
        question["filterPattern"] = pattern
    found = Found()
    for _ in range(pages):
        token = await in_pool(run, _take, await aws.call(FILTER, question), found, wanted)
        # A page may be empty and not be the last.
        if not token:
            found.complete = True
            break
        question["nextToken"] = token
    return found


def _take(answer: Answer, found: Found, wanted: Callable[[str], bool] | None) -> str:
    """Take in one page, which may hold ten thousand events; the token of the next."""
    match answer.json():
        case {"events": list(page)} as whole:
            events = [_event(one) for one in page]
            token = whole.get("nextToken") or ""
        case _:
            events, token = [None], ""
    if None in events or not isinstance(token, str):
        raise Failed(Reason.BODY, f"{answer.name} did not answer with a page of events")
    for one in events:
        if one is not None and (wanted is None or wanted(one.message)):
            found.count += 1
            found.last.append(one)
            found.delays.append(max(0.0, one.ingested - one.at))
    return token


def _event(value: Any) -> LogEvent | None:
    match value:
        case {"timestamp": int(at), "message": str(message)} if 0 <= at < 2**43:
            ingested = value.get("ingestionTime")
            arrived = ingested if isinstance(ingested, int) and 0 <= ingested < 2**43 else at
            return LogEvent(at / 1000, arrived / 1000, str(value.get("logStreamName", "")), message)
    return None
