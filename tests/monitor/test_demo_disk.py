"""A disk of the demo's own is mounted, filled, emptied, and gone at the end."""

from __future__ import annotations

from pathlib import Path

from monitor.demo.parts.disk import Disk
from tests.skips import had

MIB = 2**20


async def test_it_is_filled_and_emptied(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "disk", 8 * MIB)
    with had():
        await disk.start()
    try:
        assert disk.folder.is_mount() and disk.used < 0.01
        disk.fill(0.5)
        disk.fill(0.87)
        assert 0.86 < disk.used < 0.88
        disk.fill(0.2)
        assert disk.used > 0.86
        disk.empty()
        assert disk.used < 0.01
    finally:
        await disk.stop()
    assert not disk.folder.is_mount()


async def test_what_one_before_it_has_left_is_taken_away(tmp_path: Path) -> None:
    left, disk = (Disk(tmp_path / "disk", 8 * MIB) for _ in range(2))
    with had():
        await left.start()
    (left.folder / "old").touch()
    await disk.start()
    assert not list(disk.folder.iterdir())
    await disk.stop()
    assert not disk.folder.is_mount()
