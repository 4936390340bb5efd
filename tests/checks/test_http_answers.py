"""Kind http against answers: what is recorded, what is right, what is wrong."""

import asyncio
import gzip
from typing import Any

import orjson
import pytest

from checks.base import Reason
from checks.http import Http
from tests.checks.probing import evidence
from tests.checks.web import Web, ask, closed_port, reply, routes, serving

HEALTHY = reply(b'{"status":"healthy","heap_mb":12.5,"pool":{"used":3,"free":7},"up":true,"none":null,"n":1}')


def check(web: Web, path: str = "/", **fields: Any) -> Http:
    return Http.model_validate({"name": "shop", "timeout": "5s", "url": web.url(path), **fields})


async def test_records_what_the_answer_was() -> None:
    async with serving(HEALTHY) as web:
        asked = await ask(check(web))
    assert asked.fault is None
    assert asked.value("status_code") == 200
    assert asked.value("content_length") == asked.value("body_bytes") == len(HEALTHY.partition(b"\r\n\r\n")[2])
    assert asked.value("http_version") == 1.1
    assert asked.value("ip_protocol") == 4
    assert asked.value("tls") == asked.value("redirects") == 0
    phases = [asked.value("phase_seconds", phase=phase) for phase in ("resolve", "connect", "processing", "transfer")]
    assert asked.run.took == pytest.approx(sum(phase for phase in phases if phase is not None))
    assert "certificate_expires" not in asked.names()


@pytest.mark.parametrize(
    ("status", "expected", "reason"),
    [
        ("200 OK", None, None),
        ("204 No Content", None, None),
        ("500 Oops", None, Reason.STATUS),
        ("500 Oops", 500, None),
        ("404 Not Found", [200, "4xx"], None),
        ("301 Moved", "300-399", None),
        ("429 Slow Down", None, Reason.RATE_LIMITED),
        ("401 Who", None, Reason.STATUS),
        ("201 Created", 200, Reason.STATUS),
    ],
)
async def test_status(status: str, expected: Any, reason: Reason | None) -> None:
    expect = {} if expected is None else {"expect": {"status": expected}}
    async with serving(reply(b"", status)) as web:
        asked = await ask(check(web, **expect))
    assert asked.reason == reason
    assert asked.value("status_code") == int(status[:3])
    if reason:
        assert f"status is {status[:3]}" in asked.sentence


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("status", "healthy", ""),
        ("pool", {"used": 3, "free": 7}, ""),
        ("up", True, ""),
        ("n", 1, ""),
        ("none", None, ""),
        ("pool.used / (pool.used + pool.free)", 0.3, ""),
        ("status", "degraded", 'status is "healthy", expected "degraded"'),
        ("up", 1, "up is true, expected 1"),
        ("n", True, "n is 1, expected true"),
        ("n", "1", 'n is 1, expected "1"'),
        ("missing.deep", "x", 'missing.deep is null, expected "x"'),
        ("length(none)", 0, "cannot read length(none)"),
        ("status * `2`", 0, "status is text, not a number"),
    ],
)
async def test_json_values(path: str, value: Any, sentence: str) -> None:
    async with serving(HEALTHY) as web:
        asked = await ask(check(web, expect={"json": {path: value}}))
    assert asked.reason == (Reason.ASSERTION if sentence else None)
    assert sentence in asked.sentence


async def test_an_error_inside_a_200_fails_with_the_answer_as_evidence() -> None:
    async with serving(reply(b'{"error":"database\x07 gone"}')) as web:
        asked = await ask(check(web, expect={"body_not_regex": '"error"'}))
    assert asked.reason is Reason.ASSERTION
    evidence = dict(asked.run.evidences)
    assert 'database\\x07 gone"}' in evidence["Answer"]
    assert "processing" in evidence["Phases"]


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a":', b"\xff\xfe", b"[" * 5000])
async def test_what_is_no_json_is_named(body: bytes) -> None:
    async with serving(reply(body)) as web:
        asked = await ask(check(web, expect={"json": {"a": 1}}))
    assert asked.reason is Reason.BODY
    assert "the body is no JSON" in asked.sentence


async def test_text_is_searched() -> None:
    async with serving(reply(b"all systems go", "200 OK", "Content-Type: text/plain")) as web:
        found = await ask(check(web, expect={"body_regex": "systems? go", "headers": {"content-type": "^text/"}}))
        absent = await ask(check(web, expect={"body_regex": "down"}))
        missing = await ask(check(web, expect={"headers": {"x-version": "."}}))
    assert found.fault is None
    assert (absent.reason, absent.sentence) == (Reason.ASSERTION, "the body does not match 'down'")
    assert missing.sentence == "header x-version is missing, expected to match '.'"


async def test_a_search_says_that_it_saw_only_the_beginning() -> None:
    async with serving(reply(b"x" * 100_000 + b"needle" + b"y" * 200_000 + b"pin")) as web:
        plain = await ask(check(web, expect={"body_regex": "needle|pin"}))
        behind = await ask(check(web, expect={"body_regex": "pin"}))
        repeating = await ask(check(web, expect={"body_regex": ".*needle+"}))
    assert plain.fault is repeating.fault is None
    assert behind.sentence == "the body does not match 'pin' (its first 256 KiB were searched)"


async def test_no_expression_is_slow_for_any_body() -> None:
    # Backtracking would take longer than the universe has lasted.
    async with serving(reply(b"a" * 200_000 + b"!")) as web:
        asked = await ask(check(web, expect={"body_regex": "(a+)+(a|aa)+$"}))
    assert asked.reason is Reason.ASSERTION


async def test_measures_are_recorded_and_declared() -> None:
    measure = {
        "heap_bytes": "heap_mb * `1048576`",
        "pool_ratio": "pool.used / (pool.used + pool.free)",
        "absent": "nothing.here",
    }
    async with serving(HEALTHY) as web:
        asked = await ask(check(web, measure=measure))
        wrong = await ask(check(web, measure={"state": "status"}))
    assert asked.fault is None
    assert asked.value("heap_bytes") == 12.5 * 1048576
    assert asked.value("pool_ratio") == 0.3
    assert "absent" not in asked.names()
    assert wrong.sentence == "status is text, not a number"
    units = {item.name: item.unit for item in check(web, measure=measure).declared()}
    assert (units["heap_bytes"], units["pool_ratio"], units["absent"]) == ("bytes", "ratio", "number")


UNWELL = b'{"status":"degraded","checks":{"database":{"status":"unhealthy"},"temporal":{"configured":false}},"heap":7}'


async def test_an_answer_of_another_status_is_measured_and_says_which_part_is_unwell() -> None:
    expect = {"json": {"version": 3, "status": "healthy", "checks.database.status": "healthy"}}
    measure = {"temporal": "checks.temporal.configured", "heap": "heap", "wrong": "status"}
    async with serving(reply(UNWELL, "503 Service Unavailable")) as web:
        asked = await ask(check(web, expect=expect, measure=measure))
    assert asked.reason is Reason.STATUS
    assert asked.sentence == (
        'status is 503, expected 200-299; status is "degraded", expected "healthy"; '
        'checks.database.status is "unhealthy", expected "healthy"'
    )
    assert (asked.value("temporal"), asked.value("heap"), asked.value("wrong")) == (0, 7, None)


@pytest.mark.parametrize("body", [b"<h1>Bad Gateway</h1>", b"null", b"[]", b'{"error":"down"}', b"", b'{"status":'])
async def test_an_error_that_says_nothing_of_what_is_expected_is_told_by_its_status(body: bytes) -> None:
    expect = {"json": {"status": "healthy", "length(parts) > `0`": True}}
    async with serving(reply(body, "502 Bad Gateway")) as web:
        asked = await ask(check(web, expect=expect, measure={"parts": "length(parts)"}))
    assert asked.sentence == "status is 502, expected 200-299"


async def test_up_to_three_values_that_are_wrong_are_named() -> None:
    wanted = {"n": 2, "up": False, "heap_mb * `2`": 25.0, "status * `2`": 1, "none": 0, "pool.free": 8}
    async with serving(HEALTHY) as web:
        asked = await ask(check(web, expect={"json": wanted}))
    assert asked.sentence == "n is 1, expected 2; up is true, expected false; status is text, not a number"


async def test_an_answer_of_null_is_not_what_was_expected() -> None:
    async with serving(reply(b"null")) as web:
        asked = await ask(check(web, expect={"json": {"status": "ok"}}))
    assert asked.sentence == 'status is null, expected "ok"'


async def test_what_was_measured_is_shown_with_what_stood_beside_it() -> None:
    async with serving(HEALTHY) as web:
        measured = await ask(check(web, measure={"free": "pool.free"}))
        plain = await ask(check(web))
    assert '"used":3' in evidence(measured.run, "Answer")
    assert plain.run.evidences == []


async def test_method_headers_and_body_are_sent() -> None:
    async with serving(HEALTHY) as web:
        await ask(check(web, "/a b?q=ü", method="post", json_body={"a": 1}, headers={"user-agent": "me", "X-One": "1"}))
        await ask(check(web, method="PUT", body="plain"))
    post, put = web.requests
    assert post.startswith(b"POST /a%20b?q=%C3%BC HTTP/1.1\r\n")
    assert b"\r\nuser-agent: me\r\n" in post
    assert b"runwatch" not in post
    assert b"\r\nX-One: 1\r\n" in post
    assert b"\r\nContent-Type: application/json\r\n" in post
    assert post.endswith(b"\r\nContent-Length: 7\r\n\r\n" + orjson.dumps({"a": 1}))
    assert put.endswith(b"\r\n\r\nplain")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"basic_auth": {"username": "ann", "password": "s3cret"}}, b"Basic YW5uOnMzY3JldA=="),
        ({"bearer_token": "t0ken"}, b"Bearer t0ken"),
    ],
)
async def test_credentials_are_sent(fields: dict[str, Any], expected: bytes) -> None:
    async with serving(reply(b"", "401 Who")) as web:
        asked = await ask(check(web, **fields))
    assert b"\r\nAuthorization: " + expected + b"\r\n" in web.requests[0]
    assert asked.reason is Reason.AUTH


async def test_credentials_in_the_address_are_basic_auth_and_masked() -> None:
    async with serving(reply(b"", "500 Oops")) as web:
        shop = check(web, url=f"http://ann:p%40ss@127.0.0.1:{web.port}/")
        asked = await ask(shop)
    assert b"\r\nAuthorization: Basic YW5uOnBAc3M=\r\n" in web.requests[0]
    shown = [repr(shop), str(shop.target), shop.model_dump_json(), asked.sentence, str(asked.run.evidences)]
    assert not [text for text in shown if "p@ss" in text or "p%40ss" in text or "YW5uOnBAc3M" in text]
    assert {"p@ss", "p%40ss", "YW5uOnBAc3M="} <= set(shop.secrets())


async def test_a_head_request_has_no_body_to_wait_for() -> None:
    async with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n") as web:
        asked = await ask(check(web, method="HEAD"))
    assert asked.fault is None
    assert asked.value("content_length") == 100


async def test_interim_answers_are_skipped() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    async with serving(early + HEALTHY) as web:
        asked = await ask(check(web, expect={"json": {"status": "healthy"}}))
    assert asked.fault is None
    assert asked.value("status_code") == 200


@pytest.mark.parametrize(
    "answer",
    [
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n5;x=y\r\n":1} \r\n0\r\nTrailer: 1\r\n\r\n',
        b'HTTP/1.1 200 OK\r\n\r\n{"a":1}',
        b'HTTP/1.0 200 OK\r\n\r\n{"a":1}',
        reply(gzip.compress(b'{"a":1}'), "200 OK", "Content-Encoding: gzip"),
    ],
    ids=["chunked", "until-close", "http-1.0", "gzip"],
)
async def test_every_framing_of_a_body_is_read(answer: bytes) -> None:
    async with serving(answer) as web:
        asked = await ask(check(web, expect={"json": {"a": 1}}))
    assert asked.fault is None


async def test_redirects_are_followed_and_counted() -> None:
    async with serving(lambda *streams: handle(*streams)) as web:
        handle = routes(
            lambda: web,
            {
                "/": reply(b"", "302 Found", "Location: /two"),
                "/two": reply(b"", "301 Moved", "Location: three?x=1"),
                "/three?x=1": HEALTHY,
            },
        )
        asked = await ask(check(web))
        stays = await ask(check(web, follow_redirects=False, expect={"status": 302}))
    assert asked.fault is stays.fault is None
    assert (asked.value("redirects"), stays.value("redirects")) == (2, 0)


async def test_a_redirect_to_another_origin_gets_no_credentials() -> None:
    async with serving(HEALTHY) as other, serving(reply(b"", "307 Go", f"Location: {other.url()}")) as web:
        asked = await ask(
            check(web, method="POST", body="b", bearer_token="t0ken", headers={"X-Api-Key": "k3y", "X-Plain": "p"})
        )
    assert asked.fault is None
    assert b"t0ken" in web.requests[0]
    assert b"k3y" in web.requests[0]
    assert b"t0ken" not in other.requests[0]
    assert b"k3y" not in other.requests[0]
    assert b"X-Plain: p" in other.requests[0]
    assert other.requests[0].startswith(b"POST")


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other"])
async def test_a_post_becomes_a_get(status: str) -> None:
    async with serving(HEALTHY) as other, serving(reply(b"", status, f"Location: {other.url()}")) as web:
        await ask(check(web, method="POST", body="b"))
    assert other.requests[0].startswith(b"GET")
    assert other.requests[0].endswith(b"\r\n\r\n")


async def test_endless_redirects_stop() -> None:
    count = 0

    async def further(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply(b"", "302 Found", f"Location: /{count}"))

    async with serving(further) as web:
        asked = await ask(check(web, max_redirects=3))
    assert asked.reason is Reason.PROTOCOL
    assert "more than 3 redirects" in asked.sentence
    assert count == 4


async def test_a_redirect_in_a_circle_is_named() -> None:
    async with serving(reply(b"", "302 Found", "Location: /")) as web:
        asked = await ask(check(web))
    assert "in a circle" in asked.sentence


@pytest.mark.parametrize("location", ["file:///etc/passwd", "http://u:hush@/x", "http://[::1", "gopher://x/"])
async def test_a_redirect_to_nowhere_is_named(location: str) -> None:
    async with serving(reply(b"", "302 Found", f"Location: {location}")) as web:
        asked = await ask(check(web))
    assert asked.reason is Reason.PROTOCOL
    assert "cannot follow the redirect" in asked.sentence
    assert "hush" not in asked.sentence


async def test_ipv6_addresses_and_names_of_both_families() -> None:
    async with serving(HEALTHY, host="::1") as web:
        literal = await ask(check(web, url=web.url(host="[::1]")))
        either = await ask(check(web, url=web.url(host="localhost")))
        only_4 = await ask(check(web, url=web.url(host="localhost"), ip_family=4))
    assert literal.fault is either.fault is None
    assert literal.value("ip_protocol") == either.value("ip_protocol") == 6
    assert f"Host: [::1]:{web.port}".encode() in web.requests[0]
    assert only_4.reason is Reason.CONNECT_REFUSED


async def test_a_name_whose_first_family_refuses_is_reached_by_the_other() -> None:
    async with serving(HEALTHY) as web:
        asked = await ask(check(web, url=web.url(host="localhost")))
    assert asked.fault is None
    assert asked.value("ip_protocol") == 4


async def test_a_name_that_does_not_exist() -> None:
    asked = await ask(Http.model_validate({"name": "n", "url": "http://nowhere.invalid/", "timeout": "5s"}))
    assert asked.reason is Reason.DNS
    assert "cannot resolve nowhere.invalid" in asked.sentence


async def test_refused() -> None:
    port = closed_port()
    asked = await ask(Http.model_validate({"name": "n", "url": f"http://127.0.0.1:{port}/"}))
    assert asked.reason is Reason.CONNECT_REFUSED
    assert asked.sentence == f"cannot connect to 127.0.0.1:{port}: connection refused"
