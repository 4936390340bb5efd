"""Kind http over TLS: certificates that are right, expired, strangers', for another name; and our own."""

import asyncio
import gc
import os
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import trustme

from checks.base import Errored, Failed, Reason, Run
from checks.http import Http
from checks.wire import contexts, tls
from checks.wire.fault import WireError
from checks.wire.patience import Patience
from tests.checks.web import Asked, Authority, Web, ask, reply, serving, silent, then_hang, threaded

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


def check(web: Web, authority: Authority | None, host: str = "localhost", **tls: Any) -> Http:
    settings = {"ca_file": authority.file} if authority else {}
    url = web.url(scheme="https", host=host)
    return Http.model_validate({"name": "shop", "timeout": "5s", "url": url, "tls": {**settings, **tls}})


def days_left(asked: Asked) -> float:
    left = asked.value("certificate_expires_in")
    at = asked.value("certificate_expires")
    assert left is not None
    assert at is not None
    assert at - time.time() == pytest.approx(left, abs=60)
    return round(left / DAY, 1)


async def test_a_good_certificate(authority: Authority) -> None:
    with threaded(authority.server("localhost", days=30)) as web:
        asked = await ask(check(web, authority))
    assert asked.fault is None
    assert asked.value("tls") == 1
    assert asked.value("phase_seconds", phase="tls") is not None
    assert days_left(asked) == 30


async def test_an_address_as_name(authority: Authority) -> None:
    with threaded(authority.server("127.0.0.1")) as web:
        asked = await ask(check(web, authority, "127.0.0.1"))
    assert asked.fault is None


async def test_expired(authority: Authority) -> None:
    with threaded(authority.server("localhost", days=-2, began=-90)) as web:
        asked = await ask(check(web, authority))
    assert asked.reason is Reason.TLS_EXPIRED
    assert "certificate of localhost expired 2.0 days ago: issued by" in asked.sentence
    assert "for localhost, valid 20" in asked.sentence
    assert days_left(asked) == -2


async def test_not_valid_yet(authority: Authority) -> None:
    with threaded(authority.server("localhost", days=9, began=1)) as web:
        asked = await ask(check(web, authority))
    assert asked.reason is Reason.TLS_EXPIRED
    assert "is not valid yet" in asked.sentence


async def test_wrong_name(authority: Authority) -> None:
    with threaded(authority.server("shop.example.com", "b.example.com", days=5)) as web:
        asked = await ask(check(web, authority))
        named = await ask(check(web, authority, server_name="shop.example.com"))
    assert asked.reason is Reason.TLS_NAME
    assert "certificate is not for localhost: issued by" in asked.sentence
    assert "for shop.example.com, b.example.com, valid" in asked.sentence
    assert days_left(asked) == 5
    assert named.fault is None


async def test_a_strangers_certificate(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other")
    with threaded(stranger.server("localhost", days=7)) as web:
        asked = await ask(check(web, authority))
        system = await ask(check(web, None))
        blind = await ask(check(web, None, verify=False))
    assert asked.reason is system.reason is Reason.TLS_HANDSHAKE
    assert "certificate of localhost is not trusted" in asked.sentence
    assert days_left(asked) == days_left(system) == days_left(blind) == 7
    assert blind.fault is None


async def test_self_signed(tmp_path: Path, authority: Authority) -> None:
    own = trustme.CA()
    pem = tmp_path / "self.pem"
    own.private_key_pem.write_to_path(str(pem))
    own.cert_pem.write_to_path(str(pem), append=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with threaded(context) as web:
        asked = await ask(check(web, authority))
    assert asked.reason is Reason.TLS_HANDSHAKE
    assert "self" in asked.sentence
    assert asked.value("certificate_expires") is not None


async def test_client_certificates(authority: Authority, tmp_path: Path) -> None:
    with threaded(authority.wanting_clients("localhost")) as web:
        without = await ask(check(web, authority))
        given = await ask(check(web, authority, cert_file=authority.client()))
    assert without.reason is Reason.TLS_HANDSHAKE
    assert "client certificate" in without.sentence
    assert given.fault is None


async def test_a_client_certificate_goes_to_no_other_origin(authority: Authority) -> None:
    with threaded(authority.wanting_clients("localhost")) as other:
        to = reply(b"", "302 Found", f"Location: {other.url(scheme='https', host='localhost')}")
        with threaded(authority.wanting_clients("localhost"), to) as web:
            asked = await ask(check(web, authority, cert_file=authority.client()))
    assert asked.reason is Reason.TLS_HANDSHAKE
    assert f":{other.port} refuses our client certificate, or wants one" in asked.sentence


async def test_a_renewed_authority_is_read_again(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    renewed = Authority(tmp_path / "new")
    with threaded(renewed.server("localhost")) as web:
        before = await ask(check(web, authority))
        Path(authority.file).write_bytes(Path(renewed.file).read_bytes())
        after = await ask(check(web, authority))
    assert before.reason is Reason.TLS_HANDSHAKE
    assert after.fault is None


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
async def test_a_file_that_is_no_use_is_our_fault(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    async with serving(reply()) as web:
        asked = await ask(check(web, None, ca_file=str(file)))
    assert isinstance(asked.fault, Errored)
    assert str(file) in asked.sentence


async def test_a_plain_target_is_named() -> None:
    async with serving(then_hang(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as web:
        asked = await ask(check(web, None))
    assert asked.reason is Reason.TLS_HANDSHAKE
    assert asked.sentence == f"127.0.0.1:{web.port} does not speak TLS on this port"


async def test_an_old_version_is_refused(authority: Authority) -> None:
    context = authority.server("localhost")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with threaded(context) as web:
        new = await ask(check(web, authority, min_version="1.3"))
        old = await ask(check(web, authority))
    assert new.reason is Reason.TLS_HANDSHAKE
    assert "protocol version" in new.sentence
    assert old.fault is None


async def test_what_rustls_can_not_do_openssl_does_from_then_on(authority: Authority) -> None:
    context = authority.server("localhost")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES256-SHA384")
    with threaded(context) as web:
        first = await ask(check(web, authority))
        connections = web.accepted
        again = await ask(check(web, authority))
    assert first.fault is again.fault is None
    assert web.accepted == connections + 1


async def test_many_checks_that_begin_at_once_share_one_context(authority: Authority) -> None:
    trust = contexts.Trust(ca_file=authority.file)
    with Patience(5) as first, Patience(5) as second:
        pairs = [(patience, contexts.suits_rustls(trust)) for patience in (first, second)]
        made = await asyncio.gather(*(contexts.context_for(trust, rustls, patience) for patience, rustls in pairs))
    assert made[0] is made[1]


async def test_a_trust_file_that_hangs_has_one_thread_and_holds_up_no_other(
    authority: Authority, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    hanging = (contexts.Trust(ca_file=str(pipe)), False, ())
    try:
        for _ in range(6):
            with Patience(0.05) as short, pytest.raises(WireError, match=r"within 0\.05 s"):
                await contexts._made(hanging, short)
        [thread] = [one for one in threading.enumerate() if one.name == "tls-contexts"]
        assert thread.daemon, "the process would wait for it to end"
        with Patience(5) as patience:
            assert await contexts.context_for(contexts.Trust(ca_file=authority.file), False, patience)
    finally:
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))


async def test_where_no_thread_can_be_had_the_next_one_who_asks_has_the_context_made(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    trust = contexts.Trust(ca_file=authority.file, protocols=("spdy/3",))
    with Patience(5) as patience:
        with monkeypatch.context() as meanwhile, pytest.raises(RuntimeError, match="new thread"):
            meanwhile.setattr(threading.Thread, "start", refuse)
            await contexts.context_for(trust, False, patience)
        assert await contexts.context_for(trust, False, patience)


async def test_a_pipe_is_no_trust_file(authority: Authority, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with threaded(authority.server("localhost")) as web:
        asked = await ask(check(web, authority, ca_file=str(tmp_path / "pipe")))
    assert isinstance(asked.fault, Errored)
    assert asked.sentence.endswith(f"{tmp_path / 'pipe'} is no file")


async def test_hanging_targets_hold_few_copies_of_the_system_s_trust_store() -> None:
    gc.collect()  # what an earlier test's faults still hold
    with silent() as port:
        one = Http.model_validate({"name": "one", "url": f"https://127.0.0.1:{port}/", "timeout": "2s"})
        probes = (one.probe(Run()) for _ in range(tls.RUSTLS_MOST + 10))
        ended = await asyncio.gather(*probes, return_exceptions=True)
    assert all(isinstance(fault, Failed) and fault.reason is Reason.TLS_HANDSHAKE for fault in ended)
    # The faults' tracebacks still hold the connections.
    assert tls._Copy.alive == (tls.RUSTLS_MOST if contexts.suits_rustls(contexts.Trust()) else 0)
    del ended
    # The loop lets go of the last callbacks in its next turn.
    await asyncio.sleep(0)
    gc.collect()
    assert tls._Copy.alive == 0
