"""CloudWatch Logs on loopback: moto, with the filter patterns that it lacks, and with a clock that can be set."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from monitor.demo.parts.aws import OPEN, Moto

_SELECTOR = re.compile(r'\s*\$\.(\w+)\s*(!?=)\s*"([^"]*)"\s*')
_TERM = re.compile(r'(\??)(?:"([^"]*)"|([^\s"?]+))')


class CloudWatch(Moto):
    """A log group that services write to. Times are the caller's: what is put now was taken in at `at`.

    Its methods block for some milliseconds each, as boto3's do.
    """

    title = "CloudWatch"
    group = stream = ""

    def open(self, group: str, stream: str) -> None:
        """Make the log group, and an empty stream in it."""
        self.group, self.stream = group, stream
        with closing(self.client("logs")) as logs:
            logs.create_log_group(logGroupName=group)
            logs.create_log_stream(logGroupName=group, logStreamName=stream)

    def put(self, at: float, *events: tuple[float, dict[str, Any]]) -> None:
        """Take in these events, each with the time at which it happened, at the time `at`."""
        self._clock.write_text(f"{at - time.time():.3f}")
        batch = [{"timestamp": int(when * 1000), "message": json.dumps(what)} for when, what in sorted_by_time(events)]
        with closing(self.client("logs")) as logs:
            logs.put_log_events(logGroupName=self.group, logStreamName=self.stream, logEvents=batch)

    def empty(self) -> None:
        """Forget every event."""
        with closing(self.client("logs")) as logs:
            logs.delete_log_stream(logGroupName=self.group, logStreamName=self.stream)
            logs.create_log_stream(logGroupName=self.group, logStreamName=self.stream)

    @property
    def _clock(self) -> Path:
        return self.folder / "clock"

    async def _prepare(self) -> None:
        await super()._prepare()
        self._clock.write_text("0")
        self._clock.chmod(0o644)

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), "PYTHONPATH": os.pathsep.join(sys.path)}

    def _command(self) -> list[str]:
        return [sys.executable, "-W", "ignore", "-m", "monitor.demo.parts.cloudwatch", str(self.port), str(self._clock)]


def sorted_by_time(events: tuple[tuple[float, dict[str, Any]], ...]) -> list[tuple[float, dict[str, Any]]]:
    """In the order in which they happened, as CloudWatch wants a batch."""
    return sorted(events, key=lambda event: event[0])


def matches(pattern: str, message: str) -> bool:
    """Whether a message matches a filter pattern: JSON selectors of one `{ … }`, or terms, all or (`?`) any of them.

    Source: "Filter pattern syntax" in the user guide of Amazon CloudWatch Logs. ValueError for what it does not know.
    """
    pattern = pattern.strip()
    if not pattern:
        return True
    if pattern.startswith("{") and pattern.endswith("}"):
        return _selected(pattern[1:-1], message)
    if pattern[0] in "[%":
        raise ValueError(f"a pattern of this sort is not known: {pattern}")
    terms = [(mark, quoted or bare) for mark, quoted, bare in _TERM.findall(pattern)]
    wanted = [text for mark, text in terms if not mark]
    either = [text for mark, text in terms if mark]
    return all(text in message for text in wanted) and (not either or any(text in message for text in either))


def _selected(condition: str, message: str) -> bool:
    try:
        fields = json.loads(message)
    except ValueError:
        return False
    if not isinstance(fields, dict):
        return False
    return any(all(_holds(one, fields) for one in part.split("&&")) for part in condition.split("||"))


def _holds(comparison: str, fields: dict[str, Any]) -> bool:
    found = _SELECTOR.fullmatch(comparison)
    if found is None:
        raise ValueError(f"a comparison of this sort is not known: {comparison}")
    name, operator, text = found.groups()
    return (fields.get(name) == text) is (operator == "=") if name in fields else False


def main(port: str, clock: Path) -> None:
    """Be the server, until killed; `clock` holds the seconds by which its clock is ahead."""
    os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = str(OPEN)
    from moto.logs import models
    from moto.server import main as serve

    class Filter:
        def __init__(self, pattern: str) -> None:
            self.pattern = pattern

        def matches(self, message: str) -> bool:
            return matches(self.pattern or "", message)

    def utcnow() -> datetime:
        ahead = timedelta(seconds=float(clock.read_text() or 0))
        return (datetime.now(UTC) + ahead).replace(tzinfo=None)

    models.EventMessageFilter = Filter  # type: ignore[assignment, attr-defined]
    models.utcnow = utcnow  # type: ignore[attr-defined]
    serve(["-H", "127.0.0.1", "-p", port])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
