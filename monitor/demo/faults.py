"""What can be broken in an installation, as a table for people: its name, what is done, and which alert pages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from monitor.demo.installation import Installation

PROVEN = (Path(__file__).parent / "shipped" / "coverage.json", Path(__file__).parents[2] / "docs" / "coverage.json")
"""What the scenarios have shown: beside the package when installed, in docs/ of a clone."""


def listed(kind: type[Installation], proven: Iterable[Path] = PROVEN) -> str:
    """A line for each fault."""
    faults, pages = kind.faults(), pages_of(kind, proven)
    lines = [(name, one.sentence, pages.get(name, "")) for name, one in faults.items()]
    widths = [max(len(line[column]) for line in lines) for column in (0, 1)]
    return "\n".join(f"{name:{widths[0]}}  {does:{widths[1]}}  {page}".rstrip() for name, does, page in lines)


def pages_of(kind: type[Installation], proven: Iterable[Path] = PROVEN) -> Mapping[str, str]:
    """The alert that a fault leads to, with its severity: as scenarios have shown it, or as the installation says."""
    found: dict[str, list[str]] = {}
    for proof in _proofs(proven):
        if proof["system"] == kind.name and proof["alert"]:
            found.setdefault(proof["fault"], []).append(f"{proof['alert']} ({proof['severity']})")
    return {**kind.pages, **{name: ", ".join(dict.fromkeys(alerts)) for name, alerts in found.items()}}


def _proofs(proven: Iterable[Path]) -> list[dict[str, str]]:
    for file in proven:
        if file.exists():
            proofs: list[dict[str, str]] = json.loads(file.read_text(encoding="utf-8"))
            return proofs
    return []
