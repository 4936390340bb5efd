"""Fixtures: Debian's Redis (which has TLS), Sentinels and a cluster, from real servers of a test's own."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import ClassVar

import pytest_asyncio
import trustme

from checks.parts.redis.cluster import SLOTS
from monitor.demo.ports import free_port
from monitor.demo.servers import Valkey
from tests.skips import missing

NewRedis = Callable[..., Awaitable["DebianRedis"]]
REDIS = shutil.which("redis-server") or "/usr/bin/redis-server"


class DebianRedis(Valkey):
    """Redis 7.0 as Debian builds it. `tls_port` speaks TLS where the settings say so."""

    title: ClassVar[str] = "Redis"

    def _command(self) -> list[str]:
        return [REDIS, str(self.folder / "valkey.conf")]


class SentinelServer(Valkey):
    """A Sentinel. `settings` are lines of its configuration, which it rewrites."""

    title: ClassVar[str] = "Sentinel"

    def _command(self) -> list[str]:
        return [*super()._command(), "--sentinel"]

    async def _prepare(self) -> None:
        await super()._prepare()
        file = self.folder / "valkey.conf"
        lines = [line for line in file.read_text().splitlines() if not line.startswith("save ")]
        file.write_text("\n".join(lines) + "\n")


@pytest_asyncio.fixture
async def new_redis(tmp_path: Path) -> AsyncIterator[NewRedis]:
    """Starts a Debian Redis of the test's own: `await new_redis(password="", **settings)`."""
    if not Path(REDIS).exists():
        missing("Debian's redis-server")
    async with AsyncExitStack() as stack:
        made: list[DebianRedis] = []

        async def start(*, password: str = "", **settings: str) -> DebianRedis:
            lines = {key.replace("_", "-"): value for key, value in settings.items()}
            made.append(DebianRedis(tmp_path / f"redis{len(made)}", settings=lines, password=password))
            stack.push_async_callback(made[-1].kill)
            await made[-1].start()
            return made[-1]

        yield start


def tls_settings(folder: Path, authority: trustme.CA, *names: str) -> dict[str, str]:
    """Settings of a server that speaks TLS on a port of its own, with a certificate for these names."""
    folder.mkdir(exist_ok=True)
    certificate = authority.issue_cert(*names)
    certificate.private_key_pem.write_to_path(folder / "server.key")
    with (folder / "server.pem").open("wb") as file:
        for part in certificate.cert_chain_pems:
            file.write(part.bytes())
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return {
        "tls_port": str(free_port()), "tls_cert_file": str(folder / "server.pem"),
        "tls_key_file": str(folder / "server.key"), "tls_ca_cert_file": str(folder / "ca.pem"),
    }  # fmt: skip


async def sentinels_of(stack: AsyncExitStack, folder: Path, master: Valkey, count: int, quorum: int) -> list[Valkey]:
    """Sentinels that watch `master` as `primary`, and have found each other."""
    made: list[Valkey] = []
    for number in range(count):
        settings = {"sentinel monitor": f"primary 127.0.0.1 {master.port} {quorum}"}
        settings["sentinel down-after-milliseconds"] = "primary 400"
        server = SentinelServer(folder / f"sentinel{number}", settings=settings)
        stack.push_async_callback(server.kill)
        made.append(await server.start())
    async with asyncio.timeout(10):
        for server in made:
            while not (await server.command("SENTINEL", "CKQUORUM", "primary")).startswith(f"+OK {count} "):
                await server._lives_on()
    return made


async def cluster_of(stack: AsyncExitStack, folder: Path, masters: int) -> list[Valkey]:
    """A cluster of so many masters without replicas, every slot covered."""
    made: list[Valkey] = []
    for number in range(masters):
        settings = {"cluster-enabled": "yes", "cluster-node-timeout": "500", "cluster-port": str(free_port())}
        made.append(Valkey(folder / f"node{number}", settings=settings))
        stack.push_async_callback(made[-1].kill)
        await made[-1].start()
    for number, server in enumerate(made):
        first, end = SLOTS * number // masters, SLOTS * (number + 1) // masters
        await server.command("CLUSTER", "ADDSLOTSRANGE", str(first), str(end - 1))
        await server.command("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        if number:
            await server.command("CLUSTER", "MEET", "127.0.0.1", str(made[0].port), made[0].settings["cluster-port"])
    async with asyncio.timeout(10):
        for server in made:
            while "cluster_state:ok" not in await whole(server, "CLUSTER", "INFO"):
                await server._lives_on()
    return made


async def whole(server: Valkey, *words: str) -> str:
    """All that a server answers with one bulk string."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))
        return (await reader.readexactly(int((await reader.readline())[1:]))).decode()
    finally:
        writer.close()
        await writer.wait_closed()
