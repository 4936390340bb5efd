"""The long tail, through apprise: against a local server that takes its json:// addresses."""

from __future__ import annotations

import asyncio
import sys

import orjson
import pytest
from pydantic import ValidationError

from alerts.notifiers.apprise import LONGEST_BODY, Apprise, _library
from alerts.notifiers.base import NotDelivered
from alerts.template_samples import SAMPLES
from alerts.templates import AS_KEPT, Texts
from checks.base import revealed
from monitor.demo.inbox import Fault, Inbox
from tests.alerts.notes import alert, note, resolved

SECRET = "Passw0rdOfTheHook"


def teller(*inboxes: Inbox, **more) -> Apprise:
    return Apprise(urls=[f"json://me:{SECRET}@127.0.0.1:{inbox.port}/hook/x?rto=5" for inbox in inboxes], **more)


async def send(told: Apprise, said=None):
    return await told.send(said or note(), None, {})  # type: ignore[arg-type]  # apprise brings its own HTTP


async def test_what_fires_and_what_ends_is_told():
    async with Inbox() as inbox:
        await send(teller(inbox))
        await send(teller(inbox), resolved())
    fired, ended = [message.body for message in inbox.sent_to("/hook/x")]
    assert fired["title"].startswith("[P0] DatabaseDown · shop/database")
    assert "Start it." in fired["message"]
    assert (fired["type"], ended["type"]) == ("failure", "success")
    assert ended["title"].startswith("[RESOLVED]")


async def test_a_failure_says_why_and_shows_no_secret():
    async with Inbox() as inbox:
        inbox.fault(Fault("/hook", 503))
        with pytest.raises(NotDelivered) as refused:
            await send(teller(inbox))
    assert refused.value.retry
    assert "apprise could not deliver to json://" in refused.value.why
    assert "503" in refused.value.why
    assert SECRET not in refused.value.why


async def test_one_address_that_takes_it_is_enough_and_the_other_is_named():
    async with Inbox() as good, Inbox() as bad:
        bad.fault(Fault("/hook", 500))
        receipt = await send(teller(bad, good))
    assert "could not deliver to json://" in receipt.note
    assert len(good.sent_to("/hook/x")) == 1


async def test_a_service_that_hangs_holds_nobody_up():
    async with Inbox() as slow, Inbox() as quick:
        slow.fault(Fault("/hook", hang=True, times=1))
        waiting = asyncio.ensure_future(send(teller(slow)))
        await send(teller(quick))
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_complaints_of_one_message_are_not_those_of_another():
    async with Inbox() as good, Inbox() as bad:
        bad.fault(Fault("/hook", 500))
        results = await asyncio.gather(send(teller(good)), send(teller(bad)), return_exceptions=True)
    assert results[0].note == ""
    assert isinstance(results[1], NotDelivered)


async def test_templates_word_it_and_hostile_texts_are_cut():
    async with Inbox() as inbox:
        worded = teller(inbox, title="{{ note.status }}\n{{ note.reason }}", body="{{ note.alerts[0].sentence }}")
        await send(worded, note(alert(sentence="a\x00b")))
        await send(teller(inbox), note(*[alert(sentence="x" * 1_000_000, labels={})] * 100))
    short, long = [message.body for message in inbox.sent_to("/hook/x")]
    assert (short["title"], short["message"]) == ("firing first", "a\ufffdb")
    assert len(long["message"]) <= LONGEST_BODY
    assert len(long["title"]) <= 250


@pytest.mark.parametrize(
    ("urls", "said"),
    [
        ([], "at least 1 item"),
        (["nothing"], "address 1 of urls can't be used: it has no schema such as tgram://"),
        (["json://localhost", f"nothing://{SECRET}"], "address 2 of urls can't be used: apprise can't use the nothing://"),
        ("tgram://", "can't use the tgram:// address"),
    ],
)  # fmt: skip
def test_what_apprise_can_not_use_is_said_at_load_without_the_address(urls, said):
    with pytest.raises(ValidationError) as refused:
        Apprise(urls=urls)
    assert said in str(refused.value)
    assert SECRET not in "".join(error["msg"] for error in refused.value.errors())


def test_it_survives_the_outbox():
    made = Apprise(urls="json://localhost", title="{{ note.status }}")
    kept = orjson.loads(orjson.dumps(revealed(made)))
    assert Apprise.model_validate(kept, context=AS_KEPT) == made
    assert made.preview(SAMPLES["firing"](), Texts(note()))["title"] == "firing"


def test_where_it_is_not_installed_the_way_out_is_said(monkeypatch):
    _library.cache_clear()
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ValidationError, match=r"apprise is not installed; pip install runwatch\[apprise\]"):
        Apprise(urls="json://localhost")
