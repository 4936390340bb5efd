"""The shop, simulated: the small estate of `runwatch demo`, of real servers and an application that uses them."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import ClassVar

import aiohttp

from checks.units import show_duration
from monitor.demo.certificates import AUTHORITY, write_certificates
from monitor.demo.installation import CannotDo, Installation, fault, together
from monitor.demo.ports import free_port
from monitor.demo.process import Server, status_of
from monitor.demo.servers import Postgres, Temporal, Valkey

CONFIGURATION = Path(__file__).parents[1] / "configuration" / "runwatch.yaml"
LATE = 1.5
"""Seconds by which a slow storefront is late."""


class Application(Server):
    """The shop's application in its own process. It has its faults until they are healed, also after a new start."""

    title = "the shop"
    as_nobody = False

    def __init__(self, folder: Path, database: str, cache: str, certificates: Path) -> None:
        super().__init__(folder)
        self.https_port = free_port()
        self._faults: dict[str, float | str] = {}
        self._settings = {
            "port": self.port, "https_port": self.https_port, "database": database, "cache": cache,
            "certificates": str(certificates), "token": secrets.token_hex(16),
        }  # fmt: skip

    @property
    def url(self) -> str:
        """Over HTTP."""
        return f"http://{self.address}"

    @property
    def https_url(self) -> str:
        """Over HTTPS."""
        return f"https://127.0.0.1:{self.https_port}"

    async def control(self, **wanted: float | str) -> None:
        """Have these faults, see monitor/demo/shop.py; where it does not run, when it runs again."""
        self._faults |= wanted
        if not self.alive:
            return
        headers = {"Authorization": f"Bearer {self._settings['token']}"}
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http,
            http.post(f"{self.url}/-/control", json=self._faults, headers=headers) as answer,
        ):
            answer.raise_for_status()

    async def start_again(self) -> None:
        """Start it as it was."""
        await self.start()
        await self.control()

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "DEMO_SHOP": json.dumps(self._settings), "PYTHONPATH": os.pathsep.join(sys.path)}

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "monitor.demo.shop"]

    async def _answers(self) -> bool:
        return await status_of(f"{self.url}/health") in (200, 503)


class Shop(Installation):
    """What can be broken are its parts, by name."""

    name = "shop"
    pages: ClassVar[Mapping[str, str]] = {
        "database": "DatabaseDown (P0)", "redis": "CacheDown (P1)", "shop": "ShopDown (P0)",
        "slow": "StorefrontSlow (P2)", "certificate": "CertificateBad (P1)", "temporal": "TemporalDown (P1)",
    }  # fmt: skip

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        certificates = self.folder / "certificates"
        self.authority = certificates / AUTHORITY
        self.database = Postgres(self.folder / "postgres")
        self.cache = Valkey(self.folder / "valkey", password=secrets.token_hex(16))
        self.temporal = Temporal(self.folder / "temporal")
        self.application: Application

    @property
    def configuration(self) -> Path:
        """The demo's own."""
        return CONFIGURATION

    async def set_up(self) -> None:
        """All that the application needs at the same time, then the application."""
        write_certificates(self.authority.parent)
        await together(
            self.server(self.database),
            self.server(self.cache),
            self.if_possible("temporal", self.server(self.temporal)),
        )
        certificates = self.authority.parent
        application = Application(self.folder / "shop", self.database.dsn, self.cache.url, certificates)
        self.application = await self.server(application)
        self.environment |= {
            "DEMO_DATABASE_URL": self.database.dsn,
            "DEMO_CACHE_URL": self.cache.url,
            "DEMO_SHOP_URL": self.application.url,
            "DEMO_SHOP_HTTPS_URL": self.application.https_url,
            "DEMO_AUTHORITY": str(self.authority),
            "DEMO_INBOX_URL": self.inbox.url,
            "DEMO_ROUTING_KEY": self.pagerduty_key("on-call"),
            "DEMO_SLACK_TOKEN": self.environment["SLACK_BOT_TOKEN"],
            "DEMO_STORE": f"sqlite://{self.folder / 'runwatch.db'}",
        }
        if "temporal" not in self.missing:
            self.environment["DEMO_TEMPORAL_ADDRESS"] = self.temporal.address

    @fault("database", "PostgreSQL is killed")
    async def database_killed(self) -> AsyncIterator[None]:
        """The shop's database."""
        await self.database.kill()
        yield
        await self.database.start()

    @fault("redis", "Valkey is killed")
    async def cache_killed(self) -> AsyncIterator[None]:
        """The shop's cache."""
        await self.cache.kill()
        yield
        await self.cache.start()

    @fault("shop", "the shop is killed")
    async def shop_killed(self) -> AsyncIterator[None]:
        """The application itself."""
        await self.application.kill()
        yield
        await self.application.start_again()

    @fault("slow", f"the storefront answers {show_duration(LATE)} late")
    async def storefront_slow(self) -> AsyncIterator[None]:
        """Only its front page."""
        self._runs()
        await self.application.control(slow=LATE)
        yield
        await self.application.control(slow=0)

    @fault("certificate", "the shop shows a certificate that expired yesterday")
    async def certificate_expired(self) -> AsyncIterator[None]:
        """New handshakes show it at once."""
        self._runs()
        await self.application.control(certificate="expired")
        yield
        await self.application.control(certificate="valid")

    @fault("temporal", "Temporal is killed")
    async def temporal_killed(self) -> AsyncIterator[None]:
        """The server of the shop's workflows."""
        if "temporal" in self.missing:
            raise CannotDo(f"cannot break temporal: it does not run here; {self.missing['temporal']}")
        await self.temporal.kill()
        yield
        await self.temporal.start()

    def _runs(self) -> None:
        if not self.application.alive:
            raise CannotDo("cannot break what does not run: the shop is down; first `runwatch demo heal shop`")
