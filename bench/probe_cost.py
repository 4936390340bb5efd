"""What one probe costs: CPU of a fresh connection, plain and TLS, and memory of a hanging HTTPS target; beside aiohttp.

Closed loop, 50 in flight, the target in a process of its own. Read the ratios: single figures vary by a quarter.
    python -m bench.probe_cost [--json] [--probes 2000] [--rounds 5] [--loop asyncio|uvloop]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.target import certificates, target

IN_FLIGHT = 50
HANGING = 300

Probe = Callable[[], Awaitable[object]]


async def cost(probe: Probe, probes: int, rounds: int) -> dict[str, float]:
    """Median and best CPU of one probe in µs."""
    figures = []
    for _ in range(rounds + 1):
        before = time.process_time()
        await asyncio.gather(*(_several(probe, probes // IN_FLIGHT) for _ in range(IN_FLIGHT)))
        figures.append((time.process_time() - before) / (probes // IN_FLIGHT * IN_FLIGHT) * 1e6)
    warm = figures[1:]
    return {"median_us": round(statistics.median(warm), 1), "best_us": round(min(warm), 1)}


async def _several(probe: Probe, count: int) -> None:
    for _ in range(count):
        await probe()


def ours(url: str, authority: str) -> Probe:
    """Our http kind, as configured by a user, with one JSON assertion."""
    from checks.base import Run
    from checks.http import Http

    fields = {"name": "bench", "url": url, "tls": {"ca_file": authority}, "expect": {"json": {"status": "healthy"}}}
    check = Http.model_validate(fields)
    return lambda: check.probe(Run())


async def aiohttps(url: str, authority: str, session: object) -> Probe:
    """aiohttp, which does less: no phases, no kernel clock, no certificate's dates."""
    import aiohttp
    import orjson

    assert isinstance(session, aiohttp.ClientSession)
    context = ssl.create_default_context(cafile=authority)

    async def probe() -> None:
        async with session.get(url, ssl=context) as answer:
            assert orjson.loads(await answer.read())["status"] == "healthy"

    return probe


async def costs(port: int, scheme: str, authority: str, probes: int, rounds: int) -> dict[str, dict[str, float]]:
    """What either engine's probe costs with this target."""
    import aiohttp

    url = f"{scheme}://127.0.0.1:{port}/"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True, limit=0)) as session:
        return {
            "ours": await cost(ours(url, authority), probes, rounds),
            "aiohttp": await cost(await aiohttps(url, authority, session), probes, rounds),
        }


async def hang(engine: str, authority: str) -> float:
    """KiB of memory that one more hanging HTTPS target takes."""
    import aiohttp

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(HANGING * 2)
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True, limit=0)) as session:
            probe = ours(url, authority) if engine == "ours" else await aiohttps(url, authority, session)
            tasks = [asyncio.ensure_future(probe()) for _ in range(20)]
            await asyncio.sleep(0.3)
            before = _resident()
            tasks += [asyncio.ensure_future(probe()) for _ in range(HANGING)]
            await asyncio.sleep(1)
            taken = _resident() - before
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return round(taken / HANGING, 1)


def _resident() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", action="store_true", help="print JSON")
    options.add_argument("--probes", type=int, default=2000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    options.add_argument("--hang", nargs=2, metavar=("ENGINE", "CA"), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    run = asyncio.run
    if chosen.loop == "uvloop":
        import uvloop

        run = uvloop.run
    if chosen.hang:
        print(run(hang(*chosen.hang)))
        return
    with tempfile.TemporaryDirectory() as folder:
        authority, certificate = certificates(Path(folder))
        figures: dict[str, object] = {"loop": chosen.loop, "probes": chosen.probes, "rounds": chosen.rounds}
        for scheme, pem in (("http", ""), ("https", certificate)):
            with target(pem) as port:
                figures[scheme] = run(costs(port, scheme, authority, chosen.probes, chosen.rounds))
        # A process each: memory that was used before would be used again.
        again = [sys.executable, "-m", "bench.probe_cost", "--loop", chosen.loop, "--hang"]
        figures["hanging_https_kib"] = {
            engine: float(subprocess.check_output([*again, engine, authority])) for engine in ("ours", "aiohttp")
        }
    if chosen.json:
        print(json.dumps(figures))
    else:
        show(figures)


def show(figures: dict[str, object]) -> None:
    """Print the table."""
    print(f"{'':24}{'ours':>18}{'aiohttp':>18}")
    for scheme, title in (("http", "plain, µs CPU"), ("https", "TLS verified, µs CPU")):
        row = figures[scheme]
        assert isinstance(row, dict)
        cells = [f"{row[engine]['median_us']} [{row[engine]['best_us']}]" for engine in ("ours", "aiohttp")]
        print(f"{title:24}{cells[0]:>18}{cells[1]:>18}")
    held = figures["hanging_https_kib"]
    assert isinstance(held, dict)
    print(f"{'hanging HTTPS, KiB':24}{held['ours']:>18}{held['aiohttp']:>18}")


if __name__ == "__main__":
    main()
