"""The redis kind beside the real redis_exporter, on the same server: the same names mean the same numbers, for less."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import pytest_asyncio

from checks.redis import Redis
from monitor.demo.ports import free_port
from monitor.demo.servers import Server, Valkey
from tests.checks.probing import asked
from tests.checks.redis_servers import NewRedis
from tests.skips import missing

PROGRAM = shutil.which("prometheus-redis-exporter")

GROWS = {
    # Families that asking itself moves, and by how much at the most: they are read one after the other.
    "redis_commands_processed_total": 20, "redis_connections_received_total": 2, "redis_uptime_in_seconds": 5,
    "redis_memory_used_bytes": 500_000, "redis_memory_used_rss_bytes": 10_000_000, "redis_slowlog_length": 20,
    "redis_mem_fragmentation_ratio": 10, "redis_master_last_io_seconds_ago": 5,
}  # fmt: skip


NEWER = frozenset({"redis_max_clients"})
"""Families that the exporter has by now, but not yet in Debian's version."""


class Exporter(Server):
    """The real redis_exporter."""

    title: ClassVar[str] = "redis_exporter"
    watched = ""

    def _command(self) -> list[str]:
        return [str(PROGRAM), "-redis.addr", f"redis://{self.watched}", "-web.listen-address", self.address]

    async def _answers(self) -> bool:
        return bool(await self.families())

    async def families(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """What a scrape shows."""
        try:
            async with aiohttp.ClientSession() as http, http.get(f"http://{self.address}/metrics") as answer:
                lines = (await answer.text()).splitlines()
        except aiohttp.ClientError:
            return {}
        shown = {}
        for line in lines:
            if line.startswith("redis_"):
                series, _, number = line.rpartition(" ")
                name, _, inside = series.rstrip("}").partition("{")
                pairs = (pair.partition("=") for pair in inside.split(",") if pair)
                shown[name, frozenset((key, text.strip('"')) for key, _, text in pairs)] = float(number)
        return shown


@pytest_asyncio.fixture
async def exporter(tmp_path: Path) -> AsyncIterator[Exporter]:
    if PROGRAM is None:
        missing("prometheus-redis-exporter")
    server = Exporter(tmp_path / "exporter")
    yield server
    await server.kill()


async def compared(check: Redis, exporter: Exporter, server: Valkey) -> set[str]:
    """The families that both show, after each of their series was found equal."""
    exporter.watched = server.address
    await exporter.start()
    memory: dict[Any, Any] = {}
    await asked(check, memory)
    run = await asked(check, memory)
    theirs = await exporter.families()
    also = {one.name: one.also for one in check.declared() if one.also}
    shared = set()
    for name, number, labels in run.measurements:
        family = also.get(name)
        if family is None or family in NEWER:
            continue
        labels = tuple(pair for pair in labels if pair[0] != "node")
        assert (family, frozenset(labels)) in theirs, (family, labels)
        other = theirs[family, frozenset(labels)]
        assert abs(other - number) <= GROWS.get(family, 0), (family, labels, number, other)
        shared.add(family)
    return shared


async def test_a_primary_has_the_exporters_numbers(new_redis: NewRedis, exporter: Exporter) -> None:
    server = await new_redis(
        maxmemory="200mb", maxclients="50", appendonly="yes", slowlog_log_slower_than="0", repl_diskless_sync_delay="0"
    )
    replica = await new_redis(replicaof=f"127.0.0.1 {server.port}")
    for key in range(20):
        await server.command("SET", f"key{key}", "x", *(("EX", "1000") if key % 4 else ()))
        await server.command("GET", f"key{key * 2}")
    await server.command("SET", "gone", "x", "PX", "1")
    await server.command("GET", "gone")
    async with asyncio.timeout(10):
        while (await server.command("WAIT", "1", "100")) != ":1":
            await replica.command("PING")
    shared = await compared(Redis(name="cache", url=server.url), exporter, server)
    everywhere = {one.also for one in Redis.measurements if one.also}
    elsewhere = {name for name in everywhere if name.startswith(("redis_cluster_", "redis_master_l"))}
    assert shared == everywhere - elsewhere - NEWER


async def test_a_replica_has_the_exporters_numbers(new_redis: NewRedis, exporter: Exporter) -> None:
    primary = await new_redis(repl_diskless_sync_delay="0")
    replica = await new_redis(replicaof=f"127.0.0.1 {primary.port}")
    async with asyncio.timeout(10):
        while (await primary.command("WAIT", "1", "100")) != ":1":
            await primary.command("SET", "key", "value")
    shared = await compared(Redis(name="cache", url=replica.url), exporter, replica)
    assert {"redis_master_link_up", "redis_master_last_io_seconds_ago"} <= shared


async def test_a_node_of_a_cluster_has_the_exporters_numbers(new_redis: NewRedis, exporter: Exporter) -> None:
    server = await new_redis(cluster_enabled="yes", cluster_port=str(free_port()))
    await server.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
    async with asyncio.timeout(10):
        while await server.command("GET", "key") != "$-1":
            await server.command("WAIT", "1", "50")
    shared = await compared(Redis(name="cache", url=server.url, cluster=True), exporter, server)
    assert {name for name in shared if name.startswith("redis_cluster_")} == {
        "redis_cluster_state", "redis_cluster_size", "redis_cluster_known_nodes", "redis_cluster_slots_assigned",
        "redis_cluster_slots_ok", "redis_cluster_slots_pfail", "redis_cluster_slots_fail",
    }  # fmt: skip


async def test_we_ask_less_than_the_exporter(new_redis: NewRedis, exporter: Exporter) -> None:
    server = await new_redis(slowlog_log_slower_than="0")

    async def commands() -> int:
        return int((await server.command("SLOWLOG", "LEN"))[1:])

    exporter.watched = server.address
    await exporter.start()
    before = await commands()
    await exporter.families()
    between = await commands()
    await asked(Redis(name="cache", url=server.url))
    after = await commands()
    # The exporter's six, our four; each count also finds the one before it.
    assert (between - before - 1, after - between - 1) == (6, 4)
