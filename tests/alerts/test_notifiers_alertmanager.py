"""Alerts handed on to a real Alertmanager: they fire there, end there, and are what they were."""

from __future__ import annotations

import time
from pathlib import Path

import orjson
import pytest
from aiohttp import ClientSession
from pydantic import ValidationError

from alerts.notifiers.alertmanager import AT_ONCE, LIVES, Alertmanager, batched
from alerts.notifiers.base import NotDelivered
from alerts.templates import AS_KEPT
from alerts.vocabulary import Notification, Phase, fingerprint
from checks.base import revealed
from monitor.demo.inbox import Fault, Inbox
from tests.alertmanager import alertmanager
from tests.alerts.notes import NOON, alert, note, resolved

CONFIGURATION = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


@pytest.fixture
async def http():
    async with ClientSession() as http:
        yield http


def now_firing(*labels: dict[str, str], **fields: object) -> Notification:
    at = time.time()
    alerts = [
        alert(labels=one, fingerprint=fingerprint(one), since=at - 60, fired_at=at - 60, **fields) for one in labels
    ]
    return note(*alerts, at=at)


async def test_alerts_fire_and_end_in_a_real_alertmanager(http, tmp_path: Path):
    labels = {"alertname": "DatabaseDown", "severity": "critical", "system": "shop"}
    nasty = {"alertname": "Näme <&\u202e\x00>", "empty": "", "long": "x" * 100_000}
    nameless: dict[str, str] = {}
    told = now_firing(labels, nasty, nameless, annotations={"summary": "it is down", "huge": "y" * 1_000_000})
    async with alertmanager(tmp_path, CONFIGURATION) as real:
        sent = Alertmanager(url=real.url)
        await sent.send(told, http, {})
        await sent.send(told, http, {})
        there = {one["labels"]["alertname"]: one for one in await real.get("/api/v2/alerts")}
        assert len(there) == 2
        down = there["DatabaseDown"]
        assert down["labels"] == labels
        assert down["annotations"]["summary"] == "it is down"
        assert down["annotations"]["huge"].endswith("(cut)")
        assert down["generatorURL"] == f"https://watch.example.com/#{fingerprint(labels)}"
        assert down["fingerprint"] == fingerprint(labels)
        for one in told.alerts:
            one.phase, one.resolved_at = Phase.INACTIVE, told.at
        told.status = "resolved"
        await sent.send(told, http, {})
        assert await real.get("/api/v2/alerts") == []


async def test_one_member_that_takes_it_is_enough_and_the_other_is_named(http):
    async with Inbox() as good, Inbox() as bad:
        bad.fault(Fault("/", 503))
        good.fault(Fault("/", 200))
        receipt = await Alertmanager(urls=(good.url, bad.url)).send(note(), http, {})
        assert receipt.note == "the Alertmanager answered 503: a fault that was asked for"
        assert good.sent_to("/api/v2/alerts")[0].body[0]["labels"]["alertname"] == "DatabaseDown"
        good.heal()
        good.fault(Fault("/", 400))
        with pytest.raises(NotDelivered) as refused:
            await Alertmanager(urls=(good.url, bad.url)).send(note(), http, {})
        assert refused.value.retry
        with pytest.raises(NotDelivered) as refused:
            await Alertmanager(url=good.url).send(note(), http, {})
        assert not refused.value.retry


async def test_who_we_are_is_said(http):
    async with Inbox() as inbox:
        inbox.fault(Fault("/", 200))
        await Alertmanager(url=inbox.url, basic_auth={"username": "a", "password": "b"}).send(note(), http, {})
        authorization = {"authorization": {"credentials": "c"}}
        await Alertmanager(url=inbox.url + "/am/", http_config=authorization).send(note(), http, {})
    first, second = inbox.messages
    assert first.headers["Authorization"] == "Basic YTpi"
    assert (second.headers["Authorization"], second.path) == ("Bearer c", "/am/api/v2/alerts")


async def test_a_member_that_hangs_or_is_gone_is_tried_again(http):
    async with Inbox() as inbox:
        inbox.fault(Fault("/", hang=True))
        with pytest.raises(NotDelivered, match=r"did not answer within 0\.05 s") as refused:
            await Alertmanager(url=inbox.url, timeout="50ms").send(note(), http, {})
        assert refused.value.retry
        await inbox.refuse()
        with pytest.raises(NotDelivered, match="cannot reach") as refused:
            await Alertmanager(url=inbox.url).send(note(), http, {})
        assert refused.value.retry


def test_ten_thousand_alerts_go_in_parts_and_live_until_repeated():
    many = note(*[alert()] * 10_000)
    batches = list(batched(many, NOON))
    assert {len(batch) for batch in batches} == {AT_ONCE}
    assert sum(map(len, batches)) == 10_000
    assert batches[0][0]["endsAt"] == "2026-11-22T12:04:00.000Z"
    assert 4 * (Alertmanager.repeat_every or 0) == LIVES
    [[ended]] = batched(resolved(), NOON)
    assert (ended["startsAt"], ended["endsAt"]) == ("2026-11-22T11:59:00.000Z", "2026-11-22T12:00:00.000Z")


def test_ten_thousand_labels_are_cut_the_same_way_each_time_and_said_to_be():
    labels = {"alertname": "X", **{f"l{number}": "y" for number in range(10_000)}}
    [[posted]] = batched(note(alert(labels=labels)), NOON)
    [[again]] = batched(note(alert(labels=dict(reversed(labels.items())))), NOON)
    assert posted["labels"] == again["labels"]
    assert len(posted["labels"]) == 500
    assert posted["annotations"]["labels_cut"] == "9501 more labels were left out"


def test_what_is_wrong_is_said_at_load_and_the_rest_survives_the_outbox():
    for wrong in (
        {},
        {"url": "http://a", "urls": ["http://b"]},
        {"url": "a:9093"},
        {"url": "http://a", "timeout": "0"},
    ):
        with pytest.raises(ValidationError):
            Alertmanager(**wrong)
    with pytest.raises(ValidationError, match="one of bearer_token, basic_auth"):
        Alertmanager(url="http://a", bearer_token="x", basic_auth={"username": "y"})
    made = Alertmanager(urls=("http://a", "http://b"), timeout="3s", basic_auth={"username": "u", "password": "p"})
    kept = orjson.loads(orjson.dumps(revealed(made)))
    assert Alertmanager.model_validate(kept, context=AS_KEPT) == made
