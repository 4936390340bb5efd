"""Asks Stripe whether payments come off, webhooks arrive, and nobody is charged twice; reading only."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from checks.base import DIAGNOSIS, DURATION, Asks, Check, Failed, Measurement, Reason, Recommended, Run, Url
from checks.parts import network as _network
from checks.parts.api import Api
from checks.parts.vendors.stripe_api import LARGEST, StripeApi
from checks.parts.vendors.stripe_events import (
    DECLINED,
    MINUTE,
    OUTCOMES,
    PAYMENT_TYPES,
    SUCCEEDED,
    Ledger,
    read_event,
    words,
)
from checks.units import Duration, show_duration
from checks.wire.certificates import visible

VERSION = "2026-10-28.endive"
MOST_TYPES = 20
"""Types of events that Stripe lets a list be narrowed to."""
DELIVERED_WITHIN = 3 * 86400
"""Seconds for which Stripe goes on delivering an event, in live mode."""
LONGEST = 86400.0
SHOWN = 8
DISABLED = "stripe's disabled endpoints"
UNDELIVERED = "stripe's undelivered events"

M = Measurement
MEASUREMENTS = (
    DURATION,
    M("requests", "count", "Requests that the probe made."),
    M("events_covered_seconds", "seconds", "Of what is behind us, the time of which every event was read."),
    M("payments", "count", "Payments (intents) in the window: succeeded, declined, blocked, failed.", ("outcome",)),
    M("payment_success_ratio", "ratio", "Payments that came off, of those that came to an end; one per intent."),
    M(
        "payment_fault_ratio", "ratio",
        "Payments that failed, of those that came to an end, those left out that the card's issuer declined.",
    ),
    M("charges", "count", "Attempts to charge in the window by outcome; a payment may take several.", ("outcome",)),
    M("charge_success_ratio", "ratio", "Attempts to charge that came off, of all."),
    M("duplicate_charges", "count", "Charges in the window that repeat one of the same payer, amount and currency."),
    M("webhook_events", "count", "Events in the window that some webhook endpoint is subscribed to."),
    M("webhook_delivered_ratio", "ratio", "Of these, those that every endpoint has taken by now."),
    M("webhook_undelivered", "count", "Events of the last three days that some endpoint has not taken."),
    M("webhook_oldest_undelivered_seconds", "seconds", "Age of the oldest of these; 0 where there is none."),
    M("webhook_endpoints", "count", "Webhook endpoints that are enabled."),
    M("webhook_endpoints_disabled", "count", "Webhook endpoints that are disabled, by Stripe or by a person."),
)  # fmt: skip

RECOMMENDED = (
    Recommended(
        "PaymentsFail", "payment_success_ratio < 95%", "critical",
        "Of a hundred customers who tried to pay, more than five went away without.", 120.0,
    ),
    Recommended(
        "WebhooksNotDelivered", "webhook_delivered_ratio < 99%", "high",
        "The shop does not hear of payments: orders stay unpaid.", 300.0,
    ),
    Recommended(
        "WebhookEndpointDisabled", "webhook_endpoints_disabled > 0", "high",
        "Stripe disables an endpoint that keeps failing, and then tells it nothing any more.",
    ),
    Recommended("DuplicateCharges", "duplicate_charges > 0", "critical", "A customer seems to have paid twice."),
)  # fmt: skip

ENDPOINT_PAGES = 3


class Payments(BaseModel):
    """How the success of payments is judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: Duration = Field(default=3600.0, ge=60, le=LONGEST, description="Time behind us that counts.")
    minimum: int = Field(default=20, ge=1, description="Payments that a ratio is taken over at least.")
    duplicates_within: Duration = Field(
        default=300.0, ge=0, le=3600, description="Charges of one payer and amount this close count as double; 0: none."
    )


class Webhooks(BaseModel):
    """How the delivery of webhooks is judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: Duration = Field(default=3600.0, ge=60, le=LONGEST, description="Time that counts, before `settle`.")
    settle: Duration = Field(
        default=900.0, ge=0, le=LONGEST, description="Age below which an event may rightly be on its way."
    )
    minimum: int = Field(default=20, ge=1, description="Events that the ratio is taken over at least.")
    urls: tuple[str, ...] = Field(default=(), description="Endpoints that must be there and enabled.")


def _secret_key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if text.startswith("pk_"):
        raise ValueError("a publishable key (pk_…) can't read; write a restricted key (rk_…)")
    if not text.isascii() or not text.isprintable() or len(text) < 8:
        raise ValueError("a key such as rk_live_… is wanted")
    return key


def _http(url: Url) -> Url:
    if url.parts.scheme not in ("http", "https"):
        raise ValueError("an address such as https://api.stripe.com is wanted")
    _network.endpoint(url, _network.port_of(url))
    return url


class Stripe(Check):
    """A Stripe account: its key, the success of payments, the delivery of webhooks, and charges that look double."""

    measurements: ClassVar[tuple[Measurement, ...]] = MEASUREMENTS
    recommended: ClassVar[tuple[Recommended, ...]] = RECOMMENDED

    api_key: Annotated[SecretStr, AfterValidator(_secret_key)] = Field(
        description="A restricted key (rk_live_…) that may read Balance, Events and Webhook Endpoints."
    )
    own_key: bool = Field(
        default=False, description="The key is the monitor's own, not the shop's: refused, it says nothing of the shop."
    )
    livemode: bool = Field(default=True, description="Whether the key must be one of live mode.")
    account: str = Field(default="", pattern=r"^(acct_\w+)?$", description="Connected account to ask about, acct_….")
    payments: Payments | None = Field(default=Payments(), description="Success of payments; null leaves it out.")
    webhooks: Webhooks | None = Field(default=Webhooks(), description="Delivery of webhooks; null leaves it out.")
    pages: int = Field(default=10, ge=1, le=50, description="Pages of 100 events that one probe reads at most.")
    api_url: Annotated[Url, AfterValidator(_http)] = Field(
        default=Url("https://api.stripe.com"), description="Address of the API."
    )
    api_version: str = Field(default=VERSION, pattern=r"^[\w.-]+$", description="Version of the API to ask for.")
    tls: _network.TlsSettings = Field(default=_network.TlsSettings(), description="Settings of the encryption.")
    interval: Duration = Field(default=60.0, gt=0, description="Time from one probe's start to the next.")
    timeout: Duration = Field(default=20.0, gt=0, description="When an unanswered probe counts as failed.")

    @property
    def target(self) -> str:
        """Where it asks."""
        return str(self.api_url)

    def asks(self) -> tuple[Asks, ...]:
        """The balance, endpoints, events and those not delivered; of these up to `pages` each."""
        events = self.payments is not None or self.webhooks is not None
        webhooks = self.webhooks is not None
        most = 1 + events * self.pages + webhooks * (ENDPOINT_PAGES + self.pages)
        return (Asks(self.target, 1 + events + 2 * webhooks, most, diagnosis=1),)

    async def probe(self, run: Run) -> None:
        """Ask for the balance, the webhook endpoints, the events since the last probe and those not delivered."""
        async with self._api(self.timeout) as api:
            stripe = StripeApi(api, run, self.own_key)
            self._judge_mode(await stripe.get("/v1/balance"))
            endpoints: list[Mapping[str, Any]] = []
            if self.webhooks:
                endpoints, _ = await stripe.listed("/v1/webhook_endpoints", {}, ENDPOINT_PAGES, _endpoint)
            ledger = await self._read_events(stripe, run, _subscribed(endpoints))
            if self.payments:
                self._judge_payments(self.payments, ledger, run)
            if self.webhooks:
                await self._judge_webhooks(self.webhooks, stripe, ledger, run)
            run.record("requests", stripe.requests)
        if self.webhooks:
            self._judge_endpoints(self.webhooks, endpoints, run)

    def _api(self, seconds: float) -> Api:
        headers = {"Authorization": f"Bearer {self.api_key.get_secret_value()}", "Stripe-Version": self.api_version}
        if self.account:
            headers["Stripe-Account"] = self.account
        return Api("Stripe", self.api_url.reveal(), seconds, headers=headers, tls=self.tls, largest=LARGEST)

    def _judge_mode(self, balance: dict[str, Any]) -> None:
        live = balance.get("livemode")
        if balance.get("object") != "balance" or not isinstance(live, bool):
            raise Failed(Reason.BODY, "Stripe did not answer /v1/balance with a balance")
        if live != self.livemode:
            mode, wanted = ("live", "test") if live else ("test", "live")
            raise Failed(Reason.ASSERTION, f"the key is of {mode} mode, expected is {wanted} mode (livemode)")

    async def _read_events(self, stripe: StripeApi, run: Run, subscribed: frozenset[str]) -> Ledger:
        """What is known of the events, brought up to date: newest first, down to those that are known."""
        types = {*subscribed, *(PAYMENT_TYPES if self.payments else ())}
        # What was read for other types, or with another account's key, does not count for these.
        of = [self.api_key.get_secret_value(), self.account, str(self.api_url), *sorted(types)]
        since = int(run.at - self._longest())
        ledger = Ledger.read(run.kept.get("events"), hashlib.sha256(" ".join(of).encode()).hexdigest()[:8], since)
        if not types:
            return ledger
        query: dict[str, str | list[str]] = {"created[gte]": str(max(since, ledger.again))}
        if "*" not in types and len(types) <= MOST_TYPES:
            query["types[]"] = sorted(types)
        read, left = await stripe.listed("/v1/events", query, self.pages, read_event)
        if left:
            # Of the second in which we had to stop, not all may have been read.
            ledger.forget(min(one.created for one in read) + 1)
            read = [one for one in read if one.created >= ledger.since]
        ledger.add(read, subscribed)
        ledger.mark(read, since, int(run.at))
        ledger.forget(since)
        run.kept["events"] = ledger.keep()
        run.record("events_covered_seconds", max(0.0, run.at - ledger.since))
        return ledger

    def _longest(self) -> float:
        """Seconds back that some question needs."""
        needs = [self.payments.window + self.payments.duplicates_within] if self.payments else []
        needs += [self.webhooks.window + self.webhooks.settle + MINUTE] if self.webhooks else []
        return max(needs, default=0.0)

    def _judge_payments(self, wanted: Payments, ledger: Ledger, run: Run) -> None:
        since = run.at - wanted.window
        for outcomes, name, ratio in (
            (ledger.payments(since), "payments", "payment_success_ratio"),
            (ledger.attempts(since), "charges", "charge_success_ratio"),
        ):
            for outcome in OUTCOMES:
                run.record(name, outcomes[outcome], outcome=outcome)
            if outcomes.total() >= wanted.minimum:
                run.record(ratio, outcomes[SUCCEEDED] / outcomes.total())
                if name == "payments":
                    run.record("payment_fault_ratio", 1 - (outcomes[SUCCEEDED] + outcomes[DECLINED]) / outcomes.total())
        if wanted.duplicates_within:
            pairs = ledger.duplicates(since, wanted.duplicates_within)
            run.record("duplicate_charges", len(pairs))
            if pairs:
                lines = [f"{second} {show_duration(apart)} after {first}" for first, second, apart in pairs[:SHOWN]]
                run.evidence("charges that look double", "\n".join(lines))

    async def _judge_webhooks(self, wanted: Webhooks, stripe: StripeApi, ledger: Ledger, run: Run) -> None:
        """Delivered are, of the events of a window that has settled, those which Stripe does not call undelivered."""
        end = int((run.at - wanted.settle) // MINUTE * MINUTE)
        start = max(int((end - wanted.window) // MINUTE * MINUTE), -(-ledger.since // MINUTE) * MINUTE)
        query = {
            "delivery_success": "false", "created[lt]": str(end), "created[gte]": str(int(run.at - DELIVERED_WITHIN)),
        }  # fmt: skip
        undelivered, _ = await stripe.listed("/v1/events", query, self.pages, read_event)
        run.record("webhook_undelivered", len(undelivered))
        oldest = min((one.created for one in undelivered), default=run.at)
        run.record("webhook_oldest_undelivered_seconds", max(0.0, run.at - oldest))
        within = sum(start <= one.created < end for one in undelivered)
        events = max(ledger.events(start, end), within)
        run.record("webhook_events", events)
        if events >= wanted.minimum:
            run.record("webhook_delivered_ratio", 1 - within / events)
        if undelivered:
            lines = [
                f"{one.id} {visible(one.type, 60)}, {show_duration(max(0, run.at - one.created))} old"
                for one in undelivered[:SHOWN]
            ]
            run.evidence(f"undelivered events, newest of {len(undelivered)}", "\n".join(lines))

    def _judge_endpoints(self, wanted: Webhooks, endpoints: list[Mapping[str, Any]], run: Run) -> None:
        enabled = {one["url"] for one in endpoints if one["status"] == "enabled"}
        disabled = [_shown(one["url"]) for one in endpoints if one["status"] != "enabled"]
        run.record("webhook_endpoints", len(endpoints) - len(disabled))
        run.record("webhook_endpoints_disabled", len(disabled))
        if disabled:
            run.evidence("disabled webhook endpoints", "\n".join(disabled[:SHOWN]))
        for url in wanted.urls:
            if url not in enabled:
                why = "disabled" if _shown(url) in disabled else "not there"
                raise Failed(Reason.ASSERTION, f"Stripe's webhook endpoint {_shown(url)} is {why}")

    async def diagnose(self, run: Run) -> None:
        """What the last failed payments failed with."""
        async with self._api(DIAGNOSIS * 0.9) as api:
            query = {"types[]": ["payment_intent.payment_failed", "charge.failed"]}
            failures, _ = await StripeApi(api, run, self.own_key).listed("/v1/events", query, 1, read_event)
        why = Counter(words(one) for one in failures if run.at - one.created < LONGEST)
        if why:
            lines = [f"{count} times {reason}" for reason, count in why.most_common(SHOWN)]
            run.evidence("what the last failures of a day failed with", "\n".join(lines))


def _endpoint(value: Any) -> Mapping[str, Any] | None:
    match value:
        case {"id": str(), "url": str(), "status": str()}:
            return dict(value)
    return None


def _subscribed(endpoints: list[Mapping[str, Any]]) -> frozenset[str]:
    """The types of events that some enabled endpoint wants; `*` is all of them."""
    wanted = [one.get("enabled_events") for one in endpoints if one["status"] == "enabled"]
    return frozenset(str(name) for names in wanted if isinstance(names, list) for name in names)


def _shown(url: str) -> str:
    """An endpoint without its query, which may hold a secret."""
    return visible(url.partition("?")[0], 120)
