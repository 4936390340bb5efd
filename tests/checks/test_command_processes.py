"""Kind command with programs that hang, flood, fork, ignore and can't be started."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from pathlib import Path

import psutil
import pytest

from checks.base import Errored, Outcome, Reason, Run
from checks.parts import program as _program
from checks.parts.pool import MOST, in_pool
from tests.checks.probing import errs, evidence, fails, result_of, value
from tests.checks.programs import command, gone, program, shell
from tests.leaks import held, left_since


async def test_one_that_hangs_is_ended_with_all_its_group():
    check = shell("sleep 1000 & echo $!; sleep 1000", timeout="2s")
    found = await errs(check, Reason.READ_TIMEOUT, "sh did not end within", "time limit of its own")
    await gone(evidence(found, "what it wrote until then"))


async def test_one_that_ignores_term_is_killed():
    await errs(shell("trap '' TERM; while :; do sleep 1000; done", timeout="3s"), Reason.READ_TIMEOUT)


async def test_one_that_cleans_up_on_term_is_let_to(tmp_path):
    mark = tmp_path / "cleaned"
    await errs(shell(f"trap 'echo > {mark}; exit' TERM; sleep 1000 & wait", timeout="3s"), Reason.READ_TIMEOUT)
    assert mark.exists()


async def test_a_child_that_it_leaves_in_its_group_is_killed():
    found = await fails(shell("sleep 1000 & echo $!; exit 2"), Reason.ASSERTION)
    await gone(evidence(found, "output"))


async def test_a_daemon_that_holds_its_output_is_not_waited_for():
    """It has left the group, so that it lives on: the test ends it."""
    until_it_sleeps = 'until [ "$(cat /proc/$!/comm)" = sleep ]; do sleep 0.05; done'
    daemon = f"setsid sh -c 'echo $$; exec sleep 1000' & {until_it_sleeps}"
    found = await fails(shell(f"{daemon}; exit 2"), Reason.ASSERTION)
    pid = int(evidence(found, "output"))
    assert (await asyncio.to_thread(Path(f"/proc/{pid}/comm").read_text)).strip() == "sleep"
    os.kill(pid, signal.SIGKILL)


async def test_one_that_floods_is_killed():
    found = await errs(command("yes", "no" * 500, timeout="9s"), Reason.BODY, "wrote more than 4 MiB")
    assert evidence(found, "what it wrote until then").startswith("nono")
    await errs(shell("yes >&2", timeout="9s"), Reason.BODY, "wrote more than 4 MiB")


async def test_of_long_output_the_beginning_is_kept():
    found = await fails(shell("echo begun; head -c 3000000 /dev/zero | tr '\\0' x; exit 2"), Reason.ASSERTION, "begun")
    assert evidence(found, "details").startswith("xxx")


async def test_one_that_closes_its_output_and_lives_on_is_waited_for():
    await fails(shell("echo; exec >&- 2>&-; sleep 0.1; exit 2"), Reason.ASSERTION)
    await errs(shell("exec >&- 2>&-; sleep 1000", timeout="2s"), Reason.READ_TIMEOUT)


async def test_one_that_stops_itself_is_killed():
    await errs(shell("kill -STOP $$", timeout="3s"), Reason.READ_TIMEOUT)


async def test_hostile_bytes_are_made_harmless():
    found = await fails(shell(r"printf '\033[2J\377\200|\0=1 =2 x=NaN\n\202\n'; exit 2"), Reason.ASSERTION)
    assert "\x1b" not in found.sentence
    assert value(found, "perfdata_unreadable") == 2


async def test_cancelled_at_any_moment_it_leaves_no_process_behind(tmp_path):
    file = program(tmp_path, f"#!/bin/sh\necho $$ >> {tmp_path}/pids\nexec sleep 1000\n")
    before, others = held(), children()
    for turns in range(40):
        task = asyncio.create_task(command(file).probe(Run()))
        for _ in range(turns):
            await asyncio.sleep(0)
        while turns % 10 == 9 and not (tmp_path / "pids").exists():
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with asyncio.timeout(5):
        while children() - others or await left_since(before):
            await asyncio.sleep(0)
    pids = (tmp_path / "pids").read_text().split()
    assert pids
    for pid in pids:
        await gone(pid)


def children():
    """The processes that we have started and not reaped."""
    return {one.pid for one in psutil.Process().children()}


async def test_what_was_killed_and_is_still_there_keeps_another_from_being_started(monkeypatch):
    memory = {}
    with monkeypatch.context() as patch:
        patch.setattr(_program._Program, "signal", lambda self, number: None)  # as if the kernel held it
        assert (await error_of(shell("exec sleep 1000", timeout="1s"), memory)).reason is Reason.READ_TIMEOUT
        again = await error_of(shell("echo", timeout="1s"), memory)
    assert "was killed and has not ended" in again.sentence
    program, _ = memory[_program.LEFT]
    program.signal(signal.SIGKILL)
    await asyncio.wait([program.ended])
    assert (await result_of(shell("echo"), memory)).outcome is Outcome.OK
    assert _program.LEFT not in memory


async def error_of(check, memory):
    with pytest.raises(Errored) as raised:
        await check.probe(Run(memory))
    return raised.value


async def test_one_that_cannot_even_be_started_is_our_trouble():
    """All threads hang, as they do where a mount does."""
    hangs = threading.Event()
    try:
        async with asyncio.TaskGroup() as threads:
            stuck = [threads.create_task(in_pool(Run(), hangs.wait)) for _ in range(MOST)]
            await asyncio.sleep(0)
            await errs(shell("echo", timeout="200ms"), Reason.INTERNAL, "it does not start", "hangs")
            hangs.set()
            await asyncio.gather(*stuck)
    finally:
        hangs.set()


async def test_no_more_than_so_many_run_at_once(monkeypatch):
    monkeypatch.setattr(_program, "MOST_AT_ONCE", 1)
    _program._places.clear()
    blocking = asyncio.create_task(result_of(shell("sleep 1000", timeout="800ms")))
    while not _program._places:
        await asyncio.sleep(0)
    refused = await error_of(shell("echo", timeout="100ms"), {})
    assert "1 other commands run already" in refused.sentence
    blocking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await blocking
    _program._places.clear()
