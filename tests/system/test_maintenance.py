"""A maintenance that goes on keeps people from being told, and nothing else; when it is taken away, they are told."""

import asyncio
import json

from monitor.demo.inbox import Inbox
from tests.daemon import DEADLINE, Daemon, Target

CONFIGURATION = """
defaults: {{interval: 200ms, timeout: 500ms, retries: 0}}
route: {{receiver: team}}
receivers:
  - name: team
    webhook_configs: [{{url: "{inbox}/hook/team"}}]
systems:
  - system: shop
    checks: [{{name: quiet, kind: tcp, address: "127.0.0.1:{port}"}}]
    {maintenance}
  - system: mail
    checks: [{{name: loud, kind: tcp, address: "127.0.0.1:{port}"}}]
"""
GOES_ON = (
    "maintenance: [{name: the move, start: 2020-01-01, end: 2099-01-01, timezone: Europe/Berlin, comment: new racks}]"
)


async def test_alerts_of_the_system_are_kept_shown_and_not_told(tmp_path):
    async with Inbox() as inbox, Target() as target:
        given = {"inbox": inbox.url, "port": target.port}
        async with Daemon(tmp_path, CONFIGURATION.format(maintenance=GOES_ON, **given)) as daemon:
            await target.down()
            async with asyncio.timeout(DEADLINE):
                await inbox.until(lambda message: True)
                alerts: list[dict] = []
                while len(alerts) < 2 or not all(alert["withheld"] or alert["told"] for alert in alerts):
                    alerts = json.loads((await daemon.get("/api/v1/alerts"))[1])
                    await asyncio.sleep(0.05)
            why = {alert["check"]: alert["withheld"] for alert in alerts}
            assert why["mail/loud"] == ""
            assert "maintenance the move until 2098-12-31 23:00:00 UTC: new racks" in why["shop/quiet"]
            assert {message.body["commonLabels"]["system"] for message in inbox.messages} == {"mail"}
            daemon.file.write_text(CONFIGURATION.format(maintenance="", **given))
            async with asyncio.timeout(DEADLINE):
                await inbox.until(lambda message: message.body["commonLabels"]["system"] == "shop")
