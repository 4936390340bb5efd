"""The real daemon remembers: windows and what checks keep over kill -9 and reload; and a page carries its diagnosis."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from monitor.demo.inbox import Inbox
from tests.daemon import DEADLINE, Daemon
from tests.system.test_daemon import KEY, until

KIND = '''
"""A tank of the test's own: its level stands in a file."""
from pathlib import Path
from checks.base import Check, Failed, Measurement, Reason

class Tank(Check):
    """A tank."""
    measurements = (
        Measurement("level", "count", "How full."), Measurement("probes", "count", "Probes so far."),
        Measurement("flow", "per_second", "What flows in."),
    )
    file: str

    @property
    def target(self):
        return self.file

    async def probe(self, run):
        level = float(Path(self.file).read_text())
        run.record("level", level)
        run.kept["probes"] = run.kept.get("probes", 0) + 1
        run.record("probes", run.kept["probes"])
        run.rate("flow", level)

    async def diagnose(self, run):
        run.evidence("Valve", "valve 7 is open")
        raise Failed(Reason.STATUS, "cannot look into valve 8: it is locked")
'''


def tank(folder: Path, inbox: Inbox, when: str, more: str = "") -> str:
    (folder / "kinds").mkdir(exist_ok=True)
    (folder / "kinds" / "tank.py").write_text(KIND)
    (folder / "level").write_text("10")
    return f"""
plugins: [kinds]
defaults: {{interval: 200ms, timeout: 1s, retries: 0}}
route: {{receiver: on-call, group_interval: 1s}}
receivers:
  - name: on-call
    pagerduty_configs: [{{routing_key: "{KEY}", url: "{inbox.url}/v2/enqueue"}}]
checks:
  - {{name: tank, kind: tank, file: {folder}/level, alerts: [{{alert: Rising, when: "{when}"}}], {more}}}
"""


async def written(daemon: Daemon) -> None:
    """Wait until what the first probe yielded is in the file of results."""
    async with asyncio.timeout(DEADLINE):
        with closing(sqlite3.connect(daemon.store.with_suffix(".results.db"))) as results:
            while not results.execute("SELECT count(*) FROM memories, results").fetchone()[0]:
                await daemon.get("/-/healthy")


async def probes(daemon: Daemon) -> float:
    return await daemon.metric("runwatch_tank_probes")


async def test_what_a_window_held_before_a_kill_raises_the_alert_after_it(tmp_path):
    async with Inbox() as inbox:
        text = tank(tmp_path, inbox, "delta(level, 1h) > 40")
        async with Daemon(tmp_path, text, RUNWATCH_LOG_LEVEL="debug") as daemon:
            await daemon.logged("probed")
            await written(daemon)
            await daemon.kill()
        (tmp_path / "level").write_text("60")
        async with Daemon(tmp_path, text):
            await until(inbox, "trigger")


async def test_what_a_check_keeps_goes_on_after_a_kill_and_a_reload(tmp_path):
    async with Inbox() as inbox:
        text = tank(tmp_path, inbox, "failed")
        async with Daemon(tmp_path, text, RUNWATCH_LOG_LEVEL="debug") as daemon:
            await daemon.logged("probed")
            await written(daemon)
            await daemon.kill()
        async with Daemon(tmp_path, text, RUNWATCH_LOG_LEVEL="debug") as daemon:
            await daemon.logged("probed")
            before = await probes(daemon)
            assert before >= 2
            daemon.file.write_text(tank(tmp_path, inbox, "failed", "timeout: 2s"))
            await daemon.logged("configuration taken over")
            daemon.log.clear()
            await daemon.logged("probed")
            assert await probes(daemon) > before


async def test_a_look_from_the_command_line_knows_what_the_daemon_knows_and_changes_nothing(tmp_path):
    async with (
        Inbox() as inbox,
        Daemon(tmp_path, tank(tmp_path, inbox, "failed"), RUNWATCH_LOG_LEVEL="debug") as daemon,
    ):
        await daemon.logged("probed")
        await written(daemon)
        command = [sys.executable, "-m", "monitor", "check", "-c", str(daemon.file), "--json"]
        asked = await asyncio.create_subprocess_exec(
            *command,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "RUNWATCH_STORE": f"sqlite://{daemon.store}"},
            cwd=Path(__file__).parents[2],
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await asked.communicate()
        [row] = json.loads(said)
        [probes] = [one["value"] for one in row["measurements"] if one["name"] == "probes"]
        assert asked.returncode == 0
        assert probes >= 2


async def test_a_page_carries_what_the_diagnosis_found(tmp_path):
    async with (
        Inbox() as inbox,
        Daemon(tmp_path, tank(tmp_path, inbox, "level > 40"), RUNWATCH_LOG_LEVEL="debug") as daemon,
    ):
        await daemon.logged("probed")
        (tmp_path / "level").write_text("60")
        await until(inbox, "trigger")
        [page] = inbox.sent_to("/v2/enqueue")
        [said] = [one["evidence"] for one in page.body["payload"]["custom_details"]["firing"]]
        assert "Valve:\nvalve 7 is open" in said
        assert "Not looked at:\ncannot look into valve 8: it is locked" in said
        assert "level = 60" in said
