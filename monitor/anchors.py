"""Asks the outside whether we can reach it: anchors by address, names by our own resolver."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from checks.base import Url
from checks.wire.connect import connect
from checks.wire.fault import WireError
from checks.wire.patience import Patience
from checks.wire.resolve import numeric, resolve

PORT = 443


async def ask(anchors: Sequence[Url], names: Sequence[str], seconds: float) -> tuple[dict[str, str], dict[str, str]]:
    """What each anchor and each name said: "" where it answered, else why not. Nobody is waited for over `seconds`.

    The first anchor and the first name that answer are enough: the others are let go, and are not in the result.
    """
    async with asyncio.TaskGroup() as group:
        reached = group.create_task(_first({str(one): _reach(one, seconds) for one in anchors}))
        resolved = group.create_task(_first({name: _resolve(name, seconds) for name in names}))
    return reached.result(), resolved.result()


async def _first(asks: dict[str, Awaitable[str]]) -> dict[str, str]:
    """The answers up to the first good one."""
    found: dict[str, str] = {}
    tasks = {asyncio.ensure_future(one): name for name, one in asks.items()}
    waiting = set(tasks)
    try:
        while waiting and "" not in found.values():
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            found |= {tasks[task]: task.result() for task in done}
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return found


async def _reach(anchor: Url, seconds: float) -> str:
    address = numeric(anchor.parts.hostname or "", anchor.parts.port or PORT)
    assert address is not None, "the configuration takes numeric addresses only"

    async def connected(patience: Patience) -> None:
        (await connect([address], patience)).close()

    return await _why_not(connected, seconds)


async def _resolve(name: str, seconds: float) -> str:
    async def resolved(patience: Patience) -> None:
        await resolve(name, 0, "any", patience)

    return await _why_not(resolved, seconds)


async def _why_not(attempt: Callable[[Patience], Awaitable[None]], seconds: float) -> str:
    try:
        with Patience(seconds) as patience:
            await attempt(patience)
    except WireError as fault:
        return fault.sentence
    return ""
