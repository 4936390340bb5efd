"""The pager's loop with a store that fails at a chosen moment."""

import asyncio

from alerts.engine import Engine
from alerts.outbox import Changes, Entry, Kept, NotKept
from alerts.pager import Pager
from alerts.plan import Plan
from tests import clock

ENTRY = Entry("parcel", "thread", "on-call", "webhook", "first", "key", "delivered", 1, 1_000.0, 1_000.5)


class Disk:
    """Takes what it is given once `gate` opens, or refuses it while `full`."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.full = True
        self.kept: list[Entry] = []

    async def write(self, changes: Changes) -> None:
        await self.gate.wait()
        if self.full:
            raise NotKept("no room")
        self.kept += changes.entries


def test_what_delivery_could_not_write_is_offered_again_though_nothing_else_happens():
    async def story():
        loop = asyncio.get_running_loop()
        disk = Disk()
        pager = Pager(Engine(Plan(), Kept(), loop.time()), disk, loop.time, lambda keys: None)
        deciding = loop.create_task(pager.run())
        delivering = loop.create_task(pager.write(Changes(entries=[ENTRY])))
        await asyncio.sleep(30)  # on virtual time: the pager has long begun to wait when the write fails
        disk.gate.set()
        await delivering
        assert (pager.trouble, disk.kept) == ("no room", [])
        disk.full = False
        await asyncio.sleep(2)
        assert (pager.trouble, disk.kept) == ("", [ENTRY])
        deciding.cancel()
        await asyncio.gather(deciding, return_exceptions=True)

    clock.run(story())
