"""Runs the benches, each in a process of its own, and writes docs/figures.md when all of them ran."""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

from bench.figure import Figure, machine, rows

BENCHES = {
    "cost": "CPU of a check, beside Prometheus with blackbox_exporter",
    "latency": "Error of a reported latency",
    "hang": "Targets that hang",
    "scheduler": "Punctuality",
    "memory": "Memory",
    "metrics": "/metrics",
    "page": "From a target's death to an accepted page",
    "storm": "Ten thousand alerts at once, beside Alertmanager",
    "notify": "kill -9 after the page, beside Alertmanager",
    "kinds": "A probe of each kind, the stand-in of a vendor included",
    "start": "Start",
}
LONGEST = 240.0
PAGE = Path(__file__).parents[1] / "docs" / "figures.md"

HEAD = """\
# Figures

What runwatch costs and how true its numbers are, measured by `make bench` (one part: `python -m bench cost`) on
loopback, the target in a process of its own. CPU is user and system time of whole process trees.

Machine: {machine}.
Other work ran on it at the same time. Runs differ by a quarter, those at 200/s by 40 %: read the ratios, and a figure
within a quarter of its budget as neither kept nor missed for good.
"""


def measured(name: str, quick: bool) -> list[Figure]:
    """What one bench found, or the one figure that says why it found nothing."""
    command = [sys.executable, "-m", "bench", name, "--here", *(["--quick"] if quick else [])]
    started = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=True)
        found = [Figure(**one) for one in json.loads(done.stdout)]
    except subprocess.CalledProcessError as why:
        found = [Figure("could not be measured", why.stderr.strip().splitlines()[-1], kept=False)]
    except (subprocess.TimeoutExpired, ValueError) as why:
        found = [Figure("could not be measured", str(why), kept=False)]
    print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    return found


def page(found: dict[str, list[Figure]]) -> str:
    """The figures as Markdown."""
    parts = [HEAD.format(machine=machine())]
    for name, figures in found.items():
        head = [f"## {BENCHES[name]}", "", f"`python -m bench {name}`", ""]
        table = ["| what | figure | budget | |", "|---|---|---|---|", *rows(figures), ""]
        parts.append("\n".join([*head, *table]))
    return "\n".join(parts)


def main() -> int:
    """Run what was asked for; exit 1 where a budget was missed."""
    options = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    options.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHES)}; without one, all")
    options.add_argument("--json", action="store_true", help="print JSON")
    options.add_argument("--quick", action="store_true", help="shorter runs, rougher figures")
    options.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if unknown := sorted(set(asked.names) - BENCHES.keys()):
        options.error(f"there is no bench {', '.join(unknown)}")
    if asked.here:
        [name] = asked.names
        figures = importlib.import_module(f"bench.{name}").run(asked.quick)
        print(json.dumps([one.as_json() for one in figures]))
        return 0
    found = {name: measured(name, asked.quick) for name in asked.names or BENCHES}
    if asked.json:
        print(json.dumps({name: [one.as_json() for one in figures] for name, figures in found.items()}))
    else:
        print(page(found))
    if not asked.names and not asked.quick:
        PAGE.write_text(page(found))
    return int(any(one.kept is False for figures in found.values() for one in figures))


if __name__ == "__main__":
    sys.exit(main())
