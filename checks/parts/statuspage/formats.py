"""The formats of status pages that many vendors use, each read into a Page; Unreadable is raised for all else.

A page is well only where it says so in a word that is known. The formats: developer.statuspage.io, docs.incident.io,
instatus.com/help/api.
"""

from __future__ import annotations

from typing import Any

from checks.parts.http.expect import brief
from checks.parts.statuspage.page import DEGRADED, OPERATIONAL, Incident, Page, Unreadable
from checks.parts.statuspage.words import (
    COMPONENTS,
    ENDED,
    IMPACTS,
    INDICATORS,
    a_list,
    an_object,
    component,
    names,
    newest,
    objects,
    text,
    word,
)


def statuspage(document: Any) -> Page:
    """Statuspage's summary.json or components.json, version 2; incident.io's imitation, whose lists may be null."""
    whole = an_object(document, "the body")
    if not isinstance(whole.get("page"), dict) or not ("status" in whole or "components" in whole):
        raise Unreadable("it is not as Statuspage's summary.json is: it has no page, status or components")
    listed = a_list(whole.get("components"), "components")
    groups = {text(one.get("id")): text(one.get("name")) for one in listed if one.get("group")}
    components = [component(one, groups.get(text(one.get("group_id")), "")) for one in listed if not one.get("group")]
    level, said, at_work = None, "", False
    if "status" in whole:
        state = an_object(whole["status"], "status")
        indicator = word(state.get("indicator"))
        if indicator not in INDICATORS:
            raise Unreadable(f"its indicator is {brief(state.get('indicator'), 60)}, a word that nobody knows")
        level, said, at_work = INDICATORS[indicator], text(state.get("description")), indicator == "maintenance"
    incidents = [_statuspage_incident(one, False) for one in a_list(whole.get("incidents"), "incidents")]
    planned = a_list(whole.get("scheduled_maintenances"), "scheduled_maintenances")
    incidents += [_statuspage_incident(one, True) for one in planned]
    return Page(level, said, at_work, tuple(components), tuple(one for one in incidents if word(one.said) not in ENDED))


def _statuspage_incident(one: dict[str, Any], planned: bool) -> Incident:
    at_work = planned or word(one.get("impact")) == "maintenance"
    level = OPERATIONAL if at_work else IMPACTS.get(word(one.get("impact")))
    since = text(one.get("scheduled_for") if planned else one.get("started_at") or one.get("created_at"))
    return Incident(
        text(one.get("name")), level, text(one.get("status")), since, text(one.get("shortlink")),
        newest(one.get("incident_updates"), "body"), names(one.get("components"), "name"), (), at_work,
    )  # fmt: skip


def incident_io(document: Any) -> Page:
    """incident.io's /api/v1/summary, of one page or of one with subpages: without an incident, all is well."""
    whole = an_object(document, "the body")
    if "subpages" not in whole:
        return _incident_io(whole, ())
    pages = {
        text(one.get("subpage")): _incident_io(an_object(one.get("summary"), "a summary"), (text(one.get("subpage")),))
        for one in a_list(whole["subpages"], "subpages")
    }
    if not pages:
        raise Unreadable("it has no subpages")
    incidents = tuple(incident for page in pages.values() for incident in page.incidents)
    return Page(OPERATIONAL, incidents=incidents, places=tuple(pages), lists_components=False)


def _incident_io(whole: dict[str, Any], regions: tuple[str, ...]) -> Page:
    if "ongoing_incidents" not in whole or "in_progress_maintenances" not in whole:
        raise Unreadable("it is not as incident.io's summary is: it has no ongoing_incidents")
    found = []
    for key, at_work in (("ongoing_incidents", False), ("in_progress_maintenances", True)):
        for one in a_list(whole[key], key):
            affected = one.get("affected_components")
            # The worst state of what it affects, where it says so; that it is going on at all, where it doesn't.
            states = [word(part.get("status") or part.get("current_status")) for part in objects(affected)]
            level = max((COMPONENTS.get(state) or OPERATIONAL for state in states), default=OPERATIONAL)
            found.append(Incident(
                text(one.get("name")), OPERATIONAL if at_work else max(level, DEGRADED), text(one.get("status")),
                text(one.get("started_at") or one.get("created_at")), text(one.get("url")),
                text(one.get("last_update_message")), names(affected, "name"), regions, at_work,
            ))  # fmt: skip
    return Page(OPERATIONAL, incidents=tuple(found), lists_components=False)


INSTATUS = {"up": OPERATIONAL, "hasissues": DEGRADED, "undermaintenance": OPERATIONAL}


def instatus(document: Any) -> Page:
    """Instatus' summary.json, or its components.json."""
    if isinstance(document, list) or "page" not in an_object(document, "the body"):
        listed = document if isinstance(document, list) else document.get("components")
        if not isinstance(listed, list):
            raise Unreadable("it is not as Instatus' summary.json is: it has no page")
        return Page(None, components=tuple(component(one) for one in a_list(listed, "components")))
    whole = an_object(document, "the body")
    state = an_object(whole["page"], "page").get("status")
    level = _instatus_level(word(state))
    if level is None:
        raise Unreadable(f"the page's status is {brief(state, 60)}, a word that nobody knows")
    found = []
    for key, at_work in (("activeIncidents", False), ("activeMaintenances", True)):
        for one in a_list(whole.get(key), key):
            if word(one.get("status")) not in ENDED:
                grave = OPERATIONAL if at_work else _instatus_level(word(one.get("impact")))
                since = text(one.get("start") if at_work else one.get("started"))
                title, url = text(one.get("name")), text(one.get("url"))
                found.append(Incident(title, grave, text(one.get("status")), since, url, maintenance=at_work))
    components = tuple(component(one) for one in a_list(whole.get("components"), "components"))
    return Page(level, text(state), "maintenance" in word(state), components, tuple(found))


def _instatus_level(word: str) -> int | None:
    """Newer pages put ALL, SOME or ONE before the word."""
    if word in INSTATUS:
        return INSTATUS[word]
    for start in ("", "all", "some", "one"):
        if word.startswith(start) and word[len(start) :] in COMPONENTS:
            return COMPONENTS[word[len(start) :]]
    return None
