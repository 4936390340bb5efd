"""What blackbox_exporter does, as tables of ours; and the real one beside us on the same targets, value by value."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from checks.base import Reason
from checks.grpc import Grpc
from checks.http import Http
from checks.icmp import Icmp
from checks.tcp import Tcp
from checks.tls import Tls
from monitor.demo.servers import Temporal
from tests.checks import name_servers as names
from tests.checks import test_grpc as calls
from tests.checks.blackbox import Blackbox, Series, ours
from tests.checks.web import Authority, Web, ask, closed_port, hang, reply, routes, serving, then_hang

A, SOA = names.ADDRESS, names.soa(2026)
PLAIN = "text/plain; charset=utf-8"


def http(url: str, **fields: Any) -> Http:
    return Http.model_validate({"name": "web", "url": url, "timeout": "3s", **fields})


@pytest.mark.parametrize(
    ("status", "fields", "reason"),
    [
        # valid_status_codes: 2xx where nothing is said
        ("200 OK", {}, None), ("204 No Content", {}, None), ("299 Odd", {}, None), ("300 Many", {}, Reason.STATUS),
        ("404 Not Found", {}, Reason.STATUS), ("500 Oops", {}, Reason.STATUS), ("100 Continue", {}, Reason.PROTOCOL),
        ("404 Not Found", {"expect": {"status": [404, 405]}}, None),
        ("200 OK", {"expect": {"status": [404, 405]}}, Reason.STATUS),
        # follow_redirects: false
        ("302 Found", {"follow_redirects": False}, Reason.STATUS),
        ("302 Found", {"follow_redirects": False, "expect": {"status": 302}}, None),
    ],
)  # fmt: skip
async def test_http_status(status: str, fields: dict[str, Any], reason: Reason | None) -> None:
    async with serving(reply(b"", status, "Location: /")) as web:
        asked = await ask(http(web.url(), **fields))
    assert asked.reason is reason, asked.sentence


@pytest.mark.parametrize(
    ("expect", "reason", "by_regex"),
    [
        # fail_if_body_matches_regexp, fail_if_body_not_matches_regexp
        ({"body_not_regex": "could not connect to database"}, Reason.ASSERTION, 1),
        ({"body_not_regex": "all is well"}, None, 0),
        ({"body_regex": "could not (connect|reach)"}, None, 0),
        ({"body_regex": "all is well"}, Reason.ASSERTION, 1),
        # fail_if_header_matches, fail_if_header_not_matches
        ({"headers_not": {"Content-Type": "text/html"}}, Reason.ASSERTION, 1),
        ({"headers_not": {"content-type": "text/javascript"}}, None, 0),
        ({"headers_not": {"X-Absent": ".*"}}, None, 0),
        ({"headers": {"Content-Type": "^text/html"}}, None, 0),
        ({"headers": {"Content-Type": "^text/plain"}}, Reason.ASSERTION, 1),
        ({"headers": {"X-Absent": ".*"}}, Reason.ASSERTION, 1),
        # a status that is wrong says nothing of the text
        ({"status": 404, "body_regex": "all is well"}, Reason.STATUS, None),
    ],
)
async def test_http_fail_if(expect: dict[str, Any], reason: Reason | None, by_regex: float | None) -> None:
    async with serving(reply(b"could not connect to database", "200 OK", "Content-Type: text/html")) as web:
        asked = await ask(http(web.url(), expect=expect))
    assert asked.reason is reason, asked.sentence
    assert asked.value("failed_by_regex") == by_regex


@pytest.mark.parametrize(
    ("secure", "expected", "reason"),
    [
        # fail_if_ssl, fail_if_not_ssl
        (False, True, Reason.ASSERTION), (True, True, None), (True, False, Reason.ASSERTION), (False, False, None),
    ],
)  # fmt: skip
async def test_http_encryption_wanted_or_not(
    secure: bool, expected: bool, reason: Reason | None, authority: Authority
) -> None:
    async with serving(reply(b""), tls=authority.server("localhost") if secure else None) as web:
        url = web.url(scheme="https" if secure else "http", host="localhost")
        tls = {"ca_file": authority.file}
        asked = await ask(http(url, expect_tls=expected, tls=tls))
        async with serving(reply(b"", "302 Found", f"Location: {url}")) as first:
            redirected = await ask(http(first.url(), expect_tls=expected, tls=tls))
    assert asked.reason is redirected.reason is reason


@pytest.mark.parametrize(
    ("path", "fields", "reason", "followed"),
    [
        ("/once", {}, None, 1),
        ("/once", {"max_redirects": 0}, Reason.PROTOCOL, None),
        ("/loop", {}, Reason.PROTOCOL, None),
        ("/nowhere", {}, Reason.PROTOCOL, None),
    ],
)
async def test_http_redirects(path: str, fields: dict[str, Any], reason: Reason | None, followed: int | None) -> None:
    web = Web()
    answers = {
        "/": reply(b"here"),
        "/once": reply(b"", "301 Moved", "Location: /"),
        "/loop": reply(b"", "302 Found", "Location: /loop"),
        "/nowhere": reply(b"", "302 Found", "Location: gopher://x"),
    }
    async with serving(routes(lambda: web, answers)) as server:
        asked = await ask(http(server.url(path), **fields))
    assert asked.reason is reason, asked.sentence
    assert asked.value("redirects") == followed


LINES = [{"expect": "^220 (.*)$"}, {"send": r"HELO ${1}\r\n"}, {"expect": r"^250 hello (\S+)"}, {"send": r"QUIT\r\n"}]


@pytest.mark.parametrize(
    ("said", "steps", "reason", "by_regex"),
    [
        # query_response
        (b"220 mail ready\r\n", LINES, None, 0),
        (b"SSH-2.0-OpenSSH_9.2\r\n", [{"expect": "^SSH-2.0-"}], None, 0),
        (b"SSH-1.99-old\r\n", [{"expect": "^SSH-2.0-"}], Reason.ASSERTION, 1),
        (b"220-one\r\n220-two\r\n220 three\r\n", [{"expect": "^220 three"}], None, 0),
        (b"", [{"expect": "."}], Reason.ASSERTION, 1),
        (b"anything", [], None, None),
    ],
)
async def test_tcp_conversations(
    said: bytes, steps: list[dict[str, Any]], reason: Reason | None, by_regex: float | None
) -> None:
    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        if steps is LINES:
            writer.write(b"250 hello " + (await reader.readline()).removeprefix(b"HELO "))

    async with serving(server) as web:
        asked = await ask(Tcp.model_validate({"name": "p", "address": f"127.0.0.1:{web.port}", "steps": steps}))
    assert asked.reason is reason, asked.sentence
    assert asked.value("failed_by_regex") == by_regex


@pytest.mark.parametrize(
    ("reply_", "fields", "reason"),
    [
        # valid_rcodes
        (names.answer(A), {}, None),
        (names.answer(code=2), {}, Reason.DNS),
        (names.answer(code=2), {"expect": {"code": ["NOERROR", "SERVFAIL"]}}, None),
        (names.answer(A), {"expect": {"code": "NXDOMAIN"}}, Reason.DNS),
        # validate_answer_rrs: fail_if_matches_regexp, fail_if_all_match_regexp, fail_if_not_matches_regexp,
        # fail_if_none_matches_regexp; the same for the other sections
        (names.answer(A), {"expect": {"answer": {"none": r".*\t127.*"}}}, None),
        (names.answer(A), {"expect": {"answer": {"none": "192"}}}, Reason.ASSERTION),
        (names.answer(A), {"expect": {"answer": {"not_every": "192"}}}, Reason.ASSERTION),
        (names.answer(A), {"expect": {"answer": {"every": "192"}}}, None),
        (names.answer(A), {"expect": {"answer": {"every": "127"}}}, Reason.ASSERTION),
        (names.answer(A), {"expect": {"answer": {"some": "192"}}}, None),
        (names.answer(A, authority=(A,)), {"expect": {"authority": {"some": "127"}}}, Reason.ASSERTION),
        (names.answer(A, additional=(A,)), {"expect": {"additional": {"none": "192"}}}, Reason.ASSERTION),
        # An answer without records is one: ours wants to be told so.
        (names.answer(), {}, Reason.DNS),
        (names.answer(), {"expect": {"at_least": 0}}, None),
    ],
)
async def test_dns_answers(reply_: names.Answer, fields: dict[str, Any], reason: Reason | None) -> None:
    for transport in ("udp", "tcp"):
        async with names.serving(reply_) as port:
            asked = await ask(names.check(port, transport=transport, **fields))
        assert asked.reason is reason, asked.sentence


@pytest.mark.parametrize("recursion", [True, False])
async def test_dns_recursion_is_wanted_or_not(recursion: bool) -> None:
    flags = []

    def remembering(question: bytes) -> list[bytes]:
        flags.append(question[2] & 1)
        return names.answer(A)(question)

    async with names.serving(remembering) as port:
        await ask(names.check(port, recursion=recursion))
    assert flags == [recursion]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


MODULES = """
modules:
  http: {{prober: http, timeout: 3s, http: {{preferred_ip_protocol: ip4, fail_if_body_not_matches_regexp: [hello],
         tls_config: {tls}}}}}
  packed: {{prober: http, timeout: 3s, http: {{preferred_ip_protocol: ip4, compression: gzip,
         headers: {{Accept-Encoding: gzip}}, fail_if_body_not_matches_regexp: [hello]}}}}
  tcp: {{prober: tcp, timeout: 3s, tcp: {{preferred_ip_protocol: ip4, query_response: [{{expect: "^220 "}}]}}}}
  tls: {{prober: tcp, timeout: 3s, tcp: {{preferred_ip_protocol: ip4, tls: true, tls_config: {tls}}}}}
  icmp: {{prober: icmp, timeout: 3s, icmp: {{preferred_ip_protocol: ip4}}}}
  icmp6: {{prober: icmp, timeout: 3s, icmp: {{preferred_ip_protocol: ip6}}}}
  a: {{prober: dns, timeout: 3s, dns: {{preferred_ip_protocol: ip4, query_name: shop.example.com, query_type: A}}}}
  soa: {{prober: dns, timeout: 3s, dns: {{preferred_ip_protocol: ip4, query_name: shop.example.com, query_type: SOA,
         transport_protocol: tcp}}}}
  grpc: {{prober: grpc, timeout: 3s, grpc: {{preferred_ip_protocol: ip4, service: {service}}}}}
"""


class Unprivileged(Blackbox):
    as_nobody = False


@pytest_asyncio.fixture
async def blackbox(authority: Authority, tmp_path: Path) -> AsyncIterator[Blackbox]:
    tls = f"{{ca_file: {authority.file}, server_name: localhost}}"
    server = Unprivileged(tmp_path / "blackbox", MODULES.format(tls=tls, service=calls.OURS))
    try:
        yield await server.start()
    finally:
        await server.kill()


TIMES = {
    "probe_duration_seconds", "probe_dns_lookup_time_seconds", "probe_http_duration_seconds",
    "probe_dns_duration_seconds", "probe_icmp_duration_seconds", "probe_grpc_duration_seconds",
}  # fmt: skip
"""What differs from one probe to the next."""

NOT_SHOWN = {
    "probe_ip_addr_hash": "a hash says less than the address, which evidence and sentences name",
    "probe_ssl_last_chain_expiry_timestamp_seconds": "the chain that lasts longest hides the others",
    "probe_ssl_last_chain_info": "labels that change with each certificate are a new series each time",
}
"""Families of theirs that we do without, and why."""


def same(theirs: Series, mine: Series) -> None:
    """Both show the same families, with the same labels and, but for times, the same values."""
    theirs = {key: value for key, value in theirs.items() if key[0] not in NOT_SHOWN}
    for (name, labels), value in theirs.items():
        match name:
            case "probe_http_content_length" if value == -1:
                # They say -1 where there is none, and we nothing.
                assert (name, labels) not in mine
            case "probe_failed_due_to_regex" | "probe_ssl_earliest_cert_expiry" if value == 0:
                # We say it where there is a pattern, or a certificate.
                assert mine.get((name, labels), 0.0) == 0
            case _ if name in TIMES:
                # A phase that was not gone through is 0 to them and absent with us; UDP connects to nobody.
                assert value == 0 or labels == {("phase", "connect")} or mine[name, labels] >= 0, name
            case _:
                assert mine[name, labels] == value, name
    extra = {key for key in mine.keys() - theirs.keys() if key[0] not in TIMES}
    assert not extra


async def compare(blackbox: Blackbox, module: str, target: str, check: Any, *, up: float = 1.0) -> Series:
    theirs = await blackbox.probe(module, target)
    assert theirs["probe_success", frozenset()] == up, theirs
    same(theirs, await ours(check))
    return theirs


async def test_http_beside_the_real_one(blackbox: Blackbox, authority: Authority) -> None:
    hello: dict[str, Any] = {"expect": {"body_regex": "hello"}}
    dated = reply(b"hello", "200 OK", "Last-Modified: Mon, 23 Nov 2026 01:00:00 GMT")
    packed = reply(gzip.compress(b"hello" * 100), "200 OK", "Content-Encoding: gzip")
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    old = b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    async with serving(packed) as web:
        await compare(blackbox, "packed", web.url(), http(web.url(), headers={"Accept-Encoding": "gzip"}, **hello))
    for answer in (dated, chunked, old, reply(b"hello", length=False)):
        async with serving(answer) as web:
            await compare(blackbox, "http", web.url(), http(web.url(), **hello))
    for answer in (reply(b"bye"), reply(b"hello", "503 Busy"), reply(b"hello", "404 Not Found")):
        async with serving(answer) as web:
            await compare(blackbox, "http", web.url(), http(web.url(), **hello), up=0.0)
    tls = {"ca_file": authority.file, "server_name": "localhost"}
    async with serving(reply(b"hello"), tls=authority.server("localhost", "127.0.0.1")) as secure:
        url = secure.url(scheme="https")
        await compare(blackbox, "http", url, http(url, tls=tls, **hello))
        async with serving(reply(b"", "302 Found", f"Location: {url}")) as first:
            shown = await compare(blackbox, "http", first.url(), http(first.url(), tls=tls, **hello))
    assert shown["probe_http_redirects", frozenset()] == shown["probe_http_ssl", frozenset()] == 1


async def test_tcp_and_tls_beside_the_real_one(blackbox: Blackbox, authority: Authority) -> None:
    def tcp(port: int, **fields: Any) -> Tcp:
        return Tcp.model_validate({"name": "p", "address": f"127.0.0.1:{port}", "timeout": "3s", **fields})

    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"421 busy\r\n")

    steps = [{"expect": "^220 "}]
    async with serving(then_hang(b"220 ready\r\n")) as web:
        await compare(blackbox, "tcp", f"127.0.0.1:{web.port}", tcp(web.port, steps=steps))
    async with serving(closing) as web:
        theirs = await blackbox.probe("tcp", f"127.0.0.1:{web.port}")
        mine = await ours(tcp(web.port, steps=steps))
    for name in ("probe_success", "probe_failed_due_to_regex"):
        assert theirs[name, frozenset()] == mine[name, frozenset()]
    settings = {"ca_file": authority.file, "server_name": "localhost"}
    for days in (30, 400):
        async with serving(hang, tls=authority.server("localhost", days=days)) as web:
            target = f"127.0.0.1:{web.port}"
            await compare(blackbox, "tls", target, tcp(web.port, tls=settings))
            watched = Tls.model_validate({"name": "c", "address": target, "tls": settings})
            await compare(blackbox, "tls", target, watched)
    async with serving(hang, tls=authority.server("localhost", days=-1)) as web:
        theirs, mine = await blackbox.probe("tls", f"127.0.0.1:{web.port}"), await ours(tcp(web.port, tls=settings))
    assert theirs["probe_success", frozenset()] == mine["probe_success", frozenset()] == 0
    # Of a certificate that is refused they show nothing, and we when it expired.
    assert ("probe_ssl_earliest_cert_expiry", frozenset()) in mine
    assert ("probe_ssl_earliest_cert_expiry", frozenset()) not in theirs


async def test_dns_beside_the_real_one(blackbox: Blackbox) -> None:

    def modern(question: bytes) -> list[bytes]:
        """Gives EDNS' record to whoever speaks it: ours, which does, does not count it."""
        more = (A, names.option(3, b"")) if question[11] else (A,)
        return names.answer(A, A, authority=(SOA,), additional=more)(question)

    async with names.serving(modern) as port:
        await compare(blackbox, "a", f"127.0.0.1:{port}", names.check(port))
    async with names.serving(names.answer(SOA, authority=(A, A))) as port:
        shown = await compare(blackbox, "soa", f"127.0.0.1:{port}", names.check(port, type="SOA", transport="tcp"))
        assert shown["probe_dns_serial", frozenset()] == 2026
    async with names.serving(names.answer(code=3, authority=(SOA,))) as port:
        await compare(blackbox, "a", f"127.0.0.1:{port}", names.check(port), up=0.0)


@pytest.mark.parametrize(("module", "host"), [("icmp", "127.0.0.1"), ("icmp6", "::1")])
async def test_icmp_beside_the_real_one(blackbox: Blackbox, module: str, host: str) -> None:
    check = Icmp.model_validate({"name": "p", "host": host, "count": 1})
    if not (await ours(check))["probe_success", frozenset()]:
        pytest.skip("this process may not open ICMP sockets")
    shown = await compare(blackbox, module, host, check)
    assert shown["probe_icmp_reply_hop_limit", frozenset()] == 64


async def test_grpc_beside_the_real_one(blackbox: Blackbox, temporal: Temporal) -> None:
    def grpc(port: int) -> Grpc:
        fields = {"name": "p", "address": f"127.0.0.1:{port}", "service": calls.OURS, "timeout": "3s"}
        return Grpc.model_validate(fields)

    await compare(blackbox, "grpc", f"127.0.0.1:{temporal.port}", grpc(temporal.port))
    async with calls.speaking(calls.answering(calls.message(b"\x08\x02"))) as web:
        await compare(blackbox, "grpc", f"127.0.0.1:{web.port}", grpc(web.port), up=0.0)
    port = closed_port()
    theirs, mine = await blackbox.probe("grpc", f"127.0.0.1:{port}"), await ours(grpc(port))
    assert theirs["probe_success", frozenset()] == mine["probe_success", frozenset()] == 0
