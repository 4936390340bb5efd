"""CapLiquify's rows: each fault in the real part, and the page that it makes."""

from __future__ import annotations

import pytest

from tests.scenarios.watch import Row, Watch

ON_CALL = ("pagerduty capliquify-on-call", "slack #capliquify-incidents")
TEAM = ("slack #capliquify",)
RECEIVERS = {"P1": ON_CALL, "P2": ON_CALL, "P3": TEAM, "P4": TEAM}

ROWS = (
    Row("C01", "ApplicationDown", "P1", within="40s", says=("502", "Application failed to respond", "roll back")),
    Row("C01.slow", "ApplicationSlow", "P3", within="100s", says=("over 2 s", "Where does the time go"), quiet="3m"),
    Row("C01.testing", "ApplicationDown", "P3", within="6m", says=("capliquify/testing", "in the morning")),
    Row("C01.development", "ApplicationDown", "P4", within="6m", says=("capliquify/development", "502")),
    Row("C03", "DatabaseDown", "P1", within="65s", says=("refused", "Is Neon down", "capliquify/production")),
    Row("C03.tls", "DatabaseDown", "P1", within="65s", says=("TLS", "Don't turn TLS off")),
    Row("C03.full", "DatabaseDown", "P1", within="65s", says=("too many clients", "the connection pool")),
    Row("C03.pool", "PostgresConnectionsNearlyUsed", "P2", within="7m5s", says=("import", "Who holds the connections")),
    Row("C03.slow", "PostgresSlowStatements", "P3", within="11m", resolves="11m", says=("pg_sleep", "EXPLAIN")),
    Row("C04", "VendorOutage", "P2", within="2m10s", says=("Deployments", "railway-status", "tell the users")),
    Row("C04.github", "VendorOutage", "P2", within="2m10s", says=("Git Operations", "a push does not deploy")),
    Row("C04.neon", "VendorOutage", "P2", within="2m10s", says=("Computes don't start", "major outage")),
    Row("C04.clerk", "VendorOutage", "P2", within="2m10s", says=("clerk-status",)),
    Row("C05", "ClerkDown", "P2", within="4m10s", says=("503", "Does Clerk say something")),
    Row("C05.logins", "LoginsFail", "P2", within="35s", resolves="6m", says=("ann@example.com", "an attack")),
    Row("C06", "ExternalApiDown", "P2", within="4m10s", says=("capliquify/xero", "503", "run again")),
    Row("C06.shopify", "ExternalApiDown", "P2", within="4m10s", says=("capliquify/shopify", "refused")),
    Row("C06.amazon", "ExternalApiDown", "P2", within="4m10s", says=("capliquify/amazon-sp-api", "InternalFailure")),
    Row("C06.unleashed", "ExternalApiDown", "P2", within="4m10s", says=("capliquify/unleashed", "refused")),
    Row("C07", "McpServerDown", "P2", within="35s", says=("refused", "AI orchestration stands still")),
    Row("C07.frontend", "FrontendDown", "P1", within="35s", says=("White screen",)),
    Row("C07.backend", "BackendDown", "P1", within="35s", says=("refused", "capliquify/production", "railway restart")),
    Row("C08", "ErrorsLogged", "P3", within="35s", resolves="6m", says=("req_0039", "Sentry groups them")),
    Row("C08.unauthorized", "Unauthorized", "P3", within="35s", resolves="11m", says=("/api/stock", "tries doors")),
    Row("C08.pool", "PoolTrouble", "P2", within="35s", resolves="6m", says=("no connection became free",)),
    Row("C08.heap", "HeapTrouble", "P3", within="35s", resolves="16m", says=("490 MB of 512 MB", "a leak")),
    Row("C09", "ProductionMemoryNearlyUsed", "P2", within="9m", resolves="2m10s", says=("90", "railway metrics")),
    Row("C09.machine", "MemoryNearlyUsed", "P2", within="6m5s", says=("over 85 %", "Which process")),
    Row("C09.oom", "ProcessesKilled", "P2", within="35s", resolves="11m", says=("Does it run again",)),
    Row("C09.heap", "OutOfMemory", "P2", within="35s", resolves="6m", says=("JavaScript heap out of memory",)),
    Row("C10", "JobsMissed", "P2", within="46m", resolves="16m", says=("no sign of life",)),
    Row("C10.failed", "JobsMissed", "P2", within="10s", says=("Did cron start them",)),
    Row("C12", "NoBackup", "P2", within="10m10s", says=("Is there room", "pg_dump")),
    Row("C12.unreadable", "NoBackup", "P2", within="21m", says=("complete", "Is there room")),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault)
async def test_fault(watch: Watch, row: Row) -> None:
    await row.play(watch, RECEIVERS[row.word])
