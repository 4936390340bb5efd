"""Alertmanager's API v2 as its clients use it: amtool, a real Prometheus, the calls of Grafana and Karma."""

import asyncio
import io
import json
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from monitor.demo.inbox import Inbox
from monitor.demo.parts.site import Site
from tests import alertmanager
from tests.daemon import DEADLINE, Daemon, Target
from tests.prometheus import prometheus

TEXT, FLAG, MAP = str, bool, {"*": str}
STATUS = {"state": ("unprocessed", "active", "suppressed"), "silencedBy": [str], "inhibitedBy": [str], "mutedBy": [str]}
ALERT = {
    "labels": MAP,
    "annotations": MAP,
    "receivers": [{"name": str}],
    "fingerprint": str,
    "startsAt": datetime,
    "updatedAt": datetime,
    "endsAt": datetime,
    "status": STATUS,
    "generatorURL": str,
}
GROUP = {"labels": MAP, "routeLabels": MAP, "receiver": {"name": str}, "alerts": [ALERT]}
SILENCE = {
    "id": str,
    "status": {"state": ("expired", "active", "pending")},
    "updatedAt": datetime,
    "startsAt": datetime,
    "endsAt": datetime,
    "createdBy": str,
    "comment": str,
    "annotations": MAP,
    "matchers": [{"name": str, "value": str, "isRegex": bool, "isEqual": bool}],
}
VERSION = dict.fromkeys(("version", "revision", "branch", "buildUser", "buildDate", "goVersion"), str)
SERVER = {
    "cluster": {"status": ("ready", "settling", "disabled"), "name": str, "peers": [{"name": str, "address": str}]},
    "versionInfo": VERSION,
    "config": {"original": str},
    "uptime": datetime,
}
"""The required fields of Alertmanager's OpenAPI document, version 0.0.1, and those optional ones that we answer."""


def conforms(value, shape, where="$"):
    """Fails where an answer is not as the contract wants it."""
    if isinstance(shape, tuple):
        assert value in shape, (where, value)
    elif shape is datetime:
        assert datetime.fromisoformat(value).tzinfo is not None, where
    elif isinstance(shape, type):
        assert type(value) is shape, (where, value)
    elif isinstance(shape, list):
        assert isinstance(value, list), (where, value)
        for number, item in enumerate(value):
            conforms(item, shape[0], f"{where}[{number}]")
    elif "*" in shape:
        assert all(isinstance(one, str) for pair in value.items() for one in pair), (where, value)
    else:
        assert value.keys() == shape.keys(), (where, value.keys() ^ shape.keys())
        for name, one in shape.items():
            conforms(value[name], one, f"{where}.{name}")
    return value


def configuration(inbox, target=None, more=""):
    check = (
        f"\n  - {{name: target, kind: tcp, address: '127.0.0.1:{target.port}', severity: critical}}"
        if target
        else " []"
    )
    return f"""
defaults: {{interval: 300ms, timeout: 1s, retries: 0}}
route:
  receiver: team
  group_by: [alertname]
  group_interval: 1s
  routes:
    - {{matchers: [team="db"], receiver: db}}
    - {{matchers: [team="night"], receiver: night, mute_time_intervals: [always]}}
time_intervals:
  - {{name: always, time_intervals: [{{months: ["1:12"]}}]}}
inhibit_rules:
  - {{source_matchers: [alertname="Down"], target_matchers: [alertname="Slow"], equal: [cluster]}}
receivers:
  - {{name: team, webhook_configs: [{{url: "{inbox.url}/hook/team"}}]}}
  - {{name: db, webhook_configs: [{{url: "{inbox.url}/hook/db"}}]}}
  - {{name: night, webhook_configs: [{{url: "{inbox.url}/hook/night"}}]}}
{more}
checks:{check}
"""


class Client:
    """The API of a daemon."""

    def __init__(self, daemon):
        self._daemon = daemon

    async def get(self, path, **parameters):
        status, text = await self._daemon.get(f"/api/v2{path}", params=parameters or None)
        assert status == 200, text
        return json.loads(text)

    async def refused(self, path, method="GET", **options):
        status, text = await self._daemon.get(f"/api/v2{path}", method, **options)
        assert status != 200, text
        return status, json.loads(text)

    async def post(self, path, content):
        body = io.BytesIO(json.dumps(content).encode())
        status, text = await self._daemon.get(f"/api/v2{path}", "POST", data=body)
        assert status == 200, text
        return json.loads(text) if text else None

    async def names(self, **parameters):
        return sorted(one["labels"]["alertname"] for one in await self.get("/alerts", **parameters))


def alert(name, **labels):
    return {"labels": {"alertname": name} | labels}


def time(**ahead):
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat()


def silence(*matchers, **fields):
    named = [dict(zip(("name", "value", "isRegex"), one, strict=False)) for one in matchers]
    given = {"startsAt": time(), "endsAt": time(hours=1), "createdBy": "jane", "comment": "I know"}
    return {"matchers": named} | given | fields


async def heard(inbox, path, status="firing", after=0, within=DEADLINE):
    async with asyncio.timeout(within):
        return await inbox.until(lambda one: one.path == path and one.body["status"] == status, after)


async def test_what_fires_is_shown_as_the_contract_says(tmp_path):
    async with Inbox() as inbox, Target() as target, Daemon(tmp_path, configuration(inbox, target)) as daemon:
        client = Client(daemon)
        await target.down()
        await heard(inbox, "/hook/team")
        await client.post("/alerts", [
            alert("Down", cluster="a") | {"annotations": {"summary": "it is down"}, "generatorURL": "http://p/graph"},
            alert("Slow", cluster="a", **{"übel.name": "grün"}), alert("Lag", team="db"), alert("Late", team="night"),
        ])  # fmt: skip
        shown = {one["labels"]["alertname"]: one for one in conforms(await client.get("/alerts"), [ALERT])}
        own = shown.pop("TargetFailed")
        assert own["labels"]["severity"] == "critical"
        assert "refused" in own["annotations"]["summary"]
        assert [one["status"]["state"] for one in shown.values()] == ["active", "suppressed", "active", "suppressed"]
        assert shown["Slow"]["status"]["inhibitedBy"] == [shown["Down"]["fingerprint"]]
        assert shown["Late"]["status"]["mutedBy"] == ["always"]
        assert shown["Down"]["annotations"] == {"summary": "it is down"}
        assert shown["Down"]["generatorURL"] == "http://p/graph"
        assert shown["Lag"]["receivers"] == [{"name": "db"}]
        assert datetime.fromisoformat(own["endsAt"]) > datetime.now(UTC)

        assert await client.names(active="false") == ["Late", "Slow"]
        assert await client.names(inhibited="false") == ["Down", "Lag", "Late", "TargetFailed"]
        assert await client.names(receiver="d.") == ["Lag"]
        assert await client.names(receiver="d") == []
        assert await client.names(receiver_matchers='owner="me"') == []
        assert await client.names(filter='{"übel.name"="grün"}') == ["Slow"]
        async with aiohttp.ClientSession() as http:
            both = [("filter", 'cluster="a"'), ("filter", 'alertname!="Slow"')]
            async with http.get(f"{daemon.url}/api/v2/alerts", params=both) as answer:
                assert [one["labels"]["alertname"] for one in await answer.json()] == ["Down"]

        groups = conforms(await client.get("/alerts/groups"), [GROUP])
        assert [(one["labels"]["alertname"], one["receiver"]["name"]) for one in groups] == [
            ("Down", "team"), ("Lag", "db"), ("Late", "night"), ("Slow", "team"), ("TargetFailed", "team"),
        ]  # fmt: skip
        assert len(await client.get("/alerts/groups", muted="false")) == 4
        assert [one["name"] for one in await client.get("/receivers")] == ["team", "db", "night"]
        conforms(await client.get("/status"), SERVER)


async def test_what_maintenance_and_dependencies_keep_quiet_says_so(tmp_path):
    async with Inbox() as inbox, Target() as target:
        text = (
            configuration(inbox, target)
            + f"""
  - name: shop
    kind: tcp
    address: "127.0.0.1:{target.port}"
    depends_on: [target]
maintenance:
  - {{name: move, matchers: [alertname=Lag], start: 2020-01-01T00:00:00, end: 2999-01-01T00:00:00, comment: racks}}
"""
        )
        async with Daemon(tmp_path, text) as daemon:
            client = Client(daemon)
            await target.down()
            await heard(inbox, "/hook/team")
            await client.post("/alerts", [alert("Lag", team="db")])
            await daemon.logged("alert fires", lambda line: line["check"] == "default/shop")
            shown = {one["labels"]["alertname"]: one["status"] for one in await client.get("/alerts", active="false")}
            assert shown.keys() == {"Lag", "ShopFailed"}
            assert [one["state"] for one in shown.values()] == ["suppressed", "suppressed"]
            assert shown["Lag"]["mutedBy"][0].startswith("maintenance move until 2999-01-01")
            assert shown["ShopFailed"]["mutedBy"][0].startswith("dependency: ")


async def test_what_is_wrong_is_refused_with_a_text_and_what_is_right_beside_it_is_taken(tmp_path):
    async with Inbox() as inbox, Daemon(tmp_path, configuration(inbox)) as daemon:
        client = Client(daemon)
        mixed = [alert("Good"), {"labels": {}}, alert("Bad", x="y" * 5_000), "text"]
        status, why = await client.refused("/alerts", "POST", json=mixed)
        assert (status, why.count("alert ")) == (400, 3)
        assert await client.names() == ["Good"]
        assert await daemon.metric('runwatch_received_alerts_total{status="refused"}') == 3
        assert await daemon.metric('runwatch_received_alerts_total{status="firing"}') == 1
        for content in (b"", b"{}", b"[", b"[1 2]", b'[{"labels":', b"\xff", b"[" * 100_000):
            status, why = await client.refused("/alerts", "POST", data=content)
            assert (status, "list of alerts is wanted" in why) == (400, True), content[:20]
        surrogate = b'[{"labels": {"alertname": "Odd", "a": "\\ud800\\u0000"}}]'
        assert (await daemon.get("/api/v2/alerts", "POST", data=surrogate))[0] == 200
        assert await client.names() == ["Good", "Odd"]
        for path, sentence in (
            ("/alerts?filter=a", "bad matcher format"),
            ("/alerts?filter=a=~%22(%22", "is not a regular expression"),
            ("/alerts?receiver=(", "failed to parse receiver param"),
            ("/silences?filter==", "bad matcher format"),
            ("/alerts?" + "&".join(["filter=a=b"] * 101), "101 are too many"),
        ):
            status, why = await client.refused(path)
            assert (status, sentence in why) == (400, True), why


async def test_an_own_alert_can_be_neither_changed_nor_ended_by_a_sender(tmp_path):
    async with Inbox() as inbox, Target() as target, Daemon(tmp_path, configuration(inbox, target)) as daemon:
        client = Client(daemon)
        await target.down()
        await heard(inbox, "/hook/team")
        [own] = await client.get("/alerts")
        forged = {"labels": own["labels"], "annotations": {"summary": "all is well"}, "endsAt": time(seconds=-1)}
        status, why = await client.refused("/alerts", "POST", json=[forged | {"startsAt": time(hours=-1)}])
        assert (status, "runwatch's own" in why) == (400, True)
        [still] = await client.get("/alerts")
        assert still["annotations"] == own["annotations"]


async def test_ten_thousand_alerts_in_a_body_of_megabytes_are_taken_and_repeated_cheaply(tmp_path):
    many = [
        alert("Flood", instance=f"host-{number}") | {"annotations": {"summary": "x" * 200}} for number in range(10_000)
    ]
    async with Inbox() as inbox, Daemon(tmp_path, configuration(inbox)) as daemon:
        client = Client(daemon)
        await client.post("/alerts", many)
        await client.post("/alerts", many)
        assert await daemon.metric('runwatch_received_alerts_total{status="firing"}') == 20_000
        first = await heard(inbox, "/hook/team")
        assert first.body["truncatedAlerts"] + len(first.body["alerts"]) == 10_000
        assert len(await client.get("/alerts")) == 10_000
        assert next(line for line in daemon.log if line["event"] == "alert fires")["alert"] == "Flood"


async def test_a_body_without_end_is_refused(tmp_path):
    async def endless():
        for _ in range(40):
            yield b"[" + b" " * 2**20

    async with Inbox() as inbox, Daemon(tmp_path, configuration(inbox)) as daemon:
        status, why = await Client(daemon).refused("/alerts", "POST", data=endless())
        assert (status, "too large" in why) == (413, True)
        status, why = await Client(daemon).refused("/silences", "POST", data=io.BytesIO(b" " * 2_000_000))
        assert (status, "too large" in why) == (413, True)


async def test_an_accepted_alert_survives_a_kill(tmp_path):
    async with Inbox() as inbox:
        async with Daemon(tmp_path, configuration(inbox)) as daemon:
            await Client(daemon).post("/alerts", [alert("Down", number=str(number)) for number in range(500)])
            await daemon.kill()
        async with Daemon(tmp_path, configuration(inbox)) as daemon:
            assert len(await Client(daemon).get("/alerts")) == 500


async def test_silences_by_the_calls_of_grafana_and_karma(tmp_path):
    async with Inbox() as inbox, Daemon(tmp_path, configuration(inbox)) as daemon:
        client = Client(daemon)
        # Grafana leaves isEqual out, as older Alertmanagers did not know it; Karma sends an empty id.
        made = await client.post("/silences", silence(("alertname", "Down", False)))
        other = await client.post("/silences", silence(("alertname", "Lat.*", True), id="", startsAt=time(minutes=5)))
        await client.post("/alerts", [alert("Down"), alert("Late")])
        [held] = await client.get("/alerts", active="false")
        assert held["status"]["silencedBy"] == [made["silenceID"]]
        assert await client.names(silenced="false") == ["Late"]
        [first, second] = conforms(await client.get("/silences"), [SILENCE])
        assert [one["status"]["state"] for one in (first, second)] == ["active", "pending"]
        assert [one["id"] for one in await client.get("/silences", filter='alertname="Down"')] == [first["id"]]
        assert [one["id"] for one in await client.get("/silences", active="false")] == [other["silenceID"]]
        conforms(await client.get(f"/silence/{first['id']}"), SILENCE)

        # What a client read it may send back: the same id goes on.
        longer = first | {"endsAt": time(hours=3), "comment": "longer"}
        assert (await client.post("/silences", longer))["silenceID"] == first["id"]
        assert (await client.get(f"/silence/{first['id']}"))["comment"] == "longer"
        # Other matchers make another silence and end the old one.
        moved = await client.post("/silences", longer | {"matchers": silence(("alertname", "Late", False))["matchers"]})
        assert moved["silenceID"] != first["id"]
        assert await client.names(silenced="false") == ["Down"]
        assert (await client.get(f"/silence/{first['id']}"))["status"]["state"] == "expired"

        for _ in range(2):
            assert (await daemon.get(f"/api/v2/silence/{moved['silenceID']}", "DELETE"))[0] == 200
        assert await client.names(silenced="false") == ["Down", "Late"]
        unknown = "00000000-0000-0000-0000-000000000000"
        for method, path, options in (
            ("GET", f"/silence/{unknown}", {}),
            ("DELETE", f"/silence/{unknown}", {}),
            ("POST", "/silences", {"json": silence(("a", "b", False), id=unknown)}),
        ):
            status, why = await client.refused(path, method, **options)
            assert (status, "not found" in why) == (404, True)

        assert await client.names(filter='alertname=~"D.*"') == ["Down"]
        for path in ("/status", "/alerts/groups", "/silences"):
            await client.get(path)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (silence(("a", "b", False), endsAt=""), "needs an end"),
        (silence(("a", "b", False), endsAt="0001-01-01T00:00:00Z"), "needs an end"),
        (silence(("a", "b", False), startsAt=time(hours=-2), endsAt=time(hours=-1)), "in the past"),
        (silence(("a", "b", False), startsAt=time(hours=2)), "must end after it starts"),
        (silence(("a", "b", False), endsAt="soon"), "is not a time"),
        (silence(("a", "b", False), endsAt=5), "is not a time"),
        (silence(("a", "b", False), endsAt="2999-01-01T00:00:00"), "names no time zone"),
        (silence(("a", "b", False), comment=""), "an author and a comment"),
        (silence(("a", "b", False), createdBy=None), "createdBy: a text"),
        (silence(("a", ".*", True)), "would silence everything"),
        (silence(("a", "(", True)), "is not a regular expression"),
        (silence(("a", "(?=b)", True)), "look-ahead"),
        (silence(("", "b", False)), "a name and a value"),
        (silence(("a", 5, False)), "a name and a value"),
        (silence(("a", "b", "yes")), "true or false"),
        (silence(), "needs a matcher"),
        (silence(*[("a", str(number), False) for number in range(10_000)]), "this one has 10000"),
        (silence() | {"matchers": [5]}, "objects are wanted"),
        (silence() | {"matchers": {}}, "a list of objects"),
        ([], "a silence is wanted"),
    ],
)  # fmt: skip
async def test_a_silence_that_can_not_be_is_refused_with_a_sentence(daemon, asked, sentence):
    status, why = await Client(daemon).refused("/silences", "POST", json=asked)
    assert (status, sentence in why) == (400, True), why


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
POSTED = (
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
        await real.logged("Received alert", len(alerts))
        for query in ASKED:
            assert await groups(http, daemon.url, query) == await groups(http, real.url, query), query
        for path, content in POSTED:
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
