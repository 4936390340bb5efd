"""A simulated queue is emptied by hand, as people do when the cause is gone."""

from __future__ import annotations

import asyncio

from monitor.demo.parts.bullmq import HANGS, BullQueue
from monitor.demo.servers import Valkey
from tests.servers import NewValkey


async def size(server: Valkey, command: str, part: str) -> int:
    return int((await server.command(command, f"bull:email:{part}")).removeprefix(":"))


async def test_what_hangs_is_released_and_what_waits_or_failed_is_dropped(new_valkey: NewValkey) -> None:
    server: Valkey = await new_valkey()
    async with BullQueue(server, "email", keeps=3) as email, asyncio.timeout(9):
        await email.run(4, fail=2)
        assert (await size(server, "ZCARD", "completed"), await size(server, "ZCARD", "failed")) == (3, 2)
        await email.forget_failed()
        assert await size(server, "ZCARD", "failed") == 0
        await email.add(5, HANGS)
        while await size(server, "LLEN", "active") < 5:
            await asyncio.sleep(0.01)
        await email.add(7)
        assert await size(server, "LLEN", "wait") == 7
        await email.drain()
        await email.release()
        assert (await size(server, "LLEN", "wait"), await size(server, "LLEN", "active")) == (0, 0)
        await email.run(1)
