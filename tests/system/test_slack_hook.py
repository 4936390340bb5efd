"""Acknowledging and silencing from Slack: signed requests, against the real daemon."""

import asyncio
import json
import time
from datetime import datetime, timedelta

import aiohttp

from monitor.api.signatures import PATIENCE
from monitor.demo.inbox import Inbox
from tests.daemon import DEADLINE, Daemon
from tests.system.presses import AUTH, SECRET, TOKEN, OnCall, configuration, form, payload


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
        {"at": now - PATIENCE - 60},
        {"at": now + PATIENCE + 60},
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
