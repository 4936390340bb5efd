"""The demo estate: real servers and a shop that can be broken and healed by name, and the inbox that gets the pages."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic

import aiohttp

from checks.units import show_duration
from monitor.demo.certificates import AUTHORITY, write_certificates
from monitor.demo.inbox import Inbox
from monitor.demo.process import NotStarted, Server, free_port
from monitor.demo.servers import Postgres, Temporal, Valkey

LATE = 1.5
"""Seconds by which a slow storefront is late."""
ROUTING_KEY = "d0" * 16
PARTS = ("database", "redis", "shop", "slow", "certificate", "temporal")

Report = Callable[[str], None]


class CannotDo(Exception):
    """A wish that the estate can't fulfil, with the reason in one sentence."""


class ShopServer(Server):
    """The shop in its own process."""

    title = "the shop"
    as_nobody = False

    def __init__(self, folder: Path, database: str, cache: str, certificates: Path) -> None:
        super().__init__(folder)
        self.https_port = free_port()
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
        """Have these faults; see `Shop.control`."""
        headers = {"Authorization": f"Bearer {self._settings['token']}"}
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http,
            http.post(f"{self.url}/-/control", json=wanted, headers=headers) as answer,
        ):
            answer.raise_for_status()

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "DEMO_SHOP": json.dumps(self._settings), "PYTHONPATH": os.pathsep.join(sys.path)}

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "monitor.demo.shop"]

    async def _answers(self) -> bool:
        try:
            async with aiohttp.ClientSession() as http, http.get(f"{self.url}/health") as answer:
                return answer.status in (200, 503)
        except aiohttp.ClientConnectionError:
            return False


class Estate:
    """All parts in one folder, which is theirs alone. What is broken stays broken until it is healed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        certificates = self.folder / "certificates"
        self.authority = certificates / AUTHORITY
        self.database = Postgres(self.folder / "postgres")
        self.cache = Valkey(self.folder / "valkey", password=secrets.token_hex(16))
        self.temporal = Temporal(self.folder / "temporal")
        self.inbox = Inbox()
        self.broken: set[str] = set()
        self.missing: dict[str, str] = {}
        """Parts that could not be started, with the reason; the rest runs without them."""
        self._shop: ShopServer | None = None
        self._busy = asyncio.Lock()

    @property
    def shop(self) -> ShopServer:
        """The shop, once the estate has started."""
        assert self._shop is not None
        return self._shop

    async def start(self, report: Report = lambda line: None) -> None:
        """Start everything, saying so as it goes. NotStarted where a part is missing that the others need."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_certificates(self.authority.parent)
        await self.inbox.start()

        async def begin(server: Server) -> None:
            began = monotonic()
            await server.start()
            report(f"{server.title} runs on {server.address} ({show_duration(monotonic() - began)})")

        async def begin_temporal() -> None:
            try:
                await begin(self.temporal)
            except NotStarted as why:
                self.missing["temporal"] = str(why)
                report(f"{why}; everything else goes on without it")

        try:
            async with asyncio.TaskGroup() as together:
                for part in (begin(self.database), begin(self.cache), begin_temporal()):
                    together.create_task(part)
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        self._shop = ShopServer(self.folder / "shop", self.database.dsn, self.cache.url, self.authority.parent)
        await begin(self._shop)

    async def stop(self) -> None:
        """Stop everything, and remove the folder."""
        servers = [server for server in (self._shop, self.database, self.cache, self.temporal) if server is not None]
        await asyncio.gather(*(server.stop() for server in servers))
        await self.inbox.stop()
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    def environment(self) -> dict[str, str]:
        """What the demo's configuration needs to find everything."""
        return {
            "DEMO_DATABASE_URL": self.database.dsn,
            "DEMO_CACHE_URL": self.cache.url,
            "DEMO_SHOP_URL": self.shop.url,
            "DEMO_SHOP_HTTPS_URL": self.shop.https_url,
            "DEMO_AUTHORITY": str(self.authority),
            "DEMO_TEMPORAL_ADDRESS": self.temporal.address,
            "DEMO_INBOX_URL": self.inbox.url,
            "DEMO_ROUTING_KEY": ROUTING_KEY,
            "DEMO_SLACK_TOKEN": "xoxb-demo-" + secrets.token_hex(8),
            "DEMO_SLACK_SIGNING_SECRET": self.inbox.presser.secret,
            "DEMO_STORE": f"sqlite://{self.folder / 'runwatch.db'}",
        }

    async def break_part(self, what: str) -> str:
        """Break a part by its name; what was done, in a sentence. CannotDo where that is impossible."""
        actions: dict[str, tuple[Callable[[], Awaitable[None]], str]] = {
            "database": (self.database.kill, "PostgreSQL was killed"),
            "redis": (self.cache.kill, "Valkey was killed"),
            "shop": (self.shop.kill, "the shop was killed"),
            "slow": (lambda: self.shop.control(slow=LATE), f"the storefront answers {show_duration(LATE)} late"),
            "certificate": (
                lambda: self.shop.control(certificate="expired"), "the shop shows a certificate that expired yesterday"
            ),
            "temporal": (self.temporal.kill, "Temporal was killed"),
        }  # fmt: skip
        async with self._busy:
            self._possible(what, "break")
            action, sentence = actions[what]
            await action()
            self.broken.add(what)
        return sentence

    async def heal_part(self, what: str) -> str:
        """Heal a part by its name; what was done, in a sentence. CannotDo where that is impossible."""
        async with self._busy:
            return await self._heal(what)

    async def heal_all(self) -> str:
        """Heal whatever is broken, the shop first, because it has faults of its own."""
        async with self._busy:
            done = []
            while self.broken:
                done.append(await self._heal("shop" if "shop" in self.broken else min(self.broken)))
        return "; ".join(done) or "nothing was broken"

    async def _heal(self, what: str) -> str:
        self._possible(what, "heal")
        if what in ("slow", "certificate"):
            await self.shop.control(**({"slow": 0} if what == "slow" else {"certificate": "valid"}))
            sentence = "the storefront is fast again" if what == "slow" else "the shop shows its valid certificate"
        else:
            server: Server = {
                "database": self.database, "redis": self.cache, "shop": self.shop, "temporal": self.temporal,
            }[what]  # fmt: skip
            await server.start()
            sentence = f"{server.title} runs again"
        if what == "shop":
            # A new process has none of the old one's faults.
            self.broken -= {"slow", "certificate"}
        self.broken.discard(what)
        return sentence

    def _possible(self, what: str, wish: str) -> None:
        if what not in PARTS:
            raise CannotDo(f"cannot {wish} {what!r}: the parts are {', '.join(PARTS)}")
        if what in self.missing:
            raise CannotDo(f"cannot {wish} {what}: it does not run here; {self.missing[what]}")
        if what in ("slow", "certificate") and not self.shop.alive:
            raise CannotDo(f"cannot {wish} {what}: the shop is down; first `runwatch demo heal shop`")
