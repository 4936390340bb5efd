"""The redis kind's parts against real servers: TLS, rights, keys by sample, what is denied, and the diagnosis."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import trustme

from checks.base import Reason, Run
from checks.parts.redis.diagnosis import costly, summary
from checks.parts.redis.sample import scanned, shape
from checks.redis import Redis
from monitor.demo.servers import Valkey
from tests.checks.probing import asked, errs, evidence, fails, value, values
from tests.checks.redis_servers import NewRedis, tls_settings
from tests.faults import FaultProxy
from tests.servers import NewValkey


def cache(url: str, **fields: Any) -> Redis:
    return Redis(name="cache", url=url, **fields)


async def test_over_tls_both_sides_show_who_they_are(new_redis: NewRedis, tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    settings = tls_settings(tmp_path / "tls", authority, "cache.example", "127.0.0.1")
    await new_redis(**settings, tls_auth_clients="yes")
    url = f"rediss://127.0.0.1:{settings['tls_port']}"
    ours, theirs = tmp_path / "ours.pem", tmp_path / "theirs.pem"
    authority.issue_cert("runwatch").private_key_and_cert_chain_pem.write_to_path(ours)
    stranger.issue_cert("runwatch").private_key_and_cert_chain_pem.write_to_path(theirs)
    trust = {"ca_file": str(tmp_path / "tls" / "ca.pem"), "cert_file": str(ours)}
    run = await asked(cache(url, tls=trust))
    assert value(run, "master") == 1
    assert (run.took or 0) > value(run, "ping_seconds") > 0
    await fails(cache(url), Reason.TLS_HANDSHAKE, "is not trusted")
    await fails(cache(url, tls=trust | {"cert_file": str(theirs)}), Reason.TLS_HANDSHAKE, "alert unknown ca")
    await fails(cache(url, tls={"ca_file": trust["ca_file"]}), Reason.TLS_HANDSHAKE, "client certificate")
    await asked(cache(url, tls=trust | {"server_name": "cache.example"}))
    await fails(cache(url, tls=trust | {"server_name": "other.example"}), Reason.TLS_NAME)
    await fails(cache(url.replace("rediss", "redis")), Reason.PROTOCOL)


async def test_tls_to_a_server_without_it_is_said_so(new_valkey: NewValkey) -> None:
    server = await new_valkey()
    secure = server.url.replace("redis://", "rediss://")
    await fails(cache(secure, timeout="1s"), Reason.TLS_HANDSHAKE, "no TLS handshake from 127.0.0.1")


async def test_keys_without_expiry_are_counted_exactly_by_database(new_valkey: NewValkey) -> None:
    server = await new_valkey()
    for key in range(10):
        await server.command("SET", f"key{key}", "x", *(("EX", "100") if key < 7 else ()))
    run = await asked(cache(server.url))
    assert value(run, "keys_without_expiry", db="db0") == 3
    assert value(run, "keys_without_expiry_ratio", db="db0") == pytest.approx(0.3)


@pytest.mark.parametrize("by_debian", [False, True])
async def test_a_sample_is_of_its_pattern_and_leaves_hit_ratio_as_it_was(
    new_valkey: NewValkey, new_redis: NewRedis, by_debian: bool
) -> None:
    server = await (new_redis() if by_debian else new_valkey())
    for key in range(40):
        await server.command("SET", f"cache:user:{key}", "x", *(("EX", "100") if key % 4 else ()))
        await server.command("SET", f"queue:{key}", "x")
    check = cache(server.url, sample={"match": "cache:*", "size": 1000}, hit_ratio_minimum_lookups=4)
    memory: dict[Any, Any] = {}
    run = await asked(check, memory)
    assert value(run, "sampled_keys") == 40
    assert check.secrets() == ()
    assert value(run, "sampled_without_expiry_ratio") == 0.25
    for key in ("cache:user:1", "absent", "absent", "absent"):
        await server.command("GET", key)
    assert value(await asked(check, memory), "hit_ratio") == 0.25
    assert value(run, "parts_unread") == 0
    diagnosed = Run(memory)
    await check.diagnose(diagnosed)
    assert evidence(diagnosed, "keys without expiry") == "10 cache:user:*"


async def test_a_sample_is_bounded_and_goes_on_where_it_ended(new_valkey: NewValkey) -> None:
    server = await new_valkey()
    for key in range(1500):
        await server.command("SET", f"key{key}", "x")
    check, memory = cache(server.url, sample={"size": 500}), dict[Any, Any]()
    sizes = [value(await asked(check, memory), "sampled_keys") for _ in range(3)]
    assert all(300 <= size <= 1000 for size in sizes), sizes
    assert sum(sizes) >= 1500, "three probes went through all of them"


async def test_the_remedy_grants_all_that_a_sample_and_a_database_need(new_valkey: NewValkey) -> None:
    server = await new_valkey()
    await server.command("ACL", "SETUSER", "runwatch", "on", ">pw", "+ping", "+info", "+select")
    check = cache(f"redis://runwatch:pw@{server.address}/3", sample={})
    run = await asked(check)
    assert value(run, "parts_unread") == 2
    told = evidence(run, "not read")
    remedy = told.rpartition("<our user> ")[2].split()
    assert set(remedy) == {"+ping", "+info", "+select", "~*", "+scan", "+ttl", "+slowlog|len", "+slowlog|get"}
    await server.command("ACL", "SETUSER", "runwatch", *remedy)
    assert value(await asked(check), "parts_unread") == 0
    await errs(cache(f"redis://{server.address}/77"), Reason.INTERNAL, "it has no such database")


async def test_a_service_that_renames_commands_is_read_as_far_as_it_lets_us(new_redis: NewRedis) -> None:
    server = await new_redis(**{"rename_command SLOWLOG": '""', "rename_command CONFIG": '""'})
    run = await asked(cache(server.url))
    assert value(run, "parts_unread") == 1
    assert "cannot read the slow log of Redis at" in evidence(run, "not read")
    assert "ACL" not in evidence(run, "not read"), "no right is missing: the service has no such command"
    assert values(run, "memory_used_bytes")
    hidden = await new_redis(**{"rename_command INFO": '""'})
    await errs(cache(hidden.url), Reason.PROTOCOL, "it knows no INFO, or hides it from us")


async def test_a_server_that_restarts_between_two_questions_has_failed(new_valkey: NewValkey) -> None:
    server = await new_valkey()
    async with FaultProxy("127.0.0.1", server.port) as proxy:
        proxy.cut_after = len(b"+PONG\r\n")
        check = cache(f"redis://{proxy.address}")
        await fails(check, Reason.PROTOCOL, "closed the connection before its answer was complete")
        proxy.cut_after, proxy.blackhole_after = None, len(b"+PONG\r\n")
        await fails(check.model_copy(update={"timeout": 1.0}), Reason.READ_TIMEOUT, "is connected, but does not answer")


async def test_counters_of_another_process_are_no_growth(new_valkey: NewValkey) -> None:
    memory: dict[Any, Any] = {}
    server = await new_valkey(slowlog_log_slower_than="0")
    await asked(cache(server.url), memory)
    await server.kill()
    await server.start()
    for _ in range(50):
        await server.command("NOSUCH")
    run = await asked(cache(server.url), memory)
    assert not values(run, "errors_per_second")
    assert not values(run, "slowlog_new")
    run = await asked(cache(server.url), memory, at=run.at + 1)
    assert value(run, "errors_per_second") == 0
    assert value(run, "slowlog_new") > 0


@pytest.mark.parametrize("name", ["processes", "slow log", "own lookups", "nodes"])
@pytest.mark.parametrize("held", [None, 7, "text", [], {"": 7}, {"": [1]}, {"": [None, None]}])
async def test_whatever_an_older_version_kept_is_no_harm(valkey: Valkey, name: str, held: Any) -> None:
    await asked(cache(valkey.url, sample={}), {"kept": {name: held}})


async def test_the_diagnosis_names_what_a_person_would_look_for(new_valkey: NewValkey) -> None:
    server = await new_valkey(slowlog_log_slower_than="0", maxmemory="50mb", maxmemory_policy="allkeys-lru")
    await server.command("SET", "cache:page:81234", "x" * 100_000)
    await server.command("SET", "session:4fa8c1d2e3b4a5968790", "x")
    await server.command("LPUSH", "mail:a.b@example.com", "x")
    check = cache(server.url)
    run = Run({})
    await check.diagnose(run)
    assert "policy allkeys-lru" in evidence(run, "memory")
    assert "SET took" in evidence(run, "slowest commands")
    assert "INFO" in evidence(run, "commands that take most of the time")
    assert evidence(run, "clients").startswith("1 clients, 0 wait")
    biggest = evidence(run, "biggest of all 3 keys")
    assert "KiB cache:page:*" in biggest.splitlines()[0]
    assert "mail:*" in biggest and "session:*" in biggest
    shown = "\n".join(text for _, text in run.evidences)
    for private in ("81234", "4fa8c1d2", "example.com"):
        assert private not in shown


async def test_the_diagnosis_shows_what_it_may(new_valkey: NewValkey) -> None:
    server = await new_valkey()
    await server.command("ACL", "SETUSER", "runwatch", "on", ">pw", "+ping", "+info")
    run = Run({})
    await cache(f"redis://runwatch:pw@{server.address}").diagnose(run)
    assert {title for title, _ in run.evidences} == {"memory", "commands that take most of the time"}


@pytest.mark.parametrize("size", [1_000, 60_000])
async def test_a_flood_of_fields_is_read_in_bounds(size: int) -> None:
    info = b"redis_version:7\r\n" + b"".join(b"db%d:keys=1,expires=0\r\n" % number for number in range(size))

    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"+PONG\r\n$%d\r\n%s\r\n:0\r\n*0\r\n" % (len(info), info))
        await reader.read()
        writer.close()
        await writer.wait_closed()
        over.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        run = await asked(cache(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        await over.wait()
    assert len(values(run, "keys")) == 64


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("cache:products:12345", "cache:products:*"),
        ("sess:4fa8c1d2e3b4a5968790", "sess:*"),
        ("user/a.b@example.com/cart", "user/*/cart"),
        ("550e8400-e29b-41d4-a716-446655440000:lock", "*:lock"),
        ("plain:words-that-are-rather-long", "plain:words-that-are-rather-long"),
        ("x" * 5000, "x" * 80),
    ],
)
def test_a_key_shows_its_shape_and_not_whose_it_is(key: str, shown: str) -> None:
    assert shape(key) == shown


def test_what_is_no_answer_to_the_diagnosis_is_nothing() -> None:
    assert scanned(["12", ["a", 3, None, "b\ufffd"]]) == ("12", ["a"])
    for strange in (None, "x", [], ["-1", []], ["1", None], ["9" * 30, []], [1, []]):
        assert scanned(strange) is None
    assert costly({"cmdstat_get": "calls=0,usec=5", "cmdstat_x": "calls=q", "other": "calls=1,usec=1"}) == []
    assert summary(None) == summary(7) == []
    assert (
        summary("nonsense\nname=web addr=1.2.3.4:5 flags=b omem=x")[0]
        == "2 clients, 1 wait in a command, at most 0 B unsent"
    )
