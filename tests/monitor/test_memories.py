"""What checks remember: over a restart, over a reload, and when it is no good any more."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from checks.base import KEPT, KEPT_MOST, Check
from checks.tls import Tls
from checks.units import Duration
from monitor.memories import Memories, NotWritten
from monitor.prober import Prober
from monitor.store.history import History


class Noted(Check):
    """A kind of the tests' own."""

    kind = "noted"
    file: str = "/a"
    limit: Duration = 1.0

    @property
    def target(self) -> str:
        return self.file


def remembering(path: Path, *checks: Check) -> tuple[Memories, Prober, History]:
    history = History(path)
    prober = Prober(time.time, lambda *_: None, lambda _: None, lambda _: None, lambda _: None)
    return Memories(prober, history, {check.key: check for check in checks}), prober, history


async def restarted(path: Path, before: Check, kept: Any, after: Check) -> Any:
    memories, prober, history = remembering(path, before)
    prober.remember(before.key, {KEPT: kept, "process": object()})
    memories.take(before, 1.0)
    history.close()
    memories, _, history = remembering(path, after)
    history.close()
    return memories.of(after.key)


async def test_what_is_kept_survives_a_restart_and_the_rest_does_not(tmp_path: Path) -> None:
    check = Noted(name="c", system="s")
    found = await restarted(tmp_path / "r.db", check, {"offset": 7, "rate": {"x": [[1.5, 2.0], 3.0]}}, check)
    assert found == {KEPT: {"offset": 7, "rate": {"x": [[1.5, 2.0], 3.0]}}}


@pytest.mark.parametrize(
    ("after", "kept"),
    [
        (Noted(name="c", system="s", limit="5s"), True),
        (Noted(name="c", system="s", file="/b"), False),
        (Noted(name="d", system="s"), False),
        (Tls(name="c", system="s", file="/a"), False),
    ],
)
async def test_it_is_good_for_the_same_kind_and_target_only(tmp_path: Path, after: Check, kept: bool) -> None:
    before = Noted(name="c", system="s")
    assert bool(await restarted(tmp_path / "r.db", before, {"offset": 7}, after)) is kept
    memories, prober, history = remembering(tmp_path / "s.db", before)
    prober.remember(before.key, {KEPT: {"offset": 7}, "process": object()})
    memories.replace({before.key: before}, {after.key: after}, {before.key})
    assert memories.of(after.key) == ({KEPT: {"offset": 7}} if kept else {})
    history.close()


@pytest.mark.parametrize("unfit", [{"a": object()}, {(1, 2): 3}, {"a": "x" * KEPT_MOST}])
async def test_what_can_not_be_kept_hurts_nobody(tmp_path: Path, unfit: Any) -> None:
    check = Noted(name="c", system="s")
    assert await restarted(tmp_path / "r.db", check, unfit, check) == {}


async def test_keeping_says_when_it_is_written_and_when_it_can_not_be(tmp_path: Path) -> None:
    check = Noted(name="c", system="s")
    memories, prober, history = remembering(tmp_path / "r.db", check)
    prober.remember(check.key, {KEPT: {"pinged": 1}})
    await memories.keep(check, 1.0)
    other, _, second = remembering(tmp_path / "r.db", check)
    assert other.of(check.key) == {KEPT: {"pinged": 1}}
    second.close()
    blocker = History(tmp_path / "r.db")
    blocker._connection._open.execute("BEGIN IMMEDIATE")
    memories.of(check.key)[KEPT]["pinged"] = 2
    with pytest.raises(NotWritten, match="locked"):
        await memories.keep(check, 2.0)
    blocker._connection._open.execute("ROLLBACK")
    blocker.close()
    await memories.keep(check, 3.0)
    history.close()
