"""kill -9 after alerts that others sent were told: none is told again, and no silence is forgotten."""

from __future__ import annotations

import asyncio
import json
import signal
from datetime import UTC, datetime, timedelta

import aiohttp

from monitor.demo.inbox import Inbox
from tests.daemon import DEADLINE, Daemon

ALERTS = 50
CONFIGURATION = """
on_call: {{storm: "off"}}
route: {{receiver: team, group_by: [alertname], repeat_interval: 4h}}
receivers:
  - {{name: team, webhook_configs: [{{url: "{inbox}/hook/team"}}]}}
"""


def sent(*numbers: int) -> list[dict[str, object]]:
    """Alerts as a Prometheus sends and repeats them."""
    ends = (datetime.now(UTC) + timedelta(minutes=4)).isoformat()
    return [{"labels": {"alertname": f"Down{number}"}, "endsAt": ends} for number in numbers]


async def post(daemon: Daemon, path: str, content: object) -> dict[str, str]:
    async with aiohttp.ClientSession(daemon.url) as http, http.post(path, json=content) as answer:
        text = await answer.text()
        assert answer.status == 200, text
        return json.loads(text) if text else {}


def silence(number: int) -> dict[str, object]:
    """A silence over an alert that does not fire."""
    now = datetime.now(UTC)
    return {
        "matchers": [{"name": "alertname", "value": f"Quiet{number}", "isRegex": False}],
        "startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "ann", "comment": "deploy",
    }  # fmt: skip


async def test_nothing_is_told_again_and_no_silence_is_lost(tmp_path):
    async with Inbox() as inbox:
        text = CONFIGURATION.format(inbox=inbox.url)
        async with Daemon(tmp_path, text) as daemon:
            await post(daemon, "/api/v2/alerts", sent(*range(ALERTS)))
            async with asyncio.timeout(DEADLINE):
                await inbox.until(lambda message: len(inbox.sent_to("/hook/")) >= ALERTS)
                while await daemon.metric("runwatch_outbox_pending"):
                    pass  # what was accepted counts as told only once that is on disk
            silenced = {(await post(daemon, "/api/v2/silences", silence(number)))["silenceID"] for number in (1, 2, 3)}
        before = len(inbox.messages)
        again = Daemon(tmp_path, text)
        await again.start()
        try:
            await post(again, "/api/v2/alerts", sent(*range(ALERTS)))
            await post(again, "/api/v2/alerts", sent(ALERTS))
            await inbox.until(lambda message: message.body["groupLabels"]["alertname"] == f"Down{ALERTS}")
            _, listed = await again.get("/api/v2/silences")
            again.signal(signal.SIGTERM)
            await again.ended()
        finally:
            await again.kill()
        told = [message.body["groupLabels"]["alertname"] for message in inbox.messages]
    assert before == ALERTS
    assert sorted(told) == sorted(f"Down{number}" for number in range(ALERTS + 1))
    assert {(one["id"], one["status"]["state"]) for one in json.loads(listed)} == {
        (name, "active") for name in silenced
    }
