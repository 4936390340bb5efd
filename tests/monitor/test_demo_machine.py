"""The simulated machine: a host check reads of it what its load is, and no more time than has passed."""

from __future__ import annotations

from pathlib import Path

from checks.host import Host
from monitor.demo.parts.machine import GIB, Load, Machine
from tests.checks.probing import Memory, asked

AT = 1_800_000_000.0


async def test_its_load_is_what_is_measured(tmp_path: Path) -> None:
    clock = [AT]
    machine = Machine(tmp_path / "root", lambda: clock[0])
    check = Host(name="machine", root=str(machine.root))
    memory: Memory = {}
    await asked(check, memory, AT)
    machine.load.cpu, machine.load.memory, machine.load.disk, machine.load.network = 0.9, 0.75, 0.5, 0.25
    machine.kills()
    clock[0] += 30
    await machine.passes()
    run = await asked(check, memory, AT + 30)
    measured = {name: round(value, 3) for name, value, _ in run.measurements}
    wanted = {
        "cpu_used_ratio": 0.9, "memory_used_ratio": 0.75, "memory_total_bytes": 8 * GIB, "io_busy_ratio": 0.5,
        "network_used_ratio": 0.25, "oom_kills_recent": 1, "load1": 3.6, "cpus": 4,
    }  # fmt: skip
    assert {name: measured[name] for name in wanted} == wanted


async def test_a_clock_that_is_put_back_is_no_time_that_passed(tmp_path: Path) -> None:
    clock = [AT]
    machine = Machine(tmp_path / "root", lambda: clock[0])
    before = (machine.root / "proc/stat").read_text().splitlines()[:2]
    clock[0] -= 600
    await machine.passes()
    assert (machine.root / "proc/stat").read_text().splitlines()[:2] == before
    clock[0] += 10
    await machine.passes()
    assert (machine.root / "proc/stat").read_text().splitlines()[:2] != before


async def test_one_load_goes_and_another_stays(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "root")
    async with machine.under(memory=0.9):
        async with machine.under(cpu=0.8):
            assert machine.load == Load(cpu=0.8, memory=0.9)
        assert machine.load == Load(memory=0.9)
    assert machine.load == Load()
