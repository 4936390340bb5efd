"""The promql kind against a real Prometheus, and against servers that say what no Prometheus would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from pydantic import ValidationError

from checks.base import Errored, Failed, Reason
from checks.parts.api import Answer
from checks.parts.vendors import promql as answers
from checks.promql import Promql
from tests.checks import web
from tests.checks.probing import asked, cancelled, errs, evidence, fails, value, values
from tests.faults import FaultProxy
from tests.prometheus import prometheus

ROUTES = " or ".join(
    f'label_replace(label_replace(vector({share}), "route", "{route}", "", ""), "job", "api", "", "")'
    for route, share in {"/pay": 0.07, "/cart": 0.001}.items()
)


def check(url: str, query: str = "vector(1)", **fields: Any) -> Promql:
    return Promql(name="share", url=url, query=query, **fields)


def said(document: Any, status: int = 200) -> bytes:
    return web.reply(json.dumps(document).encode(), f"{status} Said", "Content-Type: application/json")


def vector(*series: Any, **beside: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "vector", "result": list(series)}, **beside}


async def test_real_queries_become_numbers_with_the_labels_that_are_kept(tmp_path: Path) -> None:
    async with prometheus(tmp_path) as server:
        url = server.url
        run = await asked(check(url, ROUTES, by=["route", "job", "pod"], unit="ratio"))
        assert values(run, "value") == {
            (("exported_job", "api"), ("pod", ""), ("route", "/cart")): 0.001,
            (("exported_job", "api"), ("pod", ""), ("route", "/pay")): 0.07,
        }
        assert value(run, "series") == 2
        assert 'route="/pay"} 0.07' in evidence(run, "Series")
        assert value(await asked(check(url, "scalar(vector(3))")), "value") == 3
        assert value(await asked(check(url, "vector(1) / 0")), "value") == float("inf")
        assert value(await asked(check(url, "nothing_there", absent="zero")), "value") == 0
        assert not values(await asked(check(url, "nothing_there", absent="ok")), "value")
        await fails(check(url, "nothing_there"), Reason.ASSERTION, "has no series for the query")
        await errs(check(url, "nothing_there", absent="error"), Reason.ASSERTION, "has no series")
        await fails(check(url, "vector(0) / 0"), Reason.ASSERTION, "no series with a value (1 have none: NaN)")
        await errs(check(url, ROUTES), Reason.INTERNAL, "differ in labels that `by` does not name", 'route="/pay"')
        await errs(check(url, ROUTES, by=["route"], max_series=1), Reason.INTERNAL, "2 series, more than max_series")
        await errs(check(url, "sum("), Reason.INTERNAL, "cannot answer the query", "parse error")
        await errs(check(url, '"text"'), Reason.INTERNAL, "the query gives a text")
        await errs(check(url, "up[5m]"), Reason.INTERNAL, "the query gives ranges")
        await errs(check(url, f"{ROUTES} * on() ({ROUTES})", by=["route"]), Reason.INTERNAL, "cannot answer the query")
        await fails(check(f"{url}/prefix"), Reason.STATUS, "answered 404")


async def test_real_targets_that_are_down_are_named_with_the_reason(tmp_path: Path) -> None:
    async with prometheus(tmp_path) as server:
        url = server.url

        def targets(*jobs: str, **fields: Any) -> Promql:
            return Promql(name="targets", url=url, targets="up", jobs=jobs, **fields)

        await server.scraped()
        result = await fails(targets(), Reason.ASSERTION, "1 of 2 targets of Prometheus at", "are down: broken 127.0")
        assert "HTTP status 500" in evidence(result, "Targets that are down")
        assert value(result, "targets_down") == value(result, "targets_up") == 1
        assert value(result, "targets_up_ratio") == 0.5
        assert value(await asked(targets("good")), "targets_up_ratio") == 1
        await fails(targets("good", "gone"), Reason.ASSERTION, "has no target of the job 'gone'")
        await asked(targets("good", "gone", absent="ok"))
        run = await asked(check(url, "widgets", by=["job"]))
        assert values(run, "value") == {(("exported_job", "good"),): 7.0}
        await check(url, "widgets").diagnose(run)
        assert evidence(run, "The last hour, every five minutes").endswith("7")


async def test_targets_that_were_not_scraped_yet_are_unknown() -> None:
    target = {"labels": {"job": "api", "instance": "a:1"}, "health": "unknown", "lastError": ""}
    async with web.serving(said({"status": "success", "data": {"activeTargets": [target]}})) as server:
        await errs(Promql(name="up", url=server.url(), targets="up"), Reason.ASSERTION, "not scraped any of its 1")
    async with web.serving(said({"status": "success", "data": {"activeTargets": []}})) as server:
        await fails(Promql(name="up", url=server.url(), targets="up"), Reason.ASSERTION, "has no target")


@pytest.mark.parametrize(
    ("status", "sort", "reason", "ours"),
    [
        (400, "bad_data", Reason.INTERNAL, True),
        (422, "execution", Reason.INTERNAL, True),
        (503, "timeout", Reason.READ_TIMEOUT, False),
        (503, "canceled", Reason.READ_TIMEOUT, False),
        (500, "internal", Reason.STATUS, False),
        (200, "unavailable", Reason.STATUS, False),
        (500, {"odd": 1}, Reason.STATUS, False),
    ],
)
async def test_refusals_in_prometheus_words(status: int, sort: Any, reason: Reason, ours: bool) -> None:
    async with web.serving(said({"status": "error", "errorType": sort, "error": "why\x1b[2J"}, status)) as server:
        await (errs if ours else fails)(check(server.url()), reason, "why")


async def test_warnings_are_counted_and_shown_and_a_partial_answer_can_not_tell() -> None:
    one = {"metric": {}, "value": [1, "5"]}
    async with web.serving(said(vector(one, warnings=["store 10.0.0.7 is away"]))) as server:
        run = await asked(check(server.url()))
        assert value(run, "warnings") == 1
        assert "10.0.0.7" in evidence(run, "Warnings")
    async with web.serving(said(vector(one, isPartial=True))) as server:
        await errs(check(server.url()), Reason.BODY, "answered only partially")


@pytest.mark.parametrize(
    "document",
    [
        [], 7, None, {}, {"status": "success"}, {"status": "success", "data": []}, {"status": 1, "data": {}},
        vector(1), vector({}), vector({"metric": []}), vector({"metric": {}}), vector({"metric": {}, "value": 5}),
        vector({"metric": {}, "value": [1, 5]}), vector({"metric": {}, "value": [1, "five"]}),
        vector({"metric": {}, "value": [1, "5", 6]}), vector({"metric": {}, "value": []}),
        {"status": "success", "data": {"resultType": "scalar", "result": {}}},
    ],
)  # fmt: skip
async def test_what_is_no_answer_of_prometheus_is_never_ok(document: Any) -> None:
    async with web.serving(said(document)) as server:
        await fails(check(server.url()), Reason.BODY, "answer")


async def test_histograms_and_texts_want_another_query() -> None:
    histogram = {"metric": {}, "histogram": [1, {"count": "3"}]}
    async with web.serving(said(vector(histogram))) as server:
        await errs(check(server.url()), Reason.INTERNAL, "the query gives histograms")
    odd = {"status": "success", "data": {"resultType": {"a": 1}, "result": []}}
    async with web.serving(said(odd)) as server:
        await errs(check(server.url()), Reason.INTERNAL, "a result of type")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.sampled_from(["", "NaN", "-Inf", "1e999", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["status", "data", "result", "resultType", "metric", "value", "values", "activeTargets", "labels", "health"]
    ), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(JSON, st.sampled_from(["vector", "scalar", "matrix"]))
def test_no_json_makes_reading_raise_anything_but_an_outcome(inner: Any, sort: str) -> None:
    whole = {"status": "success", "data": {"resultType": sort, "result": inner, "activeTargets": inner}}
    for document in (inner, whole):
        body = json.dumps(document).encode()
        reads: list[tuple[Any, Any]] = [(answers.reply, 9), (answers.history, 5), (answers.targets, ())]
        for read, limit in reads:
            try:
                read(Answer(200, CIMultiDictProxy(CIMultiDict()), body, "Prometheus"), limit)
            except (Failed, Errored):
                continue


async def test_wrong_credentials_are_our_error_and_are_not_shown() -> None:
    denied = web.reply(b"sesame was wrong", "401 Unauthorized")
    async with web.serving(denied) as server:
        result = await errs(check(server.url(), bearer_token="sesame"), Reason.AUTH, "does not let the monitor look")
        assert "sesame" not in str(result)
        assert b"Authorization: Bearer sesame" in server.requests[0]
        await errs(check(server.url(host="me:sesame@127.0.0.1")), Reason.AUTH, "401")
        assert b"Authorization: Basic bWU6c2VzYW1l" in server.requests[1]
        assert "sesame" not in check(server.url(host="me:sesame@127.0.0.1")).target
    async with web.serving(web.reply(b"", "302 Found", "Location: /login")) as server:
        await fails(check(server.url()), Reason.STATUS, "answered 302")
    async with web.serving(web.reply(b"<html>", "200 OK")) as server:
        await fails(check(server.url()), Reason.BODY, "did not answer with JSON")


async def test_extra_parameters_and_headers_go_along_with_the_query() -> None:
    async with web.serving(said(vector({"metric": {}, "value": [1, "5"]}))) as server:
        await asked(check(server.url("/prom/"), "a+b", params={"dedup": "true"}, headers={"X-Scope-OrgID": "shop"}))
        line = server.requests[0].split(b"\r\n")[0]
        assert line.startswith(b"GET /prom/api/v1/query?query=a%2Bb&timeout=10&dedup=true")
        assert b"X-Scope-OrgID: shop" in server.requests[0]


async def test_faults_of_the_network_and_cut_answers() -> None:
    await fails(check(f"http://127.0.0.1:{web.closed_port()}"), Reason.CONNECT_REFUSED, "connection refused")
    with web.full() as port:
        await fails(check(f"http://127.0.0.1:{port}", timeout="1s"), Reason.CONNECT_TIMEOUT, "no connection within")
    whole = said(vector({"metric": {}, "value": [1, "5"]}))
    async with web.serving(web.hang) as server:
        await fails(check(server.url(), timeout="1s"), Reason.READ_TIMEOUT, "no answer within")
    async with web.serving(web.then_hang(whole[:-5])) as server:
        await fails(check(server.url(), timeout="1s"), Reason.READ_TIMEOUT)
    async with web.serving(whole) as server, FaultProxy("127.0.0.1", server.port) as proxy:
        proxy.cut_after = len(whole) - 5
        await fails(check(f"http://{proxy.address}"), Reason.PROTOCOL)
        proxy.cut_after = None
        await asked(check(f"http://{proxy.address}"))
        await proxy.refuse()
        await fails(check(f"http://{proxy.address}"), Reason.CONNECT_REFUSED)
    async with web.serving(web.endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536)) as server:
        await fails(check(server.url()), Reason.BODY, "larger than 512 KiB")


async def test_cancelled_at_any_instant_nothing_is_left() -> None:
    await fails(check(f"http://127.0.0.1:{web.closed_port()}"), Reason.CONNECT_REFUSED)  # what a loop keeps is there
    async with web.serving(web.hang) as server:
        await cancelled(check(server.url()), server)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "either query or targets"),
        ({"query": "up", "targets": "up"}, "either query or targets"),
        ({"targets": "up", "by": ["job"]}, "belong to a query"),
        ({"query": "up", "jobs": ["a"]}, "jobs belongs to targets"),
        ({"query": "up", "by": ["job"], "absent": "zero"}, "nobody knows the labels"),
        ({"query": "up", "by": ["job", "exported_job"]}, "names a label twice"),
        ({"query": "up", "by": ["a b"]}, "pattern"),
        ({"query": "up", "params": {"query": "down"}}, "does not belong among params"),
        ({"query": "up", "headers": {"X": "a\r\nY: b"}}, "holds what no header can"),
        ({"query": "up", "bearer_token": "a", "basic_auth": {"username": "b"}}, "only one of"),
    ],
)
def test_mistakes_are_told_when_the_configuration_is_read(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Promql(name="x", url="http://prometheus:9090", **fields)
    with pytest.raises(ValidationError, match="leave out what follows"):
        Promql(name="x", url="http://prometheus:9090/?a=b", query="up")
