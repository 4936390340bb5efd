"""Retail's rows: each fault in the real part, and the page that it makes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.scenarios.watch import Row, Watch

TEAM = ("slack #retail-incidents", "email incidents@retailsuperapp.com")
ON_CALL = ("pagerduty retail-primary", *TEAM)
RECEIVERS = {"P0": ON_CALL, "P1": ON_CALL, "P2": TEAM, "P3": TEAM}
SALES = ("RevenueFell", "CustomersFell")
EARLIER = "CertificateEndsIn30Days"

ROWS = (
    Row("R01", "ApiDown", "P0", within="35s", says=("502", "Does it run")),
    Row("R01.web", "WebDown", "P0", within="35s", says=("500", "Cloudflare")),
    Row("R02", "DatabaseDown", "P0", within="35s", says=("refused", "retail/api", "df -h")),
    Row("R02.frozen", "DatabaseDown", "P0", within="40s", says=("no answer", "frozen"), timeout=0.7),
    Row("R02.full", "DatabaseDown", "P0", within="35s", says=("too many clients", "retail/api")),
    Row("R02.near", "PostgresConnectionsNearlyUsed", "P1", within="6m", says=("retail-api", "Who holds them")),
    Row("R04", "PostgresSlowStatements", "P2", within="8m", resolves="3m", says=("pg_sleep", "EXPLAIN")),
    Row("R05", "StandbyBehind", "P1", within="3m", says=("64 MiB", "pg_wal_replay_resume")),
    Row("R05.old", "PostgresStandbyBehind", "P1", within="6m", says=("over 1m", "pg_wal_replay_resume")),
    Row("R05.cut-off", "PostgresStandbyCutOff", "P1", within="6m", says=("pg_basebackup",)),
    Row("R05.disk", "PostgresDiskNearlyFull", "P1", within="21m", resolves="11m", says=("over 85 %", "What grew")),
    Row("R06", "RedisDown", "P1", within="35s", says=("refused", "retail/orders-queue", "FLUSHDB")),
    Row("R06.password", "CannotTell", "P3", within="16m", says=("password", "Renew what")),
    Row("R06.backlog", "QueueBacklog", "P1", within="3m", says=("1200", "more instances")),
    Row("R07", "NginxDown", "P0", within="35s", says=("refused", "retail/web", "nginx -t")),
    Row("R07.https", "HttpsDown", "P0", within="35s", says=("refused", "retail/api", "nginx -t")),
    Row("R07.expired", "HttpsDown", "P0", within="35s", says=("expired", "nginx -t")),
    Row("R07.30d", "CertificateEndsIn30Days", "P3", within="35s", says=("under 30d", "certbot")),
    Row("R07.14d", "CertificateEndsIn14Days", "P2", within="35s", says=("under 14d", "certbot"), also=(EARLIER,)),
    Row("R08", "ContainerDown", "P1", within="35s", says=("web", "137", "docker-compose ps")),
    Row("R08.unhealthy", "ContainerDown", "P1", within="35s", says=("nginx is unhealthy",)),
    Row("R08.restart", "ContainerRestarted", "P1", within="35s", resolves="12m", says=("redis", "crash")),
    Row("R08.memory", "ContainerMemoryNearlyUsed", "P1", within="6m", says=("api", "over 90 %", "heap snapshot")),
    Row("R09", "RolloutStuck", "P1", within="35s", says=("retail-api", "progress", "rollout undo")),
    Row("R09.restart", "PodsRestart", "P1", within="35s", resolves="12m", says=("retail-api", "--previous")),
    Row("R10", "HalfOfResponsesSlow", "P1", within="6m", says=("over 500 ms", "pg_stat_activity")),
    Row("R10.p95", "ResponsesSlow", "P1", within="6m", says=("over 2 s", "pg_stat_activity")),
    Row("R10.p99", "SomeResponsesSlow", "P2", within="6m", says=("over 5 s", "pg_stat_activity")),
    Row("R10.5xx", "ServerErrors", "P1", within="3m", says=("over 5 %", "Sentry")),
    Row("R11", "CpuBusy", "P2", within="14m", resolves="4m", says=("over 80 %", "node")),
    Row("R11.memory", "MemoryNearlyUsed", "P2", within="6m", says=("node (pid", "will be killed")),
    Row("R11.disk", "DiskBusy", "P2", within="15m", resolves="4m", says=("sda", "iostat")),
    Row("R11.network", "NetworkBusy", "P2", within="14m", resolves="4m", says=("eth0", "access log")),
    Row("R12", "SalesFell", "P1", within="5m5s", says=("usual_sales", "Buy something")),
    Row("R12.revenue", "RevenueFell", "P1", within="5m5s", says=("usual_revenue", "Buy something")),
    Row("R12.customers", "CustomersFell", "P1", within="5m5s", says=("usual_customers", "Buy something")),
    Row("R12.failed", "TransactionsFail", "P1", within="5m5s", says=("over 5 %", "status = 'failed'")),
    Row("R13", "GrafanaDown", "P2", within="35s", says=("503", "half blind")),
    Row("R13.prometheus", "PrometheusDown", "P2", within="40s", says=("no answer", "half blind"), timeout=0.7),
    Row("R13.target", "PrometheusDown", "P2", within="35s", says=("1 of 1 targets", "/targets")),
    Row("R13.sentry", "SentryDown", "P2", within="2m5s", says=("502", "status.sentry.io")),
    Row("R14", "NoBackup", "P1", within="5m5s", says=("there is no backup", "Make one now")),
    Row("R14.job", "BackupJobFailed", "P1", within="5s", says=("Did cron run it",)),
    Row("R14.old", "NoBackup", "P1", within="5m5s", says=("redis-backup", "old"), also=("BackupMissing",)),
    Row("R14.shrunken", "NoBackup", "P1", within="5m5s", says=("of the usual size", "COPY")),
    Row("R14.unreadable", "NoBackup", "P1", within="11m", says=("retail_db_production", "Make one now")),
    Row("R14.s3", "NoBackup", "P1", within="5m5s", says=("postgres/", "aws s3 ls")),
    Row("R14.s3-old", "BackupOld", "P1", within="5m5s", says=("over 1d 2h", "aws s3 ls")),
    Row("R14.s3-shrunken", "BackupShrunken", "P1", within="5m5s", says=("under 50 %", "COPY")),
    Row("R16", "ErrorsLogged", "P2", within="35s", resolves="6m", says=("req_1039", "over 30")),
    Row("R17", "QueueWithoutWorkers", "P1", within="3m", says=("docker-compose restart api",)),
    Row("R17.silent", "WorkerSilent", "P1", within="4m", says=("no sign of life", "restart api")),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault)
async def test_fault(watch: Watch, row: Row) -> None:
    await replace(row, quiet="5m").play(watch, RECEIVERS[row.word])
