"""Acknowledging and resolving in PagerDuty: signed events, against the real daemon."""

import json
from datetime import UTC, datetime, timedelta

from tests.system.presses import AUTH, NEW, OLD, event


async def test_acknowledging_in_pagerduty_acknowledges_here_and_taking_it_back_too(on_call):
    await on_call.fires()
    assert (await on_call.pagerduty("incident.acknowledged"))[0] == 202
    assert await on_call.acked_by() == ["pagerduty:Jane Doe"]
    assert (await on_call.pagerduty("incident.unacknowledged"))[0] == 202
    assert await on_call.acked_by() == [""]
    await on_call.press()
    await on_call.pagerduty("incident.unacknowledged")
    await on_call.pagerduty("incident.acknowledged")
    assert await on_call.acked_by() == ["slack:ann"]


async def test_what_we_said_there_ourselves_is_nobodys_doing(on_call):
    await on_call.fires()
    for kind in ("incident.acknowledged", "incident.resolved"):
        assert (await on_call.pagerduty(kind, agent="integration_reference"))[0] == 202
    assert await on_call.acked_by() == [""]


async def test_any_of_several_secrets_may_sign(on_call):
    await on_call.fires()
    for secrets, status in (((OLD,), 202), (("unknown", NEW), 202), (("unknown",), 401), ((), 401)):
        assert (await on_call.pagerduty("incident.annotated", secrets=secrets))[0] == status, secrets
    body = event("incident.acknowledged", on_call.key)
    unsigned = await on_call.post("/hooks/pagerduty", body, {"X-PagerDuty-Signature": "v1=," * 10_00 + "v2=x"})
    assert unsigned[0] == 401
    assert await on_call.acked_by() == [""]


async def test_an_event_that_comes_again_is_taken_once(on_call):
    await on_call.fires()
    assert (await on_call.pagerduty("incident.acknowledged", name="E1"))[0] == 202
    await on_call.pagerduty("incident.unacknowledged", name="E2")
    status, said = await on_call.pagerduty("incident.acknowledged", name="E1")
    assert (status, said) == (202, "taken before\n")
    assert await on_call.acked_by() == [""]


async def test_an_event_of_before_the_alert_began_is_not_about_it(on_call):
    await on_call.fires()
    status, said = await on_call.pagerduty("incident.acknowledged", ago=3_600)
    assert (status, "nothing fires" in said) == (202, True)
    assert await on_call.acked_by() == [""]


async def test_who_resolves_there_has_it_for_a_while_as_it_still_fires(on_call):
    await on_call.fires()
    await on_call.pagerduty("incident.acknowledged")
    await on_call.pagerduty("incident.resolved")
    [held] = await on_call.alerts()
    assert held["acked_by"] == "pagerduty:Jane Doe"
    left = datetime.fromisoformat(held["acked_until"]) - datetime.now(UTC)
    assert timedelta() < left <= timedelta(minutes=15)
    assert (await on_call.daemon.logged("resolved elsewhere"))["alerts"] == ["Down"]
    said = json.loads((await on_call.daemon.get("/api/v1/explain?alert=Down", headers=AUTH))[1])
    assert "resolved elsewhere" in [one["step"] for one in said[0]["decisions"]]


async def test_an_incident_of_several_alerts_is_found_by_their_keys(on_call):
    await on_call.fires()
    alerts = [{"alert_key": "other"}, {"alert_key": on_call.key}, 5]
    await on_call.pagerduty("incident.acknowledged", incident_key=None, alerts=alerts)
    assert await on_call.acked_by() == ["pagerduty:Jane Doe"]


async def test_whatever_is_signed_is_taken(on_call):
    await on_call.fires()
    for body in (
        b"", b"{", b"[]", b"\xff", b'{"event": 5}', b'{"event": {}}', b'{"event": {"id": 5}}',
        b'{"event": {"id": "a"}}',
        json.dumps({"event": {"id": "b", "event_type": [], "data": {"incident_key": on_call.key}}}).encode(),
        event("incident.acknowledged", "unknown"), event("incident.acknowledged", 5), event("pagey.ping", on_call.key),
        event("incident.reassigned", on_call.key), event("incident.acknowledged", "x" * 900_000),
    ):  # fmt: skip
        assert (await on_call.pagerduty("", body=body))[0] == 202, body[:60]
    assert await on_call.acked_by() == [""]
    odd = json.dumps({"event": {"id": "c", "event_type": "incident.acknowledged", "agent": None, "occurred_at": 5,
                                "data": {"incident_key": on_call.key}}}).encode()  # fmt: skip
    assert (await on_call.pagerduty("", body=odd))[0] == 202
    assert await on_call.acked_by() == ["pagerduty:somebody"]
