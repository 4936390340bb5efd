"""A WebSocket on an open stream: its handshake, messages, pings and farewell, within bounds (RFC 6455)."""

from __future__ import annotations

import asyncio
import os
import re
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha1

from checks.wire.certificates import visible
from checks.wire.fault import WireError
from checks.wire.http1 import Stream
from checks.wire.patience import Patience

HEAD_MOST = 16384
EXCERPT = 2048
"""Bytes of a refusal's body that are read."""

MESSAGE_MOST = 65536
FRAMES_MOST = 500
"""Frames that are taken in all: a few milliseconds' work."""

PIECE = 4096
FAREWELL = 0.5
"""Seconds that the peer has to answer our farewell."""

CONTINUED, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |$)")
_SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def fresh_key() -> str:
    """The nonce of one handshake."""
    return b64encode(os.urandom(16)).decode()


def accepted(key: str) -> str:
    """What the server has to make of the nonce (RFC 6455, 4.2.2)."""
    return b64encode(sha1(key.encode() + _SALT, usedforsecurity=False).digest()).decode()


class Handshake:
    """What the server answered: 101 where it agreed, else `body` holds how its refusal begins. Times are monotonic."""

    __slots__ = ("asked", "body", "first", "headers", "last", "protocol", "status")

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.protocol = ""
        self.asked = self.first = self.last = 0.0


async def shake(
    stream: Stream, question: bytes, key: str, offered: Sequence[str], patience: Patience, handshake: Handshake
) -> WebSocket | None:
    """Ask for the upgrade; fills `handshake` as far as it comes. None where the server refuses by its status.

    Raises WireError: read_timeout; protocol where the answer is no HTTP, or agrees to what was not asked.
    """
    patience.doing("read", "read_timeout", f"no answer from {stream.name} to the handshake")
    await stream.send(question)
    handshake.asked = stream.sent
    came = b""
    while (end := came.find(b"\r\n\r\n")) < 0:
        if len(came) > HEAD_MOST:
            raise _broken(f"{stream.name} sent more than {HEAD_MOST} bytes of headers")
        data = await stream.recv(PIECE)
        if not data:
            how = "in the middle of the headers" if came else "without an answer"
            raise _broken(f"{stream.name} closed the connection {how}")
        handshake.first = handshake.first or stream.arrived
        handshake.last = stream.arrived
        came += data
    lines = came[:end].split(b"\r\n")
    found = _STATUS.match(lines[0])
    if not found:
        raise _broken(f"{stream.name} answered what is no HTTP: {visible(lines[0][:80].decode('latin-1'))}")
    handshake.status = int(found[1])
    for line in lines[1:]:
        name, _, value = line.decode("latin-1").partition(":")
        handshake.headers[name.strip().lower()] = value.strip()
    rest = came[end + 4 :]
    if handshake.status != 101:
        handshake.body = await _excerpt(stream, handshake.headers, rest)
        return None
    _check(handshake, key, offered, stream.name)
    return WebSocket(stream, patience, rest)


def _check(handshake: Handshake, key: str, offered: Sequence[str], name: str) -> None:
    """RFC 6455, 4.1: what an agreement must look like."""
    headers = handshake.headers
    wanted = headers.get("upgrade", "").lower() == "websocket"
    if not wanted or "upgrade" not in headers.get("connection", "").lower():
        raise _broken(f"{name} switches to another protocol: {visible(headers.get('upgrade', 'none'))}")
    if headers.get("sec-websocket-accept") != accepted(key):
        raise _broken(f"{name} agrees without having read the handshake: its Sec-WebSocket-Accept is wrong")
    if headers.get("sec-websocket-extensions"):
        raise _broken(f"{name} uses extensions that nobody asked for: {visible(headers['sec-websocket-extensions'])}")
    handshake.protocol = headers.get("sec-websocket-protocol", "")
    if handshake.protocol and handshake.protocol not in offered:
        raise _broken(f"{name} chose the subprotocol {visible(handshake.protocol)!r}, which was not offered")


async def _excerpt(stream: Stream, headers: dict[str, str], came: bytes) -> bytes:
    length = headers.get("content-length", "")
    most = min(int(length), EXCERPT) if length.isdigit() and len(length) < 10 else 0
    try:
        while len(came) < most and (data := await stream.recv(PIECE)):
            came += data
    except WireError:
        # The status says more than what is missing.
        return came
    return came[:EXCERPT]


class WebSocket:
    """An open WebSocket. The stream beneath it stays the caller's to close. Methods raise WireError."""

    def __init__(self, stream: Stream, patience: Patience, came: bytes) -> None:
        self._stream = stream
        self._patience = patience
        self._came = bytearray(came)
        self._frames = 0
        self._pong: bytes | None = None
        self.farewell = ""
        """What the peer said as it closed."""

    async def send(self, text: str) -> None:
        """Send one message of text."""
        self._patience.doing("send", "read_timeout", f"{self._stream.name} did not take what we sent")
        await self._send(TEXT, text.encode())

    async def receive(self, awaited: str) -> str:
        """The next message, that of bytes read as UTF-8; pings are answered on the way. `awaited` names it."""
        self._patience.doing("read", "read_timeout", f"{self._stream.name} did not say {awaited}")
        while True:
            message = await self._next()
            if message is not None:
                return message

    async def ping(self) -> float:
        """Seconds until the peer answered a ping; messages that come before are dropped."""
        self._patience.doing("read", "read_timeout", f"{self._stream.name} did not answer a ping")
        payload = os.urandom(8)
        await self._send(PING, payload)
        asked = self._stream.sent
        while self._pong != payload:
            await self._next()
        return max(0.0, self._stream.arrived - asked)

    async def close(self) -> bool:
        """Say farewell; whether the peer answered it in time."""
        try:
            async with asyncio.timeout(FAREWELL):
                await self._send(CLOSE, (1000).to_bytes(2, "big"))
                while True:
                    await self._next()
        except (WireError, TimeoutError):
            return bool(self.farewell)

    async def _next(self) -> str | None:
        """A whole message, or None after a frame that ends none."""
        parts, kind = bytearray(), None
        while True:
            final, opcode, payload = await self._frame()
            if opcode >= CLOSE:
                await self._control(opcode, payload)
                if kind is None:
                    return None
                continue
            if (opcode == CONTINUED) == (kind is None):
                raise _broken(f"{self._stream.name} breaks the WebSocket protocol: a message begins inside another")
            kind = opcode if kind is None else kind
            parts += payload
            if len(parts) > MESSAGE_MOST:
                raise self._too_long(len(parts))
            if final:
                try:
                    return parts.decode("utf-8", "strict" if kind == TEXT else "replace")
                except UnicodeDecodeError:
                    raise _broken(f"{self._stream.name} sent text that is not UTF-8") from None

    async def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            await self._send(PONG, payload)
        elif opcode == PONG:
            self._pong = payload
        else:
            code = int.from_bytes(payload[:2], "big") if len(payload) > 1 else 1005
            said = visible(payload[2:].decode("utf-8", "replace"))
            self.farewell = f"{code} {said}".strip()
            await self._send(CLOSE, payload[:2])
            raise _broken(f"{self._stream.name} closed the WebSocket: {self.farewell}")

    async def _frame(self) -> tuple[bool, int, bytes]:
        name = self._stream.name
        self._frames += 1
        if self._frames > FRAMES_MOST:
            raise _broken(f"{name} sent more than {FRAMES_MOST} frames, none of them what was waited for")
        first, second = await self._take(2)
        opcode, length = first & 15, second & 127
        if first & 0x70 or second & 0x80 or opcode not in (CONTINUED, TEXT, BINARY, CLOSE, PING, PONG):
            raise _broken(f"{name} breaks the WebSocket protocol: a frame begins with {first:02x}{second:02x}")
        if opcode >= CLOSE and (length > 125 or not first & 0x80):
            raise _broken(f"{name} breaks the WebSocket protocol: a control frame that is long or in pieces")
        if length > 125:
            length = int.from_bytes(await self._take(2 if length == 126 else 8), "big")
        if length > MESSAGE_MOST:
            raise self._too_long(length)
        return bool(first & 0x80), opcode, await self._take(length)

    def _too_long(self, length: int) -> WireError:
        return _broken(f"{self._stream.name} sent a message of {length} bytes or more, {MESSAGE_MOST} are read")

    async def _take(self, count: int) -> bytes:
        while len(self._came) < count:
            data = await self._stream.recv(PIECE)
            if not data:
                raise _broken(f"{self._stream.name} closed the connection without a farewell")
            self._came += data
        taken = bytes(self._came[:count])
        del self._came[:count]
        return taken

    async def _send(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        if size < 126:
            head = bytes([0x80 | opcode, 0x80 | size])
        elif size < 65536:
            head = bytes([0x80 | opcode, 0x80 | 126]) + size.to_bytes(2, "big")
        else:
            head = bytes([0x80 | opcode, 0x80 | 127]) + size.to_bytes(8, "big")
        mask = os.urandom(4)
        masked = int.from_bytes(payload, "big") ^ int.from_bytes((mask * (size // 4 + 1))[:size], "big")
        await self._stream.send(head + mask + masked.to_bytes(size, "big"))


def _broken(sentence: str) -> WireError:
    return WireError("read", "protocol", sentence)
