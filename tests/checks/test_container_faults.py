"""The container kind without its engine, without rights, and against answers that make no sense."""

from __future__ import annotations

import ssl
import struct
from pathlib import Path
from typing import Any

import orjson
import pytest
import trustme
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from checks.base import Failed, Reason
from checks.container import Container
from checks.parts.container import engine as answers
from checks.parts.container.changes import changes, remembered
from checks.parts.json_values import moment
from monitor.demo.parts.kubernetes import CUTS, HANGS
from tests.checks.docker import AT, IDS, MIB, Docker, check, state
from tests.checks.probing import Memory, asked, errs, fails, result_of, value
from tests.checks.web import closed_port, hang, reply, serving


async def test_no_engine_no_rights_and_no_answer_are_told_apart(tmp_path: Path, docker: Docker) -> None:
    gone = f"unix://{tmp_path}/gone.sock"
    await fails(
        check(gone, "app"), Reason.CONNECT_REFUSED, f"cannot ask the container engine at {gone}", "no such file"
    )
    async with serving(hang) as web_:
        slow = check(f"tcp://127.0.0.1:{web_.port}", "app", timeout="1s")
        await fails(slow, Reason.READ_TIMEOUT, "no answer within 1 s")
    await fails(check(f"tcp://127.0.0.1:{closed_port()}", "app"), Reason.CONNECT_REFUSED)
    async with serving(reply(b"<h1>Forbidden</h1>", "403 Forbidden")) as web_:
        await errs(check(web_.url(""), "app"), Reason.AUTH, "403", "does not let the monitor look")
    async with serving(reply(b"hello")) as web_:
        await fails(check(web_.url(""), "app"), Reason.PROTOCOL, "does not speak the Docker Engine API")
    async with serving(reply(b"OK", "200 OK", "Api-Version: 1.12")) as web_:
        await fails(check(web_.url(""), "app"), Reason.PROTOCOL, "it speaks version 1.12 of the API, 1.24 is needed")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.BODY),
        (b'{"Id": "aaaa", "State": {"Sta', Reason.BODY),
        (b"[" * 100_000, Reason.BODY),
        (b"[]", Reason.PROTOCOL),
        (b"null", Reason.PROTOCOL),
        (b'{"Id": 5, "State": {"Status": "running"}}', Reason.PROTOCOL),
        (b'{"Id": "x", "State": "running"}', Reason.PROTOCOL),
        (b'"' + b"x" * (5 * MIB) + b'"', Reason.BODY),
    ],
)
async def test_answers_that_are_no_container_are_never_ok(
    docker: Docker, docker_url: str, body: bytes, reason: Reason
) -> None:
    docker.said["/app/json"] = 200, body
    await fails(check(docker_url, "app"), reason)


async def test_an_engine_that_lies_about_times_and_sizes_blinds_nobody(docker: Docker, docker_url: str) -> None:
    memory: Memory = {}
    docker.containers["app"] |= {"RestartCount": 1e300, "Image": "x" * 500_000}
    await asked(check(docker_url, "app"), memory)
    of = {"Type": "container", "Action": "oom", "Actor": {"ID": IDS["app"]}, "time": AT}
    docker.events = [{**of, "timeNano": 2**62}]
    assert value(await asked(check(docker_url, "app"), memory), "oom_kills_recent") == 0
    docker.events.append({**of, "timeNano": AT * 10**9 + 1})
    assert value(await asked(check(docker_url, "app"), memory), "oom_kills_recent") == 1
    assert len(orjson.dumps(memory["kept"])) < 2_000


@pytest.mark.parametrize("end", ["/_ping", "/app/json", "/stats", "/events"])
async def test_an_engine_that_stops_in_the_middle_is_told(docker: Docker, docker_url: str, end: str) -> None:
    memory: Memory = {}
    await asked(check(docker_url, "app"), memory)
    docker.said[end] = HANGS, b""
    await fails(check(docker_url, "app", timeout="1s"), Reason.READ_TIMEOUT, "no answer within 1 s", memory=memory)
    docker.said[end] = CUTS, b""
    await fails(check(docker_url, "app"), Reason.PROTOCOL, "cannot ask the container engine", memory=memory)
    docker.said.clear()
    await asked(check(docker_url, "app"), memory)


async def test_odd_values_in_an_answer_do_no_harm(docker: Docker, docker_url: str) -> None:
    docker.containers["app"] |= {
        "RestartCount": "many", "HostConfig": {"Memory": True, "NanoCpus": 1e999, "CpuQuota": -1}, "Config": None,
        "State": state(StartedAt="yesterday", FinishedAt="9999-99-99T00:00:00Z", Health={"Log": [1, {"Output": 5}]}),
    }  # fmt: skip
    docker.stats["app"] = {"memory_stats": [], "cpu_stats": {"cpu_usage": {"total_usage": "x"}}, "read": 7}
    docker.events = [{"time": AT, "timeNano": "soon", "Action": "oom"}]
    memory: Memory = {}
    docker.said["/app/json"] = 200, orjson.dumps(docker.containers["app"], option=orjson.OPT_NON_STR_KEYS)
    await asked(check(docker_url, "app"), memory)
    await asked(check(docker_url, "app"), memory)


@pytest.mark.parametrize(
    "kept",
    [
        {"containers": 5, "recent": 7, "events until": "x", "event": []},
        {"containers": {"app": 5}, "events until": AT + 10**9, "event": "x"},
        {"containers": {"app": {"id": 5, "restarts": "x", "started": [], "use": [1, 2]}}, "events until": AT - 5},
        {
            "containers": {"app": {"id": "a" * 64, "started": 0, "use": ["x", None, 1, 1]}},
            "recent": {"restarts app": 1},
        },
    ],
)
async def test_whatever_an_older_version_kept_does_no_harm(
    docker: Docker, docker_url: str, kept: dict[str, Any]
) -> None:
    memory: Memory = {"kept": kept}
    await asked(check(docker_url, "app"), memory)
    await asked(check(docker_url, "app"), memory)
    orjson.dumps(memory["kept"])


async def test_too_many_containers_are_our_error(docker: Docker, docker_url: str) -> None:
    docker.said["/containers/json"] = 200, orjson.dumps([{"Id": f"{number:064x}"} for number in range(101)])
    await errs(Container(name="all", url=docker_url, project="shop"), Reason.INTERNAL, "101 containers", "split it")


async def test_certificates_are_shown_and_wanted(docker: Docker) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    mine = authority.issue_cert("runwatch@example.com")
    application = web.Application()
    application.router.add_get("/{path:.*}", docker.answer)
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        url = f"https://127.0.0.1:{runner.addresses[0][1]}"
        with (
            authority.cert_pem.tempfile() as ca_file,
            stranger.cert_pem.tempfile() as other,
            mine.private_key_and_cert_chain_pem.tempfile() as cert_file,
        ):
            one = check(url, "app", tls={"ca_file": ca_file, "cert_file": cert_file})
            assert value(await asked(one), "running") == 1
            await fails(check(url, "app", tls={"ca_file": other, "cert_file": cert_file}), Reason.TLS_HANDSHAKE)
            result = await result_of(check(url, "app", tls={"ca_file": ca_file}))
            assert result.outcome != "ok" and "Traceback" not in result.sentence
    finally:
        await runner.cleanup()


def frame(stream: int, text: bytes) -> bytes:
    return struct.pack(">BxxxI", stream, len(text)) + text


def test_log_frames_become_lines() -> None:
    body = frame(1, b"one\n") + frame(2, b"\x1b[31mtwo\x1b[0m\r\n") + frame(1, b"thr")[:10]
    assert answers.log_lines(body, False) == "one\ntwo"
    assert answers.log_lines(b"plain\r\nlines", True) == "plain\nlines"
    assert answers.log_lines(b"no frame at all", False) == "no frame at all"


@given(st.binary(max_size=200), st.booleans())
def test_any_log_can_be_read(body: bytes, terminal: bool) -> None:
    answers.log_lines(body, terminal)
    answers.events(body, AT)


NAMES = st.sampled_from(["Id", "State", "Status", "HostConfig", "Memory", "memory_stats", "stats", "usage", "Name"])
SIMPLE = st.none() | st.booleans() | st.floats() | st.text()


@given(st.recursive(SIMPLE, lambda one: st.lists(one) | st.dictionaries(NAMES, one)))
def test_any_answer_is_read_or_refused(answer: Any) -> None:
    answers.use(answer)
    try:
        found = answers.container(answer, "the engine")
    except Failed:
        return
    assert changes(remembered(found, None), found, []).restarts == 0


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("0001-01-01T00:00:00Z", 0),
        ("", 0),
        ("1970-01-01T00:00:10.5Z", 10.5),
        ("2026-11-23T01:00:00.123456789Z", AT + 0.123456),
    ],
)
def test_moments(written: str, seconds: float) -> None:
    assert moment(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "say which containers"),
        ({"services": ["app"], "containers": ["app"]}, "services needs project"),
        ({"containers": ["a/b"]}, "should match pattern"),
        ({"containers": ["app"], "url": "unix://docker.sock"}, "three slashes"),
        ({"containers": ["app"], "url": "ssh://host"}, "is wanted"),
        ({"containers": ["app"], "url": "tcp://:2375"}, "names no host"),
    ],
)
def test_bad_configuration_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Container(name="shop", **fields)
