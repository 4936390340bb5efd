"""Measures of kind http with a label: one number for each entry of an object or a list, whatever the answer says."""

from __future__ import annotations

from math import isnan
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from alerts.thresholds import parse
from checks.base import Errored, Failed, Measurement, Reason, Run
from checks.http import Http
from checks.parts.http.measure import MOST_ENTRIES, Measure, Reader
from tests.checks.probing import asked, errs, fails, value, values
from tests.checks.web import Web, reply, serving

INTEGRATIONS = {
    "payload": {"configured": True, "breaker": {"state": "closed"}, "sync": {"rate": 0.99}},
    "erpnext": {"configured": True, "breaker": {"state": "open"}, "sync": {"rate": 0.4}},
    "fleetbase": {"configured": False, "breaker": None, "sync": None},
}
EACH = {"each": "integrations", "by": "integration"}
MEASURE: dict[str, Any] = {
    "heap_bytes": "heap",
    "integration_configured": EACH | {"value": "configured"},
    "breaker_open": EACH | {"value": "breaker.state == 'open'"},
    "sync_ratio": EACH | {"value": "sync.rate"},
}


def check(web: Web, measure: dict[str, Any], **fields: Any) -> Http:
    return Http.model_validate({"name": "admin", "timeout": "5s", "url": web.url(), "measure": measure, **fields})


def said(document: Any, status: str = "200 OK") -> bytes:
    return reply(orjson.dumps(document), status)


def by_integration(run: Run, name: str) -> dict[str, float]:
    return {text: number for ((_, text),), number in values(run, name).items()}


async def test_each_entry_of_an_object_is_measured_by_its_key() -> None:
    async with serving(said({"heap": 7, "integrations": INTEGRATIONS})) as web:
        run = await asked(check(web, MEASURE))
    assert value(run, "heap_bytes") == 7
    assert by_integration(run, "integration_configured") == {"payload": 1, "erpnext": 1, "fleetbase": 0}
    assert by_integration(run, "breaker_open") == {"payload": 0, "erpnext": 1, "fleetbase": 0}
    rates = by_integration(run, "sync_ratio")
    assert (rates["payload"], rates["erpnext"]) == (0.99, 0.4)
    assert isnan(rates["fleetbase"])


async def test_each_entry_of_a_list_is_measured_by_a_field() -> None:
    measure = {"waiting": {"each": "queues[?waiting != `null`]", "by": "name", "value": "waiting"}}
    queues = [{"name": "mail", "waiting": 3}, {"name": 7, "waiting": 4}, {"name": "idle"}]
    async with serving(said({"queues": queues})) as web:
        run = await asked(check(web, measure))
    assert values(run, "waiting") == {(("name", "mail"),): 3, (("name", "7"),): 4}


async def test_an_unwell_answer_is_measured_too() -> None:
    async with serving(said({"heap": 1, "integrations": INTEGRATIONS}, "503 Unwell")) as web:
        result = await fails(check(web, MEASURE), Reason.STATUS, "status is 503")
    assert value(result, "sync_ratio", integration="erpnext") == 0.4


@pytest.mark.parametrize("held", [None, 5, "text", True])
async def test_what_has_no_entries_fails_and_the_rest_is_measured(held: Any) -> None:
    async with serving(said({"heap": 7, "integrations": held})) as web:
        result = await fails(check(web, MEASURE), Reason.ASSERTION, "where an object or a list is measured")
    assert value(result, "heap_bytes") == 7


async def test_an_entry_that_is_no_number_is_named_and_unknown() -> None:
    wrong = INTEGRATIONS | {"erpnext": {"sync": {"rate": "half"}}}
    async with serving(said({"heap": 7, "integrations": wrong})) as web:
        result = await fails(
            check(web, MEASURE), Reason.ASSERTION, 'integration "erpnext": sync.rate is text, not a number'
        )
    assert value(result, "sync_ratio", integration="payload") == 0.99
    assert isnan(value(result, "sync_ratio", integration="erpnext"))


async def test_series_are_bounded_and_told_apart() -> None:
    measure = {"waiting": {"each": "queues", "by": "name", "value": "waiting"}}
    many: Any = [{"name": f"q{number}", "waiting": 1} for number in range(MOST_ENTRIES + 1)]
    async with serving(said({"queues": many})) as web:
        await errs(check(web, measure), Reason.INTERNAL, "queues has 101 entries", "choose some of them")
        await fails(check(web, measure, expect={"json": {"queues": []}}), Reason.ASSERTION, "expected []")
    async with serving(said({"queues": many[:-1]})) as web:
        assert len(values(await asked(check(web, measure)), "waiting")) == MOST_ENTRIES
    async with serving(said({"queues": [many[0], many[1], many[0]]})) as web:
        await errs(check(web, measure), Reason.INTERNAL, 'queues has name "q0" twice')
    async with serving(said({"queues": {"\u202ea": {"waiting": 1}, "\u202da": {"waiting": 1}}})) as web:
        await errs(check(web, measure), Reason.INTERNAL, "twice")
    async with serving(said({"queues": {"x" * 999: {"waiting": 1}}})) as web:
        [((_, label),)] = values(await asked(check(web, measure)), "waiting")
        assert label == "x" * 200


@pytest.mark.parametrize("entry", [5, None, {}, {"name": None}, {"name": []}, []])
async def test_an_entry_of_a_list_without_its_label_is_told(entry: Any) -> None:
    measure = {"waiting": {"each": "queues", "by": "name", "value": "waiting"}}
    async with serving(said({"queues": [entry]})) as web:
        await fails(check(web, measure), Reason.ASSERTION, "has no name to be told apart by")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "name", ""]), inner),
    max_leaves=12,
)


@given(JSON)
def test_no_answer_makes_reading_raise_anything_but_an_outcome(document: Any) -> None:
    reader = Reader.of("x", Measure(each="@", by="name", value="a + b"))
    run = Run()
    try:
        reader.record(document, run)
    except (Failed, Errored):
        return
    assert len(set(values(run, "x"))) == len(run.measurements)


def test_units_and_labels_are_declared() -> None:
    shop = Http(name="shop", url="http://shop.example", measure=MEASURE)
    declared = {one.name: one for one in shop.declared()}
    assert declared["sync_ratio"] == Measurement(
        "sync_ratio", "ratio", "sync.rate of each of integrations.", ("integration",)
    )
    assert declared["heap_bytes"].labels == ()
    parse('sync_ratio{integration="erpnext"} < 90%', declared)


@pytest.mark.parametrize(
    ("measure", "words"),
    [
        ({"each": "a", "value": "b"}, "each and by go together"),
        ({"by": "a", "value": "b"}, "each and by go together"),
        ({"each": "a", "by": "name"}, "Field required"),
        ({"each": "a", "by": "check", "value": "b"}, "'check' is a label of runwatch's own"),
        ({"each": "a", "by": "a b", "value": "b"}, "pattern"),
        ({"each": "a..", "by": "name", "value": "b"}, "is no JMESPath expression"),
        ({"each": "a", "by": "name", "value": "b", "of": "c"}, "Extra inputs"),
        (5, "valid dictionary"),
    ],
)
def test_mistakes_are_told_when_the_configuration_is_read(measure: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Http(name="shop", url="http://shop.example", measure={"depth": measure})
