"""Several queries in one promql check: each a measurement of its own, each failing by its own name."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError

from alerts.thresholds import WhenError, parse
from checks.base import Errored, Measurement, Reason, Run
from checks.promql import Promql
from tests.checks import web
from tests.checks.probing import asked, errs, evidence, fails, value, values
from tests.faults import FaultProxy
from tests.prometheus import prometheus

ROUTES = " or ".join(
    f'label_replace(vector({seconds}), "route", "{route}", "", "")'
    for route, seconds in {"/pay": 0.7, "/cart": 0.1}.items()
)


def check(url: str, queries: dict[str, Any], **fields: Any) -> Promql:
    return Promql(name="traffic", url=url, queries=queries, **fields)


def one(number: float | str) -> dict[str, Any]:
    return {
        "status": "success",
        "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, f"{number}"]}]},
    }


def refusal(sort: str) -> dict[str, Any]:
    return {"status": "error", "errorType": sort, "error": "no"}


def past(number: float) -> dict[str, Any]:
    return {
        "status": "success",
        "data": {"resultType": "matrix", "result": [{"metric": {}, "values": [[1, f"{number}"]]}]},
    }


NONE: dict[str, Any] = {"status": "success", "data": {"resultType": "vector", "result": []}}


class Answers:
    """A Prometheus that answers each query with the document under its text, over connections that it keeps open."""

    def __init__(self, **documents: Any) -> None:
        self.documents = documents
        self.queries: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            head = await reader.readuntil(b"\r\n\r\n")
            [query] = parse_qs(urlsplit(head.split(b" ")[1].decode()).query)["query"]
            self.queries.append(query)
            document = self.documents[query]
            if document is None:
                await reader.read()
                return
            status = {"error": "422 Unprocessable", "success": "200 OK"}.get(document["status"], document["status"])
            body = json.dumps(document).encode()
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()


async def test_each_query_becomes_a_measurement_of_its_name(tmp_path: Path) -> None:
    async with prometheus(tmp_path) as server:
        queries = {
            "slowest_seconds": {"query": ROUTES, "by": ["route"]},
            "errors_ratio": "scalar(vector(0.02))",
            "logins": {"query": "nothing_there", "absent": "zero", "unit": "per_second"},
            "orders_total": {"query": "nothing_there", "absent": "ok"},
        }
        traffic = check(server.url, queries)
        run = await asked(traffic)
        assert values(run, "slowest_seconds") == {(("route", "/cart"),): 0.1, (("route", "/pay"),): 0.7}
        assert value(run, "errors_ratio") == 0.02
        assert value(run, "logins") == 0
        assert not values(run, "orders_total")
        assert value(run, "series", query="slowest_seconds") == 2
        assert value(run, "series", query="orders_total") == 0
        assert 'slowest_seconds{route="/pay"} 0.7' in evidence(run, "Series")
        assert "errors_ratio{} 0.02" in evidence(run, "Series")
        await traffic.diagnose(run)
        assert evidence(run, "The last hour, every five minutes: errors_ratio").endswith("0.02")


async def test_a_diagnosis_shows_the_others_where_one_cannot_be_answered() -> None:
    async with web.serving(Answers(a=refusal("bad_data"), b=past(2.5))) as server:
        run = Run()
        with pytest.raises(Errored, match=r"first: Prometheus at .* cannot answer the query"):
            await check(server.url(), {"first": "a", "second": "b"}).diagnose(run)
        assert evidence(run, "The last hour, every five minutes: second").endswith("2.5")


async def test_one_connection_is_enough_for_all_of_them() -> None:
    answers = Answers(a=one(1), b=one(2), c=one(3))
    async with web.serving(answers) as server:
        run = await asked(check(server.url(), {"first": "a", "second": "b", "third": "c"}))
        assert [value(run, name) for name in ("first", "second", "third")] == [1, 2, 3]
        assert server.accepted == 1


async def test_a_query_without_an_answer_names_itself_and_stops_no_other() -> None:
    answers = Answers(a=NONE, b=refusal("bad_data"), c=one(3))
    async with web.serving(answers) as server:
        queries = {"first": "a", "second": "b", "third": "c"}
        result = await fails(check(server.url(), queries), Reason.ASSERTION, "first: Prometheus at", "has no series")
        assert "; second: Prometheus at" in result.sentence
        assert "cannot answer the query" in result.sentence
        assert value(result, "third") == 3
        result = await errs(check(server.url(), queries, absent="ok"), Reason.INTERNAL, "second: Prometheus at")
        assert "first" not in result.sentence
        await errs(
            check(server.url(), queries | {"second": {"query": "a", "absent": "error"}}, absent="ok"),
            Reason.ASSERTION,
            "second: ",
        )


@pytest.mark.parametrize(
    ("document", "reason", "ours"),
    [
        ({"status": "503 Unavailable"}, Reason.STATUS, False),
        ({"status": "401 Unauthorized"}, Reason.AUTH, True),
        ({"status": "429 Too Many Requests"}, Reason.RATE_LIMITED, True),
        (refusal("timeout"), Reason.READ_TIMEOUT, False),
        ({"status": "success"}, Reason.BODY, False),
        (None, Reason.READ_TIMEOUT, False),
    ],
)
async def test_what_is_wrong_with_prometheus_itself_ends_the_asking(document: Any, reason: Reason, ours: bool) -> None:
    answers = Answers(a=one(1), b=document, c=one(3))
    async with web.serving(answers) as server:
        traffic = check(server.url(), {"first": "a", "second": "b", "third": "c"}, timeout="1s")
        result = await (errs if ours else fails)(traffic, reason, "second: ")
        assert value(result, "first") == 1
        assert answers.queries == ["a", "b"]


async def test_prometheus_that_is_gone_fails_once() -> None:
    async with web.serving(Answers(a=one(1))) as server, FaultProxy("127.0.0.1", server.port) as proxy:
        await proxy.refuse()
        traffic = check(f"http://{proxy.address}", {"first": "a", "second": "a"})
        result = await fails(traffic, Reason.CONNECT_REFUSED, "first: ", "connection refused")
        assert "second" not in result.sentence


def test_units_come_from_names_and_conditions_know_each_query() -> None:
    traffic = check(
        "http://prometheus:9090",
        {"p95_seconds": "a", "errors_ratio": {"query": "b", "by": ["job"]}, "depth": {"query": "c", "unit": "count"}},
    )
    known = {one.name: one for one in traffic.declared()}
    assert known["p95_seconds"] == Measurement("p95_seconds", "seconds", "a")
    assert known["errors_ratio"] == Measurement("errors_ratio", "ratio", "b", ("exported_job",))
    assert known["depth"].unit == "count"
    assert known["warnings"].labels == ("query",)
    for text in ("p95_seconds > 500ms", 'errors_ratio{exported_job="api"} > 5%', 'series{query="depth"} > 1'):
        parse(text, known)
    with pytest.raises(WhenError, match="no measurement 'value'"):
        parse("value > 1", known)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"query": "up", "queries": {"a": "b"}}, "either query or targets is wanted, or queries"),
        ({"queries": {}}, "either query or targets is wanted, or queries"),
        ({"queries": {"a": "b"}, "by": ["job"]}, "by and unit belong to each of the queries"),
        ({"queries": {"a": "b"}, "unit": "seconds"}, "by and unit belong to each of the queries"),
        ({"queries": {"a": "b"}, "targets": "up"}, "either query or targets is wanted, or queries"),
        ({"queries": {"series": "b"}}, "'series' has the name of a measurement"),
        ({"queries": {"value": "b"}}, "'value' has the name of a measurement"),
        ({"queries": {"Bad name": "b"}}, "pattern"),
        ({"queries": {"a": ""}}, "at least 1 character"),
        ({"queries": {"a": {"query": "b", "absent": "zero", "by": ["job"]}}}, "nobody knows the labels"),
        ({"queries": {"a": {"query": "b", "by": ["job"]}}, "absent": "zero"}, "nobody knows the labels"),
        ({"queries": {"a": {"query": "b", "by": ["job", "exported_job"]}}}, "names a label twice"),
        ({"queries": {"a": {"query": "b", "hold": 3}}}, "Extra inputs"),
        ({"queries": {f"q{number}": "b" for number in range(21)}}, "at most 20"),
    ],
)
def test_mistakes_are_told_when_the_configuration_is_read(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Promql(name="x", url="http://prometheus:9090", **fields)
