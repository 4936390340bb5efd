"""The log: lines for people on a terminal, JSON elsewhere; written by a thread, so that a full pipe stops nobody."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, MutableMapping
from typing import Any, TextIO

import orjson
import structlog
from pydantic import SecretStr

from checks.base import Url

log = structlog.get_logger()

MOST_WAITING = 10_000
SAME_PER_MINUTE = 20
MASK = "***"
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

EventDict = MutableMapping[str, Any]


class Writer:
    """Takes lines at once and writes them from its own thread; drops and counts when the reader does not keep up."""

    def __init__(self, stream: TextIO) -> None:
        self.dropped = 0
        self._stream = stream
        self._lines: deque[str] = deque()
        self._wake = threading.Condition()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="runwatch-log", daemon=True)
        self._thread.start()

    def put(self, text: str) -> None:
        """Take one line."""
        with self._wake:
            if len(self._lines) >= MOST_WAITING:
                self.dropped += 1
                return
            self._lines.append(text)
            self._wake.notify()

    def close(self, within: float = 1.0) -> None:
        """Write what waits, for at most `within` seconds."""
        with self._wake:
            self._ending = True
            self._wake.notify()
        self._thread.join(within)

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._lines and not self._ending:
                    self._wake.wait()
                lines = list(self._lines)
                self._lines.clear()
                if not lines and self._ending:
                    return
            try:
                self._stream.write("\n".join(lines) + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                self.dropped += len(lines)


class _Logger:
    """What structlog calls with a finished line."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def msg(self, text: str) -> None:
        self._writer.put(text)

    debug = info = warning = error = critical = msg


class Bound:
    """At most twenty of the same line a minute; the next one says how many were left out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def __call__(self, logger: object, method: str, event: EventDict) -> EventDict:
        if method == "debug":
            return event
        key = (str(event.get("event")), str(event.get("check") or event.get("receiver") or event.get("what") or ""))
        now = self._clock()
        began, count = self._seen.get(key, (now, 0))
        if now - began >= 60:
            if count > SAME_PER_MINUTE:
                event["left_out"] = count - SAME_PER_MINUTE
            began, count = now, 0
            if len(self._seen) > 10_000:
                self._seen.clear()
        self._seen[key] = (began, count + 1)
        if count >= SAME_PER_MINUTE:
            raise structlog.DropEvent
        return event


class Redact:
    """No secret in any line: secret types print as a mask, and known secret texts are cut out of every other."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        self.secrets: Collection[str] = secrets

    def __call__(self, logger: object, method: str, event: EventDict) -> EventDict:
        for name, value in event.items():
            if isinstance(value, SecretStr):
                event[name] = MASK
            elif isinstance(value, Url):
                event[name] = str(value)
            elif isinstance(value, str):
                for secret in self.secrets:
                    if secret in value:
                        value = event[name] = value.replace(secret, MASK)
        return event


class _Libraries(logging.Handler):
    """What libraries say by the standard logging goes the same way, without tracebacks for the operator."""

    def emit(self, record: logging.LogRecord) -> None:
        trouble = record.exc_info[1] if record.exc_info else None
        why = f"{type(trouble).__name__}: {trouble}" if trouble else None
        if record.levelno >= logging.ERROR:
            log.error("library complains", library=record.name, what=record.getMessage(), why=why)
        else:
            log.warning("library complains", library=record.name, what=record.getMessage(), why=why)


def _json(logger: object, method: str, event: EventDict) -> str:
    first = {name: event.pop(name) for name in ("time", "level", "event")}
    rest = {name: value for name, value in event.items() if value is not None}
    return orjson.dumps(first | rest, default=str).decode()


def _time(logger: object, method: str, event: EventDict) -> EventDict:
    now = time.time()
    event["time"] = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
    event["level"] = method
    return event


COLOURS = {"debug": "\033[2m", "info": "\033[32m", "warning": "\033[33m", "error": "\033[31m"}


class _Console:
    """`19:30:00 warning  alert fires  check=shop/database …`, coloured on a terminal."""

    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def __call__(self, logger: object, method: str, event: EventDict) -> str:
        at, level, what = event.pop("time")[11:19], event.pop("level"), event.pop("event")
        rest = "  ".join(f"{name}={_quoted(value)}" for name, value in event.items() if value not in ("", None))
        if not self._colour:
            return f"{at} {level:<7} {what:<24} {rest}"
        return f"\033[2m{at}\033[0m {COLOURS[level]}{level:<7}\033[0m \033[1m{what:<24}\033[0m {rest}"


def _quoted(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    return f'"{shown}"' if " " in shown else shown


def configure(level: str = "info", style: str = "auto", stream: TextIO | None = None) -> tuple[Writer, Redact]:
    """Set up the log once a process. `style`: console, json, or auto (console where `stream` is a terminal)."""
    stream = stream or sys.stderr
    writer, redact = Writer(stream), Redact()
    terminal = stream.isatty()
    console = style == "console" or (style == "auto" and terminal)
    structlog.configure(
        processors=[Bound(), _time, redact, _Console(terminal) if console else _json],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: _Logger(writer),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, _Libraries)] + [_Libraries()]
    return writer, redact
