"""A PostgreSQL whose clock can be put forward: weeks without a vacuum in a moment."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from monitor.demo.process import NotStarted
from monitor.demo.servers import Postgres


class ClockedPostgres(Postgres):
    """PostgreSQL under libfaketime: its wall clock is `ahead` of the machine's. How long things take stays true.

    Over a stop and a start it goes on as it was.
    """

    def ahead(self, seconds: float) -> None:
        """Have its clock go so far ahead of the machine's from now on; 0 puts it right."""
        file = self._clock.with_suffix(".new")
        file.write_text(f"{seconds:+.0f}\n")
        file.chmod(0o644)
        file.replace(self._clock)

    @property
    def _clock(self) -> Path:
        return self.folder / "clock"

    async def _prepare(self) -> None:
        await super()._prepare()
        if not self._clock.exists():
            self.ahead(0.0)

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


def _library() -> Path:
    spec = importlib.util.find_spec("libfaketime")
    if spec is None or spec.origin is None:
        raise NotStarted(
            "cannot start PostgreSQL with a clock of its own: `pip install libfaketime` brings what it needs"
        )
    return Path(spec.origin).parent / "vendor/libfaketime/src/libfaketime.so.1"
