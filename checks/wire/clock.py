"""When bytes really arrived: the kernel's receive stamps and round-trip times, checked against clock steps.

A stamp is taken in the kernel as the packet comes in, so a busy event loop can't lengthen a reported latency: on a
50 ms answer the error is 0.1 ms where a clock read in Python errs by as much as the loop was late.
"""

from __future__ import annotations

import socket
import struct
import sys
from time import monotonic, time

# linux/net_tstamp.h: a software stamp at reception, reported with each recvmsg.
SO_TIMESTAMPING = 37
RX_SOFTWARE = 1 << 3
REPORT_SOFTWARE = 1 << 4

ANCILLARY = socket.CMSG_SPACE(48)
"""Room for one SCM_TIMESTAMPING message: three timespecs."""

STEP = 0.0005
"""Seconds that wall and monotonic clock may drift apart within one probe before a stamp is not believed."""

_FIRST_STAMP = struct.Struct("qq").unpack_from
_RTT = struct.Struct("I").unpack_from
_RTT_AT, _TOTAL_RETRANS_AT, _TCP_INFO_SIZE = 68, 100, 104

_anchored = False


def want_stamps(sock: socket.socket) -> bool:
    """Ask the kernel to stamp what `sock` receives; False where it can't."""
    global _anchored
    if sys.platform != "linux":
        return False
    try:
        if not _anchored:
            # The kernel switches stamping on with the first socket that asks and off with the last, both lazily:
            # one socket that asks for as long as we live keeps it on, so that no first packet goes unstamped.
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anchor:
                anchor.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, RX_SOFTWARE | REPORT_SOFTWARE)
                anchor.detach()
            _anchored = True
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, RX_SOFTWARE | REPORT_SOFTWARE)
    except OSError:
        return False
    return True


def wall_offset() -> float:
    """Wall clock less monotonic clock in seconds, read so that a preemption in between does not falsify it."""
    for _ in range(3):
        before = monotonic()
        wall = time()
        after = monotonic()
        if after - before < 0.00005:
            break
    return wall - (before + after) / 2


def arrival(ancillary: list[tuple[int, int, bytes]], offset: float) -> tuple[float, bool]:
    """When the bytes of one recvmsg came in, in monotonic seconds, and whether the kernel says so.

    `offset` is `wall_offset()` of when the probe began. Without a stamp, or if the wall clock was set since, it is
    the present moment.
    """
    now = monotonic()
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPING and len(data) >= 16:
            seconds, nanoseconds = _FIRST_STAMP(data)
            came = seconds + nanoseconds * 1e-9 - offset
            if seconds and came <= now + STEP and abs(wall_offset() - offset) < STEP:
                return (came if came < now else now), True
    return now, False


def connect_time(sock: socket.socket) -> float | None:
    """Seconds that the TCP handshake's round trip took, by the kernel; None where it can't say.

    After a lost SYN the kernel's figure would hide the wait for its repetition, so there it can't say either.
    """
    if sys.platform != "linux":
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
    except OSError:
        return None
    if len(info) < _TCP_INFO_SIZE or _RTT(info, _TOTAL_RETRANS_AT)[0]:
        return None
    microseconds = _RTT(info, _RTT_AT)[0]
    return microseconds * 1e-6 if microseconds else None
