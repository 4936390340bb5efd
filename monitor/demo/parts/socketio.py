"""A stand-in for a Socket.io server, written from the published protocols: Engine.IO 4 by polling and by WebSocket."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any

from aiohttp import WSMsgType, web

from monitor.demo.parts.served import Served

OPENED = {"pingInterval": 25000, "pingTimeout": 20000, "maxPayload": 1000000}
KEPT = 1_000
"""Requests that it remembers; the oldest go first."""


class SocketIoServer(Served):
    """One server; `nodes` above one has every other request go to a node that does not know the session.

    `pings` come before the answer to CONNECT; `token` is wanted there, where it is not empty.
    """

    def __init__(
        self, *, namespaces: tuple[str, ...] = ("/", "/admin"), token: str = "", nodes: int = 1, pings: int = 0
    ) -> None:
        super().__init__()
        self.namespaces = namespaces
        self.token = token
        self.sticky = False
        self.nodes = nodes
        self.pings = pings
        self.opened: dict[str, Any] = dict(OPENED)
        self.requests: list[tuple[str, str, str]] = []
        self.sessions: dict[str, asyncio.Queue[str]] = {}
        self.closed = 0
        self._count = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One answer, or a WebSocket to its end."""
        if request.path != "/socket.io/":
            return web.Response(status=404)
        query = request.query
        body = await request.text()
        self.requests.append((request.method, request.query_string, body))
        del self.requests[:-KEPT]
        self._count += 1
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
        elsewhere = self.nodes > 1 and self._count % 2 == 0 and "node" not in request.cookies
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
            queue.put_nowait(self._connected(body))
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
                    if await socket.receive_str() != "3":
                        return socket
                await socket.send_str(self._connected(message.data))
            elif message.data.startswith("42"):
                await socket.send_str('42["noise"]')
                await socket.send_str("43" + message.data[2:])
        self.closed += 1
        return socket

    def _connected(self, packet: str) -> str:
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
