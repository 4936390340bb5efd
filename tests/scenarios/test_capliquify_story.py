"""CapLiquify's night: the database goes down with all that needs it, and who hears of it minute by minute."""

from __future__ import annotations

import asyncio

from tests.scenarios.commands import typed
from tests.scenarios.records import Proof, record
from tests.scenarios.secrecy import keeps_its_secrets
from tests.scenarios.told import Told
from tests.scenarios.watch import Watch

ON_CALL = ("pagerduty capliquify-on-call", "slack #capliquify-incidents")
CONCERNED = {"backend", "database", "frontend", "logs", "production", "scheduled-jobs"}
TEAM_LEAD, MANAGER, CTO = (f"pagerduty capliquify-{name}" for name in ("team-lead", "manager", "cto"))


async def users_come(watch: Watch) -> None:
    """Forty users ask the backend, and get what it has."""
    ask = watch.installation.ask  # type: ignore[attr-defined]

    async def come() -> None:
        await asyncio.gather(*(ask("/api/stock", headers={"Authorization": "Bearer x"}) for _ in range(40)))

    await watch.threaded.call(come())


async def database_dies(watch: Watch) -> None:
    """The database is down at night while people work, and one page says so, with what is affected."""
    watch.only = lambda key: key.partition("/")[2] in CONCERNED
    await watch.quiet("10m")
    await watch.breaks("C03")
    await users_come(watch)
    page = await watch.paged("DatabaseDown", "P1", to=ON_CALL, within="65s")
    page.says("connection refused", "capliquify/production", "capliquify/logs")


def minutes(told: list[Told], who: str) -> list[tuple[int, str]]:
    """When somebody was told, in whole minutes after the first page, and why."""
    first = told[0].at
    return [(round((one.at - first) / 60), one.parcel.note.reason) for one in told if one.to == who]


def everybody_heard(watch: Watch, *of: str) -> None:
    """Nothing else was told to anybody than these alerts."""
    assert {name for told in watch.since_fault() for name in {*told.firing, *told.resolved}} == set(of)


async def test_nobody_acknowledges(watch: Watch) -> None:
    await database_dies(watch)
    await watch.passes("61m")
    await users_come(watch)
    told = watch.since_fault()
    assert {one.to for one in told} == {*ON_CALL, TEAM_LEAD, MANAGER, CTO}
    assert minutes(told, TEAM_LEAD) == [(15, "escalated")]
    assert minutes(told, MANAGER) == [(30, "escalated")]
    assert minutes(told, CTO) == [(60, "escalated")]
    assert all(minutes(told, who) == [(0, "first")] for who in ON_CALL)
    await watch.heals()
    await watch.resolved("DatabaseDown", within="65s")
    # The log is still full of the outage: nobody wants to know.
    await watch.passes("6m")
    for who in (*ON_CALL, TEAM_LEAD, MANAGER, CTO):
        assert minutes(watch.since_fault(), who)[-1][1] == "resolved"
    everybody_heard(watch, "DatabaseDown")
    record(
        Proof(
            "capliquify", "C13", "Nobody acknowledges: team lead, manager and CTO hear of it at 15, 30 and 60 minutes",
            alert="DatabaseDown", severity="P1", limit="nobody has it", to=(*ON_CALL, TEAM_LEAD, MANAGER, CTO),
            within="60m", seconds=told[-1].at - told[0].at,
        )
    )  # fmt: skip


async def test_somebody_acknowledges_after_twenty_minutes(watch: Watch) -> None:
    await database_dies(watch)
    await watch.passes("20m")
    done = await typed(watch, "ack", "DatabaseDown", "--by", "ann")
    assert (done.code, done.out) == (0, "DatabaseDown on capliquify/database: ann has it\n"), done.err
    await watch.passes("41m")
    told = watch.since_fault()
    assert minutes(told, TEAM_LEAD) == [(15, "escalated"), (20, "acknowledged")]
    assert all(minutes(told, who) == [(0, "first"), (20, "acknowledged")] for who in ON_CALL)
    assert not minutes(told, MANAGER) + minutes(told, CTO)
    await watch.heals()
    await watch.resolved("DatabaseDown", within="65s")
    await watch.passes("6m")
    for who in (*ON_CALL, TEAM_LEAD):
        assert minutes(watch.since_fault(), who)[-1][1] == "resolved"
    everybody_heard(watch, "DatabaseDown")
    assert not minutes(watch.since_fault(), MANAGER) + minutes(watch.since_fault(), CTO)


async def test_no_secret_is_told(watch: Watch) -> None:
    await keeps_its_secrets(watch, "C03", "C05.logins", "C07")
