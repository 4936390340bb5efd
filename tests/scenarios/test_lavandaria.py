"""Lavandaria's rows: each fault of its runbook, the mail about it, and the mail that it is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from monitor.demo.installations.lavandaria import Lavandaria
from tests.scenarios.watch import Row, Watch

OPS, ENGINEERING, CTO = (
    f"email {name}@lavandaria.example.com" for name in ("ops-team", "engineering", "cto")
)  # fmt: skip
LISBON = ZoneInfo("Europe/Lisbon")

ROWS = (
    Row("L01", "ApplicationDown", "P0", within="75s", says=("refused", "docker-compose restart app"), resolves="30s"),
    Row("L01.login", "ApplicationNotReady", "P1", within="75s", says=("503", "password authentication failed")),
    Row("L01.database", "DatabaseDown", "P1", within="45s", says=("refused", "createdb"), resolves="30s"),
    Row("L02", "ApplicationDown", "P0", within="75s", resolves="30s"),
    Row("L03", "ContainerDown", "P0", within="45s", says=("exit code 1", "SESSION_SECRET is not set"), resolves="30s"),
    Row("L03.database", "ContainerDown", "P0", within="45s", says=("lavandaria-db ended", "exit code 137")),
    Row("L03.unhealthy", "ContainerDown", "P0", within="1m", says=("lavandaria-app is unhealthy", "3 checks")),
    Row("L04", "PostgresConnectionsNearlyUsed", "P2", within="100s", says=("pg_terminate_backend", "lavandaria")),
    Row("L04.slow", "PostgresSlowStatements", "P2", within="6m", says=("pg_sleep", "pg_blocking_pids"), resolves="3m"),
    Row("L05", "ErrorsLogged", "P2", within="45s", says=("req_", "prices"), resolves="6m"),
    Row("L05.slow", "SlowQueriesLogged", "P2", within="45s", says=("Slow query", "FROM prices"), resolves="11m"),
    Row("L07", "OriginRefused", "P2", within="6m", says=("access-control-allow-origin", "CORS_ORIGINS")),
    Row("L08", "DiskNearlyFull", "P1", within="7m5s", says=("uploads-disk", "du -xh"), resolves="2m"),
    Row("L08.database", "DiskNearlyFull", "P1", within="7m5s", says=("postgres-disk", "pg_wal"), resolves="2m"),
    Row("L09", "ContainerMemoryHigh", "P2", within="6m", says=("lavandaria-app", "docker stats"), resolves="30s"),
    Row("L09.cpu", "ContainerCpuHigh", "P2", within="11m", says=("container=lavandaria-app",), resolves="3m"),
    Row("L11", "BackupFailed", "P1", within="6m", says=("the limit of 1d 1h", "pg_dump")),
    Row("L11.torn", "BackupFailed", "P1", within="11m", says=("backup_",)),
    Row("L11.gap", "BackupMissing", "P1", within="6m", says=("period=daily: missing = 1",)),
    Row("L11.month", "BackupMissing", "P1", within="6m", says=("period=monthly: missing = 1", "silence add")),
    Row("L11.uploads", "BackupFailed", "P1", within="11m", says=("uploads_", "tar -czf")),
    Row("L13", "NobodyCanLogIn", "P0", within="11m", says=("500", "log in as user", "log in as client")),
    Row("L13.client", "OrderingFails", "P1", within="11m", says=("log in as client", "401")),
    Row("L13.order", "OrderingFails", "P1", within="11m", says=("create an order", "500")),
    Row("L13.photo", "OrderingFails", "P1", within="11m", says=("upload a photo", "500")),
    Row("L14", "ApplicationSlow", "P1", within="30s", says=("limit: over 5 s", "docker stats")),
)  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault)
async def test_fault(watch: Watch, row: Row) -> None:
    await replace(row, quiet="5m").play(watch, [OPS])


def before(hour: int, minute: int = 0) -> str:
    """How long ago it was this time of a working day in Lisbon, as a span."""
    now = datetime.now(LISBON)
    at = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    while at > now or at.weekday() > 4:
        at -= timedelta(days=1)
    # As instants: the clock may have been changed since.
    return f"{now.timestamp() - at.timestamp():.0f}s"


@pytest.mark.parametrize(
    "row",
    (
        Row("L04.latency", "QueriesSlower", "P3", within="8m", says=("limit: over 100 ms",), resolves="6m"),
        Row("L05.passwords", "RateLimiting", "P3", within="45s", says=("203.0.113.7",), resolves="16m"),
    ),
    ids=lambda row: row.fault,
)
async def test_what_can_wait_is_told_by_day(watch: Watch, row: Row) -> None:
    watch.only = lambda key: not key.endswith("-backup")  # whose files are dated by the clock
    await watch.start(before(11))
    await row.play(watch, [OPS])


@pytest.mark.parametrize(("hour", "also"), ((11, ("RateLimiting",)), (7, ())), ids=("by day", "by night"))
async def test_a_burst_of_refusals_is_told_at_any_hour_and_the_limit_behind_it_by_day(
    watch: Watch, hour: int, also: tuple[str, ...]
) -> None:
    watch.only = lambda key: key == "lavandaria/application-log"
    await watch.start(before(hour))
    row = Row("L06", "ManyRefused", "P2", within="45s", says=("203.0.113.8",), resolves="16m", also=also)
    await row.play(watch, [OPS])
    told = {name for one in watch.since_fault() for name in one.firing}
    assert told == {row.alert, *also}


async def test_what_can_wait_is_not_told_by_night(watch: Watch) -> None:
    watch.only = lambda key: key == "lavandaria/session-secret"
    await watch.start(before(7, 30))
    await watch.quiet("5m")
    await watch.breaks("L12")
    page = await watch.paged("SessionSecretOld", "P3", to=[OPS], within="90m")
    page.says("old, it has to be changed every 90d", "openssl rand -hex 32")
    assert 84 * 60 < page.seconds < 86 * 60
    await watch.heals()
    await watch.resolved("SessionSecretOld", within="61m")


async def test_a_start_within_its_time_is_not_told(watch: Watch) -> None:
    await watch.quiet("5m")
    lavandaria = watch.installation
    assert isinstance(lavandaria, Lavandaria)

    async def begin() -> None:
        await lavandaria.down()
        await lavandaria.database_starts()

    async def database_ready() -> None:
        await lavandaria.database.start()
        await lavandaria.application_starts()

    async def quiet_until(seconds: float) -> None:
        """Since it began, what is done in it, which takes real time, included."""
        await watch.quiet(f"{max(0.0, began + seconds - watch.app.clock.now()):.3f}s")

    began = watch.app.clock.now()
    await watch.threaded.call(begin())
    await quiet_until(9)
    await watch.threaded.call(database_ready())
    await quiet_until(48)
    await watch.threaded.call(lavandaria.application.start())
    await watch.quiet("5m")


async def test_a_disk_that_is_full_within_days(watch: Watch) -> None:
    watch.only = lambda key: key == "lavandaria/disks"
    await replace(
        Row("L08.growth", "DiskFullSoon", "P2", within="90m", says=("uploads-disk", "du -xh")),
        quiet="70m",
        resolves="8h",
    ).play(watch, [OPS])


async def test_who_hears_of_what_nobody_acknowledges(watch: Watch) -> None:
    await watch.quiet("5m")
    await watch.breaks("L01")
    first = await watch.paged("ApplicationDown", "P0", to=[OPS], within="75s")
    await watch.passes("20m")
    began = watch.broke_at + first.seconds
    minutes = {told.to: round((told.at - began) / 60) for told in watch.since_fault()}
    assert minutes == {OPS: 0, ENGINEERING: 5, CTO: 15}
    await watch.heals()
    await watch.resolved("ApplicationDown", within="30s")
