"""How far a reported latency is from the truth: a target that holds for 50 ms and says how long it really held.

Open loop, fresh connections; error = reported less held. With --blocked the event loop is stopped for 100 ms twice a
second, as a careless plugin would.
    python -m bench.latency_error [--json] [--seconds 3] [--rates 200 1000 2000] [--blocked] [--loop asyncio|uvloop]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter

from bench.target import target
from checks.base import Failed, Run
from checks.http import Http


async def measure(port: int, rate: float, seconds: float, blocked: bool) -> dict[str, float]:
    """The errors at one rate, in ms."""
    loop = asyncio.get_running_loop()
    check = Http.model_validate(
        {"name": "bench", "url": f"http://127.0.0.1:{port}/hold", "measure": {"held": "held_ms"}, "timeout": "10s"}
    )
    errors: list[float] = []
    outcomes: Counter[str] = Counter()

    async def once() -> None:
        run = Run()
        try:
            await check.probe(run)
        except Failed as failed:
            outcomes[str(failed.reason)] += 1
            return
        outcomes[run.clock] += 1
        held = next(value for name, value, _ in run.measurements if name == "held")
        assert run.took is not None
        errors.append(run.took * 1000 - held)

    async with asyncio.TaskGroup() as group:
        begin = loop.time() + 0.2
        for number in range(int(rate * seconds)):
            loop.call_at(begin + number / rate, lambda: group.create_task(once()))
        if blocked:
            for number in range(int(seconds * 2)):
                loop.call_at(begin + 0.13 + number / 2, time.sleep, 0.1)
        await asyncio.sleep(seconds + 1)
    errors.sort()
    at = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    figures = {name: round(errors[min(len(errors) - 1, int(len(errors) * part))], 3) for name, part in at.items()}
    return {"rate": rate, **figures, **outcomes}


async def measure_all(port: int, rates: list[float], seconds: float, blocked: bool) -> list[dict[str, float]]:
    """One rate after the other, after a moment to warm up."""
    await measure(port, 100, 0.3, False)
    return [await measure(port, rate, seconds, blocked) for rate in rates]


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", action="store_true", help="print JSON")
    options.add_argument("--seconds", type=float, default=3)
    options.add_argument("--rates", type=float, nargs="+", default=[200, 1000, 2000])
    options.add_argument("--blocked", action="store_true", help="stop the loop for 100 ms twice a second")
    options.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    chosen = options.parse_args()
    run = asyncio.run
    if chosen.loop == "uvloop":
        import uvloop

        run = uvloop.run
    with target() as port:
        before = time.process_time()
        rows = run(measure_all(port, chosen.rates, chosen.seconds, chosen.blocked))
        spent = time.process_time() - before
    if chosen.json:
        print(json.dumps({"loop": chosen.loop, "blocked": chosen.blocked, "cpu_s": round(spent, 2), "rows": rows}))
        return
    for row in rows:
        print("  ".join(f"{name} {value:g}" for name, value in row.items()))


if __name__ == "__main__":
    main()
