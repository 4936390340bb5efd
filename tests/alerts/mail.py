"""A real SMTP server on loopback that says what it is told to: TLS, log-in, refusals."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "runwatch", "secret-mail-password"


@dataclass
class Mailbox:
    """What arrived. `answers` are given in place of 250, by command (RCPT: by recipient), each once or for ever."""

    port: int = 0
    ca_file: str = ""
    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    logins: list[bytes] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    hanging: asyncio.Event | None = None

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        envelope.mail_from = address
        return self.answers.get("MAIL", "250 OK")

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        answer = self.answers.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.hanging is not None:
            self.hanging.set()
            await asyncio.Event().wait()
        if "DATA" in self.answers:
            return self.answers["DATA"]
        assert isinstance(envelope.content, bytes)
        self.envelopes.append(envelope)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))  # type: ignore[arg-type]
        self.encrypted.append(session.ssl is not None or server.transport.get_extra_info("sslcontext") is not None)
        return "250 OK"

    def login(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        """The authenticator: one user is known."""
        assert isinstance(data, LoginPassword)
        self.logins.append(data.login)
        good = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=good, handled=good)


@asynccontextmanager
async def mailbox(
    tmp_path: Any, *, tls: str = "starttls", login: bool = False, name: str = "localhost", banner: str = ""
) -> AsyncIterator[Mailbox]:
    """`tls`: starttls, implicit or none. `banner`: said in place of the greeting, and nothing else."""
    box = Mailbox(ca_file=str(tmp_path / "ca.pem"))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(box.ca_file)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name, "127.0.0.1").configure_cert(context)
    loop = asyncio.get_running_loop()

    def session() -> asyncio.Protocol:
        return SMTP(
            box, hostname="mail.example.com", loop=loop, enable_SMTPUTF8=True,
            tls_context=context if tls == "starttls" else None, require_starttls=tls == "starttls",
            authenticator=box.login if login else None, auth_required=login and tls == "starttls",
            auth_require_tls=tls == "starttls",
        )  # fmt: skip

    protocol: Callable[[], asyncio.Protocol] = (lambda: _Banner(banner)) if banner else session
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=context if tls == "implicit" else None)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
        await server.wait_closed()


class _Banner(asyncio.Protocol):
    def __init__(self, said: str) -> None:
        self.said = said

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(f"{self.said}\r\n".encode())
        transport.close()
