"""Alertmanager's API v2 as its clients use it, down to the calls of Grafana and Karma."""

import io
from datetime import UTC, datetime

import aiohttp

from monitor.demo.inbox import Inbox
from tests.daemon import Daemon, Target
from tests.system.api_v2 import (
    ALERT,
    GROUP,
    SERVER,
    SILENCE,
    Client,
    alert,
    configuration,
    conforms,
    heard,
    silence,
    time,
)


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


async def test_a_silence_that_can_not_be_is_refused_with_a_sentence(tmp_path):
    async with Inbox() as inbox, Daemon(tmp_path, configuration(inbox)) as daemon:
        for asked, sentence in (
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
        ):
            status, why = await Client(daemon).refused("/silences", "POST", json=asked)
            assert (status, sentence in why) == (400, True), (sentence, why)
