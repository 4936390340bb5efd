"""Webhooks: Alertmanager's body or one of one's own, to whom they are trusted, and what an answer means."""

import contextlib
import ssl

import pytest
import trustme
from aiohttp import ClientError, ClientSession, web
from aiohttp.test_utils import TestServer
from pydantic import ValidationError

from alerts.notifiers.base import NotDelivered
from alerts.notifiers.webhook import Webhook
from alerts.template_samples import SAMPLES
from alerts.templates import Texts
from monitor.demo.inbox import Inbox
from tests.alerts.notes import alert, note


@pytest.fixture
async def inbox():
    async with Inbox() as inbox:
        yield inbox


@pytest.fixture
async def http():
    async with ClientSession() as http:
        yield http


async def test_an_answer_without_an_end_is_not_read_to_it(http):
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(status=500)
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await answer.write(b"x" * 10_000)
        return answer

    app = web.Application()
    app.add_routes([web.post("/hook", endless)])
    async with TestServer(app) as server:
        with pytest.raises(NotDelivered, match="answered 500: xxx") as refused:
            await Webhook(url=f"http://127.0.0.1:{server.port}/hook").send(note(), http, {})
    assert len(refused.value.why) < 400


async def test_webhook_says_it_in_words_of_ones_own(inbox, http):
    hook = Webhook(
        url=f"{inbox.url}/hook/own", method="PUT", content_type="text/plain; charset=utf-8",
        body="{{ note.status }}: {{ note.alerts[0].name }}", basic_auth={"username": "u", "password": "p"},
        headers={"X-Alert": "{{ note.alerts[0].sentence }}", "X-None": "{{ note.why }}"},
    )  # fmt: skip
    told = note(alert(sentence="a\r\nX-Evil: b\x00"))
    headers, body = hook.message(told, Texts(told))
    assert body == b"firing: DatabaseDown"
    assert headers["X-Alert"] == "a\ufffd X-Evil: b\ufffd"
    posted = hook.model_copy(update={"method": "POST"})
    await posted.send(told, http, {})
    [received] = inbox.sent_to("/hook")
    assert received.body == "firing: DatabaseDown"
    assert received.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert received.headers["Authorization"] == "Basic dTpw"
    assert "X-None" not in received.headers
    assert "X-Evil" not in received.headers


async def test_webhook_carries_the_reason_and_what_is_left_out(inbox, http):
    titled = Webhook(url=f"{inbox.url}/hook/x", title="{{ note.headline }}", body='{"n": {{ note.alerts | length }}}')
    await titled.send(note(), http, {})
    await Webhook(url=f"{inbox.url}/hook/x", title="{{ note.reason }}").send(SAMPLES["storm"](), http, {})
    own, storm = [message.body for message in inbox.sent_to("/hook")]
    assert own == {"n": 1}
    assert (storm["notification_reason"], storm["title"], storm["leftOut"]) == ("storm", "storm", 8_263)
    assert storm["truncatedAlerts"] == 8_263
    assert storm["tally"][0] == {"alertname": "HighLatency", "count": 8_312}
    assert storm["why"] == "8,313 alerts fired within a minute"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"headers": {"Host": "x"}}, "the header Host can't be set"),
        ({"headers": {"content-type": "x"}}, "content_type is"),
        ({"headers": {"a b": "x"}}, "is not the name of a header"),
        ({"body": "{{ note.nothing }}"}, "note has no 'nothing'"),
        ({"bearer_token": "x", "basic_auth": {"username": "y"}}, "one of bearer_token"),
        ({"method": "GET"}, "POST"),
    ],
)
def test_what_is_wrong_with_a_webhook_is_said_at_load(wrong, said):
    with pytest.raises(ValidationError, match=said):
        Webhook(url="https://example.com/", **wrong)


async def test_webhook_trusts_whom_it_is_told_to(http, tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("hooks.internal").configure_cert(context)
    app = web.Application()

    async def accept(request: web.Request) -> web.Response:
        return web.Response()

    app.add_routes([web.post("/", accept)])
    async with TestServer(app) as server:
        site = web.TCPSite(server.runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port = server.runner.addresses[-1][1]
        tls = {"ca_file": str(tmp_path / "ca.pem"), "server_name": "hooks.internal"}
        url = f"https://127.0.0.1:{port}/"
        await Webhook(url=url, tls_config=tls).send(note(), http, {})
        await Webhook(url=url, http_config={"tls_config": tls}).send(note(), http, {})
        await Webhook(url=url, tls_config={"insecure_skip_verify": True}).send(note(), http, {})
        with pytest.raises(ClientError, match="certificate"):
            await Webhook(url=url).send(note(), http, {})


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
