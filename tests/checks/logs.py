"""A log to be followed: its check with a memory, at times that a test sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from checks.base import KEPT, Run
from checks.logfile import Logfile
from tests.checks.probing import Memory, asked, value

START = 1_788_220_800.0
CARD = "4111 1111 1111 1111"


class Log:
    """A check of one log and its memory; time is what the test says."""

    def __init__(self, path: Path | str, **fields: Any) -> None:
        fields = {"patterns": {"errors": "ERROR"}, "start_at": "beginning", **fields}
        self.check = Logfile(name="log", path=str(path), **fields)
        self.memory: Memory = {}
        self.now = START

    async def ask(self, after: float = 30.0) -> Run:
        """One probe, so many seconds after the last."""
        self.now += after
        return await asked(self.check, self.memory, self.now)

    async def errors(self) -> float:
        """How many new lines hold ERROR."""
        return value(await self.ask(), "errors")

    def restart(self) -> None:
        """Forget all that does not survive a restart."""
        self.memory = {KEPT: self.memory[KEPT]}


def add(path: Path, *lines: str) -> None:
    with path.open("a", encoding="utf-8") as stream:
        stream.write("".join(line + "\n" for line in lines))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "app.log"
    path.touch()
    return path
