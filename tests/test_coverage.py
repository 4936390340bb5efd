"""docs/coverage.md claims no more than scenarios have shown, and the shipped systems leave out no row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from docs import coverage
from docs.source import ROOT

PROOFS: list[dict[str, Any]] = json.loads(coverage.PROVEN.read_text(encoding="utf-8"))
EXCEPTED = {"L10", "R15", "C11", "C14", "W12", "W13", "W17", "D21"}


def test_every_row_has_a_scenario() -> None:
    assert coverage.untrue(PROOFS) == []


def test_only_these_wait() -> None:
    known = {row: about for of_system in coverage.rows().values() for row, about in of_system.items()}
    assert {row for row, about in known.items() if "not_yet" in about} == EXCEPTED
    assert len(known) == 22 + 17 + 14 + 15 + 18


def test_the_page_shows_every_row() -> None:
    page = (ROOT / "docs/coverage.md").read_text(encoding="utf-8")
    assert "127.0.0.1" not in page
    for of_system in coverage.rows().values():
        for row, about in of_system.items():
            assert f"| {row} | {about['fault']} |" in page


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda proofs: proofs[:0], "dakkah: no scenario shows D01"),
        (
            lambda proofs: [proof for proof in proofs if coverage.row_of(proof) != "W09"],
            "iamenu: no scenario shows W09",
        ),
        (lambda proofs: [*proofs, {**proofs[0], "alert": "NoSuch"}], "which the scenario of"),
        (lambda proofs: [*proofs, {**proofs[0], "check": "gone"}], "there is no gone"),
        (
            lambda proofs: [{**proof, "within": "6m"} if proof["fault"] == "W11" else proof for proof in proofs],
            "iamenu: W11 wants ApiErrors within 6m, which can take over 6m",
        ),
        (
            lambda proofs: [
                {**proof, "within": "5m31s"} if proof["fault"] == "C01.testing" else proof for proof in proofs
            ],
            "capliquify: C01.testing wants ApplicationDown within 5m31s, which can take over 5m 31s",
        ),
    ],
)
def test_what_is_missing_is_named(change: Any, sentence: str) -> None:
    alerted = sorted(PROOFS, key=lambda proof: not proof["check"])
    assert any(sentence in problem for problem in coverage.untrue(change(alerted)))


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, proof in enumerate(PROOFS):
        (tmp_path / f"{number}.json").write_text(json.dumps(proof))
    assert coverage.main([str(tmp_path)]) == 0
    (tmp_path / "0.json").unlink()
    lone = [proof for proof in PROOFS if coverage.row_of(proof) == coverage.row_of(PROOFS[0])]
    assert coverage.main([str(tmp_path)]) == (1 if len(lone) == 1 else 0)
    assert "problems" in capsys.readouterr().out
