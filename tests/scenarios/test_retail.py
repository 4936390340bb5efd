"""Retail's rows: each fault in the real part, and the page that it makes."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from monitor.demo.installations.retail import Retail
from tests.scenarios.watch import Row, Watch
from tests.skips import refused

TEAM = ("slack #retail-incidents", "email incidents@retailsuperapp.com")
ON_CALL = ("pagerduty retail-primary", *TEAM)
RECEIVERS = {"P0": ON_CALL, "P1": ON_CALL, "P2": TEAM, "P3": TEAM}
EARLIER = "CertificateEndsIn30Days"

ROWS = (
    Row("R01", "ApiDown", "P0", within="40s", says=("502", "Does it run")),
    Row("R01.web", "WebDown", "P0", within="40s", says=("500", "Cloudflare")),
    Row("R02", "DatabaseDown", "P0", within="40s", says=("refused", "retail/api", "df -h")),
    Row("R02.frozen", "DatabaseDown", "P0", within="45s", says=("no answer", "frozen"), timeout=1.5),
    Row("R02.full", "DatabaseDown", "P0", within="40s", says=("too many clients", "retail/api")),
    Row("R02.near", "PostgresConnectionsNearlyUsed", "P1", within="6m5s", says=("retail-api", "Who holds them")),
    Row("R04", "PostgresSlowStatements", "P2", within="8m", resolves="3m", says=("pg_sleep", "EXPLAIN")),
    Row("R05", "StandbyBehind", "P1", within="3m5s", says=("64 MiB", "pg_wal_replay_resume")),
    Row("R05.old", "PostgresStandbyBehind", "P1", within="6m5s", says=("over 1m", "pg_wal_replay_resume")),
    Row("R05.cut-off", "PostgresStandbyCutOff", "P1", within="6m5s", says=("pg_basebackup",)),
    Row("R06", "RedisDown", "P1", within="40s", says=("refused", "retail/orders-queue", "FLUSHDB")),
    Row("R06.backlog", "QueueBacklog", "P1", within="3m5s", says=("1200", "more instances")),
    Row("R07", "NginxDown", "P0", within="40s", says=("refused", "retail/web", "nginx -t")),
    Row("R07.https", "HttpsDown", "P0", within="40s", says=("refused", "retail/api", "nginx -t")),
    Row("R07.expired", "HttpsDown", "P0", within="40s", says=("expired", "nginx -t")),
    Row("R07.30d", "CertificateEndsIn30Days", "P3", within="40s", says=("under 30d", "certbot")),
    Row("R07.14d", "CertificateEndsIn14Days", "P2", within="40s", says=("under 14d", "certbot"), also=(EARLIER,)),
    Row("R08", "ContainerDown", "P1", within="45s", says=("web", "137", "docker-compose ps")),
    Row("R08.unhealthy", "ContainerDown", "P1", within="45s", says=("nginx is unhealthy",)),
    Row("R08.memory", "ContainerMemoryNearlyUsed", "P1", within="6m5s", says=("api", "over 90 %", "heap snapshot")),
    Row("R09", "RolloutStuck", "P1", within="40s", says=("retail-api", "progress", "rollout undo")),
    Row("R10", "HalfOfResponsesSlow", "P1", within="6m5s", says=("over 500 ms", "pg_stat_activity")),
    Row("R10.p95", "ResponsesSlow", "P1", within="6m5s", says=("over 2 s", "pg_stat_activity")),
    Row("R10.p99", "SomeResponsesSlow", "P2", within="6m5s", says=("over 5 s", "pg_stat_activity")),
    Row("R10.5xx", "ServerErrors", "P1", within="3m5s", says=("over 5 %", "Sentry")),
    Row("R12", "SalesFell", "P1", within="5m15s", says=("usual_sales", "Buy something")),
    Row("R12.revenue", "RevenueFell", "P1", within="5m15s", says=("usual_revenue", "Buy something")),
    Row("R12.customers", "CustomersFell", "P1", within="5m15s", says=("usual_customers", "Buy something")),
    Row("R12.failed", "TransactionsFail", "P1", within="5m15s", says=("over 5 %", "status = 'failed'")),
    Row("R13", "GrafanaDown", "P2", within="40s", says=("503", "half blind")),
    Row("R13.prometheus", "PrometheusDown", "P2", within="45s", says=("no answer", "half blind"), timeout=1.5),
    Row("R13.target", "PrometheusDown", "P2", within="40s", says=("1 of 1 targets", "/targets")),
    Row("R13.sentry", "SentryDown", "P2", within="2m15s", says=("502", "status.sentry.io")),
    Row("R14", "NoBackup", "P1", within="5m15s", says=("there is no backup", "Make one now")),
    Row("R14.job", "BackupJobFailed", "P1", within="15s", says=("Did cron run it",)),
    Row("R16", "ErrorsLogged", "P2", within="45s", resolves="6m", says=("req_1039", "over 30")),
    Row("R17", "QueueWithoutWorkers", "P1", within="3m", says=("docker-compose restart api",)),
    Row("R17.silent", "WorkerSilent", "P1", within="4m", says=("no sign of life", "restart api")),
)

LONG_ROWS = (
    Row("R05.disk", "PostgresDiskNearlyFull", "P1", within="21m", resolves="11m", says=("over 85 %", "What grew")),
    Row("R06.password", "CannotTell", "P3", within="16m", says=("password", "Renew what")),
    Row("R08.restart", "ContainerRestarted", "P1", within="45s", resolves="12m", says=("redis", "crash")),
    Row("R09.restart", "PodsRestart", "P1", within="40s", resolves="12m", says=("retail-api", "--previous")),
    Row("R11", "CpuBusy", "P2", within="14m", resolves="4m", says=("over 80 %", "node")),
    Row("R11.memory", "MemoryNearlyUsed", "P2", within="6m5s", says=("node (pid", "will be killed")),
    Row("R11.disk", "DiskBusy", "P2", within="15m", resolves="4m", says=("sda", "iostat")),
    Row("R11.network", "NetworkBusy", "P2", within="14m5s", resolves="4m", says=("eth0", "access log")),
    Row("R14.old", "NoBackup", "P1", within="5m15s", says=("redis-backup", "old"), also=("BackupMissing",)),
    Row("R14.shrunken", "NoBackup", "P1", within="10m15s", says=("of the usual size", "COPY")),
    Row("R14.unreadable", "NoBackup", "P1", within="11m", says=("retail_db_production", "Make one now")),
    Row("R14.s3", "NoBackup", "P1", within="5m15s", says=("postgres/", "aws s3 ls")),
    Row("R14.s3-old", "BackupOld", "P1", within="5m15s", says=("over 1d 2h", "aws s3 ls")),
    Row("R14.s3-shrunken", "BackupShrunken", "P1", within="5m15s", says=("under 50 %", "COPY")),
    Row("R14.kept", "BackupsNotPruned", "P3", within="71m", resolves="6m", says=("postgres-backup", "lifecycle rule")),
    Row(
        "R14.s3-kept",
        "BackupsNotPruned",
        "P3",
        within="71m",
        resolves="6m",
        says=("redis-backup-s3", "lifecycle rule"),
    ),
)
"""Those that take a quarter of an hour and more: only the checks that they are about are kept."""
ABOUT = {
    "R05": "database", "R06": "cache|orders-queue", "R08": "containers", "R09": "workloads", "R11": "machine",
    "R14.s3": ".*-s3", "R14": "(postgres|redis)-backup",
}  # fmt: skip


def keep(watch: Watch, checks: str) -> None:
    """Ask only these, as a regular expression, and those that are sent signs of life."""
    wanted = re.compile(f"retail/({checks}|queue-worker|backup-job)")
    watch.only = lambda key: wanted.fullmatch(key) is not None


def need_containers(watch: Watch) -> None:
    """Skip where none can be run."""
    if why := watch.installation.missing.get("containers"):
        refused(f"containers: {why}")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault)
async def test_fault(watch: Watch, row: Row) -> None:
    if row.fault.startswith("R08"):
        need_containers(watch)
    await replace(row, quiet="2m").play(watch, RECEIVERS[row.word])


@pytest.mark.parametrize("row", LONG_ROWS, ids=lambda row: row.fault)
async def test_fault_that_takes_long(watch: Watch, row: Row) -> None:
    if row.fault.startswith("R08"):
        need_containers(watch)
    keep(watch, next(checks for start, checks in ABOUT.items() if row.fault.startswith(start)))
    await replace(row, quiet="5m").play(watch, RECEIVERS[row.word])


async def test_a_quarter_of_an_hour_in_which_all_is_well(watch: Watch) -> None:
    await watch.quiet("15m")


async def test_api_and_shop_are_slow(watch: Watch) -> None:
    await watch.quiet("2m")
    await watch.breaks("R01.slow")
    slow = await watch.paged("ApiSlow", "P1", to=ON_CALL, within="2m", also=["WebSlow"])
    slow.says("over 2 s", "docker stats --no-stream")
    await watch.paged("WebSlow", "P1", to=ON_CALL, within="2m", also=["ApiSlow"])
    await watch.heals()
    await watch.resolved("ApiSlow", "WebSlow", within="40s")


async def test_an_idle_session_is_named(watch: Watch) -> None:
    await watch.quiet("2m")
    await watch.breaks("R03")
    page = await watch.paged("PostgresIdleSessions", "P2", to=TEAM, within="40s")
    assert isinstance(watch.installation, Retail)
    page.says(f"pid {watch.installation.idle_pid}", "pg_terminate_backend")
    await watch.heals()
    await watch.resolved("PostgresIdleSessions", within="40s")


@pytest.mark.parametrize(("fault", "within"), [("R07.7d", "40s"), ("R07.file", "10m15s")])
async def test_a_certificate_ends_in_a_week(watch: Watch, fault: str, within: str) -> None:
    keep(watch, "https|certificate-file")
    earlier = ("CertificateEndsIn30Days", "CertificateEndsIn14Days")
    await watch.quiet("10m")
    await watch.breaks(fault)
    page = await watch.paged("CertificateEndsIn7Days", "P1", to=ON_CALL, within=within, also=earlier)
    page.says("under 7d", "fullchain.pem")
    await watch.heals()
    await watch.resolved("CertificateEndsIn7Days", *earlier, within=within)


async def test_a_container_is_killed_for_want_of_memory(watch: Watch) -> None:
    need_containers(watch)
    keep(watch, "containers")
    await watch.quiet("10m")
    await watch.breaks("R08.oom")
    page = await watch.paged("ContainerOutOfMemory", "P1", to=ON_CALL, within="45s", also=["ContainerDown"])
    page.says("api", "heap snapshot")
    await watch.paged("ContainerDown", "P1", to=ON_CALL, within="45s", also=["ContainerOutOfMemory"])
    await watch.heals()
    await watch.resolved("ContainerDown", within="40s")
    await watch.resolved("ContainerOutOfMemory", within="12m")


async def test_a_pod_crashes_again_and_again(watch: Watch) -> None:
    keep(watch, "workloads")
    await watch.quiet("10m")
    await watch.breaks("R09.crash")
    page = await watch.paged("RolloutStuck", "P1", to=ON_CALL, within="40s", also=["PodsRestart"])
    page.says("CrashLoopBackOff", "ECONNREFUSED", "rollout undo")
    await watch.heals()
    await watch.resolved("RolloutStuck", within="40s")


@pytest.mark.timeout(120)
async def test_what_is_unusual_after_an_hour_of_what_is_usual(watch: Watch) -> None:
    keep(watch, "traffic|prometheus|sentry")
    await watch.quiet("70m")
    for fault, alert, within, piece in (
        ("R10.4xx", "ClientErrors", "11m5s", "429"),
        ("R10.rate", "TrafficFell", "16m5s", "Cloudflare"),
        ("R10.connections", "ManyConnections", "11m5s", "Cloudflare"),
        ("R13.errors", "ErrorsOverBaseline", "8m5s", "Compare with the last deployment"),
    ):
        await watch.breaks(fault)
        page = await watch.paged(alert, "P2", to=TEAM, within=within)
        page.says(piece)
        await watch.heals()
        await watch.resolved(alert, within="3m")


async def test_nobody_answers(watch: Watch) -> None:
    keep(watch, "database|api")
    await watch.quiet("2m")
    await watch.breaks("R02")
    await watch.paged("DatabaseDown", "P0", to=ON_CALL, within="40s")
    await watch.passes("14m")
    assert {one.to for one in watch.since_fault()} == {*ON_CALL}
    await watch.passes("2m")
    assert {one.to for one in watch.since_fault()} == {*ON_CALL, "pagerduty retail-secondary"}
    await watch.passes("15m")
    assert {one.to for one in watch.since_fault()} == {
        *ON_CALL, "pagerduty retail-secondary", "email cto@retailsuperapp.com"
    }  # fmt: skip
    await watch.heals()
    await watch.resolved("DatabaseDown", within="40s")
