"""A fixture: a real Prometheus, with two things to scrape unless told otherwise: one that is well, one that is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from monitor.demo.parts.prometheus import Prometheus
from monitor.demo.parts.site import Site
from tests.skips import running


@asynccontextmanager
async def prometheus(folder: Path, **fields: Any) -> AsyncIterator[Prometheus]:
    """One that answers; `fields` are those of the part."""
    async with Site() as site:
        site.answers("/good", "widgets 7\n", content_type="text/plain")
        site.answers("/broken", status=500)
        jobs = {"good": [f"{site.url}/good"], "broken": [f"{site.url}/broken"]}
        async with running(Prometheus(folder, **{"jobs": jobs, "interval": "300ms", **fields})) as server:
            yield server
