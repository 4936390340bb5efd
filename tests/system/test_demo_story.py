"""The story of the README, part by part: one page for the cause, with what it takes with it, and its resolve."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from monitor.demo.inbox import Received
from monitor.demo.installations.shop import CONFIGURATION, Shop
from monitor.demo.ports import free_port
from tests.daemon import DEADLINE, Daemon
from tests.skips import missing

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Story:
    """The shop and the daemon that watches it, every second instead of every five."""

    shop: Shop
    daemon: Daemon

    def told(self, after: int) -> list[Received]:
        """Every message that a person would see since then."""
        return [message for message in self.shop.inbox.messages if message.number > after]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Story]:
    folder = tmp_path_factory.mktemp("story")
    shutil.copytree(CONFIGURATION.parent, folder, dirs_exist_ok=True)
    text = CONFIGURATION.read_text().replace("interval: 5s, timeout: 2s", "interval: 1s, timeout: 1900ms")
    shop = Shop(folder / "run")
    try:
        await shop.start()
        async with Daemon(folder, text, **shop.environment) as daemon:
            async with asyncio.timeout(DEADLINE):
                while 'runwatch_check_up{check="temporal"' not in (await daemon.get("/metrics"))[1]:
                    await asyncio.sleep(0.05)
            yield Story(shop, daemon)
    finally:
        await shop.stop()


@pytest.mark.parametrize(
    ("part", "alert", "severity", "affected", "advice"),
    [
        ("database", "DatabaseDown", "critical", "shop/shop-health", "demo heal database"),
        ("redis", "CacheDown", "error", "shop/shop-health", "demo heal redis"),
        ("shop", "ShopDown", "critical", "shop/storefront", "demo heal shop"),
        ("certificate", "CertificateBad", "error", None, "demo heal certificate"),
        ("temporal", "TemporalDown", "error", None, "demo heal temporal"),
    ],
)
async def test_one_page_for_the_cause_and_its_resolve(story: Story, part, alert, severity, affected, advice):
    inbox = story.shop.inbox
    before = inbox.messages[-1].number if inbox.messages else 0
    await story.shop.break_part(part)
    async with asyncio.timeout(DEADLINE):
        page = await inbox.until(lambda message: message.path == "/v2/enqueue", before)
    payload = page.body["payload"]
    assert (page.body["event_action"], payload["class"], payload["severity"]) == ("trigger", alert, severity)
    [detail] = payload["custom_details"]["firing"]
    assert detail["what"] and detail["since"] and detail["severity"] and detail["meaning"]
    assert affected is None or affected in detail["affected"]
    assert advice in payload["custom_details"]["runbook"]
    await story.shop.heal_part(part)
    async with asyncio.timeout(DEADLINE):
        await inbox.until(lambda message: message.body.get("event_action") == "resolve", before)
        while [alert async for alert in _alerts(story)]:
            await asyncio.sleep(0.05)
    pages = [message.body for message in story.told(before) if message.path == "/v2/enqueue"]
    assert [(body["event_action"], body["dedup_key"]) for body in pages] == [
        ("trigger", page.body["dedup_key"]),
        ("resolve", page.body["dedup_key"]),
    ], "more than one page for one cause"


async def test_a_slow_storefront_goes_to_the_team_and_pages_nobody(story: Story):
    inbox = story.shop.inbox
    before = inbox.messages[-1].number if inbox.messages else 0
    await story.shop.break_part("slow")
    async with asyncio.timeout(DEADLINE):
        said = await inbox.until(lambda message: message.path.startswith("/services/"), before)
    assert said.body["text"].startswith("[P2] StorefrontSlow")
    assert "limit: over 1 s" in str(said.body)
    await story.shop.heal_part("slow")
    async with asyncio.timeout(DEADLINE):
        await inbox.until(lambda message: "RESOLVED" in str(message.body.get("text")), before)
    assert not [message for message in story.told(before) if message.path == "/v2/enqueue"]


async def _alerts(story: Story) -> AsyncIterator[str]:
    for line in (await story.daemon.get("/metrics"))[1].splitlines():
        if line.startswith("ALERTS{"):
            yield line


async def test_the_metrics_of_the_shop_please_promtool(story: Story, tmp_path: Path):
    promtool = shutil.which("promtool") or missing("promtool (apt install prometheus)")
    text = ""
    async with asyncio.timeout(DEADLINE):
        while not all(name in text for name in ("pg_up{", "redis_up{", "pg_stat_database_deadlocks{")):
            _, text = await story.daemon.get("/metrics")
    # That name is postgres_exporter's, and a linter's reproach is not worth another.
    ours = "".join(line for line in text.splitlines(keepends=True) if "pg_locks_count" not in line)
    done = subprocess.run([promtool, "check", "metrics"], input=ours, text=True, capture_output=True)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


async def test_a_system_of_the_five_is_broken_and_pages_live(tmp_path: Path):
    words = [sys.executable, "-m", "monitor", "demo"]
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    listen = f"127.0.0.1:{free_port()}"
    demo = subprocess.Popen(
        [*words, "--system", "capliquify", "--listen", listen], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert demo.stdout is not None

    async def told(*more: str) -> str:
        asked = await asyncio.create_subprocess_exec(*words, *more, env=environment, stdout=asyncio.subprocess.PIPE)
        said, _ = await asked.communicate()
        return said.decode().strip()

    try:
        async with asyncio.timeout(55), aiohttp.ClientSession() as http:
            lines: list[str] = []
            while not any('"event":"watching"' in line for line in lines):
                lines.append(await asyncio.to_thread(demo.stdout.readline))
                assert lines[-1], "".join(lines)
            said = "".join(lines)
            assert "every check every 5s, no hold longer than 10s" in said
            assert await told("break", "C03") == "PostgreSQL is killed"
            inbox = next(line.split()[2] for line in lines if "The inbox" in line).rstrip("/")
            async with http.get(f"{inbox}/messages?path=/v2/enqueue&at_least=1") as answer:
                [page, *_] = await answer.json()
            payload = page["body"]["payload"]
            assert (payload["class"], payload["severity"]) == ("DatabaseDown", "critical")
            async with http.get(inbox) as answer:
                assert "<dt>to</dt><dd>capliquify-on-call</dd>" in await answer.text()
            status = await told("status")
            assert status.startswith("C03 is broken: PostgreSQL is killed")
            missing = [line.split(" does not run here")[0] for line in status.splitlines() if "does not run" in line]
            assert all(f"Not here     {part}: " in said for part in missing)
            demo.send_signal(signal.SIGINT)
            await asyncio.to_thread(demo.communicate)
            assert demo.returncode == 0
            assert not (tmp_path / "runwatch" / "demo" / "run").exists()
    finally:
        demo.kill()
        demo.wait()
        demo.stdout.close()
