"""Reads a BullMQ queue (versions 4 to 6) from its keys: no script is run, nothing is written."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from checks.base import Run
from checks.parts.queue.bullmq_answers import (
    ENDED,
    MOST_ACTIVE,
    SETS,
    Job,
    Standing,
    due_score,
    texts,
    told_of,
    worker_names,
)
from checks.parts.queue.reading import absent, age, count, seen, told
from checks.parts.queue.share import ended_by_counters, known_since
from checks.parts.redis.answers import number, parse_info
from checks.parts.redis.link import Link
from checks.parts.redis.resp import Refused, Reply
from checks.units import Duration
from checks.wire.certificates import visible

MOST_CLIENTS = 2000
MOST_NAMED = 8
"""Jobs that the first look names at most, one from each end."""
GRACE = 5.0
"""Seconds that a worker may take to notice that a delayed job is due."""
LAG = 2.0
"""Seconds by which the clocks of workers may be behind ours, for what is counted between two probes."""
SHOWN = 5


class BullMq(BaseModel):
    """A BullMQ queue."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="The queue's name.")
    prefix: str = Field(default="bull", min_length=1, description="The prefix of its keys, as its Queue was given it.")
    window: Duration = Field(default=3600.0, ge=60, description="What delivered_ratio is taken over.")
    minimum: int = Field(default=50, ge=1, description="Jobs that delivered_ratio is taken over at least.")
    workers: bool = Field(
        default=True,
        description=f"Whether to look for workers by CLIENT LIST; never among over {MOST_CLIENTS} clients.",
    )
    show_failures: bool = Field(
        default=False, description="Whether pages show why the last jobs failed: such texts may hold personal data."
    )

    @property
    def queue(self) -> str:
        """Its identity."""
        return f"{self.prefix}:{self.name}"

    @property
    def rights(self) -> str:
        """What our user needs."""
        clients = " +info +client|list" if self.workers else ""
        return f"~{self.prefix}:{self.name}:* +exists +hmget +llen +lrange +zcard +zrange +zcount{clients}"

    @property
    def asks(self) -> tuple[int, int]:
        """Commands that one look takes, as a rule and at most."""
        first = len(self._first(0.0)) + self.workers
        return first + 2 * len(ENDED) + 2, first + 2 * len(ENDED) + 1 + MOST_ACTIVE + MOST_NAMED

    async def read(self, link: Link, run: Run) -> None:
        """Record all of it; three round trips. Raises as `told`."""
        said = await told(link, self._first(run.at), may_refuse=("clients",))
        standing = Standing.read(said)
        if not standing.exists:
            raise absent(
                run, self.queue, f"there is no BullMQ queue {self.queue!r} at {link.door}{await self._near(link)}"
            )
        seen(run, self.queue)
        self._record(run, standing)
        await self._look_closer(link, run, standing)
        if self.workers:
            await self._workers(link, run, said["clients"])

    def key(self, part: str) -> str:
        """The key of a part of the queue, or of a job."""
        return f"{self.prefix}:{self.name}:{part}"

    def _first(self, now: float) -> dict[str, tuple[str, ...]]:
        key = self.key
        asked: dict[str, tuple[str, ...]] = {
            "exists": ("EXISTS", key("meta"), key("id")),
            "meta": ("HMGET", key("meta"), "paused"),
            **{name: ("LLEN", key(name)) for name in ("wait", "paused", "active")},
            **{name: ("ZCARD", key(name)) for name in SETS},
            "overdue": ("ZCOUNT", key("delayed"), "0", due_score(now - GRACE)),
            "wait end": ("LRANGE", key("wait"), "-2", "-1"),
            "paused end": ("LRANGE", key("paused"), "-2", "-1"),
            "first prioritized": ("ZRANGE", key("prioritized"), "0", "0"),
            "taken": ("LRANGE", key("active"), str(-MOST_ACTIVE), "-1"),
            **{f"{name} first": ("ZRANGE", key(name), "0", "0", "WITHSCORES") for name in ENDED},
            **{f"{name} counter": ("HMGET", key(f"metrics:{name}"), "count") for name in ENDED},
            "newest": ("ZRANGE", key("completed"), "-1", "-1"),
        }
        return asked | ({"clients": ("INFO", "clients")} if self.workers else {})

    def _record(self, run: Run, standing: Standing) -> None:
        run.record("paused", float(standing.paused))
        run.record("waiting", standing.waiting)
        run.record("active", standing.active)
        run.record("overdue", standing.overdue)
        for name, size in standing.cards.items():
            run.record(name.replace("-", "_"), size)

    async def _look_closer(self, link: Link, run: Run, standing: Standing) -> None:
        """Ask about the jobs that the first look named, and count those that ended."""
        key = self.key
        since = known_since(run, self.window, standing.ends)
        before, until = run.kept.get("counted"), int((run.at - LAG) * 1000)
        after = before if isinstance(before, int) else until
        spans = {
            "window": ("+inf" if since is None else str(int(since * 1000)), "+inf"),
            "new": (f"({after}", str(until)),
        }
        jobs = dict.fromkeys([*standing.next, *standing.newest, *standing.taken[-1:]])
        said = await told(
            link,
            {f"lock {job}": ("EXISTS", key(f"{job}:lock")) for job in standing.taken}
            | {"still taken": ("LRANGE", key("active"), str(-MOST_ACTIVE), "-1")}
            | {f"job {job}": ("HMGET", key(job), "timestamp", "processedOn", "opts") for job in jobs}
            | {f"{span} {name}": ("ZCOUNT", key(name), *spans[span]) for span in spans for name in ENDED},
        )
        run.kept["counted"] = until
        # A job that ended between the two looks has no lock either, but is active no more.
        still = set(texts(said["still taken"]))
        run.record("stalled", sum(job in still and not said[f"lock {job}"] for job in set(standing.taken)))
        self._record_ages(run, standing, {job: Job.read(said[f"job {job}"]) for job in jobs})
        completed, failed = standing.counters
        if completed is not None:
            # The workers count: nothing is lost where jobs are removed as soon as they end.
            run.rate("completed_per_second", completed)
            run.rate("failed_per_second", failed or 0.0)
            self._share(run, *ended_by_counters(run, self.window, completed, failed or 0.0))
            return
        for name in ENDED:
            first = standing.ends[name]
            # Where the oldest that is kept ended after the last probe, others may be gone again.
            whole = first * 1000 <= after or since is not None if first is not None else name == "failed"
            if until > after and whole:
                run.record(f"{name}_per_second", count(said[f"new {name}"]) / (until - after) * 1000)
        kept = standing.newest and all(Job.read(said[f"job {job}"]).keeps_failed for job in standing.newest)
        if kept and since is not None:
            self._share(run, count(said["window completed"]), count(said["window failed"]))

    def _record_ages(self, run: Run, standing: Standing, jobs: dict[str, Job]) -> None:
        ready = [at for job in standing.next if (at := jobs[job].ready) is not None]
        if ready or not standing.waiting:
            run.record("oldest_seconds", max((age(run, at) for at in ready), default=0.0))
        taken = [at for job in standing.taken[-1:] if (at := jobs[job].processed) is not None]
        if taken or not standing.active:
            run.record("active_oldest_seconds", max((age(run, at) for at in taken), default=0.0))

    def _share(self, run: Run, completed: float, failed: float) -> None:
        run.record("finished", completed + failed)
        if completed + failed >= self.minimum:
            run.record("delivered_ratio", completed / (completed + failed))

    async def _workers(self, link: Link, run: Run, clients: Reply) -> None:
        connected = number(parse_info(clients), "connected_clients")
        if connected is not None and connected > MOST_CLIENTS:
            return
        [listed] = await link.ask(("CLIENT", "LIST"))
        if isinstance(listed, Refused):
            run.evidence("workers not read", f"{link.refusal(listed, 'CLIENT').sentence}; or set workers: false")
        elif isinstance(listed, str):
            run.record("workers", len(worker_names(self.prefix, self.name, listed)))
        run.record("parts_unread", float(isinstance(listed, Refused)))

    async def _near(self, link: Link) -> str:
        """Queues that are there instead, for the sentence: one step of SCAN, so perhaps not all of them."""
        [reply] = await link.ask(("SCAN", "0", "MATCH", f"{self.prefix}:*:meta", "COUNT", "1000"))
        match reply:
            case [str(), [*found]]:
                cut = len(self.prefix) + 1
                names = sorted(key[cut : -len(":meta")] for key in found if isinstance(key, str))
                known = ", ".join(visible(name, 40) for name in names[:SHOWN])
                return f" (there are {known})" if known else ""
        return ""

    async def diagnose(self, link: Link, run: Run) -> None:
        """The last failed jobs, the oldest that wait, who works."""
        key, last = self.key, str(-SHOWN)
        failed, waiting, active, listed = await link.ask(
            ("ZRANGE", key("failed"), last, "-1"), ("LRANGE", key("wait"), last, "-1"),
            ("LRANGE", key("active"), last, "-1"), ("CLIENT", "LIST"),
        )  # fmt: skip
        fields = ("name", "attemptsMade", "atm", *(("failedReason",) if self.show_failures else ()))
        jobs = texts(failed)[::-1]
        replies = await link.ask(*(("HMGET", key(job), *fields) for job in jobs)) if jobs else []
        lines = [f"{visible(job, 60)}: {told_of(reply)}" for job, reply in zip(jobs, replies, strict=True)]
        for title, text in (
            ("last failed jobs", "\n".join(lines)),
            ("jobs that wait longest", ", ".join(visible(job, 60) for job in texts(waiting)[::-1])),
            ("jobs that are worked on longest", ", ".join(visible(job, 60) for job in texts(active)[::-1])),
        ):
            if text:
                run.evidence(title, text)
        if isinstance(listed, str) and not isinstance(listed, Refused):
            names = [visible(name, 60) for name in worker_names(self.prefix, self.name, listed)]
            run.evidence("workers", f"{len(names)}: {', '.join(names[:10])}" if names else "none")
