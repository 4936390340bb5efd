"""Retail, simulated: all its parts together."""

from __future__ import annotations

from monitor.demo.installation import together
from monitor.demo.installations.retail_backups import RetailBackups
from monitor.demo.installations.retail_runtime import RetailRuntime
from monitor.demo.installations.retail_tools import RetailTools


class Retail(RetailBackups, RetailRuntime, RetailTools):
    """The Retail Super App, and who is told of its alerts."""

    name = "retail"

    async def set_up(self) -> None:
        """Start everything; what needs nothing of each other together."""
        await self.inbox.mail.start()
        self.environment |= {
            "RETAIL_PAGERDUTY_PRIMARY_KEY": self.pagerduty_key("retail-primary"),
            "RETAIL_PAGERDUTY_SECONDARY_KEY": self.pagerduty_key("retail-secondary"),
            "RETAIL_SMTP": self.inbox.mail.address,
            "RETAIL_SMTP_TLS": "false",
        }
        await together(self.start_tools(), self._start_data(), self.start_runtime(), self.start_storage())
        await self.start_backups()

    async def _start_data(self) -> None:
        await self.start_databases()
        await self.start_services()
