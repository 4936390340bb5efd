"""What the queue kind measures, and which thresholds are worth having."""

from __future__ import annotations

from checks.base import DURATION, Measurement, Recommended

M = Measurement
MEASUREMENTS = (
    DURATION,
    M("waiting", "count", "Jobs that a worker could take now; of a stream, entries that the group was not given yet."),
    M("active", "count", "Jobs that a worker has; of a stream, entries that are not acknowledged."),
    M("oldest_seconds", "seconds", "Since when the job that waits longest could have been taken; 0 where none waits."),
    M("active_oldest_seconds", "seconds", "How long the job has been worked on that was taken first; 0 where none is."),
    M("workers", "count", "Connections of workers (some have two each); of a stream, consumers that the group knows."),
    M("worker_seen_seconds", "seconds", "Of a stream: time since any consumer of the group was heard."),
    M("length", "count", "Of a stream: entries in it, whoever has read them."),
    M("paused", "bool", "Of BullMQ: whether the queue is paused."),
    M("prioritized", "count", "Of BullMQ: those that wait and have a priority."),
    M("delayed", "count", "Of BullMQ: jobs whose time has not come, or that wait for their next attempt."),
    M("overdue", "count", "Of BullMQ: delayed jobs whose time came over 5 s ago, and that nobody has taken up."),
    M("waiting_children", "count", "Of BullMQ: jobs that wait for jobs of their own."),
    M("stalled", "count", "Of BullMQ: jobs in `active` whose worker no longer holds them; of 100 at most."),
    M("failed", "count", "Of BullMQ: jobs that are kept as failed for good."),
    M("completed", "count", "Of BullMQ: jobs that are kept as completed."),
    M("failed_per_second", "per_second", "Of BullMQ: jobs that failed for good, since the last probe."),
    M("completed_per_second", "per_second", "Of BullMQ: jobs that were completed, since the last probe."),
    M("delivered_ratio", "ratio", "Of BullMQ: completed / (completed + failed) over `window`, of `minimum` or more."),
    M("finished", "count", "Of BullMQ: the jobs, completed and failed, that delivered_ratio is taken over."),
    M("parts_unread", "count", "Parts that our user, or the service, does not let us read; the evidence names them."),
)  # fmt: skip

BY_GROUP = frozenset({"waiting", "active", "oldest_seconds", "active_oldest_seconds", "workers", "worker_seen_seconds"})
"""What a stream has for each of its groups."""

R = Recommended
RECOMMENDED = (
    R("QueueWaits", "oldest_seconds > 5m", "medium", "Workers are too few, too slow, or stuck.", 60),
    R("QueueLosesJobs", "delivered_ratio < 99%", "high", "More than one of a hundred jobs fails for good."),
    R("QueueStalled", "stalled > 0", "high", "A worker died, or its event loop is blocked.", 60),
    R("QueueWithoutWorkers", "workers == 0", "high", "Nobody is there to take a job.", 120),
    R("QueueWorkerSilent", "waiting > 0 and worker_seen_seconds > 5m", "high", "Entries wait, and nobody reads."),
    R("QueueOverdue", "overdue > 0", "medium", "Delayed jobs are due, and no worker takes them up.", 120),
    R("QueuePaused", "paused == 1", "medium", "Somebody paused it, and perhaps forgot.", 900),
)
