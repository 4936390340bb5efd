"""Mails: what they say and how they thread, against a real SMTP server with TLS, log-in and refusals."""

from __future__ import annotations

import asyncio
import re

import orjson
import pytest
from aiohttp import ClientSession
from pydantic import ValidationError

from alerts.notifiers.base import NotDelivered
from alerts.notifiers.email import Email
from alerts.template_samples import SAMPLES
from alerts.templates import AS_KEPT, Texts
from checks.base import revealed
from tests.alerts.mail import PASSWORD, USER, mailbox
from tests.alerts.notes import alert, note, resolved
from tests.leaks import held, left_since

NASTY = "\x00\u202e\r\nBcc: evil@example.com\r\n\r\n<script>alert(1)</script> \ud800 & 🔥"


@pytest.fixture
async def http():
    async with ClientSession() as http:
        yield http


def mailer(box=None, **more) -> Email:
    given = {"to": "Team <team@example.com>", "from": "runwatch <runwatch@example.com>", "smarthost": "localhost:25"}
    if box is not None:
        given |= {"smarthost": f"127.0.0.1:{box.port}", "tls_config": {"ca_file": box.ca_file}}
    return Email.model_validate(given | more)


async def test_a_mail_goes_over_starttls_with_a_log_in_and_says_everything_twice(http, tmp_path):
    async with mailbox(tmp_path, login=True) as box:
        await mailer(box, auth_username=USER, auth_password=PASSWORD).send(note(), http, {})
    [mail], [envelope] = box.mails, box.envelopes
    assert box.encrypted == [True]
    assert box.logins == [USER.encode()]
    assert (envelope.mail_from, envelope.rcpt_tos) == ("runwatch@example.com", ["team@example.com"])
    assert str(mail["Subject"]).startswith("[P0] DatabaseDown · shop/database: cannot connect to 10.0.0.5:5432")
    assert mail.get_content_type() == "multipart/alternative"
    plain, html = mail.get_body(("plain",)).get_content(), mail.get_body(("html",)).get_content()
    for text in (plain, html):
        for said in ("DatabaseDown", "shop/web (failing)", "Start it.", "https://runbooks.example/db", "2 ms", "P0"):
            assert said in text
    assert "#c8102e" in html
    assert mail["Importance"] == "high"
    assert mail["Auto-Submitted"] == "auto-generated"


async def test_an_acting_identity_goes_with_the_log_in(http, tmp_path):
    async with mailbox(tmp_path, login=True) as box:
        sent = mailer(box, auth_username=USER, auth_password=PASSWORD, auth_identity=USER)
        await sent.send(note(), http, {})
        with pytest.raises(NotDelivered, match="cannot log in") as refused:
            await mailer(box, auth_username=USER, auth_password="x" * 20, auth_identity=USER).send(note(), http, {})
    assert (refused.value.retry, refused.value.reason) == (False, "authError")
    assert len(box.mails) == 1


async def test_the_mails_of_a_group_are_one_thread(http, tmp_path):
    async with mailbox(tmp_path) as box:
        first = await mailer(box).send(note(), http, {})
        again = await mailer(box).send(note(reason="reminder"), http, first.reference)
        await mailer(box).send(resolved(), http, again.reference)
        await mailer(box).send(note(), http, {})
    one, two, three, retried = box.mails
    assert two["In-Reply-To"] == three["In-Reply-To"] == three["References"] == one["Message-ID"]
    assert two["Subject"] == f"Re: {one['Subject']}"
    assert three["Subject"] == f"Resolved: {one['Subject']}"
    assert "back to normal after 1m" in three.get_body(("plain",)).get_content()
    assert "#2b8a3e" in three.get_body(("html",)).get_content()
    assert retried["Message-ID"] == one["Message-ID"]
    assert len({mail["Message-ID"] for mail in (one, two, three)}) == 3
    assert re.fullmatch(r"<runwatch\.[0-9a-f]{32}@example\.com>", str(one["Message-ID"]))


async def test_implicit_tls_and_a_certificate_for_another_name(http, tmp_path):
    async with mailbox(tmp_path, tls="implicit", name="mail.internal") as box:
        tls = {"ca_file": box.ca_file, "server_name": "mail.internal"}
        await mailer(box, implicit_tls=True, tls_config=tls).send(note(), http, {})
        tls = {"ca_file": box.ca_file, "server_name": "another.internal"}
        with pytest.raises(NotDelivered, match="certificate") as refused:
            await mailer(box, implicit_tls=True, tls_config=tls).send(note(), http, {})
        assert refused.value.retry
        await mailer(box, implicit_tls=True, tls_config={"insecure_skip_verify": True}).send(note(), http, {})
    assert box.encrypted == [True, True]


async def test_a_certificate_that_nobody_trusts_takes_no_mail(http, tmp_path):
    async with mailbox(tmp_path) as box:
        with pytest.raises(NotDelivered, match="certificate"):
            await mailer(box, tls_config={}).send(note(), http, {})
        with pytest.raises(NotDelivered, match="no-such-file"):
            await mailer(box, tls_config={"ca_file": "/no-such-file"}).send(note(), http, {})
    assert box.mails == []


async def test_without_tls_nothing_goes_unless_it_may(http, tmp_path):
    async with mailbox(tmp_path, tls="none", login=True) as box:
        with pytest.raises(NotDelivered, match=r"offers no TLS.*require_tls: false") as refused:
            await mailer(box, auth_username=USER, auth_password=PASSWORD).send(note(), http, {})
        assert not refused.value.retry
        await mailer(box, auth_username=USER, auth_password=PASSWORD, require_tls=False).send(note(), http, {})
    assert box.encrypted == [False]


@pytest.mark.parametrize(
    ("command", "answer", "retry", "reason"),
    [
        ("DATA", "451 4.7.1 greylisted, try again", True, "serverError"),
        ("DATA", "452 4.3.1 disk full", True, "serverError"),
        ("DATA", "552 5.3.4 too large", False, "clientError"),
        ("DATA", "554 5.7.1 spam", False, "clientError"),
        ("MAIL", "450 4.7.1 later", True, "serverError"),
        ("MAIL", "550 5.7.1 not you", False, "clientError"),
        ("MAIL", "530 5.7.0 log in first", False, "authError"),
        ("team@example.com", "451 4.7.1 greylisted", True, "serverError"),
        ("team@example.com", "550 5.1.1 nobody here", False, "clientError"),
    ],
)
async def test_what_a_servers_answer_means(http, tmp_path, command, answer, retry, reason):
    async with mailbox(tmp_path) as box:
        box.answers[command] = answer
        with pytest.raises(NotDelivered, match=answer[:3]) as refused:
            await mailer(box).send(note(), http, {})
        assert (refused.value.retry, refused.value.reason) == (retry, reason)
        box.answers.clear()
        await mailer(box).send(note(), http, {})
    assert len(box.mails) == 1


@pytest.mark.parametrize(("banner", "retry"), [("421 too busy", True), ("554 go away", False), ("", True)])
async def test_a_server_that_does_not_greet(http, tmp_path, banner, retry):
    async with mailbox(tmp_path, banner=banner or " ") as box:
        with pytest.raises(NotDelivered) as refused:
            await mailer(box).send(note(), http, {})
    assert refused.value.retry == retry


async def test_nobody_listens(http, tmp_path):
    async with mailbox(tmp_path) as box:
        pass
    with pytest.raises(NotDelivered, match=r"cannot connect to 127\.0\.0\.1") as refused:
        await mailer(box).send(note(), http, {})
    assert refused.value.retry


async def test_who_is_refused_is_said_while_the_others_are_told(http, tmp_path):
    async with mailbox(tmp_path) as box:
        box.answers["b@example.com"] = "550 5.1.1 nobody here"
        receipt = await mailer(box, to=["a@example.com", "b@example.com"]).send(note(), http, {})
    assert receipt.note == "b@example.com was not told: 550 5.1.1 nobody here"
    assert box.envelopes[0].rcpt_tos == ["a@example.com"]


async def test_a_wrong_password_is_ours_to_mend_and_is_not_shown(http, tmp_path):
    async with mailbox(tmp_path, login=True) as box:
        wrong = mailer(box, auth_username=USER, auth_password="wrong-mail-password")
        with pytest.raises(NotDelivered, match="cannot log in") as refused:
            await wrong.send(note(), http, {})
    assert (refused.value.retry, refused.value.reason) == (False, "authError")
    assert "wrong-mail-password" not in refused.value.why + repr(wrong)


async def test_a_cancelled_attempt_leaves_no_connection(http, tmp_path):
    async with mailbox(tmp_path) as box:
        box.hanging = asyncio.Event()
        before = held()
        attempt = asyncio.ensure_future(mailer(box).send(note(), http, {}))
        await box.hanging.wait()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
    assert not {one for one in await left_since(before) if "socket" in str(one)}


async def test_nothing_that_an_alert_says_gets_into_the_headers_or_runs(http, tmp_path):
    hostile = alert(name=NASTY, sentence=NASTY, evidence=[(NASTY, NASTY)], annotations={"summary": NASTY}, target=NASTY)
    async with mailbox(tmp_path) as box:
        sent = mailer(box, headers={"X-Alert": "{{ note.alerts[0].name }}"}, subject="{{ note.alerts[0].summary }}")
        await sent.send(note(hostile), http, {})
        await mailer(box).send(note(hostile), http, {})
    for mail in box.mails:
        assert mail["Bcc"] is None
        assert "\n" not in str(mail["Subject"])
        assert "<script>" not in mail.get_body(("html",)).get_content()
        assert "\x00" not in mail.get_body(("plain",)).get_content()
    assert "Bcc: evil@example.com" in str(box.mails[0]["X-Alert"])
    assert [envelope.rcpt_tos for envelope in box.envelopes] == [["team@example.com"]] * 2


async def test_a_mail_stays_small_whatever_the_alerts_say():
    labels = {f"l{number}": "x" for number in range(10_000)}
    huge = alert(
        labels=labels, annotations={"description": "x" * 1_000_000}, evidence=[("log", "y" * 1_000_000)] * 20,
        impact=["z" * 1_000] * 1_000, sentence="w" * 1_000_000,
    )  # fmt: skip
    mail = mailer().message(note(*[huge] * 50, left_out=9_950, tally=[("X", 10_000)]), {}, Texts(note()))
    assert len(mail.as_bytes()) < 250_000
    for sort in ("plain", "html"):
        text = mail.get_body((sort,)).get_content()
        assert "(cut)" in text
        assert "9,950 more are not listed here" in text
        assert "X × 10,000" in text


async def test_every_state_is_worded():
    said = {name: mailer().message(sample(), {}, Texts(sample())) for name, sample in SAMPLES.items()}
    assert "[P0, acknowledged by anna]" in said["acknowledged"]["Subject"]
    assert "anna has it since" in said["acknowledged"].get_body(("plain",)).get_content()
    assert "[P0, escalated]" in said["escalated"]["Subject"]
    assert "nobody acknowledged it within 15m" in said["escalated"].get_body(("html",)).get_content()
    assert said["storm"]["Subject"].startswith("[P0, storm] 8,313 alerts, first DatabaseDown")
    assert "HighLatency × 8,312" in said["storm"].get_body(("html",)).get_content()


async def test_templates_word_a_mail_and_a_failing_one_does_not_lose_it():
    own = mailer(
        text="{{ note.status }}", html="<b>{{ note.alerts[0].name }}</b>", headers={"Subject": "x {{ note.reason }}"}
    )
    told = note(alert(labels={"alertname": "<A>"}))
    mail = own.message(told, {"message_id": "<a@b>", "subject": "old"}, Texts(told))
    assert mail["Subject"] == "x first"
    assert mail.get_body(("plain",)).get_content() == "firing\n"
    assert mail.get_body(("html",)).get_content() == "<b>&lt;A&gt;</b>\n"
    assert mailer(html="").message(note(), {}, Texts(note())).get_content_type() == "text/plain"
    broken = Email.model_validate(dict(own) | {"text": "{{ note.nothing }}"}, context=AS_KEPT)
    said = broken.message(note(), {}, Texts(note())).get_body(("plain",)).get_content()
    assert "DatabaseDown" in said
    assert "the template `text` of receiver on-call failed: note has no 'nothing'" in said


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"to": "nobody"}, "'nobody' is not one address"),
        ({"to": []}, "at least one address is wanted"),
        ({"to": ["a@b.example, c@d.example"]}, "not one address"),
        ({"to": ["a@b.example\r\nBcc: x@y.example"]}, "not"),
        ({"to": "täm@example.com"}, "not one address"),
        ({"from": "x"}, "not one address"),
        ({"smarthost": "mail.example.com"}, "no host with a port"),
        ({"smarthost": "mail.example.com:99999"}, "no host with a port"),
        ({"hello": "a b"}, "a host's name is wanted"),
        ({"headers": {"Message-ID": "x"}}, "can't be set here"),
        ({"headers": {"From": "x"}}, "say from: beside it"),
        ({"headers": {"X:": "x"}}, "not the name of a header"),
        ({"headers": {"subject": "x"}, "subject": "y"}, "said twice"),
        ({"auth_username": "x"}, "auth_username needs auth_password"),
        ({"subject": "{{ note.nothing }}"}, "note has no 'nothing'"),
    ],
)
def test_what_is_wrong_is_said_at_load(wrong, said):
    with pytest.raises(ValidationError, match=re.escape(said)):
        mailer(**wrong)


def test_it_survives_the_outbox():
    sent = mailer(
        auth_username="u", auth_password="p", to="A B <a@example.com>, c@example.com", subject="{{ note.why }}"
    )
    assert sent.to == ("A B <a@example.com>", "c@example.com")
    kept = orjson.loads(orjson.dumps(revealed(sent)))
    assert Email.model_validate(kept, context=AS_KEPT) == sent
