"""The formats of vendors that publish their status in a way of their own; Unreadable is raised for all else.

None of them is documented by its vendor but Slack's: they are as the vendors' own pages use them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from checks.parts.http.expect import brief
from checks.parts.statuspage.formats import statuspage
from checks.parts.statuspage.page import (
    DEGRADED,
    MAJOR_OUTAGE,
    NOTICE,
    OPERATIONAL,
    Component,
    Incident,
    Page,
    Unreadable,
)
from checks.parts.statuspage.words import (
    COMPONENTS,
    ENDED,
    MOST,
    a_list,
    an_object,
    component,
    names,
    newest,
    objects,
    text,
    word,
)

STRIPE = {
    "up": OPERATIONAL, "degraded": DEGRADED, "down": MAJOR_OUTAGE, "pending": OPERATIONAL, "paused": OPERATIONAL,
}  # fmt: skip


def stripe(document: Any) -> Page:
    """Stripe's /current and /current/full, whose keys changed over the years; Statuspage's, should it turn to it."""
    whole = an_object(document, "the body")
    said = next((whole[key] for key in ("largestatus", "UptimeStatus", "overallStatus") if key in whole), None)
    if said is None and "page" in whole:
        return statuspage(document)
    state = word(said)
    if state not in STRIPE:
        raise Unreadable(f"its status is {brief(said, 60)}, a word that nobody knows")
    parts = whole.get("statuses")
    components = [
        Component(text(name), STRIPE.get(word(said)), text(said), maintenance=word(said) in ("pending", "paused"))
        for name, said in (parts.items() if isinstance(parts, dict) else ())
    ]
    for one in objects(whole.get("uptimeData")):
        warned = one.get("warning")
        level = OPERATIONAL if not warned and "warning" in one else None
        components.append(Component(text(one.get("title")), level, text(warned) or "no warning", text(one.get("key"))))
    return Page(STRIPE[state], text(whole.get("message")), state in ("pending", "paused"), tuple(components))


def railway(document: Any) -> Page:
    """Railway's /status: a tree of components, incidents, maintenances."""
    whole = an_object(document, "the body")
    if "components" not in whole or "incidents" not in whole:
        raise Unreadable("it is not as Railway's status is: it has no components or incidents")
    components = _leaves(a_list(whole["components"], "components"), "", 0)
    found = [
        Incident(
            text(one.get("title")), COMPONENTS.get(word(one.get("worstImpact"))), text(one.get("status")),
            text(one.get("createdAt")), components=names(one.get("components"), "name"),
        )
        for one in a_list(whole["incidents"], "incidents")
        if word(one.get("status")) not in ENDED and not one.get("resolvedAt")
    ]  # fmt: skip
    for one in a_list(whole.get("maintenances"), "maintenances"):
        if word(one.get("status")) not in ENDED:
            since, title = text(one.get("scheduledStart")), text(one.get("title"))
            found.append(Incident(title, OPERATIONAL, text(one.get("status")), since, maintenance=True))
    return Page(None, components=tuple(components), incidents=tuple(found))


def _leaves(listed: list[dict[str, Any]], group: str, depth: int) -> list[Component]:
    if depth > 8:
        raise Unreadable("its components are nested too deeply")
    found = []
    for one in listed:
        inner = one.get("components") or one.get("children")
        below = _leaves(a_list(inner, "components"), text(one.get("name")), depth + 1) if inner else []
        found += below or [component(one, group)]
    return found


AWS = {"0": OPERATIONAL, "1": NOTICE, "2": DEGRADED, "3": MAJOR_OUTAGE}


def aws(document: Any) -> Page:
    """AWS' list of current events, one incident for each region that an event touches; an empty list is all well."""
    if not isinstance(document, list):
        raise Unreadable(f"it is not the list of AWS' current events but {brief(document, 60)}")
    found = []
    for one in a_list(document, "the list of events"):
        if "arn" not in one or "status" not in one:
            raise Unreadable("an event has no arn or no status")
        if str(one["status"]) != "0":
            found += _aws_incidents(one)
    return Page(OPERATIONAL, incidents=tuple(found), lists_components=False)


def _aws_incidents(event: dict[str, Any]) -> list[Incident]:
    """An event for each region: its services are keyed as ec2-us-east-1."""
    home = (text(event["arn"]).split(":") + [""] * 4)[3]
    regions = {home: (AWS.get(str(event["status"])), [text(event.get("service_name"))])}
    touched = event.get("impacted_services")
    if isinstance(touched, dict) and len(touched) > MOST:
        raise Unreadable(f"an event touches {len(touched)} services, more than {MOST}")
    for key, held in touched.items() if isinstance(touched, dict) else ():
        service, _, region = key.partition("-")
        level = AWS.get(str(held.get("current"))) if isinstance(held, dict) else None
        before, services = regions.get(region, (OPERATIONAL, []))
        worst = None if level is None or before is None else max(before, level)
        named = text(held.get("service_name")) if isinstance(held, dict) else ""
        regions[region] = worst, [*services, service, named]
    log = event.get("event_log")
    update = text(log[-1].get("message")) if isinstance(log, list) and log and isinstance(log[-1], dict) else ""
    return [
        Incident(
            text(event.get("summary")) or "an event without a title", level, region, _instant(event.get("date")),
            "https://health.aws.amazon.com/health/status", update, tuple(name for name in services if name),
            () if region in ("", "global") else (region,),
        )
        for region, (level, services) in regions.items()
    ]  # fmt: skip


def _instant(seconds: Any) -> str:
    try:
        return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (TypeError, ValueError, OverflowError, OSError):
        return ""


SLACK = {"incident": DEGRADED, "notice": NOTICE, "outage": MAJOR_OUTAGE}


def slack(document: Any) -> Page:
    """Slack's /api/v2.0.0/current: ok, or active incidents."""
    whole = an_object(document, "the body")
    if whole.get("status") not in ("ok", "active"):
        raise Unreadable(f"its status is {brief(whole.get('status'), 60)}, a word that nobody knows")
    found = tuple(
        Incident(
            text(one.get("title")), SLACK.get(word(one.get("type"))), text(one.get("status")),
            text(one.get("date_created")), text(one.get("url")), newest(one.get("notes"), "body"),
            names(one.get("services")),
        )
        for one in a_list(whole.get("active_incidents"), "active_incidents")
        if word(one.get("status")) not in ENDED
    )  # fmt: skip
    if whole["status"] == "active" and not found:
        raise Unreadable("it says that incidents are active, and names none")
    return Page(OPERATIONAL, whole["status"], incidents=found, lists_components=False)
