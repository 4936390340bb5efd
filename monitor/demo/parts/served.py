"""What every stand-in that speaks HTTP has: a port of its own on loopback, refused and taken again at will."""

from __future__ import annotations

import ssl
from typing import Self

from aiohttp import web

from monitor.demo.certificates import Certificate
from monitor.demo.ports import free_port

LARGEST = 2**25
"""Bytes of a request's body."""


class Served:
    """Answers as `handle` does; `async with` starts it. With a certificate it speaks TLS.

    Belongs to the event loop that starts it, and all that is changed about it is changed there.
    """

    def __init__(self, certificate: Certificate | None = None) -> None:
        self.port = free_port()
        self.tls = certificate.context() if certificate else None
        self._runner: web.AppRunner | None = None

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"{'https' if self.tls else 'http'}://{self.address}"

    async def start(self) -> Self:
        """Listen (again)."""
        if self._runner is None:
            app = web.Application(client_max_size=LARGEST)
            app.router.add_route("*", "/{path:.*}", self.handle)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
            await runner.setup()
            try:
                await web.TCPSite(runner, "127.0.0.1", self.port, ssl_context=self.tls).start()
            except OSError:  # somebody else has taken the port meanwhile
                await runner.cleanup()
                raise
            self._runner = runner
        return self

    async def stop(self) -> None:
        """Hang up on everybody; from now on the port is refused."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def present(self, certificate: Certificate) -> None:
        """Show this certificate from the next handshake on."""
        assert self.tls is not None, "it speaks no TLS"
        certificate.install(self.tls)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The answer to a request."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


def trusting(context: ssl.SSLContext, authority: bytes) -> None:
    """Have a server take certificates of clients that this authority (PEM) issued; it asks for one and wants none."""
    context.load_verify_locations(cadata=authority.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
