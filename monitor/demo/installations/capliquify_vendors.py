"""CapLiquify's vendors: their status pages as they publish them, and APIs that answer strangers with 401."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any, Self

from monitor.demo.parts.site import Site

STATUS_PAGES = {
    "railway": "/status", "github": "/api/v2/summary.json", "neon": "/api/v1/summary", "clerk": "/api/v2/summary.json",
}  # fmt: skip
APIS = ("xero", "shopify", "amazon", "unleashed")


def railway(status: str = "OPERATIONAL") -> dict[str, Any]:
    """Railway's own format."""
    return {
        "components": [{"id": "1", "name": "Deployments", "status": status}], "incidents": [], "maintenances": [],
    }  # fmt: skip


def statuspage(indicator: str = "none", **components: str) -> dict[str, Any]:
    """Atlassian's, which GitHub and Clerk have; `Git_Operations="major_outage"` is a component."""
    named = {"Git_Operations": "operational", "Webhooks": "operational", "API_Requests": "operational", **components}
    return {
        "page": {"id": "p", "name": "Status"}, "status": {"indicator": indicator, "description": ""},
        "components": [
            {"id": name.lower(), "name": name.replace("_", " "), "status": status} for name, status in named.items()
        ],
        "incidents": [], "scheduled_maintenances": [],
    }  # fmt: skip


def incident_io(*incidents: str) -> dict[str, Any]:
    """incident.io's widget, which Neon has: names of incidents that are under way."""
    return {
        "page_title": "Neon", "page_url": "https://neonstatus.com",
        "ongoing_incidents": [
            {"id": name, "name": name, "status": "investigating", "current_worst_impact": "full_outage",
             "affected_components": [], "url": "https://neonstatus.com/incidents/1"}
            for name in incidents
        ],
        "in_progress_maintenances": [], "scheduled_maintenances": [],
    }  # fmt: skip


class Vendors:
    """Each on a port of its own."""

    def __init__(self) -> None:
        self.pages = {name: Site() for name in STATUS_PAGES}
        self.apis = {name: Site() for name in APIS}
        self.clerk = Site()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for site in (*self.pages.values(), *self.apis.values(), self.clerk):
            await self._stack.enter_async_context(site)
        self.pages["railway"].answers(STATUS_PAGES["railway"], railway())
        self.pages["github"].answers(STATUS_PAGES["github"], statuspage())
        self.pages["neon"].answers(STATUS_PAGES["neon"], incident_io())
        self.pages["clerk"].answers(STATUS_PAGES["clerk"], statuspage())
        for api in self.apis.values():
            api.answers("/", {"Title": "Unauthorized", "Status": 401}, 401)
        self.clerk.answers("/v1/health", {"status": "pass"})
        return self

    async def __aexit__(self, *why: object) -> None:
        await self._stack.aclose()

    def environment(self) -> dict[str, str]:
        """Where they are."""
        pages = {
            f"CAPLIQUIFY_{name.upper()}_STATUS_URL": site.url + STATUS_PAGES[name] for name, site in self.pages.items()
        }
        apis = {f"CAPLIQUIFY_{name.upper()}_URL": site.url for name, site in self.apis.items()}
        return {**pages, **apis, "CAPLIQUIFY_CLERK_URL": self.clerk.url}
