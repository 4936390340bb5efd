"""A container's log: an engine's API on a Unix socket that frames, cuts, lies and refuses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from checks.base import KEPT, Reason
from checks.logfile import Logfile
from checks.parts.engine_logs import log_lines, unframed
from checks.parts.logfile.container import Container
from tests.checks.probing import Memory, asked, errs, evidence, fails, value

NANO = 10**9
START = 1_788_220_800 * NANO


def stamp(nanoseconds: int) -> str:
    """As Go writes it: without trailing zeros."""
    whole = datetime.fromtimestamp(nanoseconds // NANO, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{nanoseconds % NANO:09}".rstrip("0")
    return f"{whole}.{fraction}Z" if fraction else f"{whole}Z"


def frame(stream: int, content: bytes) -> bytes:
    return bytes((stream, 0, 0, 0)) + len(content).to_bytes(4, "big") + content


class Engine:
    """What an engine does with GET /containers/NAME/json and /logs: since, tail, streams, frames."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, int, str]] = []
        self.terminal = False
        self.id = "1f"
        self.requests: list[str] = []
        self.answer: Callable[[str], web.Response | None] = lambda _: None

    def say(self, second: float, text: str, stream: int = 1) -> None:
        self.lines.append((START + round(second * NANO), stream, text))

    async def handle(self, request: web.BaseRequest) -> web.Response:
        self.requests.append(str(request.rel_url))
        special = self.answer(request.path)
        if special is not None:
            return special
        if request.path == "/containers/app/json":
            return web.json_response({"Id": self.id, "Config": {"Tty": self.terminal}})
        if request.path != "/containers/app/logs":
            return web.json_response({"message": "No such container: x"}, status=404)
        return web.Response(body=self._log(request.query))

    def _log(self, query: Any) -> bytes:
        assert query["timestamps"] == "1"
        whole, _, fraction = query.get("since", "0").partition(".")
        since = int(whole) * NANO + int(fraction.ljust(9, "0"))
        wanted = [n for n, name in ((1, "stdout"), (2, "stderr")) if query.get(name) == "1"]
        lines = [line for line in self.lines if line[0] >= since and line[1] in wanted]
        lines = lines[-int(query["tail"]) :] if "tail" in query else lines
        end = "\r\n" if self.terminal else "\n"
        parts = [(stream, f"{stamp(at)} {text}{end}".encode()) for at, stream, text in lines]
        return b"".join(part if self.terminal else frame(stream, part) for stream, part in parts)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[Engine, str]]:
    engine = Engine()
    runner = web.ServerRunner(web.Server(engine.handle))
    await runner.setup()
    socket = folder / "engine.sock"
    await web.UnixSite(runner, str(socket)).start()
    try:
        yield engine, f"unix://{socket}"
    finally:
        await runner.cleanup()


def follow(address: str, **fields: Any) -> Logfile:
    container = {"name": "app", "engine": address, **fields.pop("container", {})}
    fields = {"patterns": {"errors": "ERROR"}, "start_at": "beginning", **fields}
    return Logfile(name="log", container=container, **fields)


@pytest.mark.parametrize("terminal", [False, True])
async def test_each_line_counts_once_with_frames_and_on_a_terminal(tmp_path: Path, terminal: bool) -> None:
    async with serving(tmp_path) as (engine, address):
        engine.terminal = terminal
        engine.say(1, "ERROR one")
        engine.say(2.000000001, "❌ fine", 1 if terminal else 2)
        check, memory = follow(address), Memory()
        run = await asked(check, memory, START / NANO + 10)
        assert (value(run, "records"), value(run, "errors")) == (2, 1)
        assert value(run, "newest_age_seconds") == pytest.approx(8)
        assert evidence(run, "errors") == "ERROR one"
        engine.say(2.000000001, "ERROR in the same nanosecond")
        engine.say(2.0000004, "ERROR in the same microsecond")
        memory = {KEPT: memory[KEPT]}
        run = await asked(check, memory, START / NANO + 20)
        assert (value(run, "errors"), value(run, "errors_total")) == (2, 3)
        assert value(await asked(check, memory), "records") == 0
        assert len(engine.requests) == 6, "two for each probe"


async def test_the_first_time_it_begins_at_the_end_even_of_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as (engine, address):
        check, memory = follow(address, start_at="end"), Memory()
        assert value(await asked(check, memory), "records") == 0
        engine.say(1, "ERROR")
        assert value(await asked(check, memory), "errors") == 1
        memory = {}
        assert value(await asked(check, memory), "errors") == 0
        assert "tail=400" in engine.requests[-1]
        engine.say(2, "ERROR")
        assert value(await asked(check, memory), "errors") == 1


async def test_times_in_whole_seconds_are_enough(tmp_path: Path) -> None:
    async with serving(tmp_path) as (engine, address):
        for _ in range(3):
            engine.say(1, "ERROR of old")
        check, memory = follow(address, start_at="end"), Memory()
        assert value(await asked(check, memory), "records") == 0
        engine.say(1, "ERROR of the same second")
        assert value(await asked(check, memory), "errors") == 1
        engine.say(1, "ERROR of the same second, still")
        engine.say(2, "ERROR of the next")
        assert value(await asked(check, memory), "errors") == 2
        assert value(await asked(check, memory), "records") == 0


async def test_a_container_made_anew_in_the_same_second_loses_no_line(tmp_path: Path) -> None:
    async with serving(tmp_path) as (engine, address):
        engine.say(1, "ERROR of the old")
        check, memory = follow(address), Memory()
        assert value(await asked(check, memory), "errors") == 1
        engine.id, engine.lines = "2e", []
        engine.say(1, "ERROR of the new")
        assert value(await asked(check, memory), "errors") == 1
        assert value(await asked(check, memory), "errors") == 0


async def test_only_the_streams_that_are_wanted(tmp_path: Path) -> None:
    async with serving(tmp_path) as (engine, address):
        engine.say(1, "ERROR", 1)
        engine.say(2, "ERROR", 2)
        run = await asked(follow(address, container={"streams": ["stderr"]}), {})
        assert value(run, "errors") == 1
        assert parse_qs(urlsplit(engine.requests[-1]).query) == {"timestamps": ["1"], "stderr": ["1"]}


async def test_what_is_behind_comes_with_the_next_probe(tmp_path: Path) -> None:
    async with serving(tmp_path) as (engine, address):
        for number in range(3000):
            engine.say(number, "ERROR " + "x" * 900)
        check, memory, behind = follow(address, max_read="1MiB"), Memory(), []
        for _ in range(4):
            run = await asked(check, memory)
            behind.append(value(run, "behind"))
        assert behind == [1, 1, 0, 0]
        assert value(run, "errors_total") == 3000


async def test_delay_is_from_the_event_to_the_engine(tmp_path: Path) -> None:
    async with serving(tmp_path) as (engine, address):
        engine.say(40, f'{{"time":{START / NANO + 10},"level":"error"}}')
        check = follow(address, format="json", patterns={"errors": {"level": "error"}})
        run = await asked(check, {})
        assert (value(run, "delay_p95_seconds"), value(run, "errors")) == (30, 1)


async def test_what_must_not_be_logged_is_found(tmp_path: Path) -> None:
    async with serving(tmp_path) as (engine, address):
        engine.say(1, "card 4242 4242 4242 4242")
        result = await fails(follow(address, forbid={}), Reason.ASSERTION, "container app holds", "card (1 records)")
        assert "4242 4242 4242" not in str(result.evidence)


@pytest.mark.parametrize(
    ("status", "body", "outcome", "reason", "words"),
    [
        (404, {"message": "No such container: app"}, fails, Reason.STATUS, ["has no such container"]),
        (403, {"message": "forbidden"}, errs, Reason.AUTH, ["does not let the monitor look"]),
        (
            500,
            {"message": "configured logging driver does not support reading"},
            errs,
            Reason.INTERNAL,
            ["logging driver"],
        ),
        (500, {"message": "boom"}, fails, Reason.STATUS, ["answered 500", "boom"]),
        (200, b"<html>", fails, Reason.BODY, ["did not answer with JSON"]),
        (200, b"[]", fails, Reason.BODY, ["does not describe container app"]),
        (200, b'{"Config": 5}', fails, Reason.BODY, ["does not describe"]),
    ],
)
async def test_an_engine_that_refuses_or_answers_strangely(
    tmp_path: Path, status: int, body: Any, outcome: Any, reason: Reason, words: list[str]
) -> None:
    async with serving(tmp_path) as (engine, address):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        engine.answer = lambda _: web.Response(status=status, body=raw)
        await outcome(follow(address), reason, *words)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"no frame at all, whatever it is\n", "is no frame"),
        (frame(7, b"x\n"), "is no frame"),
        (frame(1, b"without a time\n"), "no time in front"),
        (frame(1, b"2026-99-99T00:00:00Z x\n"), "cannot read the log"),
    ],
)
async def test_a_log_that_is_none(tmp_path: Path, body: bytes, words: str) -> None:
    async with serving(tmp_path) as (engine, address):
        engine.answer = lambda path: web.Response(body=body) if path.endswith("/logs") else None
        await fails(follow(address), Reason.BODY, "cannot read the log of container app", words)


async def test_half_an_answer_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    line = f"{stamp(START)} ERROR one\n".encode()
    async with serving(tmp_path) as (engine, address):
        engine.answer = lambda path: web.Response(body=frame(1, line) + frame(1, line)[:-5]) if "logs" in path else None
        check, memory = follow(address), Memory()
        assert value(await asked(check, memory), "errors") == 1
        engine.answer = lambda path: web.Response(body=frame(1, line) + frame(1, line)) if "logs" in path else None
        assert value(await asked(check, memory), "errors") == 1


async def test_a_record_longer_than_may_be_read_fails_instead_of_standing_still(tmp_path: Path) -> None:
    async with serving(tmp_path) as (engine, address):
        engine.say(1, "x" * 2**21)
        await fails(follow(address, max_read="1MiB"), Reason.BODY, "a record is longer than 1 MiB")


async def test_no_engine_there(tmp_path: Path) -> None:
    await fails(
        follow(f"unix://{tmp_path}/none.sock"), Reason.CONNECT_REFUSED, "cannot ask the container engine at unix:"
    )


async def test_an_engine_that_hangs(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_unix_server(silent, tmp_path / "engine.sock"):
        check = follow(f"unix://{tmp_path}/engine.sock", timeout="1s")
        await fails(check, Reason.READ_TIMEOUT, "no answer within")


@pytest.mark.parametrize(
    "sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nhalf", b"\xff\xff nonsense\r\n\r\n"]
)
async def test_an_engine_that_restarts_between_two_requests(tmp_path: Path, sent: bytes) -> None:
    first = b'HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\n{"Config":{"Tty":true}}'

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if b"/json" in request:
            writer.write(first)
            await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        writer.close()

    async with await asyncio.start_unix_server(answer, tmp_path / "engine.sock"):
        await fails(follow(f"unix://{tmp_path}/engine.sock"), Reason.PROTOCOL, "cannot ask the container engine")


def test_long_lines_that_the_engine_cut_are_joined() -> None:
    at = stamp(START)
    body = b"".join(
        (frame(1, f"{at} begin".encode()), frame(2, f"{at} between\n".encode()), frame(1, f"{at}  end\n".encode()))
    )
    assert [(line.stream, line.text) for line in log_lines(body, False)] == [
        ("stderr", b"between"),
        ("stdout", b"begin end"),
    ]


@given(st.binary(max_size=300))
def test_no_bytes_break_the_decoding(body: bytes) -> None:
    for terminal in (False, True):
        try:
            for line in log_lines(body, terminal):
                line.nanoseconds  # noqa: B018 - reads it
        except ValueError as why:
            assert str(why)


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=50)), max_size=10))
def test_frames_come_apart_as_they_were_put_together(frames: list[tuple[int, bytes]]) -> None:
    names = {1: "stdout", 2: "stderr"}
    assert unframed(b"".join(frame(*each) for each in frames)) == [(names[stream], held) for stream, held in frames]


@pytest.mark.parametrize("address", ["tcp://10.0.0.1:2375", "https://10.0.0.1:2376"])
def test_engines_elsewhere(address: str) -> None:
    base = Container(name="app", engine=address).api(5).base
    assert base in ("http://10.0.0.1:2375", "https://10.0.0.1:2376")
