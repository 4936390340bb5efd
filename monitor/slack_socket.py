"""Slack's Socket Mode: buttons reach us through a connection that we open, where no request can."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import orjson
import structlog

from monitor.api.access import is_loopback
from monitor.presses import pressed
from monitor.slack_reply import reply

if TYPE_CHECKING:
    from monitor.app import App
    from monitor.config.oncall import SlackHook

log = structlog.get_logger()

FIRST_WAIT = 1.0
LONGEST_WAIT = 60.0
STEADY = 10.0
"""Seconds after which a connection that Slack ends may be followed by the next at once."""
OPENING = aiohttp.ClientTimeout(total=10.0)
FAREWELL = aiohttp.ClientWSTimeout(ws_close=1.0)
HEARTBEAT = 20.0
"""Seconds between two pings of ours: a connection that is dead is found out within half as long again."""
LARGEST = 1_000_000


class Lost(Exception):
    """The connection is gone or can't be had; the text is a sentence."""


async def run(app: App, hook: SlackHook) -> None:
    """Stay connected until cancelled. Source: Slack, "Using Socket Mode"."""
    loop = asyncio.get_running_loop()
    wait = 0.0
    while True:
        # Slack limits how often an app may open a connection, so that each attempt has its time.
        await asyncio.sleep(wait)
        connection, began = Connection(app, hook), loop.time()
        try:
            await connection.serve()
        except Lost as why:
            wait = FIRST_WAIT if connection.greeted else min(max(2 * wait, FIRST_WAIT), LONGEST_WAIT)
            log.warning("slack socket lost", why=str(why), again_in=wait)
        else:
            wait = 0.0 if loop.time() - began > STEADY else FIRST_WAIT


class Connection:
    """One connection from its opening until Slack ends it."""

    def __init__(self, app: App, hook: SlackHook) -> None:
        self._app = app
        self._hook = hook
        self.greeted = False
        """Whether Slack said hello."""

    async def serve(self) -> None:
        """Take presses until Slack asks for another connection; Lost when this one breaks."""
        try:
            async with self._app.http.ws_connect(
                await self._address(), heartbeat=HEARTBEAT, max_msg_size=LARGEST, timeout=FAREWELL
            ) as socket:
                async for frame in socket:
                    if frame.type is aiohttp.WSMsgType.TEXT and await self._heard(socket, frame.data):
                        return
                raise Lost(f"Slack hung up ({socket.close_code})")
        except (aiohttp.ClientError, TimeoutError, OSError) as why:
            raise Lost(f"cannot reach Slack: {why or 'no answer in time'}") from None

    async def _address(self) -> str:
        """Where to connect to, which Slack says anew each time."""
        assert self._hook.app_token is not None
        headers = {"Authorization": f"Bearer {self._hook.app_token.get_secret_value()}"}
        address = f"{self._hook.api_url.rstrip('/')}/apps.connections.open"
        async with self._app.http.post(address, headers=headers, timeout=OPENING, allow_redirects=False) as answer:
            heard = await answer.content.read(LARGEST)
        told = _object(heard)
        url = told.get("url")
        if not told.get("ok") or not isinstance(url, str):
            raise Lost(f"Slack refuses a connection: {told.get('error') or f'HTTP {answer.status}'}")
        if not _is_safe(url):
            raise Lost("Slack names an address that is not encrypted")
        return url

    async def _heard(self, socket: aiohttp.ClientWebSocketResponse, text: str) -> bool:
        """Deal with one message; whether this connection is over."""
        message = _object(text)
        if isinstance(message.get("envelope_id"), str):
            await socket.send_json({"envelope_id": message["envelope_id"]})
        match message.get("type"):
            case "hello":
                self.greeted = True
                log.info("slack socket open")
            case "disconnect":
                return True
            case "interactive":
                payload = message.get("payload")
                said = await pressed(self._app, payload)
                await reply(self._app.http, payload, said, self._hook.api_url)
        return False


def _is_safe(url: str) -> bool:
    """Whether it is encrypted, or does not leave this machine."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "wss" or (parts.scheme == "ws" and is_loopback(parts.hostname or ""))
    except ValueError:
        return False


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
