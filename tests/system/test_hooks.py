"""Acknowledging from Slack and PagerDuty: signed requests and Socket Mode, against the real daemon."""

import asyncio
import contextlib
import hashlib
import hmac
import io
import json
import signal
import time
import uuid
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp import web
from pydantic import ValidationError

from monitor.api.signatures import PATIENCE, Seen, pagerduty_signed, slack_signed
from monitor.config.oncall import Hooks
from monitor.demo.inbox import Inbox
from tests.daemon import DEADLINE, Daemon

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
OLD, NEW = "the-secret-of-last-year", "the-secret-of-this-year"
TOKEN = "xapp-1-A0-this-is-no-token"
KEY = "0123456789abcdef0123456789abcdef"


def configuration(inbox, hooks="", group_by="[alertname]"):
    hooks = (
        hooks
        or f"""
    slack: {{signing_secret: {SECRET}, api_url: "{inbox.url}/api"}}
    pagerduty: {{secrets: [{OLD}, {NEW}]}}"""
    )
    return f"""
server: {{listen: "127.0.0.1:0", auth: {{tokens: [a-token-of-sixteen-or-more]}}}}
route: {{receiver: on-call, group_by: {group_by}, group_interval: 1s}}
receivers:
  - name: on-call
    slack_configs: [{{bot_token: xoxb-1, channel: "#incidents", api_url: "{inbox.url}/api"}}]
  - name: pager
    pagerduty_configs: [{{routing_key: {KEY}, url: "{inbox.url}/v2/enqueue"}}]
on_call:
  hooks:{hooks}
checks: []
"""


AUTH = {"Authorization": "Bearer a-token-of-sixteen-or-more"}


class OnCall:
    """A daemon with an alert of which Slack was told, and what people do about it."""

    def __init__(self, daemon, inbox):
        self.daemon = daemon
        self.inbox = inbox
        self.key = ""

    async def fires(self, name="Down", **labels):
        """An alert is sent; afterwards `key` is what Slack knows it by."""
        content = [{"labels": {"alertname": name, "system": "shop", "check": "database"} | labels}]
        status, text = await self.daemon.get("/api/v2/alerts", "POST", json=content, headers=AUTH)
        assert status == 200, text
        async with asyncio.timeout(DEADLINE):
            message = await self.inbox.until(lambda one: bool(buttons(one.body, "ack")))
        [self.key] = buttons(message.body, "ack")

    async def ends(self, name="Down", **labels):
        ended = {
            "startsAt": (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
            "endsAt": datetime.now(UTC).isoformat(),
        }
        content = [{"labels": {"alertname": name, "system": "shop", "check": "database"} | labels} | ended]
        assert (await self.daemon.get("/api/v2/alerts", "POST", json=content, headers=AUTH))[0] == 200

    async def alerts(self):
        return json.loads((await self.daemon.get("/api/v1/alerts", headers=AUTH))[1])

    async def acked_by(self):
        return [one["acked_by"] for one in await self.alerts()]

    async def silences(self):
        return json.loads((await self.daemon.get("/api/v1/silences", headers=AUTH))[1])

    async def press(self, action="ack", key=None, user="ann", **signing):
        """Press a button; the answer's status and what it says."""
        return await self.slack(form(payload(action, self.key if key is None else key, user)), **signing)

    async def slack(self, body, at=None, secret=SECRET, **headers):
        stamp = str(int(time.time() if at is None else at))
        signed = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": slack_signature(secret, stamp, body)}
        return await self.post("/hooks/slack", body, signed | headers)

    async def pagerduty(self, kind, *, secrets=(NEW,), body=None, **fields):
        body = event(kind, self.key, **fields) if body is None else body
        marks = [hmac.new(secret.encode(), body, hashlib.sha256).hexdigest() for secret in secrets]
        return await self.post("/hooks/pagerduty", body, {"X-PagerDuty-Signature": ",".join(f"v1={m}" for m in marks)})

    async def post(self, path, body, headers):
        foreign = {"Origin": "https://elsewhere.example", "Content-Type": "application/x-www-form-urlencoded"}
        return await self.daemon.get(path, "POST", data=io.BytesIO(body), headers=foreign | headers)


def buttons(body, action):
    """The values of the buttons in a message."""
    if not isinstance(body, dict):
        return []
    blocks = [block for one in body.get("attachments", []) for block in one.get("blocks", [])]
    elements = [element for block in blocks for element in block.get("elements", [])]
    return [element["value"] for element in elements if element.get("action_id") == action]


def payload(action, key, user, **more):
    actions = [{"action_id": action, "block_id": "runwatch", "type": "button", "value": key, "action_ts": "1.2"}]
    return {"type": "block_actions", "user": {"id": "U1", "username": user}, "actions": actions} | more


def form(content):
    return urlencode({"payload": json.dumps(content)}).encode()


def slack_signature(secret, stamp, body):
    return "v0=" + hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()


def event(kind, key, agent="user_reference", ago=0.0, name="", **data):
    return json.dumps({
        "event": {
            "id": name or uuid.uuid4().hex, "event_type": kind, "resource_type": "incident",
            "occurred_at": (datetime.now(UTC) - timedelta(seconds=ago)).isoformat(),
            "agent": {"id": "P1", "type": agent, "summary": "Jane Doe"},
            "data": {"id": "Q1", "type": "incident", "incident_key": key, "status": "acknowledged"} | data,
        }
    }).encode()  # fmt: skip


@pytest.fixture
async def on_call(tmp_path):
    async with Inbox() as inbox, Daemon(tmp_path, configuration(inbox)) as daemon:
        yield OnCall(daemon, inbox)


# --- Slack --------------------------------------------------------------------------------------------------------


async def test_a_press_acknowledges_once_and_the_message_says_so(on_call):
    await on_call.fires()
    status, said = await on_call.press()
    assert (status, json.loads(said)["text"]) == (200, "You have it: Down.")
    assert await on_call.acked_by() == ["slack:ann"]
    async with asyncio.timeout(DEADLINE):
        await on_call.inbox.until(lambda one: "acknowledged by slack:ann" in str(one.body))
    said = json.loads((await on_call.press(user="bob", at=time.time() - 1))[1])["text"]
    assert said == "slack:ann has it already."
    assert await on_call.acked_by() == ["slack:ann"]
    assert [line["by"] for line in on_call.daemon.log if line["event"] == "acknowledged"] == ["slack:ann"]


async def test_of_two_presses_at_once_one_has_it(on_call):
    await on_call.fires()
    answers = await asyncio.gather(on_call.press(user="ann"), on_call.press(user="bob"))
    assert [status for status, _ in answers] == [200, 200]
    [who] = await on_call.acked_by()
    texts = sorted(json.loads(said)["text"] for _, said in answers)
    assert texts == ["You have it: Down.", f"{who} has it already."]


async def test_a_press_about_what_is_over_is_told_so(on_call):
    await on_call.fires()
    await on_call.ends()
    for key in (on_call.key, "runwatch/nothing", "", "x" * 100_000):
        status, said = await on_call.press(key=key)
        assert (status, "over" in json.loads(said)["text"]) == (200, True)
    assert await on_call.alerts() == []


async def test_silencing_for_an_hour_matches_the_group_and_a_second_press_adds_nothing(on_call):
    await on_call.fires(instance="a:1")
    status, said = await on_call.press("silence_1h")
    assert (status, "Silenced until" in said) == (200, True)
    _, said = await on_call.press("silence_1h", user="bob")
    assert "silenced already" in said
    [made] = await on_call.silences()
    assert (made["matchers"], made["by"], made["until_resolved"]) == (['alertname="Down"'], "slack:ann", False)
    lasts = datetime.fromisoformat(made["ends_at"]) - datetime.fromisoformat(made["starts_at"])
    assert lasts == timedelta(hours=1)


async def test_a_group_without_labels_is_silenced_by_what_its_alerts_share(tmp_path):
    async with Inbox() as inbox, Daemon(tmp_path, configuration(inbox, group_by="[]")) as daemon:
        on_call = OnCall(daemon, inbox)
        await on_call.fires(instance="a:1")
        await on_call.press("silence_1h")
        [made] = await on_call.silences()
        assert made["matchers"] == ['alertname="Down"', 'check="database"', 'system="shop"']


async def test_the_answer_goes_to_the_address_of_the_press_and_to_no_other_host(on_call):
    await on_call.fires()
    reply = f"{on_call.inbox.url}/hook/response"
    async with Inbox() as other:
        for url in (f"{other.url}/hook/elsewhere", "http://[", 5, reply):
            content = form(payload("ack", on_call.key, "ann", response_url=url))
            assert (await on_call.slack(content))[0] == 200
        async with asyncio.timeout(DEADLINE):
            told = await on_call.inbox.until(lambda one: one.path == "/hook/response")
        assert told.body == {
            "response_type": "ephemeral", "replace_original": False, "text": "slack:ann has it already.",
        }  # fmt: skip
        assert other.messages == []


async def test_the_demos_inbox_presses_as_slack_does(on_call):
    await on_call.fires()
    inbox = on_call.inbox
    inbox.presser.hook, inbox.presser.secret = f"{on_call.daemon.url}/hooks/slack", SECRET
    async with aiohttp.ClientSession(inbox.url) as http:
        async with http.get("/") as page:
            assert f'name="value" value="{on_call.key}"' in await page.text()
        pressed = {"action_id": "ack", "value": on_call.key}
        async with http.post("/-/press", data=pressed, headers={"Origin": "http://elsewhere.example"}) as answer:
            assert answer.status == 403
        async with http.post("/-/press", data=pressed, allow_redirects=False) as answer:
            assert answer.status == 303
        assert await on_call.acked_by() == ["slack:you"]
        inbox.presser.secret = "another"
        async with http.post("/-/press", data=pressed) as answer:
            assert (answer.status, await answer.text()) == (502, "the app answered 401\n")


async def test_slack_checks_the_address(on_call):
    challenge = json.dumps({"type": "url_verification", "challenge": "abc"}).encode()
    assert json.loads((await on_call.slack(challenge))[1]) == {"challenge": "abc"}
    assert (await on_call.slack(challenge, secret="another"))[0] == 401
    assert (await on_call.post("/hooks/slack", b"ssl_check=1&token=x", {}))[0] == 200


async def test_what_slack_did_not_sign_now_is_refused(on_call):
    await on_call.fires()
    now = time.time()
    for signing in (
        {"secret": "another"},
        {"at": now - PATIENCE - 2},
        {"at": now + PATIENCE + 2},
        {"X-Slack-Signature": ""},
        {"X-Slack-Signature": "v0=ü"},
        {"X-Slack-Request-Timestamp": "yesterday"},
        {"X-Slack-Request-Timestamp": "²"},
        {"X-Slack-Request-Timestamp": "9" * 5_000},
    ):
        assert (await on_call.press(**signing))[0] == 401, signing
    assert await on_call.acked_by() == [""]
    assert (await on_call.daemon.logged("hook refused"))["path"] == "/hooks/slack"


async def test_a_press_that_comes_again_is_refused(on_call):
    await on_call.fires()
    at = time.time()
    assert (await on_call.press(at=at))[0] == 200
    assert (await on_call.daemon.get("/api/v1/unack", "POST", json={"alerts": ["Down"], "by": "x"}, headers=AUTH))[
        0
    ] == 200
    status, said = await on_call.press(at=at)
    assert (status, "here before" in said) == (401, True)
    assert await on_call.acked_by() == [""]


async def test_what_is_signed_and_makes_no_sense_changes_nothing(on_call):
    await on_call.fires()
    for body in (
        b"", b"\xff", b"payload=", b"payload={", b"payload=[]", b"{", b"a=b&" * 1_000, form(5), form({"type": "x"}),
        form({"type": "block_actions"}), form({"type": "block_actions", "actions": {}}),
        form({"type": "block_actions", "actions": [5, {}, {"action_id": "ack"}, {"action_id": "ack", "value": 5}]}),
        form({"type": "block_actions", "actions": [{"action_id": "open_0", "value": on_call.key}]}),
    ):  # fmt: skip
        status, said = await on_call.slack(body)
        assert (status, said) == (200, ""), body
    odd = {"type": "block_actions", "user": [], "actions": [{"action_id": "ack", "value": on_call.key}]}
    assert (await on_call.slack(form(odd)))[0] == 200
    assert await on_call.acked_by() == ["slack:somebody"]


async def test_ten_megabytes_are_refused(on_call):
    for path in ("/hooks/slack", "/hooks/pagerduty"):
        assert (await on_call.post(path, b" " * 10_000_000, {}))[0] == 413


async def test_without_configuration_there_are_no_hooks(tmp_path):
    async with Inbox() as inbox:
        hooks = f" {{slack: {{app_token: {TOKEN}, api_url: 'http://127.0.0.1:9'}}}}"
        async with Daemon(tmp_path, configuration(inbox, hooks)) as daemon:
            for path, key in (("slack", "signing_secret"), ("pagerduty", "secrets")):
                status, said = await daemon.get(f"/hooks/{path}", "POST", data=b"")
                assert (status, f"on_call.hooks.{path}.{key}" in said) == (404, True)


# --- PagerDuty ----------------------------------------------------------------------------------------------------


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


# --- Socket Mode --------------------------------------------------------------------------------------------------


class Slack:
    """Socket Mode's other end, by Slack's published protocol; `pushed` is sent, `taken` are the acknowledgements."""

    def __init__(self):
        self.opened = 0
        self.answer = {"ok": True}
        self.taken = []
        self.refusals = []
        self._connections = asyncio.Queue()

    async def __aenter__(self):
        app = web.Application()
        app.add_routes([web.post("/api/apps.connections.open", self._open), web.get("/link", self._link)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.host = f"127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()

    async def connection(self):
        """The next connection that is opened."""
        async with asyncio.timeout(DEADLINE):
            return await self._connections.get()

    async def push(self, socket, message, answered=True):
        """Send a message; its acknowledgement, if there is to be one."""
        await socket.send_str(message if isinstance(message, str) else json.dumps(message))
        if not answered:
            return None
        async with asyncio.timeout(DEADLINE):
            return json.loads(await socket.receive_str())

    async def _open(self, request):
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"ok": False, "error": "invalid_auth"})
        if self.refusals:
            return web.json_response({"ok": False, "error": self.refusals.pop()})
        self.opened += 1
        return web.json_response({"url": f"ws://{self.host}/link?ticket={self.opened}"} | self.answer)

    async def _link(self, request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A1"}})
        over = asyncio.Event()
        await self._connections.put((socket, over))
        await over.wait()
        return socket


def envelope(content, number=1):
    return {"envelope_id": f"e-{number}", "type": "interactive", "accepts_response_payload": False, "payload": content}


@contextlib.asynccontextmanager
async def socket_mode(folder, *refusals, **answer):
    async with Slack() as slack, Inbox() as inbox:
        slack.refusals += refusals
        slack.answer |= answer
        hooks = f" {{slack: {{app_token: {TOKEN}, api_url: 'http://{slack.host}/api'}}}}"
        async with Daemon(folder, configuration(inbox, hooks)) as daemon:
            yield slack, OnCall(daemon, inbox)


async def test_a_press_through_the_socket_acknowledges(tmp_path):
    async with socket_mode(tmp_path) as (slack, on_call):
        socket, over = await slack.connection()
        await on_call.daemon.logged("slack socket open")
        await on_call.fires()
        for message in ("{", "[]", {}, {"type": "hello"}, {"type": "disconnected"}, "5"):
            await slack.push(socket, message, answered=False)
        assert await slack.push(socket, envelope(None, 1)) == {"envelope_id": "e-1"}
        assert await slack.push(socket, {"envelope_id": "e-2", "type": "slash_commands"}) == {"envelope_id": "e-2"}
        assert await slack.push(socket, envelope(payload("ack", on_call.key, "ann"), 3)) == {"envelope_id": "e-3"}
        line = await on_call.daemon.logged("acknowledged")
        assert (line["by"], line["alerts"]) == ("slack:ann", ["Down"])
        over.set()


async def test_it_connects_again_when_slack_says_so_and_when_it_is_cut_off(tmp_path):
    async with socket_mode(tmp_path) as (slack, on_call):
        socket, over = await slack.connection()
        await slack.push(socket, {"type": "disconnect", "reason": "refresh_requested"}, answered=False)
        over.set()
        socket, over = await slack.connection()
        await socket.close()
        over.set()
        socket, over = await slack.connection()
        await on_call.fires()
        await slack.push(socket, envelope(payload("ack", on_call.key, "ann")))
        assert (await on_call.daemon.logged("acknowledged"))["by"] == "slack:ann"
        assert "hung up" in (await on_call.daemon.logged("slack socket lost"))["why"]
        over.set()


async def test_a_stop_does_not_wait_for_slack(tmp_path):
    async with socket_mode(tmp_path) as (slack, on_call):
        _, over = await slack.connection()
        await on_call.daemon.logged("slack socket open")
        on_call.daemon.signal(signal.SIGTERM)
        assert (await on_call.daemon.ended(), on_call.daemon.complaints) == (0, "")
        over.set()


async def test_a_refused_connection_is_said_and_tried_again(tmp_path):
    async with socket_mode(tmp_path, "ratelimited") as (slack, on_call):
        _, over = await slack.connection()
        lost = await on_call.daemon.logged("slack socket lost")
        assert lost["why"] == "Slack refuses a connection: ratelimited"
        assert TOKEN not in str(on_call.daemon.log)
        over.set()


@pytest.mark.parametrize("url", ["ws://slack.example/link", "http://127.0.0.1/", "ws://[", "wss://", 5, None, ""])
async def test_an_address_that_can_not_be_trusted_is_not_connected_to(tmp_path, url):
    async with socket_mode(tmp_path, url=url) as (_, on_call):
        assert (await on_call.daemon.logged("slack socket lost"))["again_in"] == 1
        assert (await on_call.daemon.get("/-/healthy"))[0] == 200


def test_a_secret_that_is_none_is_refused():
    for hooks in ({"slack": {"signing_secret": ""}}, {"slack": {"app_token": ""}}, {"slack": {}},
                  {"pagerduty": {"secrets": [""]}}, {"pagerduty": {"secrets": []}}):  # fmt: skip
        with pytest.raises(ValidationError):
            Hooks.model_validate(hooks)


# --- the pure parts -----------------------------------------------------------------------------------------------


def test_slacks_own_example_of_a_signature_holds():
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    assert slack_signed(SECRET, "1531420618", body, signature, 1531420618.0)
    assert not slack_signed(SECRET, "1531420618", body + b"x", signature, 1531420618.0)
    assert not slack_signed(SECRET, "1531420618", body, signature, 1531420618.0 + PATIENCE + 1)
    assert not pagerduty_signed([], b"", "v1=")


def test_what_was_seen_is_remembered_for_its_time_and_within_bounds():
    seen = Seen(10, most=3)
    assert [seen.before("a", at) for at in (0, 9, 10, 11)] == [False, True, False, True]
    for number in range(10):
        seen.before(str(number), 12)
    assert not seen.before("a", 13)
    assert seen.before("9", 13)
