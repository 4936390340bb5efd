"""What a service's /metrics shows of its customers: requests by status and how long they took, counted as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from time import monotonic

from aiohttp import web

from monitor.demo.parts.prometheus import Prometheus
from monitor.demo.parts.served import Served

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds, as Prometheus' clients have them."""
COUNTERS = '{__name__=~"http_.*"}'
SHARE_OF_ERRORS = 'sum(rate(http_requests_total{status=~"5.."}[5m])) / sum(rate(http_requests_total[5m]))'
P95 = "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))"
REMEMBERED = 300.0
"""Seconds that these look back."""
Requests = tuple[float, str, float]
"""How many come in so many seconds, their status, and how long each takes."""


class Traffic(Served):
    """Answers `http_requests_total` and `http_request_duration_seconds` as a Prometheus client would.

    `per_second` are the requests that come all the time, by status, each of which takes `takes` seconds.
    """

    def __init__(self, per_second: Mapping[str, float], takes: float = 0.04) -> None:
        super().__init__()
        self._usual = dict(per_second)
        self._takes = takes
        self._unusual: list[Requests] = []
        self._requests = dict.fromkeys(per_second, 0.0)
        self._within = dict.fromkeys(BUCKETS, 0.0)
        self._spent = 0.0
        self._counted = monotonic()
        self.broken = False
        """Whether it answers 500."""

    def came(self, requests: float, status: str = "200", seconds: float | None = None) -> None:
        """So many more came by now, each of which was answered like this."""
        took = self._takes if seconds is None else seconds
        self._requests[status] = self._requests.get(status, 0.0) + requests
        self._spent += requests * took
        for limit in BUCKETS:
            if took <= limit:
                self._within[limit] += requests

    @asynccontextmanager
    async def unusual(
        self, prometheus: Prometheus, query: str, limit: float, *requests: Requests
    ) -> AsyncIterator[None]:
        """Within it these have come, and go on to, so that a query is over a limit; then as if they never had."""
        for count, status, seconds in requests:
            self.came(count, status, seconds)
        self._unusual += requests
        try:
            await prometheus.until(query, lambda values: bool(values) and values[0] > limit)
            yield
        finally:
            for one in requests:
                self._unusual.remove(one)
            self._restart()  # a scrape under way may bring what was counted before once more
            await prometheus.forget(COUNTERS)
            await prometheus.until(query, lambda values: bool(values) and values[0] < limit)

    def _restart(self) -> None:
        """Count from zero, as a service does that was started anew: what came before is no growth for Prometheus."""
        self._requests = dict.fromkeys(self._requests, 0.0)
        self._within = dict.fromkeys(BUCKETS, 0.0)
        self._spent = 0.0

    async def handle(self, request: web.Request) -> web.Response:
        """The metrics, whatever is asked for."""
        if self.broken:
            return web.Response(status=500, text="metrics: out of memory\n")
        now = monotonic()
        passed, self._counted = now - self._counted, now
        for status, rate in self._usual.items():
            self.came(rate * passed, status)
        for count, status, seconds in self._unusual:
            self.came(count * passed / REMEMBERED, status, seconds)
        return web.Response(text="\n".join(self._lines()) + "\n")

    def _lines(self) -> list[str]:
        name, whole = "http_request_duration_seconds", sum(self._requests.values())
        return [
            *(f'http_requests_total{{status="{status}"}} {count:.3f}' for status, count in self._requests.items()),
            *(f'{name}_bucket{{le="{limit:g}"}} {count:.3f}' for limit, count in self._within.items()),
            f'{name}_bucket{{le="+Inf"}} {whole:.3f}',
            f"{name}_count {whole:.3f}",
            f"{name}_sum {self._spent:.3f}",
        ]
