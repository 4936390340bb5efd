"""A container engine is closed for good, also when somebody gave up while it was being opened."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from monitor.demo.parts.engine import Engine
from monitor.demo.process import NotStarted, Refused


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Engine:
    """One for which nothing is really run."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    folder = tmp_path / "new"
    folder.mkdir()
    made = Engine(folder)
    monkeypatch.setattr(made, "_serve", lambda: None)
    monkeypatch.setattr(made, "podman", lambda *arguments, check=True: "works" if arguments[0] == "run" else "")
    return made


async def test_who_gives_up_waiting_leaves_nothing_behind(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun, goes_on, image = threading.Event(), threading.Event(), tmp_path / "new" / "image"

    def make_image() -> None:
        begun.set()
        goes_on.wait(5)
        image.mkdir(parents=True)

    monkeypatch.setattr(engine, "_make_image", make_image)
    starting = asyncio.create_task(engine.start())
    await asyncio.to_thread(begun.wait, 5)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    stopping = asyncio.create_task(engine.stop())
    asyncio.get_running_loop().call_soon(goes_on.set)
    await stopping
    assert begun.is_set() and not image.parent.exists()


async def test_an_engine_that_was_refused_asks_for_nobodys_containers(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(engine, "podman", lambda *arguments, check=True: asked.append(arguments[0]) or "")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Refused):
        await engine.start()
    await engine.stop()
    assert not asked


def test_what_a_killed_process_has_left_is_closed_by_the_next(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    left, ours = tmp_path / f"engine-{dead.pid}-x", tmp_path / f"engine-{os.getpid()}-x"
    for folder in (left, ours, tmp_path / "engine-room"):
        folder.mkdir()
    gone = tmp_path / f"engine-{dead.pid}-y"  # listed, and not there when it is looked at: another process was faster
    gone.symlink_to(tmp_path / "nowhere")
    monkeypatch.setattr(engine, "_make_image", lambda: None)
    engine.open()
    gone.unlink()
    assert sorted(one.name for one in tmp_path.iterdir()) == [ours.name, "engine-room", "new"]


def test_a_podman_that_does_not_answer_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run(command: list[str], **options: object) -> None:
        raise subprocess.TimeoutExpired(command, 30)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(NotStarted, match="podman ps: no answer within 30 s"):
        Engine(tmp_path).podman("ps")
