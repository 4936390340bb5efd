"""Presses a message's button as Slack does: a signed request to the address that the app names."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from urllib.parse import urlencode

import aiohttp

PATIENCE = aiohttp.ClientTimeout(total=3.0)
"""What Slack allows for an answer."""
USER = {"id": "U0DEMO", "username": "you", "name": "you"}


class Presser:
    """`hook` is where presses go, empty while nobody expects any; `secret` is what both sides know."""

    def __init__(self) -> None:
        self.hook = ""
        self.secret = secrets.token_hex(16)

    async def press(self, action: str, value: str, reply_to: str) -> str:
        """Press a button; what is wrong, as Slack would show it, or the empty text.

        Source: Slack, "Handling user interaction" and "Verifying requests from Slack".
        """
        content = {
            "type": "block_actions",
            "user": USER,
            "response_url": reply_to,
            "trigger_id": secrets.token_hex(8),
            "actions": [{"type": "button", "block_id": "runwatch", "action_id": action, "value": value}],
        }
        stamp = str(int(time.time()))
        form = urlencode({"payload": json.dumps(content)}).encode()
        digest = hmac.new(self.secret.encode(), b"v0:" + stamp.encode() + b":" + form, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": f"v0={digest}",
        }
        try:
            async with (
                aiohttp.ClientSession(timeout=PATIENCE) as http,
                http.post(self.hook, data=form, headers=headers, allow_redirects=False) as answer,
            ):
                return "" if answer.status == 200 else f"the app answered {answer.status}"
        except (aiohttp.ClientError, TimeoutError) as why:
            return f"the app did not answer: {why}"
