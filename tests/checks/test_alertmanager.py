"""The alertmanager kind against a real Alertmanager, and against servers that say what none would."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from pydantic import ValidationError

from checks.alertmanager import Alertmanager
from checks.base import Failed, Reason
from checks.parts.api import Answer
from checks.parts.vendors import alertmanager as answers
from tests.alertmanager import alertmanager
from tests.checks import web
from tests.checks.probing import asked, errs, evidence, fails, value, values
from tests.faults import FaultProxy

NOBODY = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
BEGAN = datetime.now(UTC).timestamp() - 3600


def check(url: str, **fields: Any) -> Alertmanager:
    return Alertmanager(name="am", url=url, **fields)


def alert(name: str, severity: str = "", ago: float = 0.0, **labels: str) -> dict[str, Any]:
    began = datetime.fromtimestamp(BEGAN + 3600 - ago, UTC).isoformat()
    given = {"alertname": name, **({"severity": severity} if severity else {}), **labels}
    return {"labels": given, "annotations": {"summary": f"{name} it is"}, "startsAt": began}


async def test_active_alerts_of_a_real_one_are_counted_by_label_and_shown(tmp_path: Path) -> None:
    async with alertmanager(tmp_path, NOBODY) as there:
        quiet = await asked(check(there.url))
        assert value(quiet, "alerts_active") == 0
        assert value(quiet, "cluster_ready") == 1
        assert not values(quiet, "oldest_alert_seconds")
        await there.post("/api/v2/alerts", [
            alert("Down", "critical", 7200, job="api"), alert("Slow", "warning", 60), alert("Full", "critical"),
            alert("Watchdog", "none"),
        ])  # fmt: skip
        run = await asked(check(there.url, watchdog="Watchdog"), at=BEGAN + 3600)
        assert value(run, "alerts_active") == 3
        assert value(run, "watchdog") == 1
        assert values(run, "alerts") == {
            (("exported_severity", "critical"),): 2,
            (("exported_severity", "warning"),): 1,
        }
        assert value(run, "oldest_alert_seconds") == pytest.approx(7200, abs=1)
        first, *_ = evidence(run, "Active alerts, the oldest first").splitlines()
        assert first == "Down (critical, 2h): Down it is"
        one = await asked(check(there.url, filters=['severity="critical"', "job=~a.*"], by=["alertname", "job"]))
        assert values(one, "alerts") == {(("exported_alertname", "Down"), ("exported_job", "api")): 1}
        await fails(check(there.url, watchdog="Deadman"), Reason.ASSERTION, "no active Deadman: alerts no longer reach")
        await fails(check(there.url, peers=2), Reason.ASSERTION, "sees 0 of 2 members of its cluster")
        await errs(check(there.url, filters=["severity"]), Reason.INTERNAL, "refuses the filters", "bad matcher format")
        await errs(check(there.url, receiver="("), Reason.INTERNAL, "refuses the filters or the receiver")
        await fails(check(f"{there.url}/prefix"), Reason.STATUS, "404")


async def test_silenced_alerts_count_only_where_they_are_asked_for(tmp_path: Path) -> None:
    async with alertmanager(tmp_path, NOBODY) as there:
        await there.post("/api/v2/alerts", [alert("Down", "critical")])
        matcher = {"name": "alertname", "value": "Down", "isRegex": False, "isEqual": True}
        span = {"startsAt": "2020-01-01T00:00:00Z", "endsAt": "2999-01-01T00:00:00Z"}
        await there.post("/api/v2/silences", {"matchers": [matcher], "createdBy": "me", "comment": "x", **span})
        assert value(await asked(check(there.url)), "alerts_active") == 0
        assert value(await asked(check(there.url, silenced=True)), "alerts_active") == 1
        assert value(await asked(check(there.url, watchdog="Down")), "watchdog") == 1


async def test_messages_that_a_real_one_could_not_send_are_counted(tmp_path: Path) -> None:
    refuse = f"http://127.0.0.1:{web.closed_port()}/"
    config = f"""
route: {{receiver: hook, group_wait: 0s, group_interval: 1s}}
receivers: [{{name: hook, webhook_configs: [{{url: "{refuse}"}}]}}]
"""
    async with alertmanager(tmp_path, config) as there:
        memory: dict[Any, Any] = {}
        first = await asked(check(there.url), memory)
        assert not values(first, "notifications_failed")
        await there.post("/api/v2/alerts", [alert("Down", "critical")])
        await there.logged("Notify for alerts failed|Notify attempt failed", 1)
        second = await asked(check(there.url), memory)
        assert value(second, "notifications_sent", integration="webhook") >= 0
        assert not values(await asked(check(there.url, notifications=False), memory), "notifications_failed")


METRICS = b"""# HELP alertmanager_notifications_total x
alertmanager_notifications_total{integration="email"} 10
alertmanager_notifications_total{integration="slack",receiver_name="a"} 4
alertmanager_notifications_total{integration="slack",receiver_name="b"} 5e+00
alertmanager_notifications_failed_total{integration="slack",reason="clientError"} 3
alertmanager_notifications_failed_total{integration="slack",reason="other"} 1
alertmanager_notifications_failed_total{integration="odd"} many
alertmanager_notifications_total{} 7
"""


def answer(body: bytes) -> Answer:
    return Answer(200, CIMultiDictProxy(CIMultiDict()), body, "Alertmanager")


def test_its_metrics_are_summed_by_integration() -> None:
    assert answers.sent(answer(METRICS), 5) == {"email": (10.0, 0.0), "slack": (9.0, 4.0)}
    assert answers.sent(answer(METRICS), 1) == {"email": (10.0, 0.0)}
    assert answers.sent(answer(b"\xff<html>"), 5) == {}


STATUS: Any = {"cluster": {"status": "ready", "peers": [{}, {}]}}


def serving(status: Any, alerts: Any, metrics: bytes = b"", servers: Any = None) -> web.Handle:
    replies = {
        b"/api/v2/status": web.reply(json.dumps(status).encode()),
        b"/api/v2/alerts": web.reply(json.dumps(alerts).encode()),
        b"/metrics": web.reply(metrics) if metrics else web.reply(b"", "404 Not Found"),
    }

    async def handle(reader: Any, writer: Any) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(replies[head.split(b" ")[1].partition(b"?")[0]])

    return handle


async def test_failed_messages_since_the_last_probe() -> None:
    memory: dict[Any, Any] = {}
    async with web.serving(serving(STATUS, [], METRICS)) as server:
        await asked(check(server.url()), memory)
    more = METRICS.replace(b'"other"} 1', b'"other"} 6')
    async with web.serving(serving(STATUS, [], more)) as server:
        run = await asked(check(server.url()), memory)
        assert values(run, "notifications_failed") == {(("integration", "email"),): 0, (("integration", "slack"),): 5}
        assert value(run, "cluster_peers") == 2
        await asked(check(server.url(), peers=2))
    async with web.serving(serving({"cluster": {"status": "settling"}}, [])) as server:
        run = await asked(check(server.url()))
        assert value(run, "cluster_ready") == 0


async def test_a_storm_is_counted_whole_and_its_rarest_labels_together() -> None:
    storm = [alert(f"A{number}") for number in range(2000)] + [alert("Often"), alert("Often", job="x")]
    async with web.serving(serving(STATUS, storm)) as server:
        run = await asked(check(server.url(), by=["alertname"], max_series=3))
        assert value(run, "alerts_active") == 2002
        assert value(run, "alerts", exported_alertname="Often") == 2
        assert value(run, "alerts", exported_alertname=answers.OTHERS) == 1998
        assert len(values(run, "alerts")) == 4


@pytest.mark.parametrize(
    ("status", "alerts"),
    [
        ([], []), ({}, []), ({"cluster": []}, []), ({"cluster": {"status": "fine"}}, []), (None, []),
        (STATUS, {}), (STATUS, ["x"]), (STATUS, [{}]), (STATUS, [{"labels": []}]), (STATUS, [{"labels": {}}]),
        (STATUS, [{"labels": {}, "startsAt": "soon"}]), (STATUS, [{"labels": {}, "startsAt": 5}]),
        (STATUS, "\x1b[2J"),
    ],
)  # fmt: skip
async def test_what_is_no_alertmanager_is_never_ok(status: Any, alerts: Any) -> None:
    async with web.serving(serving(status, alerts)) as server:
        result = await fails(check(server.url()), Reason.BODY, "Alertmanager at http://127.0.0.1")
        assert "\x1b" not in result.sentence


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("2026-01-01T00:00:00Z"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["labels", "annotations", "startsAt", "cluster", "status", "peers", "alertname", "summary"]),
        inner, max_size=4,
    ),
    max_leaves=10,
)  # fmt: skip


@given(JSON)
def test_no_json_makes_reading_raise_anything_but_failed(document: Any) -> None:
    body = answer(json.dumps(document, indent=1).encode())
    with suppress(Failed):
        answers.cluster(body)
    with suppress(Failed):
        assert answers.digest(body, ("alertname",), 3, 3, "x").count <= len(document)


@pytest.mark.parametrize("body", [b"", b"[", b"[]x", b"[1", b"[1 2]", b"[" * 99_999, b"[{}", b"{}", b"[,]", b"\xff"])
def test_what_is_no_list_is_refused(body: bytes) -> None:
    with pytest.raises(Failed):
        answers.digest(answer(body), (), 1, 1, "")


async def test_faults_and_credentials() -> None:
    await fails(check(f"http://127.0.0.1:{web.closed_port()}"), Reason.CONNECT_REFUSED, "cannot ask Alertmanager at")
    async with web.serving(web.hang) as server:
        await fails(check(server.url(), timeout="1s"), Reason.READ_TIMEOUT)
    async with web.serving(web.reply(b"gone", "410 Gone")) as server:
        await fails(check(server.url()), Reason.STATUS, "answered 410")
    async with web.serving(web.reply(b"", "503 Away")) as server:
        await fails(check(server.url()), Reason.STATUS, "answered 503")
    async with web.serving(web.reply(b"no", "401 No")) as server:
        await errs(check(server.url(), basic_auth={"username": "a", "password": "s3same"}), Reason.AUTH, "answered 401")
        assert b"Authorization: Basic" in server.requests[0]
    async with (
        web.serving(serving(STATUS, [alert("X" * 500)])) as server,
        FaultProxy("127.0.0.1", server.port) as proxy,
    ):
        proxy.cut_after = 300
        await fails(check(f"http://{proxy.address}"), Reason.PROTOCOL)
        proxy.cut_after = None
        await asked(check(f"http://{proxy.address}"))
        await proxy.refuse()
        await fails(check(f"http://{proxy.address}"), Reason.CONNECT_REFUSED)


async def test_one_that_goes_away_between_two_questions() -> None:
    async def handle(reader: Any, writer: Any) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/api/v2/status" in head:
            writer.write(web.reply(json.dumps(STATUS).encode()))

    async with web.serving(handle) as server:
        result = await fails(check(server.url()), Reason.PROTOCOL, "it closed the connection without an answer")
        assert value(result, "cluster_ready") == 1
        assert not values(result, "alerts_active")


def test_mistakes_are_told_when_the_configuration_is_read() -> None:
    with pytest.raises(ValidationError, match="names a label twice"):
        check("http://am:9093", by=["job", "exported_job"])
    with pytest.raises(ValidationError, match="pattern"):
        check("http://am:9093", by=["a-b"])
    with pytest.raises(ValidationError, match="is no http:// or https:// address"):
        check("am:9093")
