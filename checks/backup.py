"""Watches backups: how old the newest is, whether it shrank, can be read and restored, and what is kept."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, ClassVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

from checks.base import Asks, Check, Failed, Measurement, Reason, Recommended, Run
from checks.parts.backup.files import Backup as File
from checks.parts.backup.files import backups_of, date_expression, disks_of, size_ratio
from checks.parts.backup.restore import Restore, restore
from checks.parts.backup.scheme import Keep
from checks.parts.backup.test import Verdict, progress, tested
from checks.parts.logfile.time import Zone
from checks.parts.paths import AbsolutePath, SeveralPaths
from checks.parts.pool import in_pool
from checks.units import Duration, Share, Size, show_duration, show_size

FIRST, SEEN = "first", "seen"
SHOWN = 7
FUTURE = 3600.0
"""Seconds by which a backup may seem to be made ahead of our clock."""


def _form(form: str) -> str:
    if form:
        date_expression(form)
    return form


class Backup(Check):
    """Watches the files that a backup leaves: fails where the newest is missing, old, small, shrunken or unreadable."""

    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("age_seconds", "seconds", "Age of the newest backup that is finished."),
        Measurement("size_bytes", "bytes", "Its size."),
        Measurement("size_ratio", "ratio", "Its size against the usual: the median of up to seven before it."),
        Measurement("backups", "count", "Finished backups that are there."),
        Measurement("total_bytes", "bytes", "Size of all of them."),
        Measurement("unfinished", "count", "Files that are still being written."),
        Measurement("missing", "count", "Days, weeks, months of `keep` that have no backup.", ("period",)),
        Measurement("surplus", "count", "Days of which there are backups that `keep` would have removed."),
        Measurement("readable", "bool", "Whether the newest can be read; absent until that is known."),
        Measurement("read_ratio", "ratio", "How much of it was read so far to find that out."),
        Measurement("restored", "bool", "Whether the last restore into a scratch database succeeded."),
        Measurement("restore_age_seconds", "seconds", "Time since that restore."),
        Measurement("restore_took_seconds", "seconds", "How long it took."),
        Measurement("restored_value", "number", "What the query answered then."),
    )
    recommended: ClassVar[tuple[Recommended, ...]] = (
        Recommended("BackupMissing", "missing > 0", "high", "A day, a week or a month could not be gone back to."),
        Recommended("BackupShrunk", "size_ratio < 80%", "medium", "Something may no longer be in it."),
        Recommended("BackupsNotPruned", "surplus > 0", "low", "Nobody removes old ones: the disk fills up.", 86400.0),
        Recommended("BackupStuck", "unfinished > 0", "medium", "It is being written for too long.", 14400.0),
    )

    path: SeveralPaths = Field(min_length=1, description="Pattern such as /backups/shop_*.sql.gz, or several of them.")
    date: Annotated[str, AfterValidator(_form)] = Field(
        default="", description="The date in the names, such as %Y%m%d_%H%M%S; without it, when a file was changed."
    )
    zone: Zone = Field(default="UTC", description="Time zone of the dates in the names, and of days.")
    max_age: Duration = Field(default=90000.0, gt=0, description="How old the newest may be; 25h without this.")
    min_size: Size = Field(default=1, ge=0, description="How large it has to be.")
    max_shrink: Share = Field(
        default=0.5, ge=0, le=1, description="By how much it may be smaller than the median of up to seven before it."
    )
    settle: Duration = Field(
        default=60.0, ge=0, description="Time without change after which a file counts as finished."
    )
    keep: Keep | None = Field(default=None, description="How many are kept, by days, weeks and months.")
    verify: bool = Field(
        default=True, description="Whether each new backup is read to its end, once: by our readers, or pg_restore."
    )
    postgres_bin: AbsolutePath | None = Field(
        default=None, description="Folder of pg_restore and psql; without it, the newest that is installed."
    )
    restore: Restore | None = Field(default=None, description="A server to restore into, to see that it can be done.")

    @property
    def target(self) -> str:
        """The patterns."""
        return ", ".join(self.path)

    def asks(self) -> tuple[Asks, ...]:
        """Nobody, it reads files; but a restore that is tried asks its scratch server."""
        if self.restore is None:
            return ()
        return (Asks(str(self.restore.dsn), self.interval / max(self.interval, self.restore.every), what="restores"),)

    async def probe(self, run: Run) -> None:
        """Look at the files, judge the newest, test it."""
        zone = ZoneInfo(self.zone)
        found = await in_pool(run, backups_of, self.path, self.date, zone)
        there = [each for each in found if max(each.made, each.changed) <= run.at + FUTURE]
        finished = self._finished(run, there)
        if not finished:
            waiting = f"; {len(found)} are not finished, or come from the future" if found else ""
            raise Failed(Reason.ASSERTION, f"there is no backup: nothing matches {self.target}{waiting}")
        newest = finished[-1]
        self._record(run, finished)
        run.record("unfinished", len(found) - len(finished))
        run.evidence("Newest backups", "\n".join(_line(each, run.at) for each in found[: -1 - SHOWN : -1]))
        if self.keep is not None:
            # What is being made anew is no hole; where that does not end, `unfinished` says so.
            self._judge_scheme(run, self.keep, there, zone)
        failure = self._wrong(run, newest, finished)
        verdict = await tested(newest, run, self.timeout, self.postgres_bin) if self.verify else None
        if verdict is not None:
            failure = failure or _unreadable(run, newest, verdict)
        elif self.verify and (share := progress(newest, run)) is not None:
            run.record("read_ratio", share)
        if failure is not None:
            raise failure
        if self.restore is not None:
            await restore(self.restore, newest, run, self.key, self.timeout, self.postgres_bin)

    async def diagnose(self, run: Run) -> None:
        """How full the disk is: what most often keeps a backup from being written."""
        for folder, free, size in await in_pool(run, disks_of, self.path):
            share = f"{free / size * 100:.3g} % of {show_size(size)}" if size else "an unknown share"
            run.evidence(f"Disk of {folder}", f"{show_size(free)} free, {share}")

    def _finished(self, run: Run, there: list[File]) -> list[File]:
        """Those that are no longer written."""
        before = run.memory.get(SEEN, {})
        run.memory[SEEN] = {each.path: each.size for each in there[-SHOWN:]}
        return [
            each
            for each in there
            if before.get(each.path, each.size) == each.size and not 0 <= run.at - each.changed < self.settle
        ]

    def _record(self, run: Run, finished: list[File]) -> None:
        newest = finished[-1]
        run.record("age_seconds", max(0.0, run.at - newest.made))
        run.record("size_bytes", newest.size)
        ratio = size_ratio(finished)
        if ratio is not None:
            run.record("size_ratio", ratio)
        run.record("backups", len(finished))
        run.record("total_bytes", sum(each.size for each in finished))

    def _wrong(self, run: Run, newest: File, finished: list[File]) -> Failed | None:
        age, ratio = run.at - newest.made, size_ratio(finished)
        if age > self.max_age:
            said = (
                f"the newest backup is {show_duration(age)} old: {show_duration(age - self.max_age)} "
                f"over the limit of {show_duration(self.max_age)}"
            )
        elif newest.size < self.min_size:
            said = f"the newest backup has {show_size(newest.size)}, at least {show_size(self.min_size)} are expected"
        elif ratio is not None and ratio < 1 - self.max_shrink:
            said = f"the newest backup has {ratio * 100:.3g} % of the usual size, {show_size(newest.size)}"
        else:
            return None
        return Failed(Reason.ASSERTION, f"{said}: {newest.path}")

    def _judge_scheme(self, run: Run, keep: Keep, there: list[File], zone: ZoneInfo) -> None:
        days = {_day(each.made, zone) for each in there}
        today = _day(run.at, zone)
        first = min([*days, _remembered(run, today)])
        run.kept[FIRST] = first.isoformat()
        missing = keep.missing(days, today, first)
        for period, begins in missing.items():
            run.record("missing", len(begins), period=period)
        run.record("surplus", keep.surplus(days, today))
        holes = [f"{period}: {', '.join(map(str, begins[:20]))}" for period, begins in missing.items() if begins]
        if holes:
            run.evidence("Without a backup", "\n".join(holes))


def _unreadable(run: Run, newest: File, verdict: Verdict) -> Failed | None:
    run.evidence("Tested", verdict.problem or verdict.how)
    if verdict.known:
        run.record("read_ratio", 1.0)
        run.record("readable", float(not verdict.problem))
    if verdict.problem:
        return Failed(Reason.BODY, f"the newest backup can't be read: {verdict.problem}: {newest.path}")
    return None


def _remembered(run: Run, today: date) -> date:
    try:
        return date.fromisoformat(run.kept.get(FIRST, ""))
    except (TypeError, ValueError):
        return today


def _day(at: float, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(max(0.0, at), zone).date()


def _line(each: File, now: float) -> str:
    age = now - each.made
    when = f"{show_duration(age)} old" if age >= 0 else f"{show_duration(-age)} in the future"
    return f"{each.path}  {show_size(each.size)}  {when}"
