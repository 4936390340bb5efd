"""Dakkah, fault by fault: who is told of what, how soon, with which of the runbook's steps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.scenarios.records import Proof, record
from tests.scenarios.watch import Row, Watch

ON_CALL = ("pagerduty dakkah-on-call", "slack #dakkah-incidents")
P0 = (*ON_CALL, "slack #dakkah-stakeholders")
TO = {"P0": P0, "P1": ON_CALL, "P2": ("slack #dakkah",), "P3": ("slack #dakkah",)}

BEFORE = "1h"
"""runwatch's clock begins so long before the real one, and runs faster. At the fault it is still behind: so Temporal's
real workers polled lately, however long the alert is held."""
QUIET = "5m"

ROWS = (
    Row("D01", "StoreDown", "P0", "65s", ("503", "Was there a deploy within the hour?")),
    Row("D01.status", "StoreDown", "P0", "65s", ("degraded",)),
    Row("D01.slow", "StoreSlow", "P1", "3m30s", ("over 2 s", "N+1"), resolves="65s"),
    Row("D02", "StoreDown", "P0", "65s", ("checks.database.status", "unhealthy", "DATABASE_URL")),
    Row("D03", "StripeNotConfigured", "P0", "65s", ("STRIPE_API_KEY",)),
    Row("D03.temporal", "TemporalNotConfigured", "P1", "65s", ("TEMPORAL_ENDPOINT",)),
    Row("D04", "HeapNearItsLimit", "P1", "5m30s", ("430 MiB", "--max-old-space-size"), resolves="65s"),
    Row("D04.token", "AdminHealthFails", "P1", "65s", ("401", "DAKKAH_ADMIN_TOKEN")),
    Row("D05", "IntegrationNotConfigured", "P1", "65s", ("payload",)),
    Row("D05.breaker", "CircuitBreakerOpen", "P1", "3m10s", ("erpnext", "The breaker closes by itself")),
    Row("D05.sync", "SyncFalls", "P1", "7m30s", ("fleetbase", "80 %"), resolves="65s"),
    Row("D06", "StorefrontDown", "P0", "35s", ("refused", "start.log")),
    Row("D06.backend", "BackendDown", "P0", "35s", ("refused", "storefront", "nothing is started")),
    Row("D07", "DatabaseDown", "P0", "35s", ("refused", "store", "It reconnects by itself")),
    Row("D07.connections", "ConnectionsNearlyUsed", "P1", "6m30s", ("88", "PgBouncer"), resolves="35s"),
    Row("D07.refused", "DatabaseDown", "P0", "40s", ("too many clients",)),
    Row("D08", "SlowStatements", "P2", "6m", ("UPDATE payment SET captured_at", "N+1")),
    Row("D08.vacuum", "TableNotVacuumed", "P3", "27m", ("VACUUM (ANALYZE, VERBOSE)",), resolves="11m"),
    Row("D08.index", "UnusedIndexes", "P3", "27m", ("order_status", "DROP INDEX CONCURRENTLY"), resolves="11m"),
    Row("D08.bloat", "TableBloated", "P3", "27m", ("order",), resolves="11m"),
    Row("D09", "CacheDown", "P1", "35s", ("refused", "redis-cli")),
    Row("D09.memory", "RedisMemoryNearlyFull", "P1", "3m30s", ("maxmemory-policy", "9"), resolves="35s"),
    Row(
        "D10", "StripeReportsOutage", "P0", "2m5s", ("api: degraded", "dakkah/stripe", "There is nothing to mend here")
    ),
    Row("D10.key", "StripeDown", "P0", "65s", ("api_key_expired", "Make a new one")),
    Row("D11", "PaymentsFail", "P0", "4m30s", ("95 %", "blocked", "Radar"), resolves="65s"),
    Row("D11.webhooks", "WebhooksNotDelivered", "P1", "7m30s", ("Stripe tries again for three days",), resolves="65s"),
    Row("D11.endpoint", "WebhookEndpointDisabled", "P1", "65s"),
    Row("D12", "TemporalDown", "P1", "35s", ("refused", "temporal task-queue describe")),
    Row(
        "D12.workers",
        "TemporalDown",
        "P1",
        "35s",
        ("no worker polls task queue 'commerce'", "Start them."),
        resolves="35s",
    ),
    Row("D12.scale", "AddWorkers", "P2", "6m30s", ("500", "start more workers"), resolves="35s"),
    Row("D12.queue", "QueueTooLong", "P1", "3m30s", ("1000", "commerce"), resolves="35s"),
    Row("D12.failures", "WorkflowsFail", "P1", "3m5s", ("Fulfilment", "roll the workers back"), resolves="2m"),
    Row("D13", "ServerErrors", "P0", "3m30s", ("Roll it back now",), resolves="35s"),
    Row("D13.blind", "NobodyCounts", "P2", "6m30s", ("500", "/metrics"), resolves="35s"),
    Row("D14", "ResponsesSlow", "P1", "6m30s", ("1 s",), resolves="35s"),
    Row("D14.cpu", "CpuBusy", "P2", "16m", ("80 %",), resolves="5m"),
    Row("D14.memory", "MemoryNearlyUsed", "P2", "6m30s", ("88 %",), resolves="35s"),
    Row("D15.locked", "LockedOut", "P2", "35s", ("203.0.113.7", "passwords are being tried"), resolves="16m"),
    Row("D17", "WebhookSignatures", "P1", "35s", ("/hooks/stripe", "STRIPE_WEBHOOK_SECRET"), resolves="6m"),
    Row("D18", "CorsRefused", "P2", "5m5s", ("access-control-allow-origin", "STORE_CORS")),
    Row("D19", "BackupFails", "P1", "5m5s", ("over the limit of 1d 1h", "restore")),
    Row("D19.empty", "BackupFails", "P1", "5m5s", ("0 B",)),
    Row("D19.half", "BackupFails", "P1", "5m5s", ("can't be read",)),
    Row("D19.kept", "BackupMissing", "P1", "5m5s"),
    Row("D20", "ErrorsLogged", "P2", "35s", ("'region'", "req_"), resolves="6m"),
    Row("D20.gone", "LogGone", "P2", "6m30s", ("Rotation gone wrong",), resolves="35s"),
)


LONG = {
    "D08.vacuum": "database", "D08.index": "database", "D08.bloat": "database", "D14.cpu": "machine",
    "D15.locked": "error-log",
}  # fmt: skip
"""Rows that take long, and the check that they are about: the others need not be asked all the while."""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault)
async def test_fault(watch: Watch, row: Row) -> None:
    if row.fault in LONG:
        watch.only = lambda key: key == f"dakkah/{LONG[row.fault]}"
    await watch.start(BEFORE)
    await replace(row, quiet=QUIET).play(watch, TO[row.word])


async def test_database_hangs(watch: Watch) -> None:
    """One page names the cause, and what hangs with it, and holds the playbook's steps from the first to the last."""
    watch.timeout = 1.5
    await watch.start(BEFORE)
    await watch.quiet(QUIET)
    await watch.breaks("D07.frozen")
    page = await watch.paged("DatabaseDown", "P0", to=P0, within="35s")
    page.says("no answer within 1.5 s", "dakkah/store")
    page.says(
        "What to do: The database is down", "1. `psql \"$DATABASE_URL\" -c 'SELECT 1'`", "It reconnects by itself."
    )
    await watch.heals()
    await watch.resolved("DatabaseDown", within="35s")
    record(
        Proof("dakkah", "D22", "the page of a database that hangs holds its playbook, the runbook's commands put right")
    )


async def test_who_does_not_answer_is_paged_again(watch: Watch) -> None:
    """Once more after the quarter of an hour that P0 has, to each who was told."""
    watch.only = lambda key: key in ("dakkah/storefront", "dakkah/backend", "dakkah/database")
    await watch.start(BEFORE)
    await watch.quiet(QUIET)
    await watch.breaks("D06")
    await watch.paged("StorefrontDown", "P0", to=P0, within="35s")
    await watch.passes("14m")
    assert len(watch.since_fault()) == len(P0)
    await watch.passes("2m")
    again = [one for one in watch.since_fault() if one.parcel.note.reason == "escalated"]
    assert {one.to for one in again} == set(P0)
    assert all(900 <= one.at - watch.broke_at < 940 for one in again)


async def test_rate_limiting_rises_above_what_is_usual(watch: Watch) -> None:
    """After an hour something is known to be usual."""
    watch.only = lambda key: key in ("dakkah/traffic", "dakkah/prometheus")
    await watch.quiet("70m")
    await watch.breaks("D15")
    page = await watch.paged("RateLimited", "P2", to=TO["P2"], within="6m30s")
    page.says("Limits: 120 a minute on the store API")
    await watch.heals()
    await watch.resolved("RateLimited", within="35s")


async def test_a_table_grows_faster_than_it_used_to(watch: Watch) -> None:
    """After an hour it is known how fast tables grow."""
    watch.only = lambda key: key == "dakkah/database"
    await watch.quiet("65m")
    await watch.breaks("D08.growth")
    page = await watch.paged("TableGrows", "P3", to=TO["P3"], within="11m")
    page.says("audit_log", "n_live_tup")
    await watch.heals()
    await watch.resolved("TableGrows", within="11m")


async def test_nothing_is_wrong(watch: Watch) -> None:
    """Nobody is told anything."""
    await watch.quiet("20m")
