"""`runwatch demo`: the estate, and runwatch itself watching it, from the start until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from monitor.demo.control import Control, ask, home, the_only_one
from monitor.demo.estate import PARTS, CannotDo, Estate
from monitor.demo.process import LAUNCH, NotStarted, ended

CONFIG = Path(__file__).with_name("runwatch.yaml")
OPTIONAL = "temporal"
DAEMON_ENDS_WITHIN = 10.0


async def run(listen: str = "127.0.0.1:9876", config: Path = CONFIG) -> int:
    """Start the estate, then `runwatch run` on `config` with its page at `listen`; stop both on SIGINT and SIGTERM.

    Exit 0 after a stop that was asked for, 1 with a sentence where something can't be started, else runwatch's own.
    """
    try:
        with the_only_one(home()):
            return await _run(home(), listen, config)
    except (CannotDo, NotStarted) as why:
        _complain(str(why))
    except OSError as why:
        _complain(f"cannot start the demo: {why}")
    return 1


def tell(action: str, what: str | None = None) -> int:
    """Tell the demo in the other terminal to break, to heal or to say how it is; exit 0, or 1 with a sentence."""
    if action == "break" and not what:
        _complain(f"cannot break nothing; name a part: {', '.join(PARTS)}")
        return 1
    try:
        _say(ask(action, what))
    except CannotDo as why:
        _complain(str(why))
        return 1
    return 0


async def _run(folder: Path, listen: str, config: Path) -> int:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await asyncio.to_thread(shutil.rmtree, folder / "run", ignore_errors=True)
    estate = Estate(folder / "run")
    try:
        if not await _unless(stop, estate.start(lambda line: _say(f"  {line}"))):
            return 0
        page = f"http://{listen}/"
        estate.inbox.presser.hook = f"{page}hooks/slack"
        async with Control(estate, folder, {"page": page, "inbox": estate.inbox.url}):
            _banner(page, estate.inbox.url)
            return await _watch(estate, listen, _usable(config, estate), stop)
    finally:
        await estate.stop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _watch(estate: Estate, listen: str, config: Path, stop: asyncio.Event) -> int:
    """Run the daemon until it ends, or until `stop`; its exit status."""
    daemon = _launch(["run", "-c", str(config)], {**estate.environment(), **_where(listen)})
    try:
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


def _where(listen: str) -> dict[str, str]:
    return {"RUNWATCH_LISTEN": listen, "RUNWATCH_EXTERNAL_URL": f"http://{listen}"}


def _launch(command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Runwatch, which dies with us. In a session of its own: Ctrl-C reaches us alone, and we stop the daemon first."""
    launcher = [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), str(Path.cwd()), "same"]
    return subprocess.Popen(
        [*launcher, sys.executable, "-m", "monitor", *command],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


async def _unless(stop: asyncio.Event, work: object) -> bool:
    """Whether the work came to its end before `stop`; cancels it otherwise. Raises what the work raises."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())  # type: ignore[call-overload]
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


def _usable(config: Path, estate: Estate) -> Path:
    """The configuration; without Temporal's part, where there is none, a copy in the estate's folder."""
    if OPTIONAL not in estate.missing or config != CONFIG:
        return config
    copy = estate.folder / "configuration"
    shutil.copytree(config.parent / "systems", copy / "systems", ignore=shutil.ignore_patterns(f"{OPTIONAL}.yaml"))
    for file in (config, config.with_name("playbooks.md")):
        shutil.copy(file, copy)
    return copy / config.name


def _banner(page: str, inbox: str) -> None:
    ours = _command()
    _say(
        f"\n  The page     {page}\n  The inbox    {inbox}/   (stands in for Slack and PagerDuty)\n\n"
        f"  In a second terminal:\n    {ours} demo break database     also: {', '.join(PARTS[1:])}\n"
        f"    {ours} demo heal\n\n  Ctrl-C ends everything. The log of runwatch:\n"
    )


def _command() -> str:
    """How to call us in another terminal."""
    if shutil.which("runwatch"):
        return "runwatch"
    beside = Path(sys.executable).with_name("runwatch")
    if not beside.exists():
        return f"{sys.executable} -m monitor"
    return str(beside.relative_to(Path.cwd())) if beside.is_relative_to(Path.cwd()) else str(beside)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _complain(text: str) -> None:
    sys.stderr.write(f"runwatch: {text}\n")
    sys.stderr.flush()
