"""The container kind against a real engine, and against a stand-in with Docker's answers where podman's are others."""

from __future__ import annotations

import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import trustme
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from alerts.thresholds import parse
from checks.base import Failed, Reason, Run
from checks.container import Container
from checks.parts.container import engine as answers
from checks.parts.container.changes import changes, remembered
from checks.parts.json_values import moment
from monitor.demo.parts.kubernetes import CUTS, HANGS, broken
from tests.checks.engine import container_engine
from tests.checks.probing import Memory, asked, errs, evidence, fails, result_of, value, values
from tests.checks.web import hang, reply, serving

GIB, MIB = 2**30, 2**20
NOW = "Mon, 23 Nov 2026 01:00:00 GMT"
AT = 1_795_395_600
"""The same in Unix seconds."""
IDS = {name: (name[0] * 64) for name in ("app", "db", "migrate", "worker")}


def state(**fields: Any) -> dict[str, Any]:
    """A running container's state as Docker gives it."""
    return {
        "Status": "running", "Running": True, "Paused": False, "Restarting": False, "OOMKilled": False, "Dead": False,
        "Pid": 5, "ExitCode": 0, "Error": "", "StartedAt": "2026-11-23T00:59:00.123456789Z",
        "FinishedAt": "0001-01-01T00:00:00Z", **fields,
    }  # fmt: skip


def ended(code: int, **fields: Any) -> dict[str, Any]:
    return state(Status="exited", Running=False, ExitCode=code, FinishedAt="2026-11-23T00:59:30.5Z", **fields)


def container(name: str, **fields: Any) -> dict[str, Any]:
    """What Docker says of a container (Engine API 1.51, ContainerInspectResponse)."""
    return {
        "Id": IDS[name], "Name": f"/{name}", "Image": "sha256:" + "1" * 64, "RestartCount": 0, "State": state(),
        "HostConfig": {"Memory": 512 * MIB, "NanoCpus": 500_000_000, "CpuQuota": 0, "CpuPeriod": 0},
        "Config": {"Image": f"{name}:1", "Tty": False, "Labels": {answers.PROJECT: "shop", answers.SERVICE: name}},
        **fields,
    }  # fmt: skip


def stats(memory: dict[str, Any], cpu: float = 5e9, second: int = 0, **throttling: int) -> dict[str, Any]:
    return {
        "read": f"2026-11-23T01:00:{second:02d}.000000001Z", "memory_stats": memory, "pids_stats": {"current": 7},
        "cpu_stats": {"cpu_usage": {"total_usage": cpu}, "online_cpus": 2, "throttling_data": throttling},
    }  # fmt: skip


class Docker:
    """A stand-in with Docker's answers: change what it says between probes."""

    def __init__(self) -> None:
        self.version = "1.51"
        self.date = NOW
        self.containers = {"app": container("app"), "db": container("db")}
        self.stats: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []
        self.logs = b""
        self.said: dict[str, tuple[int, bytes]] = {}
        """Answers in place of the usual, by the end of the path."""
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        for end, (status, body) in self.said.items():
            if request.path.endswith(end):
                if status in (HANGS, CUTS):
                    await broken(request, status)
                return web.Response(status=status, body=body)
        parts = request.path.split("/")
        match parts[2:]:
            case []:
                return web.Response(text="OK", headers={"Api-Version": self.version, "Date": self.date})
            case ["containers", "json"]:
                wanted = orjson.loads(request.query["filters"])["label"]
                found = [
                    {"Id": one["Id"]}
                    for one in self.containers.values()
                    if set(wanted) <= {f"{key}={text}" for key, text in one["Config"]["Labels"].items()}
                ]
                return web.json_response(found)
            case ["events"]:
                since, until = int(request.query["since"]), int(request.query["until"])
                lines = [one for one in self.events if since <= one["time"] <= until]
                return web.Response(body=b"".join(orjson.dumps(one) + b"\n" for one in lines))
            case ["containers", name, what]:
                found_ = [one for key, one in self.containers.items() if name == key or one["Id"].startswith(name)]
                if not found_:
                    return web.json_response({"message": f"No such container: {name}"}, status=404)
                if what == "stats":
                    name = found_[0]["Name"][1:]
                    return web.json_response(self.stats.get(name, stats({"usage": 100 * MIB, "stats": {}})))
                return web.json_response(found_[0]) if what == "json" else web.Response(body=self.logs)
        return web.json_response({"message": "page not found"}, status=404)

    @asynccontextmanager
    async def serving(self, folder: Path) -> AsyncIterator[str]:
        application = web.Application()
        application.router.add_get("/{path:.*}", self.answer)
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True)
        await runner.setup()
        try:
            await web.UnixSite(runner, str(folder / "d.sock")).start()
            yield f"unix://{folder}/d.sock"
        finally:
            await runner.cleanup()


@pytest.fixture
def docker() -> Docker:
    return Docker()


@pytest.fixture
async def url(docker: Docker, tmp_path: Path) -> AsyncIterator[str]:
    async with docker.serving(tmp_path) as url:
        yield url


def check(url: str, *names: str, **fields: Any) -> Container:
    return Container(name="shop", url=url, containers=names, **fields)


def test_what_it_recommends_can_be_asked() -> None:
    known = {one.name: one for one in Container.measurements}
    for one in Container.recommended:
        assert parse(one.when, known).names, one.alert


# --- a real engine ---


async def test_containers_of_a_real_engine_run_fail_their_health_check_end_and_come_back() -> None:
    with container_engine() as engine:
        labels = ("--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=web")
        health = ("--health-cmd", "test ! -e /tmp/sick", "--health-interval=disable", "--health-retries=1")
        engine.run("web", "-m", "64m", *labels, *health, command="echo started; echo oops >&2; sleep 1000")
        memory: Memory = {}
        one = check(engine.url, "web", project="shop", services=["web"])
        await asked(one, memory)
        run = await asked(one, memory)
        assert value(run, "containers") == value(run, "running", container="web") == 1
        assert value(run, "memory_limit_bytes") == 64 * MIB
        assert 0 < value(run, "memory_used_ratio") < 0.5
        assert 0 <= value(run, "cpus_used") < 2
        assert value(run, "unhealthy") == 0
        assert 0 <= value(run, "uptime_seconds") < 60
        assert not values(run, "exit_code")

        engine.podman("exec", "web", "touch", "/tmp/sick")
        engine.podman("healthcheck", "run", "web", check=False)
        result = await fails(one, Reason.ASSERTION, "web is unhealthy, 1 checks failed in a row", memory=memory)
        assert "exit 1" in evidence(result, "health checks of web")
        assert value(result, "unhealthy") == 1
        told = Run(memory)
        await one.diagnose(told)
        assert "started" in evidence(told, "last lines of web") and "oops" in evidence(told, "last lines of web")

        engine.podman("stop", "-t", "0", "web")
        result = await fails(one, Reason.ASSERTION, "web ended", "exit code 137, killed", memory=memory)
        assert (value(result, "running"), value(result, "exit_code"), value(result, "kills_recent")) == (0, 137, 1)
        engine.podman("start", "web")
        assert value(await result_of(one, memory), "restarts_recent") == 1

        engine.podman("rm", "-f", "-t", "0", "web")
        result = await fails(one, Reason.ASSERTION, "there is no container web", "service web has no", memory=memory)
        engine.run("web", *labels, command="sleep 1000")
        run = await asked(one, memory)
        assert value(run, "replaced_recent") == 1
        assert not values(run, "memory_limit_bytes"), "this one has no limit"


async def test_restarts_by_policy_and_ends_for_want_of_memory_on_a_real_engine() -> None:
    with container_engine() as engine:
        engine.run("flaps", "--restart", "on-failure:2", command="exit 3")
        engine.run("hungry", "-m", "8m", command="exec tail /dev/zero")
        engine.run("job", command="exit 0")
        for name in ("flaps", "hungry", "job"):
            engine.ended(name)
        one = check(engine.url, "flaps", "hungry", "job", may_end=["j*"])
        result = await fails(
            one,
            Reason.ASSERTION,
            "flaps ended",
            "(exit code 3)",
            "hungry ended",
            "exit code 137, killed: out of memory",
        )
        assert "job" not in result.sentence
        assert value(result, "restarts_total", container="flaps") == 2
        assert value(result, "exit_code", container="job") == 0
        await fails(check(engine.url, "nope"), Reason.ASSERTION, "there is no container nope")


# --- what Docker says otherwise ---


async def test_what_a_container_uses_is_counted_as_docker_stats_does(docker: Docker, url: str) -> None:
    memory: Memory = {}
    docker.stats = {
        "app": stats({"usage": 200 * MIB, "stats": {"inactive_file": 40 * MIB}}, 5e9, periods=10, throttled_periods=1),
        "db": stats({"usage": 200 * MIB, "stats": {"total_inactive_file": 50 * MIB, "inactive_file": 9}}, 5e9),
    }
    one = check(url, "app", "db")
    await asked(one, memory)
    docker.stats["app"] = stats({"usage": 256 * MIB, "stats": {}}, 9e9, 10, periods=30, throttled_periods=11)
    run = await asked(one, memory)
    assert value(run, "memory_used_bytes", container="db") == 150 * MIB
    assert value(run, "memory_used_ratio", container="app") == 0.5
    assert value(run, "cpus_used", container="app") == pytest.approx(0.4)
    assert value(run, "cpu_used_ratio", container="app") == pytest.approx(0.8)
    assert value(run, "cpu_throttled_ratio", container="app") == 0.5
    assert value(run, "processes", container="app") == 7
    assert value(run, "uptime_seconds", container="app") == pytest.approx(59.876544)
    assert len(docker.asked) == 6 + 5, "ping, two containers, two uses; events from the second probe on"


async def test_a_kill_that_a_restart_has_hidden_is_seen_once_and_remembered(docker: Docker, url: str) -> None:
    memory: Memory = {}
    one = check(url, "app")
    await asked(one, memory, 1000.0)
    docker.containers["app"] = container("app", RestartCount=1, State=state(StartedAt="2026-11-23T00:59:59Z"))
    docker.events = [
        {"Type": "container", "Action": action, "Actor": {"ID": IDS["app"], "Attributes": {"exitCode": "137"}},
         "time": AT, "timeNano": AT * 10**9 + nano}
        for nano, action in enumerate(("oom", "die"), 5)
    ]  # fmt: skip
    for at in (1030.0, 1060.0, 1620.0):
        run = await asked(one, memory, at)
        assert value(run, "oom_kills_recent") == value(run, "kills_recent") == 1
        assert value(run, "restarts_recent") == 1
        memory = {"kept": orjson.loads(orjson.dumps(memory["kept"]))}  # runwatch was started anew
    assert value(await asked(one, memory, 1640.0), "oom_kills_recent") == 0
    docker.said["/events"] = 403, b"<h1>403 Forbidden</h1>"
    await errs(one, Reason.AUTH, "403", "allow it to see events, or set events: false", memory=memory)
    assert (await result_of(check(url, "app", events=False), memory)).outcome == "ok"


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (ended(137, OOMKilled=True), "app ended 29.5 s ago (exit code 137, killed: out of memory)"),
        (ended(1, Error="driver failed\x1b[31m"), "(exit code 1): driver failed\ufffd[31m"),
        (ended(0), "app ended 29.5 s ago (exit code 0)"),
        (state(Status="restarting", Running=True, ExitCode=139), "app keeps being restarted (exit code 139, segment"),
        (state(Status="paused", Paused=True), "app is paused"),
        (state(Status="created", Running=False, Error="port is in use"), "was made, but never started: port is in use"),
        (state(Status="dead", Running=False, ExitCode=255), "app ended (exit code 255)"),
        (state(Status="?!\n"), "app is ?!\ufffd"),
        (state(Health={"Status": "unhealthy", "FailingStreak": 3, "Log": [
            {"Start": "2026-11-23T00:59:00Z", "ExitCode": 1, "Output": "no\n answer"}]}),
         "app is unhealthy, 3 checks failed in a row (no answer)"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said(docker: Docker, url: str, now: dict[str, Any], said: str) -> None:
    docker.containers["app"]["State"] = now
    result = await fails(check(url, "app", "db"), Reason.ASSERTION, said)
    assert "db" not in result.sentence
    assert value(result, "running", container="db") == 1, "the other is still judged"


@pytest.mark.parametrize(
    "health", [{"Status": "starting"}, {"Status": "none"}, {"Status": ""}, None, "no", {"Status": 5}]
)
async def test_a_health_check_that_says_nothing_yet_is_not_wrong(docker: Docker, url: str, health: Any) -> None:
    docker.containers["app"]["State"]["Health"] = health
    run = await asked(check(url, "app"))
    assert list(values(run, "unhealthy").values()) == ([0] if health == {"Status": "starting"} else [])


async def test_a_project_is_all_its_containers_and_its_services_have_to_be_there(docker: Docker, url: str) -> None:
    docker.containers["migrate"] = container("migrate", State=ended(0))
    one = Container(name="shop", url=url, project="shop", services=("app", "db"), may_end=("migrate",))
    run = await asked(one)
    assert (value(run, "containers"), value(run, "containers_running")) == (3, 2)
    docker.containers["migrate"]["State"] = ended(1)
    await fails(one, Reason.ASSERTION, "migrate ended", "exit code 1")
    del docker.containers["migrate"], docker.containers["db"]
    await fails(one, Reason.ASSERTION, "the service db has no container")
    other = Container(name="shop", url=url, with_labels={"tier": "front"})
    await fails(other, Reason.ASSERTION, "there is no container with these labels")


async def test_another_image_is_shown_and_counts_as_changed(docker: Docker, url: str) -> None:
    memory: Memory = {}
    await asked(check(url, "app"), memory)
    docker.containers["app"] = container("app", Id="e" * 64, Image="sha256:" + "2" * 64)
    run = await asked(check(url, "app"), memory)
    assert value(run, "image_changes_recent") == value(run, "replaced_recent") == 1
    assert evidence(run, "image of app") == "it was 111111111111 and is 222222222222 (app:1)"
    assert value(run, "restarts_recent") == 0


async def test_the_beginning_of_an_id_is_no_name(docker: Docker, url: str) -> None:
    await fails(check(url, "aaa"), Reason.ASSERTION, "there is no container aaa")
    assert value(await asked(check(url, "a" * 12)), "running", container="app") == 1


async def test_a_container_that_ends_between_two_questions_is_no_error(docker: Docker, url: str) -> None:
    docker.said["/stats"] = 409, b'{"message": "container is not running"}'
    assert not values(await asked(check(url, "app")), "memory_used_bytes")
    docker.said["/stats"] = 500, b'{"message": "cgroup is gone"}'
    await fails(check(url, "app"), Reason.STATUS, "answered 500", "cgroup is gone")
    assert value(await asked(check(url, "app", stats=False)), "running") == 1


# --- faults ---


async def test_no_engine_no_rights_and_no_answer_are_told_apart(tmp_path: Path, docker: Docker) -> None:
    gone = f"unix://{tmp_path}/gone.sock"
    await fails(
        check(gone, "app"), Reason.CONNECT_REFUSED, f"cannot ask the container engine at {gone}", "no such file"
    )
    async with serving(hang) as web_:
        slow = check(f"tcp://127.0.0.1:{web_.port}", "app", timeout="300ms")
        await fails(slow, Reason.READ_TIMEOUT, "no answer within 300 ms")
        port = web_.port
    await fails(check(f"tcp://127.0.0.1:{port}", "app"), Reason.CONNECT_REFUSED)
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
    docker: Docker, url: str, body: bytes, reason: Reason
) -> None:
    docker.said["/app/json"] = 200, body
    await fails(check(url, "app"), reason)


async def test_an_engine_that_lies_about_times_and_sizes_blinds_nobody(docker: Docker, url: str) -> None:
    memory: Memory = {}
    docker.containers["app"] |= {"RestartCount": 1e300, "Image": "x" * 500_000}
    await asked(check(url, "app"), memory)
    of = {"Type": "container", "Action": "oom", "Actor": {"ID": IDS["app"]}, "time": AT}
    docker.events = [{**of, "timeNano": 2**62}]
    assert value(await asked(check(url, "app"), memory), "oom_kills_recent") == 0
    docker.events.append({**of, "timeNano": AT * 10**9 + 1})
    assert value(await asked(check(url, "app"), memory), "oom_kills_recent") == 1
    assert len(orjson.dumps(memory["kept"])) < 2_000


@pytest.mark.parametrize("end", ["/_ping", "/app/json", "/stats", "/events"])
async def test_an_engine_that_stops_in_the_middle_is_told(docker: Docker, url: str, end: str) -> None:
    memory: Memory = {}
    await asked(check(url, "app"), memory)
    docker.said[end] = HANGS, b""
    await fails(check(url, "app", timeout="200ms"), Reason.READ_TIMEOUT, "no answer within 200 ms", memory=memory)
    docker.said[end] = CUTS, b""
    await fails(check(url, "app"), Reason.PROTOCOL, "cannot ask the container engine", memory=memory)
    docker.said.clear()
    await asked(check(url, "app"), memory)


async def test_odd_values_in_an_answer_do_no_harm(docker: Docker, url: str) -> None:
    docker.containers["app"] |= {
        "RestartCount": "many", "HostConfig": {"Memory": True, "NanoCpus": 1e999, "CpuQuota": -1}, "Config": None,
        "State": state(StartedAt="yesterday", FinishedAt="9999-99-99T00:00:00Z", Health={"Log": [1, {"Output": 5}]}),
    }  # fmt: skip
    docker.stats["app"] = {"memory_stats": [], "cpu_stats": {"cpu_usage": {"total_usage": "x"}}, "read": 7}
    docker.events = [{"time": AT, "timeNano": "soon", "Action": "oom"}]
    memory: Memory = {}
    docker.said["/app/json"] = 200, orjson.dumps(docker.containers["app"], option=orjson.OPT_NON_STR_KEYS)
    await asked(check(url, "app"), memory)
    await asked(check(url, "app"), memory)


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
async def test_whatever_an_older_version_kept_does_no_harm(docker: Docker, url: str, kept: dict[str, Any]) -> None:
    memory: Memory = {"kept": kept}
    await asked(check(url, "app"), memory)
    await asked(check(url, "app"), memory)
    orjson.dumps(memory["kept"])


async def test_too_many_containers_are_our_error(docker: Docker, url: str) -> None:
    docker.said["/containers/json"] = 200, orjson.dumps([{"Id": f"{number:064x}"} for number in range(101)])
    await errs(Container(name="all", url=url, project="shop"), Reason.INTERNAL, "101 containers", "split it")


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


# --- pure parts ---


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
