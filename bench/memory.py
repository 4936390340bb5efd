"""Memory of the daemon with 100, 2,000 and 10,000 HTTP checks, their series shown and their windows begun."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from bench.cost import checks
from bench.daemon import configuration, daemon
from bench.figure import Figure, at_most, told
from bench.target import target


def resident(folder: Path, count: int) -> float:
    """MB of a daemon that has asked all of its checks a few times and was scraped once."""
    with target() as port, daemon(folder, configuration(checks(port, count, "5s" if count < 5_000 else "15s"))) as one:
        time.sleep(18 if count >= 5_000 else 12)
        one.metrics()
        return one.resident() / 1e6


def run(quick: bool) -> list[Figure]:
    """Whole, and for each further check."""
    with tempfile.TemporaryDirectory() as root:
        small = resident(Path(root) / "100", 100)
        middle = resident(Path(root) / "2000", 2_000)
        found = [
            at_most("with 100 checks", small, "MB", 70),
            told("with 2,000 checks", f"{middle:.0f} MB"),
            at_most("each further check, of 2,000", (middle - small) * 1e6 / 1_900 / 1024, "KiB", 12),
        ]
        if not quick:
            large = resident(Path(root) / "10000", 10_000)
            found.append(told("with 10,000 checks", f"{large:.0f} MB"))
            found.append(at_most("each further check, of 10,000", (large - middle) * 1e6 / 8_000 / 1024, "KiB", 12))
    return found
