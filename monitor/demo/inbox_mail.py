"""The inbox's mail server: takes mails by SMTP on a port of its own, as any server would that is asked to relay."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from monitor.demo.ports import free_port
from monitor.demo.process import wants_package

if TYPE_CHECKING:
    from aiosmtpd.smtp import SMTP, Envelope, Session

HOST = "inbox.demo"


@dataclass(frozen=True)
class Mail:
    """A mail as it was handed over: `text` is what a reader without HTML sees."""

    sender: str
    to: tuple[str, ...]
    subject: str
    text: str

    def as_json(self) -> dict[str, Any]:
        """For the list of messages."""
        return {"from": self.sender, "to": list(self.to), "subject": self.subject, "text": self.text}


Take = Callable[[Mail], Awaitable[str]]
"""What is answered to a mail: `250 OK`, or a refusal; the empty text hangs up without one."""


class MailServer:
    """Takes mails for everybody, without TLS and without a log-in; the port stays over `stop` and `start`."""

    def __init__(self, take: Take) -> None:
        self.port = free_port()
        self._take = take
        self._server: asyncio.Server | None = None
        self._sessions: WeakSet[SMTP] = WeakSet()

    @property
    def address(self) -> str:
        """host:port, as a smarthost is given."""
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen; Missing where aiosmtpd is not installed."""
        if self._server is not None:
            return
        wants_package("the mail server", "aiosmtpd")
        from aiosmtpd.smtp import SMTP

        loop = asyncio.get_running_loop()

        def session() -> SMTP:
            made = SMTP(_Handler(self._take), hostname=HOST, loop=loop, enable_SMTPUTF8=True)
            self._sessions.add(made)
            return made

        self._server = await loop.create_server(session, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Hang up on everybody, and refuse."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for session in self._sessions:
            _hang_up(session)
        await server.wait_closed()


def _hang_up(session: SMTP) -> None:
    if isinstance(session.transport, asyncio.Transport):
        session.transport.abort()


class _Handler:
    def __init__(self, take: Take) -> None:
        self._take = take

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # aiosmtpd's name
        content = envelope.content if isinstance(envelope.content, bytes) else str(envelope.content).encode()
        answer = await self._take(_read(content, envelope.mail_from or "", tuple(envelope.rcpt_tos)))
        if not answer:
            _hang_up(server)
        return answer or "421 hanging up"


def _read(content: bytes, sender: str, to: tuple[str, ...]) -> Mail:
    message = message_from_bytes(content, policy=policy.default)
    body = message.get_body(("plain", "html"))
    return Mail(sender, to, str(message["Subject"] or ""), str(body.get_content()) if body is not None else "")
