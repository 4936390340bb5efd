"""Kind grpc against a real gRPC server, and against one of the test's own that breaks every rule of HTTP/2."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from checks.base import Failed, Reason, Run
from checks.grpc import Grpc
from checks.parts.vendors import grpc_health as _grpc_health
from monitor.demo.servers import Temporal
from tests.checks.probing import asked, errs, evidence, fails, value, values
from tests.checks.web import Authority, Web, ask, closed_port, endless, full, hang, reply, serving, silent, then_hang
from tests.faults import FaultProxy
from tests.leaks import open_files

OURS = "temporal.api.workflowservice.v1.WorkflowService"

Speak = Callable[[H2Connection], None]
"""What the server says once the whole request is there."""


def check(port: int, **fields: Any) -> Grpc:
    return Grpc.model_validate({"name": "api", "address": f"127.0.0.1:{port}", "timeout": "1s", **fields})


def message(body: bytes, flag: int = 0) -> bytes:
    return bytes([flag]) + len(body).to_bytes(4, "big") + body


GOOD = message(b"\x08\x01")


def answering(
    body: bytes = GOOD,
    status: str | None = "0",
    *,
    said: str = "",
    http: str = "200",
    kind: str = "application/grpc",
    more: tuple[tuple[str, str], ...] = (),
) -> Speak:
    """A whole answer: headers, a body, and trailers with gRPC's status."""

    def speak(connection: H2Connection) -> None:
        connection.send_headers(1, [(":status", http), ("content-type", kind), *more], end_stream=status is None)
        if status is not None:
            connection.send_data(1, body)
            trailers = [("grpc-status", status), *([("grpc-message", said)] if said else [])]
            connection.send_headers(1, trailers, end_stream=True)

    return speak


@asynccontextmanager
async def speaking(speak: Speak, seen: list[RequestReceived] | None = None, **options: Any) -> AsyncIterator[Web]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        config = H2Configuration(client_side=False, validate_outbound_headers=False, normalize_outbound_headers=False)
        connection = H2Connection(config)
        connection.initiate_connection()
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, RequestReceived) and seen is not None:
                    seen.append(event)
                if isinstance(event, StreamEnded):
                    speak(connection)
            writer.write(connection.data_to_send())
            await writer.drain()

    async with serving(handle, **options) as web:
        yield web


async def test_a_real_server(temporal: Temporal) -> None:
    run = await asked(check(temporal.port, service=OURS))
    assert value(run, "grpc_status") == 0
    assert {dict(labels)["serving_status"]: on for labels, on in values(run, "serving").items()} == {
        "SERVING": 1, "NOT_SERVING": 0, "UNKNOWN": 0, "SERVICE_UNKNOWN": 0,
    }  # fmt: skip
    assert value(run, "tls") == 0
    assert run.clock == "kernel"
    assert run.took == pytest.approx(sum(values(run, "phase_seconds").values()))
    await fails(check(temporal.port, service="no.such.Service"), Reason.STATUS, "knows no service 'no.such.Service'")


async def test_a_real_server_that_breaks(temporal: Temporal) -> None:
    async with FaultProxy("127.0.0.1", temporal.port) as proxy:
        probe = check(proxy.port, service=OURS)
        proxy.cut_after = 20
        await fails(probe, Reason.PROTOCOL, "closed the connection in the middle of an answer")
        proxy.cut_after, proxy.blackhole_after = None, 20
        await fails(probe, Reason.READ_TIMEOUT, "no answer")
        proxy.blackhole_after = None
        assert value(await asked(probe), "grpc_status") == 0
        await proxy.refuse()
        await fails(probe, Reason.CONNECT_REFUSED)


async def test_what_is_sent() -> None:
    seen: list[RequestReceived] = []
    async with speaking(answering(), seen) as web:
        await asked(check(web.port, headers={"authorization": "Bearer t0ken"}, authority="api.example"))
    [request] = seen
    sent = {bytes(name): bytes(value) for name, value in request.headers}
    assert sent[b":path"] == b"/grpc.health.v1.Health/Check"
    assert sent[b":authority"] == b"api.example"
    assert sent[b"grpc-timeout"] == b"1000m"
    assert sent[b"authorization"] == b"Bearer t0ken"
    assert sent[b"content-type"] == b"application/grpc"


async def test_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = authority.server("api.example")
    context.set_alpn_protocols(["h2"])
    tls = {"ca_file": authority.file, "server_name": "api.example"}
    async with speaking(answering(), tls=context) as web:
        run = await asked(check(web.port, tls=tls))
        assert value(run, "tls") == 1
        assert value(run, "certificate_expires_in") > 0
        # OpenSSL's engine as well, which client certificates and blind trust need.
        assert value(await asked(check(web.port, tls={"verify": False})), "tls") == 1
        await fails(check(web.port, tls={"ca_file": authority.file}), Reason.TLS_NAME)
        await fails(check(web.port), Reason.PROTOCOL, "closed the connection without an answer")


async def test_h2_is_offered_on_top_of_tls(tmp_path: Path) -> None:
    authority, chosen = Authority(tmp_path), []
    context = authority.server("api.example")
    context.set_alpn_protocols(["h2", "http/1.1"])

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chosen.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())

    async with serving(handle, tls=context) as web:
        for tls in ({"ca_file": authority.file, "server_name": "api.example"}, {"verify": False}):
            await fails(check(web.port, tls=tls), Reason.PROTOCOL, "without an answer")
    assert chosen == ["h2", "h2"]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (message(b""), "UNKNOWN"),
        (message(b"\x08\x02"), "NOT_SERVING"),
        (message(b"\x08\x03"), "SERVICE_UNKNOWN"),
        (message(b"\x08\x07"), "status 7"),
        (message(b"\x08" + b"\xff" * 9 + b"\x01"), "status -1"),
    ],
)
async def test_what_is_not_serving_fails(body: bytes, word: str) -> None:
    async with speaking(answering(body)) as web:
        result = await fails(
            check(web.port, service="shop"), Reason.STATUS, "service 'shop' of", f"says that it is {word}"
        )
    assert value(result, "grpc_status") == 0


@pytest.mark.parametrize(
    ("status", "said", "ours", "reason", "sentence"),
    [
        (
            "12",
            "unknown%20service",
            True,
            Reason.PROTOCOL,
            "it has no health service (grpc.health.v1): unknown service",
        ),
        ("16", "", True, Reason.AUTH, "UNAUTHENTICATED"),
        ("7", "", True, Reason.AUTH, "PERMISSION_DENIED"),
        ("8", "slow down", True, Reason.RATE_LIMITED, "RESOURCE_EXHAUSTED: slow down"),
        ("5", "", False, Reason.STATUS, "knows no service ''"),
        ("4", "", False, Reason.READ_TIMEOUT, "before the deadline"),
        ("14", "%1b[31mgone%F", False, Reason.STATUS, "answers UNAVAILABLE: �[31mgone%F"),
        ("13", "", False, Reason.STATUS, "answers INTERNAL"),
        ("99", "", False, Reason.STATUS, "answers code 99"),
        ("-1", "", False, Reason.PROTOCOL, "without a gRPC status"),
        ("9" * 5000, "", False, Reason.PROTOCOL, "without a gRPC status"),
        (None, "", False, Reason.PROTOCOL, "without a gRPC status"),
    ],
)
async def test_how_a_call_ends(status: str | None, said: str, ours: bool, reason: Reason, sentence: str) -> None:
    async with speaking(answering(b"", status, said=said)) as web:
        await (errs if ours else fails)(check(web.port), reason, sentence)


@pytest.mark.parametrize(
    ("speak", "ours", "reason", "sentence"),
    [
        (answering(http="502"), False, Reason.STATUS, "answers HTTP 502 in place of gRPC"),
        (answering(http="403"), True, Reason.AUTH, "answers HTTP 403"),
        (answering(http="429"), True, Reason.RATE_LIMITED, "HTTP 429"),
        (answering(kind="text/html"), False, Reason.PROTOCOL, "not gRPC: content type 'text/html'"),
        (answering(message(b"\x08\x01", flag=1)), False, Reason.PROTOCOL, "compressed"),
        (answering(GOOD + GOOD), False, Reason.PROTOCOL, "not one whole message"),
        (answering(GOOD[:-1]), False, Reason.PROTOCOL, "not one whole message"),
        (answering(b""), False, Reason.PROTOCOL, "not one whole message"),
        (answering(message(b"\x0b\x01")), False, Reason.PROTOCOL, "a field of type 3"),
        (answering(message(b"\x08" + b"\xff" * 11)), False, Reason.PROTOCOL, "a number does not end"),
        (answering(message(b"\x12\x7f")), False, Reason.PROTOCOL, "a field is malformed"),
        (answering(message(b"\x08")), False, Reason.PROTOCOL, "malformed"),
        (lambda it: it.reset_stream(1, 7), False, Reason.PROTOCOL, "reset the request: REFUSED_STREAM"),
        (
            lambda it: it.close_connection(11, b"too_many_pings"), False, Reason.PROTOCOL,
            "ended the connection: ENHANCE_YOUR_CALM (too_many_pings)",
        ),
        (lambda it: it.close_connection(0, None, 0), False, Reason.PROTOCOL, "ended the connection: NO_ERROR"),
        (answering(more=(("x", "y" * 20000),)), False, Reason.PROTOCOL, "more than 16384 bytes, which are no answer"),
        (answering(more=(("Upper", "x"),)), False, Reason.PROTOCOL, "breaks HTTP/2"),
        (lambda it: None, False, Reason.READ_TIMEOUT, "no answer"),
    ],
)  # fmt: skip
async def test_answers_that_are_none(speak: Speak, ours: bool, reason: Reason, sentence: str) -> None:
    async with speaking(speak) as web:
        await (errs if ours else fails)(check(web.port), reason, sentence)


async def test_unknown_fields_are_passed_over() -> None:
    body = b"\x12\x03abc\x19" + bytes(8) + b"\x25" + bytes(4) + b"\x30\xff\x01\x08\x01"
    async with speaking(answering(message(body))) as web:
        await asked(check(web.port))


async def test_a_server_that_goes_in_good_order_still_answers() -> None:
    def speak(connection: H2Connection) -> None:
        connection._data_to_send += b"\0\0\x08\x07\0\0\0\0\0" + struct.pack("!II", 1, 0)
        answering()(connection)

    async with speaking(speak) as web:
        await asked(check(web.port))


SETTINGS = b"\0\0\0\4\0\0\0\0\0"


@pytest.mark.parametrize(
    "piece",
    [
        b"\0\0\x08\6\0\0\0\0\0" + b"ping ing",
        SETTINGS,
        b"\0\0\4\x08\0\0\0\0\0\0\0\0\1",
        b"\0\0\0\x99\0\0\0\0\0",
    ],
    ids=["ping", "settings", "window", "unknown"],
)
async def test_a_server_that_never_ends(piece: bytes) -> None:
    async with serving(endless(SETTINGS, piece * 1000)) as web:
        await fails(check(web.port), Reason.PROTOCOL, "which are no answer")


@pytest.mark.parametrize(
    ("start", "sentence"),
    [
        (SETTINGS + b"\0\0\4\x08\0\0\0\0\1\0\0\0\0", "breaks HTTP/2"),  # a window that grows by nothing
        (SETTINGS + b"\0\0\4\x08\0\0\0\0\0\x7f\xff\xff\xff", "breaks HTTP/2"),  # one that grows too large
        (b"\0\0\6\4\0\0\0\0\0\0\4\xff\xff\xff\xff", "breaks HTTP/2"),  # its first size too large
        (SETTINGS + b"\xff\xff\xff\1\4\0\0\0\1", "breaks HTTP/2"),  # a frame of 16 MiB
        (SETTINGS + b"\0\0\1\1\4\0\0\0\1\xff", "breaks HTTP/2"),  # headers that are none
        (SETTINGS + b"\0\0\5\0\1\0\0\0\1hello", "breaks HTTP/2"),  # data before headers
        (SETTINGS + b"\0\0\4\5\4\0\0\0\1\0\0\0\2", "breaks HTTP/2"),  # a push, which was forbidden
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "speaks HTTP/1 on this port; it answers 400"),
        (b"HTTP/", "speaks HTTP/1 on this port"),
        (b"\x15\x03\x01\x00\x02\x02\x0a", "wants TLS on this port"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "breaks HTTP/2"),
    ],
)
async def test_what_is_no_http2(start: bytes, sentence: str) -> None:
    async with serving(then_hang(start)) as web:
        await fails(check(web.port), Reason.PROTOCOL, sentence)


async def test_headers_that_never_end_are_given_up() -> None:
    first = SETTINGS + b"\0\0\1\1\0\0\0\0\1\x88"
    async with serving(endless(first, b"\0\0\1\x09\0\0\0\0\1\x88" * 1000)) as web:
        await fails(check(web.port), Reason.PROTOCOL, "which are no answer")


async def test_time_is_up_at_each_step() -> None:
    # Asked without the prober, whose own deadline is so near that a busy machine may meet it first.
    with full() as port:
        asked = await ask(check(port, timeout="200ms"))
        assert (asked.reason, asked.sentence[:16]) == (Reason.CONNECT_TIMEOUT, "no connection to")
        assert dict(asked.run.evidences)["Phases"] == "resolve 0 s"
    with silent() as port:
        assert (await ask(check(port, timeout="200ms"))).sentence.startswith(f"no answer from 127.0.0.1:{port} within")
        assert (await ask(check(port, timeout="200ms", tls=True))).reason is Reason.TLS_HANDSHAKE
    async with serving(hang) as web:
        assert (await ask(check(web.port, timeout="200ms"))).reason is Reason.READ_TIMEOUT


async def test_a_web_server_is_no_grpc_server() -> None:
    async with serving(reply(b"hello")) as web:
        await fails(check(web.port), Reason.PROTOCOL, "speaks HTTP/1 on this port")


async def test_wrong_addresses() -> None:
    await fails(check(closed_port()), Reason.CONNECT_REFUSED, "connection refused")
    await fails(check(1, address="nowhere.invalid:1"), Reason.DNS, "cannot resolve")
    with silent() as port:
        await errs(check(port, tls={"ca_file": "/nowhere"}), Reason.INTERNAL, "cannot use the TLS settings (/nowhere)")


async def test_secrets_are_scrubbed() -> None:
    async with speaking(answering(b"", "14", said="who is t0ken-of-mine")) as web:
        probe = check(web.port, headers={"authorization": "Bearer t0ken-of-mine", "x-tenant": "a"})
        result = await fails(probe, Reason.STATUS, "who is ***")
    assert probe.secrets() == ("Bearer t0ken-of-mine", "t0ken-of-mine")
    assert "t0ken" not in result.sentence


@given(st.binary(max_size=40))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    try:
        assert _grpc_health.serving_of(message(body), "x")
    except Failed as why:
        assert why.reason is Reason.PROTOCOL


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"address": "127.0.0.1"}, "names no port"),
        ({"headers": {"Authorization": "x"}}, "can't be sent as metadata"),
        ({"headers": {"grpc-timeout": "1S"}}, "can't be sent as metadata"),
        ({"headers": {"te": "x"}}, "can't be sent as metadata"),
        ({"headers": {"x-name": "ü"}}, "base64 under x-name-bin"),
        ({"authority": "a b"}, "pattern"),
    ],
)
def test_mistakes_are_named(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        check(1, **fields)
    assert sentence in str(caught.value)


def test_what_is_watched() -> None:
    assert check(1).target == "127.0.0.1:1"
    assert check(1, service="a.B").target == "127.0.0.1:1/a.B"
    assert _grpc_health.question("x" * 200)[:8] == b"\0\0\0\0\xcb\x0a\xc8\x01"


async def test_cancelled_anywhere_nothing_stays_open() -> None:
    async with speaking(lambda it: None) as web:
        await fails(check(web.port, timeout="1s"), Reason.READ_TIMEOUT)
        await web.quiet.wait()
        for steps in range(20):
            before = open_files()
            task = asyncio.create_task(check(web.port, timeout="5s").probe(Run()))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with asyncio.timeout(5):
                # The server's end of it goes when the server has seen ours go.
                while web.open or open_files() - before:
                    await asyncio.sleep(0)


async def test_the_whole_server_is_asked_for_an_alert(temporal: Temporal) -> None:
    run = Run()
    await check(temporal.port, service="no.such.Service").diagnose(run)
    assert evidence(run, "The whole server") == "it says that it is SERVING"
    run = Run()
    await check(closed_port(), service="x").diagnose(run)
    assert "connection refused" in evidence(run, "The whole server")
    assert not run.measurements
