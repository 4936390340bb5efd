"""Dakkah's Stripe account and Stripe's status page: payments, webhooks, and what goes wrong with them (D10, D11)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

from aiohttp import web

from monitor.demo.installation import Installation, fault
from monitor.demo.parts.site import Site
from monitor.demo.parts.stripe import KEY, Account, refusal

HOUR = 3_600.0
EVERY = 120.0
"""Seconds between two payments."""
WELL = {"largestatus": "up", "message": "All services are online.", "statuses": {"api": "up", "webhooks": "up"}}


class Till(Account):
    """An account in which somebody pays every two minutes, and that can refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.refuses: tuple[int, str, str] | None = None
        """Status, code and message of what every request is answered, if not what it asks for."""
        self._paid = 0.0

    async def handle(self, request: web.Request) -> web.Response:
        """One answer."""
        return refusal(*self.refuses) if self.refuses else await super().handle(request)

    def pay(self, now: float) -> None:
        """Payments up to now; where the clock was put back, or nothing is known yet, of two hours."""
        if not self._paid <= now < self._paid + HOUR:
            self.events.clear()
            self._paid = now - 2 * HOUR
        while self._paid + EVERY <= now:
            self._paid += EVERY
            self.attempts(1, self._paid)
        del self.events[:-2_000]

    def attempts(self, count: int, at: float, fails: str = "") -> None:
        """So many customers try to pay, each once."""
        for _ in range(count):
            name = uuid4().hex
            self.attempt(at, f"pi_{name}", who=f"cus_{name}", fails=fails)


class DakkahMoney(Installation):
    """Stripe's part of the installation; its time is that of whoever watches."""

    stripe: Till
    status_page: Site

    async def start_money(self) -> None:
        """Start the account and the status page."""
        self.stripe = await self.stack.enter_async_context(Till())
        self.stripe.endpoint("https://dakkah.example.com/hooks/stripe")
        self.status_page = await self.stack.enter_async_context(Site())
        self.status_page.answers("/current", WELL)
        self.every(60, self._sells)
        self.environment |= {
            "DAKKAH_STRIPE_API_KEY": KEY, "DAKKAH_STRIPE_URL": self.stripe.url,
            "DAKKAH_STRIPE_STATUS_URL": self.status_page.url,
        }  # fmt: skip

    async def _sells(self) -> None:
        self.stripe.pay(self.now())

    @fault("D10", "Stripe's status page says that its API is degraded, and the API answers 500")
    async def stripe_outage(self) -> AsyncIterator[None]:
        """One cause."""
        said = {"largestatus": "degraded", "message": "Elevated error rates", "statuses": {"api": "degraded"}}
        self.stripe.refuses = (500, "api_error", "An unknown error occurred")
        with self.status_page.instead("/current", said):
            yield
        self.stripe.refuses = None

    @fault("D10.key", "Stripe refuses the key: it has expired")
    async def key_refused(self) -> AsyncIterator[None]:
        """Stripe itself is well."""
        self.stripe.refuses = (401, "api_key_expired", "Expired API Key provided: rk_live_****mnop")
        yield
        self.stripe.refuses = None

    @fault("D11", "one of eight customers can't pay: a rule of Radar blocks them")
    async def payments_fail(self) -> AsyncIterator[None]:
        """Healed by those who can."""
        self.stripe.attempts(5, self.now(), fails="blocked")
        yield
        failed = sum(one["type"] == "payment_intent.payment_failed" for one in self._of_the_hour())
        paid = sum(one["type"] == "payment_intent.succeeded" for one in self._of_the_hour())
        self.stripe.attempts(max(0, 25 * failed - paid), self.now())

    @fault("D11.webhooks", "the shop does not take the webhooks of the last hour")
    async def webhooks_not_delivered(self) -> AsyncIterator[None]:
        """It answers them with an error."""
        undelivered = self._of_the_hour()
        for event in undelivered:
            event["pending_webhooks"] = 1
        yield
        for event in undelivered:
            event["pending_webhooks"] = 0

    @fault("D11.endpoint", "Stripe has disabled the webhook endpoint, which failed for days")
    async def endpoint_disabled(self) -> AsyncIterator[None]:
        """It tells the shop nothing any more."""
        [endpoint] = self.stripe.endpoints
        endpoint["status"] = "disabled"
        yield
        endpoint["status"] = "enabled"

    def _of_the_hour(self) -> list[dict[str, object]]:
        return [one for one in self.stripe.events if self.now() - HOUR <= one["created"] <= self.now()]
