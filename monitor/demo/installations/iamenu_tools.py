"""What iaMenu has from others: Stripe, and the monitoring that was there before, Prometheus, Alertmanager, Grafana."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

from monitor.demo.installation import Installation, fault
from monitor.demo.parts.alertmanager import Alertmanager
from monitor.demo.parts.prometheus import Prometheus
from monitor.demo.parts.site import Site
from monitor.demo.parts.stripe import KEY, Account
from monitor.demo.parts.traffic import P95, SHARE_OF_ERRORS, Requests, Traffic
from monitor.demo.process import ASK_EVERY

USUAL = {"200": 99.0, "404": 1.0, "500": 0.0}
DROWNS = 2e7
"""Requests in five minutes that drown the usual ones."""
ALERT = {"alertname": "DiskFillsUp", "severity": "warning", "instance": "db-1:9100"}
MINUTE = 60.0
HISTORY = 7200.0
"""Seconds of payments that there are from the beginning."""
WITHIN = 10.0


class Tools(Installation):
    """A customer pays every minute; requests come all the time, and Prometheus counts them."""

    prometheus: Prometheus
    alertmanager: Alertmanager

    async def start_tools(self) -> None:
        """Start them all."""
        self.stripe = await self.stack.enter_async_context(Account())
        self.stripe.endpoint("https://api.iamenu.local/hooks/stripe")
        self.grafana = await self.stack.enter_async_context(Site())
        self.grafana.answers("/api/health", {"database": "ok", "version": "11.2.0"})
        self.traffic = await self.stack.enter_async_context(Traffic(USUAL))
        self.exporter = await self.stack.enter_async_context(Site())
        self.exporter.answers("/metrics", "node_load1 0.4\n", content_type="text/plain")
        jobs = {"services": [f"{self.traffic.url}/metrics"], "node": [f"{self.exporter.url}/metrics"]}
        self.alertmanager = await self.server(Alertmanager(self.folder / "alertmanager"))
        self.prometheus = await self.server(Prometheus(self.folder / "prometheus", jobs=jobs))
        await self.prometheus.scraped()
        self.environment |= {
            "IAMENU_STRIPE_KEY": KEY,
            "IAMENU_STRIPE_URL": self.stripe.url,
            "IAMENU_GRAFANA_URL": self.grafana.url,
            "IAMENU_PROMETHEUS_URL": self.prometheus.url,
            "IAMENU_ALERTMANAGER_URL": self.alertmanager.url,
        }
        self._paid = self.now() - HISTORY
        self.every(60, self._customers)

    async def _customers(self) -> None:
        """One has paid in each minute up to now."""
        now = self.now()
        # Where the clock was put back, what was paid later has not happened yet.
        self.stripe.events[:] = [one for one in self.stripe.events if one["created"] <= now]
        self._paid = min(self._paid, now)
        while self._paid + MINUTE <= now:
            self._paid += MINUTE
            self.stripe.attempt(self._paid, f"pi_{self._paid:.0f}", who=f"cus_{self._paid:.0f}")

    # --- Stripe --------------------------------------------------------------------------------------------------

    @fault("W08", "Stripe refuses the key: it was rolled")
    async def key_refused(self) -> AsyncIterator[None]:
        self.stripe.key = "rk_live_51anotherkey"
        yield
        self.stripe.key = KEY

    @fault("W08.down", "Stripe refuses connections")
    async def stripe_down(self) -> AsyncIterator[None]:
        await self.stripe.stop()
        yield
        await self.stripe.start()

    @fault("W08.payments", "Stripe blocks ten payments within a minute")
    async def payments_blocked(self) -> AsyncIterator[None]:
        for number in range(10):
            self.stripe.attempt(self.now(), f"pi_bot_{number}", who=f"cus_bot_{number}", fails="blocked")
        yield
        # A rush of customers, all of whom can pay.
        for number in range(400):
            self.stripe.attempt(self.now(), f"pi_rush_{number}", who=f"cus_rush_{number}")

    @fault("W08.charges", "a customer is charged twice within seconds")
    async def charged_twice(self) -> AsyncIterator[None]:
        before = len(self.stripe.events)
        for number in range(2):
            self.stripe.attempt(self.now() - 10 * number, f"pi_twice_{number}", who="cus_twice", amount=4200)
        yield
        del self.stripe.events[before:]

    @fault("W08.webhooks", "our endpoint has not taken the events of ten minutes")
    async def webhooks_undelivered(self) -> AsyncIterator[None]:
        now = self.now()
        late = [one for one in self.stripe.events if now - 45 * MINUTE < one["created"] < now - 35 * MINUTE]
        for event in late:
            event["pending_webhooks"] = 1
        yield
        for event in late:
            event["pending_webhooks"] = 0

    @fault("W08.endpoint", "Stripe has disabled our endpoint")
    async def endpoint_disabled(self) -> AsyncIterator[None]:
        self.stripe.endpoints[0]["status"] = "disabled"
        yield
        self.stripe.endpoints[0]["status"] = "enabled"

    # --- the other tools -----------------------------------------------------------------------------------------

    @fault("W06", "Grafana can't reach its database")
    async def grafana_unwell(self) -> AsyncIterator[None]:
        with self.grafana.instead("/api/health", {"database": "failing", "version": "11.2.0"}, 503):
            yield

    @fault("W06.target", "the machine's exporter is stopped")
    async def target_down(self) -> AsyncIterator[None]:
        await self.exporter.stop()
        await self.prometheus.until('up{job="node"} == 0')
        yield
        await self.exporter.start()
        await self.prometheus.until('up{job="node"} == 1')

    @fault("W06.prometheus", "Prometheus is killed")
    async def prometheus_killed(self) -> AsyncIterator[None]:
        await self.prometheus.kill()
        yield
        await self.prometheus.start()
        await self.prometheus.scraped()

    @fault("W06.alertmanager", "Alertmanager is killed")
    async def alertmanager_killed(self) -> AsyncIterator[None]:
        await self.alertmanager.kill()
        yield
        await self.alertmanager.start()

    @fault("W06.alerts", "Alertmanager is told that a disk fills up")
    async def alert_active(self) -> AsyncIterator[None]:
        await self._tell_alertmanager(timedelta(hours=1))
        yield
        await self._tell_alertmanager(timedelta(seconds=-1))

    async def _tell_alertmanager(self, ends_in: timedelta) -> None:
        now = datetime.now(UTC)
        about = {
            "labels": ALERT,
            "startsAt": (now - timedelta(minutes=1)).isoformat(),
            "endsAt": (now + ends_in).isoformat(),
        }
        await self.alertmanager.post("/api/v2/alerts", [about])
        async with asyncio.timeout(WITHIN):
            while bool(await self.alertmanager.get("/api/v2/alerts")) is (ends_in < timedelta(0)):
                await asyncio.sleep(ASK_EVERY)

    # --- traffic -------------------------------------------------------------------------------------------------

    def _instead_of_usual(self, query: str, limit: float, *shares: Requests) -> AbstractAsyncContextManager[None]:
        """Within it so many come that what comes usually is nothing among them."""
        many = [(share * DROWNS, status, seconds) for share, status, seconds in shares]
        return self.traffic.unusual(self.prometheus, query, limit, *many)

    @fault("W11", "one request in two hundred fails")
    async def some_fail(self) -> AsyncIterator[None]:
        async with self._instead_of_usual(SHARE_OF_ERRORS, 0.002, (0.995, "200", 0.04), (0.005, "500", 0.04)):
            yield

    @fault("W11.many", "one request in twenty fails")
    async def many_fail(self) -> AsyncIterator[None]:
        async with self._instead_of_usual(SHARE_OF_ERRORS, 0.02, (0.95, "200", 0.04), (0.05, "500", 0.04)):
            yield

    @fault("W11.slower", "requests take 300 ms")
    async def requests_slower(self) -> AsyncIterator[None]:
        async with self._instead_of_usual(P95, 0.25, (1.0, "200", 0.3)):
            yield

    @fault("W11.slow", "requests take 800 ms")
    async def requests_slow(self) -> AsyncIterator[None]:
        async with self._instead_of_usual(P95, 0.55, (1.0, "200", 0.8)):
            yield
