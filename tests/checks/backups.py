"""Backup files to be looked at, made as the tests want them."""

from __future__ import annotations

import io
import os
import random
import tarfile
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from checks.backup import Backup
from checks.base import Failed, Run
from tests.checks.probing import Memory, asked

DAY = 86_400.0
NOW = datetime(2026, 9, 16, 12, tzinfo=UTC).timestamp()
BEGIN = b"--\n-- PostgreSQL database dump\n--\n"
SQL = BEGIN + b"INSERT INTO t VALUES (1);\n" * 999
DUMP = SQL + b"--\n-- PostgreSQL database dump complete\n--\n"
Pack = Callable[[bytes], bytes]


def put(path: Path, content: bytes = DUMP, age: float = DAY / 2, now: float = NOW) -> Path:
    """A backup that was finished so long ago."""
    path.write_bytes(content)
    os.utime(path, (now - age, now - age))
    return path


def check(folder: Path, pattern: str = "*", **fields: Any) -> Backup:
    return Backup(name="backup", path=str(folder / pattern), **fields)


async def look(folder: Path, memory: Memory | None = None, at: float = NOW, **fields: Any) -> Run:
    return await asked(check(folder, **fields), {} if memory is None else memory, at)


async def refused(folder: Path, *words: str, memory: Memory | None = None, at: float = NOW, **fields: Any) -> Run:
    """A probe that fails, and says so in these words."""
    run = Run({} if memory is None else memory, at)
    with pytest.raises(Failed) as why:
        await check(folder, **fields).probe(run)
    for word in words:
        assert word in why.value.sentence
    return run


def tar(*sizes: int) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        for number, size in enumerate(sizes):
            member = tarfile.TarInfo(f"uploads/{number}.jpg")
            member.size = size
            archive.addfile(member, io.BytesIO(random.Random(size).randbytes(size)))
    return held.getvalue()


def archive_of(**held: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in held.items():
            archive.writestr(name, content)
    return out.getvalue()
