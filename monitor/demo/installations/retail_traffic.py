"""What retail's API counts of its requests, with time stamps: who scrapes it knows the last minutes at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from monitor.demo.parts.served import Served

STEP = 15.0
REMEMBERED = 360.0
"""Seconds of the past that are told at first: more than a `rate(…[5m])` looks back."""
BUCKETS = (0.1, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Flow:
    """How requests come: so many a second by status, their shares by the bucket that they end in, open connections."""

    by_status: dict[str, float] = field(default_factory=lambda: {"200": 97.0, "404": 2.5, "500": 0.5})
    by_bucket: dict[float, float] = field(default_factory=lambda: {0.1: 0.9, 0.3: 0.09, 0.5: 0.01})
    connections: int = 20

    def lines(self, seconds: float, at: float, pod: str) -> Iterator[str]:
        """What has been counted after so many seconds, in Prometheus' text format."""
        stamp = round(at * 1000)
        for status, rate in self.by_status.items():
            yield f'http_requests_total{{pod="{pod}",status="{status}"}} {rate * seconds:.3f} {stamp}'
        within, whole = 0.0, sum(self.by_status.values()) * seconds
        name = "http_request_duration_seconds"
        for limit in BUCKETS:
            within += self.by_bucket.get(limit, 0.0) * whole
            yield f'{name}_bucket{{pod="{pod}",le="{limit:g}"}} {within:.3f} {stamp}'
        yield f'{name}_bucket{{pod="{pod}",le="+Inf"}} {whole:.3f} {stamp}'
        yield f'{name}_count{{pod="{pod}"}} {whole:.3f} {stamp}'
        yield f'http_active_connections{{pod="{pod}"}} {self.connections} {stamp}'


class Traffic(Served):
    """The metrics of one pod of the API; `becomes` replaces it by another, whose requests have come otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.flow = Flow()
        self._pod = 1
        self._since = self._told = time.time() - REMEMBERED

    @property
    def pod(self) -> str:
        """The pod's name: a label of all its series."""
        return f"api-{self._pod}"

    def becomes(self, **changes: Any) -> str:
        """From now on and in the last minutes: a new pod, its flow as usual but for `changes`; the old one."""
        old, self._pod = self.pod, self._pod + 1
        self.flow = replace(Flow(), **changes)
        self._since = self._told = time.time() - REMEMBERED
        return old

    async def handle(self, request: web.Request) -> web.Response:
        """All that was not told yet, the oldest first."""
        now = time.time()
        times = [self._told + STEP * step for step in range(1, int((now - self._told) / STEP) + 1)]
        self._told = now
        lines = [line for at in [*times, now] for line in self.flow.lines(at - self._since, at, self.pod)]
        return web.Response(text="\n".join(lines) + "\n")
