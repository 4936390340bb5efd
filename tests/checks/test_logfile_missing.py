"""The logfile kind on files that are not there, are none, or may not be read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from checks.base import Reason
from checks.logfile import Logfile
from tests.checks.logs import Log, add
from tests.checks.probing import Memory, errs, fails, value


async def test_no_such_file_fails_or_not_as_configured(tmp_path: Path) -> None:
    await fails(Log(tmp_path / "none.log").check, Reason.ASSERTION, "cannot read", "none.log", "no such file")
    await fails(Log(tmp_path / "*.log").check, Reason.ASSERTION, "*.log")
    follower = Log(tmp_path / "*.log", missing="ok")
    assert value(await follower.ask(), "files") == 0
    add(tmp_path / "new.log", "ERROR")
    assert await follower.errors() == 1


async def test_one_missing_file_does_not_hide_another(tmp_path: Path) -> None:
    add(tmp_path / "a.log", "ERROR")
    check = Logfile(name="x", path=[str(tmp_path / "a.log"), str(tmp_path / "b.log")], start_at="beginning",
                    patterns={"errors": "ERROR"})  # fmt: skip
    assert value(await fails(check, Reason.ASSERTION, "b.log"), "errors") == 1


async def test_what_is_forbidden_is_told_also_while_another_file_is_missing(tmp_path: Path) -> None:
    add(tmp_path / "a.log", "password=hunter2")
    check = Logfile(name="x", path=[str(tmp_path / "a.log"), str(tmp_path / "b.log")], start_at="beginning", forbid={})
    memory: Memory = {}
    await fails(check, Reason.ASSERTION, "never be logged", memory=memory)
    await fails(check, Reason.ASSERTION, "never be logged", "the last", memory=memory)


async def test_a_file_that_is_gone_and_comes_back_is_read_on(log: Path) -> None:
    follower = Log(log, missing="ok")
    add(log, "ERROR 1")
    assert await follower.errors() == 1
    aside = log.with_name("elsewhere")
    log.rename(aside)
    assert await follower.errors() == 0
    aside.rename(log)
    add(log, "ERROR 2")
    assert await follower.errors() == 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.mkdir(), "it is a directory, not a file"),
        (lambda path: os.mkfifo(path), "it is a pipe, not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a device, not a file"),
        (lambda path: path.symlink_to(path.name), "symbolic link"),
    ],
)
async def test_what_is_no_file_fails_at_once(log: Path, make: Callable[[Path], None], words: str) -> None:
    log.unlink()
    make(log)
    await fails(Log(log).check, Reason.PROTOCOL, "cannot read", words)


async def test_too_many_files_are_our_mistake(tmp_path: Path) -> None:
    for number in range(501):
        (tmp_path / f"{number}.log").touch()
    await errs(Log(tmp_path / "*.log").check, Reason.INTERNAL, "more than 500 files", "narrow it down")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
@pytest.mark.parametrize("pattern", ["app.log", "*.log"])
async def test_no_right_to_read_is_ours(log: Path, pattern: str) -> None:
    log.parent.chmod(0o700 if pattern == "app.log" else 0o300)
    log.chmod(0o600)
    check = Log(log.parent / pattern).check
    os.seteuid(65534)
    try:
        await errs(check, Reason.AUTH, "cannot read", "permission denied", "right to read")
    finally:
        os.seteuid(0)
        log.parent.chmod(0o700)
