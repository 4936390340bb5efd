"""A TCP connection without transports: non-blocking sockets on the running loop, raced over addresses (RFC 8305).

A transport would hide recvmsg, and with it the kernel's stamps; it also costs 300 KiB for each hanging TLS target
where this costs 40.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Sequence
from functools import partial
from time import monotonic

from checks.wire import clock
from checks.wire.fault import WireError
from checks.wire.patience import Patience
from checks.wire.ready import READABLE, WRITABLE
from checks.wire.resolve import Address

NEXT_AFTER = 0.25
"""Seconds until the next address is tried beside a silent one (RFC 8305, section 5)."""

CHUNK = 65536

_OURS = frozenset(
    {
        errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS,
        errno.ENOMEM, errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EAFNOSUPPORT, errno.EINVAL,
    }
)  # fmt: skip


class Line:
    """An open connection to one address. `close` it on every path; it is a context manager for that.

    `sent` and `arrived` are when the last bytes went out and came in, at first when the connection came about
    (monotonic seconds); `kernel` stays true as long as every arrival was stamped by the kernel. `connected_in` is the
    seconds that connecting took.
    """

    __slots__ = (
        "_offset", "_patience", "_sock", "_waiter", "address", "arrived", "connected_in", "kernel", "name",
        "sent",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, address: Address, patience: Patience, took: float) -> None:
        self._sock = sock
        self._patience = patience
        self._waiter: asyncio.Future[None] | None = None
        self._offset = clock.wall_offset()
        self.address = address
        self.name = show(address)
        by_kernel = clock.connect_time(sock)
        self.connected_in = took if by_kernel is None else min(by_kernel, took)
        self.kernel = by_kernel is not None
        self.sent = self.arrived = monotonic() - took + self.connected_in

    async def send(self, data: bytes | memoryview) -> None:
        """Send all of `data`. A peer that stops listening is no fault yet: its answer may be on the way."""
        self.sent = monotonic()
        while data:
            try:
                count = self._sock.send(data)
            except BlockingIOError:
                await self._until(WRITABLE)
                continue
            except (BrokenPipeError, ConnectionResetError):
                return
            except OSError as why:
                raise self._broken("send", why) from None
            if count == len(data):
                return
            data = memoryview(data)[count:]

    async def recv(self, most: int = CHUNK) -> bytes:
        """The next bytes, at most `most`; b"" at the end. Raises WireError protocol where the peer resets."""
        while True:
            await self._until(READABLE)
            try:
                data, ancillary, _, _ = self._sock.recvmsg(most, clock.ANCILLARY)
            except BlockingIOError:
                continue
            except OSError as why:
                raise self._broken("read", why) from None
            if data:
                self.arrived, stamped = clock.arrival(ancillary, self._offset)
                self.kernel &= stamped
            return data

    def close(self) -> None:
        """Close the socket at once; may be called twice."""
        fd = self._sock.fileno()
        if fd >= 0:
            self._patience.ready.forget(fd)
            self._sock.close()

    async def renew(self) -> None:
        """Connect anew to the same address in place of the present connection. Raises as `connect` does."""
        self.close()
        fresh = await connect([self.address], self._patience)
        self._sock, self._offset = fresh._sock, fresh._offset
        self.sent, self.arrived = fresh.sent, fresh.arrived
        self.kernel = self.kernel and fresh.kernel

    async def _until(self, events: int) -> None:
        patience = self._patience
        waiter = self._waiter = patience.loop.create_future()
        try:
            patience.ready.when(self._sock.fileno(), events, self._wake)
        except OSError as why:
            raise self._broken("read", why) from None
        await patience.wait(waiter)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _broken(self, step: str, why: OSError) -> WireError:
        if why.errno in _OURS:
            return WireError(step, "internal", f"cannot talk to {self.name}: {words(why.errno)}", ours=True)
        if why.errno == errno.ECONNREFUSED:
            return WireError(step, "connect_refused", f"nobody listens at {self.name}: {words(why.errno)}")
        return WireError(step, "protocol", f"{self.name} broke the connection: {words(why.errno)}")

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


async def connect(addresses: Sequence[Address], patience: Patience) -> Line:
    """The first connection that comes about, trying `addresses` in turn, each 250 ms after the one before it.

    Raises WireError: connect_refused, connect_timeout; as ours where no address could be tried for want of a route,
    a port or a file descriptor.
    """
    patience.doing("connect", "connect_timeout", f"no connection to {show(addresses[0])}")
    race = _Race(addresses, patience)
    try:
        race.start_next()
        await patience.wait(race.done)
        return race.take()
    finally:
        race.close()


def datagrams(address: Address, patience: Patience) -> Line:
    """A line of datagrams to one address: one `recv` is one of them. Raises WireError where it can't be opened."""
    try:
        sock = socket.socket(address[0], socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    except OSError as why:
        raise _unconnected([(address, why.errno or errno.EIO)]) from None
    error = sock.connect_ex(address[1])
    if error:
        sock.close()
        raise _unconnected([(address, error)])
    stamped = clock.want_stamps(sock)
    line = Line(sock, address, patience, 0.0)
    line.kernel = stamped
    return line


def show(address: Address) -> str:
    """The address as people write it: `10.0.0.1:443`, `[::1]:443`."""
    host, port = address[1][:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _Race:
    """Attempts at several addresses of which the first to succeed wins; `done` says so, or why none did."""

    __slots__ = ("_faults", "_left", "_next", "_open", "_patience", "_won", "done")

    def __init__(self, addresses: Sequence[Address], patience: Patience) -> None:
        self.done: asyncio.Future[None] = patience.loop.create_future()
        self._patience = patience
        self._left = list(addresses)
        self._open: set[socket.socket] = set()
        self._won: tuple[socket.socket, Address, float] | None = None
        self._faults: list[tuple[Address, int]] = []
        self._next: asyncio.TimerHandle | None = None

    def start_next(self) -> None:
        """Try the next address; the one after it when this one fails or stays silent."""
        while self._left and not self.done.done():
            address = self._left.pop(0)
            error = self._try(address)
            if error:
                self._faults.append((address, error))
                continue
            if self._left:
                self._next = self._patience.loop.call_later(NEXT_AFTER, self.start_next)
            return
        if not self._open and not self.done.done():
            self.done.set_exception(_unconnected(self._faults))

    def take(self) -> Line:
        """The winner, which from now on is the caller's to close."""
        assert self._won is not None
        sock, address, began = self._won
        line = Line(sock, address, self._patience, monotonic() - began)
        self._won = None
        return line

    def close(self) -> None:
        """Give up every attempt that is still under way, and a winner that nobody took."""
        if self._next is not None:
            self._next.cancel()
        for sock in self._open:
            self._drop(sock)
        self._open.clear()
        if self._won is not None:
            self._drop(self._won[0])
        if self.done.done() and not self.done.cancelled():
            # Cancelled at the very moment of the fault: mark it as seen.
            self.done.exception()

    def _try(self, address: Address) -> int:
        try:
            sock = socket.socket(address[0], socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as why:
            return why.errno or errno.EIO
        clock.want_stamps(sock)
        began = monotonic()
        error = sock.connect_ex(address[1])
        if error not in (0, errno.EINPROGRESS):
            sock.close()
            return error
        try:
            self._patience.ready.when(sock.fileno(), WRITABLE, partial(self._settle, sock, address, began))
        except OSError as why:
            sock.close()
            return why.errno or errno.EIO
        self._open.add(sock)
        return 0

    def _settle(self, sock: socket.socket, address: Address, began: float) -> None:
        self._open.discard(sock)
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not error and not self.done.done():
            self._won = (sock, address, began)
            self.done.set_result(None)
            return
        self._drop(sock)
        self._faults.append((address, error))
        if self._next is not None:
            self._next.cancel()
        self.start_next()

    def _drop(self, sock: socket.socket) -> None:
        self._patience.ready.forget(sock.fileno())
        sock.close()


def words(number: int | None) -> str:
    """What the system says of an error's number."""
    return os.strerror(number).lower() if number else "unknown error"


def _unconnected(faults: Sequence[tuple[Address, int]]) -> WireError:
    """One fault for all attempts: the target's if any of them reached as far as the target's network."""
    tried = "; ".join(f"{show(address)}: {words(error)}" for address, error in faults)
    sentence = f"cannot connect to {tried}"
    theirs = [error for _, error in faults if error not in _OURS]
    if not theirs:
        return WireError("connect", "internal", sentence, ours=True)
    refused = any(error in (errno.ECONNREFUSED, errno.ECONNRESET) for error in theirs)
    return WireError("connect", "connect_refused" if refused else "connect_timeout", sentence)
