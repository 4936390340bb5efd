"""The journey kind: through a whole shop, through one that breaks at each step, and past servers that mean harm."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from checks.base import Failed, Outcome, Reason, Run
from checks.journey import Journey
from checks.parts.journey.run import Course
from checks.parts.network import Trip
from monitor.prober import Prober
from tests.checks import web
from tests.checks.probing import asked, cancelled, errs, evidence, fails, result_of, value, values
from tests.checks.shop import SESSION, TOKEN, shop
from tests.faults import FaultProxy

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
STEPS: list[dict[str, Any]] = [
    {"name": "open the login", "url": "/login", "capture": {"csrf": {"regex": 'name="csrf" value="([^"]+)"'}}},
    {
        "name": "log in", "url": "/login", "form": {"user": "anna", "password": "s3same+", "csrf": "{{csrf}}"},
        "expect": {"body_regex": "Hello Anna"},
    },
    {
        "name": "get a token", "url": "/api/token", "method": "post",
        "capture": {"token": "access_token", "user": "user.id"},
    },
    {
        "name": "create an order", "url": "/orders", "headers": {"Authorization": "Bearer {{token}}"},
        "json_body": {"by": "{{user}}", "note": "user {{user}}", "reference": "{{unique}}"},
        "expect": {"status": 201}, "capture": {"order": {"json": "order.id", "show": True}},
    },
    {
        "name": "upload a photo", "url": "/orders/{{order}}/photo", "form": {"caption": "a \"photo\" of {{order}}"},
        "files": {"photo": {"base64": PIXEL, "name": "photo.png"}},
        "expect": {"json": {"caption": "a \"photo\" of 1000"}},
    },
    {
        "name": "read the order", "url": "/orders/{{order}}",
        "expect": {"json": {"id": "{{order}}", "by": "{{user}}", "note": "user 7"}},
    },
    {
        "name": "delete the order", "method": "DELETE", "url": "/orders/{{order}}",
        "expect": {"status": 204}, "always": True,
    },
]  # fmt: skip


def journey(url: str, *steps: dict[str, Any], **fields: Any) -> Journey:
    return Journey(name="buy", url=url, steps=steps, **fields)


def one(base: str, timeout: str = "3s", /, **fields: Any) -> Journey:
    """A journey of a single step."""
    return journey(base, {"name": "look", **fields}, timeout=timeout)


async def test_the_whole_way_through_a_shop_and_nothing_is_left_there() -> None:
    async with shop() as here:
        run = await asked(journey(here.url, *STEPS))
        assert here.orders == {}
        [(name, media, content)] = here.photos
        assert (name, media) == ("photo.png", "image/png")
        assert content.startswith(b"\x89PNG")
        assert here.seen == [
            "GET /login", "POST /login", "GET /home", "POST /api/token", "POST /orders", "POST /orders/1000/photo",
            "GET /orders/1000", "DELETE /orders/1000",
        ]  # fmt: skip
        assert value(run, "steps_passed") == 7
        assert value(run, "step_status_code", step="create an order") == 201
        assert set(values(run, "step_ok").values()) == {1.0}
        assert sum(values(run, "step_seconds").values()) == pytest.approx(run.took)
        told = evidence(run, "Steps")
        assert "4. create an order: POST /orders: 201 in " in told
        assert "{{order}}" in told


@pytest.mark.parametrize(
    ("index", "broken"),
    [
        (0, "GET /login"), (1, "GET /home"), (2, "POST /api/token"), (3, "POST /orders"),
        (4, "POST /orders/1000/photo"), (5, "GET /orders/1000"),
    ],
)  # fmt: skip
async def test_a_step_that_fails_is_named_and_the_order_is_deleted_nonetheless(index: int, broken: str) -> None:
    async with shop() as here:
        here.broken = {broken}
        name, ordered = STEPS[index]["name"], index > 3
        result = await fails(
            journey(here.url, *STEPS), Reason.STATUS, f"step {index + 1} of 7, '{name}': status is 500"
        )
        assert here.orders == {}
        assert value(result, "steps_passed") == index + ordered
        assert value(result, "step_ok", step=name) == 0
        told = evidence(result, "Steps").splitlines()
        assert told[index].startswith(f"{index + 1}. {name}: ")
        assert told[index].endswith(": status is 500, expected " + ("201" if index == 3 else "200-299"))
        assert all(line.endswith(": not reached") for line in told[index + 1 : -1])
        last = "{{order}}: 204 in" if ordered else "{{order}}: nothing was captured as order"
        assert f"7. delete the order: DELETE /orders/{last}" in told[-1]
        assert '"access_token":"***"' in evidence(result, "Answer").replace(" ", "")
        for secret in (TOKEN, SESSION, "s3same+", "c/s&r f"):
            assert secret not in str(result)


async def test_a_clean_up_that_fails_fails_the_journey_but_never_hides_what_came_before() -> None:
    async with shop() as here:
        here.broken = {"DELETE /orders/1000"}
        await fails(journey(here.url, *STEPS), Reason.STATUS, "step 7 of 7, 'delete the order': status is 500")
    async with shop() as here:
        here.broken = {"DELETE /orders/1000", "GET /orders/1000"}
        result = await fails(journey(here.url, *STEPS), Reason.STATUS, "step 6 of 7, 'read the order'")
        assert evidence(result, "Steps").count("status is 500") == 2


async def test_what_changes_something_is_not_asked_again_whatever_the_defaults_say() -> None:
    async with shop() as here:
        here.broken = {"POST /orders"}
        defaults = {"retries": 3, "retry_interval": "1ms"}
        nothing = lambda *_: None  # noqa: E731 - the prober's listeners
        prober = Prober(lambda: 0.0, nothing, nothing, nothing, nothing)
        assert (await prober.ask(journey(here.url, *STEPS, **defaults))).attempts == 1
        assert here.seen.count("POST /orders") == 1
        assert (await prober.ask(journey(here.url, *STEPS, **defaults, repeatable=True))).attempts == 4
        assert journey(here.url, {"name": "look"}, **defaults).retries == 3
        assert journey(here.url, {"name": "look"}).retries == 0


async def test_time_is_up_within_a_step_and_the_clean_up_still_has_its_share() -> None:
    async with web.serving(web.hang) as slow, shop() as here:
        here.orders[5] = {}
        wait = {"name": "wait", "url": slow.url()}
        clean = {"name": "clean", "url": "/orders/5", "method": "GET", "always": True}
        result = await fails(
            journey(here.url, {"name": "look", "url": "/login"}, wait, clean, timeout="1s"),
            Reason.READ_TIMEOUT, "step 2 of 3, 'wait': no answer from 127.0.0.1",
        )  # fmt: skip
        assert here.seen == ["GET /login", "GET /orders/5"]
        assert value(result, "steps_passed") == 2
        limited = wait | {"timeout": "1s"}
        await fails(journey(here.url, limited, timeout="60s"), Reason.READ_TIMEOUT, "within 1 s")


async def test_a_step_for_which_no_time_is_left_is_not_asked() -> None:
    check = one("http://127.0.0.1:1")
    course = Course(check.url, check._sender, "any", 0, "u")
    with pytest.raises(Failed, match="the steps before it left no time for it"):
        await course.do(check.steps[0], 0.0, Trip(), Run())


async def test_faults_of_the_network_at_each_phase() -> None:
    await fails(one(f"http://127.0.0.1:{web.closed_port()}"), Reason.CONNECT_REFUSED, "step 1 of 1, 'look': ")
    with web.full() as port:
        await fails(one(f"http://127.0.0.1:{port}", "1s"), Reason.CONNECT_TIMEOUT)
    async with web.serving(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab") as server:
        await fails(one(server.url()), Reason.PROTOCOL, "closed the connection after 2 of 9 bytes")
    async with web.serving(b"SSH-2.0\r\n") as server:
        await fails(one(server.url()), Reason.PROTOCOL, "no HTTP")
    async with shop() as here, FaultProxy("127.0.0.1", int(here.url.rpartition(":")[2])) as proxy:
        away = journey(f"http://{proxy.address}", {"name": "look", "url": "/login"}, timeout="2s")
        await asked(away)
        proxy.cut_after = 40
        await fails(away, Reason.PROTOCOL, "closed the connection")
        await proxy.refuse()
        await fails(away, Reason.CONNECT_REFUSED)


async def test_a_shop_that_goes_away_between_two_steps_is_down_at_the_second() -> None:
    proxies: list[FaultProxy] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await proxies[0].refuse()
        writer.write(web.reply(b"fine"))

    async with web.serving(handle) as server, FaultProxy("127.0.0.1", server.port) as proxy:
        proxies.append(proxy)
        way = journey(f"http://{proxy.address}", {"name": "a"}, {"name": "b"}, {"name": "c", "always": True})
        result = await fails(way, Reason.CONNECT_REFUSED, "step 2 of 3, 'b': cannot connect to")
        assert values(result, "step_ok") == {(("step", "a"),): 1.0, (("step", "b"),): 0.0, (("step", "c"),): 0.0}
        assert "3. c: GET /: given up after" in evidence(result, "Steps")


async def test_tls_is_verified_at_every_step(tmp_path: Path) -> None:
    authority = web.Authority(tmp_path)
    async with web.serving(web.reply(b"fine"), tls=authority.server("127.0.0.1")) as server:
        url = server.url(scheme="https")
        await asked(journey(url, {"name": "a"}, {"name": "b"}, tls={"ca_file": authority.file}))
        assert server.accepted == 2
        await fails(one(url), Reason.TLS_HANDSHAKE)
        await asked(journey(url, {"name": "a"}, tls={"verify": False}))


async def test_a_file_is_read_from_the_disk_and_a_missing_one_is_our_error(tmp_path: Path) -> None:
    photo = tmp_path / 'a "photo".jpg'
    photo.write_bytes(b"\xff\xd8" + bytes(100_000))
    async with web.serving(web.reply(b"fine")) as server:
        upload = {"files": {"photo": {"file": str(photo)}}, "form": {"a": 1, "b": True}}
        await asked(one(server.url(), **upload))
        sent = server.requests[0]
        assert b'name="photo"; filename="a %22photo%22.jpg"\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8' in sent
        assert b'name="a"\r\n\r\n1\r\n' in sent
        assert b'name="b"\r\n\r\ntrue\r\n' in sent
        gone = {"files": {"photo": {"file": str(tmp_path / "gone.jpg")}}}
        await errs(one(server.url(), **gone), Reason.INTERNAL, "cannot read the file", "no such file or directory")
        photo.write_bytes(bytes(16 * 2**20 + 1))
        await errs(one(server.url(), **upload), Reason.INTERNAL, "is larger than 16 MiB")


async def test_secrets_that_were_captured_are_in_no_sentence_however_they_are_written() -> None:
    token = "to/ken+ü" + "x" * 300
    said = json.dumps({"token": token, "note": f"{token[:90]}…"}).replace("/", "\\/").encode()
    answers = {"/a": web.reply(said), "/b": web.reply(json.dumps({"echo": token, "part": token[:60]}).encode())}
    servers: list[web.Web] = []
    async with web.serving(web.routes(lambda: servers[0], answers)) as server:
        servers.append(server)
        first = {"name": "a", "url": "/a", "capture": {"token": "token"}}
        second = {"name": "b", "url": "/b", "expect": {"json": {"echo": "else"}}}
        for way in ([first, second], [first | {"expect": {"json": {"token": "else"}}}]):
            result = await fails(journey(server.url(), *way), Reason.ASSERTION, "expected ")
            assert "to/ken" not in str(result)
            assert "to\\/ken" not in str(result)
            assert "***" in evidence(result, "Answer")


async def test_credentials_go_to_the_own_host_only() -> None:
    there = web.reply(b"there", "200 OK", "Set-Cookie: foreign=1")
    async with web.serving(there) as other:
        away = web.reply(b"", "307 Go", f"Location: {other.url('/x?code=abc', host='localhost')}")
        async with web.serving(away) as server:
            headers = {"X-Api-Key": "sesame1", "X-Plain": "plain"}
            steps = [{"name": "a", "headers": {"Cookie": "own=1"}}, {"name": "b", "url": other.url(host="localhost")}]
            await asked(journey(server.url(), *steps, headers=headers, bearer_token="sesame2"))
            for name in (b"X-Api-Key: sesame1", b"Bearer sesame2", b"own=1"):
                assert name in server.requests[0]
                assert all(name not in request for request in other.requests)
            assert all(b"X-Plain: plain" in request for request in other.requests)
            assert b"Cookie: foreign=1" in other.requests[1]


async def test_an_address_that_was_captured_gets_no_credentials_and_must_be_one() -> None:
    async with web.serving(web.reply(b"there")) as other:
        there = other.url("/signed?x=1", host="localhost")
        async with web.serving(web.reply(json.dumps({"to": there, "odd": "file:///etc/passwd"}).encode())) as server:
            ask = {"name": "ask", "capture": {"to": "to", "odd": "odd"}}
            put = {"name": "put", "url": "{{to}}", "method": "PUT", "body": "x", "headers": {"X-Token": "sesame"}}
            await asked(journey(server.url(), ask, put, bearer_token="s3same"))
            assert other.requests[0].startswith(b"PUT /signed?x=1 HTTP/1.1\r\n")
            assert b"same" not in other.requests[0]
            odd = {"name": "odd", "url": "{{odd}}"}
            await fails(
                journey(server.url(), ask, odd), Reason.BODY, "cannot make the request", "no http:// or https://"
            )
            inside = {"name": "inside", "url": "/at/{{odd}}"}
            await asked(journey(server.url(), ask, inside))
            assert server.requests[-1].startswith(b"GET /at/file%3A%2F%2F%2Fetc%2Fpasswd HTTP")


@pytest.mark.parametrize("held", ["a\r\nX-Evil: 1", "a\x00b", "snow \u2603"])
async def test_what_was_captured_cannot_break_out_of_a_header(held: str) -> None:
    async with web.serving(web.reply(json.dumps({"t": held}).encode())) as server:
        use = {"name": "use", "headers": {"X-T": "{{t}}"}}
        await fails(journey(server.url(), {"name": "ask", "capture": {"t": "t"}}, use), Reason.BODY, "captured")
        assert server.accepted == 1


@pytest.mark.parametrize(
    ("capture", "reason", "words"),
    [
        ({"x": "gone"}, Reason.ASSERTION, "cannot capture gone of the answer: there is nothing"),
        ({"x": {"header": "X-Gone"}}, Reason.ASSERTION, "cannot capture the header X-Gone"),
        ({"x": {"cookie": "gone"}}, Reason.ASSERTION, "cannot capture the cookie gone"),
        ({"x": {"regex": "gone(.*)"}}, Reason.ASSERTION, "cannot capture the body, by gone"),
        ({"x": {"header": "X-At", "regex": "/gone/(.*)"}}, Reason.ASSERTION, "cannot capture the header X-At, by"),
        ({"x": "large"}, Reason.BODY, "is larger than 64 KiB"),
        ({"x": "length(id)"}, Reason.ASSERTION, "cannot read length(id)"),
    ],
)
async def test_what_is_not_there_cannot_be_captured(capture: Any, reason: Reason, words: str) -> None:
    body = json.dumps({"id": 5, "large": "x" * 70_000}).encode()
    async with web.serving(web.reply(body, "200 OK", "X-At: /orders/5")) as server:
        await fails(one(server.url(), capture=capture), reason, words)
        at = {"header": "X-At", "regex": "/orders/([0-9]+)", "show": True}
        steps = [{"name": "a", "capture": {"x": at}}, {"name": "b", "url": "/o/{{x}}"}]
        await asked(journey(server.url(), *steps))
        assert server.requests[-1].startswith(b"GET /o/5 ")


@pytest.mark.parametrize(
    ("answer", "step", "reason", "words"),
    [
        (web.reply(b"<html>"), {"capture": {"x": "y"}}, Reason.BODY, "the body is no JSON"),
        (web.reply(b"[" * 5000), {"capture": {"x": "y"}}, Reason.BODY, "the body is no JSON"),
        (web.reply(b'"' + b"x" * 2**20), {"capture": {"x": "y"}}, Reason.BODY, "larger than allowed"),
        (web.reply(b"\x1b[2J\x00"), {"expect": {"body_regex": "fine"}}, Reason.ASSERTION, "does not match"),
        (web.reply(b"no", "401 No"), {}, Reason.STATUS, "status is 401"),
        (web.reply(b"no", "429 No", "Retry-After: 9"), {}, Reason.RATE_LIMITED, "Retry-After"),
        (web.reply(b"x", "200 OK", "Content-Encoding: br"), {"expect": {"body_regex": "x"}}, Reason.BODY, "compressed"),
        (
            web.reply(b"", "302 Go", "Location: shop://cb?code=s3cret"),
            {},
            Reason.PROTOCOL,
            "cannot follow the redirect",
        ),
        (web.reply(b"", "302 Go", "Location: /again?code=s3cret"), {}, Reason.PROTOCOL, "more than 10 redirects"),
        (b"HTTP/1.1 200 OK\r\n" + b"Set-Cookie: a=b\r\n" * 9999, {}, Reason.PROTOCOL, "bytes of headers"),
    ],
)
async def test_odd_answers(answer: bytes, step: dict[str, Any], reason: Reason, words: str) -> None:
    async with web.serving(answer) as server:
        result = await fails(one(server.url(), **step), reason, words)
        assert "s3cret" not in str(result)
        assert "\x1b" not in str(result)


async def test_a_redirect_is_the_answer_where_it_is_not_followed() -> None:
    async with web.serving(web.reply(b"", "302 Go", "Location: /home")) as server:
        step = {"follow_redirects": False, "expect": {"status": 302, "headers": {"location": "^/home$"}}}
        await asked(one(server.url(), **step))
        assert server.accepted == 1


async def test_cancelled_in_the_middle_of_a_step_nothing_is_left() -> None:
    await asked_nothing()
    async with web.serving(web.then_hang(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")) as server:
        await cancelled(one(server.url()), server)


async def asked_nothing() -> None:
    """What a loop keeps for itself is there after the first probe."""
    assert (await result_of(one(f"http://127.0.0.1:{web.closed_port()}"))).outcome is Outcome.FAILED


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"url": "/{{order}}"}, r"wants \{\{order\}\}, which no step before it captures; there are unique"),
        ({"url": "/{{uniqe}}"}, "did you mean 'unique'"),
        ({"url": "/{{x}}", "capture": {"x": "y"}}, "which no step before it captures"),
        ({"expect": {"json": {"id": "{{order}}"}}}, "which no step before it captures"),
        ({"headers": {"A": "{{order}}"}}, "which no step before it captures"),
        ({"body": "a", "json_body": 1}, "only one of body, json_body and form"),
        ({"body": "a", "files": {"x": {"text": "y"}}}, "only one of body"),
        ({"files": {"x": {}}}, "one of file, text and base64"),
        ({"files": {"x": {"file": "a", "text": "b"}}}, "one of file, text and base64"),
        ({"files": {"x": {"base64": "!"}}}, "does not hold base64"),
        ({"files": {"x": {"text": "b", "type": "a\r\nb"}}}, "pattern"),
        ({"capture": {"x": {}}}, "one of json, header, cookie and regex"),
        ({"capture": {"x": {"json": "a", "cookie": "b"}}}, "one of json, header, cookie and regex"),
        ({"capture": {"x": {"regex": "("}}}, "no regular expression"),
        ({"capture": {"x": "a["}}, "no JMESPath expression"),
        ({"capture": {"X y": "a"}}, "pattern"),
        ({"headers": {"A": "b\r\nC: d"}}, "holds what no header can"),
        ({"url": "https://me:pw@x/"}, "write credentials as basic_auth"),
        ({"url": "/", "methd": "GET"}, "Extra inputs"),
        ({"url": "mailto:a"}, "is no http:// or https:// address"),
        ({"url": "http://a b/{{unique}}"}, "is no host name"),
    ],
)
def test_mistakes_are_told_when_the_configuration_is_read(step: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        one("https://shop.example.com", **step)


def test_two_steps_of_one_name_and_two_ways_in_are_refused() -> None:
    with pytest.raises(ValidationError, match="two steps are called 'a'"):
        journey("https://shop.example.com", {"name": "a"}, {"name": "a"})
    with pytest.raises(ValidationError, match="only one of basic_auth"):
        journey("https://me:x@shop.example.com", {"name": "a"}, bearer_token="x")
    with pytest.raises(ValidationError, match="at least 1 item"):
        journey("https://shop.example.com")


def test_secrets_are_what_is_sent_under_names_that_secrets_have() -> None:
    step = {"name": "a", "form": {"user": "anna", "password": "s3same", "quantity": 1}, "headers": {"X-Key": "k3y1"}}
    other = {"name": "b", "json_body": {"login": {"passwords": ["p1pe"], "token": "{{unique}}"}}}
    assert set(journey("https://me:pw%2B@x", step, other).secrets()) == {
        "s3same",
        "k3y1",
        "p1pe",
        "pw%2B",
        "pw+",
        "bWU6cHcr",
    }
