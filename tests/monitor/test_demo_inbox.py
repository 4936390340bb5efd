"""The stand-in for Slack and PagerDuty: takes what they take, refuses what they refuse, shows it, and misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from alerts.notifiers.base import NotDelivered
from alerts.notifiers.email import Email
from monitor.demo.inbox import Fault, Inbox
from monitor.demo.inbox_page import mrkdwn
from monitor.demo.inbox_rules import event_problems, slack_problem
from tests.alerts.notes import note

KEY = "k" * 32


@pytest_asyncio.fixture
async def inbox() -> AsyncIterator[Inbox]:
    async with Inbox() as made:
        yield made


async def post(url: str, body: Any, token: str = "", within: float = 5.0) -> tuple[int, Any]:
    """Status and answer, JSON where it is that."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    limit = aiohttp.ClientTimeout(total=within)
    async with (
        aiohttp.ClientSession(timeout=limit) as http,
        http.post(url, json=body, headers=headers) as answer,
    ):
        return answer.status, await (answer.json() if "json" in answer.content_type else answer.text())


async def page(inbox: Inbox) -> str:
    """The inbox's page."""
    async with aiohttp.ClientSession() as http, http.get(inbox.url) as answer:
        assert answer.status == 200
        return await answer.text()


def event(action: str = "trigger", key: str = "db", **payload: Any) -> dict[str, Any]:
    """A valid event, with some of the payload replaced."""
    content = {"summary": "the database is down", "source": "db:5432", "severity": "critical"} | payload
    return {"routing_key": KEY, "event_action": action, "dedup_key": key, "payload": content}


async def test_incidents_open_merge_resolve_and_open_again(inbox: Inbox) -> None:
    url = f"{inbox.url}/v2/enqueue"
    assert await post(url, event("resolve")) == (
        202,
        {"status": "success", "message": "Event processed", "dedup_key": "db"},
    )
    assert inbox.desk.incidents == []
    for action in ("trigger", "trigger", "acknowledge"):
        await post(url, event(action))
    [incident] = inbox.desk.incidents
    assert (incident.status, incident.events) == ("acknowledged", 3)
    await post(url, event("resolve") | {"routing_key": "o" * 32})
    assert incident.status == "acknowledged", "another key reaches no incident of this one"
    await post(url, event("resolve"))
    await post(url, event("trigger"))
    assert [one.status for one in inbox.desk.incidents] == ["resolved", "triggered"]
    status, answer = await post(url, {name: value for name, value in event().items() if name != "dedup_key"})
    assert (status, len(answer["dedup_key"])) == (202, 32)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"routing_key": "short"}, "Length of 'routing_key' is incorrect (should be 32 characters)"),
        ({"routing_key": None}, "'routing_key' is missing or blank"),
        ({"event_action": "page"}, "'event_action' must be one of trigger, acknowledge, resolve"),
        ({"event_action": "resolve", "dedup_key": None}, "'dedup_key' is missing or blank"),
        ({"dedup_key": "x" * 256}, "'dedup_key' must be a string of at most 255 characters"),
        ({"payload": None}, "'payload' is missing or blank"),
        ({"links": [{"text": "no address"}]}, "'links' must be a list of objects with 'href'"),
        ({"images": [{"src": "http://plain"}]}, "'images' must be a list of objects with an https 'src'"),
    ],
)
async def test_an_invalid_event_is_a_400_with_the_reason(inbox: Inbox, change: dict[str, Any], why: str) -> None:
    status, answer = await post(f"{inbox.url}/v2/enqueue", event() | change)
    assert (status, answer["status"]) == (400, "invalid event")
    assert why in answer["errors"]
    assert inbox.desk.incidents == []
    assert inbox.messages[0].status == 400


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("summary", "x" * 1025), ("summary", " "), ("source", None), ("severity", "bad"), ("custom_details", "text"),
        ("component", 7),
    ],
)  # fmt: skip
def test_each_limit_of_the_payload_is_kept(field: str, value: Any) -> None:
    assert event_problems(event()) == []
    assert any(f"payload.{field}" in problem for problem in event_problems(event(**{field: value})))


async def test_an_event_over_512_kilobytes_is_too_large(inbox: Inbox) -> None:
    status, _ = await post(f"{inbox.url}/v2/enqueue", event(custom_details={"log": "x" * 2**19}))
    assert status == 413


async def test_a_webhook_message_is_shown_with_its_colour_and_markup(inbox: Inbox) -> None:
    attachment = {
        "color": "#c8102e",
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "*bold* a&lt;b"}}],
    }
    body = {"text": "the <https://db.example|database> is down", "attachments": [attachment]}
    assert await post(f"{inbox.url}/services/T/B/secret-hook", body) == (200, "ok")
    text = await page(inbox)
    assert 'the <a href="https://db.example">database</a> is down' in text
    assert "--bar: #c8102e" in text
    assert "<b>bold</b> a&lt;b" in text


async def test_the_web_api_posts_updates_and_threads(inbox: Inbox) -> None:
    api, token = f"{inbox.url}/api", "xoxb-1"
    _, first = await post(f"{api}/chat.postMessage", {"channel": "#incidents", "text": "down"}, token)
    where = {"channel": first["channel"], "ts": first["ts"]}
    _, answer = await post(f"{api}/chat.update", {**where, "text": "up again"}, token)
    assert answer["ok"]
    await post(
        f"{api}/chat.postMessage", {"channel": first["channel"], "thread_ts": first["ts"], "text": "by itself"}, token
    )
    [message] = inbox.desk.channels["#incidents"]
    assert message.body["text"] == "up again"
    assert [reply.body["text"] for reply in message.thread] == ["by itself"]
    text = await page(inbox)
    assert "(edited)" in text
    assert text.index("up again") < text.index("by itself")


@pytest.mark.parametrize(
    ("method", "body", "token", "error"),
    [
        ("chat.postMessage", {"channel": "#x", "text": "x"}, "", "not_authed"),
        ("chat.postMessage", {"channel": "#x", "text": "x"}, "nonsense", "invalid_auth"),
        ("chat.postMessage", {"text": "x"}, "xoxb-1", "channel_not_found"),
        ("chat.postMessage", {"channel": "#x"}, "xoxb-1", "no_text"),
        ("chat.update", {"channel": "C0000000001", "ts": "1.0", "text": "x"}, "xoxb-1", "channel_not_found"),
        ("files.upload", {"channel": "#x", "text": "x"}, "xoxb-1", "unknown_method"),
    ],
)
async def test_the_web_api_refuses_with_200(inbox: Inbox, method: str, body: Any, token: str, error: str) -> None:
    assert await post(f"{inbox.url}/api/{method}", body, token) == (200, {"ok": False, "error": error})


async def test_a_message_that_is_gone_cannot_be_updated(inbox: Inbox) -> None:
    _, first = await post(f"{inbox.url}/api/chat.postMessage", {"channel": "#x", "text": "x"}, "xoxb-1")
    body = {"channel": first["channel"], "ts": "1.000000", "text": "y"}
    _, answer = await post(f"{inbox.url}/api/chat.update", body, "xoxb-1")
    assert answer == {"ok": False, "error": "message_not_found"}


def test_slacks_limits_on_blocks() -> None:
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3000}}
    assert slack_problem({"blocks": [section] * 4}) == (200, "ok")
    assert slack_problem({"blocks": [section] * 5}) == (400, "msg_blocks_too_long")
    assert slack_problem({"blocks": [{"type": "divider"}] * 51}) == (400, "invalid_blocks")
    assert slack_problem({"blocks": [{"type": "section"}]}) == (400, "invalid_blocks")
    assert slack_problem({"text": "x", "attachments": [{}] * 101}) == (400, "too_many_attachments")
    assert slack_problem({"text": "x", "blocks": 7}) == (400, "invalid_blocks")
    assert slack_problem("text") == (400, "invalid_payload")


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("<javascript:alert(1)|click>", "&lt;javascript:alert(1)|click&gt;"),
        ('<https://a.example/"onclick=x|t>', '<a href="https://a.example/&quot;onclick=x">t</a>'),
        ("```a\n<b>&lt;c&gt;```", "<pre>a\n&lt;b&gt;&lt;c&gt;</pre>"),
        ("2*3*4 `code`", "2*3*4 <code>code</code>"),
    ],
)
def test_nothing_that_arrives_becomes_markup_of_the_page(raw: str, shown: str) -> None:
    assert str(mrkdwn(raw)) == shown


async def test_hostile_messages_are_shown_as_text(inbox: Inbox) -> None:
    evil = "</style><script>alert(1)</script>"
    payload = {"summary": evil, "custom_details": {evil: [evil]}}
    await post(f"{inbox.url}/v2/enqueue", event(**payload) | {"links": [{"href": "javascript:alert(1)", "text": evil}]})
    body = {
        "text": evil,
        "attachments": [{"color": f"red}} {evil}", "blocks": [{"type": "section", "text": {"text": evil}}]}],
    }
    await post(f"{inbox.url}/services/T/B/x", body)
    await post(f"{inbox.url}/services/T/B/x", {"blocks": [{"type": "actions", "elements": [{}]}, {"type": "header"}]})
    await post(f"{inbox.url}/hook/x", {"evil": evil})
    text = await page(inbox)
    assert "<script" not in text
    assert "javascript:" not in text.replace("javascript:alert(1)|", "")


async def test_faults_are_by_path_counted_and_healed(inbox: Inbox) -> None:
    url = f"{inbox.url}/v2/enqueue"
    inbox.fault(Fault("/v2/", status=429, retry_after=7, times=1))
    async with aiohttp.ClientSession() as http, http.post(url, json=event()) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
    assert (await post(url, event()))[0] == 202
    inbox.fault(Fault("/v2/", status=500))
    assert (await post(url, event()))[0] == 500
    assert (await post(f"{inbox.url}/services/T/B/x", {"text": "x"}))[0] == 200
    inbox.heal()
    inbox.fault(Fault("/v2/", hang=True))
    with pytest.raises(TimeoutError):
        await post(url, event(), within=1)
    inbox.heal()
    inbox.fault(Fault("/v2/", drop=True, times=1))
    with pytest.raises(aiohttp.ClientConnectionError):
        await post(url, event())
    assert [message.status for message in inbox.sent_to("/v2/")] == [429, 202, 500, 0, 500]


async def test_refused_and_accepted_again_on_the_same_address(inbox: Inbox) -> None:
    await inbox.refuse()
    with pytest.raises(aiohttp.ClientConnectorError):
        await post(f"{inbox.url}/hook/a", {})
    await inbox.accept()
    assert await post(f"{inbox.url}/hook/a", {"n": 1}) == (200, "ok")


async def test_faults_can_be_asked_for_from_outside(inbox: Inbox) -> None:
    assert (await post(f"{inbox.url}/-/fault", {"path": "/hook/", "status": 503}))[0] == 204
    assert (await post(f"{inbox.url}/hook/a", {}))[0] == 503
    assert "/hook/" in await page(inbox)
    assert (await post(f"{inbox.url}/-/fault", {"heal": True}))[0] == 204
    assert (await post(f"{inbox.url}/hook/a", {}))[0] == 200
    assert (await post(f"{inbox.url}/-/fault", {"nonsense": 1}))[0] == 400


async def test_messages_are_kept_in_order_and_can_be_waited_for(inbox: Inbox) -> None:
    waiting = asyncio.create_task(inbox.until(lambda message: message.body == {"n": 2}))
    for number in (1, 2, 3):
        await post(f"{inbox.url}/hook/a", {"n": number}, token="secret")
    assert (await waiting).number == 2
    async with aiohttp.ClientSession() as http, http.get(f"{inbox.url}/messages") as answer:
        listed = await answer.json()
    assert [message["body"]["n"] for message in listed] == [1, 2, 3]
    assert "secret" not in str(listed)


def mail(inbox: Inbox, to: str = "ops@example.com") -> Email:
    return Email(to=to, **{"from": "runwatch@example.com"}, smarthost=inbox.mail.address, require_tls=False)


async def test_mails_are_listed_shown_and_refused_as_asked(inbox: Inbox) -> None:
    await inbox.mail.start()
    async with aiohttp.ClientSession() as http:
        await mail(inbox, "ops@example.com, cto@example.com").send(note(), http, {})
        [message] = inbox.sent_to("/mail/ops@example.com,cto@example.com")
        assert message.status == 250
        assert message.body["to"] == ["ops@example.com", "cto@example.com"]
        assert message.body["from"] == "runwatch@example.com"
        assert "DatabaseDown" in message.body["subject"]
        shown = await page(inbox)
        assert "to ops@example.com, cto@example.com" in shown and message.body["subject"] in shown
        async with http.get(f"{inbox.url}/messages?path=/mail&at_least=1") as answer:
            assert [one["body"] for one in await answer.json()] == [message.body]
        for fault, why, retry in (
            (Fault("/mail", 451, times=1), "451 a fault", True),
            (Fault("/mail", 550, times=1), "550 a fault", False),
            (Fault("/mail", drop=True, times=1), "cannot hand the mail", True),
        ):
            inbox.fault(fault)
            with pytest.raises(NotDelivered, match=why) as refused:
                await mail(inbox).send(note(), http, {})
            assert refused.value.retry is retry
        inbox.fault(Fault("/mail", hang=True))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(mail(inbox).send(note(), http, {}), 2)
        await inbox.mail.stop()
        with pytest.raises(NotDelivered, match="Connect call failed"):
            await mail(inbox).send(note(), http, {})
        inbox.heal()
        await inbox.mail.start()
        await mail(inbox).send(note(), http, {})
    assert [one.status for one in inbox.messages] == [250, 451, 550, 0, 0, 250]
