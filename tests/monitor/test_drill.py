"""When drills are held: by a calendar whose clock is read while it strikes."""

import asyncio
from types import SimpleNamespace

from monitor.config.oncall import DrillEntry
from monitor.drill import Drills
from tests.clock import run

MIDNIGHT = 1_798_761_600.0


class Recorded(Drills):
    """Says when it would have held a drill."""

    def hold(self, receivers, severity, lasts):
        self.held.append(self._app.clock.wall())
        return []


def test_a_strike_between_two_looks_at_the_clock_is_not_missed():
    async def main():
        loop = asyncio.get_running_loop()
        began, reads = loop.time(), 0

        def wall():
            """Behind the loop's clock where a wait ends, and past the strike one look later."""
            nonlocal reads
            reads += 1
            return MIDNIGHT - 5 + 0.998 * (loop.time() - began) + 0.006 * (reads - 1)

        on_call = SimpleNamespace(drill=DrillEntry(cron="* * * * *", receivers=["team"]))
        drills = Recorded(
            SimpleNamespace(clock=SimpleNamespace(wall=wall), config=SimpleNamespace(on_call=on_call, receivers={}))
        )
        drills.held = []
        running = asyncio.create_task(drills.run())
        await asyncio.sleep(8)
        running.cancel()
        assert [round(at - MIDNIGHT, 1) for at in drills.held] == [0.0]

    run(main())
