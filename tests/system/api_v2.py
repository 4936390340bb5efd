"""Alertmanager's API v2: the shapes of its answers, a client, alerts and silences as senders write them."""

import asyncio
import io
import json
from datetime import UTC, datetime, timedelta

from tests.daemon import DEADLINE

TEXT, FLAG, MAP = str, bool, {"*": str}
STATUS = {"state": ("unprocessed", "active", "suppressed"), "silencedBy": [str], "inhibitedBy": [str], "mutedBy": [str]}
ALERT = {
    "labels": MAP,
    "annotations": MAP,
    "receivers": [{"name": str}],
    "fingerprint": str,
    "startsAt": datetime,
    "updatedAt": datetime,
    "endsAt": datetime,
    "status": STATUS,
    "generatorURL": str,
}
GROUP = {"labels": MAP, "routeLabels": MAP, "receiver": {"name": str}, "alerts": [ALERT]}
SILENCE = {
    "id": str,
    "status": {"state": ("expired", "active", "pending")},
    "updatedAt": datetime,
    "startsAt": datetime,
    "endsAt": datetime,
    "createdBy": str,
    "comment": str,
    "annotations": MAP,
    "matchers": [{"name": str, "value": str, "isRegex": bool, "isEqual": bool}],
}
VERSION = dict.fromkeys(("version", "revision", "branch", "buildUser", "buildDate", "goVersion"), str)
SERVER = {
    "cluster": {"status": ("ready", "settling", "disabled"), "name": str, "peers": [{"name": str, "address": str}]},
    "versionInfo": VERSION,
    "config": {"original": str},
    "uptime": datetime,
}
"""The required fields of Alertmanager's OpenAPI document, version 0.0.1, and those optional ones that we answer."""


def conforms(value, shape, where="$"):
    """Fails where an answer is not as the contract wants it."""
    if isinstance(shape, tuple):
        assert value in shape, (where, value)
    elif shape is datetime:
        assert datetime.fromisoformat(value).tzinfo is not None, where
    elif isinstance(shape, type):
        assert type(value) is shape, (where, value)
    elif isinstance(shape, list):
        assert isinstance(value, list), (where, value)
        for number, item in enumerate(value):
            conforms(item, shape[0], f"{where}[{number}]")
    elif "*" in shape:
        assert all(isinstance(one, str) for pair in value.items() for one in pair), (where, value)
    else:
        assert value.keys() == shape.keys(), (where, value.keys() ^ shape.keys())
        for name, one in shape.items():
            conforms(value[name], one, f"{where}.{name}")
    return value


def configuration(inbox, target=None, more=""):
    check = (
        f"\n  - {{name: target, kind: tcp, address: '127.0.0.1:{target.port}', severity: critical}}"
        if target
        else " []"
    )
    return f"""
defaults: {{interval: 300ms, timeout: 1s, retries: 0}}
route:
  receiver: team
  group_by: [alertname]
  group_interval: 1s
  routes:
    - {{matchers: [team="db"], receiver: db}}
    - {{matchers: [team="night"], receiver: night, mute_time_intervals: [always]}}
time_intervals:
  - {{name: always, time_intervals: [{{months: ["1:12"]}}]}}
inhibit_rules:
  - {{source_matchers: [alertname="Down"], target_matchers: [alertname="Slow"], equal: [cluster]}}
receivers:
  - {{name: team, webhook_configs: [{{url: "{inbox.url}/hook/team"}}]}}
  - {{name: db, webhook_configs: [{{url: "{inbox.url}/hook/db"}}]}}
  - {{name: night, webhook_configs: [{{url: "{inbox.url}/hook/night"}}]}}
{more}
checks:{check}
"""


class Client:
    """The API of a daemon."""

    def __init__(self, daemon):
        self._daemon = daemon

    async def get(self, path, **parameters):
        status, text = await self._daemon.get(f"/api/v2{path}", params=parameters or None)
        assert status == 200, text
        return json.loads(text)

    async def refused(self, path, method="GET", **options):
        status, text = await self._daemon.get(f"/api/v2{path}", method, **options)
        assert status != 200, text
        return status, json.loads(text)

    async def post(self, path, content):
        body = io.BytesIO(json.dumps(content).encode())
        status, text = await self._daemon.get(f"/api/v2{path}", "POST", data=body)
        assert status == 200, text
        return json.loads(text) if text else None

    async def names(self, **parameters):
        return sorted(one["labels"]["alertname"] for one in await self.get("/alerts", **parameters))


def alert(name, **labels):
    return {"labels": {"alertname": name} | labels}


def time(**ahead):
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat()


def silence(*matchers, **fields):
    named = [dict(zip(("name", "value", "isRegex"), one, strict=False)) for one in matchers]
    given = {"startsAt": time(), "endsAt": time(hours=1), "createdBy": "jane", "comment": "I know"}
    return {"matchers": named} | given | fields


async def heard(inbox, path, status="firing", after=0, within=DEADLINE):
    async with asyncio.timeout(within):
        return await inbox.until(lambda one: one.path == path and one.body["status"] == status, after)
