"""The redis kind against real servers: healthy, loading, full, locked away, frozen, evicting, replicating."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from checks.base import Errored, Failed, Reason, Run
from checks.parts.redis.answers import parse_info, slow_entry
from checks.parts.redis.resp import Refused, Replies, command
from checks.redis import Redis as Check
from checks.wire.fault import WireError
from monitor.demo.servers import Valkey
from tests.faults import FaultProxy
from tests.leaks import held, left_since
from tests.servers import NewValkey


async def ask(url: str, memory: dict[Any, Any] | None = None, **fields: Any) -> Run:
    """One probe of a check with these fields."""
    run = Run({} if memory is None else memory)
    await Check(name="cache", url=url, **fields).probe(run)
    return run


def values(run: Run, name: str) -> list[float]:
    """The measurements of this name."""
    return [item for at, item, _ in run.measurements if at == name]


def value(run: Run, name: str) -> float:
    """The one measurement of this name."""
    [found] = values(run, name)
    return found


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[str]:
    """A server that sends these bytes to whoever asks, whatever he asks, and then hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        for answer in answers:
            writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_healthy_server_yields_its_measurements_as_they_are_declared(valkey: Valkey) -> None:
    memory: dict[Any, Any] = {}
    await ask(valkey.url, memory)
    run = await ask(valkey.url, memory)
    declared = {item.name: set(item.labels) for item in Check.measurements}
    for name, _, labels in run.measurements:
        assert {key for key, _ in labels} == declared[name], name
    on_replicas = {"master_link_up", "master_last_io_seconds", "replica_lag_seconds", "replica_lag_bytes"}
    by_use = {"hit_ratio", "aof_last_write_ok", "memory_used_ratio"} | {name for name in declared if "key" in name}
    elsewhere = {name for name in declared if name.startswith(("cluster_", "sentinel", "node_up", "sampled_"))}
    missing = set(declared) - {name for name, _, _ in run.measurements} - elsewhere
    assert missing == on_replicas | by_use - {name for name in declared if name.endswith("_total")} - elsewhere | {
        "duration_seconds"
    }
    assert value(run, "master") == 1
    assert value(run, "clients_max") > 1000
    assert value(run, "rdb_last_save_ok") == 1
    assert run.took is not None
    assert 0 < run.took < 10


async def test_one_connection_and_four_commands_are_all_it_takes(new_valkey: NewValkey) -> None:
    server = await new_valkey(slowlog_log_slower_than="0")
    before = await server.command("SLOWLOG", "LEN")
    async with FaultProxy("127.0.0.1", server.port) as proxy:
        await ask(f"redis://{proxy.address}")
        assert proxy.accepted == 1
    after = await server.command("SLOWLOG", "LEN")
    assert int(after[1:]) - int(before[1:]) == 4 + 1, "four commands, and the question before"


async def test_memory_without_a_limit_has_no_ratio_and_with_one_keys_are_evicted(new_valkey: NewValkey) -> None:
    server = await new_valkey()
    assert not values(await ask(server.url), "memory_used_ratio")
    memory: dict[Any, Any] = {}
    limited = await new_valkey(maxmemory="3mb", maxmemory_policy="allkeys-random")
    await ask(limited.url, memory)
    for key in range(200):
        assert await limited.command("SET", f"key{key}", "x" * 20_000) == "+OK"
    run = await ask(limited.url, memory)
    assert value(run, "memory_max_bytes") == 3 * 2**20
    assert 0.5 < value(run, "memory_used_ratio") < 1.5
    assert value(run, "evicted_keys_total") > 10
    assert value(run, "evictions_per_second") > 0
    assert 0 < value(run, "keys") < 200
    assert value(run, "keys_expiring") == 0


async def test_hit_ratio_is_of_the_lookups_since_and_waits_for_enough(new_valkey: NewValkey) -> None:
    server = await new_valkey()
    memory: dict[Any, Any] = {}
    await server.command("SET", "there", "1")
    await server.command("GET", "absent")

    async def look(*keys: str) -> list[float]:
        for key in keys:
            await server.command("GET", key)
        return values(await ask(server.url, memory, hit_ratio_minimum_lookups=4), "hit_ratio")

    assert await look() == []
    assert await look("there", "there") == []
    assert await look("there", "absent") == [0.75]
    assert await look("absent", "absent", "absent", "absent") == [0.0]


async def test_slow_commands_are_counted_and_shown_without_their_arguments(new_valkey: NewValkey) -> None:
    server = await new_valkey(slowlog_log_slower_than="0")
    memory: dict[Any, Any] = {}
    await ask(server.url, memory)
    await server.command("SET", "user:token", "sesame")
    run = await ask(server.url, memory, slowlog_entries=20)
    assert value(run, "slowlog_new") >= 1
    assert value(run, "slowlog_length") > value(run, "slowlog_new")
    text = dict(run.evidences)["slow commands"]
    assert " UTC SET took " in text
    assert "sesame" not in text
    assert "token" not in text
    assert not values(await ask(server.url, memory, slowlog_entries=0), "slowlog_length")


async def test_a_replica_tells_of_its_primary_and_the_primary_of_it(new_valkey: NewValkey) -> None:
    primary = await new_valkey(repl_diskless_sync_delay="0")
    replica = await new_valkey(replicaof=f"127.0.0.1 {primary.port}")
    async with asyncio.timeout(10):
        while True:
            run = await ask(replica.url)
            if value(run, "master_link_up"):
                break
            await replica.command("WAIT", "1", "20")
    assert value(run, "master") == 0
    assert value(run, "master_last_io_seconds") >= 0
    async with asyncio.timeout(10):
        while not values(run := await ask(primary.url), "replica_lag_seconds"):
            await primary.command("WAIT", "1", "20")
    assert value(run, "replicas_connected") == 1
    assert value(run, "replica_lag_bytes") >= 0
    port = primary.port
    await primary.kill()
    async with asyncio.timeout(10):
        while value(run := await ask(replica.url), "master_link_up"):
            await replica.command("WAIT", "1", "20")
    labels = next(dict(labels) for name, _, labels in run.measurements if name == "master_link_up")
    assert labels == {"master_host": "127.0.0.1", "master_port": str(port)}


async def test_a_server_that_is_loading_has_failed_and_says_how_far_it_is(new_valkey: NewValkey) -> None:
    server = await new_valkey(save='""')
    for key in range(300):
        await server.command("SET", f"key{key}", "x" * 1000)
    assert await server.command("SAVE") == "+OK"
    await server.stop()
    # Hidden settings of the server's own test suite: 50 ms for each key, and an ear for clients in between.
    server.settings |= {"key-load-delay": "50000", "loading-process-events-interval-bytes": "1024"}
    await server.start(wait=False)
    async with asyncio.timeout(10):
        while True:
            with pytest.raises(Failed) as caught:
                await ask(server.url)
            if caught.value.reason is not Reason.CONNECT_REFUSED:
                break
            await server._lives_on()
    assert caught.value.reason is Reason.PROTOCOL
    assert "is loading its data, " in caught.value.sentence
    assert "% are loaded" in caught.value.sentence


async def test_passwords_missing_wrong_and_right(new_valkey: NewValkey) -> None:
    server = await new_valkey(password="s3sam+e")
    await ask(server.url)
    await ask(server.url.replace("+", "%2B"))
    with pytest.raises(Errored, match="it wants a password: NOAUTH") as without:
        await ask(f"redis://{server.address}")
    with pytest.raises(Errored, match="it does not let us in: WRONGPASS") as wrong:
        await ask(f"redis://:wr0ng@{server.address}")
    assert without.value.reason is wrong.value.reason is Reason.AUTH
    assert "wr0ng" not in wrong.value.sentence
    with pytest.raises(Errored, match="does not let us in"):
        await ask((await new_valkey()).url.replace("redis://", "redis://:needless@"))


async def test_a_user_without_rights_is_our_error_with_the_remedy_that_works(new_valkey: NewValkey) -> None:
    server = await new_valkey()
    await server.command("ACL", "SETUSER", "runwatch", "on", ">pw", "+ping")
    url = f"redis://runwatch:pw@{server.address}"
    with pytest.raises(Errored, match="as its administrator run: ACL SETUSER <our user> ") as caught:
        await ask(url)
    assert caught.value.reason is Reason.AUTH
    await server.command("ACL", "SETUSER", "runwatch", "+info")
    run = await ask(url)
    assert value(run, "parts_unread") == 1
    assert not values(run, "slowlog_length")
    told = dict(run.evidences)["not read"]
    assert "cannot read the slow log of Redis at" in told
    assert caught.value.sentence.partition("run: ")[2] in told
    assert value(await ask(url, slowlog_entries=0), "parts_unread") == 0
    await server.command("ACL", "SETUSER", "runwatch", *caught.value.sentence.partition("<our user> ")[2].split())
    run = await ask(url)
    assert values(run, "slowlog_length")
    assert value(run, "parts_unread") == 0


async def test_a_full_server_has_failed_and_the_sentence_names_its_limit(new_valkey: NewValkey) -> None:
    server = await new_valkey(maxclients="2")
    memory: dict[Any, Any] = {}
    await ask(server.url, memory)
    taken = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
    for reader, writer in taken:
        writer.write(b"PING\r\n")
        assert await reader.readline() == b"+PONG\r\n"
    with pytest.raises(Failed, match=r"max number of clients reached \(maxclients is 2\)") as caught:
        await ask(server.url, memory)
    assert caught.value.reason is Reason.CONNECT_REFUSED
    with pytest.raises(Failed, match="max number of clients"):
        await ask(server.url.replace("redis://", "redis://:pw@"))
    for _, writer in taken:
        writer.close()


async def test_rejected_connections_are_counted(new_valkey: NewValkey) -> None:
    server = await new_valkey(maxclients="1")
    memory: dict[Any, Any] = {}
    await ask(server.url, memory)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"PING\r\n")
    await reader.readline()
    with pytest.raises(Failed):
        await ask(server.url, memory)
    writer.close()
    async with asyncio.timeout(5):
        while True:
            try:
                run = await ask(server.url, memory)
            except Failed:
                continue
            break
    assert value(run, "rejected_connections_new") >= 1


async def test_a_frozen_server_is_a_timeout_that_says_what_was_waited_for(new_valkey: NewValkey) -> None:
    server = await new_valkey()
    await ask(server.url)
    before = held()
    server.freeze()
    with pytest.raises(Failed, match=r"it is connected, but does not answer within 0\.1 s") as caught:
        await ask(server.url, timeout="100ms")
    assert caught.value.reason is Reason.READ_TIMEOUT
    assert not await left_since(before)
    server.thaw()
    await ask(server.url)


@pytest.mark.parametrize("answered", [0, 3, 7, 50, 3000])
async def test_cancelled_anywhere_it_leaves_no_socket_and_no_task(valkey: Valkey, answered: int) -> None:
    # What is opened once and kept does not count.
    await ask(valkey.url)
    async with FaultProxy("127.0.0.1", valkey.port) as proxy:
        proxy.blackhole_after = answered
        before = held()
        probing = asyncio.create_task(ask(f"redis://{proxy.address}"))
        await proxy.until_answered(answered)
        probing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probing
        await proxy.until_open(0)
        assert not await left_since(before)


async def test_nobody_listening_is_refused(new_valkey: NewValkey) -> None:
    server = await new_valkey()
    await server.kill()
    with pytest.raises(Failed) as caught:
        await ask(server.url)
    assert caught.value.reason is Reason.CONNECT_REFUSED


@pytest.mark.parametrize(
    ("answer", "kind", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Failed, "does not speak Redis' protocol"),
        (b"+PONG\r\n$999999999\r\n", Failed, "announces a reply of 999999999 bytes"),
        (b"+PONG\r\n*-7\r\n:1\r\n*0\r\n", Failed, "names no version"),
        (b"+PONG\r\n*999999999\r\n", Failed, "announces 999999999 replies"),
        (b"+PONG\r\n" + b"*1\r\n" * 99, Failed, "does not speak Redis' protocol"),
        (b"+" + b"x" * 5000, Failed, "does not speak Redis' protocol"),
        (b"+PONG\r\n$5\r\nab", Failed, "closed the connection before its answer was complete"),
        (b"+PONG\r\n+OK\r\n:1\r\n*0\r\n", Failed, "names no version"),
        (b"-MISCONF Errors writing to the AOF file\r\n$-1\r\n:1\r\n*0\r\n", Failed, "it answers PING with: MISCONF"),
        (b"-DENIED Redis is running in protected mode\r\n$-1\r\n:0\r\n*0\r\n", Errored, "does not let us in: DENIED"),
        (b"-BUSY Redis is busy running a script\r\n-BUSY x\r\n:0\r\n*0\r\n", Failed, "it answers PING with: BUSY"),
    ],
)
async def test_strange_answers_end_in_a_sentence(answer: bytes, kind: type[Failed | Errored], why: str) -> None:
    async with answering(answer) as url:
        with pytest.raises(kind, match=why):
            await ask(url)


class Pieces:
    """A stream of recorded pieces."""

    sent = arrived = 0.0

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    async def send(self, data: bytes) -> None:
        raise AssertionError(data)

    async def recv(self, most: int = 65536) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


@given(st.binary(max_size=200), st.integers(1, 7))
async def test_any_bytes_in_any_pieces_are_a_reply_or_a_sentence(data: bytes, size: int) -> None:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    try:
        reply = await Replies(Pieces(pieces), "it").next()
    except WireError as why:
        assert why.reason == "protocol"
    else:
        assert reply is None or isinstance(reply, str | int | list)


@given(st.lists(st.text(max_size=30), min_size=1, max_size=5), st.integers(1, 9))
async def test_a_command_reads_back_as_the_array_that_it_is(words: list[str], size: int) -> None:
    data = command(*words)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert await Replies(Pieces(pieces), "it").next() == words


def test_answers_that_are_no_info_and_no_slow_entry_are_nothing() -> None:
    assert parse_info(Refused("NOPERM")) == parse_info(None) == parse_info([1]) == {}
    assert parse_info("# Server\r\nredis_version:7.0\r\n\r\nnonsense\r\n") == {"redis_version": "7.0"}
    for strange in (None, [], [1, 2, 3, []], [1, -5, 3, ["GET"]], ["1", 2, 3, ["GET"]], [1, 10**12, 3, ["GET"]]):
        assert slow_entry(strange) is None
    assert str(slow_entry([7, 0, 2500, ["get", "secret"], "127.0.0.1"])) == "00:00:00 UTC GET took 2.5 ms"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://cache:6379", "an address such as redis://"),
        ("redis://", "names no host"),
        ("redis://cache/0?password=sesame", "write the password before the host"),
    ],
)
def test_an_address_that_is_none_is_refused_when_it_is_read(url: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Check(name="cache", url=url)


def test_the_password_is_masked_wherever_the_check_is_shown() -> None:
    check = Check(name="cache", url="redis://:sesame@cache.example:6380/2")
    assert check.target == "redis://:***@cache.example:6380/2"
    assert "sesame" not in repr(check) + check.model_dump_json()
    assert check.secrets() == ("sesame",)
    escaped = Check(name="escaped", url="redis://:s%40same@cache")
    assert escaped.secrets() == ("s%40same", "s@same")
