"""From a host's name to addresses: numeric ones at once, all others by c-ares, whose thread no dead server can fill.

The system's resolver runs in a pool of a few threads: 20 names on a dead server made 10 of 10 healthy probes time
out. c-ares waits for all of them in one thread of its own, and knows /etc/hosts and resolv.conf.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from weakref import WeakSet

import pycares
from pycares import errno as ares

from checks.wire.fault import WireError
from checks.wire.patience import Patience

Address = tuple[int, tuple[Any, ...]]
"""A socket family and the address to connect to, as `socket.connect` takes it."""

FAMILIES = {"any": socket.AF_UNSPEC, "4": socket.AF_INET, "6": socket.AF_INET6}

_OURS = frozenset({ares.ARES_ETIMEOUT, ares.ARES_ECONNREFUSED, ares.ARES_ENOMEM, ares.ARES_EFILE})
_ABSENT = frozenset({ares.ARES_ENOTFOUND, ares.ARES_ENODATA})

KEPT = 0.1
"""Seconds until c-ares is made to forget what it learnt: it would repeat an answer for as long as its TTL allows."""

_channel: pycares.Channel | None = None
_forgetting: WeakSet[asyncio.AbstractEventLoop] = WeakSet()


@lru_cache(maxsize=4096)
def numeric(host: str, port: int) -> Address | None:
    """The address in `127.0.0.1`, `::1` or `fe80::1%eth0`; None for a name. Asks nobody."""
    try:
        socket.inet_pton(socket.AF_INET, host)
        return socket.AF_INET, (host, port)
    except OSError:
        pass
    if ":" not in host:
        return None
    try:
        [found, *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except OSError:
        return None
    return found[0], found[4]


async def resolve(host: str, port: int, family: str, patience: Patience) -> list[Address]:
    """Every address of `host` in the order to try them, families alternating (RFC 8305).

    `family` is any, 4 or 6. Raises WireError: dns where the name has no address (the target's fault), and as ours
    where no name server answers.
    """
    wanted = FAMILIES[family]
    address = numeric(host, port)
    if address is not None:
        if wanted not in (socket.AF_UNSPEC, address[0]):
            raise WireError("resolve", "dns", f"cannot use {host}: it is not an IPv{family} address")
        return [address]
    patience.doing("resolve", "dns", f"cannot resolve {host}: no answer from a name server", ours=True)
    loop = patience.loop
    future: asyncio.Future[Any] = loop.create_future()

    def answered(result: Any, error: int | None) -> None:
        try:
            loop.call_soon_threadsafe(_settle, future, result, error)
        except RuntimeError:
            # The loop ended while c-ares was still asking; nobody waits any more.
            return

    try:
        _ask().getaddrinfo(host, port, family=wanted, type=socket.SOCK_STREAM, callback=answered)
    except (pycares.AresError, UnicodeError) as why:
        raise WireError("resolve", "dns", f"cannot resolve {host}: {_said(why)}") from None
    result, error = await patience.wait(future)
    if loop not in _forgetting:
        _forgetting.add(loop)
        loop.call_later(KEPT, _forget, loop)
    if error is not None:
        raise _unresolved(host, family, error)
    return alternate([(node.family, _sockaddr(node)) for node in result.nodes])


def use_name_servers(servers: Sequence[str] | None) -> None:
    """Ask these (`address:port`) in place of the system's name servers; None is back to those."""
    global _channel
    _channel = pycares.Channel(timeout=2.0, tries=3, servers=servers)


def name_servers() -> list[Address]:
    """The name servers that this system is configured to ask. Raises WireError, as ours, where there is none."""
    found = []
    for text in _ask().servers:
        host, _, port = text.rpartition(":")
        address = numeric(host.strip("[]"), int(port)) if port.isdigit() else None
        if address is not None:
            found.append(address)
    if not found:
        raise WireError("resolve", "dns", "this system has no name server configured", ours=True)
    return found


def alternate(addresses: Sequence[Address]) -> list[Address]:
    """The addresses with families taking turns, beginning with the first one's; each only once."""
    once = list(dict.fromkeys(addresses))
    first = [address for address in once if address[0] == once[0][0]]
    other = [address for address in once if address[0] != once[0][0]]
    turns: list[Address] = []
    for at in range(max(len(first), len(other))):
        turns += first[at : at + 1] + other[at : at + 1]
    return turns


def _ask() -> pycares.Channel:
    if _channel is None:
        use_name_servers(None)
    assert _channel is not None
    return _channel


def _forget(loop: asyncio.AbstractEventLoop) -> None:
    _forgetting.discard(loop)
    # Reading its configuration again empties its cache; the name servers stay.
    _ask().reinit()


def _settle(future: asyncio.Future[Any], result: Any, error: int | None) -> None:
    if not future.done():
        future.set_result((result, error))


def _sockaddr(node: pycares.AddrInfoNode) -> tuple[Any, ...]:
    host, *rest = node.addr
    return (host.decode(), *rest)


def _said(why: Exception) -> str:
    return str(why.args[-1]) if isinstance(why, pycares.AresError) else "it is no host name"


def _unresolved(host: str, family: str, error: int) -> WireError:
    if error == ares.ARES_ENODATA and family != "any":
        return WireError("resolve", "dns", f"cannot resolve {host}: it has no IPv{family} address")
    if error in _ABSENT:
        return WireError("resolve", "dns", f"cannot resolve {host}: no such name")
    if error in _OURS:
        why = "no name server answers" if error != ares.ARES_ENOMEM else "out of memory"
        return WireError("resolve", "dns", f"cannot resolve {host}: {why}", ours=True)
    text: str | bytes = ares.strerror(error)
    return WireError("resolve", "dns", f"cannot resolve {host}: {text if isinstance(text, str) else text.decode()}")
