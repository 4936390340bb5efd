"""Says how far a rollout is, by the rules of `kubectl rollout status` (rollout_status.go of kubectl)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from checks.base import Failed, Reason
from checks.parts.json_values import dig, moment, number, text, values, whole
from checks.wire.certificates import visible

LONGEST_NAME = 253
KINDS = {"deployments": "deployment", "statefulsets": "statefulset", "daemonsets": "daemonset"}


@dataclass(frozen=True, slots=True)
class Rollout:
    """A workload and its replicas. `waits` says for what it is waiting, `broken` why it will not get further."""

    namespace: str
    name: str
    created: float
    generation: int
    paused: bool
    desired: int
    updated: int
    available: int
    waits: str
    broken: str

    @property
    def complete(self) -> bool:
        """Whether it is done, as kubectl sees it."""
        return not self.waits and not self.broken


def named(item: Any, what: str) -> tuple[str, str]:
    """Namespace and name of an object. Raises Failed where it has none."""
    name = text(item, "metadata", "name")[:LONGEST_NAME]
    if not name:
        raise Failed(Reason.PROTOCOL, f"the cluster listed something among its {what} that has no name")
    return text(item, "metadata", "namespace")[:LONGEST_NAME], name


def rollout(item: Any, resource: str) -> Rollout:
    """How far this object of `resource` (a key of KINDS) is."""
    namespace, name = named(item, resource)
    count = _counter(item)
    if resource == "daemonsets":
        desired = count("status", "desiredNumberScheduled")
        available, updated = count("status", "numberAvailable"), count("status", "updatedNumberScheduled")
    else:
        desired = count("spec", "replicas", otherwise=1)
        available, updated = count("status", "availableReplicas"), count("status", "updatedReplicas")
        if resource == "statefulsets" and dig(item, "status", "availableReplicas") is None:
            available = count("status", "readyReplicas")  # clusters before 1.22 count no others
    how = {"deployments": _deployment, "statefulsets": _statefulset, "daemonsets": _daemonset}[resource]
    generation, observed = count("metadata", "generation"), count("status", "observedGeneration")
    waits, broken = how(item, desired, available)
    if generation > observed:
        waits, broken = "its change has not been seen by the cluster yet", ""
    return Rollout(
        namespace, f"{KINDS[resource]}/{name}", moment(text(item, "metadata", "creationTimestamp")), generation,
        dig(item, "spec", "paused") is True, desired, updated, available, waits, broken,
    )  # fmt: skip


def _counter(item: Any) -> Any:
    def count(*path: str, otherwise: int = 0) -> int:
        # Absent is nought: zeros are left out of the answer.
        return otherwise if number(item, *path) is None else whole(item, *path)

    return count


def _deployment(item: Any, desired: int, available: int) -> tuple[str, str]:
    count = _counter(item)
    updated, replicas = count("status", "updatedReplicas"), count("status", "replicas")
    for condition in values(item, "status", "conditions"):
        if text(condition, "type") == "Progressing" and text(condition, "reason") == "ProgressDeadlineExceeded":
            return "", f"it exceeded its progress deadline: {visible(text(condition, 'message'), 200)}"
    if updated < desired:
        return f"{updated} of {desired} replicas are of the new version", ""
    if replicas > updated:
        return f"{replicas - updated} replicas of the old version are still there", ""
    if available < updated:
        return f"{available} of {updated} replicas are available", ""
    return "", ""


def _statefulset(item: Any, desired: int, available: int) -> tuple[str, str]:
    count = _counter(item)
    ready, updated = count("status", "readyReplicas"), count("status", "updatedReplicas")
    if ready < desired:
        return f"{ready} of {desired} replicas are ready", ""
    if text(item, "spec", "updateStrategy", "type") == "OnDelete":
        return "", ""  # it changes when somebody deletes its pods: there is no rollout to wait for
    partition = number(item, "spec", "updateStrategy", "rollingUpdate", "partition")
    if partition is not None:  # also 0, which clusters fill in: then kubectl looks at no revision
        wanted = desired - int(partition)
        return (f"{updated} of {wanted} replicas are of the new version", "") if updated < wanted else ("", "")
    current, newest = text(item, "status", "currentRevision"), text(item, "status", "updateRevision")
    if newest != current:
        return f"{updated} of {desired} replicas are of the new version", ""
    return "", ""


def _daemonset(item: Any, desired: int, available: int) -> tuple[str, str]:
    updated = _counter(item)("status", "updatedNumberScheduled")
    if text(item, "spec", "updateStrategy", "type") != "OnDelete" and updated < desired:
        return f"{updated} of {desired} nodes have the new version", ""
    if available < desired:
        return f"{available} of {desired} nodes have it available", ""
    return "", ""
