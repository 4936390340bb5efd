"""TCP ports for the demo's servers, from a part of a range that each process has to itself."""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
import random
import socket
from collections.abc import Iterator

PORTS = (20000, 32000)
"""Below those that the kernel gives to clients: nobody connects to itself where a server has stopped."""
SHARE = 250
"""So many belong to one process: a port whose server is stopped for a while is not given to another one meanwhile."""


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now, and that no other process will be given."""
    _, ports = _own()
    for port in itertools.islice(ports, SHARE):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise OSError(f"no port of {SHARE} is free on 127.0.0.1")


@functools.cache
def _own() -> tuple[socket.socket, Iterator[int]]:
    """What claims this process's share until it ends, a datagram socket on its first port, and the other ports."""
    shares = list(range(*PORTS, SHARE))
    random.shuffle(shares)
    for first in shares:
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            claim.bind(("127.0.0.1", first))
        except OSError:
            claim.close()
        else:
            atexit.register(claim.close)
            return claim, itertools.cycle(range(first + 1, first + SHARE))
    raise OSError(f"all ports from {PORTS[0]} to {PORTS[1]} are taken: too many demos or tests are under way")
