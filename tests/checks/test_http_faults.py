"""Kind http against targets that refuse, hang, drip, flood and lie."""

import asyncio
import gzip
import resource
import zlib
from pathlib import Path
from typing import Any

import pytest

from checks.base import Errored, Failed, Reason, Run
from checks.http import Http
from tests.checks.web import (
    Authority,
    Handle,
    ask,
    dripping,
    endless,
    full,
    hang,
    reply,
    serving,
    silent,
    then_hang,
)  # fmt: skip
from tests.leaks import open_files

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def check(port: int, scheme: str = "http", **fields: Any) -> Http:
    address = {"name": "shop", "url": f"{scheme}://127.0.0.1:{port}/", "timeout": "300ms"}
    return Http.model_validate({**address, **fields})


async def test_hangs_while_connecting() -> None:
    with full() as port:
        asked = await ask(check(port))
    assert asked.reason is Reason.CONNECT_TIMEOUT
    assert asked.sentence == f"no connection to 127.0.0.1:{port} within 0.3 s"


async def test_hangs_in_the_tls_handshake() -> None:
    with silent() as port:
        asked = await ask(check(port, "https"))
    assert asked.reason is Reason.TLS_HANDSHAKE
    assert asked.sentence == f"no TLS handshake from 127.0.0.1:{port} within 0.3 s"
    assert "connect" in dict(asked.run.evidences)["Phases"]


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 100 Continue\r\n\r\n", HEAD, b"HTTP/1.1 2"])
async def test_hangs_before_the_headers_end(start: bytes) -> None:
    async with serving(then_hang(start)) as web:
        asked = await ask(check(web.port))
    assert asked.reason is Reason.READ_TIMEOUT
    assert asked.sentence == f"no answer from 127.0.0.1:{web.port} within 0.3 s"


async def test_hangs_in_the_body() -> None:
    async with serving(then_hang(HEAD + b"Content-Length: 100\r\n\r\n" + b"x" * 40)) as web:
        asked = await ask(check(web.port))
    assert asked.reason is Reason.READ_TIMEOUT
    assert asked.sentence == f"no complete answer from 127.0.0.1:{web.port} (40 bytes of body) within 0.3 s"


@pytest.mark.parametrize(
    "drip",
    [
        dripping(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x", 0.02),
        dripping(HEAD + b"\r\n", b"x", 0.02),
        dripping(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 0.02),
    ],
    ids=["headers", "until-close", "chunked"],
)
async def test_drips(drip: Handle) -> None:
    async with serving(drip) as web:
        asked = await ask(check(web.port))
    assert asked.reason is Reason.READ_TIMEOUT


@pytest.mark.parametrize(
    "start",
    [HEAD + b"\r\n", HEAD + b"Content-Length: 1073741824\r\n\r\n"],
    ids=["until-close", "length"],
)
async def test_an_endless_body_is_read_up_to_the_cap(start: bytes) -> None:
    async with serving(endless(start, b"x" * 65536)) as web:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        asked = await ask(check(web.port, timeout="8s", max_body="256KiB"))
        needs = await ask(check(web.port, timeout="8s", max_body="256KiB", expect={"json": {"a": 1}}))
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert asked.fault is None
    assert asked.value("body_bytes") == 256 * 1024
    assert needs.reason is Reason.BODY
    assert "larger than allowed" in needs.sentence
    assert grown < 32 * 1024


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n" * 500),
        (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 4096),
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 100),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: 1\r\n" * 500),
    ],
    ids=["headers", "one-header", "interim", "trailers"],
)
async def test_an_endless_head_is_given_up(start: bytes, piece: bytes) -> None:
    async with serving(endless(start, piece)) as web:
        asked = await ask(check(web.port, timeout="8s"))
    assert asked.reason is Reason.PROTOCOL
    assert "more than 65536 bytes of headers" in asked.sentence


async def test_a_gzip_bomb_stops_at_the_cap() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join([*(packer.compress(bytes(2**20)) for _ in range(200)), packer.flush()])
    async with serving(reply(bomb, "200 OK", "Content-Encoding: gzip")) as web:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        asked = await ask(check(web.port, timeout="8s", max_decompressed="2MiB"))
        needs = await ask(check(web.port, timeout="8s", max_decompressed="2MiB", expect={"json": {"a": 1}}))
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert asked.fault is None
    assert asked.value("body_bytes") == 2 * 2**20
    assert needs.reason is Reason.BODY
    assert grown < 32 * 1024


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"", "closed the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "closed the connection in the middle of the headers"),
        (HEAD + b"Content-Length: 9\r\n\r\nabc", "closed the connection after 3 of 9 bytes of the body"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "before the last chunk"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n", "no HTTP"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n", "no HTTP"),
        (HEAD + b"Content-Length: -1\r\n\r\n", "no HTTP"),
        (HEAD + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabc", "no HTTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no HTTP"),
        (bytes(range(128, 192)), "no HTTP"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "switched protocols"),
        (reply(b"not gzip at all", "200 OK", "Content-Encoding: gzip"), "no valid gzip"),
        (reply(gzip.compress(b"x" * 999)[:20] + b"\xff" * 50, "200 OK", "Content-Encoding: gzip"), "no valid gzip"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
async def test_what_is_no_proper_answer_is_named(answer: bytes, sentence: str) -> None:
    async with serving(answer) as web:
        asked = await ask(check(web.port, timeout="5s"))
    assert asked.reason is Reason.PROTOCOL
    assert sentence in asked.sentence


async def test_an_unknown_compression_only_matters_where_the_body_does() -> None:
    async with serving(reply(b"\x0b\x02\x80", "200 OK", "Content-Encoding: br")) as web:
        asked = await ask(check(web.port))
        needs = await ask(check(web.port, expect={"body_regex": "x"}))
    assert asked.fault is None
    assert needs.sentence == 'cannot read the body: it is compressed with "br"'


async def test_a_target_that_answers_before_it_was_told_everything() -> None:
    async def impatient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(10)
        writer.write(reply(b"", "413 Too Large"))
        await writer.drain()
        await hang(reader, writer)

    async with serving(impatient) as web:
        asked = await ask(check(web.port, timeout="5s", method="POST", body="x" * 5_000_000))
    assert asked.reason is Reason.STATUS
    assert asked.value("status_code") == 413


async def test_hanging_probes_delay_nobody() -> None:
    finished: list[str] = []

    async def one(name: str, probe: Http) -> None:
        asked = await ask(probe)
        finished.append(f"{name} {asked.reason}")

    async with serving(reply(b"fine")) as web:
        with silent() as port, full() as deaf:
            async with asyncio.TaskGroup() as group:
                for number in range(200):
                    to = (check(port, timeout="2s"), check(port, "https", timeout="2s"), check(deaf, timeout="2s"))
                    group.create_task(one("hanging", to[number % 3]))
                for _ in range(10):
                    group.create_task(one("healthy", check(web.port, timeout="2s")))
    assert finished[:10] == ["healthy None"] * 10
    assert len(finished) == 210
    assert all(word.startswith("hanging") and not word.endswith("None") for word in finished[10:])


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_cancelled_anywhere_nothing_stays_open(scheme: str, tmp_path: Path) -> None:
    tls = Authority(tmp_path).server("localhost") if scheme == "https" else None
    async with serving(then_hang(HEAD + b"Content-Length: 9\r\n\r\nabc"), tls=tls) as web:
        fields = {"url": f"{scheme}://localhost:{web.port}/", "tls": {"verify": False}}
        probe = check(web.port, timeout="5s", **fields)
        # c-ares opens its own files at first use.
        await ask(check(web.port, **fields))
        await web.quiet.wait()
        before, tasks = open_files(), len(asyncio.all_tasks())
        for steps in range(40):
            task = asyncio.create_task(probe.probe(Run()))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises((asyncio.CancelledError, Failed, Errored)):
                await task
            while web.open:
                await web.quiet.wait()
        # What the server itself has accepted but not yet seen is not ours to count.
        async with asyncio.timeout(5):
            while open_files() - before or len(asyncio.all_tasks()) > tasks:
                await asyncio.sleep(0)


async def test_a_deadline_that_is_the_callers_leaves_nothing_open() -> None:
    with silent() as port:
        await ask(check(port))
        before = open_files()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await check(port, timeout="5s").probe(Run())
        assert not open_files() - before
    assert len(asyncio.all_tasks()) == 1
