"""CapLiquify's vendors: their status pages as they publish them, and APIs that answer strangers with 401."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any, Self

from aiohttp import web

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


def incident_io(**outages: str) -> dict[str, Any]:
    """incident.io's, which Neon has: `Compute="Computes don't start"` is an incident under way in a component."""
    return {
        "page_title": "Neon", "page_url": "https://neonstatus.com",
        "ongoing_incidents": [
            {
                "id": f"01{component}", "name": name, "status": "investigating", "current_worst_impact": "full_outage",
                "url": f"https://neonstatus.com/incidents/01{component}", "last_update_message": "We are looking.",
                "affected_components": [{"id": component, "name": component, "current_status": "full_outage"}],
            }
            for component, name in outages.items()
        ],
        "in_progress_maintenances": [], "scheduled_maintenances": [],
    }  # fmt: skip


class Railway:
    """Railway's GraphQL API as far as `railway metrics` asks it: a service's memory, each minute of the time asked for.

    `used` is the share of its memory that the service uses now; `now` is the time in Unix seconds.
    """

    path = "/graphql/v2"
    token = "5e2e1c0a-93a2-4a57-9a43-6f5f2b8d9c11"
    limit_gb = 8.0

    def __init__(self, used: Callable[[], float], now: Callable[[], float]) -> None:
        self._used = used
        self._now = now

    async def handle(self, request: web.Request) -> web.Response:
        """The answer to a query; what is wrong with it comes with 200, as GraphQL has it."""
        if request.headers.get("Project-Access-Token") != self.token:
            return web.json_response({"errors": [{"message": "Not Authorized"}], "data": None})
        variables = (await request.json())["variables"]
        start = datetime.fromisoformat(variables["start"]).timestamp()
        minutes = range(int(start // 60 + 1) * 60, int(self._now()) + 1, 60)
        metrics = [
            {"measurement": name, "values": [{"ts": minute, "value": value} for minute in minutes]}
            for name, value in (("MEMORY_USAGE_GB", self._used() * self.limit_gb), ("MEMORY_LIMIT_GB", self.limit_gb))
        ]
        return web.json_response({"data": {"metrics": metrics}})


class Vendors:
    """Each on a port of its own."""

    def __init__(self, railway: Railway) -> None:
        self.railway = Site()
        self.railway.handles(Railway.path, railway.handle, method="POST")
        self.pages = {name: Site() for name in STATUS_PAGES}
        self.apis = {name: Site() for name in APIS}
        self.clerk = Site()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for site in (*self.pages.values(), *self.apis.values(), self.clerk, self.railway):
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
        return {
            **pages, **apis,
            "CAPLIQUIFY_CLERK_URL": self.clerk.url,
            "CAPLIQUIFY_RAILWAY_API_URL": self.railway.url + Railway.path,
            "CAPLIQUIFY_RAILWAY_TOKEN": Railway.token,
            "CAPLIQUIFY_RAILWAY_ENVIRONMENT": "0c6cf2c5-3f0e-4b0a-8f0f-0a7b1c2d3e4f",
        }  # fmt: skip
