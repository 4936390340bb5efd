"""A small HTTP and HTTPS target in a process of its own, to be asked by the benches: answers at once, or holds."""

from __future__ import annotations

import asyncio
import datetime
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import cast

BODY = b'{"status":"healthy","uptime":12345,"checks":{"database":"ok","cache":"ok"},"v":"1.2.3"}'
HEAD = b"HTTP/1.1 200 OK\r\nServer: target\r\nContent-Type: application/json\r\nConnection: close\r\n"
ANSWER = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
HOLD = 0.05


class Target(asyncio.Protocol):
    """Answers every request; `/hold` after 50 ms, with the hold as it really was in the body (ms)."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET /hold"):
            asyncio.get_running_loop().call_later(HOLD, self._late, monotonic())
        else:
            self.transport.write(ANSWER)
            self.transport.close()

    def _late(self, came: float) -> None:
        if self.transport.is_closing():
            return
        held = b'{"held_ms":%.4f}' % ((monotonic() - came) * 1000)
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


@contextmanager
def target(certificate: str = "", module: str = "bench.target") -> Iterator[int]:
    """The port of a target in a process of its own; HTTPS where a PEM file with certificate and key is given."""
    command = [sys.executable, "-m", module, *([certificate] if certificate else [])]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


def certificates(folder: Path) -> tuple[str, str]:
    """Files of an authority, and of a certificate with its key for 127.0.0.1."""
    import trustme

    authority, now = trustme.CA(), datetime.datetime.now(datetime.UTC)
    issued = authority.issue_cert("127.0.0.1", not_after=now + datetime.timedelta(days=30))
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    return str(folder / "ca.pem"), str(folder / "server.pem")


if __name__ == "__main__":
    try:
        import uvloop

        uvloop.run(serve(*sys.argv[1:]))
    except ImportError:
        asyncio.run(serve(*sys.argv[1:]))
