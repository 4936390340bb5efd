"""The journal as a log: real journal files, read by the real journalctl; and programs that only claim to be it."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from checks.base import KEPT, Reason, Run
from checks.logfile import Logfile
from checks.parts.logfile import journal as _log_journal
from checks.parts.logfile.journal import entries
from tests.checks.probing import Memory, asked, errs, evidence, fails, value
from tests.skips import missing

START = 1_788_220_800
WRITERS = ("/lib/systemd/systemd-journal-remote", "/usr/lib/systemd/systemd-journal-remote")


def entry(second: float, message: bytes | str, priority: int = 6, unit: str = "app.service", **fields: str) -> bytes:
    """One entry in systemd's export format: https://systemd.io/JOURNAL_EXPORT_FORMATS/"""
    micros = round((START + second) * 1e6)
    known = {
        "__REALTIME_TIMESTAMP": micros, "__MONOTONIC_TIMESTAMP": micros, "_BOOT_ID": "0" * 31 + "1",
        "PRIORITY": priority, "_SYSTEMD_UNIT": unit, "SYSLOG_IDENTIFIER": "app", **fields,
    }  # fmt: skip
    raw = message.encode() if isinstance(message, str) else message
    lines = b"".join(f"{name}={held}\n".encode() for name, held in known.items())
    return lines + b"MESSAGE\n" + struct.pack("<Q", len(raw)) + raw + b"\n\n"


class JournalFolder:
    """A folder of journal files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer = next((path for path in WRITERS if os.access(path, os.X_OK)), "")
        if not self._writer or not shutil.which("journalctl"):
            missing("systemd-journal-remote and journalctl")

    def write(self, name: str, *held: bytes) -> None:
        """A journal file of these entries."""
        command = [self._writer, "--output", str(self.folder / f"{name}.journal"), "-"]
        subprocess.run(command, input=b"".join(held), check=True, capture_output=True, timeout=20)

    def check(self, **fields: Any) -> Logfile:
        """A check that reads all of it."""
        journal = {"directory": str(self.folder), **fields.pop("journal", {})}
        fields = {"patterns": {"errors": {"level": "error"}, "boom": "boom"}, "start_at": "beginning", **fields}
        return Logfile(name="journal", journal=journal, **fields)


@pytest.fixture
def journal(tmp_path: Path) -> JournalFolder:
    return JournalFolder(tmp_path)


async def test_entries_count_once_by_priority_and_text_and_the_cursor_survives_a_restart(
    journal: JournalFolder,
) -> None:
    journal.write("a", entry(1, "fine"), entry(2, "boom", 3), entry(3, "a trace:\n  boom\n  at x", 4))
    check, memory = journal.check(), Memory()
    first = await asked(check, memory, START + 10)
    assert [value(first, name) for name in ("records", "errors", "boom", "behind")] == [3, 1, 2, 0]
    assert value(first, "newest_age_seconds") == 7
    assert "a trace:\n  boom\n  at x" in evidence(first, "boom")
    memory = {KEPT: memory[KEPT]}
    assert value(await asked(check, memory, START + 20), "records") == 0
    journal.write("b", entry(21, "boom", 2))
    again = await asked(check, memory, START + 30)
    assert (value(again, "records"), value(again, "errors_total")) == (1, 2)


async def test_the_first_time_it_begins_at_the_end(journal: JournalFolder) -> None:
    journal.write("a", entry(1, "boom"))
    check, memory = journal.check(start_at="end"), Memory()
    assert value(await asked(check, memory), "records") == 0
    journal.write("b", entry(2, "boom"))
    assert value(await asked(check, memory), "boom") == 1


@pytest.mark.parametrize(
    ("which", "count"),
    [({"units": ["app.service"]}, 2), ({"units": ["*.timer"]}, 1), ({"priority": "err"}, 1),
     ({"identifiers": ["app"]}, 3), ({"identifiers": ["none"]}, 0), ({"units": ["app.service"], "priority": "err"}, 0)],
)  # fmt: skip
async def test_units_identifiers_and_priority_choose(journal: JournalFolder, which: dict[str, Any], count: int) -> None:
    journal.write("a", entry(1, "x"), entry(2, "y"), entry(3, "z", 3, "night.timer"))
    assert value(await asked(journal.check(journal=which), {}), "records") == count


async def test_messages_that_are_no_text_are_read(journal: JournalFolder) -> None:
    journal.write("a", entry(1, b"boom \xff\x00\x01"), entry(2, b"x" * 200_000 + b"boom"), entry(3, b""))
    run = await asked(journal.check(), {})
    assert (value(run, "records"), value(run, "boom")) == (3, 2)


async def test_messages_in_json_have_fields_and_what_is_forbidden_is_found(journal: JournalFolder) -> None:
    journal.write(
        "a", entry(1, '{"level":"error","service":"shop","password":"hunter2"}'), entry(2, '{"level":"info"}', 3)
    )
    patterns = {"errors": {"level": "error", "labels": ["service"]}}
    check = journal.check(patterns=patterns, format="json", forbid={})
    result = await fails(check, Reason.ASSERTION, "journal", "never be logged: password")
    assert value(result, "errors", service="shop") == 1
    assert "hunter2" not in str(result.evidence)


async def test_delay_is_from_the_source_to_the_journal(journal: JournalFolder) -> None:
    late = str(round((START + 1) * 1e6))
    journal.write("a", entry(46, "x", _SOURCE_REALTIME_TIMESTAMP=late))
    assert value(await asked(journal.check(), {}), "delay_p95_seconds") == 45


async def test_what_is_behind_comes_with_the_next_probe(journal: JournalFolder) -> None:
    journal.write("a", *(entry(number, "boom" + "x" * 40_000) for number in range(60)))
    check, memory, counts = journal.check(max_read="1MiB"), Memory(), []
    for _ in range(4):
        run = await asked(check, memory)
        counts.append((value(run, "records") > 0, value(run, "behind")))
    assert counts == [(True, 1), (True, 1), (True, 0), (False, 0)]
    assert value(run, "boom_total") == 60


async def test_an_entry_that_is_too_large_fails_with_the_way_out(journal: JournalFolder) -> None:
    journal.write("a", entry(1, "x" * 1_200_000))
    await fails(journal.check(max_read="1MiB"), Reason.BODY, "larger than max_read, 1 MiB")


async def test_a_cursor_that_nobody_knows_begins_anew(journal: JournalFolder) -> None:
    journal.write("a", entry(1, "boom"))
    check = journal.check()
    memory: Memory = {KEPT: {"log": {"cursor": "nonsense"}}}
    run = await asked(check, memory)
    assert "no longer knows" in evidence(run, "Begun anew")
    journal.write("b", entry(2, "boom"))
    assert value(await asked(check, memory), "boom") == 1


async def test_a_folder_that_is_not_there_and_one_that_is_empty(tmp_path: Path, journal: JournalFolder) -> None:
    away = journal.check(journal={"directory": str(tmp_path / "none")})
    await fails(away, Reason.PROTOCOL, "cannot read the journal in", "No such file or directory")
    await errs(journal.check(start_at="end"), Reason.INTERNAL, "it is empty for us", "systemd-journal")


async def test_a_file_that_is_no_journal_fails(journal: JournalFolder) -> None:
    (journal.folder / "a.journal").write_bytes(b"x" * 5000)
    file = str(journal.folder / "a.journal")
    check = Logfile(name="x", journal={"files": [file]}, start_at="beginning")
    await fails(check, Reason.PROTOCOL, "cannot read the journal")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
async def test_no_right_to_read_is_ours(journal: JournalFolder, pretend: Any) -> None:
    journal.write("a", entry(1, "boom"))
    (journal.folder / "a.journal").chmod(0o600)
    pretend('exec setpriv --reuid=65534 --regid=65534 --clear-groups /usr/bin/journalctl "$@"')
    for folder in (journal.folder, *journal.folder.parents):
        if folder.stat().st_uid == 0 and folder != Path("/") and folder.is_relative_to("/tmp"):
            folder.chmod(0o755 if folder != Path("/tmp") else 0o1777)
    await errs(journal.check(), Reason.AUTH, "ermission", "usermod -a -G systemd-journal")


@pytest.fixture
def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a shell script in the place of journalctl."""
    folder = tmp_path / "bin"

    def put(script: str) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "journalctl").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "journalctl").chmod(0o755)
        path = {"PATH": f"{folder}:/usr/bin:/bin"}
        monkeypatch.setattr(_log_journal, "ENVIRONMENT", {**_log_journal.ENVIRONMENT, **path})

    return put


CHECK = Logfile(name="journal", journal={}, start_at="beginning", patterns={"boom": "boom"}, timeout="2s")


@pytest.mark.parametrize(
    ("script", "reason", "words"),
    [
        ("echo '{\"x\":1}'", Reason.BODY, "no entry"),
        ("echo '{half'", Reason.BODY, "cannot read the journal"),
        ("echo Segmentation fault >&2; exit 139", Reason.PROTOCOL, "Segmentation fault"),
        ("exit 1", Reason.PROTOCOL, "journalctl failed"),
    ],
)
async def test_a_journalctl_that_answers_strangely_fails(pretend: Any, script: str, reason: Reason, words: str) -> None:
    pretend(script)
    await fails(CHECK, reason, words)


async def test_a_journalctl_that_somebody_kills_is_no_empty_journal(pretend: Any) -> None:
    pretend("kill -9 $$")
    await errs(CHECK, Reason.INTERNAL, "ended by signal 9")


async def test_a_journalctl_that_hangs_is_killed_and_nothing_is_lost(pretend: Any) -> None:
    pretend("trap '' TERM; while :; do sleep 1; done")
    await errs(CHECK, Reason.READ_TIMEOUT, "journalctl", "did not end")


async def test_a_program_that_never_stops_writing_is_ended_when_it_is_enough(pretend: Any) -> None:
    line = '{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1788220800000000","MESSAGE":"boom"}'
    pretend(f"yes '{line}'")
    run = await asked(CHECK.model_copy(update={"max_read": 2**20}), {})
    assert value(run, "boom") == 2**20 // (len(line) + 1)
    assert value(run, "behind") == 1


async def test_without_journalctl_the_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_log_journal, "ENVIRONMENT", {"PATH": "/nonexistent"})
    await errs(CHECK, Reason.INTERNAL, "cannot run journalctl", "no such program")


def test_entries_of_every_shape() -> None:
    lines = [
        b'{"__CURSOR":"1","MESSAGE":[104,105]}',
        b'{"__CURSOR":"2","MESSAGE":["a","b"],"__REALTIME_TIMESTAMP":"x"}',
        b'{"__CURSOR":"3","MESSAGE":null,"__REALTIME_TIMESTAMP":"1000000"}',
        b'{"__CURSOR":"4","MESSAGE":[300]}',
    ]
    found = entries(lines)
    assert found.texts == [b"hi", b"a\nb", b"", b""]
    assert found.arrived == [0, 0, 1, 0]
    assert found.cursor == "4"
    with pytest.raises(ValueError, match="no entry"):
        entries([b"[]"])


async def test_a_diagnosis_shows_the_last_entries(journal: JournalFolder) -> None:
    journal.write("a", entry(1, "first"), entry(2, "the last words"))
    check, memory = journal.check(), Memory()
    await asked(check, memory)
    await asked(check, memory)
    run = Run(memory)
    await check.diagnose(run)
    assert evidence(run, "End of the log") == "first\nthe last words"
