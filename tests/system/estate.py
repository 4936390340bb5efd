"""What the cases of all kinds share, and how a case is entered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from monitor.demo.parts.aws import Moto
from monitor.demo.parts.site import Handler, Site
from monitor.demo.servers import Postgres, Temporal, Valkey

Break = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Case:
    """A check's keys, how to break what it watches, and what it has to say then: outcome and reason."""

    fields: dict[str, Any]
    breaks: Break
    reason: str
    outcome: str = "failed"


class Estate:
    """What the cases share: a folder, and real servers that are started once they are asked for."""

    def __init__(self, folder: Path, template: Path, stack: AsyncExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self._template = template
        self._servers: dict[str, Any] = {}

    async def postgres(self) -> Postgres:
        settings = {"shared_preload_libraries": "pg_stat_statements"}
        return await self._server(
            "postgres", lambda folder: Postgres(folder, template=self._template, settings=settings)
        )

    async def valkey(self) -> Valkey:
        return await self._server("valkey", Valkey)

    async def temporal(self) -> Temporal:
        return await self._server("temporal", Temporal)

    async def moto(self) -> Moto:
        server = await self._server("moto", Moto)
        if not server.secret:
            server.lock()
        return server

    async def short_folder(self) -> str:
        """A folder with a short path, as those of sockets have to be."""
        return self.stack.enter_context(TemporaryDirectory(prefix="rw-"))

    async def _server(self, name: str, make: Callable[[Path], Any]) -> Any:
        if name not in self._servers:
            server = make(self.folder / name)
            self.stack.push_async_callback(server.kill)
            self._servers[name] = asyncio.ensure_future(server.start())
        return await self._servers[name]

    async def site(self, answer: Handler) -> str:
        """A web server that answers every GET so."""
        site = Site()
        site.handles("*", answer)
        await self.stack.enter_async_context(site)
        return site.url


CASES: dict[str, Callable[[Estate], Awaitable[Case]]] = {}


def case(make: Callable[[Estate], Awaitable[Case]]) -> Callable[[Estate], Awaitable[Case]]:
    """Enters a case under its kind, which is the function's name."""
    CASES[make.__name__.rstrip("_")] = make
    return make


@asynccontextmanager
async def estate_in(folder: Path, template: Path) -> AsyncIterator[Estate]:
    """An estate that ends with the context."""
    async with AsyncExitStack() as stack:
        yield Estate(folder, template, stack)


def switch(states: dict[str, Any]) -> Break:
    async def off() -> None:
        states["broken"] = True

    return off
