"""Dakkah's afternoon: Stripe is down and says so; every alert has its steps; no secret is told."""

from __future__ import annotations

import re

from checks.base import Outcome
from tests.scenarios.secrecy import keeps_its_secrets
from tests.scenarios.watch import Watch

ON_CALL = ("pagerduty dakkah-on-call", "slack #dakkah-incidents")
STAKEHOLDERS = "slack #dakkah-stakeholders"
BEFORE = "1h30m"


async def test_stripe_is_down_and_its_status_page_says_so(watch: Watch) -> None:
    watch.only = lambda key: key.partition("/")[2] in ("store", "backend", "stripe", "stripe-status", "database")
    await watch.start(BEFORE)
    await watch.quiet("10m")
    await watch.breaks("D10")
    page = await watch.paged("StripeReportsOutage", "P0", to=(*ON_CALL, STAKEHOLDERS), within="2m5s")
    page.says("api: degraded", "dakkah/stripe", "There is nothing to mend here")
    await watch.passes("45m")
    [outage] = (alert for alert in watch.app.engine.judging.live() if alert.name == page.alert.name)
    assert watch.app.engine.impact(outage) == ["dakkah/stripe (failing)"], "held back, and named with its cause"
    assert watch.app.state.get("dakkah/stripe").result.outcome is Outcome.FAILED  # type: ignore[union-attr]
    told = watch.since_fault()
    assert {name for one in told for name in {*one.firing, *one.resolved}} == {"StripeReportsOutage"}, "one cause"
    [first, *later] = sorted({one.parcel.note.reason for one in told}, key=["first", "escalated"].index)
    assert first == "first" and later in ([], ["escalated"])
    await watch.heals()
    await watch.resolved("StripeReportsOutage", within="2m5s")
    after = len(watch.app.told)
    await watch.passes("10m")
    assert not watch.app.told[after:], "payments go on, and nobody hears of it again"


async def test_every_alert_comes_with_its_steps(watch: Watch) -> None:
    await watch.start(BEFORE)
    thresholds = [threshold for held in watch.app.config.thresholds.values() for threshold in held]
    assert len(thresholds) > 40
    without = [f"{one.check} {one.alert}" for one in thresholds if not one.runbook.text]
    assert not without, "nobody knows what to do"
    assert all(re.search(r"^(1\.|- )", one.runbook.text, re.MULTILINE) for one in thresholds), "steps, not a story"
    assert sum("`" in one.runbook.text for one in thresholds) > 0.8 * len(thresholds), "with the commands"
    await watch.quiet("3m")
    await watch.breaks("D07")
    page = await watch.paged("DatabaseDown", "P0", to=(*ON_CALL, STAKEHOLDERS), within="35s")
    *steps, last = page.alert.runbook.text.splitlines()
    page.says(steps[0], last)
    await watch.heals()
    await watch.resolved("DatabaseDown", within="35s")


async def test_no_secret_is_told(watch: Watch) -> None:
    await watch.start(BEFORE)
    await keeps_its_secrets(watch, "D04.token", "D10.key", "D07")
