"""The daemon as a whole: builds, starts, reloads and stops its parts, and holds no logic of theirs."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from aiohttp import web

from alerts import self_checks
from alerts.delivery import Attempt, Delivery
from alerts.engine import Engine
from alerts.notifiers.base import Notifier
from alerts.pager import Pager
from alerts.templates import AS_KEPT
from checks import kinds
from checks.base import Check, Outcome, Result
from monitor import housekeeping, slack_socket, voice
from monitor.api.server import application, bound_address
from monitor.clock import Clock
from monitor.config import Config, ConfigError, load
from monitor.drill import Drills
from monitor.impaired import Impaired
from monitor.logs import Redact, Writer
from monitor.memories import Memories
from monitor.metrics import Metrics
from monitor.planning import plan_of
from monitor.prober import Prober
from monitor.scheduler import Scheduler
from monitor.series import Series
from monitor.state import State
from monitor.store.history import History, results_beside
from monitor.store.sqlite import SqliteStore

log = structlog.get_logger()

LET_DELIVERIES_END = 2.0
KEPT_ALIVE = 2.0


class App:
    """One daemon. `build` does everything that can fail, sockets included; `run` goes on until told to stop."""

    def __init__(
        self,
        config: Config,
        where: Path,
        environ: Mapping[str, str],
        writer: Writer,
        redact: Redact,
        clock: Clock | None = None,
    ) -> None:
        self.config = config
        self.where = where
        self.environ = environ
        self.writer = writer
        self.debug = config.log_level == "debug"
        self.clock = clock or Clock()
        self.metrics = Metrics()
        self.series = Series()
        self.state = State()
        self.address = ""
        self.trouble: dict[str, str | None] = dict.fromkeys(self_checks.WATCHED)
        self._redact = redact
        self._stack = AsyncExitStack()
        self._threads = ThreadPoolExecutor(1, "runwatch-config")
        self._stopping = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    # --- life --------------------------------------------------------------------------------------------------

    async def build(self) -> None:
        """Open the store, bind the socket, put every part in its place. Raises StoreUnusable or OSError."""
        config = self.config
        self._redact.secrets = config.secrets
        path = Path(config.store.removeprefix("sqlite://"))
        self.store = SqliteStore(path)
        self._stack.callback(self.store.close)
        self.history = History(results_beside(path))
        self._stack.callback(self.history.close)
        kept = self.store.load()
        self.engine = Engine(plan_of(config), kept, self.clock.now(), self.clock.wall_ahead)
        self.engine.replan(self.engine.plan, self.clock.now())
        self.pager = Pager(self.engine, self.store, self.clock.now, self.ask, self._decided)
        # A connection is kept for a burst, not for the hour until the next page: by then the receiver has closed it.
        connector = aiohttp.TCPConnector(keepalive_timeout=KEPT_ALIVE)
        self.http = aiohttp.ClientSession(connector=connector, auto_decompress=True, trust_env=True)
        self._stack.push_async_callback(self.http.close)
        self.delivery = Delivery(
            self.http, self.clock.now, self._notifier, self.pager.write, self.pager.fall_over, self._attempted
        )
        self.delivery.references = dict(kept.references)
        self.delivery.submit(kept.parcels)
        self.pager.delivery = self.delivery
        self.impaired = Impaired(
            config.impaired, path.parent, self.clock.now, self.own_trouble, self._outcome_of, self.ask
        )
        self.drills = Drills(self)
        self.prober = Prober(
            self.clock.now, self._result, self.engine.judging.answers.suspect, self._skipped,
            self.metrics.lateness.observe, self.impaired, self.clock.wall,
        )  # fmt: skip
        self.memories = Memories(self.prober, self.history, config.checks)
        for probe in self.history.probes(self.engine.judging.answers.reach(), self.clock.now()):
            self.engine.judging.answers.recall(*probe)
        self.scheduler = Scheduler(self.prober.launch, self._skipped)
        runner = web.AppRunner(application(self), access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, config.server.host, config.server.port)
        await site.start()
        self.address = bound_address(runner, config.server.external_url)
        self.metrics.reloaded.set(1)
        self.metrics.reloaded_at.set(self.clock.now())
        if kept.alerts or kept.parcels:
            log.info("taken up again", alerts=len(kept.alerts), undelivered=len(kept.parcels))

    async def run(self) -> None:
        """Watch until SIGTERM or SIGINT; then stop in order, within five seconds."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.reload_soon, "SIGHUP")
        self.scheduler.plan(self.config.checks)
        self.metrics.checks.set(len(self.config.checks))
        self._tasks = [
            loop.create_task(self.pager.run(), name="pager"),
            loop.create_task(self.delivery.run(), name="delivery"),
            loop.create_task(housekeeping.run(self), name="housekeeping"),
            loop.create_task(self.drills.run(), name="drills"),
            loop.create_task(self.impaired.run(), name="impaired"),
        ]
        hook = self.config.on_call.hooks.slack
        if hook is not None and hook.app_token is not None:
            self._tasks.append(loop.create_task(slack_socket.run(self, hook), name="slack socket"))
        self.own_trouble("configuration", "")
        log.info("watching", checks=len(self.config.checks), page=self.address)
        voice.warnings(self.config)
        stopping = loop.create_task(self._stopping.wait(), name="stop")
        ended, _ = await asyncio.wait([*self._tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        await self._teardown()
        for task in ended - {stopping}:
            task.result()

    def stop(self) -> None:
        """End `run`."""
        self._stopping.set()

    async def _teardown(self) -> None:
        log.info("stopping", undelivered=len(self.delivery.pending))
        self.scheduler.stop()
        await self.prober.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.pager.step()
        await self.delivery.finish(LET_DELIVERIES_END)
        await self.close()
        log.info("stopped", undelivered=len(self.delivery.pending))

    async def close(self) -> None:
        """Let go of everything that `build` took, last first."""
        self._threads.shutdown(wait=False)
        await self._stack.aclose()

    # --- the way of a datum --------------------------------------------------------------------------------------

    def _result(self, check: Check, result: Result) -> None:
        now = self.clock.now()
        if self.config.checks.get(check.key) != check:
            return  # asked under a configuration that is no longer
        before = self.state.take(check, result)
        self.series.update(check, result)
        remembered = self.engine.judging.observe(check.key, result, now)
        self.history.keep(check.key, result, remembered)
        self.memories.take(check, now)
        if before is not None:
            voice.change(check, result)
        elif self.debug:
            log.debug("probed", check=check.key, outcome=result.outcome, took=round(result.took, 6))
        if self.engine.stirred:
            self.note_transitions()
            self.pager.wake()

    def _diagnose(self) -> None:
        wanted, self.engine.judging.diagnoses.wanted = self.engine.judging.diagnoses.wanted, []
        for key in wanted:
            if key in self.config.checks:
                self.prober.diagnose(self.config.checks[key], self._diagnosed)

    def _diagnosed(self, key: str, evidence: list[tuple[str, str]]) -> None:
        self.engine.judging.diagnosed(key, evidence)
        self.pager.wake()

    def note_transitions(self) -> None:
        """Log what became of alerts since last asked, and keep why; have looked at what begins to fire."""
        now, judging = self.clock.now(), self.engine.judging
        for transition in judging.transitions:
            voice.transition(transition)
            self.engine.findings.note(transition.alert, now, transition.event, transition.why)
        judging.transitions.clear()
        self._diagnose()

    def _decided(self) -> None:
        """After each decision: log and keep what led to it."""
        self.note_transitions()
        decisions = self.engine.findings.decisions
        if decisions:
            self.history.keep_decisions(decisions)
            decisions.clear()

    def _skipped(self, check: Check) -> None:
        self.metrics.skipped.inc()

    def ask(self, keys: set[str]) -> None:
        """Have these checks asked at once, but for those that are being asked."""
        for key in keys:
            if not self.prober.is_running(key):
                self.scheduler.ask_now(key)

    def _outcome_of(self, key: str) -> Outcome | None:
        known = self.state.get(key)
        return None if known is None else known.result.outcome

    def _notifier(self, destination: Mapping[str, Any]) -> Notifier:
        kind = kinds.load(
            "alerts.notifiers", str(destination["kind"]), Notifier, self.config.plugins, "runwatch.notifiers"
        )
        return kind.model_validate(destination["config"], context=AS_KEPT)

    def _attempted(self, attempt: Attempt) -> None:
        self.metrics.count_attempt(attempt, self.clock.now())
        voice.attempt(attempt)
        self.drills.attempted(attempt)
        self.pager.attempted(attempt.parcel, attempt.status, attempt.why)

    @property
    def ready(self) -> bool:
        """Whether checks are being asked."""
        return bool(self._tasks)

    def refresh_metrics(self) -> None:
        """Bring the gauges up to date that are only looked at when somebody scrapes."""
        metrics, pending = self.metrics, self.delivery.pending
        metrics.running.set(self.prober.running)
        metrics.count_alerts(self.engine.judging.live())
        metrics.pending.set(len(pending))
        metrics.count_suppressed(self.engine.suppressed)
        oldest = min((parcel.created for parcel in pending), default=None)
        metrics.oldest.set(0.0 if oldest is None else max(0.0, self.clock.now() - oldest))
        metrics.commit.set(self.store.commit_seconds)
        metrics.queued.set(self.history.waiting)
        metrics.advance(metrics.dropped, self.history.dropped)
        metrics.advance(metrics.log_dropped, self.writer.dropped)

    # --- the monitor's own trouble -------------------------------------------------------------------------------

    def own_trouble(self, name: str, trouble: str, ended: str = "") -> None:
        """State what is wrong with one part of the monitor itself, or that nothing is (the empty text).

        `ended` is what to say to those who were told of the trouble.
        """
        if trouble != self.trouble[name]:
            self.trouble[name] = trouble
            self.metrics.impaired.labels(name).set(bool(trouble))
            now = self.clock.now()
            self.engine.judging.observe(f"{self_checks.SYSTEM}/{name}", self_checks.verdict(trouble, now, ended), now)
            self.note_transitions()
            self.pager.wake()

    # --- reload --------------------------------------------------------------------------------------------------

    def reload_soon(self, why: str) -> asyncio.Task[str]:
        """Begin to take over the configuration anew; the task's result is "" or what is wrong with it."""
        task = asyncio.get_running_loop().create_task(self.reload(why), name="reload")
        self._tasks.append(task)  # type: ignore[arg-type]
        task.add_done_callback(self._tasks.remove)  # type: ignore[arg-type]
        return task

    async def reload(self, why: str) -> str:
        """Take over the configuration as it is now on disk, or go on with the old one and say so."""
        async with self._reloading:
            loop = asyncio.get_running_loop()
            try:
                config = await loop.run_in_executor(self._threads, load, self.where, self.environ)
            except ConfigError as error:
                trouble = error.brief()
                log.error("configuration refused", cause=why, why=trouble)
                self.metrics.reloaded.set(0)
                self.own_trouble("configuration", trouble)
                return trouble
            self.metrics.reloaded.set(1)
            self.metrics.reloaded_at.set(self.clock.now())
            self.own_trouble("configuration", "")
            if config.digest != self.config.digest:
                self._adopt(config, why)
            return ""

    def _adopt(self, config: Config, why: str) -> None:
        old, self.config = self.config, config
        gone = {key for key, check in old.checks.items() if config.checks.get(key) != check}
        self.memories.replace(old.checks, config.checks, gone)
        self.series.forget(gone)
        self.state.forget(gone)
        self._redact.secrets = config.secrets
        self.engine.replan(plan_of(config), self.clock.now())
        self.impaired.adopt(config.impaired)
        self.scheduler.plan(config.checks)
        self.drills.replan()
        self.metrics.checks.set(len(config.checks))
        fresh = sum(key not in old.checks for key in config.checks)
        removed = sum(key not in config.checks for key in old.checks)
        log.info("configuration taken over", cause=why, new=fresh, removed=removed, changed=len(gone) - removed)
        if (config.server, config.store) != (old.server, old.store):
            log.warning("restart needed", why="server and store are read at the start only")
        voice.warnings(config)
        self.note_transitions()
        self.pager.wake()
