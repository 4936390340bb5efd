"""Every format of status pages by tables, and by any JSON: nothing is well unless it says so."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.parts.statuspage.page import Finding, Unreadable, finding
from checks.parts.statuspage.vendors import FORMATS, VENDORS, FormatName
from checks.parts.statuspage.words import parsed


def read(name: FormatName, document: Any, components: tuple[str, ...] = (), regions: tuple[str, ...] = ()) -> Finding:
    return finding(FORMATS[name].read(parsed(json.dumps(document).encode())), components, regions)


def summary(indicator: Any = "none", components: Any = (), incidents: Any = (), planned: Any = ()) -> dict[str, Any]:
    return {
        "page": {"id": "x", "name": "Shop"}, "status": {"indicator": indicator, "description": "as said"},
        "components": components, "incidents": incidents, "scheduled_maintenances": planned,
    }  # fmt: skip


def part(name: str, status: str = "operational", **more: Any) -> dict[str, Any]:
    return {"id": f"id-{name}", "name": name, "status": status, "group": False, **more}


ACTIONS, PAGES = part("Actions", "partial_outage"), part("Pages")
SPLIT = [part("EU", group=True, id="g1"), part("API", "major_outage", group_id="g1"), part("API", group_id="g2")]
OPEN = {"name": "Slow jobs", "status": "investigating", "impact": "minor", "components": [{"name": "Actions"}]}
OVER = {"name": "Old", "status": "resolved", "impact": "critical"}
WORK = {"name": "Upgrade", "status": "in_progress", "impact": "maintenance", "components": [{"name": "Pages"}]}

STATUSPAGE = [
    (summary(), (), 0, False, 0),
    (summary("minor"), (), 2, False, 0),
    (summary("major"), (), 3, False, 0),
    (summary("critical"), (), 4, False, 0),
    (summary("maintenance"), (), 0, True, 0),
    (summary("none", None, None, None), (), 0, False, 0),
    (summary(incidents=[OPEN]), (), 2, False, 1),
    (summary(incidents=[OPEN | {"impact": "none"}]), (), 1, False, 1),
    (summary(incidents=[OVER]), (), 0, False, 0),
    (summary(planned=[WORK]), (), 0, True, 1),
    (summary(planned=[WORK | {"status": "scheduled"}]), (), 0, False, 0),
    (summary("major", [ACTIONS, PAGES], [OPEN]), ("pages",), 0, False, 0),
    (summary("none", [ACTIONS, PAGES], [OPEN]), ("Actions",), 3, False, 1),
    (summary("none", [ACTIONS, PAGES], [OPEN]), ("id-Pages", "Actions"), 3, False, 1),
    (summary("none", [PAGES], [OPEN | {"components": []}]), ("Pages",), 0, False, 0),
    (summary("none", [PAGES], planned=[WORK]), ("Pages",), 0, True, 1),
    (summary("none", [part("Pages", "under_maintenance")]), ("Pages",), 0, True, 0),
    (summary("none", SPLIT), ("EU/API",), 4, False, 0),
    (summary("none", [part("API", "on fire"), PAGES]), ("Pages",), 0, False, 0),
    (summary("critical", [part("API", "on fire")]), (), 4, False, 0),
    ({"page": {}, "components": [PAGES]}, (), 0, False, 0),
]  # fmt: skip


@pytest.mark.parametrize(("document", "components", "level", "maintenance", "incidents"), STATUSPAGE)
def test_statuspage(document: Any, components: Any, level: int, maintenance: bool, incidents: int) -> None:
    found = read("statuspage", document, components)
    assert (found.level, found.maintenance, len(found.incidents)) == (level, maintenance, incidents)


@pytest.mark.parametrize(
    ("document", "components", "words"),
    [
        ([], (), "the body is [], not an object"),
        ({}, (), "not as Statuspage's summary.json is"),
        ({"page": {}}, (), "no page, status or components"),
        (summary("green"), (), "its indicator is"),
        (summary(None), (), "a word that nobody knows"),
        (summary(components=7), (), "components is 7, not a list"),
        (summary(incidents=["x"]), (), "an item of incidents"),
        (summary(components=[PAGES]), ("Pags",), "no component 'Pags'; it has Pages"),
        (summary(components=[part("API", "on fire")]), ("API",), "it says 'on fire' of 'API'"),
        (summary(incidents=[OPEN | {"impact": "severe"}]), (), "of 'Slow jobs', a word that nobody knows"),
        (summary(components=[PAGES] * 2001), (), "more than 2000"),
        ({"page": {}, "components": []}, (), "says nothing of any component"),
    ],
)  # fmt: skip
def test_what_is_no_statuspage_is_unreadable(document: Any, components: Any, words: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read("statuspage", document, components)
    assert words in str(caught.value)


CALM = {"page_title": "Neon", "ongoing_incidents": [], "in_progress_maintenances": [], "scheduled_maintenances": []}
STORM = CALM | {
    "ongoing_incidents": [{
        "id": "1", "name": "Computes do not start", "status": "identified", "url": "https://x/1",
        "affected_components": [{"name": "Compute", "status": "full_outage"}],
    }]
}  # fmt: skip
PLACES = {"subpages": [{"subpage": "aws-eu", "summary": STORM}, {"subpage": "aws-us", "summary": CALM}]}


@pytest.mark.parametrize(
    ("document", "components", "regions", "level", "incidents"),
    [
        (CALM, (), (), 0, 0),
        (CALM | {"ongoing_incidents": None}, (), (), 0, 0),
        (STORM, (), (), 4, 1),
        (STORM, ("compute",), (), 4, 1),
        (STORM, ("Billing",), (), 0, 0),
        (CALM | {"ongoing_incidents": [{"name": "Odd"}]}, ("Billing",), (), 2, 1),
        (PLACES, (), (), 4, 1),
        (PLACES, (), ("aws-eu",), 4, 1),
        (PLACES, (), ("aws-us",), 0, 0),
    ],
)
def test_incident_io(document: Any, components: Any, regions: Any, level: int, incidents: int) -> None:
    found = read("incident_io", document, components, regions)
    assert (found.level, len(found.incidents)) == (level, incidents)


@pytest.mark.parametrize(
    ("document", "regions"),
    [({}, ()), ({"subpages": []}, ()), ({"subpages": [{"subpage": "a"}]}, ()), (PLACES, ("aws-mars",)), ([], ())],
)
def test_what_is_not_incident_io_is_unreadable(document: Any, regions: Any) -> None:
    with pytest.raises(Unreadable):
        read("incident_io", document, (), regions)


def insta(status: str, **more: Any) -> dict[str, Any]:
    return {"page": {"name": "x", "status": status}, **more}


TROUBLE = {"name": "x", "status": "IDENTIFIED", "impact": "MAJOROUTAGE", "started": "Sat Jun 11 2022 18:55:50"}


@pytest.mark.parametrize(
    ("document", "components", "level", "maintenance"),
    [
        (insta("UP"), (), 0, False),
        (insta("HASISSUES"), (), 2, False),
        (insta("HASISSUES", activeIncidents=[TROUBLE]), (), 4, False),
        (insta("UP", activeIncidents=[TROUBLE | {"status": "RESOLVED"}]), (), 0, False),
        (insta("UNDERMAINTENANCE"), (), 0, True),
        (insta("UP", activeMaintenances=[{"name": "x", "status": "INPROGRESS"}]), (), 0, True),
        (insta("UP", activeMaintenances=[{"name": "x", "status": "NOTSTARTEDYET"}]), (), 0, False),
        (insta("SOMEPARTIALOUTAGE"), (), 3, False),
        (insta("ONEDEGRADEDPERFORMANCE"), (), 2, False),
        ({"components": [part("API", "MINOROUTAGE"), part("Web", "OPERATIONAL")]}, ("API",), 2, False),
        ([part("API", "MINOROUTAGE"), part("Web", "OPERATIONAL")], ("Web",), 0, False),
        ([part("API", "MINOROUTAGE"), part("Web", "OPERATIONAL")], (), 2, False),
    ],
)
def test_instatus(document: Any, components: Any, level: int, maintenance: bool) -> None:
    found = read("instatus", document, components)
    assert (found.level, found.maintenance) == (level, maintenance)


@pytest.mark.parametrize(
    ("document", "components", "level", "maintenance"),
    [
        ({"largestatus": "up", "message": "fine", "statuses": {"api": "up"}}, (), 0, False),
        ({"largestatus": "degraded"}, (), 2, False),
        ({"UptimeStatus": "down", "uptimeData": []}, (), 4, False),
        ({"overallStatus": "paused"}, (), 0, True),
        ({"largestatus": "degraded", "statuses": {"api": "up", "webhooks": "down"}}, ("api",), 0, False),
        ({"largestatus": "up", "statuses": {"api": "up", "webhooks": "down"}}, ("webhooks",), 4, False),
        ({"UptimeStatus": "up", "uptimeData": [{"key": "api", "title": "API", "warning": None}]}, ("api",), 0, False),
        (summary("minor"), (), 2, False),
    ],
)
def test_stripe(document: Any, components: Any, level: int, maintenance: bool) -> None:
    found = read("stripe", document, components)
    assert (found.level, found.maintenance) == (level, maintenance)


@pytest.mark.parametrize(
    ("document", "components"),
    [
        ({}, ()), ({"largestatus": "sideways"}, ()), ({"largestatus": None, "UptimeStatus": "up"}, ()), ([], ()),
        ({"largestatus": "up", "statuses": {"api": "up"}}, ("payouts",)),
        ({"largestatus": "up", "statuses": {"api": "hm"}}, ("api",)),
        ({"UptimeStatus": "up", "uptimeData": [{"key": "api", "title": "API", "warning": "late"}]}, ("api",)),
        ({"UptimeStatus": "up", "uptimeData": [{"key": "api", "title": "API"}]}, ("api",)),
    ],
)  # fmt: skip
def test_what_is_not_stripe_is_unreadable(document: Any, components: Any) -> None:
    with pytest.raises(Unreadable):
        read("stripe", document, components)


TREE = [
    {"name": "Builds", "type": "group", "components": [part("US", "OPERATIONAL"), part("EU", "DEGRADED_PERFORMANCE")]}
]
BROKEN = {"id": "1", "title": "Builds are slow", "status": "INVESTIGATING", "worstImpact": "PARTIAL_OUTAGE"}


@pytest.mark.parametrize(
    ("document", "components", "level"),
    [
        ({"components": TREE, "incidents": []}, (), 2),
        ({"components": TREE, "incidents": []}, ("Builds/US",), 0),
        ({"components": TREE, "incidents": [BROKEN]}, (), 3),
        ({"components": TREE, "incidents": [BROKEN | {"resolvedAt": "2026-01-01"}]}, (), 2),
        ({"components": TREE, "incidents": [], "maintenances": [{"title": "x", "status": "IN_PROGRESS"}]}, (), 2),
    ],
)
def test_railway(document: Any, components: Any, level: int) -> None:
    assert read("railway", document, components).level == level


def test_what_is_not_railway_is_unreadable() -> None:
    document: Any
    deep: Any = part("leaf")
    for _ in range(12):
        deep = {"name": "x", "components": [deep]}
    for document in (
        {},
        {"components": TREE},
        {"components": [], "incidents": []},
        {"components": [deep], "incidents": []},
    ):
        with pytest.raises(Unreadable):
            read("railway", document)


EVENT = {
    "arn": "arn:aws:health:me-central-1::event/MULTIPLE/X", "date": "1772369485", "status": "3", "summary": "Outage",
    "region_name": "UAE", "service": "multipleservices-me-central-1", "service_name": "Multiple services",
    "event_log": [{"message": "first"}, {"message": "we are looking"}],
    "impacted_services": {
        "ec2-me-central-1": {"service_name": "Amazon Elastic Compute Cloud", "current": "3", "max": "3"},
        "rds-us-east-1": {"service_name": "Amazon RDS", "current": "1", "max": "3"},
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("document", "components", "regions", "level"),
    [
        ([], (), ("us-east-1",), 0),
        ([EVENT], (), ("me-central-1",), 4),
        ([EVENT], (), ("us-east-1",), 1),
        ([EVENT], (), ("eu-west-1",), 0),
        ([EVENT], ("rds",), ("us-east-1",), 1),
        ([EVENT], ("ec2",), ("us-east-1",), 0),
        ([EVENT], ("Amazon Elastic Compute Cloud",), ("me-central-1",), 4),
        ([EVENT | {"status": "0"}], (), ("me-central-1",), 0),
        ([EVENT | {"arn": "arn:aws:health:global::event/IAM/X", "status": "2"}], (), ("eu-west-1",), 2),
    ],
)
def test_aws(document: Any, components: Any, regions: Any, level: int) -> None:
    assert read("aws", document, components, regions).level == level


def test_aws_in_utf_16_and_with_what_is_none() -> None:
    document: Any
    for encoding in ("utf-16", "utf-8"):
        page = FORMATS["aws"].read(parsed(json.dumps([EVENT]).encode(encoding)))
        [incident] = finding(page, (), ("me-central-1",)).incidents
        assert str(incident).startswith(
            "major outage: Outage (me-central-1, since 2026-03-01 12:51 UTC, https://health.aws"
        )
        assert str(incident).endswith("\n  we are looking")
    for document in ({}, ["x"], [{}], [EVENT | {"status": "9"}]):
        with pytest.raises(Unreadable):
            read("aws", document, (), ("me-central-1",))
    for body in (b"", b"<html>", b"\xff\xfe\x00", b"\xff\xfe" + "{".encode("utf-16-le"), b'"\xed\xa0\x80"'):
        with pytest.raises(Unreadable, match="the body is no JSON but"):
            parsed(body)


def test_slack() -> None:
    trouble = {"title": "Slow", "type": "incident", "status": "active", "services": ["Messaging"], "url": "https://x"}
    assert read("slack", {"status": "ok", "active_incidents": []}).level == 0
    assert read("slack", {"status": "active", "active_incidents": [trouble]}).level == 2
    assert read("slack", {"status": "active", "active_incidents": [trouble]}, ("Calls",)).level == 0
    for document in ({}, {"status": "active", "active_incidents": []}, {"status": "fine"}):
        with pytest.raises(Unreadable):
            read("slack", document)


KEYS = [
    "page", "status", "indicator", "components", "incidents", "name", "impact", "subpages", "subpage", "summary",
    "ongoing_incidents", "in_progress_maintenances", "activeIncidents", "largestatus", "statuses", "uptimeData", "arn",
    "impacted_services", "current", "worstImpact", "active_incidents", "type", "event_log", "date",
    "affected_components",
]  # fmt: skip
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 10**12)
    | st.floats()
    | st.sampled_from(["", "red", "\x1b[2J", "a:b:c:d"])
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=15,
)
"""JSON that knows the formats' keys and none of the words that say all is well."""


@given(JSON, st.sampled_from(sorted(FORMATS)), st.sampled_from([(), ("Pages",)]), st.sampled_from([(), ("eu",)]))
def test_any_json_is_read_or_unreadable_and_well_only_if_it_says_so(
    document: Any, name: FormatName, components: tuple[str, ...], regions: tuple[str, ...]
) -> None:
    try:
        found = read(name, document, components, regions)
    except Unreadable:
        return
    text = json.dumps(document)
    silent = {"aws": isinstance(document, list), "incident_io": '"ongoing_incidents"' in text or '"subpages"' in text}
    assert found.level > 0 or silent.get(name), "nobody said that all is well"


def test_every_vendor_has_a_format_and_an_address_without_a_path() -> None:
    for address, name in VENDORS.values():
        assert name in FORMATS
        assert address.startswith("https://")
        assert address.count("/") == 2
