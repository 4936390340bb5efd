"""`runwatch check` on every kind, each with something real to watch: all ok, then each broken, each with its reason."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from monitor.config.kinds import check_kinds
from tests.system.kinds_estate import CASES, Case, Estate, estate_in

OK, CRITICAL, UNKNOWN = 0, 2, 3


@pytest_asyncio.fixture
async def estate(tmp_path: Path, postgres_template: Path) -> AsyncIterator[Estate]:
    async with estate_in(tmp_path, postgres_template) as made:
        yield made


async def look(folder: Path, cases: dict[str, Case]) -> tuple[int, dict[str, dict[str, Any]]]:
    """What the command says of one check of each kind: its exit code, and a row by kind."""
    checks = [{"name": kind, "kind": kind, "retries": 0, **case.fields} for kind, case in cases.items()]
    file = folder / "runwatch.yaml"
    file.write_text(yaml.safe_dump({"checks": checks}))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "monitor", "check", "-c", str(file), "--json",
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_STATE_HOME": str(folder)},
        cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, complaints = await process.communicate()
    assert said, complaints.decode()
    assert process.returncode is not None
    return process.returncode, {row["kind"]: row for row in json.loads(said)}


def test_every_kind_has_its_case() -> None:
    assert set(CASES) == set(check_kinds().names())


async def test_all_of_them_are_ok(estate: Estate) -> None:
    made = await asyncio.gather(*(make(estate) for make in CASES.values()))
    cases = dict(zip(CASES, made, strict=True))
    code, rows = await look(estate.folder, cases)
    assert {kind: row["sentence"] for kind, row in rows.items() if row["outcome"] != "ok"} == {}
    assert code == OK
    assert set(rows) == set(cases)


@pytest.mark.parametrize("kind", sorted(CASES))
async def test_each_of_them_says_why_when_it_is_broken(estate: Estate, kind: str) -> None:
    case = await CASES[kind](estate)
    await case.breaks()
    code, rows = await look(estate.folder, {kind: case})
    row = rows[kind]
    assert (row["outcome"], row["reason"]) == (case.outcome, case.reason), row["sentence"]
    assert code == (CRITICAL if case.outcome == "failed" else UNKNOWN)
    assert len(row["sentence"]) > 20
