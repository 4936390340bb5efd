"""iaMenu's rows: each fault is told to whom its runbook wants, in its words, and its end too."""

from __future__ import annotations

import pytest

from alerts.routing import match
from monitor.config import load
from monitor.demo.installation import shipped
from tests.scenarios.watch import Row, Watch

ON_CALL = ("pagerduty iamenu-on-call", "slack #iamenu-on-call")
FULL = "RedisMemoryNearlyFull"
TEAM_LEAD = ("slack #iamenu-team-lead",)

ROWS = (
    # --- the services, and what they stand on
    Row("W01", "ApiDown", "CRITICAL", within="35s", says=("refused", "docker ps -a")),
    Row("W01.status", "ApiDown", "CRITICAL", within="35s", says=("degraded",)),
    Row("W02", "CacheDown", "CRITICAL", within="35s", says=("refused",)),
    Row("W05", "SearchDown", "HIGH", within="35s"),
    Row("W05.slower", "SearchSlow", "MEDIUM", within="4m", to=TEAM_LEAD, resolves="12m"),
    Row("W05.slow", "SearchSlow", "HIGH", within="4m", resolves="12m"),
    Row("W05.index", "SearchIndexGone", "HIGH", within="5m10s"),
    Row("W09", "PostgresSessionsBlocked", "HIGH", within="35s", says=("blocked by",)),
    Row("W09.down", "DatabaseDown", "CRITICAL", within="35s", says=("refused",)),
    Row("W16", "NotificationsDown", "HIGH", within="35s"),
    # --- Redis
    Row("W02.hits", "RedisMissesOften", "MEDIUM", within="12m", to=TEAM_LEAD, resolves="2m"),
    Row("W02.misses", "RedisMissesMostly", "HIGH", within="12m", resolves="2m"),
    Row("W02.memory", FULL, "HIGH", within="6m5s", resolves="1m"),
    # What is evicted is the team lead's; that Redis is full is the on-call engineer's.
    Row("W02.evictions", "RedisEvicts", "MEDIUM", within="6m15s", to=TEAM_LEAD, also=(FULL,), resolves="1m"),
    Row("W02.expiry", "CacheKeysNeverExpire", "MEDIUM", within="11m5s", to=TEAM_LEAD, resolves="1m"),
    Row("W07", "QueueWithoutWorkers", "HIGH", within="3m5s", resolves="35s"),
    Row("W07.failures", "QueueLosesJobs", "HIGH", within="3m5s", resolves="1m"),
    Row("W07.notifications", "NotificationsFail", "HIGH", within="7m5s", resolves="2m"),
    # --- money
    Row("W08", "StripeDown", "CRITICAL", within="65s"),
    Row("W08.down", "StripeDown", "CRITICAL", within="65s", says=("refused",)),
    Row("W08.payments", "PaymentsFail", "CRITICAL", within="4m5s", resolves="65s"),
    Row("W08.webhooks", "WebhooksNotDelivered", "CRITICAL", within="8m", resolves="65s"),
    Row("W08.endpoint", "WebhookEndpointDisabled", "CRITICAL", within="65s"),
    Row("W08.orders", "DuplicateCharges", "CRITICAL", within="65s", says=("pi_7",)),
    Row("W10", "AnalyticsDown", "MEDIUM", within="35s", to=TEAM_LEAD),
    Row("W10.stale", "AnalyticsStale", "MEDIUM", within="7m", to=TEAM_LEAD, resolves="65s"),
    Row("W10.orders", "NoOrders", "MEDIUM", within="65s", to=TEAM_LEAD),
    Row("W10.revenue", "RevenueDiffers", "MEDIUM", within="16m", to=TEAM_LEAD, resolves="6m", quiet="2m"),
    # --- logs
    Row("W04.delayed", "LogsLate", "MEDIUM", within="8m5s", to=TEAM_LEAD, resolves="2m"),
    Row("W04.late", "LogsLate", "HIGH", within="8m5s", resolves="2m"),
    Row("W04.files_late", "LogsLate", "HIGH", within="8m", resolves="2m"),
    Row("W04.silent", "LogsSilent", "HIGH", within="17m", resolves="2m", quiet="2m"),
    Row("W04.words", "ForbiddenWordsLogged", "CRITICAL", within="65s", resolves="19m", quiet="2m"),
    Row("W04.files", "ForbiddenWordsLogged", "CRITICAL", within="35s", resolves="16m", quiet="2m"),
    # --- traffic, and the other tools
    Row("W06", "GrafanaDown", "HIGH", within="35s", says=("failing",)),
    Row("W06.target", "MetricsMissing", "HIGH", within="35s", says=("node",)),
    Row("W06.prometheus", "MetricsMissing", "HIGH", within="35s", says=("refused",)),
    Row("W06.alertmanager", "AlertmanagerDown", "HIGH", within="35s", says=("refused",)),
    Row("W06.alerts", "AlertsActive", "HIGH", within="35s", says=("DiskFillsUp",)),
    Row("W11", "ApiErrors", "MEDIUM", within="6m5s", to=TEAM_LEAD, resolves="35s"),
    Row("W11.many", "ApiErrors", "HIGH", within="6m", resolves="35s"),
    Row("W11.slower", "ApiSlow", "MEDIUM", within="6m5s", to=TEAM_LEAD, resolves="35s"),
    Row("W11.slow", "ApiSlow", "HIGH", within="6m5s", resolves="35s"),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault)
async def test_fault(watch: Watch, row: Row) -> None:
    await row.play(watch, ON_CALL)


async def test_what_is_usual_is_known_after_an_hour(watch: Watch) -> None:
    """W04 by the errors of the last hour, W05 by the size of the index."""
    watch.only = {"iamenu/logs", "iamenu/log-files", "iamenu/database", "iamenu/search-index"}.__contains__
    await watch.quiet("61m")
    await watch.breaks("W04")
    page = await watch.paged("ErrorsOverBaseline", "HIGH", to=ON_CALL, within="2m")
    page.says("community", "docker logs --since 15m")
    await watch.heals()
    await watch.resolved("ErrorsOverBaseline", within="7m")
    await watch.breaks("W05.growth")
    await watch.paged("SearchIndexGrew", "MEDIUM", to=TEAM_LEAD, within="6m")
    await watch.heals()
    await watch.resolved("SearchIndexGrew", within="6m")


async def test_a_charge_that_looks_double_is_told_until_its_hour_is_over(watch: Watch) -> None:
    watch.only = "iamenu/stripe".__eq__
    await watch.quiet("5m")
    await watch.breaks("W08.charges")
    page = await watch.paged("DuplicateCharges", "CRITICAL", to=ON_CALL, within="65s")
    page.says("10 s after")
    await watch.heals()
    await watch.resolved("DuplicateCharges", within="65m")


async def test_mails_that_wait_are_one_page_however_long(watch: Watch) -> None:
    await watch.quiet("5m")
    await watch.breaks("W07.backlog")
    page = await watch.paged("EmailBacklog", "HIGH", to=ON_CALL, within="6m5s")
    page.says("over 500", "retry-failed-notifications")
    await watch.passes("5m")
    await watch.heals()
    await watch.resolved("EmailBacklog", within="35s")


async def test_critical_goes_up_to_the_cto_and_high_to_the_manager(watch: Watch) -> None:
    manager, cto = "pagerduty iamenu-engineering-manager", "pagerduty iamenu-cto"
    watch.only = {"iamenu/api", "iamenu/grafana", "iamenu/database"}.__contains__
    await watch.quiet("2m")
    await watch.breaks("W06")
    await watch.paged("GrafanaDown", "HIGH", to=ON_CALL, within="35s")
    await watch.breaks("W01.status")
    await watch.paged("ApiDown", "CRITICAL", to=ON_CALL, within="35s")
    await watch.passes("35m")
    told = {(name, one.to): one.at - watch.broke_at for one in reversed(watch.since_fault()) for name in one.firing}
    assert 300 <= told["ApiDown", manager] < 336
    assert 600 <= told["ApiDown", cto] < 636
    assert 1795 <= told["GrafanaDown", manager] < 1836
    assert ("GrafanaDown", cto) not in told


def test_who_is_told_by_severity() -> None:
    folder = shipped("iamenu")
    lines = (folder / ".env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    route = load(folder / "system.yaml", example).route
    assert route is not None
    told = {}
    for severity in ("critical", "high", "medium", "low"):
        [taken] = match(route, {"system": "iamenu", "severity": severity})
        told[severity] = [taken.receiver, *(step.receiver for step in taken.escalation), *taken.active_time_intervals]
    assert told == {
        "critical": ["iamenu-on-call", "iamenu-engineering-manager", "iamenu-cto"],
        "high": ["iamenu-on-call", "iamenu-engineering-manager"],
        "medium": ["iamenu-team-lead"],
        "low": ["iamenu-sprint", "iamenu-business-hours"],
    }
