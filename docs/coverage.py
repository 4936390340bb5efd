"""`python -m docs.coverage FOLDER`: what the scenarios have proven, row by row; says what no scenario has shown."""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from alerts.vocabulary import Threshold
from checks.base import Check
from checks.units import parse_duration, show_duration
from docs.markdown import table
from docs.source import ROOT
from monitor.config import Config, load

ROWS = ROOT / "docs/coverage.yaml"
PROVEN = ROOT / "docs/coverage.json"
SYSTEMS = ROOT / "deploy/systems"

_COMMENT = re.compile(r"^\s*#((?: [A-Z]\d\d)+)$")
_NAME = re.compile(r"\bname: *([\w-]+)")
_VARIABLE = re.compile(r"^([A-Z_]+)=(.*)$", re.MULTILINE)

Proof = Mapping[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0 when every row is proven that can be, 1 otherwise; `--write` keeps the proofs for the page."""
    asked = argparse.ArgumentParser(prog="python -m docs.coverage", description=__doc__)
    asked.add_argument("folder", type=Path, help="where the scenarios have written: SCENARIO_RECORDS")
    asked.add_argument("--write", action="store_true", help=f"write {PROVEN.relative_to(ROOT)}")
    wanted = asked.parse_args(arguments)
    proofs = [json.loads(file.read_text()) for file in sorted(wanted.folder.glob("*.json"))]
    proofs = [proof for proof in proofs if proof["system"] in rows()]
    if wanted.write:
        PROVEN.write_text("".join(f"{line}\n" for line in _lines(proofs)), encoding="utf-8")
    problems = untrue(proofs)
    for problem in problems:
        sys.stderr.write(problem + "\n")
    shown = {row_of(proof) for proof in proofs}
    sys.stdout.write(f"coverage: {len(proofs)} scenarios, {len(shown)} rows, {len(problems)} problems\n")
    return 1 if problems else 0


def _lines(proofs: Sequence[Proof]) -> Iterator[str]:
    lines = [json.dumps({**proof, "seconds": _whole(proof["seconds"])}) for proof in proofs]
    yield "["
    yield ",\n".join(lines)
    yield "]"


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)


def row_of(proof: Proof) -> str:
    """The row that a proof is about."""
    return str(proof["fault"]).partition(".")[0]


@cache
def rows() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """By system and id: `fault`, and `feature` or `not_yet`."""
    found: Mapping[str, Mapping[str, Mapping[str, Any]]] = yaml.safe_load(ROWS.read_text(encoding="utf-8"))
    return found


def carried(system: str) -> dict[str, list[str]]:
    """The checks that say of themselves, in the comment above them, that they carry a row."""
    found: dict[str, list[str]] = {}
    wanted: list[str] = []
    for line in (SYSTEMS / system / "system.yaml").read_text(encoding="utf-8").splitlines():
        if comment := _COMMENT.match(line):
            wanted += comment[1].split()
        elif wanted and (named := _NAME.search(line)):
            for row in wanted:
                found.setdefault(row, []).append(named[1])
            wanted = []
    return found


@cache
def configuration(system: str) -> Config:
    """The system's file with the variables of its example."""
    folder = SYSTEMS / system
    variables = dict(_VARIABLE.findall((folder / ".env.example").read_text(encoding="utf-8")))
    return load(folder / "system.yaml", variables)


def thresholds(system: str) -> dict[tuple[str, str, str], Threshold]:
    """By check, alert and severity word."""
    found = configuration(system).thresholds.items()
    return {(key.partition("/")[2], one.alert, one.severity_word): one for key, group in found for one in group}


def at_worst(check: Check, threshold: Threshold) -> float:
    """Seconds to the page of a fault that any probe shows, in the worst phase of the check's interval."""
    if check.fed:
        return 0.0
    said, hold = threshold.when.text, threshold.hold
    again = check.retries * check.retry_interval if said in ("failed", "error") else 0.0
    # The probe that is due just when the hold is over may be judged a moment before, if it is answered at once.
    at_once = not again and not said.startswith("duration_seconds >")
    beats = hold // check.interval + 1 if hold and at_once else math.ceil((hold - again) / check.interval)
    return check.interval * (1 + max(0, beats)) + again


def untrue(proofs: Sequence[Proof]) -> list[str]:
    """What is missing or wrong, a sentence each: rows without a scenario, scenarios of what is not configured.

    And those that want a page sooner than its check can always bring it, which pass now and then.
    """
    problems = []
    shown = {(proof["system"], row_of(proof)) for proof in proofs}
    for system, known in rows().items():
        claimed = carried(system)
        problems += [f"{system}: system.yaml names {row}, which is no row" for row in claimed.keys() - known.keys()]
        for row, about in known.items():
            if "not_yet" in about:
                continue
            if (system, row) not in shown:
                problems.append(f"{system}: no scenario shows {row}: {about['fault']}")
            if "feature" not in about and row not in claimed:
                problems.append(f"{system}: no check in system.yaml says that it carries {row}")
        there = thresholds(system)
        for proof in proofs:
            key = (proof["check"], proof["alert"], proof["severity"])
            if proof["system"] != system or not proof["check"]:
                continue
            if key not in there:
                problems.append(f"{system}: there is no {' '.join(key)}, which the scenario of {proof['fault']} shows")
                continue
            longest = at_worst(configuration(system).checks[f"{system}/{proof['check']}"], there[key])
            if parse_duration(proof["within"]) <= longest:
                problems.append(
                    f"{system}: {proof['fault']} wants {proof['alert']} within {proof['within']}, which can take over "
                    f"{show_duration(longest)}"
                )
    return problems


def part(name: str) -> str:
    """The table of a system, or of what is not done yet."""
    if name == "not-yet":
        missing = [(row, about["fault"], system.title(), about["not_yet"]) for system, known in rows().items()
                   for row, about in known.items() if "not_yet" in about]  # fmt: skip
        return table(("Row", "Fault", "System", "Waits for"), missing)
    proofs = [proof for proof in json.loads(PROVEN.read_text(encoding="utf-8")) if proof["system"] == name]
    there = thresholds(name) if proofs else {}
    lines = []
    for row, about in rows()[name].items():
        of_row = [proof for proof in proofs if row_of(proof) == row]
        for number, proof in enumerate(of_row):
            first = (row, about["fault"]) if number == 0 else ("", "")
            lines.append((*first, *_cells(proof, there)))
    return table(("Row", "Fault", "Broken in the scenario", "Check", "Alert and threshold", "Severity", "Page"), lines)


def _cells(proof: Proof, there: Mapping[tuple[str, str, str], Threshold]) -> tuple[str, str, str, str, str]:
    took = "" if proof["seconds"] is None else show_duration(proof["seconds"])
    took += f" (limit {proof['within']})" if took and proof["within"] else ""
    if not proof["check"]:
        return proof["what"], "", proof["alert"], proof["severity"], took
    threshold = there[proof["check"], proof["alert"], proof["severity"]]
    hold = f" for {show_duration(threshold.hold)}" if threshold.hold else ""
    return (
        proof["what"],
        f"`{proof['check']}`",
        f"{proof['alert']}: `{threshold.when.text}`{hold}",
        proof["severity"],
        took,
    )


if __name__ == "__main__":
    sys.exit(main())
