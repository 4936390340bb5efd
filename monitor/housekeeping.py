"""The daemon's own pulse: loop lag, clock jumps, changed files, retention, the watchdog."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import structlog

from alerts.outbox import NotKept
from alerts.plan import Plan
from checks.units import show_duration
from monitor.config import Watchdog
from monitor.impairment import BEAT
from monitor.state import State

if TYPE_CHECKING:
    from monitor.app import App

log = structlog.get_logger()

LOOK_AT_FILES = 1.0
PRUNE = 600.0
LOOK_AT_CHECKS = 5.0
CANNOT_TELL_FOR = 900.0
MOST_NAMED = 5
STALL_WORTH_A_LINE = 0.25
STALL_TOO_LONG = 5.0
CALM_AFTER = 60.0
WATCHDOG_TIMEOUT = 10.0


def run(app: App) -> Coroutine[None, None, None]:
    """Do all of it until cancelled; files that change after this call are noticed, even before it is awaited."""
    return _run(app, Files(app))


async def _run(app: App, files: Files) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_pulse(app), name="pulse")
        group.create_task(_every(LOOK_AT_FILES, lambda: files.look(app)), name="files")
        group.create_task(_every(PRUNE, lambda: _prune(app)), name="prune")
        group.create_task(_every(LOOK_AT_CHECKS, lambda: _who_cannot_tell(app)), name="checks")
        group.create_task(_watchdog(app), name="watchdog")


async def _every(seconds: float, do: Callable[[], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due = max(due + seconds, loop.time())
        await asyncio.sleep(due - loop.time())
        await do()


async def _pulse(app: App) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    calm_since = jumped_at = due
    while True:
        due += BEAT
        await asyncio.sleep(max(0.0, due - loop.time()))
        lag = loop.time() - due
        app.impaired.beat()
        app.metrics.loop_lag.observe(max(0.0, lag))
        if lag > STALL_WORTH_A_LINE:
            log.warning("event loop stood still", seconds=lag)
            due = loop.time()
        if lag > STALL_TOO_LONG:
            calm_since = loop.time()
            app.own_trouble("loop", f"the event loop stood still for {lag:.1f} s")
        elif loop.time() - calm_since > CALM_AFTER:
            app.own_trouble("loop", "")
        if jump := app.clock.stepped():
            jumped_at = loop.time()
            _jumped(app, jump)
        elif loop.time() - jumped_at > CALM_AFTER:
            app.own_trouble("clock", "")
        _look(app)


async def _who_cannot_tell(app: App) -> None:
    app.own_trouble("checks", cannot_tell(app.state, app.engine.plan, app.clock.now()))


def cannot_tell(state: State, plan: Plan, now: float) -> str:
    """Which checks have not been able to tell for long, and why, where no threshold of theirs says so; else empty."""
    long = state.unable(now - CANNOT_TELL_FOR)
    if long:
        told = plan.asking_for("error")
        long = [known for known in long if known.check.key not in told]
    if not long:
        return ""
    shown = "; ".join(f"{known.check.key}: {known.result.sentence[:200]}" for known in long[:MOST_NAMED])
    more = f"; and {len(long) - MOST_NAMED} more" if len(long) > MOST_NAMED else ""
    checks = "1 check has" if len(long) == 1 else f"{len(long)} checks have"
    return f"{checks} not been able to tell for {show_duration(CANNOT_TELL_FOR)}: {shown}{more}"


async def _prune(app: App) -> None:
    await app.history.prune(app.clock.now(), app.config.checks)
    try:
        await app.store.prune()
    except NotKept as why:
        log.warning("ledger not pruned", why=str(why))


async def _watchdog(app: App) -> None:
    while True:
        watchdog = app.config.watchdog
        if watchdog is not None:
            await _ping(app, watchdog)
        await asyncio.sleep(watchdog.interval if watchdog is not None else 60.0)


def _jumped(app: App, seconds: float) -> None:
    app.metrics.clock_steps.inc()
    app.engine.judging.dirty = True  # silences and calendars go by the wall clock
    log.warning("wall clock jumped", seconds=seconds, why="holds, back-offs and schedules are not affected")
    way = "forward" if seconds > 0 else "back"
    app.own_trouble("clock", f"the wall clock jumped {way} by {show_duration(abs(seconds))}")


def _look(app: App) -> None:
    app.engine.wall_ahead = app.clock.wall_ahead
    app.own_trouble("store", app.pager.trouble)
    app.engine.judging.overdue(app.clock.now())
    if app.engine.stirred:
        app.note_transitions()
        app.pager.wake()


class Files:
    """Notices that the configuration's files changed: content, names in their folders, and swapped symlinks alike."""

    def __init__(self, app: App) -> None:
        self._seen: tuple[object, ...] | None = _signature(app.config.files)

    async def look(self, app: App) -> None:
        """Reload when something is different, and once more where that brought other files."""
        files = app.config.files
        now = _signature(files)
        if now != self._seen:
            await app.reload("file change")
            # As it was before they were read: what changes while they are read is different the next time.
            self._seen = now if app.config.files == files else None


def _signature(files: tuple[Path, ...]) -> tuple[object, ...]:
    marks: list[object] = []
    for file in files:
        # stat() follows symlinks, so the swap of a ConfigMap's ..data shows as another inode.
        try:
            stat = file.stat()
            marks.append((str(file), stat.st_ino, stat.st_mtime_ns, stat.st_size))
        except OSError:
            marks.append((str(file), None))
    for folder in sorted({file.parent for file in files}):
        try:
            marks.append(sorted(entry.name for entry in folder.iterdir() if entry.suffix in (".yaml", ".yml")))
        except OSError:
            marks.append(None)
    return tuple(marks)


async def _ping(app: App, watchdog: Watchdog) -> None:
    # What watches us must hear nothing while we see nothing, even where it can be reached.
    if unhealthy(app) or app.impaired.blind:
        return
    try:
        async with app.http.get(watchdog.url.reveal(), timeout=aiohttp.ClientTimeout(WATCHDOG_TIMEOUT)) as answer:
            if answer.status >= 400:
                log.warning("watchdog not told", url=str(watchdog.url), why=f"it answered {answer.status}")
    except (aiohttp.ClientError, TimeoutError) as why:
        log.warning("watchdog not told", url=str(watchdog.url), why=str(why) or "no answer")


def unhealthy(app: App) -> str:
    """Why the daemon does not do its work: the scheduler stands still, or nothing can be kept. Empty when it does."""
    due = app.scheduler.next_due
    if due is not None and asyncio.get_running_loop().time() - due > STALL_TOO_LONG:
        return "the scheduler stands still"
    return app.pager.trouble
