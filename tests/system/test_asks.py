"""Each kind says how much a probe asks of whom: as much as goes over the wire, and never less."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from checks import kinds
from checks.base import Check, Run
from tests.system.counting import Counting
from tests.system.kinds_estate import CASES, Estate, estate_in

FURTHER: dict[str, dict[str, Any]] = {
    "postgres": {"statements": {"slow": "1us"}, "tables": {}, "disk": {"size": "10GB"}},
    "redis": {"sample": {}},
    "cloudwatch": {"words": ["password"], "metrics": {"errors": {"namespace": "A", "metric": "B"}}},
    "container": {"containers": ["app"], "stats": False},
    "s3": {"prefix": "pg/%Y", "at_least": 0},
    "sentry": {"outcomes": True},
    "promql": {"query": "", "queries": {"a": "vector(1)", "b": "vector(2)"}},
    "temporal": {"task_queues": [{"name": "shop", "pollers": 0}]},
}
"""Settings with which a kind asks more, or less."""

REDIRECTED = {"journey": 1}
"""Requests that come of a redirect, which nobody counts."""

SILENT = {"host", "heartbeat", "secret_age", "backup", "logfile"}
OTHERWISE = {"command", "icmp", "kubernetes"}
"""Those of which no proxy can count what is asked: a program, packets, what is encrypted."""
SETTINGS: list[tuple[str, dict[str, Any]]] = [
    *((kind, {}) for kind in sorted(CASES)),
    *((kind, FURTHER[kind]) for kind in sorted(FURTHER)),
]
"""Of each kind its case as it is, and one with further settings."""


@pytest_asyncio.fixture
async def estate(tmp_path: Path, postgres_template: Path) -> AsyncIterator[Estate]:
    async with estate_in(tmp_path, postgres_template) as made:
        yield made


def made(kind: str, fields: dict[str, Any]) -> Check:
    return kinds.load("checks", kind, Check).model_validate({"name": "it", "system": "shop", **fields})


async def fill(estate: Estate, kind: str) -> None:
    """Give a target something to be asked about."""
    if kind == "redis":
        server = await estate.valkey()
        await server.command("MSET", *(word for number in range(1000) for word in (f"cart:{number}", "x")))
    if kind == "postgres":
        connection = await (await estate.postgres()).connect()
        await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        await connection.close()


@pytest.mark.parametrize("kind", sorted(SILENT))
async def test_whoever_reads_files_or_waits_asks_nobody(estate: Estate, kind: str) -> None:
    case = await CASES[kind](estate)
    assert made(kind, case.fields).asks() == ()


@pytest.mark.parametrize(
    ("kind", "further"), [one for one in SETTINGS if one[0] not in SILENT | OTHERWISE],
    ids=lambda value: value if isinstance(value, str) else "further" if value else "plain",
)  # fmt: skip
async def test_what_a_kind_says_that_it_asks_is_what_goes_over_the_wire(
    estate: Estate, kind: str, further: dict[str, Any]
) -> None:
    case = await CASES[kind](estate)
    if further:
        await fill(estate, kind)
    asks = made(kind, case.fields | further).asks()
    [what] = {one.what for one in asks}
    async with Counting(what, Path(await estate.short_folder()), udp=kind == "dns") as counting:
        check = made(kind, await counting.instead(case.fields | further))
        memory: dict[Any, Any] = {}
        counted = [await probed(check, memory, at, counting) for at in (time.time(), time.time() + check.interval)]
        assert max(counted) <= sum(one.most for one in asks) + REDIRECTED.get(kind, 0), (counted, asks)
        usual = sum(one.usual for one in asks)
        assert usual / 2 <= sum(counted) / 2 <= usual * 1.5, (counted, asks)
        await check.diagnose(Run(memory))
        assert counting.taken() <= sum(one.diagnosis for one in asks)


async def probed(check: Check, memory: dict[Any, Any], at: float, counting: Counting) -> int:
    await check.probe(Run(memory, at))
    return counting.taken()


async def test_a_ping_sends_what_it_says() -> None:
    check, run = made("icmp", {"host": "127.0.0.1", "count": 2, "gap": "10ms"}), Run()
    await check.probe(run)
    [asks] = check.asks()
    assert (asks.usual, asks.most, asks.what) == (2, 2, "packets")
    assert [value for name, value, _ in run.measurements if name == "sent"] == [2]


@pytest.mark.parametrize("further", [{}, {"cronjobs": True, "nodes": True, "pods": False}])
async def test_a_cluster_is_asked_for_each_sort_of_object(tmp_path: Path, further: dict[str, Any]) -> None:
    from monitor.demo.parts.kubernetes import ApiServer, deployment, pod

    server = ApiServer()
    server.objects["deployments"], server.objects["pods"] = [deployment("api")], [pod("api-5d9-1")]
    async with server:
        authority = server.authority.write(tmp_path / "cluster.pem")
        fields = {"url": server.url, "token": server.token, "namespace": "retail", "tls": {"ca_file": str(authority)}}
        check = made("kubernetes", fields | further)
        await check.probe(Run())
    [asks] = check.asks()
    assert len(server.asked) == asks.usual <= asks.most
