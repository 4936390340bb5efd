"""The stripe kind against an account on loopback: payments, webhooks, doubles, rights, limits, strange answers."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from alerts.thresholds import parse
from checks.base import KEPT_MOST, Failed, Reason, Run
from checks.parts.vendors.stripe_events import MOST, Event, Ledger, read_event
from checks.stripe import Stripe
from monitor.demo.parts.stripe import KEY, Account, refusal
from tests.checks import web as servers
from tests.checks.probing import asked, cancelled, errs, evidence, fails, result_of, value, values
from tests.faults import FaultProxy

NOW = 1_795_360_000.0


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    async with Account() as running:
        yield running


def check(account: Account, **fields: Any) -> Stripe:
    return Stripe(name="payments", **{"api_url": account.url, "api_key": KEY, **fields})


async def test_a_healthy_account_costs_four_requests_and_shows_no_amounts(account: Account) -> None:
    account.endpoint("https://shop.example/hooks")
    for number in range(30):
        account.attempt(NOW - 3000 + number * 60, f"pi_{number}", who=f"cus_{number}")
    run = await asked(check(account), at=NOW)
    assert value(run, "payment_success_ratio") == value(run, "charge_success_ratio") == 1.0
    assert value(run, "webhook_delivered_ratio") == 1.0
    assert value(run, "webhook_oldest_undelivered_seconds") == 0
    assert (value(run, "webhook_endpoints"), value(run, "webhook_endpoints_disabled")) == (1, 0)
    assert value(run, "requests") == len(account.asked) == 4
    assert account.versions == {"2026-10-28.endive"}
    assert not run.evidences
    assert 420000 not in [number for _, number, _ in run.measurements]


async def test_a_customer_who_pays_at_the_third_attempt_is_one_payment_that_came_off(account: Account) -> None:
    for number in range(18):
        account.attempt(NOW - 1000, f"pi_{number}", who=f"cus_{number}")
    account.attempt(NOW - 900, "pi_late", fails="issuer_declined")
    account.attempt(NOW - 890, "pi_late", fails="issuer_declined")
    account.attempt(NOW - 880, "pi_late")
    account.attempt(NOW - 500, "pi_poor", fails="issuer_declined")
    account.attempt(NOW - 400, "pi_blocked", fails="blocked")
    account.attempt(NOW - 300, "pi_broken", fails="invalid")
    # An abandoned basket is no payment.
    account.event("payment_intent.created", NOW - 200, {"id": "pi_basket"})
    account.event("payment_intent.canceled", NOW - 100, {"id": "pi_basket", "last_payment_error": None})
    run = await asked(check(account), at=NOW)
    outcomes = {dict(labels)["outcome"]: count for labels, count in values(run, "payments").items()}
    assert outcomes == {"succeeded": 19, "declined": 1, "blocked": 1, "failed": 1}
    assert value(run, "payment_success_ratio") == pytest.approx(19 / 22)
    assert value(run, "payment_fault_ratio") == pytest.approx(2 / 22)
    assert value(run, "charge_success_ratio") == pytest.approx(19 / 24)
    assert value(run, "charges", outcome="declined") == 3


async def test_a_ratio_of_few_is_none(account: Account) -> None:
    account.endpoint("https://shop.example/hooks")
    for number in range(19):
        account.attempt(NOW - 1000, f"pi_{number}", fails="blocked")
    run = await asked(check(account, webhooks={"minimum": 50}), at=NOW)
    assert not values(run, "payment_success_ratio")
    assert not values(run, "charge_success_ratio")
    assert not values(run, "webhook_delivered_ratio")
    assert value(run, "payments", outcome="blocked") == 19
    assert values(await asked(check(account, payments={"minimum": 19}), at=NOW), "payment_success_ratio")


async def test_delivery_is_judged_of_events_that_have_settled_and_are_subscribed_to(account: Account) -> None:
    account.endpoint("https://shop.example/hooks", "charge.succeeded")
    for number in range(50):
        account.event("charge.succeeded", NOW - 3000 + number, delivered=number >= 5)
    for number in range(40):
        account.event("charge.succeeded", NOW - 600 + number, delivered=False)
        account.event("customer.created", NOW - 2000 + number)
    account.event("charge.succeeded", NOW - 2 * 86400, delivered=False)
    account.event("charge.succeeded", NOW - 4 * 86400, delivered=False)
    run = await asked(check(account), at=NOW)
    assert value(run, "webhook_events") == 50
    assert value(run, "webhook_delivered_ratio") == 0.9
    assert value(run, "webhook_undelivered") == 6
    assert value(run, "webhook_oldest_undelivered_seconds") == 2 * 86400
    assert "charge.succeeded, 49m" in evidence(run, "undelivered events, newest of 6")


async def test_only_what_is_new_is_read_also_after_a_restart(account: Account) -> None:
    account.endpoint("https://shop.example/hooks")
    for number in range(250):
        account.attempt(NOW - 3600 + 10 * number, f"pi_{number}", who=f"cus_{number}")
    memory: dict[Any, Any] = {}
    first = await asked(check(account), memory, at=NOW)
    assert value(first, "requests") == 3 + len(account.events) // 100
    kept = json.loads(json.dumps(Run(memory).kept))
    account.attempt(NOW + 30, "pi_new", fails="blocked")
    # Listed late, created before what is known.
    account.event("charge.succeeded", NOW - 3600 + 10 * 249 - 20)
    again = await asked(check(account), {"kept": kept}, at=NOW + 60)
    assert value(again, "requests") == 4
    whole = await asked(check(account), {}, at=NOW + 60)
    for name in ("payments", "charges", "webhook_events", "payment_success_ratio", "webhook_delivered_ratio"):
        assert values(again, name) == values(whole, name), name


async def test_more_events_than_may_be_read_shorten_what_is_covered(account: Account) -> None:
    account.endpoint("https://shop.example/hooks")
    for number in range(1000):
        account.event("invoice.paid", NOW - 4000 + number * 4)
    run = await asked(check(account, pages=2), at=NOW)
    assert value(run, "requests") == 5
    assert value(run, "events_covered_seconds") == pytest.approx(800, abs=8)
    assert not values(run, "webhook_delivered_ratio")
    assert value(run, "webhook_events") == 0


async def test_what_came_off_stays_so_whatever_is_said_of_it_later(account: Account) -> None:
    account.attempt(NOW - 900, "pi_1")
    error = {"code": "expired", "charge": None}
    account.event("payment_intent.canceled", NOW - 800, {"id": "pi_1", "last_payment_error": error})
    account.event("payment_intent.canceled", NOW - 800, {"id": "pi_2", "last_payment_error": error})
    account.event("payment_intent.amount_capturable_updated", NOW - 700, {"id": "pi_3", "status": "requires_capture"})
    account.event("payment_intent.amount_capturable_updated", NOW - 700, {"id": "pi_4", "status": "processing"})
    run = await asked(check(account), at=NOW)
    outcomes = {dict(labels)["outcome"]: count for labels, count in values(run, "payments").items()}
    assert outcomes == {"succeeded": 2, "declined": 0, "blocked": 0, "failed": 1}


async def test_of_the_second_in_which_reading_stopped_nothing_counts(account: Account) -> None:
    for number in range(150):
        account.attempt(NOW - 600, f"pi_{number}", who=f"cus_{number}")
    for number in range(40):
        account.attempt(NOW - 300, f"pi_later_{number}", who=f"cus_{number}")
    run = await asked(check(account, pages=1), at=NOW)
    assert value(run, "payments", outcome="succeeded") == 40
    assert value(run, "events_covered_seconds") == 599


async def test_an_event_ahead_of_time_hides_none_that_come_after_it(account: Account) -> None:
    memory: dict[Any, Any] = {}
    account.attempt(NOW + 10**8, "pi_ahead")
    await asked(check(account), memory, at=NOW)
    account.attempt(NOW + 30, "pi_now", who="cus_2")
    assert value(await asked(check(account), memory, at=NOW + 60), "payments", outcome="succeeded") == 2


async def test_a_busy_minute_is_counted_once(account: Account) -> None:
    account.endpoint("https://shop.example/hooks")
    memory: dict[Any, Any] = {}
    for number in range(900):
        account.event("invoice.paid", NOW - 1000 + number / 20)
    for later in range(3):
        run = await asked(check(account), memory, at=NOW + 60 * later)
        assert value(run, "webhook_events") == 900
    assert len(run.kept["events"]["recent"]) <= 500


async def test_charges_that_look_double_are_shown_without_amounts(account: Account) -> None:
    first = account.attempt(NOW - 900, "pi_1", who="cus_7", amount=98765)
    second = account.attempt(NOW - 840, "pi_2", who="cus_7", amount=98765)
    account.attempt(NOW - 830, "pi_3", who="cus_7", amount=98766)
    account.attempt(NOW - 830, "pi_4", who="cus_8", amount=98765)
    account.attempt(NOW - 830, "pi_5", who=None, amount=98765)
    account.attempt(NOW - 830, "pi_6", who=None, amount=98765)
    account.attempt(NOW - 300, "pi_7", who="cus_7", amount=98765)
    # Of the window before.
    account.attempt(NOW - 3700, "pi_8", who="cus_9")
    account.attempt(NOW - 3650, "pi_9", who="cus_9")
    run = await asked(check(account), at=NOW)
    assert value(run, "duplicate_charges") == 1
    assert evidence(run, "charges that look double") == f"{second} 1m after {first}"
    assert "98765" not in json.dumps(run.kept)
    none = await asked(check(account, payments={"duplicates_within": 0}), at=NOW)
    assert not values(none, "duplicate_charges")


async def test_a_wanted_endpoint_that_is_missing_or_disabled_has_failed(account: Account) -> None:
    account.endpoint("https://shop.example/hooks?token=s3same", status="disabled")
    wanted = {"urls": ["https://shop.example/hooks?token=s3same"]}
    result = await fails(check(account, webhooks=wanted), Reason.ASSERTION, "https://shop.example/hooks is disabled")
    assert "s3same" not in result.sentence + str(result.evidence)
    assert value(result, "webhook_endpoints_disabled") == 1
    await fails(check(account, webhooks={"urls": ["https://other.example"]}), Reason.ASSERTION, "is not there")
    account.endpoint("https://shop.example/hooks?token=s3same")
    assert (await result_of(check(account, webhooks=wanted))).reason is None


async def test_a_refused_key_is_the_shops_failure_and_of_our_own_key_our_error(account: Account) -> None:
    wrong = "rk_live_wrongwrong"
    result = await fails(check(account, api_key=wrong), Reason.AUTH, "refuses the key", "can't charge either")
    assert evidence(result, "Stripe's Request-Id") == "req_123 (GET /v1/balance)"
    await errs(check(account, api_key=wrong, own_key=True), Reason.AUTH, "new restricted key for the monitor")


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("/v1/balance", "Balance: Read"),
        ("/v1/events", "Events: Read"),
        ("/v1/webhook_endpoints", "Webhook Endpoints: Read"),
    ],
)
async def test_a_missing_right_is_our_error_that_names_the_right(account: Account, path: str, right: str) -> None:
    account.rights.discard(path)
    await errs(check(account), Reason.AUTH, "more_permissions_required", f"give the restricted key the right '{right}'")


async def test_without_payments_and_webhooks_the_balance_is_all_that_is_asked(account: Account) -> None:
    account.rights = {"/v1/balance"}
    run = await asked(check(account, payments=None, webhooks=None), at=NOW)
    assert account.asked == ["/v1/balance"]
    assert value(run, "requests") == 1
    account.rights.add("/v1/events")
    await asked(check(account, webhooks=None), at=NOW)
    assert "types%5B%5D=charge.failed" in account.asked[-1]


async def test_the_mode_has_to_be_the_wanted_one(account: Account) -> None:
    await fails(check(account, livemode=False), Reason.ASSERTION, "the key is of live mode, expected is test mode")
    account.livemode = False
    assert (await result_of(check(account, livemode=False))).reason is None


async def test_a_limited_rate_is_unknown_and_nothing_is_asked_until_it_is_over(account: Account) -> None:
    limited = refusal(
        429, "rate_limit", "Too many requests", Retry_After="30", Stripe_Rate_Limited_Reason="endpoint-rate"
    )
    account.answers["/v1/events"] = [limited]
    memory: dict[Any, Any] = {}
    await errs(check(account), Reason.RATE_LIMITED, "(endpoint-rate)", "Too many requests", memory=memory)
    before = len(account.asked)
    await errs(check(account), Reason.RATE_LIMITED, "cannot ask Stripe for another", memory=memory)
    assert len(account.asked) == before
    await asked(check(account), memory, at=time.time() + 31)


@pytest.mark.parametrize("after", ["nan", "-1", "1e99", "soon", "inf"])
async def test_a_strange_pause_is_a_short_or_bounded_one(account: Account, after: str) -> None:
    account.answers["/v1/balance"] = [refusal(429, "rate_limit", "slow", Retry_After=after)]
    memory: dict[Any, Any] = {}
    await errs(check(account), Reason.RATE_LIMITED, memory=memory)
    await asked(check(account), memory, at=time.time() + 601)


@pytest.mark.parametrize(
    ("path", "answer", "reason", "words"),
    [
        ("/v1/balance", web.Response(text="<html>"), Reason.BODY, "did not answer with JSON"),
        ("/v1/balance", web.Response(text="[1]"), Reason.BODY, "did not answer /v1/balance with an object"),
        ("/v1/balance", web.Response(text='{"object":"balance","livemode":1}'), Reason.BODY, "with a balance"),
        ("/v1/balance", web.Response(text="[" * 100_000), Reason.BODY, "did not answer with JSON"),
        ("/v1/balance", web.Response(text=" " * (5 * 2**20)), Reason.BODY, "is larger than 4 MiB"),
        ("/v1/balance", web.Response(status=503, text="\x1b[31mdown\x07"), Reason.STATUS, "/v1/balance: �[31mdown�"),
        ("/v1/balance", web.Response(status=302), Reason.STATUS, "answered 302"),
        ("/v1/events", web.Response(text='{"object":"list"}'), Reason.BODY, "with a list of what belongs there"),
        ("/v1/events", web.Response(text='{"data":[],"has_more":true}'), Reason.BODY, "list of what belongs"),
        ("/v1/events", web.Response(text='{"data":[{"id":1}],"has_more":false}'), Reason.BODY, "list of what belongs"),
        ("/v1/events", web.Response(text='{"data":[],"has_more":"no"}'), Reason.BODY, "list of what belongs"),
        ("/v1/webhook_endpoints", web.Response(text='{"data":[[]],"has_more":false}'), Reason.BODY, "list of what"),
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_no_good_answer(
    account: Account, path: str, answer: web.Response, reason: Reason, words: str
) -> None:
    account.answers[path] = [answer]
    await fails(check(account), reason, words)


async def test_a_question_that_stripe_does_not_understand_is_ours(account: Account) -> None:
    account.answers["/v1/balance"] = [refusal(400, "invalid", "Invalid Stripe API version: 2026-10-28.endive")]
    await errs(check(account), Reason.INTERNAL, "Invalid Stripe API version")


async def test_nobody_there_silence_and_half_an_answer(account: Account) -> None:
    await fails(check(account, api_url=f"http://127.0.0.1:{servers.closed_port()}"), Reason.CONNECT_REFUSED)
    async with servers.serving(servers.hang) as silent:
        await fails(check(account, api_url=silent.url(""), timeout="1s"), Reason.READ_TIMEOUT, "within 1 s")
    half = servers.then_hang(servers.reply(b"{", "200 OK", "Content-Length: 10", length=False))
    async with servers.serving(half) as slow:
        await fails(check(account, api_url=slow.url(""), timeout="1s"), Reason.READ_TIMEOUT)
    async with FaultProxy("127.0.0.1", int(account.url.rpartition(":")[2])) as proxy:
        proxy.cut_after = 60
        await fails(check(account, api_url=f"http://{proxy.address}"), Reason.PROTOCOL)


async def test_what_breaks_off_in_the_middle_is_read_again_the_next_time(account: Account) -> None:
    for number in range(150):
        account.attempt(NOW - 1000, f"pi_{number}", who=f"cus_{number}")
    ask, memory = check(account), {}
    account.answers["/v1/events"] = [await account_page(account), web.Response(status=500)]
    with pytest.raises(Failed, match="answered 500"):
        await ask.probe(Run(memory, NOW))
    assert value(await asked(ask, memory, at=NOW), "payments", outcome="succeeded") == 150


async def account_page(account: Account) -> web.Response:
    page = sorted(account.events, key=lambda one: one["id"], reverse=True)[:100]
    return web.json_response({"object": "list", "has_more": True, "data": page})


async def test_cancelled_it_leaves_nothing(account: Account) -> None:
    async with servers.serving(servers.hang) as silent:
        await asked(check(account), at=NOW)
        await cancelled(check(account, api_url=silent.url("")), silent)


async def test_diagnose_says_what_the_failures_failed_with(account: Account) -> None:
    for _ in range(3):
        account.attempt(NOW - 100, "pi_1", fails="issuer_declined")
    account.attempt(NOW - 2 * 86400, "pi_old", fails="issuer_declined")
    run = Run(at=NOW)
    await check(account).diagnose(run)
    text = evidence(run, "what the last failures of a day failed with")
    assert "3 times payment_intent.payment_failed card_declined generic" in text
    assert "3 times charge.failed" in text


def test_a_key_that_can_not_read_is_refused_at_load() -> None:
    with pytest.raises(ValidationError, match="a publishable key"):
        Stripe(name="x", api_key="pk_live_abcdefgh")
    with pytest.raises(ValidationError, match="a key such as"):
        Stripe(name="x", api_key="rk_live_a\nb")
    with pytest.raises(ValidationError, match="an address such as https"):
        Stripe(name="x", api_key=KEY, api_url="ftp://x")


def test_recommended_conditions_are_of_its_measurements() -> None:
    for one in Stripe.recommended:
        parse(one.when, {measured.name: measured for measured in Stripe.measurements})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
def test_anything_kept_is_read_or_passed_over(kept: Any) -> None:
    Ledger.read(kept, "a", 10)
    Ledger.read(
        {"of": "a", "since": 10, "again": 20, "recent": kept, "minutes": kept, "intents": kept, "charges": kept},
        "a",
        10,
    )
    read_event(kept)
    read_event({"id": "evt_1", "created": 5, "type": "charge.succeeded", "data": kept})


def test_at_its_fullest_the_ledger_may_be_kept() -> None:
    ledger = Ledger("0" * 8, 0)
    events = []
    for number in range(2 * MOST):
        name = f"{number:064d}"
        held = {"id": name, "customer": name, "amount": 10**9, "currency": "eur"}
        events.append(Event(name, 1_790_000_000 + number * 120, "charge.succeeded", held))
        held = {"id": name, "last_payment_error": {"charge": name, "decline_code": "x"}}
        events.append(Event("i" + name[1:], 1_790_000_000 + number * 120, "payment_intent.payment_failed", held))
    ledger.add(events, frozenset("*"))
    ledger.mark(events, 0, 2**33)
    ledger.forget(0)
    ledger.recent = {f"{number:064d}" for number in range(500)}
    assert len(ledger.charges) == len(ledger.intents) == MOST
    assert len(json.dumps({"events": ledger.keep()})) < KEPT_MOST
    assert Ledger.read(ledger.keep(), "0" * 8, 0) == ledger
