"""Turns what a cluster says into measurements and into what is wrong, and keeps what the next probe compares with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from checks.base import Run
from checks.parts import recent as _recent
from checks.parts.kubernetes.pods import CronJob, Job, Node, Pod, last_ended, troubles
from checks.parts.kubernetes.rollout import Rollout
from checks.units import show_duration
from checks.wire.certificates import visible

MOST_RESTARTED, MOST_UNFINISHED = 1_000, 500
"""Containers whose restarts, and workloads whose beginnings are remembered."""
TROUBLES = ("pods_crash_looping", "pods_image_failing", "pods_config_failing", "pods_pending")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things may take before they count, in seconds; `now` is the cluster's."""

    now: float
    recent: float
    pending: float
    rollout: float


@dataclass(slots=True)
class Wrong:
    """What is wrong, for the sentence; and the objects that a person would look at."""

    sentences: list[str] = field(default_factory=list)
    pods: list[Pod] = field(default_factory=list)
    workloads: list[tuple[str, str]] = field(default_factory=list)

    def add(self, sentence: str) -> None:
        """Something is wrong."""
        self.sentences.append(sentence)


def shown(namespace: str, name: str) -> str:
    """An object in sentences."""
    return f"{visible(namespace, 70)}/{visible(name, 140)}" if namespace else visible(name, 140)


def record_rollouts(run: Run, rollouts: Sequence[Rollout], patience: Patience, wrong: Wrong) -> None:
    """How far each workload is; one that has been at it for too long, or has none available, is wrong."""
    kept = run.kept.get("unfinished")
    before = kept if isinstance(kept, dict) else {}
    after = {}
    for one in rollouts:
        labels = {"namespace": one.namespace, "workload": one.name}
        unfinished = 0.0
        if not one.complete:
            key = f"{one.namespace}/{one.name}/{one.generation}"
            since: Any = before.get(key)
            since = since if type(since) in (int, float) and since <= patience.now else patience.now
            after[key] = since
            unfinished = patience.now - since
        run.record("rollout_complete", float(one.complete), **labels)
        run.record("rollout_unfinished_seconds", unfinished, **labels)
        run.record("replicas_desired", one.desired, **labels)
        run.record("replicas_updated", one.updated, **labels)
        run.record("replicas_available", one.available, **labels)
        run.record("replicas_unavailable", max(0, one.desired - one.available), **labels)
        said = _rollout_trouble(one, unfinished, patience)
        if said:
            wrong.add(f"{shown(one.namespace, one.name)}: {said}")
            wrong.workloads.append((one.namespace, one.name))
    run.kept["unfinished"] = dict(list(after.items())[:MOST_UNFINISHED])


def _rollout_trouble(one: Rollout, unfinished: float, patience: Patience) -> str:
    if one.broken:
        return f"its rollout failed: {one.broken}"
    settled = not one.created or patience.now - one.created > patience.rollout
    if one.desired and not one.available and settled:
        return f"none of its {one.desired} replicas is available"
    if one.waits and not one.paused and unfinished > patience.rollout:
        return f"its rollout has not been complete for {show_duration(unfinished)}: {one.waits}"
    return ""


def record_pods(run: Run, pods: Sequence[Pod], patience: Patience, wrong: Wrong) -> None:
    """Pods by phase and by workload: what is wrong, and what happened lately."""
    for (namespace, phase), count in sorted(Counter((one.namespace, one.phase) for one in pods).items()):
        run.record("pods", count, namespace=namespace, phase=phase)
    found = troubles(pods, patience.pending, patience.now)
    counted = Counter((what, one.namespace, one.workload) for what, one, _ in found)
    restarts, kills = _restarts(run, pods, patience), _kills(pods, patience)
    for namespace, workload in sorted({(one.namespace, one.workload) for one in pods}):
        labels = {"namespace": namespace, "workload": workload}
        for what in TROUBLES:
            run.record(what, counted[what, namespace, workload], **labels)
        fresh = restarts[namespace, workload]
        lately = _recent.happened(run, f"restarts {namespace}/{workload}", fresh, patience.recent)
        run.record("restarts_recent", lately, **labels)
        run.record("oom_kills_recent", kills[namespace, workload], **labels)
    told = set()
    for what, one, why in found:
        wrong.pods.append(one)
        if (what, one.namespace, one.workload) not in told:
            told.add((what, one.namespace, one.workload))
            others = counted[what, one.namespace, one.workload] - 1
            of = f" of {visible(one.workload, 140)}" if "/" in one.workload else ""
            more = f" (and {others} more{of})" if others else of
            wrong.add(f"pod {shown(one.namespace, one.name)}{more} {why}")


def _restarts(run: Run, pods: Sequence[Pod], patience: Patience) -> Counter[tuple[str, str]]:
    """New restarts by workload. One that was never seen counts once if it ended lately: it may be older than we are."""
    kept = run.kept.get("restarts")
    before = kept if isinstance(kept, dict) else {}
    after: dict[str, int] = {}
    found: Counter[tuple[str, str]] = Counter()
    for one in pods:
        for box in one.boxes:
            if not box.restarts:
                continue
            key = f"{one.uid}/{box.name}"
            known = before.get(key)
            if type(known) is int:
                fresh = max(0, box.restarts - known)
            else:
                fresh = int(patience.now - patience.recent < box.ended_at)
            found[one.namespace, one.workload] += fresh
            after[key] = box.restarts
    run.kept["restarts"] = dict(list(after.items())[:MOST_RESTARTED])
    return found


def _kills(pods: Sequence[Pod], patience: Patience) -> Counter[tuple[str, str]]:
    return Counter(
        (one.namespace, one.workload)
        for one in pods
        for box in one.boxes
        if box.ended == "OOMKilled" and patience.now - patience.recent < box.ended_at
    )


def record_cron_jobs(run: Run, crons: Sequence[CronJob], jobs: Sequence[Job], now: float, wrong: Wrong) -> None:
    """Each cron job by the jobs that it made."""
    for one in crons:
        made = [each for each in jobs if (each.namespace, f"cronjob/{each.maker}") == (one.namespace, one.name)]
        run.record("cronjob_suspended", float(one.suspended), namespace=one.namespace, workload=one.name)
        record_jobs(run, (one.namespace, one.name), made, one.succeeded, now, wrong)


def record_jobs(
    run: Run, name: tuple[str, str], jobs: Sequence[Job], succeeded: float, now: float, wrong: Wrong
) -> None:
    """One job, or those that one cron job made: the last that ended, the oldest that runs, the last success."""
    namespace, workload = name
    labels = {"namespace": namespace, "workload": workload}
    last = last_ended(jobs)
    if last is not None:
        run.record("job_failed", float(last.outcome == "Failed"), **labels)
        if last.outcome == "Failed":
            wrong.add(f"{shown(namespace, workload)}: its last job {visible(last.name, 80)} failed: {last.why}")
            wrong.workloads.append((namespace, f"job/{last.name}"))
    active = [now - one.started for one in jobs if not one.outcome]
    run.record("job_running_seconds", max(0.0, *active, 0.0), **labels)
    done = max([succeeded, *(one.ended for one in jobs if one.outcome == "Complete")])
    if done:
        run.record("job_success_age_seconds", max(0.0, now - done), **labels)


def record_nodes(run: Run, nodes: Sequence[Node], wrong: Wrong) -> None:
    """Which nodes are ready, and which are short of something."""
    run.record("nodes", len(nodes))
    run.record("nodes_not_ready", sum(not one.ready for one in nodes))
    for one in nodes:
        run.record("node_ready", float(one.ready), node=one.name)
        for condition, short in one.pressures.items():
            run.record("node_pressure", float(short), node=one.name, condition=condition)
        if not one.ready:
            wrong.add(f"node {visible(one.name, 140)} is not ready: {one.why}")
