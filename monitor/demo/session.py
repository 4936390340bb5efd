"""`runwatch demo`: an installation, and runwatch itself watching it, from the start until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from monitor.config.problems import ConfigError
from monitor.demo.control import Control, the_only_one
from monitor.demo.hurry import ABOUT, VARIABLE, Hurried, prepare
from monitor.demo.installation import UNREACHABLE, CannotDo, Installation, Job
from monitor.demo.installations import installation
from monitor.demo.process import ASK_EVERY, LAUNCH, NotStarted, ended, status_of
from monitor.demo.telling import home

SHOWN = 8
"""Faults that the banner names, if there are no more than that."""
DAEMON_ENDS_WITHIN = 10.0


async def run(listen: str = "127.0.0.1:9876", system: str = "shop", configuration: Path | None = None) -> int:
    """Start the installation of a system, then runwatch on a copy of its configuration with its page at `listen`.

    Stops both on SIGINT and SIGTERM. Exit 0 after a stop that was asked for, 1 with a sentence where something can't
    be started, else runwatch's own.
    """
    try:
        kind = installation(system)
        with the_only_one(home()):
            return await _run(kind(home() / "run"), listen, configuration)
    except (CannotDo, NotStarted) as why:
        _complain(str(why))
    except ConfigError as why:
        _complain(f"cannot watch {system}:\n{why}")
    except OSError as why:
        _complain(f"cannot start the demo: {why}")
    return 1


async def _run(started: Installation, listen: str, configuration: Path | None) -> int:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await asyncio.to_thread(shutil.rmtree, started.folder, ignore_errors=True)
    try:
        if not await _unless(stop, started.start(lambda line: _say(f"  {line}"))):
            return 0
        page = f"http://{listen}/"
        started.daemon_url = page.rstrip("/")
        started.inbox.presser.hook = f"{page}hooks/slack"
        shipped = configuration or started.configuration
        hurried = prepare(shipped, started.folder / "configuration", started.environment)
        async with Control(started, started.folder.parent, {"page": page, "inbox": started.inbox.url}):
            _banner(started, page, shipped, hurried)
            return await _watch(started, listen, hurried.file, stop)
    finally:
        await started.stop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _watch(started: Installation, listen: str, config: Path, stop: asyncio.Event) -> int:
    """Run the daemon until it ends, or until `stop`; its exit status."""
    daemon = _launch(["run", "-c", str(config)], _environment(started, listen, config))
    try:
        async with _working(started.jobs, started.daemon_url):
            if await _unless(stop, ended(daemon.pid)):
                status = daemon.wait()
                if status:
                    _complain(f"the demo ends, because runwatch ended with status {status}")
                return status
        daemon.terminate()
        async with asyncio.timeout(DAEMON_ENDS_WITHIN):
            await ended(daemon.pid)
    except TimeoutError:
        _complain("runwatch did not end when asked, so it was killed")
    finally:
        if daemon.poll() is None:
            daemon.kill()
        daemon.wait()
    return 0


def _environment(started: Installation, listen: str, config: Path) -> dict[str, str]:
    """The daemon's: of ours, nothing that the configuration could mistake for the installation's."""
    files = config.parent.rglob("*.yaml")
    spoken_of = {found[1] for file in files for found in VARIABLE.finditer(file.read_text())}
    ours = {name: value for name, value in os.environ.items() if name not in spoken_of}
    where = {"RUNWATCH_LISTEN": listen, "RUNWATCH_EXTERNAL_URL": f"http://{listen}"}
    store = {"RUNWATCH_STORE": f"sqlite://{started.folder / 'runwatch.db'}"}
    return {**ours, **started.environment, **where, **store}


@asynccontextmanager
async def _working(jobs: list[Job], daemon_url: str) -> AsyncIterator[None]:
    """Within it the installation does what it does by itself, as soon as runwatch answers."""
    async with asyncio.TaskGroup() as together:
        working = [together.create_task(_repeat(job, daemon_url)) for job in jobs]
        yield
        for task in working:
            task.cancel()


async def _repeat(job: Job, daemon_url: str) -> None:
    while not await status_of(f"{daemon_url}/-/healthy"):
        await asyncio.sleep(ASK_EVERY)
    while True:
        with suppress(*UNREACHABLE):  # what it works with is broken; it tries again
            await job.do()
        await asyncio.sleep(job.period)


def _launch(command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Runwatch, which dies with us. In a session of its own: Ctrl-C reaches us alone, and we stop the daemon first."""
    launcher = [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), str(Path.cwd()), "same"]
    return subprocess.Popen(
        [*launcher, sys.executable, "-m", "monitor", *command],
        env=environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Whether the work came to its end before `stop`; cancels it otherwise. Raises what the work raises."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            return False
        await working
        return True
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


def _banner(started: Installation, page: str, shipped: Path, hurried: Hurried) -> None:
    ours, names = _command(), list(started.faults())
    lines = [
        "",
        f"  The page     {page}",
        f"  The inbox    {started.inbox.url}/   (stands in for Slack, PagerDuty and a mail server)",
        f"  Watched by   {_short(shipped)}, hurried: {ABOUT}",
    ]
    if hurried.slow:
        lines.append(f"               slower, for the limits of those who are asked: {', '.join(hurried.slow)}")
    lines += [f"  Not here     {part}: {why}" for part, why in started.missing.items()]
    if hurried.left_out:
        lines.append(f"  Not asked    {', '.join(hurried.left_out)}")
    also = f"also: {', '.join(names[1:])}" if len(names) <= SHOWN else f"more: {ours} demo faults"
    lines += [
        "",
        "  In a second terminal:",
        f"    {ours} demo break {names[0]}     {also}",
        f"    {ours} demo heal",
        "",
        "  Ctrl-C ends everything. The log of runwatch:",
        "",
    ]
    _say("\n".join(lines))


def _short(file: Path) -> str:
    return str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else str(file)


def _command() -> str:
    """How to call us in another terminal."""
    if shutil.which("runwatch"):
        return "runwatch"
    beside = Path(sys.executable).with_name("runwatch")
    return _short(beside) if beside.exists() else f"{sys.executable} -m monitor"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _complain(text: str) -> None:
    sys.stderr.write(f"runwatch: {text}\n")
    sys.stderr.flush()
