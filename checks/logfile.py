"""Follows a log (files, a container's, the journal), counts what it is told to, and finds what must never be logged."""

from __future__ import annotations

import re
import time as clock
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from checks.base import Asks, Check, Failed, Measurement, Reason, Recommended, Run
from checks.parts.logfile.container import Container, read_container
from checks.parts.logfile.files import Budget, follow, newest_of, tail
from checks.parts.logfile.forbidden import Forbid
from checks.parts.logfile.journal import Journal, read_journal
from checks.parts.logfile.measurements import KEPT, Totals, declared, record_files, record_pattern, remembered
from checks.parts.logfile.patterns import (
    Pattern,
    Rules,
    Tally,
    percentile,
    shorthand,
)
from checks.parts.logfile.records import Cutter, Multiline, Read
from checks.parts.logfile.rotation import Followed, Spot
from checks.parts.logfile.time import Time
from checks.parts.paths import SeveralPaths
from checks.parts.pool import in_pool
from checks.parts.regex import Re2
from checks.units import Duration, Size, show_duration

LAST, ATTEMPTS = "last records", "attempts"
TAIL = 3_000
"""Characters of the end of a file that a diagnosis shows."""
SHARE = 0.5
"""Of the probe's time that reading may take: the rest waits for the next probe."""
SLOWEST = 5.0
"""Seconds that reading takes at most."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} can't name a measurement; write small letters, digits and _")
    return name


class Logfile(Check):
    """Follows a log from where it was left, through rotation and restarts; each record is read once."""

    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("records", "count", "Records (lines, where `multiline` says nothing else) since the last probe."),
        Measurement("records_total", "count", "Records that were read.", counter=True),
        Measurement("read_bytes_total", "bytes", "Bytes that were read.", counter=True),
        Measurement("behind", "bool", "Whether there was more than one probe may read; the rest comes next."),
        Measurement("lag_bytes", "bytes", "Bytes of the files that are still to be read."),
        Measurement("files", "count", "Files that are followed."),
        Measurement("rotations", "count", "Rotations and truncations since the last probe."),
        Measurement("gaps", "count", "Those of them after which the rest of the old file could not be found."),
        Measurement("newest_age_seconds", "seconds", "Age of the newest record, or of the newest change of a file."),
        Measurement("delay_p95_seconds", "seconds", "Time from event to record, which 95 % keep within."),
        Measurement("forbidden", "count", "Records since the last probe that hold what must not be there.", ("what",)),
    )
    recommended: ClassVar[tuple[Recommended, ...]] = (
        Recommended("ForbiddenInLog", "forbidden > 0", "critical", "What was logged once is in every copy and backup."),
        Recommended("LogDelayed", "delay_p95_seconds > 30s", "medium", "Whoever reads the log sees the past.", 300.0),
        Recommended("LogBehind", "behind", "medium", "More is written than is read: raise max_read.", 900.0),
        Recommended("LogLost", "gaps > 0", "low", "A log was replaced before it was read to its end."),
    )

    path: SeveralPaths = Field(
        default=(), description="File, or pattern such as /var/log/app/*.log, or several of them."
    )
    container: Container | None = Field(default=None, description="In place of `path`: a container's output.")
    journal: Journal | None = Field(default=None, description="In place of `path`: systemd's journal.")
    missing: Literal["failed", "ok"] = Field(default="failed", description="What it means that there is no such file.")
    start_at: Literal["end", "beginning"] = Field(
        default="end", description="Where to begin the very first time; files that appear later are read whole."
    )
    format: Literal["text", "json"] = Field(default="text", description="json: each record is an object with fields.")
    level_field: str = Field(default="", description="The field with the level; without it, the usual ones are tried.")
    multiline: Multiline | None = Field(default=None, description="How several lines make one record.")
    time: Time = Field(default=Time(), description="Where a record says when it happened.")
    patterns: dict[
        Annotated[str, AfterValidator(_name)],
        Annotated[Pattern, BeforeValidator(shorthand, json_schema_input_type=str | Pattern)],
    ] = Field(default={}, max_length=50, description="What to count, by name: a regular expression (RE2), or more.")
    exclude: Re2 | None = Field(default=None, description="Records that match this are not counted by any pattern.")
    forbid: Forbid | None = Field(default=None, description="What must never be logged; `{}` for the usual.")
    keep_failing_for: Duration = Field(
        default=900.0, ge=0, description="How long the check fails after something forbidden was logged."
    )
    correlation: Re2 = Field(
        default=r"\breq_[A-Za-z0-9_-]+", description="Ids of requests to show with matching records; empty for none."
    )
    max_read: Size = Field(default=8 * 2**20, ge=2**20, le=2**30, description="Bytes to read in one probe at most.")

    @model_validator(mode="after")
    def _consistent(self) -> Logfile:
        if sum((bool(self.path), self.container is not None, self.journal is not None)) != 1:
            raise ValueError("one of path, container and journal is wanted")
        if self.multiline is not None and not self.path:
            raise ValueError("multiline goes with path: a journal's records are whole, a container gives lines")
        taken = {"duration_seconds", *(one.name for one in type(self).measurements)}
        for name, pattern in self.patterns.items():
            pattern.check_names(self.format == "json" or self.journal is not None)
            for one in declared(name, pattern):
                if one.name in taken:
                    raise ValueError(f"patterns.{name}: there is a measurement named {one.name} already")
                taken.add(one.name)
        return self

    def declared(self) -> tuple[Measurement, ...]:
        """Those of the kind, and what the patterns add."""
        return self.measurements + tuple(one for name, each in self.patterns.items() for one in declared(name, each))

    @property
    def target(self) -> str:
        """What is followed."""
        if self.container is not None:
            return str(self.container)
        return str(self.journal) if self.journal is not None else ", ".join(self.path)

    def asks(self) -> tuple[Asks, ...]:
        """Nobody, it reads files; of a container, its engine two requests."""
        return (Asks(str(self.container.engine), 2, 2),) if self.container is not None else ()

    async def probe(self, run: Run) -> None:
        """Read what is new, count, judge."""
        kept = remembered(run, self.patterns)
        tally = Tally(self._rules(run.at))
        budget = Budget(self.max_read, clock.monotonic() + min(self.timeout * SHARE, SLOWEST))
        failure, modified = None, None
        if not self.path:
            read = await self._read(run, kept.cursor, budget, tally)
            kept.cursor = read.cursor
            run.record("behind", float(read.behind))
        else:
            followed = await in_pool(run, self._follow, kept.files, run.at, budget, tally)
            kept.files = followed.spots
            record_files(run, followed)
            modified = followed.modified
            if followed.missing and self.missing == "failed":
                failure = Failed(Reason.ASSERTION, f"cannot read {followed.missing[0]}: there is no such file")
        self._record(run, kept, tally, modified)
        self._settle(run, kept, self._forbidden(run, kept, tally) or failure)

    async def diagnose(self, run: Run) -> None:
        """The last records of each pattern, and the end of the log."""
        for title, text in run.memory.get(LAST, {}).items():
            run.evidence(title, text)
        if self.path:
            ends = await in_pool(run, self._ends)
            for path, text in ends[:3]:
                run.evidence(f"End of {path}", text)

    def _rules(self, now: float) -> Rules:
        several = len(self.path) > 1 or any(sign in path for path in self.path for sign in "*?[")
        return Rules(
            self.patterns, self.exclude, self.forbid, self.correlation, self.format == "json", self.level_field,
            self.time.reader(now), several,
        )  # fmt: skip

    async def _read(self, run: Run, cursor: str | None, budget: Budget, tally: Tally) -> Read:
        from_end = self.start_at == "end"
        if self.container is not None:
            return await read_container(self.container, run, cursor, from_end, budget, tally, self.timeout)
        assert self.journal is not None
        return await read_journal(self.journal, run, cursor, from_end, budget, tally, self.timeout)

    def _follow(self, spots: list[Spot] | None, at: float, budget: Budget, tally: Tally) -> Followed:
        return follow(self.path, spots, at, self.start_at == "end", Cutter(self.multiline), budget, tally)

    def _ends(self) -> list[tuple[str, str]]:
        """The last lines of the files that changed last, masked."""
        mask = self.forbid or Forbid()
        return [(path, mask.masked(tail(path)).decode("utf-8", "replace")[-TAIL:]) for path in newest_of(self.path, 3)]

    def _record(self, run: Run, kept: Totals, tally: Tally, modified: float | None) -> None:
        span = run.at - kept.at if 0 < kept.at < run.at else None
        kept.at = run.at
        kept.records += tally.records
        kept.bytes += tally.bytes
        run.record("records", tally.records)
        run.record("records_total", kept.records)
        run.record("read_bytes_total", kept.bytes)
        if tally.newest is not None:
            kept.newest = max(kept.newest, tally.newest)
        newest = kept.newest or modified
        if newest is not None:
            run.record("newest_age_seconds", max(0.0, run.at - newest))
        if tally.delays:
            run.record("delay_p95_seconds", percentile(tally.delays, 0.95))
        for name, pattern in self.patterns.items():
            record_pattern(run, name, pattern, tally.found[name], kept, span)
        last = {name: "\n".join(found.last) for name, found in tally.found.items() if found.last}
        if tally.ids:
            last["Correlation ids"] = " ".join(tally.ids)
        for title, text in last.items():
            run.evidence(title, text)
        run.memory.setdefault(LAST, {}).update(last)
        if tally.tail and not self.path:
            run.memory[LAST]["End of the log"] = "\n".join(tally.tail)

    def _forbidden(self, run: Run, kept: Totals, tally: Tally) -> Failed | None:
        """What to say while something was logged that must never be."""
        if self.forbid is None:
            return None
        cards = ["card"] if self.forbid.cards else []
        for what in dict.fromkeys((*self.forbid.words, *cards, *self.forbid.patterns)):
            run.record("forbidden", tally.forbidden[what], what=what)
        if tally.forbidden:
            number, found = sum(tally.forbidden.values()), ", ".join(tally.forbidden)
            kept.forbidden_at = run.at
            kept.forbidden = f"{self.target} holds what must never be logged: {found} ({number} records)"
            run.evidence("Forbidden, masked", "\n".join(tally.forbidden_shown))
            return Failed(Reason.ASSERTION, kept.forbidden)
        since = run.at - kept.forbidden_at
        if kept.forbidden and 0 <= since < self.keep_failing_for:
            return Failed(Reason.ASSERTION, f"{kept.forbidden}, the last {show_duration(since)} ago")
        return None

    def _settle(self, run: Run, kept: Totals, failure: Failed | None) -> None:
        """Keep how far the log was read, and fail.

        A failure is asked again at once, and only the last answer counts: until then the place in the log must not
        move, or what was counted would be lost with the answer.
        """
        attempts = run.memory.pop(ATTEMPTS, 0) + 1
        if failure is not None and attempts <= self.retries:
            run.memory[ATTEMPTS] = attempts
        else:
            run.kept[KEPT] = kept.model_dump()
        if failure is not None:
            raise failure
