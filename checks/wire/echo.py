"""ICMP echo: requests at a steady pace on one socket, and their replies by the kernel's clock (RFC 792, 4443).

The kernel's own datagram sockets for it need no privilege where the group may open them; else a raw socket is tried.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import socket
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic

from checks.wire import clock
from checks.wire.connect import words
from checks.wire.fault import WireError
from checks.wire.icmpmessage import HEAD, V4, V6, checksum, only_replies, said
from checks.wire.patience import Patience
from checks.wire.ready import READABLE
from checks.wire.resolve import Address

NEVER_CUT = 3
"""IP_PMTUDISC_PROBE: packets may not be cut, whatever was learnt of the path before."""
SOL_RAW, RAW_FILTER, ICMP6_FILTER = 255, 1, 1
MSG_ERRQUEUE = 0x2000

ERRORS_MOST = 10
TOKEN = 16
"""Bytes at the start of the payload by which a reply is known to answer this very probe."""


@dataclass(slots=True)
class Echoes:
    """What came back: round trips in seconds by packet number. `errors` are what routers, or we ourselves, said."""

    sent: int = 0
    round_trips: dict[int, float] = field(default_factory=dict)
    duplicates: int = 0
    hop_limit: int | None = None
    errors: list[str] = field(default_factory=list)
    kernel: bool = True
    setup: float = 0.0
    """Seconds that the socket took."""

    @property
    def received(self) -> int:
        """Packets that were answered."""
        return len(self.round_trips)


@dataclass(frozen=True, slots=True)
class Volley:
    """What to send: so many packets, `gap` seconds apart, of so many bytes of payload; after the last wait `wait`."""

    count: int
    gap: float
    wait: float
    size: int
    hop_limit: int | None
    uncut: bool


async def ping(addresses: Sequence[Address], volley: Volley, patience: Patience, echoes: Echoes) -> Address:
    """Ask the first of the addresses to which there is a route; fills `echoes` even where this raises.

    Raises WireError, as ours where no socket can be had, or the packets don't get out of this machine.
    """
    began = monotonic()
    with _Socket(_reachable(addresses), volley, patience, echoes) as line:
        echoes.setup = monotonic() - began
        for number in range(volley.count):
            line.send(number)
            last = number == volley.count - 1
            await line.collect(volley.wait if last else volley.gap, until_answered=last)
        return line.address


def _reachable(addresses: Sequence[Address]) -> tuple[socket.socket, Address, bool]:
    """An open socket to one of the addresses, and whether it is a raw one."""
    faults = []
    for address in addresses:
        sock, raw = _open(address[0])
        error = sock.connect_ex(address[1])
        if not error:
            return sock, address, raw
        sock.close()
        faults.append(f"{address[1][0]}: {words(error)}")
    raise _ours(f"cannot send to {'; '.join(faults)}")


def _open(family: int) -> tuple[socket.socket, bool]:
    protocol = (V6 if family == socket.AF_INET6 else V4).protocol
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            return socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol), kind == socket.SOCK_RAW
        except PermissionError:
            continue
        except OSError as why:
            raise _ours(f"cannot open a socket for ICMP: {words(why.errno)}") from None
    group = os.getegid()
    raise _ours(
        "cannot ping: this process may not open sockets for ICMP; let its group do so with "
        f'`sysctl -w net.ipv4.ping_group_range="{group} {group}"`, or give it CAP_NET_RAW'
    )


def _ours(sentence: str) -> WireError:
    return WireError("connect", "internal", sentence, ours=True)


class _Socket:
    """One socket for one volley; close it on every path."""

    def __init__(
        self, opened: tuple[socket.socket, Address, bool], volley: Volley, patience: Patience, echoes: Echoes
    ) -> None:
        self._sock, self.address, self._raw = opened
        self._patience = patience
        self._echoes = echoes
        self._ip = V6 if self.address[0] == socket.AF_INET6 else V4
        # With datagrams the kernel itself sets number and checksum, and IPv6 always has it set the checksum.
        self._bare = self._raw and self._ip is V4
        self._id = secrets.randbelow(65536)
        self._body = secrets.token_bytes(TOKEN)[: volley.size].ljust(volley.size, b"r")
        self._sent_at: dict[int, float] = {}
        self._waiter: asyncio.Future[None] | None = None
        self._over = False
        self._offset = clock.wall_offset()
        try:
            self._prepare(volley)
        except OSError as why:
            self._sock.close()
            raise _ours(f"cannot prepare a socket for ICMP: {words(why.errno)}") from None

    def _prepare(self, volley: Volley) -> None:
        sock, ip = self._sock, self._ip
        self._echoes.kernel = clock.want_stamps(sock)
        sock.setsockopt(ip.level, ip.want_errors, 1)
        sock.setsockopt(ip.level, ip.want_hop_limit, 1)
        if volley.hop_limit is not None:
            sock.setsockopt(ip.level, ip.hop_limit, volley.hop_limit)
        if volley.uncut:
            sock.setsockopt(ip.level, ip.uncut, NEVER_CUT)
        if self._raw:
            level, option = (ip.protocol, ICMP6_FILTER) if ip is V6 else (SOL_RAW, RAW_FILTER)
            sock.setsockopt(level, option, only_replies(ip))

    def send(self, number: int) -> None:
        """Send one request. Raises WireError where it does not get out."""
        packet = struct.pack("!BBHHH", self._ip.request, 0, 0, self._id, number) + self._body
        if self._bare:
            packet = packet[:2] + checksum(packet).to_bytes(2, "big") + packet[4:]
        self._echoes.sent += 1
        self._sent_at[number] = monotonic()
        try:
            self._sock.send(packet)
        except BlockingIOError:
            self._echoes.errors.append("our own queue is full")
        except OSError as why:
            self._unsent(why, len(packet))

    def _unsent(self, why: OSError, size: int) -> None:
        where = self.address[1][0]
        if why.errno == errno.EMSGSIZE:
            mtu = self._sock.getsockopt(self._ip.level, self._ip.mtu)
            raise WireError(
                "send", "protocol", f"cannot send {size} bytes uncut to {where}: packets end at {mtu} bytes"
            )
        # What a router said of an earlier packet comes out of a later send.
        if not self._drain():
            raise WireError("send", "internal", f"cannot send to {where}: {words(why.errno)}", ours=True)

    async def collect(self, seconds: float, until_answered: bool) -> None:
        """Take what comes for so long, or until every request is answered. Raises WireError at the deadline."""
        self._over = False
        timer = self._patience.loop.call_later(seconds, self._end)
        try:
            while not self._over and not (until_answered and self._echoes.received == self._echoes.sent):
                waiter = self._waiter = self._patience.loop.create_future()
                self._patience.ready.when(self._sock.fileno(), READABLE, self._wake)
                await self._patience.wait(waiter)
                self._take()
        finally:
            timer.cancel()

    def _end(self) -> None:
        self._over = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _take(self) -> None:
        """Read all that is there: at most a hundred at a time, so that a flood leaves others their turn."""
        for _ in range(100):
            try:
                data, ancillary, _, _ = self._sock.recvmsg(65536, clock.ANCILLARY + socket.CMSG_SPACE(4))
            except BlockingIOError:
                self._drain()
                return
            except OSError as why:
                if not self._drain():
                    self._note(words(why.errno))
                continue
            self._judge(data, ancillary)

    def _judge(self, data: bytes, ancillary: list[tuple[int, int, bytes]]) -> None:
        """Keep what answers one of our requests; anybody may send anything else."""
        ip, limit = self._ip, None
        for level, kind, value in ancillary:
            if (level, kind) == (ip.level, ip.hop_limit_came):
                limit = int.from_bytes(value[:4], sys.byteorder)
        if self._bare:
            if not data:
                return
            data = data[(data[0] & 15) * 4 :]
        if len(data) < HEAD or data[0] != ip.reply or data[HEAD:] != self._body:
            return
        _, _, _, probe, number = struct.unpack_from("!BBHHH", data)
        if (self._raw and probe != self._id) or number not in self._sent_at:
            return
        echoes = self._echoes
        if number in echoes.round_trips:
            echoes.duplicates += 1
            return
        came, stamped = clock.arrival(ancillary, self._offset)
        echoes.kernel &= stamped
        echoes.round_trips[number] = max(0.0, came - self._sent_at[number])
        echoes.hop_limit = limit

    def _drain(self) -> bool:
        """Take what routers said of our packets; False where they said nothing."""
        heard = False
        while True:
            try:
                _, ancillary, _, _ = self._sock.recvmsg(512, 512, MSG_ERRQUEUE)
            except OSError:
                return heard
            for level, kind, data in ancillary:
                if (level, kind) == (self._ip.level, self._ip.want_errors):
                    heard = True
                    self._note(said(data))

    def _note(self, sentence: str) -> None:
        if sentence not in self._echoes.errors and len(self._echoes.errors) < ERRORS_MOST:
            self._echoes.errors.append(sentence)

    def __enter__(self) -> _Socket:
        return self

    def __exit__(self, *_: object) -> None:
        fd = self._sock.fileno()
        self._patience.ready.forget(fd)
        self._sock.close()
