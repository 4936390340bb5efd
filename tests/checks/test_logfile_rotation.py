"""Logs that are rotated, cut, copied and linked anew: each line counts once."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.base import KEPT
from checks.logfile import Logfile
from checks.parts.logfile.files import Budget, follow
from checks.parts.logfile.patterns import Tally
from checks.parts.logfile.records import BLOCK, Cutter
from checks.parts.logfile.rotation import Spot
from tests.checks.logs import START, Log, add
from tests.checks.probing import evidence, value


def renamed(log: Path) -> None:
    log.rename(log.with_name("app.log.1"))
    log.touch()


def renamed_by_date(log: Path) -> None:
    log.rename(log.with_name("app-20260901.log"))
    log.touch()


def copied_and_cut(log: Path) -> None:
    shutil.copy(log, log.with_name("app.log.1"))
    os.truncate(log, 0)


def linked_anew(log: Path) -> None:
    target = log.with_name("next.log")
    target.touch()
    new = log.with_name("link")
    new.symlink_to(target)
    new.rename(log)


@pytest.mark.parametrize("rotate", [renamed, renamed_by_date, copied_and_cut])
@pytest.mark.parametrize("away", [False, True])
async def test_rotation_loses_no_line_and_repeats_none(log: Path, rotate: Callable[[Path], None], away: bool) -> None:
    follower = Log(log)
    add(log, *(f"line {number}" for number in range(100)), "ERROR 1")
    assert await follower.errors() == 1
    add(log, "ERROR 2")
    rotate(log)
    add(log, "ERROR 3")
    if away:
        follower.restart()
    run = await follower.ask()
    assert value(run, "errors") == 2
    assert (value(run, "rotations"), value(run, "gaps")) == (1, 0)
    add(log, "ERROR 4")
    run = await follower.ask()
    assert (value(run, "errors"), value(run, "rotations")) == (1, 0)
    assert value(run, "errors_total") == 4


async def test_what_is_written_to_a_file_after_it_was_renamed_is_read_too(log: Path) -> None:
    follower = Log(log)
    with log.open("a") as stream:
        stream.write("ERROR 1\n")
        stream.flush()
        assert await follower.errors() == 1
        renamed(log)
        assert await follower.errors() == 0
        stream.write("ERROR 2\nERROR without an end")
        stream.flush()
        assert await follower.errors() == 1
    assert await follower.errors() == 1, "what the old file ends with"
    assert await follower.errors() == 0
    assert len(follower.memory[KEPT]["log"]["files"]) == 1


async def test_two_rotations_while_nobody_looked_are_both_read(log: Path) -> None:
    follower = Log(log)
    add(log, "ERROR 1")
    assert await follower.errors() == 1
    add(log, "ERROR 2")
    log.rename(log.with_name("app.log.2"))
    add(log, "ERROR 3")
    log.rename(log.with_name("app.log.1"))
    os.utime(log.with_name("app.log.2"), (START, START))
    add(log, "ERROR 4")
    (log.parent / "app.log.9").write_text("ERROR of another year\n")
    os.utime(log.parent / "app.log.9", (1, 1))
    (log.parent / "app-2.log").write_text("ERROR of another log\n")
    follower.restart()
    assert await follower.errors() == 3
    assert await follower.errors() == 0


async def test_a_rotated_file_that_was_compressed_at_once_is_a_gap(log: Path) -> None:
    follower = Log(log)
    add(log, "ERROR 1")
    await follower.ask()
    log.with_name("app.log.1.gz").write_bytes(gzip.compress(log.read_bytes()))
    log.unlink()
    add(log, "ERROR 2", "ERROR 3")
    run = await follower.ask()
    assert (value(run, "errors"), value(run, "rotations"), value(run, "gaps")) == (2, 1, 1)
    assert value(await follower.ask(), "gaps") == 0


async def test_a_file_that_was_cut_and_has_outgrown_its_old_size_is_read_anew(log: Path) -> None:
    follower = Log(log)
    add(log, "the same head" * 30, "ERROR 1")
    assert await follower.errors() == 1
    os.truncate(log, 0)
    add(log, "the same head" * 30, *["ERROR of the new one"] * 5)
    run = await follower.ask()
    assert (value(run, "errors"), value(run, "gaps")) == (5, 1)


async def test_the_hole_that_a_cut_leaves_before_a_writer_that_keeps_its_place_costs_nothing(log: Path) -> None:
    follower = Log(log, max_read="1MiB")
    with log.open("w") as stream:
        stream.write("ERROR 1\n")
        stream.flush()
        assert await follower.errors() == 1
        os.truncate(log, 0)
        stream.seek(3 * 2**30)
        stream.write("ERROR 2\n")
        stream.flush()
        run = await follower.ask()
    assert value(run, "errors") == 1
    assert value(run, "lag_bytes") == 0
    assert value(run, "records") == 1


async def test_a_link_that_leads_elsewhere_is_followed_and_the_rest_of_the_old_is_read(tmp_path: Path) -> None:
    first, log = tmp_path / "first.txt", tmp_path / "app.log"
    add(first, "ERROR 1")
    log.symlink_to(first)
    follower = Log(log)
    assert await follower.errors() == 1
    add(first, "ERROR 2")
    linked_anew(log)
    add(log, "ERROR 3")
    run = await follower.ask()
    assert (value(run, "errors"), value(run, "gaps")) == (2, 0)


async def test_a_pattern_follows_several_files_and_rotation_among_them(tmp_path: Path) -> None:
    one, two = tmp_path / "one.log", tmp_path / "two.log"
    add(one, "ERROR in one")
    add(two, "fine")
    (tmp_path / "one.log.3.gz").write_bytes(b"ERROR\n")
    (tmp_path / "folder.log").mkdir()
    follower = Log(tmp_path / "*.log*")
    run = await follower.ask()
    assert (value(run, "errors"), value(run, "files")) == (1, 2)
    assert evidence(run, "errors") == f"{one}: ERROR in one"
    one.rename(tmp_path / "one.log.1")
    add(one, "ERROR in the new one")
    add(tmp_path / "three.log", "ERROR in three")
    run = await follower.ask()
    assert (value(run, "errors"), value(run, "files")) == (2, 4)
    two.unlink()
    assert await follower.errors() == 0


@given(
    st.lists(st.sampled_from(["ERROR\n", "fine\n", "ERROR", "\n", "rotate", "cut", "look"]), max_size=40),
)
def test_whatever_happens_between_two_looks_each_line_is_counted_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    """Against the plainest reference: all that was ever written, in a list."""
    log = tmp_path_factory.mktemp("log") / "app.log"
    log.touch()
    check = Logfile(name="log", path=str(log), patterns={"errors": "ERROR"}, start_at="beginning")
    spots: list[Spot] | None = []
    counted, written, generation = 0, "", 0

    def look() -> None:
        nonlocal spots, counted
        tally = Tally(check._rules(START))
        answer = follow((str(log),), spots, START, False, Cutter(), Budget(2**20, float("inf")), tally)
        spots, counted = answer.spots, counted + tally.found["errors"].counts.total()
        assert answer.gaps == 0

    for step in steps:
        if step in ("rotate", "cut"):
            # A line is written whole before its file is put away.
            log.write_text(log.read_text() + "\n")
            written += "\n"
            generation += 1
            old = log.with_name(f"app.log.{generation}")
            look()
            if step == "rotate":
                log.rename(old)
                log.touch()
            else:
                shutil.copy(log, old)
                os.truncate(log, 0)
            os.utime(old, (START + generation, START + generation))
        elif step == "look":
            look()
        else:
            # Two files with the same content can't be told apart; a real log's lines differ by their time.
            text = f"{len(written)} {step}"
            with log.open("a") as stream:
                stream.write(text)
            written += text
    for _ in range(3):
        look()
    whole = written.rpartition("\n")[0]
    assert counted == sum("ERROR" in line for line in whole.split("\n"))


def test_records_are_cut_alike_whatever_the_size_of_the_pieces() -> None:
    text = b"".join(b"line %d\n" % number for number in range(50_000))
    assert len(text) > BLOCK
    cutter = Cutter()
    whole = cutter.whole(text[:-3], final=False)
    assert text[:whole].endswith(b"line 49998\n")
    assert len(cutter.records("", text[:whole])) == 49_999


async def test_a_file_that_is_copied_over_from_elsewhere_each_time_is_read_on(log: Path) -> None:
    follower = Log(log)
    add(log, "ERROR 1")
    assert await follower.errors() == 1
    for number in (2, 3):
        copy = log.with_name(".app.log.tmp")
        shutil.copy(log, copy)
        add(copy, f"ERROR {number}")
        copy.rename(log)
        run = await follower.ask()
        assert [value(run, name) for name in ("errors", "rotations", "gaps")] == [1, 0, 0]


async def test_a_disk_with_another_number_after_a_reboot_changes_nothing(log: Path) -> None:
    follower = Log(log)
    add(log, "ERROR 1")
    await follower.ask()
    [spot] = follower.memory[KEPT]["log"]["files"]
    spot["device"] += 1
    spot["inode"] += 1000
    add(log, "ERROR 2")
    assert await follower.errors() == 1
