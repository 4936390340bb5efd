"""One HTTP/1.1 question on an open stream, and its answer within bounds: bytes, headers, and decompressed size."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
from typing import Protocol

import httptools

from checks.wire.fault import WireError
from checks.wire.patience import Patience

HEAD_MOST = 65536
"""Bytes that may come in without any progress of the body: bounds headers, interim answers and trailers."""

STEP = 65536
"""Bytes that are decompressed at once, a fraction of a millisecond's work."""

STEPS_AT_A_TIME = 16


class Stream(Protocol):
    """What a question needs of a connection, plain or encrypted; see `connect.Line` for the meaning of times."""

    @property
    def sent(self) -> float: ...

    @property
    def arrived(self) -> float: ...

    @property
    def name(self) -> str: ...

    async def send(self, data: bytes) -> None: ...

    async def recv(self, most: int = 65536) -> bytes: ...


class Answer:
    """What came back. `body` is decompressed; it may lack its end, which `truncated` says.

    `asked`, `first` and `last` are when the question went out and when the first and last bytes of the answer came
    in (monotonic seconds). `received` counts the body's bytes as sent, `length` is what Content-Length promised.
    `encoding` names a Content-Encoding that could not be undone, or "".
    """

    __slots__ = (
        "asked", "body", "encoding", "first", "headers", "last", "length", "received", "status", "truncated", "version",
    )  # fmt: skip

    def __init__(self) -> None:
        self.status = 0
        self.version = ""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.received = 0
        self.length: int | None = None
        self.encoding = ""
        self.truncated = False
        self.asked = self.first = self.last = 0.0

    def header(self, name: bytes) -> bytes | None:
        """The first header of that name (lower case)."""
        for known, value in self.headers:
            if known.lower() == name:
                return value
        return None


def request(method: str, target: str, headers: Sequence[tuple[str, str]], body: bytes = b"") -> bytes:
    """The question's bytes. Raises ValueError where a part holds what would end its line early."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if body or method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(body)}")
    for line in lines:
        if "\r" in line or "\n" in line or "\0" in line:
            raise ValueError(f"a line break inside {line.split(':')[0].split()[0]!r}")
    if " " in target or not method.isalpha():
        raise ValueError("a space inside the method or the path")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


async def ask(
    stream: Stream, question: bytes, patience: Patience, *, body_most: int, plain_most: int, answer: Answer
) -> None:
    """Send the question and read the answer into `answer`, which is filled as far as it came even where this raises.

    Reads at most `body_most` bytes of body and decompresses at most `plain_most`. Raises WireError: read_timeout,
    protocol.
    """
    patience.doing("read", "read_timeout", f"no answer from {stream.name}")
    await stream.send(question)
    answer.asked = stream.sent
    parser = _Parser(answer, body_most, plain_most, without_body=question.startswith(b"HEAD "))
    while not parser.done:
        data = await stream.recv()
        if not data:
            parser.ended(stream.name)
            break
        if not answer.first:
            answer.first = stream.arrived
        answer.last = stream.arrived
        parser.feed(data, stream.name)
        if parser.packed:
            await parser.unpack(patience)
        if parser.head_complete and not parser.done:
            patience.sentence = f"no complete answer from {stream.name} ({answer.received} bytes of body)"


class _Parser:
    """httptools' callbacks: fills an Answer and knows when it is complete."""

    def __init__(self, answer: Answer, body_most: int, plain_most: int, without_body: bool) -> None:
        self._answer = answer
        self._body_most = body_most
        self._plain_most = plain_most
        self._without_body = without_body
        self._idle = 0
        self._parser = httptools.HttpResponseParser(self)
        self._unzip: zlib._Decompress | None = None
        self._packing = ""
        self.packed: list[bytes] = []
        self.head_complete = False
        self.done = False

    def feed(self, data: bytes, name: str) -> None:
        """Parse the next bytes; raises WireError protocol where they are no HTTP."""
        before = self._answer.received
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if not self.done:
                raise WireError("read", "protocol", f"{name} switched protocols, which nobody asked for") from None
        except httptools.HttpParserError as why:
            if not self.done:
                raise WireError("read", "protocol", f"{name} answered what is no HTTP: {_cause(why)}") from None
        self._idle = 0 if self._answer.received > before else self._idle + len(data)
        if self._idle > HEAD_MOST and not self.done:
            raise WireError("read", "protocol", f"{name} sent more than {HEAD_MOST} bytes of headers")

    def ended(self, name: str) -> None:
        """The peer closed: right for an answer that lasts until then, a fault for any other."""
        answer = self._answer
        if not self.head_complete:
            what = "in the middle of the headers" if answer.first else "without an answer"
            raise WireError("read", "protocol", f"{name} closed the connection {what}")
        if answer.length is not None:
            got = f"{answer.received} of {answer.length} bytes"
            raise WireError("read", "protocol", f"{name} closed the connection after {got} of the body")
        if b"chunked" in (answer.header(b"transfer-encoding") or b"").lower():
            raise WireError("read", "protocol", f"{name} closed the connection before the last chunk of the body")
        self.done = True

    async def unpack(self, patience: Patience) -> None:
        """Decompress what came, in bounded steps that let others run in between; stops at the limit."""
        assert self._unzip is not None
        answer, steps = self._answer, 0
        for piece in self.packed:
            left = piece
            while left and not self._unzip.eof:
                room = self._plain_most - len(answer.body)
                if room <= 0:
                    answer.truncated = self.done = True
                    break
                try:
                    answer.body += self._unzip.decompress(left, min(STEP, room))
                except zlib.error as why:
                    raise WireError("read", "protocol", f"the body is no valid {self._packing}: {why}") from None
                left = self._unzip.unconsumed_tail
                steps += 1
                if steps % STEPS_AT_A_TIME == 0:
                    await asyncio.sleep(0)
                    patience.check()
        self.packed.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by httptools, for trailers too, which count for nothing."""
        if not self.head_complete:
            self._answer.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Called by httptools; interim answers (1xx) are dropped."""
        answer = self._answer
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            answer.headers.clear()
            return
        answer.status = status
        answer.version = self._parser.get_http_version()
        self.head_complete = True
        for name, value in answer.headers:
            match name.lower():
                case b"content-length" if value.isdigit():
                    answer.length = int(value)
                case b"content-encoding":
                    self._choose(value.strip().lower())
        if self._without_body:
            self.done = True

    def on_body(self, data: bytes) -> None:
        """Called by httptools with a piece of the body, chunks already joined."""
        answer = self._answer
        if self.done:
            return
        room = self._body_most - answer.received
        if len(data) > room:
            data = data[:room]
            answer.truncated = self.done = True
        answer.received += len(data)
        if self._unzip is not None:
            self.packed.append(data)
        else:
            answer.body += data

    def on_message_complete(self) -> None:
        """Called by httptools."""
        if self.head_complete:
            self.done = True

    def _choose(self, encoding: bytes) -> None:
        self._packing = encoding.decode("latin-1")
        if encoding in (b"gzip", b"x-gzip", b"deflate"):
            # 32: zlib recognises gzip and zlib by their headers.
            self._unzip = zlib.decompressobj(32 + zlib.MAX_WBITS)
        elif encoding not in (b"", b"identity"):
            self._answer.encoding = self._packing


def _cause(why: Exception) -> str:
    text = str(why.__context__ or why).strip() or type(why).__name__
    return text[:200]
