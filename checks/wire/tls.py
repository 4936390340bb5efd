"""TLS in memory over a raw connection, and what a certificate says, also of one that can't be trusted."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from checks.wire.certificates import Certificate, describe, read_chain, untrusted
from checks.wire.connect import CHUNK, Line, connect
from checks.wire.fault import WireError
from checks.wire.patience import Patience

T = TypeVar("T")

VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to believe and as whom to appear; `ca_file` "" is the system's store, `cert_file` "" is no client
    certificate."""

    verify: bool = True
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    min_version: str = "1.2"

    def stamps(self) -> tuple[int, ...]:
        """When each named file changed, so that a renewed one is read again. Raises OSError."""
        return tuple(Path(file).stat().st_mtime_ns for file in (self.ca_file, self.cert_file, self.key_file) if file)


class BadCertificate(WireError):
    """The handshake failed by the certificate, which is in `chain` (leaf first) as far as it could be read."""

    def __init__(self, reason: str, sentence: str, chain: tuple[Certificate, ...]) -> None:
        super().__init__("tls", reason, sentence)
        self.chain = chain


class Secure:
    """An encrypted connection: a `http1.Stream` like the `Line` beneath it, which it closes."""

    __slots__ = ("_in", "_out", "_tls", "line", "took")

    def __init__(self, line: Line, context: ssl.SSLContext, server_name: str) -> None:
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

    async def _more(self) -> bytes:
        data = await self.line.recv()
        if not data:
            raise WireError("tls", "tls_handshake", f"{self.name} closed the connection during the TLS handshake")
        return data


async def secure(line: Line, trust: Trust, server_name: str, patience: Patience) -> Secure:
    """`line` encrypted. The line stays the caller's to close.

    Where the certificate is refused, asks once more without verifying, only to read it, and raises BadCertificate
    with reason tls_expired, tls_name or tls_handshake. Raises WireError tls_handshake for the rest.
    """
    patience.doing("tls", "tls_handshake", f"no TLS handshake from {line.name}")
    context = await context_for(trust, patience)
    try:
        stream = Secure(line, context, server_name)
        await stream.shake()
    except ssl.SSLCertVerificationError as why:
        code, message = why.verify_code, why.verify_message
        chain = await _shown(line, trust, server_name, patience)
        reason, sentence = untrusted(code, message, chain, server_name or line.name)
        raise BadCertificate(reason, sentence, chain) from None
    except (ssl.SSLError, ValueError) as why:
        raise fault(why, line.name) from None
    return stream


async def context_for(trust: Trust, patience: Patience) -> ssl.SSLContext:
    """The context for `trust`, made once: parsing a trust store takes 10 to 35 ms, so it happens off the loop.

    Raises WireError, as ours, where a file can't be read.
    """
    try:
        key = (trust, trust.stamps())
        found = _contexts.get(key)
        if found is None:
            found = await off_the_loop(patience, _build, trust)
            if len(_contexts) >= CONTEXTS_MOST:
                _contexts.clear()
            _contexts[key] = found
        return found
    except (OSError, ValueError) as why:
        files = ", ".join(file for file in (trust.ca_file, trust.cert_file, trust.key_file) if file)
        raise WireError("tls", "internal", f"cannot use the TLS settings ({files}): {why}", ours=True) from None


CONTEXTS_MOST = 256
_contexts: dict[tuple[Trust, tuple[int, ...]], ssl.SSLContext] = {}


async def off_the_loop(patience: Patience, work: Callable[..., T], *arguments: Any) -> T:
    """The result of `work`, done in the one thread that reads certificates: never in the loop's own executor."""
    result: T = await patience.wait(patience.loop.run_in_executor(_reader(), work, *arguments))
    return result


@lru_cache(maxsize=1)
def _reader() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "certificates")


def _build(trust: Trust) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = VERSIONS[trust.min_version]
    if not trust.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif trust.ca_file:
        context.load_verify_locations(trust.ca_file)
    else:
        context.load_default_certs()
    if trust.cert_file:
        context.load_cert_chain(trust.cert_file, trust.key_file or None, password=_no_password)
    return context


def _no_password() -> str:
    # Without this OpenSSL would ask on the terminal.
    raise ValueError("the key is encrypted; give one without a passphrase")


async def _shown(line: Line, trust: Trust, server_name: str, patience: Patience) -> tuple[Certificate, ...]:
    """What the peer shows to somebody who does not verify; () where even that fails."""
    blind = Trust(False, "", trust.cert_file, trust.key_file, trust.min_version)
    try:
        again = await connect([line.address], patience)
    except WireError:
        return ()
    with again:
        try:
            patience.doing("tls", "tls_handshake", f"no TLS handshake from {line.name}")
            stream = Secure(again, await context_for(blind, patience), server_name)
            await stream.shake()
            return stream.chain()
        except (WireError, ssl.SSLError):
            return ()


def fault(why: ssl.SSLError | ValueError, name: str) -> WireError:
    """A handshake or record that failed for another reason than the certificate, in words."""
    word = str(getattr(why, "reason", None) or "").upper()
    if word in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNEXPECTED_MESSAGE", "PACKET_LENGTH_TOO_LONG"):
        text = f"{name} does not speak TLS on this port"
    elif "CERTIFICATE_REQUIRED" in word or (word.startswith(("SSLV3_ALERT", "TLSV1")) and "CERTIFICATE" in word):
        text = f"{name} refuses our client certificate, or wants one ({describe(word)})"
    elif word:
        text = f"{name} refused the TLS handshake: {describe(word)}"
    else:
        text = f"no TLS with {name}: {why}"
    return WireError("tls", "tls_handshake", text)


def _ders(tls: Any) -> tuple[bytes, ...]:
    """The peer's chain as DER: by the public method of Python 3.13, by the one beneath it before."""
    if hasattr(tls, "get_unverified_chain"):
        return tuple(tls.get_unverified_chain() or ())
    inner: Any = getattr(tls, "_sslobj", None)
    if hasattr(inner, "get_unverified_chain"):
        # 2: DER, of _ssl.ENCODING_DER.
        return tuple(item.public_bytes(2) for item in inner.get_unverified_chain() or ())
    leaf = tls.getpeercert(True)
    return (leaf,) if leaf else ()
