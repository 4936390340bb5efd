"""The shop: each part breaks and heals with the effect that its name says, and a second terminal reaches it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import pytest_asyncio

from checks.base import Failed, Reason, Run
from checks.http import Http
from monitor.demo.control import Control, the_only_one
from monitor.demo.hurry import prepare
from monitor.demo.installation import CannotDo
from monitor.demo.installations.shop import CONFIGURATION, Shop
from monitor.demo.ports import free_port
from monitor.demo.servers import Temporal
from monitor.demo.telling import ask, tell


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    """A shop that is started once; each test heals what it breaks."""
    made = Shop(tmp_path_factory.mktemp("shop") / "run")
    try:
        await made.start()
        yield made
    finally:
        await made.stop()
    assert not made.folder.exists()


@pytest_asyncio.fixture(loop_scope="module")
async def shop(shared: Shop) -> AsyncIterator[Shop]:
    """The shared shop, healed afterwards."""
    yield shared
    await shared.heal_all()
    assert not shared.broken


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def get(url: str, within: float = 5.0) -> tuple[int, Any]:
    """Status and body, JSON where it is that."""
    limit = aiohttp.ClientTimeout(total=within)
    async with aiohttp.ClientSession(timeout=limit) as http, http.get(url) as answer:
        return answer.status, await (answer.json() if "json" in answer.content_type else answer.text())


def states(body: dict[str, Any]) -> dict[str, str]:
    """The parts' states in an answer of /health."""
    return {name: part["status"] for name, part in body["checks"].items()}


async def test_the_shop_really_keeps_orders_and_caches_its_front(shop: Shop) -> None:
    status, page = await get(shop.application.url)
    assert status == 200
    assert "Teapot" in page
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{shop.application.url}/orders", data={"ware": "Lamp"}, allow_redirects=False) as answer:
            assert answer.status == 303
        async with http.post(f"{shop.application.url}/orders", data={"ware": "Elephant"}) as answer:
            assert answer.status == 404
    _, listed = await get(f"{shop.application.url}/orders")
    assert listed["orders"][0]["ware"] == "Lamp"
    connection = await shop.database.connect()
    assert await connection.fetchval("SELECT count(*) FROM orders WHERE ware = 'Lamp'") >= 1
    await connection.close()
    assert await shop.cache.command("EXISTS", "storefront") == ":1"


@pytest.mark.parametrize("part", ["database", "redis"])
async def test_without_its_database_or_cache_the_shop_is_degraded_until_healed(shop: Shop, part: str) -> None:
    other = {"database": "redis", "redis": "database"}[part]
    assert await get(f"{shop.application.url}/health") == (
        200,
        {"status": "healthy", "checks": {"database": {"status": "healthy"}, "redis": {"status": "healthy"}}},
    )
    await shop.break_part(part)
    status, body = await get(f"{shop.application.url}/health")
    assert (status, body["status"]) == (503, "degraded")
    assert states(body) == {part: "unhealthy", other: "healthy"}
    await shop.heal_part(part)
    assert (await get(f"{shop.application.url}/health"))[0] == 200


async def test_a_broken_shop_is_gone_and_comes_back_with_the_faults_that_it_had(shop: Shop) -> None:
    await shop.break_part("slow")
    await shop.break_part("shop")
    with pytest.raises(aiohttp.ClientConnectionError):
        await get(shop.application.url)
    with pytest.raises(CannotDo, match="the shop is down; first `runwatch demo heal shop`"):
        await shop.break_part("certificate")
    assert await shop.heal_part("shop") == "shop is healed"
    with pytest.raises(TimeoutError):
        await get(f"{shop.application.url}/", within=0.75)
    await shop.break_part("shop")
    assert await shop.heal_all() == "shop is healed; slow is healed"
    assert (await get(shop.application.url))[0] == 200  # its connections are new
    assert (await get(f"{shop.application.url}/", within=0.75))[0] == 200


async def test_slow_makes_the_storefront_late_and_nothing_else(shop: Shop) -> None:
    await shop.break_part("slow")
    with pytest.raises(TimeoutError):
        await get(f"{shop.application.url}/", within=0.75)
    assert (await get(f"{shop.application.url}/health"))[0] == 200
    await shop.heal_part("slow")
    assert (await get(f"{shop.application.url}/"))[0] == 200


async def test_the_certificate_expires_and_holds_again_without_a_new_start(shop: Shop) -> None:
    check = Http(name="https", url=f"{shop.application.https_url}/health", tls={"ca_file": str(shop.authority)})
    await check.probe(Run())
    await shop.break_part("certificate")
    with pytest.raises(Failed, match="expired") as caught:
        await check.probe(Run())
    assert caught.value.reason is Reason.TLS_EXPIRED
    await shop.heal_part("certificate")
    await check.probe(Run())


async def test_temporal_goes_and_comes_back(shop: Shop) -> None:
    url = f"{shop.temporal.url}/api/v1/namespaces/default"
    assert (await get(url))[0] == 200
    await shop.break_part("temporal")
    with pytest.raises(aiohttp.ClientConnectionError):
        await get(url)
    await shop.heal_part("temporal")
    assert (await get(url))[0] == 200


async def test_what_is_no_part_is_refused_with_the_names_of_the_parts(shop: Shop) -> None:
    with pytest.raises(CannotDo, match="cannot break 'kitchen': what can be broken is certificate, database, redis"):
        await shop.break_part("kitchen")


async def test_a_second_terminal_breaks_heals_and_asks(shop: Shop, tmp_path: Path) -> None:
    async with Control(shop, tmp_path, {"page": "http://127.0.0.1:1/"}):
        file = tmp_path / "control.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert await asyncio.to_thread(ask, "status", None, tmp_path) == (
            f"nothing is broken\nthe inbox is at {shop.inbox.url}"
        )
        assert await asyncio.to_thread(ask, "break", "redis", tmp_path) == "Valkey is killed"
        assert not shop.cache.alive
        assert "redis is broken: Valkey is killed" in await asyncio.to_thread(ask, "status", None, tmp_path)
        with pytest.raises(CannotDo, match="what can be broken is"):
            await asyncio.to_thread(ask, "break", "../x y", tmp_path)
        assert await asyncio.to_thread(ask, "heal", None, tmp_path) == "redis is healed"
        assert "\nredis        Valkey is killed" in await asyncio.to_thread(ask, "faults", None, tmp_path)
        file.write_text(file.read_text().replace('"token": "', '"token": "x'))
        with pytest.raises(CannotDo, match="403"):
            await asyncio.to_thread(ask, "break", "redis", tmp_path)
        known = file.read_text()
    assert not file.exists()
    file.write_text(known)
    with pytest.raises(CannotDo, match="no demo is running; start one with `runwatch demo`"):
        await asyncio.to_thread(ask, "status", None, tmp_path)


async def test_one_demo_at_a_time(tmp_path: Path) -> None:
    with the_only_one(tmp_path), pytest.raises(CannotDo, match="one is running already"), the_only_one(tmp_path):
        pass
    with the_only_one(tmp_path):
        pass


async def test_without_a_demo_the_commands_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert tell("heal") == 1
    assert tell("break") == 1
    assert capsys.readouterr().err.splitlines() == [
        "runwatch: cannot heal: no demo is running; start one with `runwatch demo`",
        "runwatch: cannot break nothing; `runwatch demo faults` says what can be broken",
    ]


class NoTemporal(Temporal):
    """As on a machine that has no such program."""

    def _command(self) -> list[str]:
        return [str(self.folder / "temporal")]


async def test_without_temporal_the_rest_runs_and_says_why(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "run")
    shop.temporal = NoTemporal(shop.temporal.folder)
    said: list[str] = []
    try:
        await shop.start(said.append)
        assert (await get(f"{shop.application.url}/health"))[0] == 200
        assert any("cannot start Temporal" in line and "goes on without it" in line for line in said)
        with pytest.raises(CannotDo, match="cannot break temporal: it does not run here"):
            await shop.break_part("temporal")
        assert shop.broken == []
        hurried = prepare(CONFIGURATION, tmp_path / "configuration", shop.environment)
        assert hurried.left_out == ["temporal"]
    finally:
        await shop.stop()


def impatient(folder: Path) -> Path:
    """The demo's own configuration, made to ask ten times as often."""
    shutil.copytree(CONFIGURATION.parent, folder)
    text = (
        CONFIGURATION.read_text()
        .replace("interval: 5s", "interval: 500ms")
        .replace("_interval: 500ms", "_interval: 50ms")
    )
    (folder / CONFIGURATION.name).write_text(text.replace("group_interval: 10s", "group_interval: 1s"))
    return folder / CONFIGURATION.name


def _runs(process: psutil.Process) -> bool:
    """Whether it does more than wait for somebody to take note of its end."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def incidents(inbox: str, count: int) -> list[dict[str, Any]]:
    """PagerDuty's events once there are `count`."""
    _, messages = await get(f"{inbox}/messages?path=/v2/enqueue&at_least={count}", within=20)
    return [message["body"] for message in messages]


async def test_the_whole_demo_pages_once_for_the_cause_resolves_and_leaves_nothing(tmp_path: Path) -> None:
    config = impatient(tmp_path / "configuration")
    program = "import asyncio, sys, pathlib; from monitor.demo.session import run; "
    program += f"sys.exit(asyncio.run(run('127.0.0.1:{free_port()}', configuration=pathlib.Path({str(config)!r}))))"
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    demo = subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    try:
        async with asyncio.timeout(55):
            lines: list[str] = []
            while not any('"event":"watching"' in line for line in lines):
                lines.append(await asyncio.to_thread(demo.stdout.readline))
                assert lines[-1], "".join(lines)
            folder = tmp_path / "runwatch" / "demo"
            inbox = next(line.split()[2] for line in lines if "The inbox" in line).rstrip("/")
            await asyncio.to_thread(ask, "break", "database", folder)
            [trigger, *_] = await incidents(inbox, 1)
            assert trigger["event_action"] == "trigger"
            assert "DatabaseDown" in trigger["payload"]["summary"] + trigger["payload"].get("class", "")
            await asyncio.to_thread(ask, "heal", None, folder)
            events = await incidents(inbox, 2)
            assert [event["event_action"] for event in events] == ["trigger", "resolve"]
            assert events[0]["dedup_key"] == events[1]["dedup_key"]
            assert "DatabaseDown" in (await get(f"{inbox}/"))[1]
            family = psutil.Process(demo.pid).children(recursive=True)
            assert len(family) > 4
            demo.send_signal(signal.SIGINT)
            assert await asyncio.to_thread(demo.communicate)
            assert demo.returncode == 0
            assert not [child for child in family if _runs(child)]
            assert not (folder / "run").exists()
            assert not (folder / "control.json").exists()
    finally:
        demo.kill()
        demo.wait()
        demo.stdout.close()
