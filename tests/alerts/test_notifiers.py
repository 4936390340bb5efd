"""What each notifier says, and how it takes an answer: against a stand-in that follows the vendors' schemas."""

import orjson
import pytest
from aiohttp import ClientSession

from alerts.notifiers._slack_message import LONGEST_MESSAGE, message
from alerts.notifiers.base import NotDelivered
from alerts.notifiers.pagerduty import LARGEST_EVENT, PagerDuty, encoded, event
from alerts.notifiers.slack import Slack
from alerts.notifiers.webhook import Webhook
from alerts.vocabulary import Phase, dedup_key
from monitor.demo.inbox import Fault, Inbox
from tests.alerts.notes import NOON, alert, note, resolved

KEY = "0123456789abcdef0123456789abcdef"
NASTY = "\x00\u202e<!channel> *bold* `code` ' \" & \ud800 " + "🔥" * 5_000


@pytest.fixture
async def inbox():
    async with Inbox() as inbox:
        yield inbox


@pytest.fixture
async def http():
    async with ClientSession() as http:
        yield http


def pagerduty(inbox: Inbox) -> PagerDuty:
    return PagerDuty(routing_key=KEY, url=f"{inbox.url}/v2/enqueue")


def slack_bot(inbox: Inbox) -> Slack:
    return Slack(bot_token="xoxb-1-a", channel="#incidents", api_url=f"{inbox.url}/api")


async def test_pagerduty_opens_one_incident_and_closes_it(inbox, http):
    notifier = pagerduty(inbox)
    await notifier.send(note(), http, {})
    await notifier.send(note(reason="reminder"), http, {})
    await notifier.send(resolved(), http, {})
    bodies = [message.body for message in inbox.sent_to("/v2/enqueue")]
    assert [body["event_action"] for body in bodies] == ["trigger", "trigger", "resolve"]
    assert len({body["dedup_key"] for body in bodies}) == 1
    payload = bodies[0]["payload"]
    assert payload["summary"].startswith("[P0] DatabaseDown · shop/database: cannot connect to 10.0.0.5:5432")
    assert (payload["severity"], payload["source"]) == ("critical", "postgresql://10.0.0.5/shop")
    details = payload["custom_details"]
    assert details["firing"][0]["affected"] == "shop/web (failing)"
    assert "Start it." in details["runbook"]
    assert {"href": "https://runbooks.example/db", "text": "Runbook"} in bodies[0]["links"]


@pytest.mark.parametrize(
    ("fault", "retry", "after"),
    [
        (Fault("/v2", 400), False, None),
        (Fault("/v2", 429, retry_after=7), True, 7.0),
        (Fault("/v2", 500), True, None),
        (Fault("/v2", 404), False, None),
        (Fault("/v2", 403), False, None),
    ],
)
async def test_pagerduty_knows_what_is_worth_another_try(inbox, http, fault, retry, after):
    inbox.fault(fault)
    with pytest.raises(NotDelivered) as refused:
        await pagerduty(inbox).send(note(), http, {})
    assert (refused.value.retry, refused.value.after) == (retry, after)
    assert KEY not in refused.value.why


async def test_pagerduty_calls_a_wrong_key_wrong_for_good(inbox, http):
    with pytest.raises(NotDelivered, match="routing_key") as refused:
        await PagerDuty(routing_key="short", url=f"{inbox.url}/v2/enqueue").send(note(), http, {})
    assert not refused.value.retry


async def test_every_limit_of_pagerduty_holds_for_hostile_texts(inbox, http):
    hostile = alert(
        name=NASTY,
        sentence=NASTY,
        target=NASTY,
        evidence=[(NASTY, NASTY)] * 12,
        labels={"alertname": NASTY, "system": NASTY},
        annotations={"description": NASTY * 20},
    )
    await pagerduty(inbox).send(note(*[hostile] * 200), http, {})
    [message] = inbox.sent_to("/v2/enqueue")
    assert message.status == 202
    assert "\x00" not in orjson.dumps(message.body).decode()
    assert len(encoded(event(note(*[hostile] * 200)))) <= LARGEST_EVENT


def test_an_event_that_is_too_large_says_what_was_left_out():
    large = event(note())
    large["payload"]["custom_details"]["firing"] = ["x" * 1_000] * 600
    assert "left out" in orjson.loads(encoded(large))["payload"]["custom_details"]["cut"]


async def test_slack_by_bot_updates_one_message_and_keeps_a_thread(inbox, http):
    notifier = slack_bot(inbox)
    receipt = await notifier.send(note(), http, {})
    again = await notifier.send(note(reason="reminder"), http, receipt.reference)
    await notifier.send(resolved(), http, again.reference)
    calls = [(message.path, message.body) for message in inbox.sent_to("/api/")]
    assert [path.rpartition(".")[2] for path, _ in calls] == [
        "postMessage", "update", "postMessage", "update", "postMessage",
    ]  # fmt: skip
    assert {body["ts"] for path, body in calls if path.endswith("update")} == {receipt.reference["ts"]}
    assert {body.get("thread_ts") for path, body in calls[1:] if path.endswith("postMessage")} == {
        receipt.reference["ts"]
    }
    assert calls[-2][1]["attachments"][0]["color"] == "#2f9e44"
    assert calls[-2][1]["text"].startswith("[RESOLVED] DatabaseDown")


async def test_slack_posts_anew_where_its_message_was_deleted(inbox, http):
    receipt = await slack_bot(inbox).send(note(), http, {"ts": "1.1", "channel": "C0"})
    assert receipt.reference["ts"] != "1.1"


async def test_slack_says_no_with_a_200(inbox, http):
    with pytest.raises(NotDelivered, match="invalid_auth") as refused:
        await Slack(bot_token="wrong", channel="#c", api_url=f"{inbox.url}/api").send(note(), http, {})
    assert not refused.value.retry


async def test_slack_is_asked_again_when_it_is_limited_or_broken(inbox, http):
    for status, after in ((429, 3.0), (503, None)):
        inbox.fault(Fault("/api", status, retry_after=after, times=1))
        with pytest.raises(NotDelivered) as refused:
            await slack_bot(inbox).send(note(), http, {})
        assert (refused.value.retry, refused.value.after) == (True, after)


async def test_slack_by_webhook_posts_each_message(inbox, http):
    notifier = Slack(api_url=f"{inbox.url}/services/T0/B0/secret-hook-part")
    await notifier.send(note(), http, {})
    await notifier.send(resolved(), http, {})
    assert [message.status for message in inbox.sent_to("/services")] == [200, 200]
    inbox.fault(Fault("/services", 404))
    with pytest.raises(NotDelivered) as refused:
        await notifier.send(note(), http, {})
    assert not refused.value.retry
    assert "secret-hook-part" not in refused.value.why + repr(notifier)


async def test_hostile_texts_mention_nobody_and_break_no_limit(inbox, http):
    hostile = alert(name=NASTY, sentence=NASTY, evidence=[(NASTY, NASTY)] * 12, annotations={"summary": NASTY})
    content = message(note(*[hostile] * 60), "", None, [])
    text = orjson.dumps(content).decode()
    assert "<!channel>" not in text
    assert "\\u0000" not in text
    assert len(content["attachments"][0]["blocks"]) <= 50
    sections = [block["text"]["text"] for block in content["attachments"][0]["blocks"] if block["type"] == "section"]
    assert all(len(section) <= 3_000 for section in sections)
    assert sum(map(len, sections)) <= LONGEST_MESSAGE
    await slack_bot(inbox).send(note(*[hostile] * 60), http, {})
    assert inbox.sent_to("/api")[0].status == 200


async def test_webhook_speaks_as_alertmanager_does(inbox, http):
    await Webhook(url=f"{inbox.url}/hook/team", bearer_token="t" * 20).send(note(), http, {})
    [received] = inbox.sent_to("/hook")
    body = received.body
    assert received.headers["Authorization"] == "Bearer " + "t" * 20
    assert (body["version"], body["status"], body["receiver"]) == ("4", "firing", "on-call")
    assert (body["truncatedAlerts"], body["groupLabels"]["system"]) == (0, "shop")
    [told] = body["alerts"]
    assert (told["status"], told["endsAt"]) == ("firing", "0001-01-01T00:00:00Z")
    assert (told["startsAt"], told["fingerprint"]) == ("2026-11-22T11:59:00.000Z", alert().fingerprint)
    assert told["annotations"]["summary"] == "cannot connect to 10.0.0.5:5432: connection refused"
    assert body["commonLabels"]["alertname"] == "DatabaseDown"


async def test_webhook_cuts_what_is_too_much_and_says_so(inbox, http):
    long = alert(annotations={"description": "x" * 1_000_000})
    await Webhook(url=f"{inbox.url}/hook/x", max_alerts=2).send(note(long, long, long), http, {})
    body = inbox.sent_to("/hook")[0].body
    assert (len(body["alerts"]), body["truncatedAlerts"]) == (2, 1)
    assert body["alerts"][0]["annotations"]["description"].endswith("(cut)")


def test_a_mixed_group_names_both_and_stays_firing():
    mixed = note(alert(), alert(name="DiskFull", phase=Phase.INACTIVE, resolved_at=NOON), reason="changed")
    assert event(mixed)["payload"]["custom_details"]["resolved"] == "DiskFull"
    assert message(mixed, "", None, [])["attachments"][0]["color"] != "#2f9e44"


def test_the_dedup_key_names_the_group_within_255_ascii_characters():
    long = {"alertname": "Ä" * 500, "system": "shop"}
    key = dedup_key(long, "on-call")
    assert len(key) <= 255
    assert key.isascii()
    assert key != dedup_key(long | {"system": "other"}, "on-call")
    assert key == dedup_key(dict(reversed(long.items())), "on-call")
