"""Drills by the calendar, with the real daemon and a wall clock that is about to strike."""

import asyncio
from datetime import UTC, datetime

from monitor.config.oncall import DrillEntry
from monitor.demo.inbox import Inbox
from monitor.drill import next_drill
from tests.daemon import DEADLINE, Daemon
from tests.system.test_clock import LIBRARY

STANDS = "2026-07-01 09:59:59"
STRUCK = "@2026-07-01 10:00:01"
"""As libfaketime reads them: a clock that stands still, and one that goes on from there."""

CONFIGURATION = """
on_call: {{drill: {{cron: "* * * * *", lasts: 3s}}}}
route: {{receiver: team}}
receivers:
  - {{name: team, webhook_configs: [{{url: "{inbox}/hook/team"}}]}}
  - {{name: gone, webhook_configs: [{{url: "http://127.0.0.1:1/"}}]}}
checks: []
"""


async def test_a_drill_is_held_when_its_time_comes_and_what_it_does_not_reach_is_told(tmp_path):
    wall, struck = tmp_path / "clock", tmp_path / "struck"
    wall.write_text(STANDS)
    struck.write_text(STRUCK)
    faked = {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(wall),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    async with Inbox() as inbox, Daemon(tmp_path, CONFIGURATION.format(inbox=inbox.url), **faked) as daemon:

        def told(name: str):
            return lambda message: message.body["alerts"][0]["labels"]["alertname"] == name

        await daemon.get("/-/healthy")  # who waits for the clock has looked at it: its task is older than this request
        struck.replace(wall)
        async with asyncio.timeout(DEADLINE):
            drill = await inbox.until(told("RunwatchDrill"))
        assert "This is a drill: nothing is wrong" in drill.body["alerts"][0]["annotations"]["summary"]
        held = await daemon.logged("drill", lambda line: line["receiver"] == "team")
        assert list(held["accepted"]) == ["webhook"]
        missed = await daemon.logged("drill", lambda line: line["receiver"] == "gone")
        assert missed["missing"] == ["webhook"]
        async with asyncio.timeout(DEADLINE):
            failed = await inbox.until(told("RunwatchDrillFailed"))
        assert "a drill did not reach gone by webhook within 3" in failed.body["alerts"][0]["annotations"]["summary"]
        assert await daemon.metric('runwatch_drill_accepted_seconds{integration="webhook",receiver="team"}') < 3


def test_the_next_drill_is_by_the_clock_of_its_zone():
    drill = DrillEntry(cron="0 10 * * MON", timezone="Europe/Berlin")
    summer = datetime(2026, 7, 1, tzinfo=UTC).timestamp()
    assert datetime.fromtimestamp(next_drill(drill, summer), UTC) == datetime(2026, 7, 6, 8, tzinfo=UTC)
    winter = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
    assert datetime.fromtimestamp(next_drill(drill, winter), UTC) == datetime(2026, 12, 7, 9, tzinfo=UTC)
