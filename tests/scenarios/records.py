"""What the scenarios have measured, for docs/coverage.md: written when SCENARIO_RECORDS names a folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.scenarios.watch import Page

FOLDER = "SCENARIO_RECORDS"


def record(system: str, fault: str, page: Page, to: list[str], within: str) -> None:
    """Note who was paged how soon after a fault."""
    if not os.environ.get(FOLDER):
        return
    known = {
        "system": system, "fault": fault, "alert": page.alert.name, "check": page.alert.check.partition("/")[2],
        "severity": page.alert.severity_word, "limit": page.alert.limit, "to": to, "within": within,
        "seconds": round(page.seconds, 1),
    }  # fmt: skip
    file = Path(os.environ[FOLDER]) / f"{system}-{fault}-{page.alert.name}.json"
    file.write_text(json.dumps(known))
