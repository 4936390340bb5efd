"""TLS contexts: whom to trust and as whom to appear, read from files once, off the event loop."""

from __future__ import annotations

import asyncio
import ssl
import stat
import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from checks.wire.fault import WireError
from checks.wire.patience import Patience

VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}


RUSTLS = True
"""Whether to shake hands by Rustls where it is installed: at half of OpenSSL's CPU (340 µs for 650)."""

CONTEXTS_MOST = 256
Key = tuple["Trust", bool, tuple[int, ...]]
_contexts: dict[Key, ssl.SSLContext] = {}
_being_made: dict[Key, Future[ssl.SSLContext]] = {}
_starting = threading.Lock()
_at_once = threading.BoundedSemaphore(4)
"""A few, so that one file system that hangs does not stop what reads from others."""


@lru_cache(maxsize=1)
def _has_rustls() -> bool:
    return find_spec("rtls") is not None


def suits_rustls(trust: Trust) -> bool:
    """Whether Rustls can do it, which knows no TLS below 1.2; showing certificates and blind trust are OpenSSL's."""
    blind = not trust.verify or not trust.names
    return RUSTLS and not blind and not trust.cert_file and trust.min_version in ("1.2", "1.3") and _has_rustls()


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to believe and as whom to appear; `ca_file` "" is the system's store, `cert_file` "" is no client
    certificate. `names` false takes a trusted certificate whatever name it bears. `protocols` are those to offer on top
    of TLS (ALPN)."""

    verify: bool = True
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    min_version: str = "1.2"
    names: bool = True
    protocols: tuple[str, ...] = ()

    def stamps(self) -> tuple[int, ...]:
        """When each named file changed, so that a renewed one is read again. Raises OSError."""
        return tuple(_changed(file) for file in (self.ca_file, self.cert_file, self.key_file) if file)


def _changed(file: str) -> int:
    status = Path(file).stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{file} is no file")
    return status.st_mtime_ns


async def context_for(trust: Trust, rustls: bool, patience: Patience) -> ssl.SSLContext:
    """The context for `trust`, made once: parsing a trust store takes 10 to 35 ms, so it happens off the loop.

    Raises WireError, as ours, where a file can't be read.
    """
    try:
        key = (trust, rustls, trust.stamps())
        found = _contexts.get(key)
        return found if found is not None else await _made(key, patience)
    except (OSError, ValueError) as why:
        files = ", ".join(file for file in (trust.ca_file, trust.cert_file, trust.key_file) if file)
        raise WireError("tls", "internal", f"cannot use the TLS settings ({files}): {why}", ours=True) from None


async def _made(key: Key, patience: Patience) -> ssl.SSLContext:
    """The context, made in a thread: a thousand checks that begin at once want the same one and wait for it together.

    Not by an executor: the process would not end before a file system that hangs answers.
    """
    with _starting:
        found, making = _contexts.get(key), _being_made.get(key)
        if found is not None:
            return found
        if making is None:
            making = Future()
            threading.Thread(target=_make, args=(key, making), name="tls-contexts", daemon=True).start()
            _being_made[key] = making  # not before: where no thread can be had, nobody shall wait for this one
    done: asyncio.Future[None] = patience.loop.create_future()
    making.add_done_callback(lambda _: _tell(patience.loop, done))
    await patience.wait(done)
    return making.result()


def _tell(loop: asyncio.AbstractEventLoop, done: asyncio.Future[None]) -> None:
    with suppress(RuntimeError):  # the loop has ended, and nobody waits
        loop.call_soon_threadsafe(lambda: None if done.done() else done.set_result(None))


def _make(key: Key, making: Future[ssl.SSLContext]) -> None:
    trust, rustls, _ = key
    try:
        with _at_once:
            made = (_with_rustls if rustls else _with_openssl)(trust)
    except BaseException as why:  # handed to whoever waits
        with _starting:
            del _being_made[key]
        making.set_exception(why)
        return
    with _starting:
        if len(_contexts) >= CONTEXTS_MOST:
            _contexts.clear()
        _contexts[key] = made
        del _being_made[key]
    making.set_result(made)


def _with_openssl(trust: Trust) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = VERSIONS[trust.min_version]
    if trust.protocols:
        context.set_alpn_protocols(list(trust.protocols))
    context.check_hostname = trust.verify and trust.names
    if not trust.verify:
        context.verify_mode = ssl.CERT_NONE
    elif trust.ca_file:
        context.load_verify_locations(trust.ca_file)
    else:
        context.load_default_certs()
    if trust.cert_file:
        context.load_cert_chain(trust.cert_file, trust.key_file or None, password=_no_password)
    return context


def _with_rustls(trust: Trust) -> ssl.SSLContext:
    import rtls

    context: ssl.SSLContext = rtls.SSLContext(rtls.PROTOCOL_TLS_CLIENT)
    context.minimum_version = VERSIONS[trust.min_version]
    if trust.protocols:
        context.set_alpn_protocols(list(trust.protocols))
    if trust.ca_file:
        # Rustls takes a file without certificates for good; OpenSSL says what is wrong with it.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(trust.ca_file)
        context.load_verify_locations(trust.ca_file)
    else:
        context.load_default_certs()
    # The first stream reads the whole store (20 ms): here, not on the event loop.
    context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
    return context


def _no_password() -> str:
    # Without this OpenSSL would ask on the terminal.
    raise ValueError("the key is encrypted; give one without a passphrase")
