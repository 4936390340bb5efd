"""Parts that can't be had everywhere: a test that needs one skips with the reason."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NoReturn, TypeVar

import pytest

from monitor.demo.process import Missing, Refused, Server

ServerT = TypeVar("ServerT", bound=Server)


def refused(right: str) -> NoReturn:
    """Skip the test because this machine does not let us do something, which nothing that is installed can change."""
    pytest.skip(f"needs {right}")


def missing(part: str) -> NoReturn:
    """Skip the test because a part is not here; in CI, where everything can be installed, fail it."""
    if os.environ.get("CI") == "true" and os.geteuid() == 0:
        pytest.fail(f"CI must have {part}")
    pytest.skip(f"needs {part}")


@contextmanager
def had() -> Iterator[None]:
    """Within it, a part that is missing here or refused skips the test."""
    try:
        yield
    except Missing as why:
        missing(str(why))
    except Refused as why:
        refused(str(why))


@asynccontextmanager
async def running(server: ServerT) -> AsyncIterator[ServerT]:
    """A server that is started, or skips the test, and is killed at the end."""
    try:
        with had():
            await server.start()
        yield server
    finally:
        await server.kill()
