"""What the scenarios have proven, for docs/coverage.md: written when SCENARIO_RECORDS names a folder."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = "SCENARIO_RECORDS"


@dataclass(frozen=True)
class Proof:
    """That a fault is told as the runbook wants: who was told what, how soon (seconds), and how soon it had to be.

    `fault` is a row of the coverage table or `row.word`. A row that a feature carries, not a check, has a sentence
    (`what` was shown) and leaves out what it has not.
    """

    system: str
    fault: str
    what: str
    check: str = ""
    alert: str = ""
    severity: str = ""
    limit: str = ""
    to: tuple[str, ...] = ()
    within: str = ""
    seconds: float | None = None


def record(proof: Proof) -> None:
    """Note what a scenario has shown; the last thing that it does."""
    folder = os.environ.get(FOLDER)
    if not folder:
        return
    name = re.sub(r"[^\w.]+", "-", f"{proof.system}-{proof.fault}-{proof.alert or proof.what}")[:120]
    (Path(folder) / f"{name}.json").write_text(json.dumps(asdict(proof)))
