"""The log: readable, bounded, without secrets, and never in the way."""

import io
import json
import logging
import os
import threading

import pytest
import structlog
from pydantic import SecretStr

from checks.base import Url
from monitor.logs import MOST_WAITING, SAME_PER_MINUTE, Bound, Writer, configure


@pytest.fixture
def log():
    stream = io.StringIO()

    def start(style: str = "json", level: str = "info"):
        writer, redact = configure(level, style, stream)

        def lines() -> list[str]:
            writer.close()
            return stream.getvalue().splitlines()

        return structlog.get_logger(), redact, lines

    handlers = list(logging.getLogger().handlers)
    yield start
    structlog.reset_defaults()
    logging.getLogger().handlers = handlers


def test_json_has_time_level_and_event_first(log):
    say, _, lines = log()
    say.info("alert fires", check="s/c", missing=None, took=0.5)
    [line] = lines()
    assert list(json.loads(line)) == ["time", "level", "event", "check", "took"]


def test_the_console_shows_hostile_texts_on_one_line(log):
    say, _, lines = log("console")
    say.warning("check fails", why="two\nlines \x1b[31m and \u202e more")
    [line] = lines()
    assert "\x1b[31m" not in line
    assert "\u202e" not in line
    assert "check fails" in line and "two\\nlines" in line


def test_secrets_are_masked_by_type_and_by_text(log):
    say, redact, lines = log()
    redact.secrets = {"hunter2hunter2"}
    say.info("x", a=SecretStr("open-sesame"), b=Url("http://me:pass-word@h/"), c="with hunter2hunter2 inside")
    [line] = lines()
    assert not any(secret in line for secret in ("open-sesame", "pass-word", "hunter2"))


def test_libraries_complain_in_the_same_log_on_one_line(log):
    _, _, lines = log()
    try:
        raise ZeroDivisionError("two\nlines")
    except ZeroDivisionError:
        logging.getLogger("aiohttp.server").exception("Error handling request")
    [line] = lines()
    told = json.loads(line)
    assert (told["event"], told["level"], told["library"]) == ("library complains", "error", "aiohttp.server")
    assert told["why"] == "ZeroDivisionError: two\nlines"


def test_debug_is_left_out_unless_asked_for(log):
    say, _, lines = log()
    say.debug("probed")
    assert lines() == []


def test_the_same_line_is_bound_and_what_was_left_out_is_counted():
    now = 0.0
    bound = Bound(lambda: now)
    passed = 0
    for _ in range(100):
        try:
            bound(None, "warning", {"event": "not told yet", "receiver": "r"})
            passed += 1
        except structlog.DropEvent:
            pass
    assert passed == SAME_PER_MINUTE
    assert bound(None, "warning", {"event": "not told yet", "receiver": "another"})
    now = 61.0
    line = bound(None, "warning", {"event": "not told yet", "receiver": "r"})
    assert line["left_out"] == 100 - SAME_PER_MINUTE


def test_a_reader_that_stands_still_costs_lines_not_time():
    read, write = os.pipe()
    with os.fdopen(write, "w") as stream:
        writer = Writer(stream)
        for number in range(MOST_WAITING * 2):
            writer.put(f"{number} " + "x" * 100)
        assert writer.dropped > 0
        drained = threading.Thread(target=_drain, args=(read,))
        drained.start()
        writer.close(5.0)
    drained.join()


def _drain(read: int) -> None:
    with os.fdopen(read, "rb") as stream:
        while stream.read(65_536):
            pass
