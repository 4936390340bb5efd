"""Kind dns on what is said about zones: signatures, flags, serials, and why a resolver fails."""

import struct
from datetime import UTC, datetime
from typing import Any

import pytest

from checks.base import Reason
from checks.wire import dnsmessage, dnsrecords, resolve
from tests.checks.name_servers import ADDRESS, BOGUS, Answer, answer, check, option, record, serving, soa
from tests.checks.probing import asked as probed
from tests.checks.probing import errs, evidence, fails, value, values
from tests.checks.web import closed_port


def since(seconds: float) -> bytes:
    return struct.pack("!I", int(seconds))


def signature(until: float) -> bytes:
    data = struct.pack("!HBBI", 1, 13, 2, 300) + since(until) + since(0) + b"\0\1" + b"\7example\0" + b"sig"
    return record(46, data)


NOW = 1_780_000_000.0


async def test_dnssec_is_asked_for_and_seen() -> None:
    questions = []

    def validating(question: bytes) -> list[bytes]:
        questions.append(question)
        return answer(ADDRESS, signature(NOW + 3600), signature(NOW + 60), flags=0x20)(question)

    async with serving(validating) as port:
        run = await probed(check(port, expect={"authenticated": True, "signed": True}), at=NOW)
    assert value(run, "authenticated") == value(run, "signed") == 1
    assert value(run, "signature_expires_in") == 60
    [sent] = questions
    assert int.from_bytes(sent[2:4], "big") == 0x0120, "recursion and AD"
    assert sent.endswith(b"\x80\0\0\0"), "DO"


@pytest.mark.parametrize(
    ("reply", "expect", "sentence"),
    [
        (answer(ADDRESS), {"authenticated": True}, "not authenticated: no DNSSEC validation vouches for it"),
        (answer(ADDRESS, flags=0x20), {"authenticated": False}, "is authenticated, which nobody expects"),
        (answer(ADDRESS), {"signed": True}, "without signatures"),
        (answer(ADDRESS, signature(NOW)), {"signed": False}, "is signed, which nobody expects"),
        (answer(ADDRESS), {"authoritative": True}, "is not authoritative"),
        (answer(ADDRESS, flags=0x400), {"authoritative": False}, "is authoritative, which nobody expects"),
    ],
)
async def test_flags_that_differ(reply: Answer, expect: dict[str, Any], sentence: str) -> None:
    async with serving(reply) as port:
        await fails(check(port, expect=expect), Reason.ASSERTION, sentence)


async def test_a_resolver_says_why_it_fails() -> None:
    async with serving(answer(code=2, additional=(BOGUS,))) as port:
        result = await fails(check(port), Reason.DNS, "SERVFAIL for Shop.example.com A", "(DNSSEC bogus: no �[31msig")
    assert "DNSSEC bogus" in evidence(result, "Answer")
    async with serving(answer(additional=(option(15, b"\0\x63", high=1),))) as port:
        await fails(check(port), Reason.DNS, "BADVERS for", "(extended error 99)")
    async with serving(answer(code=3, additional=(option(10, b"cookie"), ADDRESS))) as port:
        run = await probed(check(port, expect={"code": ["NOERROR", "NXDOMAIN"]}))
    assert value(run, "additional") == 1


async def test_a_server_from_before_edns_is_asked_without() -> None:
    def old(question: bytes) -> list[bytes]:
        return answer(code=1)(question) if question[11] else answer(ADDRESS)(question)

    async with serving(old) as port:
        assert value(await probed(check(port)), "answers") == 1
        await fails(check(port, dnssec=True), Reason.DNS, "FORMERR")


async def test_serials_of_a_zone_s_servers_are_compared() -> None:
    replies = [answer(soa(serial)) for serial in (5, 2**32 - 1, 7)]
    async with serving(replies[0]) as first, serving(replies[1]) as second, serving(replies[2]) as third:
        run = await probed(check(first, type="SOA", secondaries=[f"127.0.0.1:{second}", f"127.0.0.1:{third}"]))
    found = values(run, "serial_behind")
    assert found == {(("server", f"127.0.0.1:{second}"),): 6, (("server", f"127.0.0.1:{third}"),): -2}
    assert value(run, "serial") == 5


async def test_a_secondary_that_does_not_serve_the_zone() -> None:
    async with serving(answer(soa(5))) as first, serving(answer(code=5)) as second, serving(answer(soa(4))) as third:
        secondaries = [f"127.0.0.1:{port}" for port in (second, third)]
        result = await fails(
            check(first, type="SOA", secondaries=secondaries), Reason.DNS,
            f"secondary 127.0.0.1:{second} does not serve Shop.example.com: REFUSED, 0 records",
        )  # fmt: skip
        assert list(values(result, "serial_behind").values()) == [1]
        away = check(first, type="SOA", secondaries=[f"127.0.0.1:{closed_port()}"])
        await fails(away, Reason.CONNECT_REFUSED, "nobody listens")
    async with serving(lambda _: []) as mute, serving(answer(soa(4))) as second:
        await fails(check(mute, type="SOA", secondaries=[f"127.0.0.1:{second}"]), Reason.READ_TIMEOUT)


async def test_our_own_resolver_says_nothing_of_the_name() -> None:
    port = closed_port()
    resolve.use_name_servers([f"127.0.0.1:{port}"])
    try:
        await errs(check(port, server=None), Reason.CONNECT_REFUSED, f"nobody listens at 127.0.0.1:{port}")
    finally:
        resolve.use_name_servers(None)


def test_signatures_expire_when_they_say() -> None:
    until = datetime(2026, 12, 1, tzinfo=UTC)
    shown = dnsmessage.parse(answer(signature(until.timestamp()))(dnsmessage.question(1, "a", "A"))[0]).answers[0]
    assert shown.data == "A 13 2 300 20261201000000 19700101000000 1 example c2ln"
    assert dnsrecords.expires(shown.data) == until.timestamp()
