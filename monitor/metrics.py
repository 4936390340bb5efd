"""The daemon's own metrics, and the whole of /metrics: ours, the checks' series, and ALERTS."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from alerts import self_checks
from alerts.delivery import Attempt
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
        registry = self.registry

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"runwatch_{name}", text, labels, registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"runwatch_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"runwatch_{name}", text, labels, buckets=buckets, registry=registry)

        gauge("build_info", "What runs here.", "version").labels(__version__).set(1)
        self.lateness = histogram("scheduler_lateness_seconds", "From when a probe was due to its start.", LATENESS)
        self.skipped = counter("scheduler_skipped", "Beats left out because the check was still being asked.")
        self.running = gauge("probes_running", "Probes under way.")
        self.checks = gauge("checks", "Configured checks.")
        self.alerts = gauge("alerts", "Alerts by phase and severity.", "phase", "severity")
        self.withheld = gauge("alerts_withheld", "Firing alerts that nobody is told of, for a reason.")
        self.notifications = counter("notifications", "Attempts to notify that ended.", "receiver", "integration")
        self.suppressed = counter(
            "notifications_suppressed", "Alerts that were kept quiet, and groups braked.", "reason"
        )
        self.failed = counter(
            "notifications_failed", "Attempts that were not accepted.", "receiver", "integration", "reason"
        )
        self.received = counter("received_alerts", "Alerts that others sent here, by what became of them.", "status")
        self.latency = histogram("notification_latency_seconds", "From decision to acceptance.", LATENCY, "integration")
        self.accepted_at = gauge(
            "receiver_last_success_timestamp_seconds", "When a receiver last accepted.", "receiver"
        )
        self.drill_accepted = gauge(
            "drill_accepted_seconds", "From a drill's alert to its acceptance.", "receiver", "integration"
        )
        self.drill_accepted_at = gauge(
            "drill_last_success_timestamp_seconds", "When a drill was last accepted.", "receiver", "integration"
        )
        self.drill_acknowledged = gauge(
            "drill_acknowledged_seconds", "From a drill's alert to its acknowledgement.", "receiver"
        )
        self.pending = gauge("outbox_pending", "Notifications still to be delivered.")
        self.oldest = gauge("outbox_oldest_age_seconds", "Age of the oldest of them.")
        self.dead = counter("outbox_dead", "Notifications that no attempt can deliver.", "receiver")
        self.reloaded = gauge("config_last_reload_successful", "1 if the last reload was taken over.")
        self.reloaded_at = gauge(
            "config_last_reload_success_timestamp_seconds", "When a configuration was last taken over."
        )
        self.loop_lag = histogram("event_loop_lag_seconds", "How late the loop's heartbeat was.", LATENESS)
        self.commit = gauge("store_commit_seconds", "How long the last durable commit took.")
        self.queued = gauge("store_queue_length", "Results waiting to be written.")
        self.dropped = counter("store_dropped", "Results that could not be kept.")
        self.log_dropped = counter("log_dropped", "Log lines lost because their reader did not keep up.")
        self.impaired = gauge("impaired", "1 while the monitor itself is in trouble.", "cause")
        for cause in self_checks.WATCHED:
            self.impaired.labels(cause).set(0)
        self.clock_steps = counter("clock_steps", "Jumps of the wall clock.")
        self._totals: dict[int, float] = {}

    def count_attempt(self, attempt: Attempt, now: float) -> None:
        """Count one attempt to deliver."""
        receiver, kind = attempt.parcel.note.receiver, str(attempt.parcel.destination.get("kind"))
        self.notifications.labels(receiver, kind).inc()
        if attempt.status == "delivered":
            self.latency.labels(kind).observe(attempt.waited)
            self.accepted_at.labels(receiver).set(now)
            return
        self.failed.labels(receiver, kind, attempt.reason).inc()
        if attempt.status == "dead":
            self.dead.labels(receiver).inc()

    def count_suppressed(self, counts: dict[str, int]) -> None:
        """Take over what was kept quiet since last asked, by reason."""
        for reason, count in counts.items():
            self.suppressed.labels(reason).inc(count)
        counts.clear()

    def advance(self, counter: Counter, total: float) -> None:
        """Bring a counter up to a total that is counted elsewhere."""
        before = self._totals.get(id(counter), 0.0)
        if total > before:
            counter.inc(total - before)
            self._totals[id(counter)] = total

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


def alert_series(alerts: Iterable[Alert]) -> Iterator[bytes]:
    """ALERTS and ALERTS_FOR_STATE as Prometheus shows its own rules' alerts; what it sent to us it has itself."""
    states, since = [], []
    for alert in alerts:
        if alert.source:
            continue
        states.append(line("ALERTS", {**alert.labels, "alertstate": alert.phase.value}, 1.0))
        since.append(line("ALERTS_FOR_STATE", alert.labels, alert.since))
    yield b"# HELP ALERTS Pending and firing alerts.\n# TYPE ALERTS gauge\n" + b"".join(states)
    yield b"# HELP ALERTS_FOR_STATE When each was first breached.\n# TYPE ALERTS_FOR_STATE gauge\n" + b"".join(since)


async def exposition(
    metrics: Metrics, series: Series, alerts: Iterable[Alert], openmetrics: bool
) -> AsyncIterator[bytes]:
    """All of /metrics in pieces."""
    if openmetrics:
        whole: bytes = generate_openmetrics(metrics.registry)  # type: ignore[no-untyped-call]
        yield whole.removesuffix(b"# EOF\n")
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
        else:
            # Nothing to send yet, but a third of a millisecond has gone.
            await asyncio.sleep(0)
    yield squeeze.flush()
