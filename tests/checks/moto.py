"""Fixtures: AWS's stand-in, which many tests share, and clients of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any

import pytest
import pytest_asyncio

from monitor.demo.parts.aws import Moto
from tests.skips import running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def moto(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Moto]:
    """AWS, which many tests share: use names of your own."""
    async with running(Moto(tmp_path_factory.mktemp("moto"))) as server:
        server.lock()
        yield server


@pytest.fixture
def s3(moto: Moto) -> Iterator[Any]:
    """boto3's client of S3."""
    with closing(moto.client("s3")) as client:
        yield client


@pytest.fixture
def logs(moto: Moto) -> Iterator[Any]:
    """boto3's client of CloudWatch Logs."""
    with closing(moto.client("logs")) as client:
        yield client
