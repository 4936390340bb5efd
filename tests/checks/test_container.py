"""The container kind against a real engine, and against a stand-in with Docker's answers where podman's are others."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from alerts.thresholds import parse
from checks.base import Reason, Run
from checks.container import Container
from tests.checks.docker import AT, IDS, MIB, Docker, check, container, ended, state, stats
from tests.checks.engine import container_engine
from tests.checks.probing import Memory, asked, errs, evidence, fails, result_of, value, values


def test_what_it_recommends_can_be_asked() -> None:
    known = {one.name: one for one in Container.measurements}
    for one in Container.recommended:
        assert parse(one.when, known).names, one.alert


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


async def test_what_a_container_uses_is_counted_as_docker_stats_does(docker: Docker, docker_url: str) -> None:
    memory: Memory = {}
    docker.stats = {
        "app": stats({"usage": 200 * MIB, "stats": {"inactive_file": 40 * MIB}}, 5e9, periods=10, throttled_periods=1),
        "db": stats({"usage": 200 * MIB, "stats": {"total_inactive_file": 50 * MIB, "inactive_file": 9}}, 5e9),
    }
    one = check(docker_url, "app", "db")
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


async def test_a_kill_that_a_restart_has_hidden_is_seen_once_and_remembered(docker: Docker, docker_url: str) -> None:
    memory: Memory = {}
    one = check(docker_url, "app")
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
    assert (await result_of(check(docker_url, "app", events=False), memory)).outcome == "ok"


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
async def test_what_is_wrong_is_said(docker: Docker, docker_url: str, now: dict[str, Any], said: str) -> None:
    docker.containers["app"]["State"] = now
    result = await fails(check(docker_url, "app", "db"), Reason.ASSERTION, said)
    assert "db" not in result.sentence
    assert value(result, "running", container="db") == 1, "the other is still judged"


@pytest.mark.parametrize(
    "health", [{"Status": "starting"}, {"Status": "none"}, {"Status": ""}, None, "no", {"Status": 5}]
)
async def test_a_health_check_that_says_nothing_yet_is_not_wrong(docker: Docker, docker_url: str, health: Any) -> None:
    docker.containers["app"]["State"]["Health"] = health
    run = await asked(check(docker_url, "app"))
    assert list(values(run, "unhealthy").values()) == ([0] if health == {"Status": "starting"} else [])


async def test_a_project_is_all_its_containers_and_its_services_have_to_be_there(
    docker: Docker, docker_url: str
) -> None:
    docker.containers["migrate"] = container("migrate", State=ended(0))
    one = Container(name="shop", url=docker_url, project="shop", services=("app", "db"), may_end=("migrate",))
    run = await asked(one)
    assert (value(run, "containers"), value(run, "containers_running")) == (3, 2)
    docker.containers["migrate"]["State"] = ended(1)
    await fails(one, Reason.ASSERTION, "migrate ended", "exit code 1")
    del docker.containers["migrate"], docker.containers["db"]
    await fails(one, Reason.ASSERTION, "the service db has no container")
    other = Container(name="shop", url=docker_url, with_labels={"tier": "front"})
    await fails(other, Reason.ASSERTION, "there is no container with these labels")


async def test_another_image_is_shown_and_counts_as_changed(docker: Docker, docker_url: str) -> None:
    memory: Memory = {}
    await asked(check(docker_url, "app"), memory)
    docker.containers["app"] = container("app", Id="e" * 64, Image="sha256:" + "2" * 64)
    run = await asked(check(docker_url, "app"), memory)
    assert value(run, "image_changes_recent") == value(run, "replaced_recent") == 1
    assert evidence(run, "image of app") == "it was 111111111111 and is 222222222222 (app:1)"
    assert value(run, "restarts_recent") == 0


async def test_the_beginning_of_an_id_is_no_name(docker: Docker, docker_url: str) -> None:
    await fails(check(docker_url, "aaa"), Reason.ASSERTION, "there is no container aaa")
    assert value(await asked(check(docker_url, "a" * 12)), "running", container="app") == 1


async def test_a_container_that_ends_between_two_questions_is_no_error(docker: Docker, docker_url: str) -> None:
    docker.said["/stats"] = 409, b'{"message": "container is not running"}'
    assert not values(await asked(check(docker_url, "app")), "memory_used_bytes")
    docker.said["/stats"] = 500, b'{"message": "cgroup is gone"}'
    await fails(check(docker_url, "app"), Reason.STATUS, "answered 500", "cgroup is gone")
    assert value(await asked(check(docker_url, "app", stats=False)), "running") == 1
