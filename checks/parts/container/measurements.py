"""What the container kind measures, and the thresholds worth having."""

from __future__ import annotations

from checks.base import DURATION, Measurement, Recommended

ONE = ("container",)

M = Measurement
MEASUREMENTS = (
    DURATION,
    M("containers", "count", "Containers that were chosen and are there."),
    M("containers_running", "count", "Those of them that run."),
    M("running", "bool", "Whether it runs: not paused, not about to be restarted.", ONE),
    M("unhealthy", "bool", "Whether its health check fails; absent where it has none.", ONE),
    M("health_failing_streak", "count", "Failed health checks in a row; absent where it has none.", ONE),
    M("exit_code", "number", "With what it ended; absent while it runs. 137 is killed.", ONE),
    M("uptime_seconds", "seconds", "Time since it was started; absent where it does not run.", ONE),
    M("restarts_total", "count", "Restarts by its restart policy since it was made.", ONE, counter=True),
    M("restarts_recent", "count", "Restarts within `recent`, by its policy or by hand.", ONE),
    M("oom_kills_recent", "count", "Processes of it killed for want of memory within `recent`.", ONE),
    M("kills_recent", "count", "Ends with code 137 within `recent`: out of memory, or stopped by force.", ONE),
    M("replaced_recent", "count", "Times within `recent` that another container took its name.", ONE),
    M("image_changes_recent", "count", "Times within `recent` that its image became another.", ONE),
    M("memory_used_bytes", "bytes", "Memory without file caches that can be given up, as docker stats says it.", ONE),
    M("memory_limit_bytes", "bytes", "Its limit; absent without one.", ONE),
    M("memory_used_ratio", "ratio", "memory_used_bytes / memory_limit_bytes.", ONE),
    M("cpus_used", "number", "CPUs that it kept busy since the last probe.", ONE),
    M("cpu_limit", "number", "CPUs that it may use; absent without a limit.", ONE),
    M("cpu_used_ratio", "ratio", "cpus_used / cpu_limit.", ONE),
    M("cpu_throttled_ratio", "ratio", "Periods since the last probe in which it was made to wait.", ONE),
    M("processes", "count", "Processes and threads in it.", ONE),
)

RECOMMENDED = (
    Recommended(
        "ContainerOutOfMemory", "oom_kills_recent > 0", "high",
        "The kernel killed a process of it; with a restart policy it may look well again.",
    ),
    Recommended(
        "ContainerRestarted", "restarts_recent > 0", "medium", "It ended and was started again, or somebody did it."
    ),
    Recommended(
        "ContainerRestartsOften", "restarts_recent > 3", "high", "It can't stay up: it ends soon after each start."
    ),
    Recommended(
        "ContainerMemoryNearlyUsed", "memory_used_ratio > 90%", "high", "At the limit the kernel kills it.", 300
    ),
    Recommended(
        "ContainerCpuBusy", "cpu_used_ratio > 90%", "medium", "It has had all the CPU it may have, for long.", 900
    ),
    Recommended(
        "ContainerThrottled", "cpu_throttled_ratio > 50%", "medium",
        "Half of the time it is made to wait: answers are late, though the machine is idle.", 900,
    ),
)  # fmt: skip
