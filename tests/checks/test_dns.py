"""Kind dns against real name servers on loopback that answer, lie and keep silent."""

import asyncio
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from checks.base import Reason, Run
from checks.dns import Dns
from checks.wire import dnsmessage, dnsrecords, resolve
from tests.checks.name_servers import ADDRESS, BOGUS, Answer, answer, check, option, record, serving
from tests.checks.probing import asked as probed
from tests.checks.probing import evidence, fails, value
from tests.checks.web import Authority, ask, closed_port
from tests.leaks import open_files


async def test_an_answer() -> None:
    async with serving(answer(ADDRESS)) as port:
        asked = await ask(check(port, expect={"answers": ["192.0.2.1"]}))
    assert asked.fault is None
    assert asked.value("answers") == asked.value("succeeded") == 1
    assert asked.value("ttl_seconds") == 300
    assert asked.run.took == asked.value("phase_seconds", phase="request")


async def test_what_does_not_fit_is_asked_by_tcp() -> None:
    async with serving(answer(flags=0x0200), answer(ADDRESS)) as port:
        asked = await ask(check(port))
        direct = await ask(check(port, transport="tcp"))
    assert asked.fault is direct.fault is None
    assert asked.value("answers") == direct.value("answers") == 1
    assert asked.value("phase_seconds", phase="connect") is not None


@pytest.mark.parametrize(
    ("reply", "expect", "reason", "sentence"),
    [
        (answer(code=3), {}, Reason.DNS, "NXDOMAIN for Shop.example.com A, expected NOERROR"),
        (answer(code=3), {"code": "NXDOMAIN"}, None, ""),
        (answer(code=2), {}, Reason.DNS, "SERVFAIL"),
        (answer(), {}, Reason.DNS, "0 records for Shop.example.com A, expected at least 1"),
        (answer(), {"at_least": 0}, None, ""),
        (answer(ADDRESS), {"answers": ["192.0.2.2"]}, Reason.ASSERTION, "lacks 192.0.2.2; it is 192.0.2.1"),
        (answer(ADDRESS), {"answers": []}, Reason.ASSERTION, "also has 192.0.2.1, which nobody expects"),
        (answer(ADDRESS), {"includes": ["192.0.2.1"]}, None, ""),
        (lambda _: [], {}, Reason.READ_TIMEOUT, "about Shop.example.com A within 0.3 s"),
        (answer(ADDRESS, number=1), {}, Reason.READ_TIMEOUT, "no answer"),
        (answer(ADDRESS, name=b"\x04evil\0"), {}, Reason.READ_TIMEOUT, "no answer"),
        (lambda question: [question[:5]], {}, Reason.PROTOCOL, "malformed answer: it ends too early"),
        (lambda _: [b"x"], {}, Reason.PROTOCOL, "malformed answer: it ends too early"),
        (lambda question: [bytes([question[0] ^ 1]) + b"stranger"], {}, Reason.READ_TIMEOUT, "no answer"),
        (lambda question: [question], {}, Reason.PROTOCOL, "no answer to one question"),
        (answer(b"\xc0\xff" + ADDRESS[2:]), {}, Reason.PROTOCOL, "malformed"),
    ],
)
async def test_judging(reply: Answer, expect: dict[str, Any], reason: Reason | None, sentence: str) -> None:
    async with serving(reply) as port:
        asked = await ask(check(port, expect=expect))
    assert asked.reason is reason
    assert sentence in asked.sentence


async def test_a_strangers_answer_before_the_right_one_is_passed_over() -> None:
    def both(question: bytes) -> list[bytes]:
        return answer(code=3, number=1)(question) + answer(ADDRESS)(question)

    async with serving(both) as port:
        asked = await ask(check(port))
    assert asked.fault is None


async def test_nobody_listens() -> None:
    asked = await ask(check(closed_port()))
    assert asked.reason is Reason.CONNECT_REFUSED
    assert asked.value("succeeded") == 0


async def test_cancelled_nothing_stays_open() -> None:
    async with serving(lambda _: []) as port:
        await ask(check(port))
        before = open_files()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await ask(check(port, timeout="5s"))
        assert not open_files() - before


@pytest.mark.parametrize(
    ("kind", "data", "shown"),
    [
        ("AAAA", bytes(15) + b"\1", "::1"),
        ("CNAME", b"\3WWW\xc0\x0c", "www.shop.example.com"),
        ("MX", b"\0\x0a\4mail\xc0\x0c", "10 mail.shop.example.com"),
        ("SRV", b"\0\1\0\2\0\x50\1a\0", "1 2 80 a"),
        ("TXT", b"\3v=1\2 x", "v=1 x"),
        ("CAA", b"\0\5issueca.example", '0 issue "ca.example"'),
        ("DS", struct.pack("!HBB", 2371, 13, 2) + b"\xab\xcd", "2371 13 2 AB CD"),
        ("DNSKEY", struct.pack("!HBB", 257, 3, 13) + b"abcd", "257 3 13 YW Jj ZA=="),
        ("TLSA", b"\3\1\1\xab", "3 1 1 AB"),
        ("SSHFP", b"\4\2\xab", "4 2 ab"),
        ("DNAME", b"\3www\0", "www"),
        ("NAPTR", b"\0\1", "0001"),
        (
            "HTTPS",
            b"\0\1\0" + b"\0\1\0\6\2h2\2h3" + b"\0\3\0\2\1\xbb" + b"\0\4\0\4\xc0\0\2\1" + b"\0\2\0\0" + b"\0\x63\0\1\1",
            "1 . alpn=h2,h3 port=443 ipv4hint=192.0.2.1 no-default-alpn key99=01",
        ),
        ("SOA", b"\2ns\xc0\x0c\1h\0" + struct.pack("!5I", 2026, 1, 2, 3, 4), "ns.Shop.example.com h 2026 1 2 3 4"),
    ],
)
async def test_every_type_is_shown_as_zone_files_write_it(kind: str, data: bytes, shown: str) -> None:
    async with serving(answer(record(dnsrecords.TYPES[kind], data))) as port:
        asked = await ask(check(port, type=kind, expect={"answers": [shown]}))
    assert asked.fault is None, asked.sentence
    assert asked.value("serial") == (2026 if kind == "SOA" else None)


@given(st.binary(max_size=600))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    try:
        dnsmessage.parse(b"\0\0\x81\x80\0\1" + data)
    except ValueError as why:
        assert str(why)


@pytest.mark.parametrize(
    "fields", [{"host": ""}, {"host": "a b"}, {"host": ".".join(["x" * 60] * 5)}, {"type": "ANY"}, {"server": "tcp://"}]
)
def test_what_can_not_be_asked(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        check(53, **fields)


def test_what_is_watched() -> None:
    assert check(53).target == "127.0.0.1:53/Shop.example.com"
    assert (
        Dns.model_validate({"name": "n", "host": "example.com", "server": "ns.example"}).target
        == "ns.example/example.com"
    )


async def test_addresses_are_turned_round_for_ptr() -> None:
    asked = []

    def remembering(question: bytes) -> list[bytes]:
        asked.append(dnsrecords.Reader(question).host(12))
        return answer(record(12, b"\3www\0"))(question)

    async with serving(remembering) as port:
        await probed(check(port, type="PTR", host="192.0.2.7"))
        await probed(check(port, type="PTR", host="2001:db8::1"))
    assert asked == ["7.2.0.192.in-addr.arpa", "1" + ".0" * 23 + ".8.b.d.0.1.0.0.2.ip6.arpa"]


async def test_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = {"ca_file": authority.file, "server_name": "dns.example"}
    async with serving(answer(ADDRESS), tls=authority.server("dns.example")) as port:
        run = await probed(check(port, transport="tls", tls=tls, timeout="2s"))
        assert value(run, "phase_seconds", phase="tls") > 0
        assert value(run, "certificate_expires_in") > 0
        await fails(check(port, transport="tls", tls={"ca_file": authority.file}, timeout="2s"), Reason.TLS_NAME)
    async with serving(answer(ADDRESS)) as port:
        await fails(check(port, transport="tls"), Reason.TLS_HANDSHAKE, "TLS handshake")


async def test_several_messages_of_one_connection_are_told_apart() -> None:
    def both(question: bytes) -> list[bytes]:
        return answer(code=3, number=1)(question) + answer(ADDRESS)(question)

    async with serving(both) as port:
        assert value(await probed(check(port, transport="tcp")), "answers") == 1


@pytest.mark.parametrize(
    ("by_tcp", "reason", "sentence"),
    [
        (lambda _: [], Reason.PROTOCOL, "closed the connection without an answer"),
        (answer(flags=0x200), Reason.PROTOCOL, "cuts its answer about Shop.example.com A even on a connection"),
        (lambda question: [question[:5]], Reason.PROTOCOL, "malformed answer: it ends too early"),
    ],
)
async def test_answers_that_do_not_fit_and_do_not_come(by_tcp: Answer, reason: Reason, sentence: str) -> None:
    async with serving(answer(flags=0x200), by_tcp) as port:
        await fails(check(port), reason, sentence)


async def test_half_a_message_of_a_connection() -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"\1\0half")
        writer.close()

    server = await asyncio.start_server(half, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        await fails(check(port, transport="tcp"), Reason.PROTOCOL, "in the middle of its answer")


def test_names_that_lead_through_a_maze_cost_little() -> None:
    # 8,000 pointers, each to the one before it, and 400 records whose names go through all of them.
    chain = b"\0\0" + b"".join(struct.pack("!H", 0xC000 | 28 + 2 * at) for at in range(4000))
    start = struct.pack("!6H", 1, 0x8180, 1, 401, 0, 0) + b"\0" + struct.pack("!HH", 1, 1)
    filler = b"\0" + struct.pack("!HHIH", 99, 1, 1, len(chain)) + chain
    last = struct.pack("!H", 0xC000 | 28 + 2 * 4000)
    records = (last + struct.pack("!HHIH", 99, 1, 1, 0)) * 400
    with pytest.raises(ValueError, match="maze"):
        dnsmessage.parse(start + filler + records)


@pytest.mark.parametrize(
    ("section", "matching", "sentence"),
    [
        ("answer", {"some": r"192\.0\.2\."}, ""),
        ("answer", {"some": "MX"}, "no record of the answer section matches 'MX': Shop.example.com 300 IN A 192.0.2.1"),
        ("answer", {"every": " A "}, ""),
        ("answer", {"every": "192"}, "does not match '192': Shop.example.com 60 IN A 198.51.100.1"),
        ("answer", {"none": "^evil"}, ""),
        ("answer", {"none": "198"}, "a record of the answer section matches '198': Shop"),
        ("answer", {"not_every": "192"}, ""),
        ("answer", {"not_every": " A "}, "every record of the answer section matches"),
        ("authority", {"some": "ns1"}, "no record of the authority section matches 'ns1'"),
        ("authority", {"every": "x"}, ""),
        ("authority", {"not_every": "x"}, ""),
        ("additional", {"some": "TXT seen"}, ""),
    ],
)
async def test_sections_are_searched(section: str, matching: dict[str, str], sentence: str) -> None:
    reply = answer(ADDRESS, record(1, b"\xc6\x33\x64\1"), additional=(record(16, b"\4seen"), option(3, b"")))
    async with serving(reply) as port:
        asked = await ask(check(port, expect={section: matching}))
    assert sentence in asked.sentence
    assert bool(asked.fault) == bool(sentence)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"expect": {"answer": {"some": "(?=x)"}}}, "no regular expression (RE2)"),
        ({"secondaries": ["ns2.example"]}, "need `type: SOA`"),
        ({"host": "::1"}, "only PTR asks for those"),
        ({"expect": {"code": []}}, "at least 1"),
    ],
)
def test_mistakes_are_named(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(sentence)):
        check(53, **fields)


async def test_a_flood_of_answers_to_other_questions_ends_the_probe() -> None:
    flood = answer(ADDRESS, name=b"\x04evil\0")
    async with serving(lambda question: flood(question) * 200) as port:
        await fails(check(port, transport="tcp", timeout="5s"), Reason.PROTOCOL, "100 answers to what was not asked")


async def test_others_are_asked_for_an_alert() -> None:
    async with serving(lambda _: [], answer(ADDRESS)) as port, serving(answer(code=2, additional=(BOGUS,))) as own:
        resolve.use_name_servers([f"127.0.0.1:{own}"])
        run = Run()
        try:
            await check(port).diagnose(run)
        finally:
            resolve.use_name_servers(None)
    by_tcp, by_ours = evidence(run, "Asked otherwise").splitlines()
    assert by_tcp == "by TCP: NOERROR, 192.0.2.1"
    assert by_ours.startswith("this machine's resolver: SERVFAIL, no records (DNSSEC bogus")


async def test_others_that_say_nothing_either() -> None:
    port = closed_port()
    resolve.use_name_servers([f"127.0.0.1:{port}"])
    run = Run()
    try:
        await check(port, server=None, transport="tcp").diagnose(Run())
        await check(port, server=None).diagnose(run)
    finally:
        resolve.use_name_servers(None)
    assert "connection refused" in evidence(run, "Asked otherwise")
