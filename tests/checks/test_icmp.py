"""Kind icmp on loopback, and on a network of the test's own where routers and hosts behave as they are told."""

import asyncio
import os
import struct
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from checks.base import Errored, Reason, Run
from checks.icmp import Icmp
from checks.wire import echo, icmpmessage
from tests.checks.network import ANYBODY, NOBODY, Answer, in_own_network, packet
from tests.checks.probing import asked, errs, evidence, fails, value, values
from tests.leaks import open_files
from tests.skips import refused

HOSTS = {"4": "192.0.2.9", "6": "fd00::9"}
US = {"4": "192.0.2.1", "6": "fd00::1"}
ROUTER = {"4": "192.0.2.254", "6": "fd00::fe"}

each_socket = pytest.mark.parametrize("groups", [ANYBODY, NOBODY], ids=["datagram", "raw"])
each_version = pytest.mark.parametrize("version", ["4", "6"])


def check(version: str = "4", **fields: Any) -> Icmp:
    base = {"name": "ping", "host": HOSTS[version], "gap": "10ms", "wait": "500ms", "timeout": "3s"}
    return Icmp.model_validate({**base, **fields})


def body_of(sent: bytes) -> bytes:
    """The ICMP message in a packet; empty if it holds another protocol, or is no echo request."""
    body = sent[20:] if sent[0] >> 4 == 4 and sent[9] == 1 else sent[40:] if sent[6] == 58 else b""
    return body if body[:1] in (b"\x08", b"\x80") else b""


def replying(how: Callable[[int, bytes, str], list[bytes]]) -> Answer:
    """Answers the requests: `how` gets the packet's number, what a right answer holds, and the version."""

    def answer(sent: bytes) -> list[bytes]:
        body = body_of(sent)
        if not body:
            return []
        version = str(sent[0] >> 4)
        right = (b"\0" if version == "4" else b"\x81") + body[1:]
        return how(int.from_bytes(body[6:8], "big"), right, version)

    return answer


def back(body: bytes, version: str, **how: Any) -> bytes:
    return packet(body, HOSTS[version], US[version], **how)


def complaint(kind: int, code: int, mtu: int = 0) -> Answer:
    """A router that passes nothing on and says why."""

    def answer(sent: bytes) -> list[bytes]:
        if not body_of(sent):
            return []
        version = str(sent[0] >> 4)
        rest = struct.pack("!HH", 0, mtu) if version == "4" else struct.pack("!I", mtu)
        return [packet(bytes([kind, code, 0, 0]) + rest + sent[:548], ROUTER[version], US[version])]

    return answer


@pytest.fixture
def _allowed() -> None:
    try:
        sock, _ = echo._open(2)
    except echo.WireError:
        refused("the right to open ICMP sockets")
    sock.close()


@pytest.mark.usefixtures("_allowed")
@pytest.mark.parametrize(("host", "version"), [("127.0.0.1", 4), ("::1", 6), ("[::1]", 6), ("localhost", None)])
async def test_loopback(host: str, version: int | None) -> None:
    run = await asked(check(host=host))
    assert value(run, "loss_ratio") == value(run, "duplicates") == 0
    assert value(run, "sent") == value(run, "received") == 3
    assert 0 < value(run, "rtt_min_seconds") <= value(run, "rtt_avg_seconds") <= value(run, "rtt_max_seconds")
    assert value(run, "hop_limit") == 64
    assert value(run, "ip_protocol") == (version or value(run, "ip_protocol"))
    assert run.clock == "kernel"
    assert run.took == value(run, "phase_seconds", phase="resolve") + value(run, "phase_seconds", phase="rtt")


@pytest.mark.usefixtures("_allowed")
@pytest.mark.parametrize("size", [0, 3, 15, 16, 17, 9000])
async def test_every_size_is_answered(size: int) -> None:
    assert value(await asked(check(host="127.0.0.1", count=1, size=size)), "received") == 1


@pytest.mark.usefixtures("_allowed")
async def test_many_pings_of_one_host_are_told_apart() -> None:
    runs = await asyncio.gather(*(asked(check(host="127.0.0.1", count=2)) for _ in range(20)))
    assert all(value(run, "received") == 2 and not value(run, "duplicates") for run in runs)


@pytest.mark.usefixtures("_allowed")
async def test_cancelled_nothing_stays_open() -> None:
    await asked(check(host="127.0.0.1"))
    before = open_files()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await asked(check(host="127.0.0.1", gap="1s", timeout="9s"))
    assert not open_files() - before


@each_socket
@each_version
def test_answers_are_counted_and_strangers_passed_over(groups: str, version: str) -> None:
    def how(number: int, right: bytes, version: str) -> list[bytes]:
        wrong = [
            back(right[:-1] + b"!", version), back(right[:8], version), back(b"", version), b"\x45short",
            back(right[:6] + b"\0\x63" + right[8:], version), back(bytes([right[0] ^ 1]) + right[1:], version),
            back(right[:4] + bytes([right[4] ^ 1]) + right[5:], version),
        ]  # fmt: skip
        good = back(right, version, hop_limit=57 - number)
        return wrong + {0: [good], 1: [], 2: [good, good]}[number]

    async def work() -> None:
        run = await asked(check(version))
        assert value(run, "received") == 2
        assert value(run, "loss_ratio") == pytest.approx(1 / 3)
        assert value(run, "duplicates") <= 1, "the second may come after the probe"
        assert value(run, "hop_limit") in (55, 57)
        assert value(run, "ip_protocol") == int(version)
        strict = await fails(check(version, max_loss="20%"), Reason.ASSERTION, "1 of 3 packets", "more than 20 %")
        assert value(strict, "loss_ratio") == pytest.approx(1 / 3)

    in_own_network(groups, replying(how), work)


@each_socket
def test_jitter_is_the_difference_from_one_to_the_next(groups: str) -> None:
    async def work() -> None:
        run = await asked(check(count=4))
        [spread] = values(run, "jitter_seconds").values()
        assert 0 <= spread <= value(run, "rtt_max_seconds") - value(run, "rtt_min_seconds")
        assert not values(await asked(check(count=1)), "jitter_seconds")

    in_own_network(groups, replying(lambda number, right, version: [back(right, version)]), work)


@each_socket
@each_version
def test_silence(groups: str, version: str) -> None:
    async def work() -> None:
        result = await fails(
            check(version, wait="100ms"),
            Reason.READ_TIMEOUT,
            f"no answer from {HOSTS[version]} to 3 packets within 100 ms",
        )
        assert value(result, "loss_ratio") == 1
        assert not values(result, "rtt_avg_seconds")

    in_own_network(groups, lambda sent: [], work)


@each_socket
@pytest.mark.parametrize(
    ("version", "kind", "code", "said"),
    [
        ("4", 3, 1, "host unreachable"), ("4", 3, 13, "prohibited by a filter"), ("4", 11, 0, "hop limit exceeded"),
        ("4", 3, 8, "type 3 code 8"), ("6", 1, 3, "host unreachable"), ("6", 3, 0, "hop limit exceeded"),
    ],
)  # fmt: skip
def test_what_routers_say_is_told(groups: str, version: str, kind: int, code: int, said: str) -> None:
    async def work() -> None:
        sentence = f"no answer from {HOSTS[version]} to 3 packets: {ROUTER[version]} says {said}"
        result = await fails(check(version), Reason.READ_TIMEOUT, sentence)
        assert evidence(result, "On the way") == f"{ROUTER[version]} says {said}"

    in_own_network(groups, complaint(kind, code), work)


@each_socket
@pytest.mark.parametrize(("version", "kind", "code"), [("4", 3, 4), ("6", 2, 0)])
def test_a_path_that_is_too_narrow(groups: str, version: str, kind: int, code: int) -> None:
    async def work() -> None:
        await fails(
            check(version, dont_fragment=True, size=2000), Reason.PROTOCOL,
            f"cannot send 2008 bytes uncut to {HOSTS[version]}: packets end at 1500 bytes",
        )  # fmt: skip
        uncut = check(version, dont_fragment=True, size=1400)
        await fails(uncut, Reason.READ_TIMEOUT, f"{ROUTER[version]} says packet too big, it takes 1300 bytes")

    in_own_network(groups, complaint(kind, code, 1300), work)


@each_socket
def test_the_hop_limit_is_sent(groups: str) -> None:
    limits = set()

    def answer(sent: bytes) -> list[bytes]:
        if body_of(sent):
            limits.add(sent[8] if sent[0] >> 4 == 4 else sent[7])
        return []

    async def work() -> None:
        for version in ("4", "6"):
            await fails(check(version, hop_limit=7, count=1), Reason.READ_TIMEOUT, "to packet within")

    in_own_network(groups, answer, work)
    assert limits == {7}


@each_socket
def test_a_flood_of_answers_ends_with_the_probe(groups: str) -> None:
    async def work() -> None:
        run = await asked(check(count=2))
        assert value(run, "received") == 2
        assert value(run, "duplicates") >= 0

    in_own_network(groups, replying(lambda number, right, version: [back(right, version)] * 300), work)


def test_without_a_route_nothing_is_known() -> None:
    async def work() -> None:
        await errs(check(host="198.51.100.1"), Reason.INTERNAL, "cannot send to 198.51.100.1: network is unreachable")

    in_own_network(ANYBODY, lambda sent: [], work)


def test_without_the_right_it_says_how_to_get_it() -> None:
    async def work() -> None:
        os.seteuid(65534)
        try:
            with pytest.raises(Errored) as caught:
                await check(host="127.0.0.1").probe(Run())
        finally:
            os.seteuid(0)
        assert 'sysctl -w net.ipv4.ping_group_range="' in caught.value.sentence
        assert "CAP_NET_RAW" in caught.value.sentence

    in_own_network(NOBODY, lambda sent: [], work)


async def test_names_that_do_not_exist() -> None:
    await fails(check(host="nowhere.invalid"), Reason.DNS, "cannot resolve nowhere.invalid")
    await fails(check(host="127.0.0.1", ip_family=6), Reason.DNS, "it is not an IPv6 address")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"host": "a:80"}, "ICMP has no ports"),
        ({"host": ""}, "no host"),
        ({"host": "a b"}, "no host name"),
        ({"wait": "3s"}, "longer than the timeout of 3 s"),
        ({"size": 65508}, "65507"),
        ({"max_loss": "100%"}, "less than 1"),
        ({"count": 0}, "greater than or equal to 1"),
        ({"gap": "0s"}, "0.01"),
    ],
)
def test_mistakes_are_named(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        check(**fields)
    assert sentence in str(caught.value)


def test_checksums() -> None:
    # The example of RFC 1071, section 3: its sum is ddf2.
    assert icmpmessage.checksum(bytes([0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7])) == 0xFFFF ^ 0xDDF2
    assert icmpmessage.checksum(b"\1") == 0xFFFF ^ 0x0100


@each_version
def test_the_path_is_looked_up_for_an_alert(version: str) -> None:
    routers = {"4": "198.51.100.{}", "6": "fd00::5:{}"}[version]

    def answer(sent: bytes) -> list[bytes]:
        body = body_of(sent)
        if not body:
            return []
        left = sent[8] if version == "4" else sent[7]
        if left == 2:
            return []
        if left > 3:
            return [back((b"\0" if version == "4" else b"\x81") + body[1:], version)]
        exceeded = bytes([11 if version == "4" else 3, 0, 0, 0, 0, 0, 0, 0]) + sent[:548]
        return [packet(exceeded, routers.format(left), US[version])]

    async def work() -> None:
        run = Run()
        await check(version, wait="1s").diagnose(run)
        first, second, third, last = evidence(run, "Path").splitlines()
        assert (first, second, third) == (
            f"1  {routers.format(1)}", "2  (silent)", f"3  {routers.format(3)}",
        )  # fmt: skip
        assert last.startswith(f"4  {HOSTS[version]} answers after ")
        assert not run.measurements

    in_own_network(ANYBODY, answer, work)


def test_a_path_that_ends_on_the_way() -> None:
    async def work() -> None:
        run = Run()
        await check().diagnose(run)
        assert evidence(run, "Path") == f"1  {ROUTER['4']} says host unreachable"
        away = Run()
        await check(host="198.51.100.1").diagnose(away)
        assert "network is unreachable" in evidence(away, "Path")

    in_own_network(ANYBODY, complaint(3, 1), work)


def test_a_path_of_which_nobody_says_anything() -> None:
    async def work() -> None:
        run = Run()
        await check().diagnose(run)
        assert evidence(run, "Path") == "nobody on the way says anything"

    in_own_network(ANYBODY, lambda sent: [], work)
