"""Reads a vendor's status page: how the vendor says that it is, and which incidents it has open."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal
from urllib.parse import urljoin, urlsplit

from pydantic import AfterValidator, Field, model_validator

from checks.base import Asks, Check, Errored, Failed, Measurement, Reason, Recommended, Run, Url
from checks.parts.api import Answer, Api
from checks.parts.http.expect import brief
from checks.parts.http.request import web_address
from checks.parts.network import TlsSettings
from checks.parts.pool import in_pool
from checks.parts.statuspage.page import (
    DEGRADED,
    LEVELS,
    MAJOR_OUTAGE,
    PARTIAL_OUTAGE,
    Component,
    Finding,
    Page,
    Unreadable,
    finding,
)
from checks.parts.statuspage.vendors import FORMATS, VENDORS, Format, FormatName
from checks.parts.statuspage.words import parsed
from checks.units import Duration

LARGEST = 2**20
MUCH = 64 * 1024
"""Bytes from which on a page is read in a thread."""
REDIRECTS = (301, 302, 303, 307, 308)
HOPS = 4
SHOWN = 8
"""Incidents that become evidence."""
FRESH = 55.0
"""Seconds for which an answer stands: nobody's page is asked more than once a minute, however often the check runs."""
FAILING = {"degraded": DEGRADED, "partial_outage": PARTIAL_OUTAGE, "major_outage": MAJOR_OUTAGE, "never": 99}
HELD = "page"


def _plain(url: Url) -> Url:
    if url.parts.username or url.parts.password:
        raise ValueError("a public status page wants no credentials")
    return web_address(url)


@dataclass(frozen=True, slots=True)
class _Held:
    """The page as it was read last, when (the run's seconds), and the server's tag for it."""

    page: Page
    at: float
    tag: str


class Statuspage(Check):
    """How a vendor says that it is, on its status page; it lags behind the truth, and is no proof of health."""

    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("level", "number", "The worst: 0 operational, 1 notice, 2 degraded, 3 partial, 4 major outage."),
        Measurement("component_level", "number", "The same for each of `components`.", labels=("component",)),
        Measurement("maintenance", "bool", "Whether maintenance is under way."),
        Measurement("incidents", "count", "Open incidents that concern what was chosen, maintenance left out."),
        Measurement("not_modified", "bool", "Whether the page was as it had been (304), or fresh enough not to ask."),
    )
    recommended: ClassVar[tuple[Recommended, ...]] = (
        Recommended("VendorIncident", "incidents > 0", "low", "What the vendor knows saves an hour of looking."),
        Recommended("VendorStatusUnknown", "error", "low", "The page has moved or changed its form.", hold=3600.0),
    )

    vendor: str = Field(default="", description="One of those known; see the page of this kind.")
    url: Annotated[Url, AfterValidator(_plain)] | None = Field(
        default=None, description="Address of the page or of its JSON, in place of the vendor's."
    )
    format: FormatName | None = Field(default=None, description="In place of the vendor's; else statuspage.")
    components: tuple[str, ...] = Field(
        default=(), description="Only these: names, identifiers, or `group/name`, in any case; none: the whole."
    )
    regions: tuple[str, ...] = Field(default=(), description="Only these, of AWS and of incident.io's subpages.")
    fails_at: Literal["degraded", "partial_outage", "major_outage", "never"] = Field(
        default="degraded", description="The level from which on the check fails."
    )
    tls: TlsSettings = Field(default=TlsSettings(), description="Settings of the encryption.")
    interval: Duration = Field(default=120.0, gt=0, description="Time from one probe's start to the next.")

    @model_validator(mode="after")
    def _somewhere(self) -> Statuspage:
        if self.vendor not in ("", *VENDORS):
            raise ValueError(f"no vendor {self.vendor!r} is known ({', '.join(VENDORS)}): give its url and format")
        if not self.vendor and self.url is None:
            raise ValueError("a vendor or a url is wanted")
        if self._format_name == "aws" and not self.regions:
            raise ValueError("regions are wanted: some region of AWS always has an event")
        if self.regions and self._format_name not in ("aws", "incident_io"):
            raise ValueError(f"{self._format_name} knows no regions; choose components")
        return self

    @property
    def _format_name(self) -> FormatName:
        return self.format or (VENDORS[self.vendor][1] if self.vendor else "statuspage")

    @property
    def _format(self) -> Format:
        return FORMATS[self._format_name]

    @property
    def _who(self) -> str:
        return self.vendor or (urlsplit(self.target).hostname or "")

    @property
    def target(self) -> str:
        """The address that is asked."""
        base = self.url.reveal() if self.url is not None else VENDORS[self.vendor][0]
        parts = urlsplit(base)
        return base if parts.path.strip("/") or parts.query else urljoin(base, self._format.path)

    def asks(self) -> tuple[Asks, ...]:
        """One request, but for those within a minute; where a summary is shortened, one more."""
        fresh = min(1.0, self.interval / FRESH)
        return (Asks(self.target, fresh, 2 if self._format.components else 1),)

    async def probe(self, run: Run) -> None:
        """One request, more only where the page redirects or shortens its components; none within a minute."""
        try:
            page, not_modified = await self._page(run)
            found = finding(page, self.components, self.regions)
        except Unreadable as why:
            told = f"cannot tell how {self._who} is from its status page {self.target}: {why}"
            raise Errored(Reason.BODY, told) from None
        run.record("not_modified", not_modified)
        self._judge(page, found, run)

    async def _page(self, run: Run) -> tuple[Page, bool]:
        held: _Held | None = run.memory.get((HELD, self.target))
        if held is not None and 0 <= run.at - held.at < FRESH:
            return held.page, True
        until = asyncio.get_running_loop().time() + self.timeout
        answer = await self._get(self.target, until, held.tag if held is not None else "")
        if answer.status == 304 and held is not None:
            run.memory[HELD, self.target] = replace(held, at=run.at)
            return held.page, True
        page, tag = await self._read(answer, run), answer.headers.get("ETag", "")
        if self._lacks_components(page):
            # A summary leaves some out where there are many; its tag says nothing of those.
            rest = await self._get(urljoin(self.target, self._format.components), until, "")
            page = replace(page, components=page.components + (await self._read(rest, run)).components)
            tag = ""
        run.memory[HELD, self.target] = _Held(page, run.at, tag if tag.isascii() else "")
        return page, False

    async def _read(self, answer: Answer, run: Run) -> Page:
        def read() -> Page:
            return self._format.read(parsed(answer.body))

        return await in_pool(run, read) if len(answer.body) > MUCH else read()

    def _lacks_components(self, page: Page) -> bool:
        missing = any(not any(one.is_called(wanted) for one in page.components) for wanted in self.components)
        return missing and page.lists_components and bool(self._format.components)

    async def _get(self, address: str, until: float, tag: str) -> Answer:
        """The answer to a GET, wherever it redirects to. What goes wrong with it is unknown: no word of the vendor."""
        headers = {"Accept": "application/json", **({"If-None-Match": tag} if tag else {})}
        accepted = (200, *((304,) if tag else ()), *REDIRECTS)
        name = f"the status page of {self._who}"
        try:
            for _ in range(HOPS):
                base, target = _divided(address)
                left = max(until - asyncio.get_running_loop().time(), 0.001)
                async with Api(name, base, left, headers=headers, tls=self.tls, largest=LARGEST) as api:
                    answer = await api.ask("GET", target, accept=accepted)
                if answer.status not in REDIRECTS:
                    return answer
                address = web_address(Url(urljoin(address, answer.headers.get("Location", "")))).reveal()
        except ValueError:
            raise Errored(Reason.PROTOCOL, f"{name} redirects to what is no web address") from None
        except Failed as why:
            raise Errored(why.reason, f"{why.sentence}; how it is, is unknown") from None
        raise Errored(Reason.PROTOCOL, f"{name} redirects more than {HOPS - 1} times, the last to {brief(address)}")

    def _judge(self, page: Page, found: Finding, run: Run) -> None:
        run.record("level", found.level)
        run.record("maintenance", found.maintenance)
        real = [one for one in found.incidents if not one.maintenance]
        run.record("incidents", len(real))
        for name in self.components:
            levels = [one.level for one in found.components if one.is_called(name) and one.level is not None]
            if levels:
                run.record("component_level", max(levels), component=name)
        if found.incidents:
            run.evidence("Open incidents", "\n".join(map(str, found.incidents[:SHOWN])))
        unwell = _unwell(found.components if self.components else page.components)
        if unwell:
            run.evidence("Components that are not well", "\n".join(unwell[:SHOWN]))
        if found.level >= FAILING[self.fails_at]:
            titles = [one.title for one in real]
            told = [*unwell, *titles] if self.components else [*titles, *unwell]
            about = "; ".join(told[:4]) or page.said
            raise Failed(
                Reason.ASSERTION, f"{self._who} reports: {LEVELS[found.level]}" + (f" ({about})" if about else "")
            )


def _unwell(components: Iterable[Component]) -> list[str]:
    """The worst first, as `name: level`."""
    worst = sorted((one for one in components if one.level), key=lambda one: -(one.level or 0))
    return [f"{one.name}: {LEVELS[one.level or 0]}" for one in worst]


def _divided(address: str) -> tuple[str, str]:
    """Scheme and host; path and query."""
    parts = urlsplit(address)
    target = parts.path or "/"
    return f"{parts.scheme}://{parts.netloc}", f"{target}?{parts.query}" if parts.query else target
