"""Work in threads: answers, faults, what hangs and what it may not take from others."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from checks.base import Failed, Reason, Run
from checks.parts.pool import MOST, in_pool


def read(file: Path) -> bytes:
    return file.read_bytes()


async def test_the_result_and_the_fault_of_the_work_come_back(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    assert await in_pool(Run(), read, tmp_path / "a") == b"x"
    with pytest.raises(FileNotFoundError):
        await in_pool(Run(), read, tmp_path / "b")
    assert await asyncio.gather(*(in_pool(Run(), abs, -number) for number in range(200))) == list(range(200))


async def test_where_no_thread_can_be_had_for_a_while_no_place_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(threading.Thread, "start", refuse)
        for _ in range(MOST):
            with pytest.raises(RuntimeError, match="new thread"):
                await in_pool(Run(), int, "7")
    async with asyncio.timeout(5):
        assert await in_pool(Run(), int, "8") == 8


async def test_no_more_than_so_many_work_at_once() -> None:
    working, ended = threading.Semaphore(0), []
    gate = threading.Event()

    def work() -> None:
        working.release()
        gate.wait()
        ended.append(1)

    tasks = [asyncio.create_task(in_pool(Run(), work)) for _ in range(MOST + 3)]
    for _ in range(MOST):
        assert await asyncio.to_thread(working.acquire, timeout=5)
    assert not working.acquire(blocking=False)
    gate.set()
    await asyncio.gather(*tasks)
    assert len(ended) == MOST + 3


async def test_what_hangs_is_given_up_takes_no_place_from_others_and_is_not_asked_twice(tmp_path: Path) -> None:
    pipes = [tmp_path / f"pipe{number}" for number in range(MOST)]
    for pipe in pipes:
        os.mkfifo(pipe)
    runs = [Run() for _ in pipes]
    tasks = [asyncio.create_task(in_pool(run, read, pipe)) for run, pipe in zip(runs, pipes, strict=True)]
    started = [asyncio.to_thread(os.open, pipe, os.O_WRONLY) for pipe in pipes]
    writers = await asyncio.gather(*started)  # opens once a reader is there: all of them hang in read now
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await in_pool(Run(), abs, -1) == 1
    with pytest.raises(Failed) as caught:
        await in_pool(runs[0], abs, -1)
    assert caught.value.reason is Reason.READ_TIMEOUT
    assert "it hangs" in caught.value.sentence
    threads = [thread for thread in threading.enumerate() if thread.name == "runwatch-work"]
    for writer in writers:
        os.close(writer)
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert await in_pool(runs[0], abs, -1) == 1


async def test_what_was_not_begun_is_taken_back() -> None:
    gate, done = threading.Event(), []
    tasks = [asyncio.create_task(in_pool(Run(), gate.wait)) for _ in range(MOST)]
    waiting = asyncio.create_task(in_pool(Run(), done.append, 1))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    gate.set()
    await asyncio.gather(*tasks)
    assert await in_pool(Run(), len, done) == 0
