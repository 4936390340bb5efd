"""A control group with little memory: who holds some is seen, who takes more than all is killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.demo.parts import memory_group
from monitor.demo.parts.memory_group import MemoryGroup
from monitor.demo.process import Refused
from tests.skips import had


async def test_memory_is_really_held_and_really_short() -> None:
    group = MemoryGroup()
    try:
        with had():
            await group.start()
        assert await group.hold(0.8)
        assert 0.8 <= group.used < 0.95
        assert not await group.hold(1.5)
        assert group.used < 0.5
        assert await group.hold(0.3)
        assert 0.3 <= group.used < 0.5
    finally:
        await group.stop()


async def test_where_it_is_refused_it_says_what_would_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory_group, "VERSION_1", tmp_path / "nothing")
    monkeypatch.setattr(memory_group, "VERSION_2", tmp_path / "nothing" / "here")
    group = MemoryGroup()
    with pytest.raises(Refused, match="cannot make a control group: no such file or directory"):
        await group.start()
    assert await group.hold(0.8)
    assert group.used == 0.8
    assert not await group.hold(1.5)
    await group.stop()
