"""The sentry kind against a stand-in that answers as Sentry's schema says, and against what Sentry never would."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from pydantic import ValidationError

from checks.base import Errored, Failed, Reason
from checks.parts.api import Answer
from checks.parts.vendors import sentry as answers
from checks.sentry import Sentry
from tests.checks import web
from tests.checks.probing import asked, errs, evidence, fails, value, values

NOW = 1_790_000_000.0
"""2026-09-21 14:13:20 UTC"""
EVENTS = {"data": [{"project": "api", "count()": 90}, {"project": "web", "count()": 10}], "meta": {"fields": {}}}
OUTCOMES = {
    "groups": [
        {"by": {"outcome": "accepted"}, "totals": {"sum(quantity)": 75}},
        {"by": {"outcome": "rate_limited"}, "totals": {"sum(quantity)": 25}},
        {"by": {"outcome": "filtered"}, "totals": {"sum(quantity)": 500}},
    ]
}


def issue(short: str, first_seen: str) -> dict[str, Any]:
    return {
        "id": "1", "shortId": short, "title": f"KeyError in {short}", "culprit": "checkout", "level": "error",
        "count": "150", "userCount": 3, "firstSeen": first_seen, "lastSeen": "2026-09-21T14:13:00Z",
        "permalink": f"https://shop.sentry.io/issues/{short}", "project": {"id": "2", "slug": "api"},
    }  # fmt: skip


ISSUES = [issue("API-9", "2026-09-21T14:10:00.000000Z"), issue("API-1", "2026-01-01T00:00:00Z")]


def check(url: str, **fields: Any) -> Sentry:
    return Sentry(name="errors", url=url, organization="shop", token="s3same", **fields)


def stand_in(questions: list[tuple[str, dict[str, list[str]]]], **answers: Any) -> web.Handle:
    replies = {"events": EVENTS, "issues": ISSUES, "stats_v2": OUTCOMES} | answers

    async def handle(reader: Any, writer: Any) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        address = urlsplit(head.split(" ")[1])
        assert "Authorization: Bearer s3same" in head
        what = address.path.removeprefix("/api/0/organizations/shop/").strip("/")
        questions.append((what, parse_qs(address.query)))
        headers = "X-Sentry-Rate-Limit-Limit: 40", "X-Sentry-Rate-Limit-Remaining: 38"
        writer.write(web.reply(json.dumps(replies[what]).encode(), "200 OK", *headers))

    return handle


async def test_errors_and_issues_within_the_window() -> None:
    questions: list[tuple[str, dict[str, list[str]]]] = []
    async with web.serving(stand_in(questions)) as server:
        asking = check(
            server.url(), projects=["api", "web"], environments=["production"], query="level:error", outcomes=True
        )
        run = await asked(asking, at=NOW)
        assert value(run, "events") == 100
        assert value(run, "events_per_second") == pytest.approx(100 / 900)
        assert values(run, "project_events") == {(("project", "api"),): 90, (("project", "web"),): 10}
        assert value(run, "issues_new") == 1
        assert value(run, "issues_unresolved") == 2
        assert value(run, "dropped_ratio") == 0.25
        assert value(run, "requests_remaining") == 38
        assert evidence(run, "Unresolved issues, the newest first") == (
            "API-9 error in api: KeyError in API-9 (150 events) https://shop.sentry.io/issues/API-9"
        )
        assert server.accepted <= 3
    (events, how), (issues, which), (outcomes, grouped) = questions
    assert (events, issues, outcomes) == ("events", "issues", "stats_v2")
    assert how == {
        "dataset": ["errors"], "field": ["project", "count()"], "per_page": ["100"], "query": ["level:error"],
        "statsPeriod": ["15m"], "project": ["api", "web"], "environment": ["production"],
    }  # fmt: skip
    assert which["query"] == ["is:unresolved level:error"]
    assert which["sort"] == ["new"]
    assert "environment" not in grouped


async def test_no_errors_and_nothing_but_events() -> None:
    questions: list[tuple[str, dict[str, list[str]]]] = []
    async with web.serving(stand_in(questions, events={"data": []}, stats_v2={"groups": []})) as server:
        run = await asked(check(server.url(), issues=False, outcomes=True, window="1h"), at=NOW)
        assert value(run, "events") == 0
        assert not values(run, "issues_new")
        assert not values(run, "dropped_ratio")
        assert [what for what, _ in questions] == ["events", "stats_v2"]


@pytest.mark.parametrize(
    ("reply", "reason", "words"),
    [
        (web.reply(b'{"detail":"Invalid query"}', "400 No"), Reason.INTERNAL, 'refuses the question: "Invalid query"'),
        (web.reply(b'{"detail":"Invalid token s3same"}', "401 No"), Reason.AUTH, "does not accept the token"),
        (web.reply(b'{"detail":"You do not have permission"}', "403 No"), Reason.AUTH, "needs the scopes org:read"),
        (web.reply(b"<html>", "404 No"), Reason.AUTH, "knows no such organization"),
        (
            web.reply(b"{}", "429 No", "X-Sentry-Rate-Limit-Limit: 40", "X-Sentry-Rate-Limit-Reset: 9"),
            Reason.RATE_LIMITED, "its limit is 40, it begins anew in 0 s",
        ),
        (web.reply(b"{}", "429 No", "X-Sentry-Rate-Limit-Reset: \x85"), Reason.RATE_LIMITED, "anew in unknown"),
    ],
)  # fmt: skip
async def test_what_is_our_fault(reply: bytes, reason: Reason, words: str) -> None:
    async with web.serving(reply) as server:
        result = await errs(check(server.url()), reason, words)
        assert "s3same" not in str(result)
        assert not result.measurements


async def test_what_is_sentrys() -> None:
    await fails(check(f"http://127.0.0.1:{web.closed_port()}"), Reason.CONNECT_REFUSED, "cannot ask Sentry at http://")
    for reply, reason in (
        (web.reply(b"", "503 Away"), Reason.STATUS),
        (web.reply(b"", "302 Go", "Location: /login"), Reason.STATUS),
        (web.reply(b"<html>"), Reason.BODY),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", Reason.PROTOCOL),
    ):
        async with web.serving(reply) as server:
            await fails(check(server.url()), reason)
    async with web.serving(web.hang) as server:
        await fails(check(server.url(), timeout="1s"), Reason.READ_TIMEOUT, "no answer within")


@pytest.mark.parametrize(
    "odd",
    [
        {"events": []}, {"events": {"data": [{}]}}, {"events": {"data": [{"count()": "5"}]}},
        {"events": {"data": [{"count()": True}]}}, {"events": {"data": [{"count()": -1}]}}, {"events": {"data": [7]}},
        {"issues": {}}, {"issues": [7]}, {"issues": [{}]}, {"issues": [{"firstSeen": "soon"}]},
        {"stats_v2": {}}, {"stats_v2": {"groups": [{}]}}, {"stats_v2": {"groups": [{"by": 1, "totals": 2}]}},
    ],
)  # fmt: skip
async def test_what_is_no_answer_of_sentry_is_never_ok(odd: Any) -> None:
    async with web.serving(stand_in([], **odd)) as server:
        await fails(check(server.url(), outcomes=True), Reason.BODY, "Sentry at http://127.0.0.1")


async def test_what_strangers_wrote_into_issues_is_harmless() -> None:
    evil = issue("\x1b[2J" + "x" * 9999, "2026-09-21T14:13:00Z") | {"title": "\u202eevil\n", "project": [], "count": {}}
    async with web.serving(stand_in([], issues=[evil] * 50)) as server:
        run = await asked(check(server.url()), at=NOW)
        shown = evidence(run, "Unresolved issues, the newest first")
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert len(shown) < 8 * 900


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "accepted", "2026-01-01T00:00:00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(
            ["data", "count()", "project", "firstSeen", "groups", "by", "totals", "outcome", "sum(quantity)"]
        ),
        inner, max_size=4,
    ),
    max_leaves=10,
)  # fmt: skip


@given(JSON)
def test_no_json_makes_reading_raise_anything_but_failed(document: Any) -> None:
    def read(reader: Callable[[str, Any], Any], held: Any) -> None:
        with suppress(Failed, Errored):
            reader("Sentry", held)

    for reader in (answers.counts, answers.issues, answers.dropped):
        read(reader, document)
        read(reader, {"data": [document], "groups": [document]})
        read(reader, [document])
    for status in (400, 401, 403, 404, 429, 500):
        with pytest.raises((Failed, Errored)):
            body = json.dumps(document).encode()
            answers.checked(Answer(status, CIMultiDictProxy(CIMultiDict()), body, "Sentry"), NOW)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"organization": "a/b"}, "pattern"),
        ({"projects": ["a b"]}, "pattern"),
        ({"url": "https://me:x@sentry.io"}, "the token is a key of its own"),
        ({"window": "2h"}, "Input should be"),
    ],
)
def test_mistakes_are_told_when_the_configuration_is_read(fields: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"organization": "shop", "token": "t", **fields}
    with pytest.raises(ValidationError, match=words):
        Sentry(name="x", **given)
