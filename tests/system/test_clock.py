"""The wall clock jumps under the running daemon, an hour forward and back: no target is paged, nothing is lost."""

import asyncio
from pathlib import Path

import libfaketime

from monitor.demo.inbox import Inbox
from tests.daemon import DEADLINE, Daemon, Target

LIBRARY = Path(libfaketime.__file__).parent / "vendor/libfaketime/src/libfaketime.so.1"

CONFIGURATION = """
defaults: {{interval: 200ms, timeout: 500ms, retries: 0}}
route: {{receiver: team, repeat_interval: 30m}}
receivers:
  - name: team
    webhook_configs: [{{url: "{inbox}/hook/team"}}]
checks:
  - name: target
    kind: tcp
    address: "127.0.0.1:{port}"
    alerts:
      - {{alert: Down, when: failed}}
      - {{alert: DownForLong, when: failed, for: 30m}}
"""


async def test_jumps_of_an_hour_change_nothing(tmp_path):
    wall = tmp_path / "clock"
    wall.write_text("+0")
    faked = {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(wall),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    async with Inbox() as inbox, Target() as target:
        text = CONFIGURATION.format(inbox=inbox.url, port=target.port)
        async with Daemon(tmp_path, text, **faked) as daemon:
            await target.down()
            async with asyncio.timeout(DEADLINE):
                await inbox.until(lambda message: True)
            for jump in ("+3600", "-3600"):
                wall.write_text(jump)
                forward = jump.startswith("+")
                await daemon.logged("wall clock jumped", lambda line, ahead=forward: (line["seconds"] > 0) == ahead)
                asked = await daemon.metric("runwatch_check_runs_total")
                async with asyncio.timeout(DEADLINE):
                    while await daemon.metric("runwatch_check_runs_total") < asked + 3:
                        await asyncio.sleep(0.05)
            await target.up()
            async with asyncio.timeout(DEADLINE):
                await inbox.until(lambda message: message.body["status"] == "resolved")
            bodies = [message.body for message in inbox.messages]
            told = sorted((one["alerts"][0]["labels"]["alertname"], one["notification_reason"]) for one in bodies)
            assert told == [("Down", "first"), ("Down", "resolved"), ("RunwatchImpaired", "first")]
            assert await daemon.metric("runwatch_clock_steps_total") == 2
