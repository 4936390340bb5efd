"""The statuspage kind over real sockets: tags, redirects, long lists, and pages that are none."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from pydantic import ValidationError

from checks.base import Outcome, Reason, Url
from checks.statuspage import Statuspage
from tests.checks import web
from tests.checks.probing import asked, cancelled, errs, evidence, fails, result_of, value, values
from tests.checks.test_status_formats import ACTIONS, EVENT, OPEN, PAGES, part, summary
from tests.faults import FaultProxy


def page(document: Any, *headers: str) -> bytes:
    return web.reply(json.dumps(document).encode(), "200 OK", "Content-Type: application/json", *headers)


def check(url: str, **fields: Any) -> Statuspage:
    return Statuspage(name="vendor", url=url, **fields)


async def test_a_vendor_that_is_well_and_one_that_is_not() -> None:
    async with web.serving(page(summary(components=[PAGES]))) as server:
        run = await asked(check(server.url()))
        assert server.requests[0].startswith(b"GET /api/v2/summary.json HTTP/1.1\r\n")
        assert b"User-Agent: runwatch" in server.requests[0]
        assert value(run, "level") == value(run, "maintenance") == value(run, "incidents") == 0
    async with web.serving(page(summary("none", [ACTIONS, PAGES], [OPEN]))) as server:
        both = check(server.url(), components=["actions", "Pages"])
        result = await fails(both, Reason.ASSERTION, "127.0.0.1 reports: partial outage (Actions: partial outage; Slow")
        assert values(result, "component_level") == {(("component", "actions"),): 3.0, (("component", "Pages"),): 0.0}
        assert evidence(result, "Open incidents") == "degraded: Slow jobs (investigating)"
        assert value(await asked(check(server.url(), fails_at="partial_outage")), "level") == 2
        assert value(await asked(check(server.url(), components=["Actions"], fails_at="never")), "level") == 3


async def test_a_vendor_without_incidents_is_told_by_what_of_it_is_not_well() -> None:
    states = {"Builds": "PARTIAL_OUTAGE", "Deployments": "MAJOR_OUTAGE", "Registry": "OPERATIONAL"}
    listed = [{"id": name, "name": name, "status": state} for name, state in states.items()]
    async with web.serving(page({"components": listed, "incidents": [], "maintenances": []})) as server:
        railway = Statuspage(name="s", vendor="railway", url=server.url())
        told = "railway reports: major outage (Deployments: major outage; Builds: partial outage)"
        result = await fails(railway, Reason.ASSERTION, told)
    shown = evidence(result, "Components that are not well")
    assert shown == "Deployments: major outage\nBuilds: partial outage"


async def test_vendors_are_known_and_can_be_sent_elsewhere() -> None:
    assert Statuspage(name="s", vendor="github").target == "https://www.githubstatus.com/api/v2/summary.json"
    assert Statuspage(name="s", vendor="stripe").target == "https://status.stripe.com/current"
    assert Statuspage(name="s", vendor="stripe", url="https://x/current/full").target == "https://x/current/full"
    async with web.serving(page({"largestatus": "degraded", "message": "slow"})) as server:
        stripe = Statuspage(name="s", vendor="stripe", url=server.url())
        await fails(stripe, Reason.ASSERTION, "stripe reports: degraded (slow)")
        assert server.requests[0].startswith(b"GET /current HTTP")
    body = json.dumps([EVENT]).encode("utf-16")
    async with web.serving(web.reply(body)) as server:
        await asked(Statuspage(name="s", vendor="aws", url=server.url(), regions=["us-east-1"]))
        await fails(
            Statuspage(name="s", vendor="aws", url=server.url(), regions=["me-central-1"]),
            Reason.ASSERTION, "aws reports: major outage (Outage)",
        )  # fmt: skip


async def test_an_unchanged_page_is_not_sent_again_and_none_is_asked_twice_a_minute() -> None:
    good = page(summary(), 'ETag: "v1"')
    asked_for: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked_for.append(head)
        writer.write(web.reply(b"", "304 Not Modified") if b'If-None-Match: "v1"' in head else good)

    async with web.serving(handle) as server:
        memory: dict[Any, Any] = {}
        vendor = check(server.url())
        assert value(await asked(vendor, memory, 1000.0), "not_modified") == 0
        assert value(await asked(vendor, memory, 1050.0), "not_modified") == 1
        assert len(asked_for) == 1
        assert value(await asked(vendor, memory, 1060.0), "not_modified") == 1
        assert len(asked_for) == 2
        assert value(await asked(vendor, memory, 1110.0), "level") == 0
        assert len(asked_for) == 2
        await asked(vendor, memory, 900.0)
        assert len(asked_for) == 3, "a clock that was set back must not keep an old answer"
        await asked(vendor.model_copy(update={"url": Url(server.url("/other"))}), memory, 901.0)
        assert b"If-None-Match" not in asked_for[-1]


async def test_components_that_a_summary_leaves_out_are_looked_for_in_the_whole_list() -> None:
    answers = {
        "/api/v2/summary.json": page(summary(components=[PAGES]), 'ETag: "v1"'),
        "/api/v2/components.json": page({"page": {}, "components": [PAGES, part("Vault", "major_outage")]}),
    }
    servers: list[web.Web] = []
    async with web.serving(web.routes(lambda: servers[0], answers)) as server:
        servers.append(server)
        memory: dict[Any, Any] = {}
        vault = check(server.url(), components=["Vault"], fails_at="never")
        assert value(await asked(vault, memory, 1000.0), "level") == 4
        assert value(await asked(vault, memory, 1100.0), "level") == 4
        assert len(server.requests) == 4
        assert all(b"If-None-Match" not in request for request in server.requests), "its tag says nothing of the rest"
        await errs(
            check(server.url(), components=["Vautl"]), Reason.BODY, "no component 'Vautl'; it has Pages, Pages, Va"
        )


async def test_redirects_are_followed_as_far_as_they_lead_somewhere() -> None:
    async with web.serving(page(summary())) as there:
        moved = f"Location: {there.url('/api/v2/summary.json')}"
        async with web.serving(web.reply(b"", "301 Moved", moved)) as server:
            await asked(check(server.url()))
    async with web.serving(web.reply(b"", "302 Found", "Location: /again")) as server:
        await errs(check(server.url()), Reason.PROTOCOL, "redirects more than 3 times")
        assert server.accepted == 4
    for location in ("Location: ftp://x/", "Location: http://[", "X: y", "Location: http://a b/"):
        async with web.serving(web.reply(b"", "302 Found", location)) as server:
            result = await result_of(check(server.url(), timeout="2s"))
            assert (result.outcome, result.reason) != (Outcome.OK, None)
            assert result.outcome is Outcome.ERROR


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (
            web.reply(b"<html>hi", "200 OK", "Content-Type: text/html"),
            Reason.BODY,
            'the body is no JSON but "<html>hi"',
        ),
        (web.reply(b""), Reason.BODY, "no JSON but nothing"),
        (web.reply(b"{}"), Reason.BODY, "not as Statuspage's summary.json is"),
        (web.reply(b"[" * 100_000), Reason.BODY, "the body is no JSON"),
        (page(summary("green")), Reason.BODY, "a word that nobody knows"),
        (web.reply(b"", "304 Not Modified"), Reason.STATUS, "answered 304"),
        (web.reply(b"away", "503 Away"), Reason.STATUS, "answered 503: "),
        (web.reply(b"", "404 Not Found"), Reason.STATUS, "answered 404"),
        (web.reply(b"no bots", "403 Forbidden"), Reason.AUTH, "answered 403"),
        (web.reply(b"", "429 Slow", "Retry-After: 60"), Reason.RATE_LIMITED, "Retry-After"),
        (b"SSH-2.0-x\r\n", Reason.PROTOCOL, "cannot ask the status page"),
        (page("x" * 2**20), Reason.BODY, "larger than 1 MiB"),
    ],
)
async def test_what_is_no_status_page_leaves_the_vendor_unknown(answer: bytes, reason: Reason, words: str) -> None:
    async with web.serving(answer) as server:
        result = await errs(check(server.url()), reason, words)
        assert not result.measurements


async def test_a_page_that_cannot_be_reached_leaves_the_vendor_unknown() -> None:
    await errs(check(f"http://127.0.0.1:{web.closed_port()}"), Reason.CONNECT_REFUSED, "refused; how it is, is unknown")
    with web.full() as port:
        await errs(check(f"http://127.0.0.1:{port}", timeout="1s"), Reason.CONNECT_TIMEOUT)
    async with web.serving(web.hang) as server:
        await errs(check(server.url(), timeout="1s"), Reason.READ_TIMEOUT, "no answer within")
        moved = web.reply(b"", "302 Found", f"Location: {server.url()}")
        async with web.serving(moved) as first:
            await errs(check(first.url(), timeout="1s"), Reason.READ_TIMEOUT)
    whole = page(summary())
    async with web.serving(whole) as server, FaultProxy("127.0.0.1", server.port) as proxy:
        proxy.cut_after = len(whole) - 3
        await errs(check(f"http://{proxy.address}"), Reason.PROTOCOL)
        proxy.cut_after = None
        assert (await result_of(check(f"http://{proxy.address}"))).outcome is Outcome.OK


async def test_an_answer_that_was_well_does_not_outlive_the_page() -> None:
    port = web.closed_port()
    async with web.serving(page(summary(), 'ETag: "v1"'), port=port) as server:
        memory: dict[Any, Any] = {}
        await asked(check(server.url()), memory, 1000.0)
        url = server.url()
    await errs(check(url), Reason.CONNECT_REFUSED, memory=memory)
    async with web.serving(web.reply(b"<html>"), port=port):
        await errs(check(url), Reason.BODY, memory=memory)


async def test_cancelled_in_the_middle_nothing_is_left() -> None:
    await errs(check(f"http://127.0.0.1:{web.closed_port()}"), Reason.CONNECT_REFUSED)  # what a loop keeps is there
    async with web.serving(web.then_hang(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")) as server:
        await cancelled(check(server.url()), server)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "a vendor or a url is wanted"),
        ({"vendor": "strip"}, "no vendor 'strip' is known"),
        ({"vendor": "aws"}, "regions are wanted"),
        ({"vendor": "github", "regions": ["eu"]}, "statuspage knows no regions"),
        ({"url": "https://me:x@status.example.com"}, "wants no credentials"),
        ({"url": "status.example.com"}, "is no http:// or https:// address"),
        ({"url": "https://x", "format": "rss"}, "Input should be"),
    ],
)
def test_mistakes_are_told_when_the_configuration_is_read(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Statuspage(name="x", **fields)
