"""Acknowledging through Socket Mode, for daemons that Slack can't reach."""

import asyncio
import contextlib
import json
import signal

import pytest
from aiohttp import web

from monitor.demo.inbox import Inbox
from tests.daemon import DEADLINE, Daemon
from tests.system.presses import TOKEN, OnCall, configuration, payload


class Slack:
    """Socket Mode's other end, by Slack's published protocol; `pushed` is sent, `taken` are the acknowledgements."""

    def __init__(self):
        self.opened = 0
        self.answer = {"ok": True}
        self.taken = []
        self.refusals = []
        self._connections = asyncio.Queue()

    async def __aenter__(self):
        app = web.Application()
        app.add_routes([web.post("/api/apps.connections.open", self._open), web.get("/link", self._link)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.host = f"127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()

    async def connection(self):
        """The next connection that is opened."""
        async with asyncio.timeout(DEADLINE):
            return await self._connections.get()

    async def push(self, socket, message, answered=True):
        """Send a message; its acknowledgement, if there is to be one."""
        await socket.send_str(message if isinstance(message, str) else json.dumps(message))
        if not answered:
            return None
        async with asyncio.timeout(DEADLINE):
            return json.loads(await socket.receive_str())

    async def _open(self, request):
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"ok": False, "error": "invalid_auth"})
        if self.refusals:
            return web.json_response({"ok": False, "error": self.refusals.pop()})
        self.opened += 1
        return web.json_response({"url": f"ws://{self.host}/link?ticket={self.opened}"} | self.answer)

    async def _link(self, request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A1"}})
        over = asyncio.Event()
        await self._connections.put((socket, over))
        await over.wait()
        return socket


def envelope(content, number=1):
    return {"envelope_id": f"e-{number}", "type": "interactive", "accepts_response_payload": False, "payload": content}


@contextlib.asynccontextmanager
async def socket_mode(folder, *refusals, **answer):
    async with Slack() as slack, Inbox() as inbox:
        slack.refusals += refusals
        slack.answer |= answer
        hooks = f" {{slack: {{app_token: {TOKEN}, api_url: 'http://{slack.host}/api'}}}}"
        async with Daemon(folder, configuration(inbox, hooks)) as daemon:
            yield slack, OnCall(daemon, inbox)


async def test_a_press_through_the_socket_acknowledges(tmp_path):
    async with socket_mode(tmp_path) as (slack, on_call):
        socket, over = await slack.connection()
        await on_call.daemon.logged("slack socket open")
        await on_call.fires()
        for message in ("{", "[]", {}, {"type": "hello"}, {"type": "disconnected"}, "5"):
            await slack.push(socket, message, answered=False)
        assert await slack.push(socket, envelope(None, 1)) == {"envelope_id": "e-1"}
        assert await slack.push(socket, {"envelope_id": "e-2", "type": "slash_commands"}) == {"envelope_id": "e-2"}
        assert await slack.push(socket, envelope(payload("ack", on_call.key, "ann"), 3)) == {"envelope_id": "e-3"}
        line = await on_call.daemon.logged("acknowledged")
        assert (line["by"], line["alerts"]) == ("slack:ann", ["Down"])
        over.set()


async def test_it_connects_again_when_slack_says_so_and_when_it_is_cut_off(tmp_path):
    async with socket_mode(tmp_path) as (slack, on_call):
        socket, over = await slack.connection()
        await slack.push(socket, {"type": "disconnect", "reason": "refresh_requested"}, answered=False)
        over.set()
        socket, over = await slack.connection()
        await socket.close()
        over.set()
        socket, over = await slack.connection()
        await on_call.fires()
        await slack.push(socket, envelope(payload("ack", on_call.key, "ann")))
        assert (await on_call.daemon.logged("acknowledged"))["by"] == "slack:ann"
        assert "hung up" in (await on_call.daemon.logged("slack socket lost"))["why"]
        over.set()


async def test_a_stop_does_not_wait_for_slack(tmp_path):
    async with socket_mode(tmp_path) as (slack, on_call):
        _, over = await slack.connection()
        await on_call.daemon.logged("slack socket open")
        on_call.daemon.signal(signal.SIGTERM)
        assert (await on_call.daemon.ended(), on_call.daemon.complaints) == (0, "")
        over.set()


async def test_a_refused_connection_is_said_and_tried_again(tmp_path):
    async with socket_mode(tmp_path, "ratelimited") as (slack, on_call):
        _, over = await slack.connection()
        lost = await on_call.daemon.logged("slack socket lost")
        assert lost["why"] == "Slack refuses a connection: ratelimited"
        assert TOKEN not in str(on_call.daemon.log)
        over.set()


@pytest.mark.parametrize("url", ["ws://slack.example/link", "http://127.0.0.1/", "ws://[", "wss://", 5, None, ""])
async def test_an_address_that_can_not_be_trusted_is_not_connected_to(tmp_path, url):
    async with socket_mode(tmp_path, url=url) as (_, on_call):
        assert (await on_call.daemon.logged("slack socket lost"))["again_in"] == 1
        assert (await on_call.daemon.get("/-/healthy"))[0] == 200
