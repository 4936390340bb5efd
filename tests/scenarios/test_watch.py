"""The scenarios' own ground: an installation is broken and healed, hurried time is true, and what is told is read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aiohttp import web

from monitor.demo.installation import CannotDo, Installation, fault
from tests.scenarios.hurry import HurriedLoop
from tests.scenarios.watch import Row, Watch

SYSTEM = """\
system: kiosk
severities: {P1: high, P2: medium}
runbook: playbooks.md
route:
  receiver: people
  escalation: [{after: 15m, receiver: boss}]
receivers:
  - name: people
    pagerduty_configs: [{routing_key: "${KIOSK_KEY}", url: "${PAGERDUTY_URL}"}]
    slack_configs: [{bot_token: "${SLACK_BOT_TOKEN}", channel: "#kiosk", api_url: "${SLACK_API_URL}"}]
  - name: boss
    slack_configs: [{bot_token: "${SLACK_BOT_TOKEN}", channel: "#boss", api_url: "${SLACK_API_URL}"}]
checks:
  - name: door
    kind: http
    url: "${KIOSK_URL}/door"
    alerts: [{alert: DoorShut, when: failed, severity: P1, runbook: "#the-door"}]
  - name: till
    kind: http
    url: "${KIOSK_URL}/till"
    depends_on: [door]
    alerts:
      - {alert: TillShut, when: failed, severity: P1, runbook: "#the-door"}
      - {alert: TillSlow, when: duration_seconds > 300ms, for: 5m, severity: P2, runbook: "#the-door"}
  - name: cleaner
    kind: heartbeat
    uuid: 7f7a1c3e-5a2f-4d6b-9a53-2f1f0b6c8d09
    period: 1m
    grace: 2m
    alerts: [{alert: NobodyCleans, when: failed, severity: P2, runbook: "#the-door"}]
"""
TOLD = ("pagerduty kiosk", "slack #kiosk")


class Kiosk(Installation):
    """A door, a till behind it, and somebody who cleans."""

    name = "kiosk"

    @property
    def configuration(self) -> Path:
        return self.folder / "system.yaml"

    async def set_up(self) -> None:
        self.shut: set[str] = set()
        self.late = 0.0
        self.cleans = True
        self.hindered: Exception | None = None
        app = web.Application()
        app.router.add_get("/{what}", self._answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        self.stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self.environment |= {"KIOSK_URL": url, "KIOSK_KEY": self.pagerduty_key("kiosk")}
        self.configuration.write_text(SYSTEM)
        (self.folder / "playbooks.md").write_text("# Kiosk\n\n## The door\n\n1. Push it: it opens to the street.\n")
        self.every(60, self._clean)

    async def _answer(self, request: web.Request) -> web.Response:
        await asyncio.sleep(self.late)
        return web.Response(status=503 if request.match_info["what"] in self.shut else 200)

    async def _clean(self) -> None:
        if self.hindered is not None:
            raise self.hindered
        if self.cleans:
            await self.ping("7f7a1c3e-5a2f-4d6b-9a53-2f1f0b6c8d09")

    @fault("K01", "the door is shut, and so is the till behind it")
    async def shut_door(self) -> AsyncIterator[None]:
        self.shut = {"door", "till"}
        yield
        self.shut = set()

    @fault("K02.slow", "everything takes 350 ms")
    async def slow(self) -> AsyncIterator[None]:
        self.late = 0.35
        yield
        self.late = 0.0

    @fault("K03", "the cleaner stays away")
    async def dirt(self) -> AsyncIterator[None]:
        self.cleans = False
        yield
        self.cleans = True

    @fault("K04.broom", "there is no such thing as a broom")
    async def no_broom(self) -> AsyncIterator[None]:
        self.hindered = LookupError("no broom")
        yield
        self.hindered = None

    @fault("K04.water", "the water is shut off")
    async def no_water(self) -> AsyncIterator[None]:
        self.hindered = ConnectionRefusedError("no water")
        yield
        self.hindered = None


Watching = Callable[[type[Installation]], Watch]

ROWS = (
    Row("K01", "DoorShut", "P1", within="33s", says=("503", "Push it"), resolves="1m"),
    Row("K02.slow", "TillSlow", "P2", within="6m", says=("over 300 ms", "Push it")),
    Row("K03", "NobodyCleans", "P2", within="4m", resolves="2m"),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault)
async def test_fault(watching: Watching, row: Row) -> None:
    began = time.monotonic()
    watch = watching(Kiosk)
    await row.play(watch, TOLD)
    virtual = watch.app.clock.now() - watch.broke_at
    assert virtual > 10 and time.monotonic() - began < 60


async def test_escalation_and_a_quiet_hour(watching: Watching) -> None:
    watch = watching(Kiosk)
    await watch.quiet("1h")
    await watch.breaks("K01")
    await watch.paged("DoorShut", "P1", to=TOLD, within="33s")
    await watch.passes("14m")
    assert {one.to for one in watch.since_fault()} == set(TOLD)
    await watch.passes("2m")
    [boss] = [one for one in watch.since_fault() if one.to == "slack #boss"]
    assert 900 <= boss.at - watch.broke_at < 935
    await watch.heals()
    await watch.resolved("DoorShut", within="1m")


async def test_somebody_else_is_told(watching: Watching) -> None:
    watch = watching(Kiosk)
    await watch.quiet("2m")
    await watch.breaks("K01")
    with pytest.raises(AssertionError, match=r"not in time: DoorShut at slack #nobody; told: .*DoorShut P1"):
        await watch.paged("DoorShut", "P1", to=["slack #nobody"], within="40s")
    with pytest.raises(AssertionError, match="was also sent to slack #kiosk"):
        await watch.paged("DoorShut", "P1", to=["pagerduty kiosk"], within="40s")
    with pytest.raises(AssertionError, match="has severity P1, not P2"):
        await watch.paged("DoorShut", "P2", to=TOLD, within="40s")
    with pytest.raises(AssertionError, match="not in time: DoorShut resolved"):
        await watch.resolved("DoorShut", within="5m")
    with pytest.raises(AssertionError, match="somebody was told in quiet times"):
        await watch.quiet("20m")


async def test_what_cannot_be_broken(watching: Watching) -> None:
    watch = watching(Kiosk)
    await watch.quiet("1m")
    with pytest.raises(CannotDo, match=r"cannot break 'K09': what can be broken is K01, K02.slow, K03, K04.broom"):
        await watch.breaks("K09")
    await watch.breaks("K02")
    with pytest.raises(CannotDo, match=r"cannot break K02.slow: everything takes 350 ms already"):
        await watch.breaks("K02.slow")
    assert watch.installation.broken == ["K02.slow"]
    await watch.heals("K02")
    with pytest.raises(CannotDo, match=r"cannot heal K02.slow: it is not broken"):
        await watch.heals("K02.slow")


async def test_who_works_there_tries_again_where_a_part_is_broken(watching: Watching) -> None:
    watch = watching(Kiosk)
    await watch.quiet("2m")
    await watch.breaks("K04.water")
    await watch.passes("90s")
    await watch.heals()
    await watch.quiet("20m")


async def test_a_scenario_ends_with_a_bug_of_its_installation(watching: Watching) -> None:
    watch = watching(Kiosk)
    await watch.quiet("2m")
    await watch.breaks("K04.broom")
    with pytest.raises(LookupError, match="no broom"):
        await watch.passes("2m")


async def test_time_is_real_while_somebody_is_busy() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, HurriedLoop)
    began, real = loop.time(), time.monotonic()
    with loop.hurrying():
        await asyncio.sleep(3600)
        hour = loop.time() - began
        assert 3600 <= hour < 3605 and time.monotonic() - real < 5
        began, real = loop.time(), time.monotonic()
        await loop.run_in_executor(None, time.sleep, 0.02)
        with loop.held():
            await asyncio.sleep(0.03)
        assert loop.time() - began < 2 and time.monotonic() - real >= 0.05
        with ThreadPoolExecutor() as gone:
            pass
        with pytest.raises(RuntimeError, match="after shutdown"):
            loop.run_in_executor(gone, time.sleep, 0.0)
        await asyncio.sleep(3600)
