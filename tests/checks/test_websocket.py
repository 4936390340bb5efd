"""Kind websocket against aiohttp's server, and servers that break the protocol."""

import base64
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from checks.base import Reason
from checks.wire import websocket as wire
from monitor.demo.parts.site import Site
from tests.checks.probing import asked, errs, evidence, fails, value, values
from tests.checks.web import Authority, ask, closed_port, endless, full, reply, serving, silent, then_hang
from tests.checks.websockets import SESSION, agreeing, check, frame, text
from tests.faults import FaultProxy


@asynccontextmanager
async def echoing(seen: list[web.Request] | None = None) -> AsyncIterator[int]:
    """aiohttp's own WebSocket server: it says back what it hears, and greets."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if seen is not None:
            seen.append(request)
        socket = web.WebSocketResponse(protocols=("chat.v2",), heartbeat=None)
        await socket.prepare(request)
        await socket.send_str("welcome")
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(f"you said {message.data}")
        return socket

    async def private(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != "Basic " + base64.b64encode(b"ann:secret-word").decode():
            return web.Response(status=401, text="who are you, secret-word?")
        return await handle(request)

    async with Site() as site:
        site.handles("/", handle)
        site.handles("/private", private)
        yield site.port


async def test_a_real_server() -> None:
    seen: list[web.Request] = []
    async with echoing(seen) as port:
        run = await asked(
            check(port, "/?a=1", send="hello", expect="^you said h.llo$", origin="https://shop.example",
                  subprotocols=["chat.v1", "chat.v2"], headers={"X-Tenant": "a"})
        )  # fmt: skip
    assert value(run, "status_code") == 101
    assert value(run, "upgraded") == value(run, "closed_cleanly") == 1
    assert value(run, "failed_by_regex") == value(run, "tls") == 0
    assert value(run, "ping_seconds") > 0
    assert run.took == pytest.approx(sum(values(run, "phase_seconds").values()))
    assert {dict(labels)["phase"] for labels in values(run, "phase_seconds")} == {
        "resolve", "connect", "handshake", "conversation",
    }  # fmt: skip
    [request] = seen
    assert request.headers["Origin"] == "https://shop.example"
    assert request.headers["X-Tenant"] == "a"
    assert request.query_string == "a=1"


async def test_a_real_server_that_breaks() -> None:
    async with echoing() as port, FaultProxy("127.0.0.1", port) as proxy:
        await asked(check(proxy.port))
        # All but the answers to ping and farewell.
        greeting = proxy.answered - 10 - 4
        proxy.cut_after = 30
        await fails(check(proxy.port), Reason.PROTOCOL, "in the middle of the headers")
        proxy.cut_after, proxy.blackhole_after = None, 30
        await fails(check(proxy.port), Reason.READ_TIMEOUT)
        proxy.blackhole_after = greeting
        await fails(check(proxy.port), Reason.READ_TIMEOUT)
        proxy.blackhole_after, proxy.cut_after = None, greeting
        await fails(check(proxy.port), Reason.PROTOCOL, "closed the connection without a farewell")
        await proxy.refuse()
        await fails(check(proxy.port), Reason.CONNECT_REFUSED)


async def test_what_is_expected_does_not_come() -> None:
    async with echoing() as port:
        result = await fails(check(port, send="x", expect="never"), Reason.READ_TIMEOUT)
    assert value(result, "failed_by_regex") == 1
    assert evidence(result, "Heard") == "welcome\nyou said x"
    assert value(result, "upgraded") == 1


async def test_credentials() -> None:
    async with echoing() as port:
        good = check(port, url=f"ws://ann:secret-word@127.0.0.1:{port}/private")
        await asked(good)
        assert "secret-word" in good.secrets()
        bad = check(port, url=f"ws://ann:other@127.0.0.1:{port}/private")
        await errs(bad, Reason.AUTH, "refuses the handshake: HTTP 401", "credentials are not accepted")
        result = await fails(check(port, "/private"), Reason.STATUS, f"ws://127.0.0.1:{port}/private refuses")
        assert value(result, "status_code") == 401
        assert value(result, "upgraded") == 0


async def test_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = {"ca_file": authority.file, "server_name": "live.example"}
    async with serving(agreeing(text(b"hi")), tls=authority.server("live.example")) as server:
        url = f"wss://127.0.0.1:{server.port}/"
        run = await asked(check(1, url=url, tls=tls, expect="hi", ping=False))
        assert value(run, "tls") == 1
        assert value(run, "certificate_expires_in") > 0
        await fails(check(1, url=url, tls={"ca_file": authority.file}), Reason.TLS_NAME)
        await fails(check(server.port), Reason.PROTOCOL, "closed the connection")


@pytest.mark.parametrize(
    ("frames", "pattern"),
    [
        ([frame(1, b"he", first=0), frame(9, b"ping"), frame(0, b"llo")], "^hello$"),
        ([frame(1, b"a" * 300)], "^a{300}$"),
        ([frame(2, b"\xff\0binary")], "binary"),
        ([text(b"one"), text(b""), text(b"two")], "^two$"),
        ([text("größe".encode())], "größe"),
        ([text(b"x" * 60_000)], "x$"),
    ],
)
async def test_messages_of_every_form_are_read(frames: list[bytes], pattern: str) -> None:
    async with serving(agreeing(*frames)) as server:
        await asked(check(server.port, expect=pattern, ping=False))


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [
        ([frame(1, b"x", first=0xC0)], "a frame begins with c101"),
        ([frame(1, b"", second=0x80) + bytes(4)], "a frame begins with 8180"),
        ([frame(3)], "a frame begins with 8300"),
        ([frame(9, b"x" * 200)], "a control frame that is long"),
        ([frame(9, b"x", first=0)], "a control frame that is long or in pieces"),
        ([frame(0, b"x")], "a message begins inside another"),
        ([frame(1, b"x", first=0), frame(1, b"y")], "a message begins inside another"),
        ([text(b"\xff\xfe")], "text that is not UTF-8"),
        ([b"\x81\x7f" + struct.pack("!Q", 2**63)], "a message of 9223372036854775808 bytes or more, 65536 are read"),
        ([frame(1, b"x" * 60_000, first=0), frame(0, b"x" * 60_000, first=0)], "a message of 120000 bytes or more"),
        ([frame(9)] * 501, "more than 500 frames"),
        ([frame(0x1, b"", first=0)] + [frame(0, b"", first=0)] * 501, "more than 500 frames"),
        ([frame(8, struct.pack("!H", 1013) + b"try \x1b later")], "closed the WebSocket: 1013 try � later"),
        ([frame(8)], "closed the WebSocket: 1005"),
    ],
)
async def test_frames_that_break_the_rules(frames: list[bytes], sentence: str) -> None:
    async with serving(agreeing(*frames)) as server:
        await fails(check(server.port, expect="never"), Reason.PROTOCOL, sentence)


@pytest.mark.parametrize(
    ("replaced", "sentence"),
    [
        ({"sec_websocket_accept": "AAAA"}, "its Sec-WebSocket-Accept is wrong"),
        ({"sec_websocket_accept": ""}, "its Sec-WebSocket-Accept is wrong"),
        ({"upgrade": "h2c"}, "switches to another protocol: h2c"),
        ({"upgrade": ""}, "switches to another protocol: none"),
        ({"connection": "close"}, "switches to another protocol"),
        ({"sec_websocket_extensions": "permessage-deflate"}, "extensions that nobody asked for: permessage-deflate"),
        ({"sec_websocket_protocol": "mqtt"}, "the subprotocol 'mqtt', which was not offered"),
    ],
)
async def test_agreements_that_are_none(replaced: dict[str, str], sentence: str) -> None:
    async with serving(agreeing(**replaced)) as server:
        await fails(check(server.port), Reason.PROTOCOL, sentence)


async def test_no_subprotocol_is_chosen() -> None:
    async with serving(agreeing()) as server:
        await fails(check(server.port, subprotocols=["mqtt"]), Reason.ASSERTION, "chose none of the subprotocols mqtt")


@pytest.mark.parametrize(
    ("answer", "reason", "sentence"),
    [
        (reply(b"hello"), Reason.STATUS, "refuses the handshake: HTTP 200"),
        (
            reply(b"", "301 Moved", "Location: https://u:p@b.example/"),
            Reason.STATUS,
            "HTTP 301, a redirect to b.example/",
        ),
        (reply(b"", "429 Too Many Requests"), Reason.RATE_LIMITED, "HTTP 429"),
        (reply(b"", "426 Upgrade Required"), Reason.STATUS, "HTTP 426"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", Reason.PROTOCOL, "answered what is no HTTP: SSH-2.0"),
        (b"HTTP/1.1 abc\r\n\r\n", Reason.PROTOCOL, "answered what is no HTTP"),
        (b"\0\xff\r\n\r\n", Reason.PROTOCOL, "answered what is no HTTP"),
        (b"HTTP/1.1 502 Bad\r\nContent-Length: 100\r\n\r\nhalf", Reason.STATUS, "HTTP 502"),
        (b"HTTP/1.1 502 Bad\r\nContent-Length: 99999999999999999999\r\n\r\nhalf", Reason.STATUS, "HTTP 502"),
    ],
)
async def test_refusals(answer: bytes, reason: Reason, sentence: str) -> None:
    async with serving(answer) as server:
        await fails(check(server.port), reason, sentence)


async def test_headers_that_never_end() -> None:
    async with serving(endless(b"HTTP/1.1 101 x\r\n", b"a: b\r\n" * 100)) as server:
        await fails(check(server.port), Reason.PROTOCOL, "more than 16384 bytes of headers")


async def test_a_refusal_whose_body_never_comes_still_tells_its_status() -> None:
    async with serving(then_hang(b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\n")) as server:
        assert "HTTP 503" in (await ask(check(server.port, timeout="300ms"))).sentence


async def test_a_peer_that_does_not_say_farewell_is_no_fault() -> None:
    async with serving(agreeing(text(b"hi"))) as server:
        run = await asked(check(server.port, expect="hi", ping=False))
    assert value(run, "closed_cleanly") == 0


async def test_time_is_up_at_each_step() -> None:
    # Asked without the prober, whose own deadline is so near that a busy machine may meet it first.
    with full() as port:
        assert (await ask(check(port, timeout="200ms"))).reason is Reason.CONNECT_TIMEOUT
    with silent() as port:
        late = await ask(check(port, timeout="200ms"))
        assert late.sentence == f"no answer from 127.0.0.1:{port} to the handshake within 0.2 s"
        secure = await ask(check(1, url=f"wss://127.0.0.1:{port}", timeout="200ms"))
        assert secure.reason is Reason.TLS_HANDSHAKE
    async with serving(agreeing()) as server:
        assert "did not answer a ping within" in (await ask(check(server.port, timeout="200ms"))).sentence
        assert "did not say 'x' within" in (await ask(check(server.port, timeout="200ms", expect="x"))).sentence
    async with serving(agreeing(SESSION, text(b"6"), text(b'40/other,{"sid":"x"}'))) as server:
        assert (
            "did not say whether it lets us in"
            in (await ask(check(server.port, timeout="200ms", socketio=True))).sentence
        )
    await fails(check(closed_port()), Reason.CONNECT_REFUSED)
    await fails(check(1, url="ws://nowhere.invalid/"), Reason.DNS)


@given(st.binary(max_size=300))
async def test_any_frames_are_read_or_refused(came: bytes) -> None:
    class Ended:
        sent = arrived = 0.0
        name = "x"

        async def send(self, data: bytes) -> None:
            assert data

        async def recv(self, most: int = 65536) -> bytes:
            return b""

    class Patient:
        def doing(self, *words: Any) -> None:
            assert words

    socket = wire.WebSocket(Ended(), Patient(), came)  # type: ignore[arg-type]
    with pytest.raises(wire.WireError):
        while True:
            assert isinstance(await socket.receive("x"), str)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"url": "ftp://a/"}, "no ws:// or wss:// address"),
        ({"url": "ws:///"}, "names no host"),
        ({"headers": {"A": "b\r\nc"}}, "line break"),
        ({"origin": "a\r\nb"}, "line break"),
        ({"subprotocols": ["a b"]}, "pattern"),
        ({"expect": "(?=x)"}, "RE2"),
        ({"socketio": {"namespace": "admin"}}, "pattern"),
        ({"socketio": {"transport": "polling"}, "send": "x"}, "polling is none"),
    ],
)
def test_mistakes_are_named(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        check(1, **fields)
    assert sentence in str(caught.value)


def test_the_example_of_the_rfc() -> None:
    # RFC 6455, section 1.3
    assert wire.accepted("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert len(base64.b64decode(wire.fresh_key())) == 16
