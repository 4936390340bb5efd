"""An installation ends whatever is broken in it, and says what stands in the way of breaking and healing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from monitor.demo import installation
from monitor.demo.installation import CannotDo, Installation, fault, together
from monitor.demo.parts import postgres
from monitor.demo.process import NotStarted
from tests.servers import NewPostgres


class Booth(Installation):
    """Its line can be cut, and somebody who calls can be made to wait for it."""

    name = "booth"

    async def set_up(self) -> None:
        self.hung_up = False
        self.line = asyncio.Event()
        self.line.set()
        self.stack.callback(self._hang_up)

    def _hang_up(self) -> None:
        self.hung_up = True

    async def _call(self) -> None:
        if not self.line.is_set():
            raise ConnectionRefusedError("the line is dead")

    @fault("B01", "the line is cut")
    async def cut(self) -> AsyncIterator[None]:
        self.line.clear()
        yield
        self.line.set()

    @fault("B02", "a caller waits")
    async def caller(self) -> AsyncIterator[None]:
        await self._call()
        try:
            yield
        finally:
            await self._call()

    @fault("B03", "a caller's helper fails at the end")
    async def helper(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.Event().wait())
            yield

    @fault("B04", "somebody sings")
    async def song(self) -> AsyncIterator[None]:
        yield


async def test_what_another_fault_stands_in_the_way_of_is_said(tmp_path: Path) -> None:
    booth = Booth(tmp_path / "booth")
    await booth.start()
    await booth.break_part("B02")
    await booth.break_part("B01")
    with pytest.raises(CannotDo, match="cannot heal B02: the line is dead; what is broken besides: B01"):
        await booth.heal_part("B02")
    with pytest.raises(CannotDo, match="cannot break B02: the line is dead; what is broken besides: B01"):
        await booth.break_part("B02")
    await booth.stop()


async def test_what_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "ACTS_WITHIN", 0.01)
    booth = Booth(tmp_path / "booth")
    await booth.start()
    await booth.break_part("B03")
    with pytest.raises(CannotDo, match="cannot heal B03: it takes too long"):
        await booth.heal_part("B03")
    await booth.stop()


async def test_what_cannot_be_healed_keeps_nothing_else_broken(tmp_path: Path) -> None:
    booth = Booth(tmp_path / "booth")
    await booth.start()
    await booth.break_part("B04")
    await booth.break_part("B02")
    booth.line.clear()
    with pytest.raises(CannotDo, match="cannot heal B02: the line is dead; what is broken besides: B04; B04 is healed"):
        await booth.heal_all()
    assert not booth.broken
    await booth.stop()


async def test_all_is_stopped_whatever_is_broken(tmp_path: Path) -> None:
    booth = Booth(tmp_path / "booth")
    await booth.start()
    for name in ("B02", "B03", "B01"):
        await booth.break_part(name)
    with pytest.raises(BaseExceptionGroup):
        await booth.stop()
    assert booth.hung_up and not booth.folder.exists() and not booth.broken


async def test_where_one_part_fails_the_others_have_ended_before_it_is_said() -> None:
    ended = []

    async def fails() -> None:
        raise NotStarted("there is no such program")

    async def goes_on() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    with pytest.raises(NotStarted, match="there is no such program"):
        await together(goes_on(), fails(), goes_on())
    assert ended == [True, True]


async def test_connections_are_as_many_as_there_are_and_end_with_a_server_that_is_frozen(
    new_postgres: NewPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "CLOSES_WITHIN", 0.05)
    server = await new_postgres(max_connections="5", superuser_reserved_connections="1")
    connection = await server.connect()
    await connection.execute("CREATE ROLE app LOGIN PASSWORD 'a'")
    await connection.close()
    async with postgres.connections(server.address_for("app", "a"), 9, patience=0.0) as held:
        assert len(held) == 4
        server.freeze()
    assert all(one.is_closed() for one in held)
