"""When a socket can be read or written: one epoll beneath each event loop, which watches all sockets of all probes.

The loop's own add_reader and remove_reader cost 4 µs a call, four calls a probe; a one-shot epoll entry costs 0.4 µs,
needs no removal since closing the socket removes it, and works alike under asyncio and uvloop.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from weakref import WeakKeyDictionary

AT_ONCE = 256
"""Sockets that are served in one turn of the loop, so that others get theirs."""

READABLE = select.EPOLLIN | select.EPOLLONESHOT
WRITABLE = select.EPOLLOUT | select.EPOLLONESHOT

_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Ready] = WeakKeyDictionary()


class Ready:
    """The sockets of one event loop that somebody waits for. Get it from `ready`."""

    __slots__ = ("_poll", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # No reference to the loop, which refers to us: it would never be freed.
        self._poll = select.epoll()
        self._waiting: dict[int, Callable[[], None] | None] = {}
        loop.add_reader(self._poll.fileno(), self._serve)

    def when(self, fd: int, events: int, then: Callable[[], None]) -> None:
        """Call `then` once, as soon as `fd` is READABLE or WRITABLE, or broken. `then` must not raise."""
        if fd in self._waiting:
            self._poll.modify(fd, events)
        else:
            self._poll.register(fd, events)
        self._waiting[fd] = then

    def forget(self, fd: int) -> None:
        """Before `fd` is closed: nobody waits for it any more."""
        self._waiting.pop(fd, None)

    def close(self) -> None:
        """The loop is closed."""
        self._poll.close()

    def _serve(self) -> None:
        waiting = self._waiting
        for fd, _ in self._poll.poll(0, AT_ONCE):
            then = waiting.get(fd)
            if then is not None:
                waiting[fd] = None
                then()


def ready(loop: asyncio.AbstractEventLoop) -> Ready:
    """The one of this loop."""
    found = _of_loop.get(loop)
    if found is None:
        # Loops say nothing when they close, and are freed late.
        for other in [reference() for reference in _of_loop.keyrefs()]:
            if other is not None and other.is_closed():
                _of_loop.pop(other).close()
        found = _of_loop[loop] = Ready(loop)
    return found
