"""Asks Sentry how many errors came lately, which issues are new, and whether it had to throw any away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, SecretStr

from checks.base import Asks, Check, Measurement, Recommended, Run, Url
from checks.parts.api import Api
from checks.parts.http.request import web_address
from checks.parts.network import TlsSettings
from checks.parts.vendors import sentry as answers
from checks.units import Duration

SHOWN = 8
"""Issues that become evidence, one a line."""
LARGEST = 2**21
PAGE = 100
"""Rows of an answer, Sentry's most."""

Slug = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+$")]


def _plain(url: Url) -> Url:
    if url.parts.username or url.parts.query:
        raise ValueError("an address such as https://de.sentry.io is wanted; the token is a key of its own")
    return web_address(url)


class Sentry(Check):
    """Errors and issues of an organization in Sentry, over a window that ends now."""

    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("events", "count", "Errors within the window, all projects together."),
        Measurement("project_events", "count", "The same by project.", labels=("project",)),
        Measurement("events_per_second", "per_second", "Errors within the window, by its length."),
        Measurement("issues_new", "count", f"Unresolved issues that began within the window, at most {PAGE}."),
        Measurement("issues_unresolved", "count", f"Unresolved issues, at most {PAGE}."),
        Measurement("dropped_ratio", "ratio", "Share of the last hour's errors that Sentry did not take."),
        Measurement("requests_remaining", "count", "Requests that Sentry still allows, where it says so."),
    )
    recommended: ClassVar[tuple[Recommended, ...]] = (
        Recommended(
            "ErrorsOverBaseline", "events > 3 * baseline(events) and events > 20", "medium",
            "More errors than on other days: look at what was deployed.", hold=300.0,
        ),
        Recommended("NewIssues", "issues_new > 0", "low", "Something broke that did not break before."),
        Recommended("ErrorsDropped", "dropped_ratio > 5%", "medium", "The quota is used up: Sentry is blind.", 3600.0),
    )  # fmt: skip

    url: Annotated[Url, AfterValidator(_plain)] = Field(
        default=Url("https://sentry.io"),
        description="Sentry's address: https://us.sentry.io, https://de.sentry.io, or your own.",
    )
    organization: Slug = Field(description="Its slug.")
    token: SecretStr = Field(description=f"Of an internal integration, with the scopes {answers.SCOPES}.")
    projects: tuple[Slug, ...] = Field(default=(), max_length=50, description="Slugs or ids of projects; none: all.")
    environments: tuple[str, ...] = Field(default=(), max_length=20, description="Environments; none: all.")
    query: str = Field(
        default="", max_length=1000, description="What events and issues must match, in Sentry's search."
    )
    window: Literal["5m", "15m", "30m", "1h", "24h"] = Field(default="15m", description="How far back to look.")
    issues: bool = Field(default=True, description="Whether to ask for issues.")
    outcomes: bool = Field(default=False, description="Whether to ask how many events Sentry threw away.")
    tls: TlsSettings = Field(default=TlsSettings(), description="Settings of the encryption.")
    interval: Duration = Field(default=120.0, gt=0, description="Time from one probe's start to the next.")

    def asks(self) -> tuple[Asks, ...]:
        """One request, one more for each of `issues` and `outcomes`."""
        number = 1 + self.issues + self.outcomes
        return (Asks(self.target, number, number),)

    async def probe(self, run: Run) -> None:
        """One request, one more for each of `issues` and `outcomes`."""
        headers = {"Authorization": f"Bearer {self.token.get_secret_value()}"}
        name = f"Sentry at {self.url}"
        async with Api(name, self.url.reveal(), self.timeout, headers=headers, tls=self.tls, largest=LARGEST) as api:
            fields = {"dataset": "errors", "field": ["project", "count()"], "per_page": str(PAGE)}
            document = await self._ask(api, "events", {**fields, "query": self.query, "statsPeriod": self.window}, run)
            self._record_events(answers.counts(name, document), run)
            if self.issues:
                wanted = f"is:unresolved {self.query}".strip()
                document = await self._ask(api, "issues", {"query": wanted, "sort": "new", "limit": str(PAGE)}, run)
                self._record_issues(answers.issues(name, document), run)
            if self.outcomes:
                grouped = {"groupBy": "outcome", "field": "sum(quantity)", "category": "error"}
                document = await self._ask(api, "stats_v2", {**grouped, "statsPeriod": "1h", "interval": "1h"}, run)
                taken, lost = answers.dropped(name, document)
                if taken + lost:
                    run.record("dropped_ratio", lost / (taken + lost))

    async def _ask(self, api: Api, what: str, query: Mapping[str, str | Sequence[str]], run: Run) -> Any:
        where = {"project": self.projects, "environment": self.environments if what != "stats_v2" else ()}
        answer = await api.ask(
            "GET", f"/api/0/organizations/{self.organization}/{what}/", {**query, **where}, accept=()
        )
        document = answers.checked(answer, run.at)
        left = answers.remaining(answer)
        if left is not None and what == "events":
            run.record("requests_remaining", left)
        return document

    def _record_events(self, by_project: dict[str, float], run: Run) -> None:
        total = sum(by_project.values())
        run.record("events", total)
        run.record("events_per_second", total / WINDOWS[self.window])
        for project, count in by_project.items():
            run.record("project_events", count, project=project)

    def _record_issues(self, found: list[answers.Issue], run: Run) -> None:
        new = [one for one in found if one.first_seen >= run.at - WINDOWS[self.window]]
        run.record("issues_new", len(new))
        run.record("issues_unresolved", len(found))
        if found:
            run.evidence("Unresolved issues, the newest first", "\n".join(map(str, (new or found)[:SHOWN])))


WINDOWS = {"5m": 300.0, "15m": 900.0, "30m": 1800.0, "1h": 3600.0, "24h": 86_400.0}
