"""The daemon's own metrics, and the whole of /metrics: ours, the checks' series, and ALERTS."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from alerts.vocabulary import Alert, Severity
from monitor import __version__
from monitor.series import Series, line

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
LATENESS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
LATENCY = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)


class Metrics:
    """Every metric of the daemon itself, by name; one registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own = {"registry": self.registry, "namespace": "runwatch"}
        build = Gauge("build_info", "What runs here.", ["version"], **own)
        build.labels(__version__).set(1)
        self.lateness = Histogram(
            "scheduler_lateness_seconds", "From when a probe was due to its start.", buckets=LATENESS, **own
        )
        self.skipped = Counter("scheduler_skipped", "Beats left out because the check was still being asked.", **own)
        self.running = Gauge("probes_running", "Probes under way.", **own)
        self.checks = Gauge("checks", "Configured checks.", **own)
        self.alerts = Gauge("alerts", "Alerts by phase and severity.", ["phase", "severity"], **own)
        self.withheld = Gauge("alerts_withheld", "Firing alerts that nobody is told of, for a reason.", **own)
        self.notifications = Counter(
            "notifications", "Attempts to notify that ended.", ["receiver", "integration"], **own
        )
        self.failed = Counter(
            "notifications_failed", "Attempts that were not accepted.", ["receiver", "integration", "reason"], **own
        )
        self.latency = Histogram(
            "notification_latency_seconds", "From decision to acceptance.", ["integration"], buckets=LATENCY, **own
        )
        self.accepted_at = Gauge(
            "receiver_last_success_timestamp_seconds", "When a receiver last accepted.", ["receiver"], **own
        )
        self.pending = Gauge("outbox_pending", "Notifications still to be delivered.", **own)
        self.oldest = Gauge("outbox_oldest_age_seconds", "Age of the oldest of them.", **own)
        self.dead = Counter("outbox_dead", "Notifications that no attempt can deliver.", ["receiver"], **own)
        self.reloaded = Gauge("config_last_reload_successful", "1 if the last reload was taken over.", **own)
        self.reloaded_at = Gauge(
            "config_last_reload_success_timestamp_seconds", "When a configuration was last taken over.", **own
        )
        self.loop_lag = Histogram(
            "event_loop_lag_seconds", "How late the loop's heartbeat was.", buckets=LATENESS, **own
        )
        self.commit = Gauge("store_commit_seconds", "How long the last durable commit took.", **own)
        self.queued = Gauge("store_queue_length", "Results waiting to be written.", **own)
        self.dropped = Counter("store_dropped", "Results that could not be kept.", **own)
        self.log_dropped = Counter("log_dropped", "Log lines lost because their reader did not keep up.", **own)
        self.impaired = Gauge("impaired", "1 while the monitor itself is in trouble.", ["cause"], **own)
        self.clock_steps = Counter("clock_steps", "Jumps of the wall clock.", **own)

    def count_alerts(self, alerts: Iterable[Alert]) -> None:
        """Set the gauges that count alerts."""
        counts = {(phase, severity.value): 0 for phase in ("pending", "firing") for severity in Severity}
        withheld = 0
        for alert in alerts:
            counts[alert.phase.value, alert.severity.value] += 1
            withheld += bool(alert.withheld)
        for (phase, severity), count in counts.items():
            self.alerts.labels(phase, severity).set(count)
        self.withheld.set(withheld)


def advance(counter: Counter, total: float) -> None:
    """Bring a counter up to a total that is counted elsewhere."""
    counter.inc(max(0.0, total - counter._value.get()))


def alert_series(alerts: Iterable[Alert]) -> Iterator[bytes]:
    """ALERTS and ALERTS_FOR_STATE as Prometheus shows its own rules' alerts."""
    states, since = [], []
    for alert in alerts:
        states.append(line("ALERTS", {**alert.labels, "alertstate": alert.phase.value}, 1.0))
        since.append(line("ALERTS_FOR_STATE", alert.labels, alert.since))
    yield b"# HELP ALERTS Pending and firing alerts.\n# TYPE ALERTS gauge\n" + b"".join(states)
    yield b"# HELP ALERTS_FOR_STATE When each was first breached.\n# TYPE ALERTS_FOR_STATE gauge\n" + b"".join(since)


async def exposition(
    metrics: Metrics, series: Series, alerts: Iterable[Alert], openmetrics: bool
) -> AsyncIterator[bytes]:
    """All of /metrics in pieces."""
    if openmetrics:
        yield generate_openmetrics(metrics.registry).removesuffix(b"# EOF\n")
    else:
        yield generate_latest(metrics.registry)
    for piece in alert_series(alerts):
        yield piece
    for piece in series.pieces(openmetrics):
        yield piece
    if openmetrics:
        yield b"# EOF\n"


async def gzipped(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same, compressed as it goes (level 1: a seventh of the size for a fifth of the default's time)."""
    squeeze = zlib.compressobj(1, zlib.DEFLATED, 31)
    async for piece in pieces:
        if squeezed := squeeze.compress(piece):
            yield squeezed
    yield squeeze.flush()
