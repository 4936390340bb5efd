"""Kind http as it is configured: what is accepted, and the sentences for what is not."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from checks import kinds
from checks.base import Check, Run, Url
from checks.http import Http
from tests.checks.web import ask, reply, serving

URL = "http://shop.example.com/health"


def configured(**fields: Any) -> Http:
    return Http.model_validate({"name": "shop", "url": URL, **fields})


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"url": "http:///health"}, "names no host"),
        ({"url": "shop.example.com"}, "is no http:// or https:// address"),
        ({"url": "ftp://shop.example.com"}, "is no http:// or https:// address"),
        ({"url": "http://shop:99999/"}, "not an address"),
        ({"url": "http://[::1/"}, "not an address"),
        ({"url": "http://a b/"}, "is no host name"),
        ({"url": "http://a..b/"}, "is no host name"),
        ({"url": f"http://{'x' * 64}.com/"}, "is no host name"),
        ({"url": "http://ann:hush@/"}, "names no host"),
        ({"expect": {"status": "2x"}}, "'2x' is no HTTP status"),
        ({"expect": {"status": True}}, "'True' is no HTTP status"),
        ({"expect": {"status": []}}, "at least one status"),
        ({"expect": {"body_regex": "a(b"}}, "'a(b' is no regular expression (RE2): missing ): a(b"),
        ({"expect": {"json": {"foo..bar": 1}}}, "'foo..bar' is no JMESPath expression: at position 5"),
        ({"expect": {"json": {"foo[": 1}}}, "is no JMESPath expression"),
        ({"measure": {"x": "a * "}}, "is no JMESPath expression"),
        ({"measure": {"x": "nope(a)", "Bad-Name": "a"}}, "should match pattern"),
        ({"measure": {"status_code": "a"}}, "'status_code' has the name of a measurement"),
        ({"body": "a", "json_body": 1}, "body and json_body exclude each other"),
        ({"bearer_token": "a", "basic_auth": {"username": "b"}}, "only one of basic_auth, bearer_token"),
        ({"json_body": {"from": "{{now-10}}"}}, "10"),
        ({"headers": {"X-A": "a\r\nX-B: b"}}, "a line break inside"),
        ({"tls": {"key_file": "k"}}, "key_file needs cert_file"),
        ({"method": "BREW"}, "GET"),
        ({"ip_family": 5}, "'any', '4' or '6'"),
        ({"unknown": 1}, "Extra inputs are not permitted"),
    ],
)
def test_mistakes_are_named(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as error:
        configured(**fields)
    messages = [item["msg"] for item in error.value.errors()]
    assert any(sentence in message for message in messages), messages
    assert not [message for message in messages if "hush" in message]


def test_a_whole_check_is_a_kind_and_an_address() -> None:
    assert kinds.load("checks", "http", Check) is Http
    assert Http.kind == "http"
    shop = configured()
    assert shop.target == URL
    assert [item.name for item in shop.declared()] == [item.name for item in Http.measurements]


def test_a_name_in_another_script_is_asked_for_as_dns_knows_it() -> None:
    assert b"Host: xn--bcher-kva.example\r\n" in configured(url="http://bücher.example/")._plan.first.question


async def test_a_copy_with_another_address_asks_there() -> None:
    async with serving(reply()) as web:
        asked = await ask(configured().model_copy(update={"url": Url(web.url())}))
    assert asked.fault is None
    assert asked.value("status_code") == 200


def test_secrets_appear_nowhere() -> None:
    shop = configured(
        headers={"X-Api-Key": "hush-1", "Accept": "text/html"},
        basic_auth={"username": "ann", "password": "hush-2"},
    )
    assert "hush" not in repr(shop) + str(shop) + shop.model_dump_json()
    assert {"hush-1", "hush-2"} <= set(shop.secrets())
    assert "text/html" not in shop.secrets()


def test_the_schema_can_be_printed() -> None:
    schema = json.loads(json.dumps(Http.model_json_schema()))
    assert {"url", "expect", "measure", "tls"} <= schema["properties"].keys()
    assert "json" in schema["$defs"]["Expect"]["properties"]


async def test_what_is_sent_says_the_time_of_the_probe() -> None:
    async with serving(reply(b"{}")) as web:
        sent = {"url": web.url(), "method": "POST", "json_body": {"from": "{{now-10m}}", "to": "{{ now }}", "n": 1}}
        check = Http.model_validate({"name": "graph", **sent})
        for at in (1_800_000_000.9, 1_800_000_060.0):
            await check.probe(Run(None, at))
        await Http.model_validate({"name": "text", **sent, "json_body": None, "body": "since {{now+1d}}"}).probe(
            Run(None, 1_800_000_000.0)
        )
    bodies = [request.partition(b"\r\n\r\n")[2] for request in web.requests]
    assert bodies == [
        b'{"from":"2027-01-15T07:50:00Z","to":"2027-01-15T08:00:00Z","n":1}',
        b'{"from":"2027-01-15T07:51:00Z","to":"2027-01-15T08:01:00Z","n":1}',
        b"since 2027-01-16T08:00:00Z",
    ]
