"""A stand-in for a Socket.io server, written from the published protocols: Engine.IO 4 by polling and by WebSocket."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

OPENED = {"pingInterval": 25000, "pingTimeout": 20000, "maxPayload": 1000000}


@dataclass
class SocketIoServer:
    """One server; `nodes` above one has every other request go to a node that does not know the session."""

    port: int = 0
    namespaces: tuple[str, ...] = ("/", "/admin")
    token: str = ""
    sticky: bool = False
    nodes: int = 1
    pings: int = 0
    """Pings that come before the answer to CONNECT."""
    opened: dict[str, Any] = field(default_factory=lambda: dict(OPENED))
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    sessions: dict[str, asyncio.Queue[str]] = field(default_factory=dict)
    closed: int = 0

    def url(self, path: str = "", scheme: str = "ws") -> str:
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        body = await request.text()
        self.requests.append((request.method, request.query_string, body))
        if query.get("EIO") != "4":
            return _refused(5, "Unsupported protocol version")
        if query.get("transport") == "websocket":
            return await self._websocket(request)
        if query.get("transport") != "polling":
            return _refused(0, "Transport unknown")
        return self._polling(request, body) if request.method == "POST" or "sid" in query else self._open()

    def _open(self) -> web.Response:
        sid = secrets.token_hex(8)
        self.sessions[sid] = asyncio.Queue()
        answer = web.Response(text="0" + json.dumps({"sid": sid, "upgrades": ["websocket"]} | self.opened))
        if self.sticky:
            answer.set_cookie("node", "1")
        return answer

    def _polling(self, request: web.Request, body: str) -> web.Response:
        queue = self.sessions.get(request.query.get("sid", ""))
        elsewhere = self.nodes > 1 and len(self.requests) % 2 == 0 and "node" not in request.cookies
        if queue is None or elsewhere:
            return _refused(1, "Session ID unknown")
        if request.method == "GET":
            packets = []
            while not queue.empty():
                packets.append(queue.get_nowait())
                if packets[-1] == "2":
                    break
            return web.Response(text="\x1e".join(packets) or "6")
        if body == "1":
            del self.sessions[request.query["sid"]]
            self.closed += 1
        elif body.startswith("40"):
            for _ in range(self.pings):
                queue.put_nowait("2")
            queue.put_nowait(self.connected(body))
        return web.Response(text="ok")

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("0" + json.dumps({"sid": "s", "upgrades": []} | self.opened))
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                continue
            if message.data.startswith("40"):
                for _ in range(self.pings):
                    await socket.send_str("2")
                    assert await socket.receive_str() == "3"
                await socket.send_str(self.connected(message.data))
            elif message.data.startswith("42"):
                await socket.send_str('42["noise"]')
                await socket.send_str("43" + message.data[2:])
        self.closed += 1
        return socket

    def connected(self, packet: str) -> str:
        """The answer to CONNECT."""
        rest, where = packet[2:], "/"
        if rest.startswith("/"):
            where, _, rest = rest.partition(",")
        prefix = "" if where == "/" else f"{where},"
        if where not in self.namespaces:
            return f'44{prefix}{{"message":"Invalid namespace"}}'
        if self.token and (not rest or json.loads(rest).get("token") != self.token):
            return f'44{prefix}{{"message":"not authorized","data":{{"code":7}}}}'
        return f'40{prefix}{{"sid":"{secrets.token_hex(8)}"}}'


def _refused(code: int, message: str) -> web.Response:
    return web.json_response({"code": code, "message": message}, status=400)


@asynccontextmanager
async def socketio_server(**settings: Any) -> AsyncIterator[SocketIoServer]:
    server = SocketIoServer(**settings)
    app = web.Application()
    app.router.add_route("*", "/socket.io/", server.handle)
    async with running(app) as port:
        server.port = port
        yield server


@asynccontextmanager
async def running(app: web.Application) -> AsyncIterator[int]:
    """An aiohttp server on a port of its own."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
