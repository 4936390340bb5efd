"""What each notifier says, and how it takes an answer: against a stand-in that follows the vendors' schemas."""

import orjson
import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from alerts.notifiers._slack_message import LONGEST_MESSAGE, message
from alerts.notifiers.base import NotDelivered
from alerts.notifiers.pagerduty import LARGEST_EVENT, PagerDuty, encoded, event
from alerts.notifiers.slack import Slack
from alerts.notifiers.webhook import Webhook
from alerts.template_samples import SAMPLES
from alerts.templates import AS_KEPT
from alerts.vocabulary import Phase, Runbook, dedup_key
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


@pytest.mark.parametrize(
    ("error", "retry", "reason"),
    [
        ("token_revoked", False, "authError"),
        ("account_inactive", False, "authError"),
        ("missing_scope", False, "authError"),
        ("channel_not_found", False, "clientError"),
        ("not_in_channel", False, "clientError"),
        ("is_archived", False, "clientError"),
        ("ratelimited", True, "rateLimited"),
        ("internal_error", True, "serverError"),
        ("service_unavailable", True, "serverError"),
        ("some_new_error", False, "clientError"),
    ],
)
async def test_slack_errors_are_for_good_or_for_now(inbox, http, error, retry, reason):
    inbox.fault(Fault("/api", error=error))
    with pytest.raises(NotDelivered, match=error) as refused:
        await slack_bot(inbox).send(note(), http, {})
    assert (refused.value.retry, refused.value.reason) == (retry, reason)


async def test_what_slack_calls_misshapen_is_said_once_more_as_plain_text(inbox, http):
    inbox.fault(Fault("/api", error="invalid_blocks", times=1))
    await slack_bot(inbox).send(note(), http, {})
    first, second = [message.body for message in inbox.sent_to("/api")]
    assert first["attachments"]
    assert second["attachments"] == []
    assert second["text"] == first["text"]


async def test_slack_offers_buttons_where_they_reach_us(inbox, http):
    def actions(told):
        blocks = message(told, "", None, [])["attachments"][0]["blocks"]
        return {
            element["action_id"]: element.get("value")
            for block in blocks if block["type"] == "actions" for element in block["elements"]
        }  # fmt: skip

    key = note().dedup_key
    assert set(actions(note())) == {"open_0", "open_1"}
    assert actions(note(answerable=True)) == {"ack": key, "silence_1h": key, "open_0": None, "open_1": None}
    taken = note(alert(acked_by="anna", acked_at=NOON), reason="acknowledged", answerable=True)
    assert set(actions(taken)) == {"silence_1h", "open_0", "open_1"}
    ended = alert(phase=Phase.INACTIVE, resolved_at=NOON)
    assert "ack" not in actions(note(ended, status="resolved", reason="resolved", answerable=True))
    await slack_bot(inbox).send(note(answerable=True), http, {})
    assert inbox.sent_to("/api")[0].status == 200


async def test_slack_words_every_state(inbox, http):
    posted = await slack_bot(inbox).send(SAMPLES["firing"](), http, {})
    for sample in ("escalated", "acknowledged", "resolved"):
        await slack_bot(inbox).send(SAMPLES[sample](), http, posted.reference)
    [post] = inbox.desk.channels["#incidents"]
    threads = [one.body for one in post.thread]
    assert [body.get("reply_broadcast", False) for body in threads] == [True, False, False]
    assert threads[0]["text"].startswith("Escalated (nobody acknowledged it within 15m): [P0, escalated] DatabaseDown")
    assert threads[1]["text"].startswith("Acknowledged (anna has it until 13:00): [P0, acknowledged by anna]")
    assert threads[2]["text"].startswith("Resolved: [RESOLVED]")
    updates = [one.body for one in inbox.sent_to("/api/chat.update")]
    assert [body["attachments"][0]["color"] for body in updates] == ["#c8102e", "#7950f2", "#2f9e44"]


async def test_a_storm_is_a_digest_with_the_cause_first(inbox, http):
    await slack_bot(inbox).send(SAMPLES["storm"](), http, {})
    await pagerduty(inbox).send(SAMPLES["storm"](), http, {})
    slack, event = [one.body for one in inbox.messages]
    assert slack["text"].startswith("[P0, storm] 8,313 alerts, first DatabaseDown · shop/database")
    said = orjson.dumps(slack).decode()
    assert "HighLatency × 8,312" in said
    assert "8,263 more are not listed" in said
    details = event["payload"]["custom_details"]
    assert details["firing"][0]["alert"] == "DatabaseDown"
    assert details["more"].startswith("8,293 more alerts fire in this group")
    assert "In all: HighLatency × 8,312, DatabaseDown × 1" in details["why"]


async def test_pagerduty_acknowledges_only_what_is_all_acknowledged(inbox, http):
    taken = alert(acked_by="anna", acked_at=NOON)
    notifier = pagerduty(inbox)
    await notifier.send(note(), http, {})
    await notifier.send(note(taken, alert(name="Other"), reason="acknowledged"), http, {})
    assert inbox.desk.incidents[0].status == "triggered"
    await notifier.send(note(taken, reason="acknowledged"), http, {})
    assert inbox.desk.incidents[0].status == "acknowledged"
    await notifier.send(resolved(), http, {})
    assert [(one.status, one.events) for one in inbox.desk.incidents] == [("resolved", 4)]
    assert {message.status for message in inbox.messages} == {202}


async def test_templates_word_slack_and_pagerduty(inbox, http):
    slack = Slack(
        api_url=f"{inbox.url}/services/T0/B0/x", title="<!subteam^S1> {{ note.alerts[0].name }}",
        text="{{ note.alerts[0].sentence }}", username="{{ note.receiver }}", icon_emoji=":fire:",
    )  # fmt: skip
    paged = PagerDuty(
        routing_key=KEY, url=f"{inbox.url}/v2/enqueue", description="{{ note.status }} {{ note.alerts[0].name }}",
        details={"who": "{{ note.receiver }}", "none": "{{ note.why }}"}, client="ours",
    )  # fmt: skip
    told = note(alert(labels={"alertname": "<!channel>"}, sentence="a < b"))
    await slack.send(told, http, {})
    await paged.send(told, http, {})
    post, event = [one.body for one in inbox.messages]
    assert post["text"] == "<!subteam^S1> &lt;!channel&gt;"
    assert post["attachments"][0]["blocks"][0]["text"]["text"] == "a &lt; b"
    assert (post["username"], post["icon_emoji"]) == ("on-call", ":fire:")
    assert event["payload"]["summary"] == "firing <!channel>"
    assert event["payload"]["custom_details"]["who"] == "on-call"
    assert "none" not in event["payload"]["custom_details"]
    assert event["client"] == "ours"


async def test_a_template_that_fails_at_the_hour_of_need_costs_no_page(inbox, http):
    broken = "{{ note.alerts[5].name }}"
    slack = Slack.model_validate({"api_url": f"{inbox.url}/services/T0/B0/x", "title": broken}, context=AS_KEPT)
    paged = PagerDuty.model_validate(
        {"routing_key": KEY, "url": f"{inbox.url}/v2/enqueue", "description": broken}, context=AS_KEPT
    )
    hook = Webhook.model_validate({"url": f"{inbox.url}/hook/x", "body": '{"a": }'}, context=AS_KEPT)
    for notifier in (slack, paged, hook):
        receipt = await notifier.send(note(), http, {})
        assert "of receiver on-call failed" in receipt.note
    post, event, body = [one.body for one in inbox.messages]
    assert post["text"].startswith("[P0] DatabaseDown")
    failed = "the template `title` of receiver on-call failed: there is no item 5 of 1"
    assert failed in post["attachments"][0]["blocks"][0]["elements"][0]["text"]
    assert event["payload"]["summary"].startswith("[P0] DatabaseDown")
    assert "no item 5" in event["payload"]["custom_details"]["templates"]
    assert "it makes no JSON" in body["templateErrors"][0]
    assert body["alerts"][0]["labels"]["alertname"] == "DatabaseDown"


NAMELESS = alert(labels={}, sentence="", severity_word="", target="", check="")
CROWDED = alert(labels={f"l{number}": "x" * 100 for number in range(10_000)}, annotations={NASTY[:50]: "y" * 1_000_000})


@pytest.mark.parametrize("hostile", [NAMELESS, CROWDED, alert(annotations={"summary": "z" * 1_000_000})])
async def test_hostile_alerts_are_taken_by_every_vendor(inbox, http, hostile):
    many = note(*[hostile] * 50, left_out=9_950, group_labels={}, answerable=True)
    receipt = await slack_bot(inbox).send(many, http, {})
    await slack_bot(inbox).send(many, http, receipt.reference)
    await Slack(api_url=f"{inbox.url}/services/T0/B0/x").send(many, http, {})
    await pagerduty(inbox).send(many, http, {})
    await Webhook(url=f"{inbox.url}/hook/x").send(note(*[hostile] * 3), http, {})
    assert all(message.status in (200, 202) for message in inbox.messages)
    said = [orjson.dumps(message.body).decode() for message in inbox.messages]
    assert all("\\u0000" not in text and "\\u202e" not in text for text in said)
    if hostile is not NAMELESS:
        assert all("(cut)" in text or "were left out" in text for text in said[-1:])
    posts = [post for posts in inbox.desk.channels.values() for post in posts]
    assert len(posts) == 2


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "http://", "https://[x", "https://a b", "https://a\x00", "//a"]
)
def test_an_address_that_a_vendor_would_refuse_costs_no_message(address):
    told = note(alert(annotations={"runbook_url": address, "dashboard_url": "https://d.example"}, runbook=Runbook()))
    assert [link["text"] for link in event(told)["links"]] == ["Open in runwatch", "Dashboard"]


async def test_a_redirection_is_no_acceptance(http):
    async def moved(request: web.Request) -> web.Response:
        raise web.HTTPFound("/elsewhere")

    async def elsewhere(request: web.Request) -> web.Response:
        return web.Response(text="ok")

    app = web.Application()
    app.add_routes([web.post("/{any:.*}", moved), web.get("/elsewhere", elsewhere)])
    async with TestServer(app) as server:
        base = f"http://127.0.0.1:{server.port}"
        for notifier in (
            Webhook(url=f"{base}/hook"),
            Slack(api_url=f"{base}/services/x"),
            PagerDuty(routing_key=KEY, url=f"{base}/v2/enqueue"),
        ):
            with pytest.raises(NotDelivered, match="answered 302") as refused:
                await notifier.send(note(), http, {})
            assert not refused.value.retry


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
