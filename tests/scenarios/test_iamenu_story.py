"""iaMenu's drills: Redis away and back, a storm that is one page, an hour's silence, test alerts, the monthly test."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from datetime import UTC, datetime

import aiohttp

from checks.base import Outcome
from tests.scenarios.commands import typed
from tests.scenarios.records import Proof, record
from tests.scenarios.secrecy import keeps_its_secrets
from tests.scenarios.told import Told
from tests.scenarios.watch import Watch

ON_CALL = ("pagerduty iamenu-on-call", "slack #iamenu-on-call")
MANAGER, CTO = "pagerduty iamenu-engineering-manager", "pagerduty iamenu-cto"
TEAM_LEAD, SPRINT = "slack #iamenu-team-lead", "slack #iamenu-sprint"
SERVICES = ("api", "search", "analytics", "notifications", "database", "orders")


def heard(told: list[Told]) -> set[str]:
    """Which alerts anybody was told of, as firing or as over."""
    return {name for one in told for name in {*one.firing, *one.resolved}}


def outcomes(watch: Watch, *names: str) -> dict[str, Outcome]:
    """How the last probe of each of these checks ended."""
    state = watch.app.state
    return {name: known.result.outcome for name in names if (known := state.get(f"iamenu/{name}"))}


# --- W03: the weekly Redis outage test ------------------------------------------------------------------------------


async def test_without_redis_the_services_answer_and_with_it_they_use_it_again(watch: Watch) -> None:
    await watch.quiet("5m")
    await watch.breaks("W02")
    page = await watch.paged("CacheDown", "CRITICAL", to=ON_CALL, within="35s")
    done = await typed(watch, "ack", "CacheDown", "--by", "ann")
    assert done.code == 0, done.err
    await watch.passes("6m")
    assert outcomes(watch, *SERVICES) == dict.fromkeys(SERVICES, Outcome.OK)
    assert outcomes(watch, "cache", "emails") == {"cache": Outcome.FAILED, "emails": Outcome.FAILED}
    assert heard(watch.since_fault()) == {"CacheDown"}, "what needs Redis is no news beside it"
    await watch.heals()
    await watch.resolved("CacheDown", within="35s")
    returned = len(watch.app.told)
    await watch.passes("10m")
    assert not watch.app.told[returned:], "back, and nobody has to do anything"
    assert await cache_of(watch) == "available"
    assert outcomes(watch, *SERVICES, "cache", "emails") == dict.fromkeys((*SERVICES, "cache", "emails"), Outcome.OK)
    shown = "Redis is stopped: the services answer; it is back: they use it again"
    record(Proof("iamenu", "W03", shown, "cache", "CacheDown", "CRITICAL", "failed", ON_CALL, "35s", page.seconds))


async def cache_of(watch: Watch) -> str:
    """What the API says of its cache."""

    async def ask() -> str:
        url = f"{watch.installation.environment['IAMENU_API_URL']}/health"
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            return str((await answer.json())["cache"])

    return await watch.threaded.call(ask())


async def test_a_service_that_falls_with_redis_is_told_as_its_own_fault(watch: Watch) -> None:
    await watch.quiet("5m")
    await watch.breaks("W03")
    page = await watch.paged("SearchDown", "HIGH", to=ON_CALL, within="35s", also=("CacheDown",))
    page.says("cannot reach the cache", "iamenu/search")
    await watch.paged("CacheDown", "CRITICAL", to=ON_CALL, within="35s", also=("SearchDown",))
    assert outcomes(watch, "api") == {"api": Outcome.OK}
    await watch.heals()
    await watch.resolved("SearchDown", "CacheDown", within="35s")


# --- W15: a storm ---------------------------------------------------------------------------------------------------

TABLES = 200
MEANT = {"DatabaseDown", "RunwatchSilenceEnds"}
"""That the silence is about to end is said to the sprint's channel, in business hours."""


def tables() -> str:
    """A check for each table's menu, none of which can be shown without the API."""
    lines = [
        f"  - {{name: table-{number}, kind: http, url: '${{IAMENU_API_URL}}/health?table={number}', interval: 40m,"
        " retries: 0, depends_on: [iamenu/api], severity: high}"
        for number in range(1, TABLES + 1)
    ]
    return "\n".join(["checks:", *lines])


async def test_hundreds_of_symptoms_are_one_page_and_an_hour_of_silence(watch: Watch) -> None:
    watch.root = tables()
    watch.only = lambda key: key.startswith("default/") or key in ("iamenu/api", "iamenu/database")
    await watch.quiet("1m")
    await watch.breaks("W09.down")
    page = await watch.paged("DatabaseDown", "CRITICAL", to=ON_CALL, within="35s")
    asked = watch.app.clock.now()
    done = await typed(
        watch, "silence", "add", 'system="iamenu"', "--for", "1h", "--by", "ann", "--comment", "the rack is being moved"
    )
    assert done.code == 0 and "the rack is being moved" in done.out, done.err
    silenced = watch.app.clock.now()
    await watch.passes("41m")
    firing = [alert for alert in watch.app.engine.judging.live() if alert.phase == "firing"]
    assert len(firing) == TABLES + 2
    assert sorted(one.to for one in watch.since_fault()) == sorted(ON_CALL), "one page, not hundreds"
    await watch.passes("18m")
    assert len(pages(watch)) == len(ON_CALL) and heard(watch.since_fault()) <= MEANT
    await watch.until(lambda: len(pages(watch)) == 2 * len(ON_CALL), silenced + 3605, "told when the silence is over")
    assert all(asked + 3600 <= one.at <= silenced + 3605 for one in pages(watch)[len(ON_CALL) :])
    again = watch.received("DatabaseDown")
    assert f"{TABLES + 1} of them failing" in again and "iamenu/api (failing)" in again
    await watch.heals()
    await watch.until(lambda: "DatabaseDown" in watch.app.told[-1].resolved, watch.app.clock.now() + 60, "resolved")
    await watch.passes("1m")
    assert heard(watch.since_fault()) <= MEANT
    shown = f"{TABLES + 1} symptoms of a dead database are one page; silenced for an hour by a command"
    proof = Proof(
        "iamenu", "W15", shown, "database", "DatabaseDown", "CRITICAL", "failed", ON_CALL, "35s", page.seconds
    )
    record(proof)


def pages(watch: Watch) -> list[Told]:
    """The messages to whoever is on call that say that the database is down."""
    return [one for one in watch.since_fault() if one.to in ON_CALL and "DatabaseDown" in one.firing]


async def test_a_storm_of_another_monitors_alerts_is_one_digest_with_the_gravest_first(watch: Watch) -> None:
    watch.only = lambda key: key == "iamenu/api"
    await watch.quiet("2m")
    slow = [f"Slow{number}" for number in range(60)]
    await asyncio.to_thread(send, watch, {**dict.fromkeys(slow, "high"), "SwitchDown": "critical"})
    await watch.passes("3m")
    told = [one for one in watch.app.told if one.to in ON_CALL]
    assert sorted((one.to, one.parcel.note.reason) for one in told) == sorted((who, "storm") for who in ON_CALL)
    said = [str(one.body) for one in watch.installation.inbox.messages[-len(told) :]]
    assert all("[critical, storm] 305 alerts, first SwitchDown" in text for text in said), said


def send(watch: Watch, names: dict[str, str]) -> None:
    """Alerts of these names and severities, each of five nodes, as Prometheus sends what goes on for a day."""
    ends = datetime.fromtimestamp(time.time() + 86_400, UTC).isoformat()
    body = [
        {
            "labels": {"alertname": name, "system": "iamenu", "severity": severity, "instance": f"node-{number}"},
            "annotations": {"summary": f"{name} on node-{number}"},
            "endsAt": ends,
        }
        for name, severity in names.items()
        for number in range(5)
    ]
    url = f"{watch.app.address.rstrip('/')}/api/v2/alerts"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


# --- W14 and W18: tests by hand -------------------------------------------------------------------------------------


async def test_a_test_alert_arrives_in_slack_and_nowhere_else(watch: Watch) -> None:
    watch.only = lambda key: key == "iamenu/api"
    await watch.quiet("1m")
    inbox = watch.installation.inbox
    before = max((one.number for one in inbox.messages), default=0)
    command = ("test-alert", "--receiver", "iamenu-on-call", "--channel", "slack", "--severity", "CRITICAL")
    done = await typed(watch, *command)
    assert done.code == 0, done.err
    arrived = [one for one in inbox.messages if one.number > before]
    assert {one.path for one in arrived} <= {"/api/chat.postMessage", "/api/chat.update"}
    first = arrived[0].body
    assert first["channel"] == "#iamenu-on-call" and "CRITICAL" in first["text"] and "TestAlert" in first["text"]
    assert [one.to for one in watch.app.told] == ["slack #iamenu-on-call"] * 2
    record(Proof("iamenu", "W14", "a test alert by hand, for the channel of Slack alone, arrives there",
                 alert="TestAlert", severity="CRITICAL", to=("slack #iamenu-on-call",)))  # fmt: skip


async def test_a_drill_reaches_everybody_by_one_command_and_by_the_calendar(watch: Watch) -> None:
    watch.root = "on_call: {drill: {cron: '0 * * * *', lasts: 5m}}"
    watch.only = lambda key: key == "iamenu/api"
    everybody = {*ON_CALL, MANAGER, CTO, TEAM_LEAD, SPRINT}
    await watch.start(f"{(time.time() - 1200) % 3600:.0f}s")  # at twenty past, far from the calendar's drill
    await watch.quiet("30s")
    done = await typed(watch, "drill", "--for", "2s")
    assert done.code == 0, done.err
    await watch.passes("30s")
    assert {one.to for one in watch.app.told if "RunwatchDrill" in one.firing} == everybody
    assert {one.to for one in watch.app.told if "RunwatchDrill" in one.resolved} == everybody
    by_hand = len(watch.app.told)
    await watch.passes("66m")
    assert {one.to for one in watch.app.told[by_hand:] if "RunwatchDrill" in one.resolved} == everybody
    assert heard(watch.app.told) == {"RunwatchDrill"}
    record(Proof("iamenu", "W18", "`runwatch drill`, or the calendar, reaches every receiver and measures how soon",
                 alert="RunwatchDrill", to=tuple(sorted(everybody))))  # fmt: skip


# --- and nothing secret ---------------------------------------------------------------------------------------------


async def test_no_secret_is_told(watch: Watch) -> None:
    await keeps_its_secrets(watch, "W08", "W09.down", "W02")
