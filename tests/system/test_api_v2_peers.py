"""Alertmanager's API v2 beside its peers: its own amtool, a real Alertmanager, a real Prometheus."""

import asyncio
import json

import aiohttp
import pytest

from monitor.demo.inbox import Inbox
from monitor.demo.parts.site import Site
from tests import alertmanager
from tests.daemon import DEADLINE, Daemon
from tests.prometheus import prometheus
from tests.system.api_v2 import Client, alert, configuration, heard, silence, time


@pytest.fixture
async def daemon(tmp_path):
    async with Inbox() as inbox, Daemon(tmp_path, configuration(inbox)) as running:
        yield running


async def amtool(daemon, *arguments):
    code, said, complaints = await alertmanager.amtool(f"--alertmanager.url={daemon.url}", *arguments)
    assert code == 0, complaints
    return said


async def test_amtool_asks_adds_silences_and_expires(daemon):
    await amtool(daemon, "alert", "add", "alertname=Down", "cluster=a", "--annotation=summary=gone")
    await amtool(daemon, "alert", "add", "Slow", "cluster=b")
    assert "gone" in await amtool(daemon, "alert", "query")
    said = json.loads(await amtool(daemon, "alert", "query", "cluster=~a|c", "-o", "json"))
    assert [one["labels"]["alertname"] for one in said] == ["Down"]
    name = (await amtool(daemon, "silence", "add", "alertname=Down", "cluster!=b", "-c", "known", "-a", "jane")).strip()
    assert "Down" not in await amtool(daemon, "alert", "query")
    assert "Down" in await amtool(daemon, "alert", "query", "--silenced")
    assert name in await amtool(daemon, "silence", "query", "alertname=Down")
    assert (await amtool(daemon, "silence", "update", "-d", "3h", "-c", "longer", name)).count("longer") == 1
    await amtool(daemon, "silence", "expire", name)
    assert name not in await amtool(daemon, "silence", "query")
    assert name in await amtool(daemon, "silence", "query", "--expired")
    assert "Down" in await amtool(daemon, "alert", "query")


async def test_amtool_reads_status_and_routes(daemon):
    assert "disabled" in await amtool(daemon, "cluster", "show")
    assert "receiver" in await amtool(daemon, "config", "show")
    assert (await amtool(daemon, "config", "routes", "test", "team=db")).strip() == "db"
    assert '{team="night"}  receiver: night' in await amtool(daemon, "config", "routes", "show")


async def test_amtool_is_told_what_is_wrong(daemon):
    url = f"--alertmanager.url={daemon.url}"
    code, _, complaints = await alertmanager.amtool(url, "silence", "expire", "00000000-0000-0000-0000-000000000000")
    assert (code, "404" in complaints) == (1, True)
    code, _, complaints = await alertmanager.amtool(url, "silence", "add", "a=~.*", "-c", "x", "-a", "y")
    assert (code, "silence everything" in complaints) == (1, True)


ASKED = (
    "", "?filter=alertname%3D%22Gone%22", "?filter=cluster%3Da&filter=alertname!%3DSlow",
    "?filter=missing%3D%22%22", "?filter=cluster!~%22a|b%22", "?receiver=db", "?receiver=d", "?receiver=.*",
    "?silenced=false", "?silenced=false&active=false", "?silenced=no", "?silenced=TRUE", "?active=", "?active=false",
    "?filter=%22", "?filter=x", "?filter=a%3D~%22(%22", "?receiver=(",
    "?filter=cluster%3D~%22a|b%22", "?inhibited=false", "?unprocessed=false",
)  # fmt: skip
SILENCES_ASKED = (
    "", "?filter=cluster%3D%22b%22", "?filter=cluster%3D~%22.%22", "?filter=alertname%3D%22Late%22",
    "?filter=cluster!%3D%22b%22", "?filter=missing%3D%22x%22", "?filter=x",
)  # fmt: skip


def posted():
    return (
        ("/silences", silence(("a", "b", False), endsAt=time(hours=-1))),
        ("/silences", silence(("a", "b", False), startsAt=time(hours=2))),
        ("/silences", silence(("a", "", False))),
        ("/silences", silence(("a", "(", True))),
        ("/silences", silence(("a", "b", False), id="00000000-0000-0000-0000-000000000000")),
        ("/alerts", [{"labels": {}}]),
        ("/alerts", [{"labels": {"a": ""}}]),
        ("/alerts", [alert("Gone", cluster="c") | {"startsAt": time(hours=1), "endsAt": time(hours=-1)}]),
        ("/alerts", []),
    )


async def test_a_real_alertmanager_answers_the_same(tmp_path):
    (tmp_path / "theirs").mkdir()
    below = [{"matchers": ["team=db"], "receiver": "db"}]
    route = {"receiver": "team", "group_by": ["alertname"], "routes": below}
    theirs = json.dumps({"route": route, "receivers": [{"name": "team"}, {"name": "db"}]})
    alerts = [
        alert("Gone", cluster="a"),
        alert("Slow", cluster="a"),
        alert("Slow", cluster="b"),
        alert("Lag", team="db"),
    ]
    made = [silence(("cluster", "b", False)), silence(("alertname", "Late|Lag", True), ("cluster", "x", False))]

    async def names(http, url, path):
        async with http.get(f"{url}/api/v2{path}") as answer:
            if answer.status != 200:
                return answer.status
            return sorted(
                (
                    json.dumps(one.get("labels") or one["matchers"], sort_keys=True),
                    one["status"]["state"],
                    str(one.get("receivers")),
                )
                for one in await answer.json()
            )

    async def groups(http, url, query):
        async with http.get(f"{url}/api/v2/alerts/groups{query}") as answer:
            if answer.status != 200:
                return answer.status
            return [
                (
                    one["labels"],
                    one["receiver"],
                    sorted((each["fingerprint"], each["status"]["state"]) for each in one["alerts"]),
                )
                for one in await answer.json()
            ]

    async def refused(http, url, path, content):
        async with http.post(f"{url}/api/v2{path}", json=content) as answer:
            return answer.status, isinstance(json.loads(await answer.text() or "null"), str)

    async with (
        Inbox() as inbox,
        Daemon(tmp_path, configuration(inbox)) as daemon,
        alertmanager.alertmanager(tmp_path / "theirs", theirs) as real,
        aiohttp.ClientSession() as http,
    ):
        for url in (daemon.url, real.url):
            for path, content in (("/silences", made[0]), ("/silences", made[1]), ("/alerts", alerts)):
                async with http.post(f"{url}/api/v2{path}", json=content) as answer:
                    assert answer.status == 200
        for path in [f"/alerts{query}" for query in ASKED] + [f"/silences{query}" for query in SILENCES_ASKED]:
            assert await names(http, daemon.url, path) == await names(http, real.url, path), path
        async with asyncio.timeout(DEADLINE):  # it shows an alert before it is in its group
            while sum(len(members) for *_, members in await groups(http, real.url, "")) < len(alerts):
                await asyncio.sleep(0.05)
        for query in ASKED:
            assert await groups(http, daemon.url, query) == await groups(http, real.url, query), query
        for path, content in posted():
            ours, truth = [await refused(http, url, path, content) for url in (daemon.url, real.url)]
            assert ours == truth, (path, content)


RULE = {
    "alert": "Broken",
    "expr": "broken == 1",
    "labels": {"severity": "page"},
    "annotations": {"summary": "the value is {{ $value }}"},
}


async def test_a_real_prometheus_fires_and_resolves_through_us(tmp_path):
    async with Site() as shop, Inbox() as inbox, Daemon(tmp_path, configuration(inbox)) as daemon:
        shop.answers("/metrics", "broken 1\n", content_type="text/plain")
        fields = {"jobs": {"shop": [shop.url]}, "rules": [RULE], "alertmanagers": [daemon.url]}
        async with prometheus(tmp_path / "prometheus", **fields, external_labels={"replica": "p1"}):
            # It looks for Alertmanagers and targets five seconds after its start.
            page = await heard(inbox, "/hook/team", within=25)
            [told] = page.body["alerts"]
            assert told["labels"].items() >= {"alertname": "Broken", "replica": "p1", "severity": "page"}.items()
            assert told["annotations"]["summary"] == "the value is 1"
            [shown] = await Client(daemon).get("/alerts")
            assert "g0.expr=broken" in shown["generatorURL"]
            shop.answers("/metrics", "broken 0\n", content_type="text/plain")
            await heard(inbox, "/hook/team", "resolved", page.number)
        assert await Client(daemon).get("/alerts") == []
