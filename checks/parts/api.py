"""Asks an HTTP API (a vendor's, an engine's, a cluster's) by aiohttp, and says in our words what went wrong.

The wire engine measures targets; this one is for answers: it knows proxies, keeps one connection for the questions of a
probe, and reads JSON. No retries: the prober owns them.
"""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from socket import AddressFamily
from typing import Any, NoReturn, Self

import aiohttp
import orjson
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDictProxy
from yarl import URL

from checks.base import Errored, Failed, Reason
from checks.parts import network as _network
from checks.parts.http.expect import brief
from checks.units import show_duration, show_size
from checks.wire.certificates import untrusted
from checks.wire.contexts import context_for
from checks.wire.fault import WireError
from checks.wire.patience import HAIR, Patience
from checks.wire.resolve import resolve
from checks.wire.tls import fault

LARGEST = 8 * 2**20
Query = Mapping[str, str | Sequence[str]]


class Answer:
    """One answer: status, headers, the body's bytes."""

    __slots__ = ("body", "headers", "name", "status")

    def __init__(self, status: int, headers: CIMultiDictProxy[str], body: bytes, name: str) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.name = name

    def json(self) -> Any:
        """The body as JSON; Failed body where it is none."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            said = brief(self.body[:200].decode("utf-8", "replace")) if self.body else "an empty answer"
            raise Failed(Reason.BODY, f"{self.name} did not answer with JSON but with {said}") from None

    def text(self, most: int = 2_000) -> str:
        """The beginning of the body."""
        return self.body[: most * 4].decode("utf-8", "replace")[:most]


class Api:
    """An API for the length of one probe; an async context manager that leaves no connection behind.

    `name` is what sentences call it ("Stripe", "Docker at unix:///…"); `base` its address without a final slash;
    `seconds` is the probe's timeout, `socket` a Unix socket's path in place of base's host. An answer larger than
    `largest` bytes fails. `context` takes the place of the one that `tls` would make.
    """

    def __init__(
        self,
        name: str,
        base: str,
        seconds: float,
        *,
        headers: Mapping[str, str] | None = None,
        tls: _network.TlsSettings | None = None,
        socket: str = "",
        largest: int = LARGEST,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.name = name
        self.base = base.rstrip("/")
        self.seconds = seconds
        self._headers = dict(headers or {})
        self._tls = tls
        self._socket = socket
        self._largest = largest
        self._given = context
        self._stack = AsyncExitStack()
        self._deadline = 0.0
        self._connecting = False
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._deadline = loop.time() + self.seconds - min(HAIR, self.seconds * 0.1)
        async with AsyncExitStack() as stack:
            patience = stack.enter_context(Patience(self.seconds))
            connector: aiohttp.BaseConnector
            if self._socket:
                connector = aiohttp.UnixConnector(self._socket)
            else:
                context = await self._context(patience)
                connector = aiohttp.TCPConnector(resolver=_Resolver(patience), use_dns_cache=False, ssl=context)
            # A proxy out of the environment is for hosts, not for what is on this one.
            self._session = aiohttp.ClientSession(
                connector=connector, headers={"User-Agent": "runwatch", **self._headers},
                trust_env=not self._socket, cookie_jar=aiohttp.DummyCookieJar(), trace_configs=[self._traced()],
            )  # fmt: skip
            stack.push_async_callback(self._session.close)
            # It would ask once more where a server hangs up, which is a fault to be told; there is no public way.
            self._session._retry_connection = False
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def _traced(self) -> aiohttp.TraceConfig:
        """So that waiting for a connection is told apart from waiting for the answer."""

        async def begun(*_: object) -> None:
            self._connecting = True

        async def made(*_: object) -> None:
            self._connecting = False

        trace = aiohttp.TraceConfig()
        trace.on_connection_create_start.append(begun)
        trace.on_connection_create_end.append(made)
        return trace

    async def _context(self, patience: Patience) -> ssl.SSLContext | bool:
        if not self.base.startswith("https:"):
            return True
        if self._given is not None:
            return self._given
        try:
            return await context_for((self._tls or _network.TlsSettings()).trust(), False, patience)
        except WireError as why:
            raise _network.translated(why) from None

    @property
    def left(self) -> float:
        """Seconds until the probe's deadline, never none."""
        return max(self._deadline - asyncio.get_running_loop().time(), 0.001)

    async def json(self, path: str, query: Query | None = None, *, accept: Sequence[int] = (200,)) -> Any:
        """The JSON that a GET of `base + path` gives."""
        return (await self.ask("GET", path, query, accept=accept)).json()

    async def ask(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        *,
        accept: Sequence[int] = (200,),
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        encoded: bool = False,
        enough: int = 0,
    ) -> Answer:
        """The answer to one request, of a status in `accept` (none: any). An `encoded` path is sent to the letter.

        Of an answer that is longer than `enough` bytes (0: any), no more than its beginning is read.

        Raises Failed or Errored with the reason: a refusal to let us in (401, 403) and a rate limit (429) are ours.
        """
        assert self._session is not None
        timeout = aiohttp.ClientTimeout(total=self.left)
        self._connecting = False
        address = f"{self.base}{path}"
        to = URL(address, encoded=True) if encoded else address
        pairs = [
            (key, one) for key, held in (query or {}).items() for one in ([held] if isinstance(held, str) else held)
        ]
        try:
            async with self._session.request(
                method, to, params=pairs or None, data=content, headers=headers, timeout=timeout,
                allow_redirects=False,
                server_hostname=self._tls.server_name or None if self._tls and address.startswith("https:") else None,
            ) as answer:  # fmt: skip
                body = await self._body(answer, enough)
                got = Answer(answer.status, answer.headers, body, self.name)
        except (aiohttp.ClientError, WireError, TimeoutError, OSError, ValueError) as why:
            self._raise(why)
        if accept and got.status not in accept:
            raise refused(got)
        return got

    async def _body(self, answer: aiohttp.ClientResponse, enough: int) -> bytes:
        pieces: list[bytes] = []
        size = 0
        async for piece in answer.content.iter_any():
            size += len(piece)
            if 0 < enough <= size:
                pieces.append(piece)
                break
            if size > self._largest:
                raise Failed(Reason.BODY, f"the answer of {self.name} is larger than {show_size(self._largest)}")
            pieces.append(piece)
        return b"".join(pieces)

    def _raise(self, why: Exception) -> NoReturn:
        """What went wrong, in our words."""
        start = f"cannot ask {self.name}"
        inner: BaseException | None = why
        while inner is not None:
            if isinstance(inner, WireError):
                raise _network.translated(inner) from None
            inner = inner.__cause__ or inner.__context__
        if isinstance(why, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
            raise _by_proxy(start, why) from None
        if isinstance(why, aiohttp.ClientConnectorCertificateError):
            cause = why.certificate_error
            code, said = getattr(cause, "verify_code", 0), getattr(cause, "verify_message", str(cause))
            reason, sentence = untrusted(code, said, (), why.host)
            raise Failed(Reason(reason), sentence) from None
        if isinstance(why, aiohttp.ClientConnectorSSLError):
            cause = why.os_error
            raise _network.translated(fault(cause if isinstance(cause, ssl.SSLError) else ValueError(cause), why.host))
        if isinstance(why, TimeoutError):
            limit = show_duration(self.seconds)
            if self._connecting:
                raise Failed(Reason.CONNECT_TIMEOUT, f"{start}: no connection within {limit}") from None
            raise Failed(Reason.READ_TIMEOUT, f"{start}: no answer within {limit}") from None
        if isinstance(why, aiohttp.ClientConnectorError | OSError):
            raise _by_number(start, why) from None
        if isinstance(why, aiohttp.InvalidURL | aiohttp.InvalidUrlClientError):
            raise Errored(Reason.INTERNAL, f"{start}: {brief(str(why))} is no address") from None
        raise Failed(Reason.PROTOCOL, f"{start}: {_malformed(why)}") from None


def refused(answer: Answer) -> Failed | Errored:
    """What a status means that nobody wanted; the beginning of what was said with it is in the sentence."""
    said = f": {brief(answer.text(300), 300)}" if answer.body else ""
    start = f"{answer.name} answered {answer.status}"
    if answer.status in (401, 403, 407):
        return Errored(Reason.AUTH, f"{start}, it does not let the monitor look{said}")
    if answer.status == 429:
        after = answer.headers.get("Retry-After", "")
        later = f" (Retry-After: {brief(after)})" if after else ""
        return Errored(Reason.RATE_LIMITED, f"{start}, the monitor is asked to come less often{later}")
    return Failed(Reason.STATUS, start + said)


def _by_proxy(start: str, why: aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError) -> Errored:
    """The proxy that the environment names (http_proxy, https_proxy) is ours, not the target's."""
    if isinstance(why, aiohttp.ClientProxyConnectionError):
        said = os.strerror(why.errno or errno.ECONNREFUSED).lower()
        return Errored(Reason.CONNECT_REFUSED, f"{start}: cannot reach the proxy {why.host}:{why.port}: {said}")
    reason = Reason.AUTH if why.status == 407 else Reason.PROTOCOL
    return Errored(reason, f"{start}: the proxy answered {why.status} {brief(why.message)}".rstrip())


def _malformed(why: Exception) -> str:
    """What is wrong with an answer, without the address, whose query is nobody's business."""
    if isinstance(why, aiohttp.ServerDisconnectedError):
        return "it closed the connection without an answer"
    if isinstance(why, aiohttp.ClientPayloadError) and "not completed" in str(why):
        return "it closed the connection in the middle of its answer"
    said = why.message if isinstance(why, aiohttp.ClientResponseError) else str(why)
    return brief(" ".join(said.split())) if said else type(why).__name__


def _by_number(start: str, why: aiohttp.ClientConnectorError | OSError) -> Failed | Errored:
    number = why.errno or getattr(getattr(why, "os_error", None), "errno", None)
    said = (os.strerror(number) if number and number > 0 else str(why)).lower()
    if number in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENETUNREACH, errno.EADDRNOTAVAIL):
        return Errored(Reason.INTERNAL, f"{start}: {said}")
    if number in (errno.EACCES, errno.EPERM):
        return Errored(Reason.AUTH, f"{start}: {said}")
    if number == errno.ETIMEDOUT:
        return Failed(Reason.CONNECT_TIMEOUT, f"{start}: {said}")
    if number in (errno.ECONNRESET, errno.EPIPE):
        return Failed(Reason.PROTOCOL, f"{start}: it closed the connection")
    return Failed(Reason.CONNECT_REFUSED, f"{start}: {said}")


class _Resolver(AbstractResolver):
    """aiohttp's names by our c-ares."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AddressFamily.AF_INET
    ) -> list[ResolveResult]:
        found = await resolve(host, port, "any", self._patience)
        return [
            ResolveResult(hostname=host, host=str(address[0]), port=port, family=AddressFamily(kind), proto=0, flags=0)
            for kind, address in found
        ]

    async def close(self) -> None:
        return
