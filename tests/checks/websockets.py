"""A check of a WebSocket, and servers that agree to one and then send what a test says."""

import asyncio
import re
import struct
from typing import Any

from checks.websocket import Websocket
from checks.wire import websocket as wire
from tests.checks.web import Handle, hang


def check(port: int, path: str = "/", **fields: Any) -> Websocket:
    return Websocket.model_validate({"name": "live", "url": f"ws://127.0.0.1:{port}{path}", "timeout": "1s", **fields})


def agreement(head: bytes, **replaced: str) -> bytes:
    key = re.search(rb"Sec-WebSocket-Key: (\S+)", head)
    assert key is not None
    headers = {
        "upgrade": "websocket", "connection": "keep-alive, Upgrade",
        "sec-websocket-accept": wire.accepted(key[1].decode()),
    } | {name.replace("_", "-"): word for name, word in replaced.items()}  # fmt: skip
    lines = ["HTTP/1.1 101 Switching Protocols", *(f"{name}: {word}" for name, word in headers.items() if word)]
    return "\r\n".join([*lines, "", ""]).encode()


def agreeing(*frames: bytes, end: bool = False, **replaced: str) -> Handle:
    """A server that agrees, says these frames, and then only listens, or hangs up."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(agreement(head, **replaced) + b"".join(frames))
        await writer.drain()
        if not end:
            await hang(reader, writer)

    return handle


def frame(opcode: int, payload: bytes = b"", *, first: int = 0x80, second: int = 0) -> bytes:
    size = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + struct.pack("!H", len(payload))
    return bytes([first | opcode, size[0] | second]) + size[1:] + payload


def text(payload: bytes) -> bytes:
    return frame(1, payload)


SESSION = text(b'0{"sid":"a","upgrades":[],"pingInterval":1,"pingTimeout":1}')
