"""The costly questions to PostgreSQL: asked on a beat of their own, what they found shown in between."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
from pydantic import BaseModel, ConfigDict, Field

from checks.base import Errored, Measurement, Reason, Run
from checks.parts.postgres.session import Asking
from checks.parts.postgres.wire import Question, Refused
from checks.units import Duration
from checks.wire.fault import WireError

SHOWN_FOR = 3
"""Beats after which what could not be read anew is no longer shown."""
PASSING = frozenset({"57014", "55P03", "40001", "40P01", "XX000", "42P01"})
"""States of a question that may go well the next time: too long, a lock, a table dropped while it was looked at."""

MEASUREMENTS = (
    Measurement(
        "sections_unread", "count",
        "Of statements, tables and disk, as far as they are asked for: how many could not be read when it was due.",
    ),
)  # fmt: skip


class Section(BaseModel):
    """What all sections have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    every: Duration = Field(default=600.0, gt=0, description="Time from one reading to the next.")


class Reader(Protocol):
    """One section: its beat, what it asks, and what it makes of the answer."""

    @property
    def every(self) -> float: ...

    async def read(self, asking: Asking, server: dict[str, Any], found: Run) -> None:
        """Ask; record what is found in `found`, which shares the check's memory. Raises Refused, Errored."""


@dataclass(slots=True)
class _Held:
    """What a section found last, and when; `tried` is when it was last asked."""

    at: float = 0.0
    tried: float | None = None
    found: Run | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Sections:
    """Those that a check asks for, by name."""

    readers: dict[str, Reader] = field(default_factory=dict)
    interval: float = 30.0

    def due(self, run: Run) -> list[str]:
        """Those whose time has come."""
        held = self._held(run)
        return [
            name
            for name, reader in self.readers.items()
            if (tried := held[name].tried) is None or not 0 <= run.at - tried < reader.every - self.interval / 2
        ]

    async def read(self, asking: Asking, server: dict[str, Any], due: list[str], run: Run) -> None:
        """Ask those that are due, then end the transaction. One that fails for now breaks it: the others wait."""
        for name in due:
            held, found = self._held(run)[name], Run(run.memory, run.at)
            cannot = f"cannot read {name} of {asking.server.where}"
            try:
                await self.readers[name].read(asking, server, found)
            except Refused as why:
                if why.ends or why.state not in PASSING:
                    raise
                held.tried, held.why = run.at, asking.server.meaning(why, cannot, run).sentence
                break
            except WireError as why:
                if why.reason != Reason.READ_TIMEOUT:
                    raise
                # The server is well, it has answered before: only this takes longer than the probe may.
                held.tried, held.why = run.at, f"{cannot}: it takes longer than the check's timeout"
                return
            held.at = held.tried = run.at
            held.found, held.why = found, ""
        await asking.end()

    def show(self, run: Run) -> None:
        """Record what all sections found last, and which of them could not be read."""
        if not self.readers:
            return
        unread = []
        for name, reader in self.readers.items():
            held = self._held(run)[name]
            if held.why:
                unread.append(held.why)
            if held.found is not None and run.at - held.at <= SHOWN_FOR * reader.every:
                run.measurements += held.found.measurements
                run.evidences += held.found.evidences
        run.record("sections_unread", len(unread))
        if unread:
            run.evidence("not read", "\n".join(unread))

    def _held(self, run: Run) -> dict[str, _Held]:
        held: dict[str, _Held] = run.memory.setdefault("sections", {})
        for name in self.readers:
            held.setdefault(name, _Held())
        return held


async def one(asking: Asking, text: str, *parameters: str) -> dict[str, Any]:
    """The one JSON object that a query answers; Errored where it answers something else."""
    [answer] = await asking.ask(Question(text, parameters, 1))
    return document(answer.rows, asking.server.where)


def document(rows: list[list[str | None]], where: str) -> dict[str, Any]:
    """The one JSON object in an answer; Errored where there is something else."""
    try:
        [[text]] = rows
        found = orjson.loads(text or "")
        if isinstance(found, dict):
            return found
    except ValueError:
        pass
    raise Errored(
        Reason.INTERNAL, f"cannot ask {where}: it answers something else than was asked for; is it PostgreSQL?"
    )
