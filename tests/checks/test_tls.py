"""Kind tls: certificates of endpoints and of files."""

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from checks.base import Errored, Failed, Reason
from checks.tls import Tls
from checks.wire import contexts
from checks.wire.certificates import matches
from tests.checks.mounts import hanging_mount
from tests.checks.probing import Memory, errs
from tests.checks.web import Authority, Handle, ask, hang, serving, silent, threaded

DAY = 86400


@pytest.fixture(autouse=True, params=["openssl", "rustls"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything holds whichever library shakes hands."""
    if request.param == "rustls":
        pytest.importorskip("rtls")
    monkeypatch.setattr(contexts, "RUSTLS", request.param == "rustls")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def endpoint(port: int, authority: Authority, **fields: Any) -> Tls:
    address = {"name": "certificate", "timeout": "5s", "address": f"localhost:{port}"}
    return Tls.model_validate({**address, "tls": {"ca_file": authority.file}, **fields})


def pem(authority: Authority, *names: str, days: float = 30, key: bool = False, chain: bool = True) -> str:
    file = authority.folder / f"{names[0]}-{days}.pem"
    issued = authority.issue(*names, days=days)
    parts = [issued.private_key_pem] if key else []
    parts += [*issued.cert_chain_pems, authority.ca.cert_pem] if chain else issued.cert_chain_pems
    file.write_bytes(b"".join(part.bytes() for part in parts))
    return str(file)


def watched(file: str, **fields: Any) -> Tls:
    return Tls.model_validate({"name": "certificate", "timeout": "5s", "file": file, **fields})


async def test_an_endpoint(authority: Authority) -> None:
    with threaded(authority.server("localhost", "*.example.com", days=20)) as web:
        good = await ask(endpoint(web.port, authority, names=["localhost", "a.example.com"]))
        other = await ask(endpoint(web.port, authority, names=["a.b.example.com"]))
    assert good.fault is None
    left = good.value("certificate_expires_in")
    assert left is not None
    assert 19.9 < left / DAY <= 20
    assert good.value("tls_version") == 1.3
    assert good.value("certificates") == 1
    assert "for localhost, *.example.com" in dict(good.run.evidences)["Certificates"]
    assert other.reason is Reason.TLS_NAME
    assert "is not for a.b.example.com" in other.sentence


async def test_an_expired_one_and_a_silent_one(authority: Authority) -> None:
    with threaded(authority.server("localhost", days=-1, began=-3)) as web:
        expired = await ask(endpoint(web.port, authority))
    with silent() as port:
        quiet = await ask(endpoint(port, authority, timeout="300ms"))
    assert expired.reason is Reason.TLS_EXPIRED
    left = expired.value("certificate_expires_in")
    assert left is not None
    assert left < 0
    assert quiet.reason is Reason.TLS_HANDSHAKE


def talking(*turns: tuple[bytes, bytes]) -> Handle:
    """A server that waits for each question and gives its answer, then hangs."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for question, answer in turns:
            assert await reader.readexactly(len(question)) == question
            writer.write(answer)
        await hang(reader, writer)

    return handle


SMTP = (b"", b"220-hello\r\n220 mail\r\n"), (b"EHLO runwatch\r\n", b"250-mail\r\n250 STARTTLS\r\n")
POSTGRES = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


@pytest.mark.parametrize(
    ("protocol", "turns", "agrees"),
    [
        ("smtp", (*SMTP, (b"STARTTLS\r\n", b"220 go\r\n")), True),
        ("smtp", (*SMTP, (b"STARTTLS\r\n", b"454 no\r\n")), False),
        ("imap", ((b"", b"* OK imap\r\n"), (b"a1 STARTTLS\r\n", b"a1 OK go\r\n")), True),
        ("imap", ((b"", b"* BYE\r\n"),), False),
        ("postgres", ((POSTGRES, b"S"),), True),
        ("postgres", ((POSTGRES, b"N"),), False),
    ],
)
async def test_starttls(authority: Authority, protocol: str, turns: Any, agrees: bool) -> None:
    async with serving(talking(*turns)) as web:
        asked = await ask(endpoint(web.port, authority, starttls=protocol, timeout="500ms"))
    if agrees:
        assert asked.sentence == f"no TLS handshake from 127.0.0.1:{web.port} within 0.5 s"
    else:
        assert asked.reason is Reason.PROTOCOL
        assert "does not agree to encryption" in asked.sentence


async def test_a_file(authority: Authority) -> None:
    file = pem(authority, "shop.example.com", days=12, key=True)
    asked = await ask(watched(file, names=["shop.example.com"], key_file=file))
    assert asked.fault is None
    at = asked.value("certificate_expires")
    assert at is not None
    assert at - time.time() == pytest.approx(12 * DAY, abs=60)
    assert asked.value("certificates") == 2


async def test_files_that_are_wrong(authority: Authority, tmp_path: Path) -> None:
    file = pem(authority, "shop.example.com")
    expired = await ask(watched(pem(authority, "old.example.com", days=-3)))
    name = await ask(watched(file, names=["www.example.com"]))
    key = await ask(watched(file, key_file=pem(authority, "other.example.com", key=True)))
    (tmp_path / "broken").write_bytes(Path(file).read_bytes() + Path(file).read_bytes())
    broken = await ask(watched(str(tmp_path / "broken")))
    (tmp_path / "empty").write_bytes(b"nothing")
    empty = await ask(watched(str(tmp_path / "empty")))
    missing = await ask(watched(str(tmp_path / "missing")))
    assert expired.reason is Reason.TLS_EXPIRED
    assert "expired 3.0 days ago" in expired.sentence
    assert expired.value("certificate_expires") is not None
    assert name.reason is Reason.TLS_NAME
    assert "does not belong to the certificate" in key.sentence
    assert "the chain in" in broken.sentence
    assert "there is no readable certificate" in empty.sentence
    assert missing.sentence == f"cannot read {tmp_path / 'missing'}: no such file or directory"
    assert not [asked for asked in (expired, name, key, broken, empty, missing) if isinstance(asked.fault, Errored)]


async def test_what_is_no_file_is_told_at_once_and_keeps_no_thread(authority: Authority, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    before = set(threading.enumerate())
    for path, sort in ((tmp_path / "pipe", "a pipe"), (Path("/dev/zero"), "a device"), (tmp_path, "a directory")):
        asked = await ask(watched(str(path)))
        assert isinstance(asked.fault, Failed)
        assert asked.sentence == f"cannot read {path}: it is {sort}, not a file"
    if not os.geteuid():
        asked = await ask(watched("/proc/kmsg"))
        assert isinstance(asked.fault, Failed) and "/proc/kmsg" in asked.sentence
    for thread in {one for one in threading.enumerate() if one.name == "runwatch-work"} - before:
        await asyncio.to_thread(thread.join, 5)
        assert not thread.is_alive()
    assert (await ask(watched(pem(authority, "shop.example.com")))).fault is None


async def test_a_file_system_that_hangs_is_ours_and_is_asked_once(authority: Authority, tmp_path: Path) -> None:
    memory: Memory = {}
    (tmp_path / "far").mkdir()
    check = watched(str(tmp_path / "far/cert.pem"), timeout="1s")
    with hanging_mount(tmp_path / "far"):
        await errs(check, Reason.INTERNAL, "cert.pem: no answer from the file system within 1 s", memory=memory)
        for _ in range(5):
            await errs(check, Reason.INTERNAL, "cert.pem: the file system has not answered for", memory=memory)
        assert (await ask(watched(pem(authority, "shop.example.com")))).fault is None


@pytest.mark.parametrize(
    "fields",
    [{}, {"file": "a", "address": "b"}, {"address": "b", "key_file": "k"}, {"address": "https:///x"}],
)
def test_what_is_not_configured(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Tls.model_validate({"name": "n", **fields})


def test_ports_that_go_without_saying() -> None:
    assert Tls.model_validate({"name": "n", "address": "shop.example.com"}).target == "shop.example.com"


@pytest.mark.parametrize(
    ("pattern", "name", "covered"),
    [
        ("a.example", "A.example", True),
        ("*.example", "a.example", True),
        ("*.example", "a.b.example", False),
        ("*.example", "example", False),
        ("*.example", ".example", False),
        ("a*.example", "ab.example", False),
    ],
)
def test_names_of_certificates(pattern: str, name: str, covered: bool) -> None:
    assert matches(pattern, name) is covered
