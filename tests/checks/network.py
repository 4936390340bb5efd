"""A network of the test's own: a namespace with one tunnel, at whose other end the test plays routers and hosts."""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from checks.wire.icmpmessage import checksum
from tests.skips import refused

NEW_NETWORK = 0x40000000
TUN_SET, IS_TUN = 0x400454CA, 0x1001
ANYBODY, NOBODY = "0 2147483647", "1 0"
"""Which groups may open ICMP's datagram sockets."""

Answer = Callable[[bytes], list[bytes]]
"""What comes back for a packet that was sent."""


def in_own_network(groups: str, answer: Answer, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do `work` on a loop of its own where 192.0.2.0/24 and fd00::/64 lie behind the tunnel. Skips without root."""
    failed: list[BaseException] = []

    def live() -> None:
        try:
            tunnel = _built(groups)
        except OSError as why:
            failed.append(why)
            return
        try:
            asyncio.run(_answering(tunnel, answer, work))
        except BaseException as why:
            failed.append(why)
        finally:
            os.close(tunnel)

    if os.geteuid():
        refused("root, for a network of the test's own")
    thread = threading.Thread(target=live)
    thread.start()
    thread.join()
    if failed and isinstance(failed[0], OSError):
        refused(f"a network of the test's own: {failed[0]}")
    if failed:
        raise failed[0]


def _built(groups: str) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "no namespace")
    Path("/proc/sys/net/ipv4/ping_group_range").write_text(groups)
    tunnel = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tunnel, TUN_SET, struct.pack("16sH22x", b"tun0", IS_TUN))
    for words in (
        "link set lo up", "link set tun0 up mtu 1500", "address add 192.0.2.1/24 dev tun0",
        "-6 address add fd00::1/64 dev tun0 nodad",
    ):  # fmt: skip
        subprocess.run(["ip", *words.split()], check=True, capture_output=True)
    return tunnel


async def _answering(tunnel: int, answer: Answer, work: Callable[[], Awaitable[None]]) -> None:
    def arrived() -> None:
        with suppress(BlockingIOError):
            packet = os.read(tunnel, 65536)
            for reply in answer(packet):
                os.write(tunnel, reply)

    loop = asyncio.get_running_loop()
    loop.add_reader(tunnel, arrived)
    try:
        await work()
    finally:
        loop.remove_reader(tunnel)


def packet(body: bytes, sender: str, receiver: str, hop_limit: int = 57) -> bytes:
    """An IP packet that carries an ICMP message, whose checksum is set."""
    if ":" in sender:
        ends = socket.inet_pton(socket.AF_INET6, sender) + socket.inet_pton(socket.AF_INET6, receiver)
        right = checksum(ends + struct.pack("!IHBB", len(body), 0, 0, 58) + body[:2] + b"\0\0" + body[4:])
        message = body[:2] + right.to_bytes(2, "big") + body[4:]
        return struct.pack("!IHBB", 6 << 28, len(message), 58, hop_limit) + ends + message
    right = checksum(body[:2] + b"\0\0" + body[4:])
    message = body[:2] + right.to_bytes(2, "big") + body[4:]
    ends = socket.inet_aton(sender) + socket.inet_aton(receiver)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(message), 1, 0, hop_limit, 1, 0) + ends
    return head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + message
