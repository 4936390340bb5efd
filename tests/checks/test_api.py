"""The client of HTTP APIs: every way an answer can go wrong, proxies, Unix sockets, TLS, and what is left behind."""

from __future__ import annotations

import asyncio
import json
import ssl
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from checks.base import Errored, Failed, Reason
from checks.parts.api import Answer, Api
from checks.parts.network import TlsSettings
from tests.checks import web
from tests.faults import FaultProxy
from tests.leaks import held, left_since

FINE = web.reply(b'{"a": 1}', "200 OK", "X-One: 1")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    yield


async def ask(base: str, path: str = "/p", seconds: float = 2.0, accept: Any = (200,), **fields: Any) -> Answer:
    """One question; nothing of it is left, however it ends."""
    before = None
    try:
        async with Api("Shop", base, seconds, **fields) as api:
            before = held()
            return await api.ask("GET", path, accept=accept)
    finally:
        assert before is None or not await left_since(before)


async def refused(kind: type[Failed] | type[Errored], reason: Reason, words: str, base: str, **fields: Any) -> None:
    with pytest.raises(kind) as caught:
        await ask(base, **fields)
    assert caught.value.reason is reason, caught.value.sentence
    assert words in caught.value.sentence
    assert "sesame" not in caught.value.sentence


async def test_an_answer_and_what_was_asked() -> None:
    async with web.serving(FINE) as server:
        async with Api("Shop", server.url("/base/"), 2.0, headers={"X-Key": "k"}) as api:
            query = {"a": ["1", "2"], "b": "x y&z", "none": []}
            assert await api.json("/list", query) == {"a": 1}
            answer = await api.ask("POST", "/to%2Fthe/letter", encoded=True, content=b"body", headers={"X-Two": "2"})
        assert answer.headers["x-one"] == "1"
        assert answer.text(3) == '{"a'
        first, second = server.requests
        assert first.startswith(b"GET /base/list?a=1&a=2&b=x+y%26z HTTP/1.1\r\n")
        assert b"X-Key: k\r\n" in first
        assert b"User-Agent: runwatch\r\n" in first
        assert second.startswith(b"POST /base/to%2Fthe/letter HTTP/1.1\r\n")
        assert b"X-Two: 2" in second
        assert second.endswith(b"\r\n\r\nbody")


async def test_one_connection_is_kept_for_the_questions_of_one_probe() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\n\r\n{}")

    async with web.serving(handle) as server:
        async with Api("Shop", server.url(), 2.0) as api:
            assert await api.json("/a") == await api.json("/b") == {}
        await server.quiet.wait()
        assert server.accepted == 1


@pytest.mark.parametrize(
    ("reply", "kind", "reason", "words"),
    [
        (web.reply(b"no", "401 No"), Errored, Reason.AUTH, "Shop answered 401, it does not let the monitor look: "),
        (web.reply(b"", "403 No"), Errored, Reason.AUTH, "Shop answered 403"),
        (web.reply(b"", "407 No"), Errored, Reason.AUTH, "Shop answered 407"),
        (web.reply(b"", "429 No", "Retry-After: 9"), Errored, Reason.RATE_LIMITED, 'less often (Retry-After: "9")'),
        (web.reply(b"", "429 No"), Errored, Reason.RATE_LIMITED, "come less often"),
        (web.reply(b"\x1b[2J away", "503 Away"), Failed, Reason.STATUS, "Shop answered 503: "),
        (web.reply(b"", "302 Go", "Location: /login"), Failed, Reason.STATUS, "Shop answered 302"),
        (web.reply(b"", "204 None"), Failed, Reason.STATUS, "Shop answered 204"),
        (b"", Failed, Reason.PROTOCOL, "cannot ask Shop: it closed the connection without an answer"),
        (b"SSH-2.0-x\r\n\r\n", Failed, Reason.PROTOCOL, "Bad status line"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", Failed, Reason.PROTOCOL, "in the middle of its answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Failed, Reason.PROTOCOL, "chunk size"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", Failed, Reason.PROTOCOL, "more than 8190 bytes"),
        (web.reply(b"no gzip", "200 OK", "Content-Encoding: gzip"), Failed, Reason.PROTOCOL, "content-encoding: gzip"),
    ],
)  # fmt: skip
async def test_what_is_no_good_answer(reply: bytes, kind: Any, reason: Reason, words: str) -> None:
    async with web.serving(reply) as server:
        await refused(kind, reason, words, server.url(), path="/p?token=sesame")


async def test_any_status_can_be_wanted() -> None:
    async with web.serving(web.reply(b"gone", "404 Gone")) as server:
        assert (await ask(server.url(), accept=())).status == 404
        assert (await ask(server.url(), accept=(404,))).body == b"gone"


async def test_what_is_no_json_is_said() -> None:
    for body, words in (
        (b"", "an empty answer"),
        (b"<html>\x1b", '"<html>'),
        (b"[" * 9999, '"[[['),
        (b"\xff", "with "),
    ):
        async with web.serving(web.reply(body)) as server:
            with pytest.raises(Failed, match="Shop did not answer with JSON but with") as caught:
                (await ask(server.url())).json()
            assert caught.value.reason is Reason.BODY
            assert words in caught.value.sentence
            assert "\x1b" not in caught.value.sentence


async def test_large_answers_are_refused_or_only_their_beginning_is_read() -> None:
    async with web.serving(web.endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536)) as server:
        await refused(Failed, Reason.BODY, "the answer of Shop is larger than 1 MiB", server.url(), largest=2**20)
        async with Api("Shop", server.url(), 2.0) as api:
            answer = await api.ask("GET", "/", enough=1000)
        assert 1000 <= len(answer.body) < 2**20
    bomb = web.reply(zlib.compress(bytes(64 * 2**20), 9), "200 OK", "Content-Encoding: deflate")
    async with web.serving(bomb) as server:
        await refused(Failed, Reason.BODY, "is larger than 8 MiB", server.url())


async def test_time_is_up_at_each_phase() -> None:
    with web.full() as port:
        await refused(
            Failed, Reason.CONNECT_TIMEOUT, "no connection within 300 ms", f"http://127.0.0.1:{port}", seconds=0.3
        )
    async with web.serving(web.hang) as server:
        await refused(Failed, Reason.READ_TIMEOUT, "no answer within 200 ms", server.url(), seconds=0.2)
        await refused(Failed, Reason.CONNECT_TIMEOUT, "no connection", server.url(scheme="https"), seconds=0.2)
    async with web.serving(web.then_hang(b"HTTP/1.1 200 OK\r\n\r\n{")) as server:
        await refused(Failed, Reason.READ_TIMEOUT, "no answer within 200 ms", server.url(), seconds=0.2)
    async with web.serving(web.dripping(b"HTTP/1.1 200 OK\r\n\r\n", b"x", 0.05)) as server:
        await refused(Failed, Reason.READ_TIMEOUT, "no answer within 300 ms", server.url(), seconds=0.3)


async def test_the_time_is_for_all_questions_together() -> None:
    async with web.serving(FINE) as quick, web.serving(web.hang) as slow:
        async with Api("Shop", slow.url(), 0.3) as api:
            with pytest.raises(Failed, match="no answer within 300 ms"):
                await api.ask("GET", "/")
            with pytest.raises(Failed) as caught:
                await api.ask("GET", "/")
            assert caught.value.reason in (Reason.READ_TIMEOUT, Reason.CONNECT_TIMEOUT)
        await ask(quick.url())


async def test_connections_that_do_not_come_about_or_break() -> None:
    await refused(Failed, Reason.CONNECT_REFUSED, "connection refused", f"http://127.0.0.1:{web.closed_port()}")
    await refused(Errored, Reason.INTERNAL, "is no address", "http://")
    async with web.serving(web.hang) as server, FaultProxy("127.0.0.1", server.port) as proxy:
        asking = asyncio.ensure_future(ask(f"http://{proxy.address}"))
        await proxy.until_open(1)
        proxy.reset()
        with pytest.raises(Failed) as caught:
            await asking
        assert caught.value.reason is Reason.PROTOCOL
        assert "closed the connection" in caught.value.sentence
        assert proxy.accepted == 1, "nothing is asked twice but by the prober"


async def test_faults_of_tls(tmp_path: Path) -> None:
    authority = web.Authority(tmp_path)
    trusted = TlsSettings(ca_file=authority.file)
    async with web.serving(FINE, tls=authority.server("127.0.0.1", "shop.test")) as server:
        url = server.url(scheme="https")
        assert (await ask(url, tls=trusted)).json() == {"a": 1}
        assert (await ask(url, tls=TlsSettings(ca_file=authority.file, server_name="shop.test"))).status == 200
        assert (await ask(url, tls=TlsSettings(verify=False))).status == 200
        await refused(Failed, Reason.TLS_HANDSHAKE, "", url)
        odd = TlsSettings(ca_file=authority.file, server_name="other.test")
        await refused(Failed, Reason.TLS_NAME, "", url, tls=odd)
        missing = TlsSettings(ca_file=str(tmp_path / "gone.pem"))
        await refused(Errored, Reason.INTERNAL, "gone.pem", url, tls=missing)
    async with web.serving(FINE, tls=authority.server("127.0.0.1", days=-1)) as server:
        await refused(Failed, Reason.TLS_EXPIRED, "", server.url(scheme="https"), tls=trusted)
    async with web.serving(web.endless(b"", b"SSH-2.0-x\r\n")) as server:
        await refused(Failed, Reason.TLS_HANDSHAKE, "", server.url(scheme="https"), tls=trusted)
    context = ssl.create_default_context(cafile=authority.file)
    async with web.serving(FINE, tls=authority.server("127.0.0.1")) as server:
        assert (await ask(server.url(scheme="https"), context=context)).status == 200


async def test_a_unix_socket_past_any_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://me:sesame@127.0.0.1:{web.closed_port()}")
    path = str(tmp_path / "engine.sock")
    heads: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(FINE)
        writer.close()

    async with await asyncio.start_unix_server(handle, path):
        assert (await ask("http://engine", socket=path)).json() == {"a": 1}
    assert heads[0].startswith(b"GET /p HTTP/1.1\r\nHost: engine\r\n")
    assert b"Proxy-Authorization" not in heads[0]
    await refused(Failed, Reason.CONNECT_REFUSED, "connection refused", "http://engine", socket=path)
    gone = str(tmp_path / "gone.sock")
    await refused(Failed, Reason.CONNECT_REFUSED, "no such file or directory", "http://engine", socket=gone)


async def test_a_proxy_of_the_environment_is_used_and_its_faults_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    async with web.serving(FINE) as proxy:
        monkeypatch.setenv("http_proxy", f"http://me:sesame@127.0.0.1:{proxy.port}")
        assert (await ask("http://shop.invalid")).json() == {"a": 1}
        assert proxy.requests[0].startswith(b"GET http://shop.invalid/p HTTP/1.1\r\n")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        async with web.serving(web.reply(b"[]")) as server:
            assert (await ask(server.url())).json() == []
    words = f"cannot ask Shop: cannot reach the proxy 127.0.0.1:{proxy.port}: connection refused"
    await refused(Errored, Reason.CONNECT_REFUSED, words, "http://shop.invalid")
    for status, reason in (("407 Who", Reason.AUTH), ("502 Away", Reason.PROTOCOL)):
        async with web.serving(web.reply(b"", status)) as proxy:
            monkeypatch.setenv("https_proxy", f"http://me:sesame@127.0.0.1:{proxy.port}")
            await refused(Errored, reason, f"the proxy answered {status[:3]}", "https://shop.invalid")
            assert proxy.requests[0].startswith(b"CONNECT shop.invalid:443 HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "start",
    [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"],
    ids=["head", "headers", "body"],
)
async def test_cancelled_while_it_waits_for_an_answer_nothing_is_left(start: bytes) -> None:
    with suppress(Failed):
        await ask(f"http://127.0.0.1:{web.closed_port()}")  # what a loop keeps for itself is there
    async with web.serving(web.then_hang(start)) as server:
        before = held()
        asking = asyncio.ensure_future(ask(server.url()))
        while not server.open:
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await server.quiet.wait()
        del asking
        assert not await left_since(before)


async def test_cancelled_at_any_turn_while_it_connects_nothing_is_left(tmp_path: Path) -> None:
    with suppress(Failed):
        await ask(f"http://127.0.0.1:{web.closed_port()}")
    authority = web.Authority(tmp_path)
    with suppress(Failed):
        await ask(f"https://127.0.0.1:{web.closed_port()}", tls=TlsSettings(ca_file=authority.file))
    with web.full() as port:
        for base in (f"http://127.0.0.1:{port}", f"https://127.0.0.1:{port}"):
            for turns in range(4):
                before = held()
                asking = asyncio.ensure_future(ask(base, tls=TlsSettings(ca_file=authority.file)))
                for _ in range(turns):
                    await asyncio.sleep(0)
                asking.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asking
                del asking
                assert not await left_since(before)


def test_the_beginning_of_a_body_is_cut_between_letters() -> None:
    answer = Answer(200, {}, json.dumps("ü" * 50, ensure_ascii=False).encode(), "Shop")  # type: ignore[arg-type]
    assert answer.text(10) == '"' + "ü" * 9
