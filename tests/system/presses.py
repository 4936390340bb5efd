"""An alert of which Slack was told, and what people do about it there and in PagerDuty, signed as they sign."""

import asyncio
import hashlib
import hmac
import io
import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

from monitor.demo.inbox import Inbox
from tests.daemon import DEADLINE, Daemon

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
OLD, NEW = "the-secret-of-last-year", "the-secret-of-this-year"
TOKEN = "xapp-1-A0-this-is-no-token"
KEY = "0123456789abcdef0123456789abcdef"


def configuration(inbox, hooks="", group_by="[alertname]"):
    hooks = (
        hooks
        or f"""
    slack: {{signing_secret: {SECRET}, api_url: "{inbox.url}/api"}}
    pagerduty: {{secrets: [{OLD}, {NEW}]}}"""
    )
    return f"""
server: {{listen: "127.0.0.1:0", auth: {{tokens: [a-token-of-sixteen-or-more]}}}}
route: {{receiver: on-call, group_by: {group_by}, group_interval: 1s}}
receivers:
  - name: on-call
    slack_configs: [{{bot_token: xoxb-1, channel: "#incidents", api_url: "{inbox.url}/api"}}]
  - name: pager
    pagerduty_configs: [{{routing_key: {KEY}, url: "{inbox.url}/v2/enqueue"}}]
on_call:
  hooks:{hooks}
checks: []
"""


AUTH = {"Authorization": "Bearer a-token-of-sixteen-or-more"}


class OnCall:
    """A daemon with an alert of which Slack was told, and what people do about it."""

    def __init__(self, daemon, inbox):
        self.daemon = daemon
        self.inbox = inbox
        self.key = ""

    async def fires(self, name="Down", **labels):
        """An alert is sent; afterwards `key` is what Slack knows it by."""
        content = [{"labels": {"alertname": name, "system": "shop", "check": "database"} | labels}]
        status, text = await self.daemon.get("/api/v2/alerts", "POST", json=content, headers=AUTH)
        assert status == 200, text
        async with asyncio.timeout(DEADLINE):
            message = await self.inbox.until(lambda one: bool(buttons(one.body, "ack")))
        [self.key] = buttons(message.body, "ack")

    async def ends(self, name="Down", **labels):
        ended = {
            "startsAt": (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
            "endsAt": datetime.now(UTC).isoformat(),
        }
        content = [{"labels": {"alertname": name, "system": "shop", "check": "database"} | labels} | ended]
        assert (await self.daemon.get("/api/v2/alerts", "POST", json=content, headers=AUTH))[0] == 200

    async def alerts(self):
        return json.loads((await self.daemon.get("/api/v1/alerts", headers=AUTH))[1])

    async def acked_by(self):
        return [one["acked_by"] for one in await self.alerts()]

    async def silences(self):
        return json.loads((await self.daemon.get("/api/v1/silences", headers=AUTH))[1])

    async def press(self, action="ack", key=None, user="ann", **signing):
        """Press a button; the answer's status and what it says."""
        return await self.slack(form(payload(action, self.key if key is None else key, user)), **signing)

    async def slack(self, body, at=None, secret=SECRET, **headers):
        stamp = str(int(time.time() if at is None else at))
        signed = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": slack_signature(secret, stamp, body)}
        return await self.post("/hooks/slack", body, signed | headers)

    async def pagerduty(self, kind, *, secrets=(NEW,), body=None, **fields):
        body = event(kind, self.key, **fields) if body is None else body
        marks = [hmac.new(secret.encode(), body, hashlib.sha256).hexdigest() for secret in secrets]
        return await self.post("/hooks/pagerduty", body, {"X-PagerDuty-Signature": ",".join(f"v1={m}" for m in marks)})

    async def post(self, path, body, headers):
        foreign = {"Origin": "https://elsewhere.example", "Content-Type": "application/x-www-form-urlencoded"}
        return await self.daemon.get(path, "POST", data=io.BytesIO(body), headers=foreign | headers)


def buttons(body, action):
    """The values of the buttons in a message."""
    if not isinstance(body, dict):
        return []
    blocks = [block for one in body.get("attachments", []) for block in one.get("blocks", [])]
    elements = [element for block in blocks for element in block.get("elements", [])]
    return [element["value"] for element in elements if element.get("action_id") == action]


def payload(action, key, user, **more):
    actions = [{"action_id": action, "block_id": "runwatch", "type": "button", "value": key, "action_ts": "1.2"}]
    return {"type": "block_actions", "user": {"id": "U1", "username": user}, "actions": actions} | more


def form(content):
    return urlencode({"payload": json.dumps(content)}).encode()


def slack_signature(secret, stamp, body):
    return "v0=" + hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()


def event(kind, key, agent="user_reference", ago=0.0, name="", **data):
    return json.dumps({
        "event": {
            "id": name or uuid.uuid4().hex, "event_type": kind, "resource_type": "incident",
            "occurred_at": (datetime.now(UTC) - timedelta(seconds=ago)).isoformat(),
            "agent": {"id": "P1", "type": agent, "summary": "Jane Doe"},
            "data": {"id": "Q1", "type": "incident", "incident_key": key, "status": "acknowledged"} | data,
        }
    }).encode()  # fmt: skip


@pytest.fixture
async def on_call(tmp_path):
    async with Inbox() as inbox, Daemon(tmp_path, configuration(inbox)) as daemon:
        yield OnCall(daemon, inbox)
