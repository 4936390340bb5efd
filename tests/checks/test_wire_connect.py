"""Connections and names: order, races, whose fault it is, on both event loops."""

import asyncio
import resource
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from checks.base import Errored, Reason
from checks.http import Http
from checks.wire.connect import connect, show
from checks.wire.fault import WireError
from checks.wire.patience import Patience
from checks.wire.resolve import Address, alternate, numeric, resolve
from tests.checks.web import Asked, ask, closed_port, full, reply, serving, silent
from tests.leaks import open_files

V4, V6 = socket.AF_INET, socket.AF_INET6


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", (V4, ("127.0.0.1", 80))),
        ("::1", (V6, ("::1", 80, 0, 0))),
        ("localhost", None),
        ("127.1", None),
        ("0x7f000001", None),
        ("1.2.3", None),
        (":::", None),
        ("", None),
    ],
)
def test_numeric_hosts(host: str, address: Address | None) -> None:
    assert numeric(host, 80) == address


def test_families_take_turns() -> None:
    six = [(V6, (f"::{n}", 1)) for n in range(3)]
    four = [(V4, (f"10.0.0.{n}", 1)) for n in range(2)]
    assert alternate([*six, *four, six[0]]) == [six[0], four[0], six[1], four[1], six[2]]
    assert alternate(four) == four


@pytest.mark.parametrize(("family", "wanted"), [("any", {V4, V6}), ("4", {V4}), ("6", {V6})])
async def test_localhost_has_both_families(family: str, wanted: set[int]) -> None:
    with Patience(5) as patience:
        assert {found for found, _ in await resolve("localhost", 80, family, patience)} == wanted


async def test_an_address_of_the_wrong_family() -> None:
    with Patience(5) as patience, pytest.raises(WireError, match="it is not an IPv6 address"):
        await resolve("127.0.0.1", 80, "6", patience)


async def test_a_silent_address_does_not_hold_up_the_next() -> None:
    with full() as deaf, silent(V6) as port, Patience(5) as patience:
        addresses = [(V4, ("127.0.0.1", deaf)), (V6, ("::1", port, 0, 0))]
        with await connect(addresses, patience) as line:
            assert line.name == f"[::1]:{port}"


async def test_all_attempts_are_named() -> None:
    ports = closed_port(), closed_port("::1")
    addresses = [(V4, ("127.0.0.1", ports[0])), (V6, ("::1", ports[1], 0, 0))]
    with Patience(5) as patience:
        with pytest.raises(WireError):
            await connect(addresses, patience)
        before = open_files()
        with pytest.raises(WireError) as error:
            await connect(addresses, patience)
    assert error.value.reason == "connect_refused"
    assert all(show(address) in error.value.sentence for address in addresses)
    assert not open_files() - before


async def test_a_lack_of_file_descriptors_is_our_fault() -> None:
    await ask(Http.model_validate({"name": "n", "url": f"http://127.0.0.1:{closed_port()}/"}))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Patience(5) as patience:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            with pytest.raises(WireError, match="too many open files") as error:
                await connect([(V4, ("127.0.0.1", 9))], patience)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert error.value.ours


async def test_a_broadcast_address_is_our_fault() -> None:
    asked = await ask(Http.model_validate({"name": "n", "url": "http://255.255.255.255/", "timeout": "300ms"}))
    assert isinstance(asked.fault, Errored)
    assert asked.reason is Reason.INTERNAL


async def test_a_deadline_in_the_past_names_its_step() -> None:
    with silent() as port, Patience(0.01) as patience, await connect([(V4, ("127.0.0.1", port))], patience) as line:
        patience.doing("read", "read_timeout", "nothing came")
        with pytest.raises(WireError, match=r"nothing came within 0\.01 s"):
            await line.recv()
        with pytest.raises(WireError, match=r"nothing came within 0\.01 s"):
            await line.recv()


def runs_on_asyncio(main: Coroutine[Any, Any, Asked]) -> Asked:
    return asyncio.run(main)


def runs_on_uvloop(main: Coroutine[Any, Any, Asked]) -> Asked:
    uvloop = pytest.importorskip("uvloop")
    asked: Asked = uvloop.run(main)
    return asked


@pytest.mark.parametrize("run", [runs_on_asyncio, runs_on_uvloop])
def test_every_loop_will_do(run: Callable[[Coroutine[Any, Any, Asked]], Asked]) -> None:
    async def main() -> Asked:
        async with serving(reply(b"x" * 300_000)) as web:
            return await ask(Http.model_validate({"name": "n", "url": web.url(host="localhost"), "timeout": "5s"}))

    asked = run(main())
    assert asked.fault is None
    assert asked.value("body_bytes") == 300_000
