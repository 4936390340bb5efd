"""Dakkah, simulated: a shop on a real PostgreSQL, Valkey, Temporal and Prometheus, with a stand-in for Stripe."""

from __future__ import annotations

from typing import ClassVar

from monitor.demo.installation import together
from monitor.demo.installations.dakkah_money import DakkahMoney
from monitor.demo.installations.dakkah_shop import DakkahShop
from monitor.demo.installations.dakkah_upkeep import DakkahUpkeep
from monitor.demo.installations.dakkah_workflows import DakkahWorkflows


class Dakkah(DakkahShop, DakkahMoney, DakkahWorkflows, DakkahUpkeep):
    """All of it."""

    name: ClassVar[str] = "dakkah"

    async def set_up(self) -> None:
        """Start every part; what does not need another starts at the same time."""
        self.environment |= {
            "DAKKAH_PAGERDUTY_KEY": self.pagerduty_key("dakkah-on-call"),
            "DAKKAH_VACUUM_HOUR": str(int(self.now() // 3600 + 12) % 24),  # never while somebody looks
        }
        await together(self._start_shop_and_upkeep(), self.start_workflows(), self.start_money())

    async def _start_shop_and_upkeep(self) -> None:
        await self.start_data()
        await self.start_shop()
        await self.start_upkeep(self.database.address_for("postgres", self.database.password, "medusa"))
