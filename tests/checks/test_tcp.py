"""Kind tcp: connecting, talking, listening; plain and over TLS."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from checks.base import Reason
from checks.tcp import Tcp, unescaped
from checks.wire import contexts
from tests.checks.web import Authority, ask, closed_port, endless, full, hang, serving, silent, then_hang


def check(port: int, *steps: dict[str, Any], **fields: Any) -> Tcp:
    address = {"name": "port", "address": f"127.0.0.1:{port}", "timeout": "300ms", "steps": steps}
    return Tcp.model_validate({**address, **fields})


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 ready\r\n")
    while line := await reader.readline():
        writer.write(b"you said " + line)


async def test_a_port_that_accepts() -> None:
    with silent() as port:
        asked = await ask(check(port))
    assert asked.fault is None
    assert asked.run.took == asked.value("phase_seconds", phase="connect")
    assert asked.value("tls") == 0


async def test_refused_and_silent() -> None:
    refused = await ask(check(closed_port()))
    with full() as port:
        hanging = await ask(check(port))
    assert refused.reason is Reason.CONNECT_REFUSED
    assert hanging.reason is Reason.CONNECT_TIMEOUT


async def test_a_conversation() -> None:
    steps = (
        {"expect": "^220 "},
        {"send": r"hello \x41\r\n"},
        {"expect": "said hello A"},
        {"send": "x\\n"},
        {"expect": "x"},
    )
    async with serving(echo) as web:
        asked = await ask(check(web.port, *steps, timeout="5s"))
    assert asked.fault is None
    assert asked.value("phase_seconds", phase="processing") is not None


@pytest.mark.parametrize(
    ("said", "reason", "sentence"),
    [
        (b"421 busy\x07\r\n", Reason.READ_TIMEOUT, "did not say '^220' within 0.3 s"),
        (b"", Reason.READ_TIMEOUT, "did not say '^220' within 0.3 s"),
    ],
)
async def test_the_wrong_words(said: bytes, reason: Reason, sentence: str) -> None:
    async with serving(then_hang(said)) as web:
        asked = await ask(check(web.port, {"expect": "^220"}))
    assert asked.reason is reason
    assert sentence in asked.sentence
    assert dict(asked.run.evidences).get("Heard", "") == said.decode().replace("\x07", "\\x07").replace("\r", "\\x0d")


async def test_hanging_up_and_flooding() -> None:
    async def brief(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")

    async with serving(brief) as web, serving(endless(b"", b"x" * 4096)) as flood:
        gone = await ask(check(web.port, {"expect": "220"}))
        flooded = await ask(check(flood.port, {"expect": "220"}, timeout="5s"))
    assert gone.sentence.endswith("hung up before it said '220'")
    assert flooded.reason is gone.reason is Reason.ASSERTION
    assert "none of them '220'" in flooded.sentence


async def test_a_target_that_takes_nothing() -> None:
    with silent() as port:
        asked = await ask(check(port, {"send": "x" * 20_000_000}))
    assert asked.reason is Reason.READ_TIMEOUT
    assert "did not take what we sent" in asked.sentence


async def test_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    steps = ({"expect": "220"}, {"send": "a\\n"}, {"expect": "said a"})
    fields = {"timeout": "5s", "tls": {"ca_file": authority.file, "server_name": "mail.example.com"}}
    async with serving(echo, tls=authority.server("mail.example.com", days=9)) as web:
        asked = await ask(check(web.port, *steps, **fields))
        unknown = await ask(check(web.port, timeout="5s", tls=True))
    assert asked.fault is None
    assert asked.value("tls") == 1
    left = unknown.value("certificate_expires_in")
    assert left is not None
    assert 8.9 < left / 86400 <= 9
    assert unknown.reason is Reason.TLS_HANDSHAKE


async def test_hang_ups_are_heard_over_ipv6_too() -> None:
    async with serving(hang, host="::1") as web:
        asked = await ask(check(0, address=f"[::1]:{web.port}"))
    assert asked.fault is None
    assert asked.value("ip_protocol") == 6


@pytest.mark.parametrize("address", ["localhost", ":80", "host:", "host:0", "host:99999", "a b:1"])
def test_addresses_that_lead_nowhere(address: str) -> None:
    with pytest.raises(ValidationError):
        Tcp.model_validate({"name": "n", "address": address})


@pytest.mark.parametrize("step", [{}, {"send": "a", "expect": "b"}, {"expect": "("}])
def test_steps_that_make_no_sense(step: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        check(1, step)


@pytest.mark.parametrize(
    ("text", "data"),
    [(r"a\r\n", b"a\r\n"), (r"\x00\xff\\n", b"\x00\xff\\n"), ("ü", "ü".encode()), ("\\q", b"\\q"), ("a\n", b"a\n")],
)
def test_escapes(text: str, data: bytes) -> None:
    assert unescaped(text) == data


def test_what_is_watched() -> None:
    assert check(1, address="db.example.com:5432").target == "db.example.com:5432"


@pytest.mark.parametrize("rustls", [True, False])
async def test_the_end_of_an_encrypted_stream_is_heard_on_a_connection_that_stays_open(
    rustls: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contexts, "RUSTLS", rustls)
    authority = Authority(tmp_path)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Says farewell in TLS' words; TCP's follows only after ours, which never comes.
        writer.close()

    tls = {"ca_file": authority.file, "server_name": "localhost"}
    async with serving(handle, tls=authority.server("localhost")) as web:
        asked = await ask(check(web.port, {"expect": "x"}, tls=tls))
    assert "hung up before it said 'x'" in asked.sentence


async def test_encryption_in_the_middle_of_a_conversation(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = authority.server("mail.example")

    async def mail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready for 7\r\n")
        assert await reader.readline() == b"STARTTLS 7\r\n"
        writer.write(b"220 go ahead\r\n")
        await writer.start_tls(context)
        assert await reader.readline() == b"EHLO\r\n"
        writer.write(b"250-one\r\n250 two\r\n")
        await writer.drain()
        await hang(reader, writer)

    steps = [
        {"expect": r"^220 .*(\d)"}, {"send": r"STARTTLS ${1}${2}\r\n"}, {"expect": "^220 go"}, {"starttls": True},
        {"send": r"EHLO\r\n"}, {"expect": "^250 two"},
    ]  # fmt: skip
    tls = {"ca_file": authority.file, "server_name": "mail.example"}
    async with serving(mail) as web:
        asked = await ask(check(web.port, *steps, tls=tls, timeout="2s"))
        assert asked.fault is None, asked.sentence
        assert asked.value("tls_info", version="TLS 1.3") == 1
        assert asked.value("failed_by_regex") == 0
        wrong = await ask(check(web.port, *steps, tls={"ca_file": authority.file}, timeout="2s"))
        assert wrong.reason is Reason.TLS_NAME, wrong.sentence


@pytest.mark.parametrize(
    ("steps", "tls"), [([{"starttls": True}], None), ([{"starttls": True}, {"starttls": True}], True)]
)
def test_encryption_that_makes_no_sense(steps: list[dict[str, Any]], tls: Any) -> None:
    with pytest.raises(ValidationError, match="starttls can be one step"):
        check(1, *steps, tls=tls)


async def test_no_expression_is_slow_for_any_answer() -> None:
    # Backtracking would take longer than the universe has lasted.
    async with serving(then_hang(b"a" * 5000)) as web:
        asked = await ask(check(web.port, {"expect": "(a+)+(a|aa)+!"}))
    assert asked.reason is Reason.ASSERTION
    assert asked.value("failed_by_regex") == 1


async def test_bytes_that_are_no_text_are_found() -> None:
    async with serving(then_hang(b"\xff\xfe\0gr\xc3\xb6\xc3\x9fe")) as web:
        asked = await ask(check(web.port, {"expect": r"^\xff.\x00größe"}))
    assert asked.fault is None, asked.sentence
