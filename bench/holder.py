"""A target that holds every answer for 50 ms and tells the hold as the kernel saw it: from the request's arrival.

A hold counted from when Python got round to reading would blame the prober for the target's own queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from functools import partial
from time import monotonic

from checks.wire import clock

HOLD = 0.05


class Holder:
    """All connections of one listener."""

    def __init__(self, loop: asyncio.AbstractEventLoop, listener: socket.socket) -> None:
        self._loop = loop
        self._listener = listener
        self._offset = clock.wall_offset()
        loop.add_reader(listener.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(64):
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            self._loop.add_reader(sock.fileno(), partial(self._read, sock))

    def _read(self, sock: socket.socket) -> None:
        self._loop.remove_reader(sock.fileno())
        try:
            data, ancillary, _, _ = sock.recvmsg(65536, clock.ANCILLARY)
        except OSError:
            data, ancillary = b"", []
        if not data:
            sock.close()
            return
        came, stamped = clock.arrival(ancillary, self._offset)
        assert stamped, "the kernel stamps nothing"
        self._loop.call_at(came + HOLD, self._answer, sock, came)

    def _answer(self, sock: socket.socket, came: float) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
        body = b'{"held_ms":%.4f}' % ((monotonic() - came) * 1000)
        with contextlib.suppress(OSError):
            sock.send(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        sock.close()


async def serve() -> None:
    """Serve until stdin ends; the first line printed is the port."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        listener.setblocking(False)
        # What the listener asks for, its connections inherit: no request comes in unstamped.
        clock.want_stamps(listener)
        Holder(loop, listener)
        print(listener.getsockname()[1], flush=True)
        ended = asyncio.Event()
        loop.add_reader(sys.stdin.fileno(), ended.set)
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(serve())
