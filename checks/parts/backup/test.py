"""Tests whether a backup can be read, once for each: by our own readers, else by the program that restores it."""

from __future__ import annotations

import glob
import os
import shutil
import time
import zipfile
from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from checks.base import Errored, Reason, Run
from checks.parts.backup.content import Unreadable
from checks.parts.backup.files import Backup
from checks.parts.backup.reading import Reading
from checks.parts.paths import unreadable
from checks.parts.pool import in_pool
from checks.parts.program import Ended, run_program
from checks.wire.certificates import visible

KEPT, READING = "tested", "reading"
MOST_KEPT = 20
SHARE, SLOWEST = 0.5, 5.0
"""Of the probe's time, and seconds at most, that reading may take: it goes on with the next probe."""
ZIP_END, ZIP_DIRECTORY = 22 + 65535, 32 * 2**20
"""Bytes at the end that say where a zip archive's directory is; how large that may be, which is read into memory."""
DIRECTORY_FORMAT = "toc.dat"


class Verdict(BaseModel):
    """What testing a backup yielded: what is wrong with it, if anything, and how it was tested."""

    model_config = ConfigDict(extra="ignore")

    size: int
    changed: float
    problem: str = ""
    how: str = ""
    known: bool = True


class Step(NamedTuple):
    """What the first bytes say must be done."""

    program: str = ""
    verdict: Verdict | None = None


def programs(folder: str | None) -> dict[str, str]:
    """The environment in which PostgreSQL's programs are found: those in `folder`, else the newest of this machine."""
    versions = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=_version, reverse=True)  # noqa: PTH207
    path = ":".join([folder] if folder else [*versions, "/usr/local/bin", "/usr/bin", "/bin"])
    return {"PATH": f"{path}:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}


def _version(path: str) -> int:
    number = path.split("/")[4]
    return int(number) if number.isdecimal() else 0


async def tested(backup: Backup, run: Run, seconds: float, folder: str | None) -> Verdict | None:
    """The verdict, kept over restarts; None while it is being read. Raises Errored where we can't tell."""
    known = _verdict(run.kept.get(KEPT), backup)
    if known is not None:
        return known
    try:
        step = await in_pool(run, _first_step, backup)
        if step.program == "pg_restore":
            verdict: Verdict | None = await _by_pg_restore(backup, run, seconds, folder)
        elif step.program == "zstd":
            verdict = await _by_zstd(backup, run, seconds)
        else:
            until = time.monotonic() + min(seconds * SHARE, SLOWEST)
            verdict = step.verdict or await in_pool(run, _read_on, _reading(backup, run), backup, until)
    except OSError as why:
        raise unreadable(backup.path, why) from None
    if verdict is not None:
        run.memory.pop(READING, None)
        kept = run.kept.get(KEPT)
        others = list(kept.items())[1 - MOST_KEPT :] if isinstance(kept, dict) else []
        run.kept[KEPT] = {**dict(others), backup.path: verdict.model_dump()}
    return verdict


def progress(backup: Backup, run: Run) -> float | None:
    """The share of it that was read so far."""
    reading = run.memory.get(READING)
    return reading.at / backup.size if reading is not None and backup.size else None


def _verdict(kept: Any, backup: Backup) -> Verdict | None:
    held = kept.get(backup.path) if isinstance(kept, dict) else None
    try:
        verdict = Verdict.model_validate(held)
    except ValidationError:
        return None
    return verdict if [verdict.size, verdict.changed] == backup.stamp else None


def _reading(backup: Backup, run: Run) -> Reading:
    """Where reading was left, if it is still the same file."""
    before = run.memory.get(READING)
    if before is None or (before.path, before.size) != (backup.path, backup.size):
        before = run.memory[READING] = Reading(backup.path, backup.size)
    # A probe that was cut off may still be reading with it: go on with one of our own.
    reading: Reading = before if not before.busy else Reading(backup.path, backup.size)
    run.memory[READING] = reading
    return reading


def _judged(backup: Backup, problem: str, how: str, known: bool = True) -> Verdict:
    return Verdict(size=backup.size, changed=backup.changed, problem=problem, how=how, known=known)


def _first_step(backup: Backup) -> Step:
    if backup.folder:
        if os.path.exists(os.path.join(backup.path, DIRECTORY_FORMAT)):  # noqa: PTH110, PTH118 - a name as it is
            return Step("pg_restore")
        return Step(verdict=_judged(backup, "", "a folder of unknown content, not tested", known=False))
    with open(backup.path, "rb") as stream:
        head = stream.read(16)
    if head.startswith(b"PGDMP"):
        return Step("pg_restore")
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return Step("zstd")
    if head.startswith(b"PK\x03\x04"):
        return Step(verdict=_zip(backup))
    return Step()


def _zip(backup: Backup) -> Verdict:
    with open(backup.path, "rb") as stream:
        stream.seek(max(0, backup.size - ZIP_END))
        end = stream.read(ZIP_END)
    record = end[end.rfind(b"PK\x05\x06") :]
    if int.from_bytes(record[12:16], "little") > ZIP_DIRECTORY:
        return _judged(backup, "", "zip, not tested: its directory is too large", known=False)
    try:
        with zipfile.ZipFile(backup.path) as archive:
            return _judged(backup, "", f"zip, the directory of its {len(archive.infolist())} files")
    except (zipfile.BadZipFile, ValueError, EOFError) as why:
        return _judged(backup, f"the zip archive is damaged: {visible(str(why), 200)}", "zip")


def _read_on(reading: Reading, backup: Backup, until: float) -> Verdict | None:
    reading.busy = True
    try:
        if not reading.go_on(until):
            return None
        return _judged(backup, "", f"read to its end: {reading}", reading.known)
    except Unreadable as why:
        return _judged(backup, str(why), f"read as far as it goes: {reading}")
    finally:
        reading.busy = False


async def _by_pg_restore(backup: Backup, run: Run, seconds: float, folder: str | None) -> Verdict:
    """First the table of contents, which is quick; then all of it, as far as there is time."""
    contents = await _pg_restore(backup, run, seconds / 3, folder, ["--list"])
    if contents.code:
        return _judged(backup, _complaint(backup, contents), "pg_restore --list")
    try:
        whole = await _pg_restore(backup, run, seconds / 2, folder, [])
    except Errored as why:
        if why.reason is not Reason.READ_TIMEOUT:
            raise
        return _judged(backup, "", "only its table of contents: for all of it there was no time; raise timeout")
    return _judged(backup, _complaint(backup, whole) if whole.code else "", "read to its end by pg_restore")


async def _pg_restore(backup: Backup, run: Run, seconds: float, folder: str | None, words: Sequence[str]) -> Ended:
    command = ["pg_restore", *words, "--file=/dev/null", backup.path]
    env = programs(folder)
    if shutil.which("pg_restore", path=env["PATH"]) is None:
        raise Errored(
            Reason.INTERNAL,
            f"cannot test {backup.path}: pg_restore is not installed (postgresql-client); or set verify: false",
        )
    return await run_program(Run(run.memory, run.at), command, env, "/", seconds)


def _complaint(backup: Backup, ended: Ended) -> str:
    """What pg_restore says is wrong. Raises Errored where it is not the backup's fault."""
    said = visible(ended.errors.decode("utf-8", "replace").strip(), 300)
    if "unsupported version" in said or "not built with" in said or "not supported in this" in said:
        raise Errored(Reason.INTERNAL, f"cannot test {backup.path}: our pg_restore is too old for it: {said}")
    if "Permission denied" in said:
        raise Errored(Reason.AUTH, f"cannot test {backup.path}: {said}; give the monitor's user the right to read it")
    if ended.code < 0 or ended.code > 125:
        raise Errored(Reason.INTERNAL, f"cannot test {backup.path}: pg_restore ended with {ended.code}: {said}")
    return said or f"pg_restore ended with {ended.code}"


async def _by_zstd(backup: Backup, run: Run, seconds: float) -> Verdict:
    env = programs(None)
    if shutil.which("zstd", path=env["PATH"]) is None:
        return _judged(backup, "", "zstd, not tested: the program zstd is not installed", known=False)
    command = ["zstd", "--test", "--quiet", "--", backup.path]
    ended = await run_program(Run(run.memory, run.at), command, env, "/", seconds * 0.8)
    said = visible(ended.errors.decode("utf-8", "replace").strip(), 300)
    if "Permission denied" in said:
        raise Errored(Reason.AUTH, f"cannot test {backup.path}: {said}; give the monitor's user the right to read it")
    return _judged(backup, said or f"zstd ended with {ended.code}" if ended.code else "", "zstd --test")
