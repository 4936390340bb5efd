"""Kind websocket in Socket.io's words: sessions by both transports, refusals, and what is none."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.base import Errored, Failed, Reason, Run
from checks.parts.vendors import socketio as _socketio
from monitor.demo.parts.socketio import SocketIoServer
from tests.checks.probing import asked, errs, evidence, fails, value, values
from tests.checks.web import closed_port, reply, serving
from tests.checks.websockets import SESSION, agreeing, check, text
from tests.leaks import held


async def test_socketio_by_websocket() -> None:
    async with SocketIoServer(token="t0ken", pings=2) as server:
        probe = check(server.port, socketio={"auth": {"token": "t0ken"}}, send='42["x"]', expect=r'^43\["x"\]$')
        run = await asked(probe)
        assert value(run, "ping_interval_seconds") == 25
        assert value(run, "ping_timeout_seconds") == 20
        assert value(run, "upgrades") == 0
        assert value(run, "upgraded") == value(run, "closed_cleanly") == 1
        assert probe.secrets() == ("t0ken",)
        await asked(check(server.port, socketio={"namespace": "/admin", "auth": {"token": "t0ken"}}))
        await errs(
            check(server.port, socketio=True), Reason.AUTH, "not authorized; it wants auth, and the check has none"
        )
        wrong = check(server.port, socketio={"auth": {"token": "wrong"}})
        await errs(wrong, Reason.AUTH, "cannot connect to / of", "the check's auth is not accepted")
        gone = check(server.port, socketio={"namespace": "/gone"})
        await fails(gone, Reason.ASSERTION, "has no namespace /gone")
    assert server.requests[0][1] == "EIO=4&transport=websocket"


async def test_socketio_by_polling() -> None:
    async with SocketIoServer(pings=1) as server:
        run = await asked(check(server.port, socketio={"transport": "polling", "namespace": "/admin"}))
        assert server.closed == 1 and not server.sessions
        assert [(method, body) for method, _, body in server.requests] == [
            ("GET", ""), ("POST", "40/admin,"), ("GET", ""), ("POST", "3"), ("GET", ""), ("POST", "1"),
        ]  # fmt: skip
    assert value(run, "status_code") == 200
    assert value(run, "upgrades") == value(run, "closed_cleanly") == 1
    assert not values(run, "upgraded")


async def test_polling_finds_a_balancer_that_does_not_keep_sessions_together() -> None:
    polling = {"transport": "polling"}
    async with SocketIoServer(nodes=2) as server:
        await fails(check(server.port, socketio=polling), Reason.STATUS, "HTTP 400, Session ID unknown (code 1)")
        server.sticky = True
        await asked(check(server.port, socketio=polling))
        server.pings = 9
        await fails(
            check(server.port, socketio=polling), Reason.PROTOCOL, "did not say whether it lets us in, in 5 polls"
        )


async def test_socketio_is_not_there() -> None:
    async with SocketIoServer() as server:
        await fails(check(server.port, "/other", socketio=True), Reason.STATUS, "HTTP 404")
        await fails(check(server.port, "/socket.io/"), Reason.STATUS, "Unsupported protocol version (code 5)")
    async with serving(reply(b"<html>")) as web:
        polling = check(web.port, socketio={"transport": "polling"})
        result = await fails(polling, Reason.PROTOCOL, "does not speak Engine.IO: it says '<html>'")
        assert evidence(result, "Heard") == "<html>"


@pytest.mark.parametrize(
    ("packet", "sentence"),
    [
        ('97:0{"sid":"a"}', "speaks Engine.IO 3"),
        ("", "does not speak Engine.IO"),
        ("0", "does not speak Engine.IO"),
        ("0[1]", "does not speak Engine.IO"),
        ("0" + "[" * 5000, "does not speak Engine.IO"),
        ('0{"sid":1,"upgrades":[]}', "without naming it"),
        ('0{"sid":"a\\r\\nX: y","upgrades":[]}', "without naming it"),
        ('0{"sid":"a"}', "without naming it"),
        ('0{"sid":"a","upgrades":[],"pingInterval":"x"}', "without a pingInterval"),
        ('0{"sid":"a","upgrades":[],"pingInterval":1e999}', "does not speak Engine.IO"),
        ('0{"sid":"a","upgrades":[],"pingInterval":-1}', "without a pingInterval"),
        ('0{"sid":"a","upgrades":[],"pingInterval":1,"pingTimeout":true}', "without a pingTimeout"),
    ],
)
async def test_first_packets_that_are_none(packet: str, sentence: str) -> None:
    async with serving(agreeing(text(packet.encode()))) as server:
        await fails(check(server.port, socketio=True), Reason.PROTOCOL, sentence)


@pytest.mark.parametrize(
    ("said", "reason", "sentence"),
    [
        (b"40", Reason.PROTOCOL, "without a session id, as Socket.io 2 and older do"),
        (b'40{"sid":7}', Reason.PROTOCOL, "without a session id"),
        (b"1", Reason.PROTOCOL, "closed the session"),
        (b'40/other,{"sid":"x"}', Reason.READ_TIMEOUT, ""),
    ],
)
async def test_answers_to_connect(said: bytes, reason: Reason, sentence: str) -> None:
    async with serving(agreeing(SESSION, text(said))) as server:
        await fails(check(server.port, socketio=True, timeout="1s"), reason, sentence)


async def test_a_refusal_in_odd_words() -> None:
    async with serving(agreeing(SESSION, text(b'44"no"'))) as server:
        await errs(check(server.port, socketio=True), Reason.AUTH, "cannot connect to / of", '"no"')


@given(st.text(max_size=60))
def test_any_packet_is_understood_or_refused(packet: str) -> None:
    for read in (lambda: _socketio.opened(packet, "x"), lambda: _socketio.SocketIo().is_in(packet, "x")):
        try:
            assert read() in (True, False) or isinstance(read(), _socketio.Opened)
        except (Failed, Errored) as why:
            assert why.sentence


@pytest.mark.parametrize(
    ("url", "there"),
    [
        ("ws://a", "http://a/socket.io/?EIO=4&transport=polling&sid=x"),
        ("ws://a/b/?EIO=3&k=v&sid=y#z", "http://a/b/?k=v&EIO=4&transport=polling&sid=x"),
    ],
)
def test_where_a_session_lives(url: str, there: str) -> None:
    address = check(1, url=url).url
    http = type(address)(address.reveal().replace("ws:", "http:"))
    assert _socketio.session(http, "polling", "x").reveal() == there


def test_what_is_watched() -> None:
    assert check(1, url="wss://ann:pw@live.example/x").target == "wss://ann:***@live.example/x"


@pytest.mark.parametrize("fields", [{"expect": "never"}, {"socketio": {"transport": "polling"}}, {"socketio": True}])
async def test_cancelled_anywhere_nothing_stays_open(fields: dict[str, Any]) -> None:
    async with SocketIoServer() as stand_in, serving(agreeing(SESSION)) as mute:
        port = mute.port if "expect" in fields else stand_in.port
        probe = check(port, timeout="5s", **fields)
        await asked(check(stand_in.port, socketio=True))
        for steps in range(30):
            before = held()
            task = asyncio.create_task(probe.probe(Run()))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            async with asyncio.timeout(5):
                # The server's end of it goes when the server has seen ours go.
                while {one for one in held() - before if not isinstance(one, asyncio.Task)}:
                    await asyncio.sleep(0)


async def test_the_other_transport_is_tried_for_an_alert() -> None:
    async with SocketIoServer() as server:
        for transport, other in (("websocket", "polling"), ("polling", "websocket")):
            run = Run()
            await check(server.port, socketio={"transport": transport}).diagnose(run)
            assert evidence(run, f"By {other}") == "it lets us in"
    run = Run()
    await check(closed_port(), socketio=True).diagnose(run)
    assert "connection refused" in evidence(run, "By polling")
    await check(closed_port()).diagnose(run)
