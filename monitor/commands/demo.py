"""`runwatch demo`: an estate of real servers on this machine, watched by runwatch; broken and healed by name."""

from __future__ import annotations

import argparse
import asyncio

from monitor.demo.session import run, tell


def main(asked: argparse.Namespace) -> int:
    """Run the estate until Ctrl-C, or tell the one that runs in another terminal."""
    if asked.action == "run":
        return asyncio.run(run(asked.listen))
    return tell(asked.action, asked.what)
