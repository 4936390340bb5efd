"""Backups of PostgreSQL: every format of the real pg_dump, and restores into a real scratch server."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from checks.backup import Backup
from checks.base import KEPT, Errored, Failed, Reason, Run
from checks.parts.backup import test as _backup_test
from monitor.demo.servers import Postgres, Valkey, postgres_tool
from tests.checks.backups import BEGIN, NOW, check, look, put, refused
from tests.checks.probing import Memory, errs, evidence, fails, value
from tests.servers import NewPostgres, NewValkey


@pytest.fixture
def bin_folder() -> str:
    return str(postgres_tool("pg_dump").parent)


async def filled(server: Postgres) -> None:
    connection = await server.connect()
    await connection.execute(
        "CREATE TABLE orders AS SELECT i AS id, md5(i::text) AS note FROM generate_series(1, 20000) AS i"
    )
    await connection.close()


def dump(server: Postgres, path: Path, *words: str, age: float = 3600) -> Path:
    server.tool("pg_dump", f"--dbname={server.dsn}", f"--file={path}", *words)
    if path.is_dir():
        for file in path.iterdir():
            os.utime(file, (NOW - age, NOW - age))
    os.utime(path, (NOW - age, NOW - age))
    return path


@pytest.mark.parametrize("form", ["custom", "plain", "tar", "directory"])
async def test_every_format_of_pg_dump_whole_and_cut(
    new_postgres: NewPostgres, tmp_path: Path, bin_folder: str, form: str
) -> None:
    server = await new_postgres()
    await filled(server)
    folder = tmp_path / "backups"
    folder.mkdir()
    path = dump(server, folder / "shop", f"--format={form}")
    fields: dict[str, Any] = {"postgres_bin": bin_folder}
    assert value(await look(folder, **fields), "readable") == 1
    cut = max(path.iterdir(), key=lambda file: file.stat().st_size) if form == "directory" else path
    put(cut, cut.read_bytes()[: cut.stat().st_size // 2], age=3600)
    os.utime(path, (NOW - 3600, NOW - 3600))
    await refused(folder, "can't be read", **fields)
    if form == "custom":
        put(path, b"PGDMP\x01\xff\xff" + bytes(100), age=3600)
        with pytest.raises(Errored, match="too old for it"):
            await look(folder, **fields)


async def test_without_pg_restore_we_can_not_tell(tmp_path: Path) -> None:
    put(tmp_path / "a", b"PGDMP\x01\x0e\x00")
    empty = tmp_path / "bin"
    empty.mkdir()
    path = {"PATH": str(empty)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_backup_test, "programs", lambda _: path)
        with pytest.raises(Errored, match="pg_restore is not installed"):
            await look(tmp_path, pattern="a")


async def test_a_pg_restore_that_hangs_leaves_nothing(tmp_path: Path) -> None:
    put(tmp_path / "a", b"PGDMP\x01\x0e\x00", now=datetime.now(UTC).timestamp())
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "pg_restore").write_text("#!/bin/sh\ntrap '' TERM; sleep 60\n")
    (programs / "pg_restore").chmod(0o755)
    slow = check(tmp_path, "a", postgres_bin=str(programs), timeout="1500ms")
    await errs(slow, Reason.READ_TIMEOUT, "pg_restore", "did not end")


async def test_a_redis_file_by_its_end_and_its_checksum(new_valkey: NewValkey, tmp_path: Path) -> None:
    server: Valkey = await new_valkey()
    for key in range(200):
        await server.command("SET", f"key{key}", "x" * 100)
    assert await server.command("SAVE") == "+OK"
    content = (server.folder / "dump.rdb").read_bytes()
    folder = tmp_path / "backups"
    folder.mkdir()
    path = put(folder / "dump.rdb", content)
    assert "Redis" in evidence(await look(folder), "Tested")
    put(path, content[:-1], age=3600)
    await refused(folder, "ends in the middle")
    put(path, content[:100] + bytes([content[100] ^ 1]) + content[101:], age=7200)
    await refused(folder, "its checksum does not fit")


@pytest.mark.parametrize("form", ["custom", "plain", "plain.gz", "directory"])
async def test_a_restore_is_tried_when_due_and_leaves_no_database(
    new_postgres: NewPostgres, tmp_path: Path, bin_folder: str, form: str
) -> None:
    server = await new_postgres()
    await filled(server)
    folder = tmp_path / "backups"
    folder.mkdir()
    path = dump(server, folder / "shop", f"--format={form.partition('.')[0]}")
    if form.endswith(".gz"):
        put(path, gzip.compress(path.read_bytes()), age=3600)
    query = {"query": "SELECT count(*) FROM orders", "at_least": 20_000, "dsn": server.dsn}
    fields: dict[str, Any] = {"postgres_bin": bin_folder, "timeout": "60s", "restore": query}
    memory: Memory = {}
    run = await look(folder, memory, **fields)
    assert (value(run, "restored"), value(run, "restored_value")) == (1, 20_000)
    assert value(run, "restore_age_seconds") == 0
    assert await databases(server) == []
    memory = {KEPT: memory[KEPT]}
    run = await look(folder, memory, NOW + 3600, **fields)
    assert value(run, "restore_age_seconds") == 3600, "not due again"
    fields["restore"] = {**query, "at_least": 20_001, "every": "1h"}
    await refused(folder, "the query answers 20000, at least 20001", memory=memory, at=NOW + 7200, **fields)
    assert await databases(server) == []
    run = Run(memory, NOW + 7300)
    with pytest.raises(Failed, match="can't be restored"):
        await check(folder, **fields).probe(run)
    assert value(run, "restore_age_seconds") == 100, "what failed is not tried again until it is due"


async def databases(server: Postgres) -> list[str]:
    connection = await server.connect()
    names = await connection.fetch("SELECT datname FROM pg_database WHERE datname LIKE 'runwatch%'")
    await connection.close()
    return [name for (name,) in names]


async def test_a_dump_makes_psql_run_no_program(new_postgres: NewPostgres, tmp_path: Path, bin_folder: str) -> None:
    server = await new_postgres()
    folder = tmp_path / "backups"
    folder.mkdir()
    marker = tmp_path / "run"
    evil = b"\\! touch %s\nSELECT 1 \\g |touch %s\n;\nCREATE TABLE t();\n" % (
        str(marker).encode(),
        str(marker).encode(),
    )
    put(folder / "a.sql", BEGIN + evil + b"-- PostgreSQL database dump complete\n", age=3600)
    fields: dict[str, Any] = {"postgres_bin": bin_folder, "restore": {"dsn": server.dsn}, "timeout": "30s"}
    run = Run({}, NOW)
    await check(folder, **fields).probe(run)
    assert not marker.exists()
    assert "restricted" in evidence(run, "What psql said")


async def test_a_scratch_server_that_is_away_or_refuses_is_ours(
    new_postgres: NewPostgres, tmp_path: Path, bin_folder: str
) -> None:
    server = await new_postgres()
    connection = await server.connect()
    await connection.execute("CREATE ROLE poor LOGIN PASSWORD 'secret-of-poor'")
    await connection.close()
    put(tmp_path / "a.sql", age=3600, now=datetime.now(UTC).timestamp())

    def into(dsn: str) -> Backup:
        return check(tmp_path, "*.sql", restore={"dsn": dsn}, postgres_bin=bin_folder, timeout="20s")

    await errs(into(server.address_for("poor", "secret-of-poor")), Reason.AUTH, "permission denied", "CREATEDB")
    await errs(into(server.address_for("poor", "wrong")), Reason.AUTH, "cannot try a restore", "password")
    standby = f"{server.dsn}{'&' if '?' in server.dsn else '?'}target_session_attrs=standby"
    await errs(into(standby), Reason.INTERNAL, "cannot try a restore")
    await server.kill()
    await errs(into(server.dsn), Reason.INTERNAL, "cannot try a restore")


async def test_a_query_for_what_the_backup_lacks_is_the_backups_fault(
    new_postgres: NewPostgres, tmp_path: Path, bin_folder: str
) -> None:
    server = await new_postgres()
    put(tmp_path / "a.sql", BEGIN + b"-- PostgreSQL database dump complete\n", 3600, datetime.now(UTC).timestamp())

    def asking(query: str) -> Backup:
        return check(tmp_path, "*.sql", restore={"dsn": server.dsn, "query": query}, postgres_bin=bin_folder)

    await fails(asking("SELECT count(*) FROM orders"), Reason.ASSERTION, 'relation "orders" does not exist')
    await errs(asking("SELECT 'many'"), Reason.INTERNAL, "answers 'many', no number")
    await errs(asking("SELECT FROM WHERE"), Reason.INTERNAL, "syntax error")
    await errs(asking("CREATE TABLE x()"), Reason.INTERNAL, "read-only transaction")
    assert await databases(server) == []


async def test_a_scratch_server_that_goes_away_in_the_middle_is_not_the_backups_fault(
    new_postgres: NewPostgres, tmp_path: Path, bin_folder: str
) -> None:
    server = await new_postgres()
    gone = b"SELECT pg_terminate_backend(pg_backend_pid());\nSELECT 1;\n"
    content = BEGIN + gone + b"-- PostgreSQL database dump complete\n"
    put(tmp_path / "a.sql", content, 3600, datetime.now(UTC).timestamp())
    into = check(tmp_path, "*.sql", restore={"dsn": server.dsn}, postgres_bin=bin_folder)
    await errs(into, Reason.INTERNAL, "cannot try a restore", "terminating connection")
    assert await databases(server) == []


async def test_a_restore_that_takes_too_long_is_ended_and_its_database_dropped(
    new_postgres: NewPostgres, tmp_path: Path, bin_folder: str
) -> None:
    server = await new_postgres()
    slow = BEGIN + b"SELECT pg_sleep(60);\n-- PostgreSQL database dump complete\n"
    put(tmp_path / "a.sql", slow, age=3600, now=datetime.now(UTC).timestamp())
    into = check(tmp_path, "*.sql", restore={"dsn": server.dsn}, postgres_bin=bin_folder, timeout="3s")
    await errs(into, Reason.READ_TIMEOUT, "psql")
    assert await databases(server) == []
