"""CPU of one check in the whole daemon, with thresholds, windows, history, series and log; beside the peers.

`--quick` leaves out the peers and asyncio's own loop.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from bench.daemon import configuration, daemon, quantile, total
from bench.figure import Figure, at_least, at_most, told
from bench.peers import MISSING, peers
from bench.target import certificates, target

WARM_UP = 7.0
WARM_UP_TLS = 16.0
"""Seconds: 5,000 first handshakes within two seconds are more than target and prober can do on two cores."""

LATENESS = "runwatch_scheduler_lateness_seconds"


def checks(port: int, count: int, interval: str, authority: str = "") -> list[dict[str, Any]]:
    """So many HTTP checks of one target, with two thresholds each, one over a window."""
    scheme = "https" if authority else "http"
    return [
        {
            "name": f"c{number:05}",
            "kind": "http",
            "url": f"{scheme}://127.0.0.1:{port}/c{number}",
            "interval": interval,
            "timeout": "4s",
            "expect": {"status": 200, "json": {"status": "healthy"}},
            **({"tls": {"ca_file": authority}} if authority else {}),
            "alerts": [
                {"alert": "Down", "when": "failed", "severity": "critical"},
                {"alert": "Slow", "when": "p95(duration_seconds, 5m) > 500ms", "for": "2m", "severity": "high"},
            ],
        }
        for number in range(count)
    ]


def ours(folder: Path, count: int, seconds: float, tls: bool, uvloop: bool = True) -> tuple[float, str]:
    """ms of CPU per check with `count` checks every five seconds, one scrape included; and how it went."""
    authority, certificate = certificates(folder) if tls else ("", "")
    with (
        target(certificate) as port,
        daemon(folder / "daemon", configuration(checks(port, count, "5s", authority)), uvloop) as running,
    ):
        time.sleep(WARM_UP_TLS if tls else WARM_UP)
        before, began = running.metrics(), time.monotonic()
        spent = running.cpu()
        time.sleep(seconds)
        after, lasted = running.metrics(), time.monotonic() - began
        spent = running.cpu() - spent
        made = total(after, f"{LATENESS}_count") - total(before, f"{LATENESS}_count")
        failed = running.count("check fails")
        late = quantile(before, after, LATENESS, 0.99) * 1000
        return spent / made * 1000, f"{made / lasted:.0f}/s, {failed} failures, p99 late ≤ {late:g} ms"


def theirs(folder: Path, count: int, seconds: float, tls: bool) -> tuple[float, str]:
    """The same of the peers; the probes that they made are counted by Prometheus."""
    authority, certificate = certificates(folder) if tls else ("", "")
    with target(certificate) as port, peers(folder / "peers", port, count, "5s", authority) as running:
        time.sleep(WARM_UP_TLS if tls else WARM_UP)
        before, began = running.cpu(), time.monotonic()
        time.sleep(seconds)
        spent, lasted = running.cpu() - before, time.monotonic() - began
        made = running.ask(f"sum(count_over_time(probe_success[{seconds:.0f}s]))")
        down = running.ask("sum(count_over_time((probe_success == 0)[1m:5s]))")
        return spent / max(1.0, made) * 1000, f"{made / lasted:.0f}/s, {down:.0f} failures"


def run(quick: bool) -> list[Figure]:
    """At 200 and 1,000 checks a second, plain and TLS."""
    seconds = 6.0 if quick else 10.0
    found: list[Figure] = []
    with tempfile.TemporaryDirectory() as root:
        for title, count, tls, budget, beside in (
            ("plain HTTP at 200/s", 1_000, False, 0.35, True),
            ("plain HTTP at 1,000/s", 5_000, False, 0.20, True),
            ("HTTPS, chain verified, at 100/s", 500, True, None, True),
            ("HTTPS, chain verified, at 1,000/s", 5_000, True, 0.60, False),
        ):
            folder = Path(root) / f"{count}{tls}"
            folder.mkdir()
            cost, note = ours(folder, count, seconds, tls)
            if budget is None:
                found.append(told(f"{title}: runwatch", f"{cost:.3g} ms ({note})"))
            else:
                found.append(at_most(f"{title}: runwatch", cost, "ms", budget, note))
            if quick or not beside:
                continue
            plain, note = ours(folder / "asyncio", count, seconds, tls, False) if not tls else (0.0, "")
            if plain:
                found.append(told(f"{title}: runwatch without uvloop", f"{plain:.3g} ms ({note})"))
            if MISSING:
                found.append(told(f"{title}: the peers", MISSING))
                continue
            peer, note = theirs(folder, count, seconds, tls)
            found.append(told(f"{title}: Prometheus and blackbox_exporter", f"{peer:.3g} ms ({note})"))
            found.append(at_least(f"{title}: the peers cost as much", peer / cost, "times", 5))
    return found
