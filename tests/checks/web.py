"""Real targets for the network kinds: servers on loopback that answer, hang, lie and misbehave as they are told."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from checks.base import Check, Errored, Failed, Reason, Run
from monitor.demo.ports import free_port

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Web:
    """One running server: what it was asked, and how many connections it holds."""

    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    open: int = 0
    accepted: int = 0
    quiet: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "/", scheme: str = "http", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


@asynccontextmanager
async def serving(
    handle: Handle | bytes, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[Web]:
    """A server that lets `handle` treat every connection, or answers every request with the given bytes."""
    web = Web()
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        web.open += 1
        web.accepted += 1
        web.quiet.clear()
        try:
            if isinstance(handle, bytes):
                await _answer(web, handle, reader, writer)
            else:
                await handle(reader, writer)
        except (ConnectionError, asyncio.CancelledError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            tasks.discard(task)
            web.open -= 1
            writer.close()
            if not web.open:
                web.quiet.set()

    server = await asyncio.start_server(connected, host, port, ssl=tls)
    web.port = server.sockets[0].getsockname()[1]
    try:
        yield web
    finally:
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Asked before `close`, wait_closed waits for every connection, in every version of Python.
        ended = asyncio.ensure_future(server.wait_closed())
        await asyncio.sleep(0)
        server.close()
        async with asyncio.timeout(5):
            await ended


async def _answer(web: Web, reply: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            head += await reader.readexactly(int(value))
    web.requests.append(head)
    writer.write(reply)
    await writer.drain()


def reply(body: bytes = b"", status: str = "200 OK", *headers: str, length: bool = True) -> bytes:
    """A whole HTTP answer."""
    lines = [f"HTTP/1.1 {status}", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


def routes(web: Callable[[], Web], answers: dict[str, bytes]) -> Handle:
    """A handler that answers by path."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        web().requests.append(head)
        writer.write(answers[head.split(b" ")[1].decode()])
        await writer.drain()

    return handle


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Listen until the other side gives up; say nothing."""
    while await reader.read(65536):
        pass


def then_hang(start: bytes) -> Handle:
    """A handler that sends only the start of an answer."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        await hang(reader, writer)

    return handle


def endless(start: bytes, piece: bytes) -> Handle:
    """A handler that sends `piece` for as long as somebody takes it."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(piece)
            await writer.drain()

    return handle


def dripping(start: bytes, piece: bytes, every: float) -> Handle:
    """A handler that sends `piece` again and again, never fast enough to be done, until the other side leaves."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(start)
        while not reader.at_eof():
            writer.write(piece)
            await writer.drain()
            try:
                await asyncio.wait_for(reader.read(1), every)
            except TimeoutError:
                continue

    return handle


@contextmanager
def threaded(context: ssl.SSLContext, answer: bytes | None = None) -> Iterator[Web]:
    """A TLS server in a thread, one connection at a time: it sends the alerts that asyncio's keeps to itself."""
    listener = socket.create_server(("127.0.0.1", 0))
    web = Web(listener.getsockname()[1])

    def serve() -> None:
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            with raw:
                web.accepted += 1
                raw.settimeout(5)
                try:
                    with context.wrap_socket(raw, server_side=True) as connection:
                        connection.recv(65536)
                        connection.sendall(reply(b"fine") if answer is None else answer)
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


@contextmanager
def silent(family: int = socket.AF_INET) -> Iterator[int]:
    """A port where connections come about and nobody ever reads: the kernel accepts, no process does."""
    with socket.socket(family) as listener:
        listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        listener.listen(512)
        yield listener.getsockname()[1]


@contextmanager
def full() -> Iterator[int]:
    """A port whose backlog is full, so that a further connection hangs in the handshake of TCP."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        try:
            yield listener.getsockname()[1]
        finally:
            for filler in fillers:
                filler.close()


def closed_port(host: str = "127.0.0.1") -> int:
    """A port where nobody listens."""
    if ":" not in host:
        return free_port()
    with socket.socket(socket.AF_INET6) as sock:
        sock.bind((host, 0))
        port: int = sock.getsockname()[1]
        return port


@dataclass
class Asked:
    """One probe's outcome: what it recorded, and the fault if it ended with one."""

    run: Run
    fault: Failed | Errored | None

    @property
    def reason(self) -> Reason | None:
        return self.fault.reason if self.fault else None

    @property
    def sentence(self) -> str:
        return self.fault.sentence if self.fault else ""

    def value(self, name: str, **labels: str) -> float | None:
        wanted = tuple(sorted(labels.items()))
        return next((value for known, value, has in self.run.measurements if (known, has) == (name, wanted)), None)

    def names(self) -> set[str]:
        return {name for name, _, _ in self.run.measurements}


async def ask(check: Check) -> Asked:
    """Probe once, and check on the way that nothing undeclared was recorded."""
    run, fault = Run(), None
    try:
        await check.probe(run)
    except (Failed, Errored) as error:
        fault = error
    declared = {measurement.name: set(measurement.labels) for measurement in check.declared()}
    for name, _, labels in run.measurements:
        assert name in declared, f"{name} is not declared"
        assert {label for label, _ in labels} == declared[name]
    return Asked(run, fault)


class Authority:
    """An own certificate authority, its file, and what it issues."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.folder = folder
        self.file = str(folder / "ca.pem")
        self.ca.cert_pem.write_to_path(self.file)

    def issue(self, *names: str, days: float = 30, began: float = -30) -> trustme.LeafCert:
        """A certificate that is valid from `began` to `days` days from now."""
        now = datetime.datetime.now(datetime.UTC)
        valid = [now + datetime.timedelta(days=offset) for offset in (began, days)]
        return self.ca.issue_cert(*names, not_before=valid[0], not_after=valid[1])

    def server(self, *names: str, days: float = 30, began: float = -30) -> ssl.SSLContext:
        """The context of a server with such a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.issue(*names, days=days, began=began).configure_cert(context)
        return context

    def wanting_clients(self, *names: str) -> ssl.SSLContext:
        """The context of a server that wants a certificate of ours."""
        context = self.server(*names)
        context.verify_mode = ssl.CERT_REQUIRED
        self.ca.configure_trust(context)
        return context

    def client(self) -> str:
        """A PEM file with key and certificate of a client."""
        file = self.folder / "client.pem"
        self.ca.issue_cert("client@example.com").private_key_and_cert_chain_pem.write_to_path(str(file))
        return str(file)
