"""Fixtures: real PostgreSQL, Valkey and Temporal servers, shared where a test only reads, else its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_asyncio

from monitor.demo.servers import NotStarted, Postgres, Server, Temporal, Valkey

NewPostgres = Callable[..., Awaitable[Postgres]]
NewValkey = Callable[..., Awaitable[Valkey]]
ServerT = TypeVar("ServerT", bound=Server)


@pytest.fixture(scope="session")
def postgres_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh cluster, to be copied; made once per worker."""
    try:
        return Postgres.template(tmp_path_factory.mktemp("template"))
    except NotStarted as why:
        pytest.skip(str(why))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres(postgres_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Postgres]:
    """A PostgreSQL that many tests share: leave it as you found it."""
    server = Postgres(tmp_path_factory.mktemp("postgres"), template=postgres_template)
    async with AsyncExitStack() as stack:
        yield await _started(stack, server)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def valkey(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Valkey]:
    """A Valkey that many tests share: leave it as you found it."""
    async with AsyncExitStack() as stack:
        yield await _started(stack, Valkey(tmp_path_factory.mktemp("valkey")))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def temporal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Temporal]:
    """A Temporal that many tests share: leave it as you found it."""
    async with AsyncExitStack() as stack:
        yield await _started(stack, Temporal(tmp_path_factory.mktemp("temporal")))


@pytest_asyncio.fixture
async def new_postgres(postgres_template: Path, tmp_path: Path) -> AsyncIterator[NewPostgres]:
    """Starts a PostgreSQL of the test's own: `await new_postgres(**settings)`; `wait=False` does not wait for it."""
    async with AsyncExitStack() as stack:
        made: list[Postgres] = []

        async def start(*, wait: bool = True, **settings: str) -> Postgres:
            folder = tmp_path / f"postgres{len(made)}"
            made.append(Postgres(folder, template=postgres_template, settings=settings))
            return await _started(stack, made[-1], wait=wait)

        yield start


@pytest_asyncio.fixture
async def new_valkey(tmp_path: Path) -> AsyncIterator[NewValkey]:
    """Starts a Valkey of the test's own: `await new_valkey(password="", **settings)`."""
    async with AsyncExitStack() as stack:
        made: list[Valkey] = []

        async def start(*, wait: bool = True, password: str = "", **settings: str) -> Valkey:
            lines = {key.replace("_", "-"): value for key, value in settings.items()}
            made.append(Valkey(tmp_path / f"valkey{len(made)}", settings=lines, password=password))
            return await _started(stack, made[-1], wait=wait)

        yield start


async def _started(stack: AsyncExitStack, server: ServerT, *, wait: bool = True) -> ServerT:
    stack.push_async_callback(server.kill)
    try:
        return await server.start(wait=wait)
    except NotStarted as why:
        if "its program is not on this machine" in str(why):
            pytest.skip(str(why))
        raise
