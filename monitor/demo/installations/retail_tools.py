"""What watches retail already: Prometheus, which scrapes the API's traffic, Grafana, Sentry; and how they fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from monitor.demo.installation import Installation, fault
from monitor.demo.installations.retail_traffic import Traffic
from monitor.demo.parts.prometheus import Prometheus
from monitor.demo.parts.site import Site

SENTRY = "/api/0/organizations/retail"


class RetailTools(Installation):
    """Prometheus, Grafana, Sentry."""

    async def start_tools(self) -> None:
        """Start them, and return when Prometheus knows the traffic: it scrapes only some seconds after its start."""
        enter = self.stack.enter_async_context
        self.traffic = await enter(Traffic())
        jobs = {"api": [f"{self.traffic.url}/metrics"]}
        self.prometheus = await self.server(Prometheus(self.folder / "prometheus", jobs=jobs))
        self.grafana, self.sentry = [await enter(Site()) for _ in range(2)]
        self.grafana.answers("/api/health", {"database": "ok", "version": "11.3.0", "commit": "d9455ff"})
        self._errors(10)
        self.sentry.answers(f"{SENTRY}/issues/", [])
        self.environment |= {
            "RETAIL_PROMETHEUS_URL": self.prometheus.url,
            "RETAIL_GRAFANA_URL": self.grafana.url,
            "RETAIL_SENTRY_URL": self.sentry.url,
            "RETAIL_SENTRY_ORGANIZATION": "retail",
            "RETAIL_SENTRY_TOKEN": "sntrys-demo-token",
        }
        await self.prometheus.until("sum(rate(http_requests_total[5m]))", within=20.0)

    def _errors(self, count: int) -> None:
        data = [{"project": "retail-super-app", "count()": count}]
        self.sentry.answers(f"{SENTRY}/events/", {"data": data, "meta": {"fields": {"count()": "integer"}}})

    # --- traffic -------------------------------------------------------------------------------------------------

    @fault("R10", "six of ten requests take over half a second")
    async def half_slow(self) -> AsyncIterator[None]:
        async with self._traffic(by_bucket={0.1: 0.4, 1.0: 0.6}):
            yield

    @fault("R10.p95", "one request in ten takes over two seconds")
    async def many_slow(self) -> AsyncIterator[None]:
        async with self._traffic(by_bucket={0.1: 0.9, 5.0: 0.1}):
            yield

    @fault("R10.p99", "one request in fifty takes over five seconds")
    async def some_slow(self) -> AsyncIterator[None]:
        async with self._traffic(by_bucket={0.1: 0.98, 10.0: 0.02}):
            yield

    @fault("R10.5xx", "one request in ten fails")
    async def server_errors(self) -> AsyncIterator[None]:
        async with self._traffic(by_status={"200": 90.0, "500": 10.0}):
            yield

    @fault("R10.4xx", "three requests in ten are refused")
    async def client_errors(self) -> AsyncIterator[None]:
        async with self._traffic(by_status={"200": 70.0, "401": 30.0}):
            yield

    @fault("R10.rate", "one request in five arrives")
    async def traffic_falls(self) -> AsyncIterator[None]:
        async with self._traffic(by_status={"200": 20.0}):
            yield

    @fault("R10.connections", "clients don't let go of their connections")
    async def many_connections(self) -> AsyncIterator[None]:
        async with self._traffic(connections=400):
            yield

    @asynccontextmanager
    async def _traffic(self, **changes: Any) -> AsyncIterator[None]:
        await self._flows(**changes)
        yield
        await self._flows()

    async def _flows(self, **changes: Any) -> None:
        """Another flow, of which Prometheus knows the last minutes, and nothing of the one before."""
        old = self.traffic.becomes(**changes)
        await self.prometheus.until(f'rate(http_requests_total{{pod="{self.traffic.pod}"}}[5m])')
        await self.prometheus.forget(f'{{pod="{old}"}}')

    # --- the other tools -----------------------------------------------------------------------------------------

    @fault("R13", "Grafana says that its database fails")
    async def grafana_unwell(self) -> AsyncIterator[None]:
        with self.grafana.instead("/api/health", {"database": "failing", "version": "11.3.0"}, 503):
            yield

    @fault("R13.prometheus", "Prometheus takes connections and answers nothing")
    async def prometheus_frozen(self) -> AsyncIterator[None]:
        self.prometheus.freeze()
        yield
        self.prometheus.thaw()

    @fault("R13.target", "Prometheus can't scrape the API")
    async def target_down(self) -> AsyncIterator[None]:
        await self.traffic.stop()
        await self.prometheus.until("up == 0")
        yield
        await self.traffic.start()
        await self.prometheus.until("up == 1")

    @fault("R13.sentry", "Sentry answers 502")
    async def sentry_down(self) -> AsyncIterator[None]:
        with self.sentry.instead(f"{SENTRY}/events/", "Bad Gateway", 502):
            yield

    @fault("R13.errors", "Sentry counts ten times as many errors as usual")
    async def sentry_errors(self) -> AsyncIterator[None]:
        self._errors(100)
        yield
        self._errors(10)
