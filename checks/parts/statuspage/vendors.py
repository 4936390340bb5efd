"""Which vendor publishes its status where and in which format; a configuration may say otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from checks.parts.statuspage import formats
from checks.parts.statuspage import own_formats as own
from checks.parts.statuspage.page import Page

FormatName = Literal["statuspage", "incident_io", "instatus", "stripe", "railway", "aws", "slack"]


@dataclass(frozen=True, slots=True)
class Format:
    """`read` makes a Page of the parsed body. `path` is where it is at an address without a path; `components`, where
    the whole list of components is, for pages that shorten it, or ""."""

    read: Callable[[Any], Page]
    path: str
    components: str = ""


FORMATS: dict[FormatName, Format] = {
    "statuspage": Format(formats.statuspage, "/api/v2/summary.json", "/api/v2/components.json"),
    "incident_io": Format(formats.incident_io, "/api/v1/summary"),
    "instatus": Format(formats.instatus, "/summary.json", "/v2/components.json"),
    "stripe": Format(own.stripe, "/current"),
    "railway": Format(own.railway, "/status"),
    "aws": Format(own.aws, "/public/currentevents"),
    "slack": Format(own.slack, "/api/v2.0.0/current"),
}

VENDORS: dict[str, tuple[str, FormatName]] = {
    "aws": ("https://health.aws.amazon.com", "aws"),
    "circleci": ("https://status.circleci.com", "statuspage"),
    "clerk": ("https://status.clerk.com", "statuspage"),
    "cloudflare": ("https://www.cloudflarestatus.com", "statuspage"),
    "datadog": ("https://status.datadoghq.com", "statuspage"),
    "digitalocean": ("https://status.digitalocean.com", "statuspage"),
    "github": ("https://www.githubstatus.com", "statuspage"),
    "hashicorp": ("https://status.hashicorp.com", "statuspage"),
    "linear": ("https://linearstatus.com", "statuspage"),
    "neon": ("https://neonstatus.com", "incident_io"),
    "netlify": ("https://www.netlifystatus.com", "statuspage"),
    "npm": ("https://status.npmjs.org", "statuspage"),
    "openai": ("https://status.openai.com", "statuspage"),
    "railway": ("https://api.railwaystatus.com", "railway"),
    "render": ("https://status.render.com", "statuspage"),
    "sendgrid": ("https://status.sendgrid.com", "statuspage"),
    "sentry": ("https://status.sentry.io", "statuspage"),
    "shopify": ("https://www.shopifystatus.com", "statuspage"),
    "slack": ("https://slack-status.com", "slack"),
    "stripe": ("https://status.stripe.com", "stripe"),
    "temporal": ("https://status.temporal.io", "statuspage"),
    "twilio": ("https://status.twilio.com", "statuspage"),
    "upstash": ("https://status.upstash.com", "statuspage"),
    "vercel": ("https://www.vercel-status.com", "statuspage"),
    "xero": ("https://status.xero.com", "statuspage"),
}
"""incident.io's pages are read in their imitation of Statuspage where they have it: it names components."""
