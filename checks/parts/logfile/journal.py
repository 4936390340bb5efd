"""systemd's journal as a log, read by journalctl."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field

from checks.base import Errored, Failed, Reason, Run
from checks.parts.logfile.files import Budget
from checks.parts.logfile.patterns import Tally
from checks.parts.logfile.records import BLOCK, Read, joined
from checks.parts.paths import AbsolutePath
from checks.parts.pool import in_pool
from checks.parts.program import Ended, run_program
from checks.units import show_size
from checks.wire.certificates import visible

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"}
GROUP = "as root run: usermod -a -G systemd-journal USER, for the monitor's user"
DENIED = ("insufficient permissions", "Permission denied", "not seeing messages from other users")
LONGEST_CURSOR = 1_000
SHARE = 0.8
"""Of the probe's time that journalctl may take."""


Word = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f]*$")]


class Journal(BaseModel):
    """Which records of the journal to follow; all of them where nothing is said."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    units: tuple[Word, ...] = Field(default=(), description="Units, such as nginx.service; patterns with * too.")
    identifiers: tuple[Word, ...] = Field(default=(), description="Names under which programs log, such as sshd.")
    priority: Literal["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"] | None = Field(
        default=None, description="The least urgent priority to read."
    )
    directory: AbsolutePath | None = Field(
        default=None, description="Folder of journal files, in place of the system's."
    )
    files: tuple[AbsolutePath, ...] = Field(default=(), description="Journal files, in place of the system's.")

    def __str__(self) -> str:
        which = ", ".join((*self.units, *self.identifiers))
        return f"journal of {which}" if which else f"journal in {self.directory}" if self.directory else "journal"

    @property
    def _where(self) -> list[str]:
        files = [f"--file={file}" for file in self.files]
        return files or ([f"--directory={self.directory}"] if self.directory else [])

    @property
    def _which(self) -> list[str]:
        words = [f"--unit={unit}" for unit in self.units]
        words += [f"--identifier={identifier}" for identifier in self.identifiers]
        return words + ([f"--priority={self.priority}"] if self.priority else [])

    def newest(self) -> list[str]:
        """The command that says where the journal ends."""
        return ["journalctl", "--no-pager", "--output=json", "--lines=0", "--show-cursor", *self._where]

    def after(self, cursor: str | None) -> list[str]:
        """The command that gives what came after the cursor; all there is without one."""
        since = [f"--after-cursor={cursor}"] if cursor else []
        return ["journalctl", "--no-pager", "--output=json", "--all", *since, *self._where, *self._which]


class Entries(NamedTuple):
    """Whole entries: texts, when the journal got each, their fields, and where the last one stands."""

    texts: list[bytes]
    arrived: list[float]
    fields: list[Mapping[str, Any]]
    cursor: str


async def read_journal(
    settings: Journal, run: Run, cursor: str | None, from_end: bool, budget: Budget, tally: Tally, seconds: float
) -> Read:
    """Read on from the cursor into the tally. Raises Failed or Errored where journalctl does not give it."""
    if cursor is not None and not (cursor.isascii() and cursor.isprintable() and 0 < len(cursor) < LONGEST_CURSOR):
        cursor = None
    if cursor is None and from_end:
        return Read(await _newest(settings, run, seconds), False)
    ended = await _journalctl(run, settings.after(cursor), seconds, budget.bytes)
    said = ended.errors.decode("utf-8", "replace")
    if "Failed to seek to cursor" in said:
        run.evidence("Begun anew", f"journalctl no longer knows where it was left: {visible(said, 300)}")
        return Read(await _newest(settings, run, seconds / 2), False)
    behind = len(ended.output) >= budget.bytes
    if not behind:
        _judge(settings, ended)
    try:
        last = await in_pool(run, _count, ended.output, tally)
    except ValueError as why:
        raise Failed(Reason.BODY, f"cannot read the {settings}: {why}") from None
    if behind and not last:
        size = show_size(budget.bytes)
        raise Failed(Reason.BODY, f"cannot read the {settings}: an entry is larger than max_read, {size}")
    return Read(last or cursor or "", behind)


async def _newest(settings: Journal, run: Run, seconds: float) -> str:
    ended = await _journalctl(run, settings.newest(), seconds, 0)
    if ended.errors:
        _judge(settings, ended)
    said = ended.output.decode("utf-8", "replace").strip()
    if not said.startswith("-- cursor: "):
        raise Errored(
            Reason.INTERNAL,
            f"cannot read the {settings}: it is empty for us: journald keeps none here, or we may not see it; {GROUP}",
        )
    return said.removeprefix("-- cursor: ")


async def _journalctl(run: Run, words: Sequence[str], seconds: float, enough: int) -> Ended:
    # What it wrote is not for showing unmasked.
    apart = Run(run.memory, run.at)
    return await run_program(apart, words, ENVIRONMENT, "/", seconds * SHARE, enough=enough)


def _judge(settings: Journal, ended: Ended) -> None:
    said = ended.errors.decode("utf-8", "replace").strip()
    if any(word in said for word in DENIED):
        raise Errored(Reason.AUTH, f"cannot read the {settings}: {visible(said, 200)}; {GROUP}")
    if ended.code < 0:
        raise Errored(Reason.INTERNAL, f"cannot read the {settings}: journalctl was ended by signal {-ended.code}")
    if ended.code:
        raise Failed(Reason.PROTOCOL, f"cannot read the {settings}: {visible(said, 300) or 'journalctl failed'}")


def entries(lines: Sequence[bytes]) -> Entries:
    """The entries of journalctl's JSON lines; ValueError where they are none."""
    texts, arrived, fields, cursor = list[bytes](), list[float](), list[Mapping[str, Any]](), ""
    for line in lines:
        entry = orjson.loads(line)
        if not isinstance(entry, dict) or not isinstance(entry.get("__CURSOR"), str):
            raise ValueError("journalctl gave what is no entry")
        cursor = entry["__CURSOR"]
        texts.append(_text(entry.pop("MESSAGE", None)))
        at = entry.get("__REALTIME_TIMESTAMP")
        arrived.append(int(at) / 1e6 if isinstance(at, str) and at.isdecimal() and len(at) < 20 else 0.0)
        fields.append(entry)
    return Entries(texts, arrived, fields, cursor)


def _text(message: Any) -> bytes:
    """A message: text, bytes as numbers where it is not UTF-8, several of them, or nothing."""
    if isinstance(message, str):
        return message.encode("utf-8", "replace")
    if isinstance(message, list) and message:
        if all(isinstance(one, int) and 0 <= one < 256 for one in message):
            return bytes(message)
        return b"\n".join(map(_text, message[:100]))
    return b""


def _count(output: bytes, tally: Tally) -> str:
    """Count whole entries; where the last of them stands, or "" without any."""
    cursor, at = "", 0
    end = output.rfind(b"\n") + 1
    while at < end:
        until = output.find(b"\n", min(at + BLOCK, end - 1)) + 1 or end
        found = entries([line for line in output[at:until].split(b"\n") if line.startswith(b"{")])
        if found.texts:
            tally.add(joined("", found.texts, found.arrived, found.fields))
            cursor = found.cursor
        at = until
    return cursor
