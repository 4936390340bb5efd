"""Asks Temporal how long its task queues are, whether anybody works on them, and how many workflows fail."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib import import_module
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from checks.base import DIAGNOSIS, DURATION, Asks, Check, Errored, Failed, Measurement, Reason, Recommended, Run, Url
from checks.parts import network as _network
from checks.parts.pool import in_pool
from checks.parts.vendors.temporal import REGISTERED, Frontend, Queue
from checks.units import Duration, show_duration
from checks.wire.certificates import visible
from checks.wire.fault import WireError
from checks.wire.http1 import Stream
from checks.wire.patience import Patience

PORT = 7233
LIVE = 90.0
"""Seconds since its last poll for which a poller lives: a long poll takes 60; the server lists dead ones for 300."""
HTTP2 = "checks.wire.http2"
COUNTED = "temporal's counts"
QUEUES = "temporal's queues"
SHOWN = 10

BY = ("task_queue", "type")
M = Measurement
MEASUREMENTS = (
    DURATION,
    M("backlog", "count", "Tasks that wait, about; workflows that stick to a worker are not among them.", BY),
    M("backlog_age_seconds", "seconds", "How long the oldest of them waits.", BY),
    M("tasks_added_per_second", "per_second", "Tasks added, over the last 30 s.", BY),
    M("tasks_dispatched_per_second", "per_second", "Tasks handed to workers, over the last 30 s.", BY),
    M("pollers", "count", "Workers that polled in the last 90 s.", BY),
    M("workflows_closed", "count", "Workflows that closed in the window, by status; about.", ("status",)),
    M("workflow_failure_ratio", "ratio", "Of these, those that failed; continued as new counts for neither side."),
    M("requests", "count", "Calls that the probe made."),
    _network.EXPIRES,
    _network.EXPIRES_IN,
)
RECOMMENDED = (
    Recommended("QueueLong", "backlog > 1000", "high", "Workers do not keep up, or hang.", 120.0),
    Recommended("QueueGrows", "backlog > 500", "medium", "Time to add workers.", 300.0),
    Recommended(
        "WorkflowsFail", "workflow_failure_ratio > 1%", "high", "More than one workflow in a hundred fails.", 60.0
    ),
)

Kind = Literal["workflow", "activity", "nexus"]
Status = Literal["Failed", "TimedOut", "Terminated", "Canceled"]


class TaskQueue(BaseModel):
    """A task queue to look at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=1000, description="Its name.")
    types: tuple[Kind, ...] = Field(
        default=("workflow", "activity"), min_length=1, description="Which of its types: workflow, activity, nexus."
    )
    pollers: int = Field(default=1, ge=0, description="Workers that must poll each type; a mistyped name has none.")


class Failures(BaseModel):
    """How the failure of workflows is judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: Duration = Field(default=600.0, ge=10, le=604800, description="Time behind us that counts.")
    minimum: int = Field(default=20, ge=1, description="Closed workflows that the ratio is taken over at least.")
    statuses: tuple[Status, ...] = Field(default=("Failed", "TimedOut"), description="What counts as failed.")
    query: str = Field(default="", max_length=2000, description="Only workflows that this query finds.")
    every: Duration = Field(default=60.0, ge=0, description="Counted no more often: Temporal Cloud limits it.")


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _settings(value: Any) -> Any:
    return _network.TlsSettings() if value is True else value


def _has_host(url: Url) -> Url:
    _network.endpoint(url, PORT)
    if url.parts.scheme != "tcp" or url.parts.path or url.parts.username:
        raise ValueError("an address such as shop.a1b2c.tmprl.cloud:7233 is wanted")
    return url


class Temporal(Check):
    """A Temporal server or a namespace of Temporal Cloud: task queues, who works on them, and workflows that fail."""

    measurements: ClassVar[tuple[Measurement, ...]] = MEASUREMENTS
    recommended: ClassVar[tuple[Recommended, ...]] = RECOMMENDED

    address: Annotated[Url, BeforeValidator(_network.with_scheme), AfterValidator(_has_host)] = Field(
        description="`host:port` of the frontend; without a port, 7233."
    )
    namespace: str = Field(
        default="default", pattern=r"^[\x21-\x7e]{1,255}$", description="Namespace; in Temporal Cloud name.account."
    )
    api_key: SecretStr = Field(default=SecretStr(""), description="API key; turns encryption on.")
    tls: Annotated[_network.TlsSettings | Literal[False] | None, BeforeValidator(_settings)] = Field(
        default=None, description="true, false or the settings of the encryption; without it, true where api_key is."
    )
    task_queues: tuple[Annotated[TaskQueue, BeforeValidator(_named)], ...] = Field(
        default=(), max_length=50, description="Task queues to look at: names, or mappings."
    )
    failures: Failures | None = Field(default=Failures(), description="Workflows that fail; null leaves it out.")

    @model_validator(mode="after")
    def _key_stays_secret(self) -> Self:
        key = self.api_key.get_secret_value()
        if not key.isascii() or not (key.isprintable() or not key):
            raise ValueError("api_key holds what can't be in a header")
        local = self.address.parts.hostname in ("localhost", "127.0.0.1", "::1")
        if key and self.tls is False and not local:
            raise ValueError("api_key would be sent in the open with tls: false")
        return self

    @property
    def target(self) -> str:
        """The frontend and the namespace."""
        return f"{_network.endpoint(self.address, PORT)}/{self.namespace}"

    def asks(self) -> tuple[Asks, ...]:
        """A call for the namespace and for each queue's types; at times one to count; of an old server its version."""
        looks = 1 + sum(len(one.types) for one in self.task_queues)
        counts = self.interval / max(self.interval, self.failures.every) if self.failures else 0.0
        return (Asks(self.target, looks + counts, looks + 1, "calls", diagnosis=1),)

    async def probe(self, run: Run) -> None:
        """Ask for the namespace, each queue, and at times the counts: one connection, one call after the other."""
        trip = _network.Trip()
        try:
            async with self._frontend(run, trip, self.timeout) as frontend:
                await self._ask(frontend, run)
        except WireError as error:
            raise _network.translated(error) from None
        finally:
            _network.record_expiry(run, trip.chain)
        run.timed(trip.total(), trip.clock)

    @asynccontextmanager
    async def _frontend(self, run: Run, trip: _network.Trip, seconds: float) -> AsyncIterator[Frontend]:
        if HTTP2 not in sys.modules:
            await in_pool(run, import_module, HTTP2)
        to, key = _network.endpoint(self.address, PORT), self.api_key.get_secret_value()
        tls = _network.TlsSettings() if self.tls is None and key else self.tls
        with Patience(seconds) as patience:
            line = await _network.reach(to, "any", patience, trip)
            with line:
                stream: Stream = line
                if tls:
                    trust, name = tls.trust(protocols=("h2",)), _network.sni(to, tls)
                    stream = await _network.encrypt(line, trust, name, patience, trip)
                yield Frontend(
                    stream, patience, trip, run, name=f"Temporal at {to}", namespace=self.namespace,
                    authority=str(to), api_key=key, secure=bool(tls),
                )  # fmt: skip
                trip.kernel = trip.kernel and line.kernel

    async def _ask(self, frontend: Frontend, run: Run) -> None:
        state = await frontend.namespace_state()
        if state != REGISTERED:
            words = {2: "deprecated", 3: "deleted"}.get(state, f"in state {state}")
            raise Failed(Reason.ASSERTION, f"namespace {self.namespace} of {frontend.name} is {words}")
        queues: dict[tuple[str, str], Queue] = {}
        for one in self.task_queues:
            for kind in one.types:
                queues[one.name, kind] = await frontend.queue(one.name, kind)
        if any(queue.backlog is None for queue in queues.values()):
            version = visible(await frontend.version(), 40)
            raise Errored(
                Reason.PROTOCOL, f"{frontend.name} is of version {version}, which reports no backlog of queues"
            )
        run.memory[QUEUES] = queues
        for (name, of), queue in queues.items():
            _record(run, name, of, queue)
        if self.failures:
            await self._count(self.failures, frontend, run)
        run.record("requests", frontend.requests)
        self._judge(queues, run)

    async def _count(self, wanted: Failures, frontend: Frontend, run: Run) -> None:
        at, counts = run.memory.get(COUNTED, (None, {}))
        if at is None or not 0 <= run.at - at < wanted.every:
            counts = await frontend.counted(_closed_since(run.at - wanted.window, wanted.query))
            run.memory[COUNTED] = run.at, counts
        for status, count in counts.items():
            run.record("workflows_closed", count, status=visible(status, 40))
        ended = sum(count for status, count in counts.items() if status not in ("ContinuedAsNew", "Running"))
        if ended >= wanted.minimum:
            run.record("workflow_failure_ratio", sum(counts.get(status, 0) for status in wanted.statuses) / ended)

    def _judge(self, queues: dict[tuple[str, str], Queue], run: Run) -> None:
        for one in self.task_queues:
            for kind in one.types:
                queue = queues[one.name, kind]
                live = sum(run.at - last < LIVE for _, last in queue.pollers)
                if live < one.pollers:
                    who = "no worker polls" if not live else f"only {live} of {one.pollers} workers poll"
                    raise Failed(
                        Reason.ASSERTION,
                        f"{who} task queue {one.name!r} for {kind} tasks, of which {queue.backlog} wait; "
                        "if nobody is meant to, say so by types or pollers",
                    )

    async def diagnose(self, run: Run) -> None:
        """Who polls the queues, and the workflows that failed last."""
        queues: dict[tuple[str, str], Queue] = run.memory.get(QUEUES, {})
        for (name, kind), queue in list(queues.items())[:4]:
            lines = [
                f"{visible(who, 100)}, {show_duration(max(0.0, run.at - last))} ago"
                for who, last in sorted(queue.pollers, key=lambda poller: -poller[1])[:SHOWN]
            ]
            run.evidence(f"who polled {name} ({kind})", "\n".join(lines) or "nobody")
        failures = self.failures or Failures()
        names = ", ".join(f'"{status}"' for status in failures.statuses)
        query = _closed_since(run.at - failures.window, failures.query) + f" AND ExecutionStatus IN ({names})"
        try:
            async with self._frontend(run, _network.Trip(), DIAGNOSIS * 0.9) as frontend:
                failed = await frontend.executions(query, SHOWN)
        except WireError as error:
            raise _network.translated(error) from None
        lines = [
            f"{visible(one.type, 60)} {visible(one.id)} {one.status} {show_duration(max(0.0, run.at - one.closed))} ago"
            for one in failed
        ]
        run.evidence("workflows that failed last", "\n".join(lines) or "none")


def _record(run: Run, name: str, kind: str, queue: Queue) -> None:
    labels = {"task_queue": name, "type": kind}
    run.record("backlog", queue.backlog or 0, **labels)
    run.record("backlog_age_seconds", queue.age, **labels)
    run.record("tasks_added_per_second", queue.added, **labels)
    run.record("tasks_dispatched_per_second", queue.dispatched, **labels)
    run.record("pollers", sum(run.at - last < LIVE for _, last in queue.pollers), **labels)


def _closed_since(since: float, query: str) -> str:
    moment = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f'CloseTime > "{moment}"' + (f" AND ({query})" if query else "")
