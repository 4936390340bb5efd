"""What the kubernetes kind measures, and the thresholds worth having."""

from __future__ import annotations

from checks.base import DURATION, Measurement, Recommended

WORKLOAD = ("namespace", "workload")
NODE = ("node",)

M = Measurement
MEASUREMENTS = (
    DURATION,
    M("rollout_complete", "bool", "Whether all replicas are of the newest version and available.", WORKLOAD),
    M("rollout_unfinished_seconds", "seconds", "For how long it has not been complete; 0 where it is.", WORKLOAD),
    M("replicas_desired", "count", "Replicas that there should be.", WORKLOAD),
    M("replicas_updated", "count", "Those of the newest version.", WORKLOAD),
    M("replicas_available", "count", "Those that can be used.", WORKLOAD),
    M("replicas_unavailable", "count", "replicas_desired less replicas_available.", WORKLOAD),
    M("pods", "count", "Pods by phase.", ("namespace", "phase")),
    M("pods_crash_looping", "count", "Pods with a container that ends again and again.", WORKLOAD),
    M("pods_image_failing", "count", "Pods whose image can't be had.", WORKLOAD),
    M("pods_config_failing", "count", "Pods whose container can't be made: a secret is missing.", WORKLOAD),
    M("pods_pending", "count", "Pods that have been pending for longer than pending_after.", WORKLOAD),
    M("restarts_recent", "count", "Restarts of containers within `recent`.", WORKLOAD),
    M("oom_kills_recent", "count", "Containers whose last end was for want of memory, within `recent`.", WORKLOAD),
    M("job_failed", "bool", "Whether its last job that ended has failed.", WORKLOAD),
    M("job_running_seconds", "seconds", "How long its oldest active job has been running; 0 for none.", WORKLOAD),
    M("job_success_age_seconds", "seconds", "Time since it succeeded, or else since it was made.", WORKLOAD),
    M("cronjob_suspended", "bool", "Whether it is suspended.", WORKLOAD),
    M("nodes", "count", "Nodes of the cluster."),
    M("nodes_not_ready", "count", "Those that are not ready."),
    M("node_ready", "bool", "Whether a node is ready.", NODE),
    M("node_pressure", "bool", "Whether a node is short of memory, disk or pids.", ("node", "condition")),
)  # fmt: skip

RECOMMENDED = (
    Recommended(
        "ReplicasUnavailable", "replicas_unavailable > 0", "medium", "Less can fail before users notice.", 600
    ),
    Recommended(
        "PodsRestart", "restarts_recent > 0", "medium", "A container ended and was started again."
    ),
    Recommended(
        "PodOutOfMemory", "oom_kills_recent > 0", "high", "At its limit the kernel kills a container."
    ),
    Recommended(
        "NodeUnderPressure", "node_pressure == true", "high", "A node that is short of something puts pods out.", 300
    ),
)  # fmt: skip
