"""A real Prometheus as a process: what it scrapes, its rules, and whom it tells of alerts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from monitor.demo.process import ASK_EVERY, Server, program, status_of

PATIENCE = aiohttp.ClientTimeout(total=5.0)
SHOWS_WITHIN = 10.0
"""Seconds within which it has to show what was done to it; it begins to scrape after five."""


class Prometheus(Server):
    """One Prometheus. It begins to scrape, and looks for Alertmanagers, five seconds after its start.

    `jobs` are the URLs of metrics by the name of the job, `rules` what stands under `rules` in a group, in the words
    of its own configuration; `alertmanagers` are URLs. `interval` is of scrapes, which may take as long, and rules.
    """

    title = "Prometheus"
    as_nobody = False

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        *,
        jobs: Mapping[str, Sequence[str]] | None = None,
        rules: Sequence[Mapping[str, Any]] = (),
        alertmanagers: Sequence[str] = (),
        external_labels: Mapping[str, str] | None = None,
        interval: str = "1s",
    ) -> None:
        super().__init__(folder, port)
        self.jobs = {job: list(urls) for job, urls in (jobs or {}).items()}
        self.rules = list(rules)
        self.alertmanagers = list(alertmanagers)
        self._external_labels = dict(external_labels or {})
        self._interval = interval

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://{self.address}"

    async def query(self, query: str) -> list[tuple[dict[str, str], float]]:
        """What it answers to a query that gives series: their labels and values."""
        return [(one["metric"], float(one["value"][1])) for one in (await self._get("query", query=query))["result"]]

    async def until(
        self, query: str, wanted: Callable[[list[float]], bool] = bool, within: float = SHOWS_WITHIN
    ) -> None:
        """Return when the values of the series are as wanted: by default, when there is one; TimeoutError."""
        async with asyncio.timeout(within):
            while not wanted([value for _, value in await self.query(query)]):
                await asyncio.sleep(ASK_EVERY)

    async def forget(self, series: str) -> None:
        """Forget what it has of these series, such as `{__name__=~"http_.*"}`; it goes on scraping them."""
        async with (
            aiohttp.ClientSession(timeout=PATIENCE) as http,
            http.post(f"{self.url}/api/v1/admin/tsdb/delete_series", params={"match[]": series}, raise_for_status=True),
        ):
            pass

    async def scraped(self) -> None:
        """Return when every target has been scraped once at least; TimeoutError."""
        async with asyncio.timeout(SHOWS_WITHIN):
            while any(one["health"] == "unknown" for one in await self._targets()):
                await asyncio.sleep(ASK_EVERY)

    async def _targets(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self._get("targets", state="active"))["activeTargets"]
        return found if len(found) >= sum(map(len, self.jobs.values())) else [{"health": "unknown"}]

    async def _get(self, what: str, **parameters: str) -> Any:
        async with (
            aiohttp.ClientSession(timeout=PATIENCE) as http,
            http.get(f"{self.url}/api/v1/{what}", params=parameters, raise_for_status=True) as answer,
        ):
            return (await answer.json())["data"]

    async def _prepare(self) -> None:
        groups = {"groups": [{"name": "installation", "rules": self.rules}]}
        (self.folder / "rules.yml").write_text(json.dumps(groups))
        every = self._interval
        (self.folder / "prometheus.yml").write_text(
            json.dumps(
                {
                    "global": {
                        "scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every,
                        "external_labels": self._external_labels,
                    },
                    "rule_files": ["rules.yml"],
                    "alerting": {
                        "alertmanagers": [{"static_configs": [{"targets": [_host(url) for url in self.alertmanagers]}]}]
                    },
                    "scrape_configs": [
                        {"job_name": job, "static_configs": [_target(url) for url in urls]}
                        for job, urls in self.jobs.items()
                    ],
                }
            )
        )  # fmt: skip

    def _command(self) -> list[str]:
        found = program(self.title, "prometheus", remedy="apt-get install prometheus")
        return [
            found, f"--config.file={self.folder / 'prometheus.yml'}", f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={self.address}", f"--rules.alert.resend-delay={self._interval}",
            "--web.enable-admin-api",
        ]  # fmt: skip

    async def _answers(self) -> bool:
        return await status_of(f"{self.url}/-/ready") == 200


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _target(url: str) -> dict[str, Any]:
    return {"targets": [_host(url)], "labels": {"__metrics_path__": urlsplit(url).path or "/metrics"}}
