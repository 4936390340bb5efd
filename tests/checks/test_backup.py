"""The backup kind on real files, real dumps by pg_dump, and a real server to restore them into."""

from __future__ import annotations

import bz2
import gzip
import itertools
import lzma
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from alerts.thresholds import parse
from checks.backup import Backup
from checks.base import KEPT, Reason, Run
from checks.parts.backup import test as _backup_test
from checks.parts.backup.content import Unreadable, decoder_of
from checks.parts.backup.reading import Reading
from checks.parts.backup.scheme import Keep
from tests.checks.backups import DAY, DUMP, NOW, SQL, Pack, archive_of, check, look, put, refused, tar
from tests.checks.probing import Memory, errs, evidence, fails, value, values


async def test_a_good_series_yields_its_numbers(tmp_path: Path) -> None:
    for age in range(10):
        put(tmp_path / f"shop_{age}.sql.gz", gzip.compress(DUMP), age * DAY + 3600)
    run = await look(tmp_path)
    assert value(run, "age_seconds") == 3600
    assert value(run, "size_ratio") == 1
    assert value(run, "backups") == 10
    assert value(run, "total_bytes") == 10 * value(run, "size_bytes")
    assert (value(run, "readable"), value(run, "read_ratio"), value(run, "unfinished")) == (1, 1, 0)
    assert evidence(run, "Tested").startswith("read to its end: gzip SQL")
    assert len(evidence(run, "Newest backups").splitlines()) == 7


async def test_none_old_small_and_shrunken_backups_fail(tmp_path: Path) -> None:
    await fails(check(tmp_path), Reason.ASSERTION, "there is no backup")
    put(tmp_path / "a", age=26 * 3600)
    run = await refused(tmp_path, "1d 2h old: 1h over the limit of 1d 1h", "/a")
    assert value(run, "age_seconds") == 26 * 3600
    put(tmp_path / "b", b"", age=7200)
    await refused(tmp_path, "the newest backup has 0 B, at least 1 B")
    put(tmp_path / "b", DUMP[:1000], age=7200)
    run = await refused(tmp_path, "% of the usual size", verify=False)
    assert value(run, "size_ratio") < 0.5
    await look(tmp_path, max_shrink="99%", verify=False)
    put(tmp_path / "c", DUMP[:1000], age=3600)
    put(tmp_path / "d", DUMP, age=30 * 3600)
    await refused(tmp_path, "% of the usual size", verify=False)


async def test_one_bad_backup_does_not_become_the_measure_of_the_next(tmp_path: Path) -> None:
    for age in range(2, 8):
        put(tmp_path / f"{age}", age=age * DAY)
    put(tmp_path / "1", DUMP[:100], age=1.1 * DAY)
    put(tmp_path / "0", DUMP[:100], age=0.1 * DAY)
    await refused(tmp_path, "% of the usual size")


async def test_the_date_in_the_name_counts_where_there_is_one(tmp_path: Path) -> None:
    put(tmp_path / "retail_20260915_020000.sql", age=60 * DAY)
    put(tmp_path / "retail_20260916_020000.sql", age=60 * DAY)
    put(tmp_path / "retail_20269999_020000.sql", age=60 * DAY)
    put(tmp_path / "latest.sql", age=5)
    run = await look(tmp_path, date="%Y%m%d_%H%M%S")
    assert value(run, "age_seconds") == 10 * 3600
    assert value(run, "backups") == 2
    run = await look(tmp_path, date="%Y%m%d_%H%M%S", zone="Europe/Lisbon")
    assert value(run, "age_seconds") == 11 * 3600


async def test_what_is_still_written_is_not_the_newest_yet(tmp_path: Path) -> None:
    put(tmp_path / "a", age=20 * 3600)
    put(tmp_path / "b", SQL[:500], age=10)
    memory: Memory = {}
    run = await look(tmp_path, memory)
    assert (value(run, "age_seconds"), value(run, "unfinished")) == (20 * 3600, 1)
    put(tmp_path / "b", SQL, age=3600)
    run = await look(tmp_path, memory)
    assert value(run, "unfinished") == 1, "it grew since, whatever its time says"
    put(tmp_path / "b", SQL, age=3600)
    await refused(tmp_path, "the dump is not whole", memory=memory)
    put(tmp_path / "b", DUMP, age=3600)
    assert value(await look(tmp_path, {KEPT: memory[KEPT]}), "age_seconds") == 3600


async def test_a_backup_from_the_future_does_not_hide_that_the_rest_is_old(tmp_path: Path) -> None:
    put(tmp_path / "a", age=3 * DAY)
    put(tmp_path / "b", age=-90 * DAY)
    run = await refused(tmp_path, "3d old")
    assert "in the future" in evidence(run, "Newest backups")
    (tmp_path / "a").unlink()
    await refused(tmp_path, "nothing matches", "come from the future")


PACKED: list[tuple[str, Pack]] = [
    ("plain", bytes), ("gzip", gzip.compress), ("bzip2", bz2.compress), ("xz", lzma.compress),
    ("gzip in members", lambda data: gzip.compress(data[:300]) + gzip.compress(data[300:]) + bytes(100)),
    ("xz in streams", lambda data: lzma.compress(data[:300]) + lzma.compress(data[300:])),
]  # fmt: skip
CONTENTS = [("dump", DUMP), ("archive", tar(100, 70_000, 0, 512))]


@pytest.mark.parametrize("pack", [pack for _, pack in PACKED], ids=[name for name, _ in PACKED])
@pytest.mark.parametrize("content", [held for _, held in CONTENTS], ids=[name for name, _ in CONTENTS])
async def test_whole_ones_are_readable_and_those_cut_anywhere_are_not(
    tmp_path: Path, pack: Pack, content: bytes
) -> None:
    whole = pack(content)
    put(tmp_path / "a", whole)
    assert value(await look(tmp_path), "readable") == 1
    for kept in (0.01, 0.5, 0.9):
        put(tmp_path / "a", whole[: max(12, int(len(whole.rstrip(bytes(1))) * kept))])
        run = await refused(tmp_path, "can't be read", "/a")
        assert value(run, "readable") == 0


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
async def test_a_flipped_bit_is_found(tmp_path: Path, pack: Pack) -> None:
    packed = bytearray(pack(random.Random(1).randbytes(50_000)))
    packed[25_000] ^= 1
    put(tmp_path / "a", bytes(packed))
    await refused(tmp_path, "damaged")


async def test_a_zip_and_what_nobody_knows(tmp_path: Path) -> None:
    zipped = archive_of(a=b"x" * 1000)
    put(tmp_path / "a.zip", zipped)
    assert value(await look(tmp_path), "readable") == 1
    put(tmp_path / "a.zip", zipped[:-30])
    await refused(tmp_path, "zip archive is damaged")
    (tmp_path / "a.zip").unlink()
    put(tmp_path / "b", b"who knows what this is" * 100)
    run = await look(tmp_path)
    assert values(run, "readable") == {}, "not tested is not good"
    assert "unknown format" in evidence(run, "Tested")


@pytest.mark.skipif(shutil.which("zstd") is None, reason="needs zstd")
async def test_zstd_by_its_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = subprocess.run(["zstd", "-c"], input=DUMP * 9, capture_output=True, check=True).stdout
    put(tmp_path / "a.zst", packed)
    assert value(await look(tmp_path), "readable") == 1
    put(tmp_path / "a.zst", packed[:-5])
    await refused(tmp_path, "can't be read")
    monkeypatch.setattr(_backup_test, "programs", lambda _: {"PATH": "/nonexistent"})
    put(tmp_path / "b.zst", packed)
    run = await look(tmp_path)
    assert values(run, "readable") == {}
    assert "not installed" in evidence(run, "Tested")


async def test_each_backup_is_read_once_and_that_survives_a_restart(tmp_path: Path) -> None:
    path = put(tmp_path / "a", DUMP)
    memory: Memory = {}
    await look(tmp_path, memory)
    path.write_bytes(SQL + b"x" * (len(DUMP) - len(SQL)))
    os.utime(path, (NOW - DAY / 2, NOW - DAY / 2))
    memory = {KEPT: memory[KEPT]}
    assert value(await look(tmp_path, memory), "readable") == 1, "of the same name, size and time: known"
    os.utime(path, (NOW - DAY / 3, NOW - DAY / 3))
    await refused(tmp_path, "not whole", memory=memory)
    memory = {KEPT: memory[KEPT]}
    await refused(tmp_path, "not whole", memory=memory)


@pytest.mark.parametrize("kept", [{"tested": 5, "first": 7}, {"tested": {"x": 1}, "first": "gone", "restored": []}])
async def test_whatever_an_older_version_kept_the_probe_goes_on(tmp_path: Path, kept: dict[str, Any]) -> None:
    put(tmp_path / "a")
    run = await look(tmp_path, {KEPT: kept}, keep={"daily": 7})
    assert (value(run, "readable"), value(run, "missing", period="daily")) == (1, 0)


async def test_a_large_backup_is_read_in_slices_from_probe_to_probe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_backup_test, "SLOWEST", 0.0)
    put(tmp_path / "a", SQL * 4 + DUMP)
    memory: Memory = {}
    shares = []
    for _ in range(20):
        run = await look(tmp_path, memory)
        shares.append(value(run, "read_ratio"))
        if values(run, "readable"):
            break
    assert shares == sorted(shares)
    assert len(shares) > 3
    assert shares[-1] == 1


def test_a_bomb_is_read_in_pieces(tmp_path: Path) -> None:
    path = put(tmp_path / "bomb.gz", gzip.compress(bytes(50_000_000), 9))
    reading = Reading(str(path), path.stat().st_size)
    pieces = list(itertools.islice(reading_pieces(path), 3))
    assert all(len(piece) <= 256 * 1024 for piece in pieces)
    assert reading.go_on(float("inf"))


def reading_pieces(path: Path) -> Any:
    data = path.read_bytes()
    return decoder_of(data)[0].feed(data)


@given(
    st.binary(max_size=2000),
    st.sampled_from([b"", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", b"REDIS0011"]),
    st.integers(1, 900),
)
def test_no_bytes_break_the_reading(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, head: bytes, at: int
) -> None:
    path = tmp_path_factory.mktemp("noise") / "a"
    whole = gzip.compress(tar(500))
    for content in (head + noise, whole[:at] + noise, tar(500)[:at] + noise):
        path.write_bytes(content)
        try:
            assert Reading(str(path), len(content)).go_on(float("inf"))
        except Unreadable as why:
            assert str(why)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
async def test_no_right_to_look_or_to_read_is_ours(tmp_path: Path) -> None:
    put(tmp_path / "a").chmod(0o600)
    tmp_path.chmod(0o755)
    os.seteuid(65534)
    try:
        for parent in tmp_path.parents:
            if not os.access(parent, os.X_OK, effective_ids=True):
                break
        await errs(check(tmp_path, max_age="9999d"), Reason.AUTH, "cannot read", "permission denied")
    finally:
        os.seteuid(0)


# The scheme


def series(today: date, *ages: int) -> list[date]:
    return [today - timedelta(days=age) for age in ages]


GFS = Keep(daily=7, weekly=4, monthly=12)


def pruned(today: date, since: date, keep: Keep) -> list[date]:
    """What a plain pruner keeps: the newest of each of the last days, weeks and months that have one."""
    kept: set[date] = set()
    every = [since + timedelta(days=age) for age in range((today - since).days + 1)]
    groups: list[tuple[int, Callable[[date], Any]]] = [
        (keep.daily, lambda day: day), (keep.weekly, lambda day: day.isocalendar()[:2]),
        (keep.monthly, lambda day: (day.year, day.month)),
    ]  # fmt: skip
    for count, of in groups:
        newest = {of(day): day for day in every}
        kept |= set(sorted(newest.values())[-count:] if count else [])
    return sorted(kept)


@given(
    st.dates(date(2024, 1, 1), date(2027, 12, 31)),
    st.integers(0, 800),
    st.sampled_from([GFS, Keep(daily=30), Keep(weekly=8, daily=2)]),
)
def test_what_a_plain_pruner_keeps_misses_nothing_and_is_not_too_much(today: date, age: int, keep: Keep) -> None:
    first = today - timedelta(days=age)
    days = pruned(today, first, keep)
    assert not any(keep.missing(days, today, first).values())
    assert keep.surplus(days, today) == 0


def test_a_hole_in_each_period_is_found_with_its_begin() -> None:
    today, first = date(2026, 9, 16), date(2025, 1, 1)
    days = pruned(today, first, GFS)
    gone = {date(2026, 9, 13), date(2026, 9, 12)}
    without = [day for day in days if day not in gone]
    assert GFS.missing(without, today, first)["daily"] == [date(2026, 9, 13), date(2026, 9, 12)]
    month = [day for day in days if (day.year, day.month) != (2026, 5)]
    assert GFS.missing(month, today, first) == {"daily": [], "weekly": [], "monthly": [date(2026, 5, 1)]}
    week = [day for day in days if not date(2026, 8, 31) <= day <= date(2026, 9, 6)]
    assert GFS.missing(week, today, first)["weekly"] == [date(2026, 8, 31)]


def test_a_young_series_misses_only_what_could_be_there() -> None:
    today = date(2026, 9, 16)
    assert not any(GFS.missing(series(today, 0, 1, 2), today, today - timedelta(days=2)).values())
    assert GFS.missing(series(today, 0, 2), today, today - timedelta(days=2))["daily"] == [today - timedelta(days=1)]


def test_nobody_who_prunes_is_seen() -> None:
    today = date(2026, 9, 16)
    assert Keep(daily=7).surplus(series(today, *range(8)), today) == 0
    assert Keep(daily=7).surplus(series(today, *range(1, 9)), today) == 0, "until tonight's is made, nobody prunes"
    assert Keep(daily=7).surplus(series(today, *range(1, 10)), today) == 1
    assert Keep(daily=7).surplus(series(today, *range(-1, 8)), today) == 0, "one of tomorrow is no day more"
    assert Keep(daily=7).surplus(series(today, *range(37)), today) == 29
    assert GFS.surplus(series(today, *range(100)), today) > 50
    assert GFS.surplus([*pruned(today, date(2020, 1, 1), GFS), date(2020, 1, 1)], today) == 1


async def test_the_scheme_on_files_and_what_was_there_once_is_missed(tmp_path: Path) -> None:
    memory: Memory = {}
    for age in range(5):
        put(tmp_path / f"{age}", age=age * DAY + 3600)
    fields: dict[str, Any] = {"keep": {"daily": 7}}
    run = await look(tmp_path, memory, **fields)
    assert (value(run, "missing", period="daily"), value(run, "surplus")) == (0, 0)
    for age in (2, 3):
        (tmp_path / f"{age}").unlink()
    memory = {KEPT: memory[KEPT]}
    run = await look(tmp_path, memory, **fields)
    assert value(run, "missing", period="daily") == 2
    assert evidence(run, "Without a backup") == "daily: 2026-09-14, 2026-09-13"


async def test_an_old_backup_that_is_made_anew_is_no_hole(tmp_path: Path) -> None:
    for day in (14, 15, 16):
        put(tmp_path / f"202609{day}.sql", age=(16 - day) * DAY + 3600)
    memory: Memory = {}
    fields: dict[str, Any] = {"date": "%Y%m%d", "keep": {"daily": 7}}
    await look(tmp_path, memory, **fields)
    put(tmp_path / "20260914.sql", DUMP[:100], age=5.0)
    run = await look(tmp_path, memory, **fields)
    assert (value(run, "missing", period="daily"), value(run, "unfinished")) == (0, 1)


# Real dumps


async def test_a_diagnosis_shows_the_disk(tmp_path: Path) -> None:
    run = Run({})
    await check(tmp_path, "*/*.gz").diagnose(run)
    assert "free" in evidence(run, f"Disk of {tmp_path}")


def test_recommended_conditions_are_of_its_measurements() -> None:
    for one in Backup.recommended:
        parse(one.when, {measured.name: measured for measured in Backup.measurements})


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"path": "backups/*"}, "no absolute path"),
        ({"path": []}, "at least 1"),
        ({"date": "%d"}, "is no date"),
        ({"date": "%Y-%j"}, "%j can't stand in"),
        ({"zone": "Moon"}, "no time zone"),
        ({"keep": {}}, "at least one of daily, weekly and monthly"),
        ({"restore": {"dsn": "mysql://x"}}, "postgresql://user:password@host"),
        ({"max_shrink": "150%"}, "less than or equal to 1"),
    ],
)
def test_what_can_not_be_is_refused_with_a_sentence(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Backup(**{"name": "backup", "path": "/backups/*", **fields})
    assert sentence in str(refused.value)
