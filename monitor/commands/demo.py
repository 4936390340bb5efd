"""`runwatch demo`: a system made of real servers on this machine, watched by runwatch; broken and healed by name."""

from __future__ import annotations

import argparse

from monitor.demo.telling import tell


def main(asked: argparse.Namespace) -> int:
    """Run the installation until Ctrl-C, or tell the one that runs in another terminal."""
    if asked.action == "run":
        import asyncio

        from monitor.demo.session import run

        return asyncio.run(run(asked.listen, asked.system or "shop"))
    return tell(asked.action, asked.what, asked.system)
