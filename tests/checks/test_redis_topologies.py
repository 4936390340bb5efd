"""The redis kind where there is more than one server: Sentinels and clusters, whole and in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import ValidationError

from checks.base import Reason
from checks.parts.redis.cluster import down, read_nodes, worth_asking
from checks.parts.redis.sentinel import View, elected
from checks.redis import Redis
from monitor.demo.ports import free_port
from monitor.demo.servers import Valkey
from tests.checks.probing import asked, errs, evidence, fails, result_of, value, values
from tests.checks.redis_servers import cluster_of, sentinels_of
from tests.servers import NewValkey


@pytest_asyncio.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


def behind(*sentinels: Valkey | str, name: str = "primary", **more: Any) -> Redis:
    addresses = [each if isinstance(each, str) else each.address for each in sentinels]
    return Redis(name="cache", url=f"redis://{name}", sentinel={"addresses": addresses}, **{"timeout": "4s"} | more)


async def test_sentinels_tell_the_master_and_its_numbers_follow_it_over_a_failover(
    stack: AsyncExitStack, tmp_path: Path, new_valkey: NewValkey
) -> None:
    primary = await new_valkey(repl_diskless_sync_delay="0")
    replica = await new_valkey(replicaof=f"127.0.0.1 {primary.port}")
    sentinels = await sentinels_of(stack, tmp_path, primary, 3, 2)
    check, memory = behind(*sentinels), dict[Any, Any]()
    async with asyncio.timeout(15):
        while value(run := await asked(check, memory), "sentinel_replicas") < 1:
            await replica.command("WAIT", "1", "50")
    assert value(run, "master") == value(run, "sentinels_agree") == value(run, "sentinel_quorum_ok") == 1
    assert value(run, "sentinels_answering") == value(run, "sentinels_known") == 3
    assert value(run, "sentinel_quorum") == 2
    assert value(run, "sentinels_see_master_down") == 0
    assert not run.evidences
    epoch = value(run, "sentinel_epoch")
    for _ in range(50):
        await primary.command("SET", "key", "value")
    await asked(check, memory)
    await primary.kill()
    async with asyncio.timeout(20):
        while True:
            result = await result_of(check, memory)
            if result.outcome == "ok":
                break
            assert result.outcome == "failed"
            assert result.reason in (Reason.CONNECT_REFUSED, Reason.ASSERTION)
            await replica.command("WAIT", "1", "100")
    assert value(result, "master") == 1
    assert value(result, "sentinel_epoch") > epoch
    # The new master counts its own commands: no difference to the old one's is taken.
    assert not values(result, "evictions_per_second")
    assert value(await asked(check, memory), "evictions_per_second") == 0


async def test_lost_sentinels_are_counted_and_the_quorum_with_them(
    stack: AsyncExitStack, tmp_path: Path, new_valkey: NewValkey
) -> None:
    primary = await new_valkey()
    sentinels = await sentinels_of(stack, tmp_path, primary, 3, 2)
    check = behind(*sentinels)
    await sentinels[1].kill()
    sentinels[2].freeze()
    async with asyncio.timeout(15):
        while value(run := await asked(check), "sentinel_quorum_ok"):
            await primary.command("WAIT", "1", "50")
    assert value(run, "sentinels_answering") == 1
    assert "NOQUORUM" in evidence(run, "Sentinels")
    assert f"nobody listens at {sentinels[1].address}" in evidence(run, "Sentinels") or "refused" in evidence(
        run, "Sentinels"
    )
    await sentinels[0].kill()
    sentinels[2].thaw()
    await sentinels[2].kill()
    await fails(check, Reason.CONNECT_REFUSED, "cannot find the master 'primary': no Sentinel tells: ")


async def test_a_name_that_no_sentinel_knows_is_ours_unless_it_was_known(
    stack: AsyncExitStack, tmp_path: Path, new_valkey: NewValkey
) -> None:
    [sentinel] = await sentinels_of(stack, tmp_path, await new_valkey(), 1, 1)
    memory: dict[Any, Any] = {}
    await errs(behind(sentinel, name="Primery"), Reason.ASSERTION, "'Primery': no Sentinel knows it; is that its name?")
    await asked(behind(sentinel), memory)
    await sentinel.command("SENTINEL", "REMOVE", "primary")
    await fails(behind(sentinel), Reason.ASSERTION, "knew it, and know it no more", memory=memory)


async def test_a_master_that_is_a_replica_has_failed(
    stack: AsyncExitStack, tmp_path: Path, new_valkey: NewValkey
) -> None:
    primary = await new_valkey()
    [sentinel] = await sentinels_of(stack, tmp_path, primary, 1, 1)
    await primary.command("REPLICAOF", "127.0.0.1", str(free_port()))
    await fails(behind(sentinel), Reason.ASSERTION, "master, but it says that it is a slave")


async def test_sentinels_have_passwords_of_their_own(
    stack: AsyncExitStack, tmp_path: Path, new_valkey: NewValkey
) -> None:
    primary = await new_valkey()
    [sentinel] = await sentinels_of(stack, tmp_path, primary, 1, 1)
    await sentinel.command("ACL", "SETUSER", "looker", "on", ">s3same", "+ping")
    await sentinel.command("ACL", "SETUSER", "default", ">other")

    def with_login(user: str, password: str) -> Redis:
        login = {"addresses": [sentinel.address], "user": user, "password": password}
        return Redis(name="cache", url="redis://primary", sentinel=login)

    await errs(behind(sentinel), Reason.AUTH, "cannot ask Sentinel at", "it wants a password")
    await errs(with_login("looker", "wr0ng"), Reason.AUTH, "does not let us in")
    result = await errs(with_login("looker", "s3same"), Reason.AUTH, "as its administrator run: ")
    remedy = result.sentence.partition("<our user> on >… ")[2].split()
    sentinel.password = "other"
    await sentinel.command("ACL", "SETUSER", "looker", *remedy)
    assert value(await asked(with_login("looker", "s3same")), "master") == 1


async def test_a_sentinel_where_a_server_is_wanted_and_the_other_way_round(
    stack: AsyncExitStack, tmp_path: Path, new_valkey: NewValkey
) -> None:
    primary = await new_valkey()
    [sentinel] = await sentinels_of(stack, tmp_path, primary, 1, 1)
    await errs(Redis(name="cache", url=sentinel.url), Reason.INTERNAL, "is a Sentinel: it belongs under `sentinel`")
    await errs(behind(primary), Reason.PROTOCOL, "knows no SENTINEL, or hides it from us")
    await errs(Redis(name="cache", url=primary.url, cluster=True), Reason.INTERNAL, "is no cluster")


def test_the_newest_view_wins_and_among_equals_the_commonest() -> None:
    def view(host: str, epoch: int) -> View:
        return View("s", host, 6379, epoch, "master", 2, 3, 1, "")

    assert elected([view("old", 1), view("old", 1), view("new", 2)]).host == "new"
    assert elected([view("few", 1), view("many", 1), view("many", 1)]).host == "many"


async def test_every_node_of_a_cluster_is_asked_and_a_dead_one_named(stack: AsyncExitStack, tmp_path: Path) -> None:
    nodes = await cluster_of(stack, tmp_path, 3)
    check, memory = Redis(name="cache", url=nodes[0].url, cluster=True, timeout="4s"), dict[Any, Any]()
    run = await asked(check, memory)
    labels = {(("node", node.address),) for node in nodes}
    for name in ("node_up", "cluster_ok", "memory_used_bytes", "ping_seconds", "slowlog_length"):
        assert set(values(run, name)) == labels, name
    assert set(values(run, "node_up").values()) == set(values(run, "cluster_ok").values()) == {1.0}
    assert value(run, "cluster_slots_ok") == value(run, "cluster_slots_assigned") == 16384
    assert value(run, "cluster_nodes") == value(run, "cluster_masters") == 3
    assert value(run, "cluster_masters_without_replica") == 3
    assert value(run, "cluster_nodes_failing") == 0
    assert set(values(await asked(check, memory), "evictions_per_second")) == labels
    await nodes[0].kill()
    result = await result_of(check, memory)
    assert result.outcome == "ok", "a node that was remembered tells, and the cluster has not noticed yet"
    assert value(result, "node_up", node=nodes[0].address) == 0
    assert nodes[0].address in evidence(result, "nodes that do not tell")
    async with asyncio.timeout(15):
        while (result := await result_of(check, memory)).outcome == "ok":
            await nodes[1].command("WAIT", "1", "50")
    assert (result.outcome, result.reason) == ("failed", Reason.ASSERTION)
    assert "serves nobody: its state is fail: 5461 of 16384 slots have no node" in result.sentence
    assert nodes[0].address in result.sentence


async def test_a_cluster_of_which_nobody_tells_has_failed(new_valkey: NewValkey, stack: AsyncExitStack) -> None:
    gone = f"127.0.0.1:{free_port()}"
    check = Redis(name="cache", url=f"redis://{gone}", cluster={"addresses": [f"127.0.0.1:{free_port()}"]})
    await fails(check, Reason.CONNECT_REFUSED, gone)


def test_nodes_are_read_in_the_forms_of_all_versions() -> None:
    text = (
        "a 10.0.0.1:7000@17000,one.example,shard-id=x myself,master - 0 0 1 connected 0-5460 [1->-b]\n"
        "b 10.0.0.2:7000@17000 master,fail? - 0 0 2 connected 5461-10922 10930\n"
        "c 10.0.0.3:7000 slave b 0 0 2 disconnected\n"
        "d :0@0 master,noaddr,fail - 0 0 3 disconnected 1-0 x-y 99999999999999\n"
        "e [::1]:7000@17000,? slave a 0 0 1 connected\n"
        "\nnonsense\nf nowhere master - 0 0 1 connected\n"
    )
    nodes = read_nodes(text)
    assert [node.id for node in nodes] == list("abcde")
    assert [node.host for node in nodes[:3]] == ["one.example", "10.0.0.2", "10.0.0.3"]
    assert [node.slots for node in nodes] == [5461, 5463, 0, 0, 0]
    assert [node.failing for node in nodes] == [False, True, True, True, False]
    assert [node.id for node in worth_asking(nodes, 3)] == ["b", "c"]
    assert read_nodes(None) == read_nodes(["x"]) == []
    assert down({"cluster_state": "ok"}, nodes) == ""
    assert down({}, []) == "its state is unknown: 16384 of 16384 slots have no node"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"sentinel": {"addresses": []}}, "at least 1 item"),
        ({"sentinel": {"addresses": ["http://x"]}}, "an address such as host:port"),
        ({"sentinel": {"addresses": ["redis://:pw@x"]}}, "no user and no password stand here"),
        ({"sentinel": {"addresses": ["x"]}, "cluster": True}, "set one of `sentinel` and `cluster`"),
        ({"cluster": True, "url": "redis://x/1"}, "no databases but 0"),
        ({"cluster": {"nodes": 0}}, "greater than or equal to 1"),
        ({"url": "redis://x/nine"}, "is no number of a database"),
    ],
)
def test_what_can_not_be_is_refused_when_it_is_read(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Redis(**{"name": "cache", "url": "redis://primary"} | fields)
