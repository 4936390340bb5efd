"""TLS in memory over a raw connection; and where it fails by the certificate, what that certificate says."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from checks.wire.certificates import Certificate, describe, read_chain, untrusted
from checks.wire.connect import CHUNK, Line
from checks.wire.contexts import Trust, context_for, suits_rustls
from checks.wire.fault import WireError
from checks.wire.patience import Patience

Prepare = Callable[[Line], Awaitable[None]]
"""What has to be said on a new connection before the handshake."""


class BadCertificate(WireError):
    """The handshake failed by the certificate, which is in `chain` (leaf first) as far as it could be read."""

    def __init__(self, reason: str, sentence: str, chain: tuple[Certificate, ...]) -> None:
        super().__init__("tls", reason, sentence)
        self.chain = chain


RUSTLS_MOST = 64
"""Connections by Rustls at once that trust the system's store: each holds a copy of it, 270 KiB, so that 2,000 hanging
targets would take 600 MB. Beyond these OpenSSL shakes hands, which takes 50 KiB and twice the CPU."""


class _Copy:
    """A Rustls connection's copy of the system's trust store, for as long as it lives."""

    __slots__ = ()
    alive = 0

    def __init__(self) -> None:
        _Copy.alive += 1

    def __del__(self) -> None:
        _Copy.alive -= 1


class Secure:
    """An encrypted connection: a `http1.Stream` like the `Line` beneath it, which it closes."""

    __slots__ = ("_copy", "_in", "_out", "_tls", "line", "took")

    def __init__(self, line: Line, context: ssl.SSLContext, server_name: str, copy: _Copy | None) -> None:
        self._copy = copy
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=server_name or None)
        self.line = line
        self.took = 0.0

    @property
    def name(self) -> str:
        """As `Line.name`."""
        return self.line.name

    @property
    def sent(self) -> float:
        """As `Line.sent`."""
        return self.line.sent

    @property
    def arrived(self) -> float:
        """As `Line.arrived`."""
        return self.line.arrived

    async def shake(self) -> None:
        """Do the handshake; `took` is then the seconds waited for the peer's flights. Raises ssl.SSLError."""
        line, tls = self.line, self._tls
        complete = False
        while not complete:
            try:
                tls.do_handshake()
                complete = True
            except ssl.SSLWantReadError:
                await self.flush()
                asked = line.sent
                self._in.write(await self._more())
                self.took += max(0.0, line.arrived - asked)
                # A flight in several packets is one wait, from its question to its last packet.
                line.sent = line.arrived
            except ssl.SSLError:
                # The alert tells the peer why.
                await self.flush()
                raise

    async def send(self, data: bytes) -> None:
        """As `Line.send`."""
        self._tls.write(data)
        await self.flush()

    async def flush(self) -> None:
        """Send what the handshake's end left to be sent with the first data."""
        if self._out.pending:
            await self.line.send(self._out.read())

    async def recv(self, most: int = CHUNK) -> bytes:
        """As `Line.recv`."""
        while True:
            try:
                return self._tls.read(most)
            except ssl.SSLWantReadError:
                if self._said_good_bye():
                    return b""
                await self.flush()
                data = await self.line.recv()
                if not data:
                    return b""
                self._in.write(data)
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLError as why:
                raise fault(why, self.name) from None

    def chain(self) -> tuple[Certificate, ...]:
        """The certificates that the peer showed, leaf first."""
        return read_chain(_ders(self._tls))

    def version(self) -> str:
        """The protocol agreed on, such as TLSv1.3."""
        return self._tls.version() or ""

    def close(self) -> None:
        """As `Line.close`: without farewell, which an answer that is complete does not need."""
        self.line.close()

    def _said_good_bye(self) -> bool:
        """Whether the peer ended the stream: Rustls then wants no more, and has no exception for it as OpenSSL has."""
        inner: Any = getattr(self._tls, "_conn", None)
        return inner is not None and not inner.wants_read()

    async def _more(self) -> bytes:
        how = "closed"
        try:
            data = await self.line.recv()
        except WireError as error:
            if error.reason != "protocol":
                raise
            how, data = "broke", b""
        if not data:
            raise WireError("tls", "tls_handshake", f"{self.name} {how} the connection during the TLS handshake")
        return data


async def secure(
    line: Line, trust: Trust, server_name: str, patience: Patience, prepare: Prepare | None = None
) -> Secure:
    """`line` encrypted; it stays the caller's to close. `prepare` is done first on each connection.

    What Rustls refuses, OpenSSL is asked about on a second connection: it may take it, and if not, it says why. Where
    the certificate is refused, a third one only reads it. Raises BadCertificate with reason tls_expired, tls_name or
    tls_handshake, and WireError tls_handshake for the rest.
    """
    subject = (line.address, server_name, trust)
    if suits_rustls(trust) and subject not in _not_by_rustls and _room_for_rustls(trust):
        try:
            return await _encrypted(line, trust, server_name, patience, prepare, rustls=True)
        except (ssl.SSLError, ValueError, WireError):
            # Out of time is out of time, whoever shakes hands.
            patience.check()
        await line.renew()
        stream = await _named(line, trust, server_name, patience, prepare)
        if len(_not_by_rustls) >= SUBJECTS_MOST:
            _not_by_rustls.clear()
        _not_by_rustls.add(subject)
        return stream
    return await _named(line, trust, server_name, patience, prepare)


SUBJECTS_MOST = 10_000
_not_by_rustls: set[tuple[Any, str, Trust]] = set()


def _room_for_rustls(trust: Trust) -> bool:
    return bool(trust.ca_file) or _Copy.alive < RUSTLS_MOST


async def _named(line: Line, trust: Trust, server_name: str, patience: Patience, prepare: Prepare | None) -> Secure:
    """The stream by OpenSSL, or the fault by its name."""
    try:
        return await _encrypted(line, trust, server_name, patience, prepare, rustls=False)
    except ssl.SSLCertVerificationError as why:
        code, message = why.verify_code, why.verify_message
    except (ssl.SSLError, ValueError) as why:
        raise fault(why, line.name) from None
    blind = replace(trust, verify=False, ca_file="")
    try:
        await line.renew()
        chain = (await _encrypted(line, blind, server_name, patience, prepare, rustls=False)).chain()
    except (WireError, ssl.SSLError, ValueError):
        chain = ()
    reason, sentence = untrusted(code, message, chain, server_name or line.name)
    raise BadCertificate(reason, sentence, chain)


async def _encrypted(
    line: Line, trust: Trust, server_name: str, patience: Patience, prepare: Prepare | None, *, rustls: bool
) -> Secure:
    copy = _Copy() if rustls and not trust.ca_file else None
    if prepare is not None:
        await prepare(line)
    patience.doing("tls", "tls_handshake", f"no TLS handshake from {line.name}")
    context = await context_for(trust, rustls, patience)
    stream = Secure(line, context, server_name, copy)
    await stream.shake()
    return stream


def fault(why: ssl.SSLError | ValueError, name: str) -> WireError:
    """A handshake or record that failed for another reason than the certificate, in words."""
    word = str(getattr(why, "reason", None) or "").upper()
    if word in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNEXPECTED_MESSAGE", "PACKET_LENGTH_TOO_LONG"):
        text = f"{name} does not speak TLS on this port"
    elif "ALERT" in word and "CERTIFICATE" in word:
        text = f"{name} refuses our client certificate, or wants one ({describe(word)})"
    elif word:
        text = f"{name} refused the TLS handshake: {describe(word)}"
    else:
        text = f"no TLS with {name}: {why}"
    return WireError("tls", "tls_handshake", text)


def _ders(tls: Any) -> tuple[bytes, ...]:
    """The peer's chain as DER: by the public method of Python 3.13 and of Rustls, by the one beneath it before."""
    if hasattr(tls, "get_unverified_chain"):
        shown = tls.get_unverified_chain() or ()
        return tuple(item if isinstance(item, bytes) else item.public_bytes() for item in shown)
    inner: Any = getattr(tls, "_sslobj", None)
    if hasattr(inner, "get_unverified_chain"):
        # 2: DER, of _ssl.ENCODING_DER.
        return tuple(item.public_bytes(2) for item in inner.get_unverified_chain() or ())
    leaf = tls.getpeercert(True)
    return (leaf,) if leaf else ()
