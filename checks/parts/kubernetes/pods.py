"""Reads pods, jobs and nodes out of a cluster's answers, and says what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from checks.parts.json_values import dig, moment, text, values, whole
from checks.parts.kubernetes.rollout import LONGEST_NAME, named
from checks.units import show_duration
from checks.wire.certificates import visible

NO_IMAGE = frozenset(
    {"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
)
NO_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
LONGEST_UID, LONGEST_LABEL = 64, 63
PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")
PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure")
OWNERS = {"StatefulSet": "statefulset", "DaemonSet": "daemonset"}


@dataclass(frozen=True, slots=True)
class Box:
    """A container of a pod: why it waits, how it ended last."""

    name: str
    restarts: int
    waits: str
    waits_because: str
    ended: str
    exit_code: int
    ended_at: float
    message: str


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod, and the workload that it belongs to."""

    namespace: str
    name: str
    uid: str
    workload: str
    phase: str
    created: float
    unscheduled: str
    boxes: tuple[Box, ...]

    def waiting(self, reasons: frozenset[str]) -> Box | None:
        """The first container that waits for one of these reasons."""
        return next((box for box in self.boxes if box.waits in reasons), None)


def pod(item: Any) -> Pod:
    """A pod as the cluster tells it. Raises Failed where it has no name."""
    namespace, name = named(item, "pods")
    unscheduled = next(
        (
            text(condition, "message") or text(condition, "reason")
            for condition in values(item, "status", "conditions")
            if text(condition, "type") == "PodScheduled" and text(condition, "status") == "False"
        ),
        "",
    )
    uid, phase = text(item, "metadata", "uid")[:LONGEST_UID], text(item, "status", "phase")
    statuses = [*values(item, "status", "initContainerStatuses"), *values(item, "status", "containerStatuses")]
    return Pod(
        namespace, name, uid, _owner(item), phase if phase in PHASES else "Unknown",
        moment(text(item, "metadata", "creationTimestamp")), unscheduled, tuple(map(_box, statuses)),
    )  # fmt: skip


def _owner(item: Any) -> str:
    """What made it: a ReplicaSet and a Job carry the name of what made them. Bounded: it becomes a label."""
    for reference in values(item, "metadata", "ownerReferences"):
        if dig(reference, "controller") is not True:
            continue
        kind, name = text(reference, "kind"), text(reference, "name")[:LONGEST_NAME]
        if kind == "ReplicaSet":
            made = text(item, "metadata", "labels", "pod-template-hash")
            return f"deployment/{name.removesuffix(f'-{made}')}"
        if kind == "Job":
            cron = re.fullmatch(r"(.+)-\d{8,10}", name)
            return f"cronjob/{cron[1]}" if cron else "jobs"  # whose names are new each time
        return f"{OWNERS[kind]}/{name}" if kind in OWNERS else f"{visible(kind.lower(), 40)}s"
    return "pods"


def _box(status: Any) -> Box:
    now, last = dig(status, "state", "terminated"), dig(status, "lastState", "terminated")
    ended = now if isinstance(now, dict) else last
    return Box(
        text(status, "name")[:LONGEST_LABEL], whole(status, "restartCount"),
        text(status, "state", "waiting", "reason"), text(status, "state", "waiting", "message"),
        text(ended, "reason"), whole(ended, "exitCode"), moment(text(ended, "finishedAt")),
        text(ended, "message"),
    )  # fmt: skip


def troubles(pods: Sequence[Pod], pending_after: float, now: float) -> list[tuple[str, Pod, str]]:
    """What is wrong with pods: the measurement that counts it, the pod, and why."""
    found = []
    for one in pods:
        if box := one.waiting(frozenset({"CrashLoopBackOff"})):
            how = f"container {visible(box.name, 60)} ended with exit code {box.exit_code}"
            reason = f" ({visible(box.ended, 40)})" if box.ended else ""
            found.append(("pods_crash_looping", one, f"crashes again and again: {how}{reason}"))
        elif box := one.waiting(NO_IMAGE):
            why = f"{visible(box.waits, 40)}, {visible(box.waits_because, 200)}"
            found.append(("pods_image_failing", one, f"can't have the image of {visible(box.name, 60)}: {why}"))
        elif box := one.waiting(NO_CONFIG):
            why = f"{visible(box.waits, 40)}, {visible(box.waits_because, 200)}"
            found.append(("pods_config_failing", one, f"can't make container {visible(box.name, 60)}: {why}"))
        elif one.phase == "Pending" and one.created and now - one.created > pending_after:
            waits = next((box.waits for box in one.boxes if box.waits), "")
            why = visible(one.unscheduled or waits, 200)
            age = show_duration(now - one.created)
            found.append(("pods_pending", one, f"has been pending for {age}" + (f": {why}" if why else "")))
    return found


@dataclass(frozen=True, slots=True)
class Job:
    """A job: `outcome` is Complete, Failed or empty while it runs; `maker` is the cron job that made it."""

    namespace: str
    name: str
    maker: str
    started: float
    ended: float
    outcome: str
    why: str


def job(item: Any) -> Job:
    """A job as the cluster tells it. Raises Failed where it has no name."""
    namespace, name = named(item, "jobs")
    maker = next(
        (text(one, "name") for one in values(item, "metadata", "ownerReferences") if text(one, "kind") == "CronJob"), ""
    )
    outcome, why, ended = "", "", 0.0
    for condition in values(item, "status", "conditions"):
        if text(condition, "type") in ("Complete", "Failed") and text(condition, "status") == "True":
            outcome, ended = text(condition, "type"), moment(text(condition, "lastTransitionTime"))
            why = ", ".join(part for part in (text(condition, "reason"), text(condition, "message")) if part)
    started = moment(text(item, "status", "startTime")) or moment(text(item, "metadata", "creationTimestamp"))
    return Job(namespace, name, maker, started, ended, outcome, visible(why, 200))


def last_ended(jobs: Iterable[Job]) -> Job | None:
    """Of some jobs the one that ended last."""
    return max((one for one in jobs if one.outcome), key=lambda one: one.started, default=None)


@dataclass(frozen=True, slots=True)
class CronJob:
    """A cron job; `succeeded` is when one of its jobs last did, or when it was made."""

    namespace: str
    name: str
    succeeded: float
    suspended: bool


def cron_job(item: Any) -> CronJob:
    """A cron job as the cluster tells it. Raises Failed where it has no name."""
    namespace, name = named(item, "cronjobs")
    made = moment(text(item, "metadata", "creationTimestamp"))
    succeeded = moment(text(item, "status", "lastSuccessfulTime")) or made
    return CronJob(namespace, f"cronjob/{name}", succeeded, dig(item, "spec", "suspend") is True)


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the cluster; `why` it is not ready."""

    name: str
    ready: bool
    why: str
    pressures: dict[str, bool]


def node(item: Any) -> Node:
    """A node as the cluster tells it. Raises Failed where it has no name."""
    conditions = {text(one, "type"): one for one in values(item, "status", "conditions")}
    ready = conditions.get("Ready")
    why = text(ready, "message") or text(ready, "reason") or "it does not say"
    pressures = {name: text(conditions[name], "status") == "True" for name in PRESSURES if name in conditions}
    return Node(named(item, "nodes")[1], text(ready, "status") == "True", visible(why, 200), pressures)
