"""A fixture: a cluster's API server that has one deployment, at a time of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from monitor.demo.parts.kubernetes import ApiServer, deployment, pod

AT = 1_795_395_600.0
"""Mon, 23 Nov 2026 01:00:00 GMT in Unix seconds."""


@pytest.fixture
async def cluster() -> AsyncIterator[ApiServer]:
    """It listens, and its deployment is complete."""
    async with ApiServer(now=lambda: AT) as server:
        server.objects["deployments"] = [deployment("api")]
        server.objects["pods"] = [pod("api-5d9-1"), pod("api-5d9-2")]
        yield server
