"""iaMenu, simulated: its services on a real PostgreSQL and a real Valkey, its logs, and the tools that it has."""

from __future__ import annotations

from monitor.demo.installation import together
from monitor.demo.installations.iamenu_logs import Logs
from monitor.demo.installations.iamenu_services import Services
from monitor.demo.installations.iamenu_tools import Tools


class Iamenu(Services, Logs, Tools):
    """What goes wrong with each of them stands with it."""

    name = "iamenu"

    async def set_up(self) -> None:
        """Start everything; the servers at the same time."""
        self.environment |= {
            f"IAMENU_PAGERDUTY_{key}_KEY": self.pagerduty_key(name)
            for key, name in (
                ("ON_CALL", "iamenu-on-call"),
                ("MANAGER", "iamenu-engineering-manager"),
                ("CTO", "iamenu-cto"),
            )
        }
        await together(self.start_database(), self.start_cache(), self.start_logs(), self.start_tools())
        await self.start_services()
