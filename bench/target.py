"""A small HTTP and HTTPS target in a process of its own, to be asked by the benches: answers at once, or holds."""

from __future__ import annotations

import asyncio
import ssl
import sys
from time import monotonic
from typing import cast

BODY = b'{"status":"healthy","uptime":12345,"checks":{"database":"ok","cache":"ok"},"v":"1.2.3"}'
HEAD = b"HTTP/1.1 200 OK\r\nServer: target\r\nContent-Type: application/json\r\nConnection: close\r\n"
ANSWER = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


class Target(asyncio.Protocol):
    """Answers every request; `/hold` after 50 ms, with the hold as it really was in the body (ms)."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET /hold"):
            asyncio.get_running_loop().call_later(0.05, self._late, monotonic())
        else:
            self.transport.write(ANSWER)
            self.transport.close()

    def _late(self, came: float) -> None:
        held = b'{"held":%.6f}' % (monotonic() - came)
        self.transport.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(held) + held)
        self.transport.close()


async def serve(certificate: str = "") -> None:
    """Serve until stdin ends; the first line printed is the port."""
    loop = asyncio.get_running_loop()
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    server = await loop.create_server(Target, "127.0.0.1", 0, ssl=context, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()
    server.close()


if __name__ == "__main__":
    try:
        import uvloop

        uvloop.run(serve(*sys.argv[1:]))
    except ImportError:
        asyncio.run(serve(*sys.argv[1:]))
