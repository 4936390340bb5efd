"""Hands a mail to a server by SMTP: TLS, log-in, and what each answer means for another try."""

from __future__ import annotations

import asyncio
import base64
import socket
from contextlib import suppress
from dataclasses import dataclass
from email.headerregistry import Address
from ipaddress import ip_address

import aiosmtplib
from pydantic import SecretStr

from alerts.notifiers._http import TlsConfig, tls_context
from alerts.notifiers.base import NotDelivered
from alerts.wording import one_line
from checks.wire.fault import WireError
from checks.wire.patience import Patience
from checks.wire.resolve import resolve

CONNECT_WITHIN = 9.0
"""Seconds for finding the server and connecting, shorter than what an attempt has."""


@dataclass(frozen=True, slots=True)
class Server:
    """The server to hand mails to; without `username` we don't log in."""

    host: str
    port: int
    hello: str
    require_tls: bool
    implicit_tls: bool
    tls: TlsConfig
    username: str = ""
    password: SecretStr | None = None
    identity: str = ""

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


async def hand_over(server: Server, sender: Address, to: list[Address], data: bytes) -> list[str]:
    """Give the mail to the server; a sentence for each recipient that it does not take while it takes others.

    Raises NotDelivered. Source: RFC 5321, 3207 and 4954. Leaves no connection behind, however it ends.
    """
    encrypted = server.implicit_tls or server.require_tls
    tls = await tls_context(server.tls) if encrypted else None
    sock, loopback = await _connected(server)
    client = aiosmtplib.SMTP(
        hostname=server.tls.server_name or server.host, sock=sock, use_tls=server.implicit_tls, start_tls=False,
        tls_context=tls, local_hostname=server.hello, timeout=None,
    )  # fmt: skip
    try:
        await client.connect()
        if server.require_tls and not server.implicit_tls:
            await client.ehlo()
            if not client.supports_extension("starttls"):
                why = f"{server} offers no TLS; if mails may go unencrypted, say require_tls: false"
                raise NotDelivered(why, retry=False, reason="clientError")
            await client.starttls(tls_context=tls)
        if server.username and server.password is not None:
            if not encrypted and not loopback:
                why = "a password does not go over an unencrypted connection; leave require_tls as it is"
                raise NotDelivered(why, retry=False, reason="authError")
            await _log_in(client, server.username, server.password.get_secret_value(), server.identity)
        refused, _ = await client.sendmail(sender.addr_spec, [one.addr_spec for one in to], data)
        _hang_up(client)
    except (aiosmtplib.SMTPException, OSError, ValueError) as why:
        raise _refusal(str(server), why) from None
    finally:
        if client.transport is not None:
            client.transport.abort()  # type: ignore[attr-defined]  # a transport of a stream
        client.close()
    return [f"{who} was not told: {said[0]} {one_line(said[1])[:200]}" for who, said in refused.items()]


async def _log_in(client: aiosmtplib.SMTP, username: str, password: str, identity: str) -> None:
    if not identity:
        await client.login(username, password)
        return
    await client.ehlo()
    token = base64.b64encode(f"{identity}\0{username}\0{password}".encode())
    answer = await client.execute_command(b"AUTH", b"PLAIN", token)
    if answer.code != 235:
        raise aiosmtplib.SMTPAuthenticationError(answer.code, answer.message)


def host_and_port(smarthost: str) -> tuple[str, int]:
    """What `mail.example.com:587` says; ValueError with a sentence otherwise."""
    host, _, port = smarthost.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not host.isprintable() or " " in host or not port.isdigit() or not 0 < int(port[:6]) < 65536:
        raise ValueError(f"{smarthost!r} is no host with a port, such as mail.example.com:587")
    return host, int(port)


def _refusal(where: str, why: Exception) -> NotDelivered:
    """4xx and a lost connection are worth another try (greylisting says 451); 5xx is the server's last word."""
    if isinstance(why, aiosmtplib.SMTPRecipientsRefused):
        said = "; ".join(f"{one.recipient}: {one.code} {one_line(one.message)[:150]}" for one in why.recipients)
        later = any(one.code < 500 for one in why.recipients)
        return NotDelivered(f"{where} takes none of the recipients: {said}"[:500], retry=later, reason=_word(later))
    if isinstance(why, aiosmtplib.SMTPResponseException):
        later = why.code < 500
        said = f"{where} answered {why.code} {one_line(why.message)[:300]}"
        if isinstance(why, aiosmtplib.SMTPAuthenticationError) or why.code in (530, 534, 535, 538):
            return NotDelivered(f"cannot log in: {said}", retry=later, reason="authError")
        return NotDelivered(said, retry=later, reason=_word(later))
    if isinstance(why, OSError):
        return NotDelivered(f"cannot hand the mail to {where}: {why}", retry=True, reason="serverError")
    said = one_line(str(why))[:300]
    return NotDelivered(f"cannot hand the mail to {where}: {said}", retry=False, reason="clientError")


async def _connected(server: Server) -> tuple[socket.socket, bool]:
    """A connection to the first address that takes one, and whether it stays on this machine."""
    loop = asyncio.get_running_loop()
    faults = []
    try:
        with Patience(CONNECT_WITHIN) as patience:
            addresses = await resolve(server.host, server.port, "any", patience)
    except WireError as why:
        raise NotDelivered(why.sentence, retry=True, reason="other") from None
    for family, address in addresses[:4]:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            async with asyncio.timeout(CONNECT_WITHIN / min(len(addresses), 4)):
                await loop.sock_connect(sock, address)
            return sock, ip_address(str(address[0]).partition("%")[0]).is_loopback
        except OSError as why:
            sock.close()
            faults.append(f"{address[0]}: {why.strerror or 'no answer'}")
        except BaseException:
            sock.close()
            raise
    raise NotDelivered(f"cannot connect to {server}: {'; '.join(faults)}", retry=True, reason="other")


def _hang_up(client: aiosmtplib.SMTP) -> None:
    # The mail is theirs by now: nobody waits for what they say to QUIT, and no failure of it may send the mail again.
    transport = client.transport
    if transport is not None:
        with suppress(OSError, RuntimeError):
            transport.write(b"QUIT\r\n")  # type: ignore[attr-defined]  # a transport of a stream
    client.close()


def _word(later: bool) -> str:
    return "serverError" if later else "clientError"
