"""What the host kind measures, and the names by which node_exporter shows the same."""

from __future__ import annotations

from checks.base import DURATION, Measurement, Recommended

MOUNT = ("device", "fstype", "mountpoint")
DEVICE = ("device",)

NEVER = 10 * 365 * 86_400.0
"""What stands for "not within ten years": a number, so that an alert about it can end."""

M = Measurement


def _counter(name: str, unit: str, help_: str, also: str, labels: tuple[str, ...] = DEVICE) -> Measurement:
    return M(name, unit, help_, labels, counter=True, also=also)


WAITS = (
    ("cpu_waiting", "some tasks waited for a CPU"),
    ("io_waiting", "some tasks waited for a disk"),
    ("io_stalled", "all tasks waited for a disk"),
    ("memory_waiting", "some tasks waited for memory"),
    ("memory_stalled", "all tasks waited for memory"),
)
MEASUREMENTS = (
    DURATION,
    M("cpus", "count", "CPUs that are online."),
    M("cpu_used_ratio", "ratio", "CPU time since the last probe that was not idle; waiting for I/O is."),
    M("cpu_ratio", "ratio", "CPU time since the last probe by mode; their sum is 1.", ("mode",)),
    M("load1", "number", "Tasks that run, want to, or wait for a disk, over a minute.", also="node_load1"),
    M("load5", "number", "The same over five minutes.", also="node_load5"),
    M("load15", "number", "The same over a quarter of an hour.", also="node_load15"),
    M("load_per_cpu", "number", "load5 / cpus."),
    M("uptime_seconds", "seconds", "Time since the machine started."),
    M("start_time_seconds", "timestamp", "When the machine started.", also="node_boot_time_seconds"),
    M("memory_total_bytes", "bytes", "Memory of the machine.", also="node_memory_MemTotal_bytes"),
    M(
        "memory_available_bytes", "bytes", "What programs can have without swapping, caches given up for it.",
        also="node_memory_MemAvailable_bytes",
    ),
    M("memory_available_ratio", "ratio", "memory_available_bytes / memory_total_bytes."),
    M("memory_used_ratio", "ratio", "1 - memory_available_ratio."),
    M("swap_total_bytes", "bytes", "Swap; 0 for none.", also="node_memory_SwapTotal_bytes"),
    M("swap_free_bytes", "bytes", "Swap that is free.", also="node_memory_SwapFree_bytes"),
    M("swap_used_ratio", "ratio", "Swap that is used; absent where there is none."),
    M("swap_in_bytes_per_second", "bytes_per_second", "Read back from swap since the last probe: what makes it slow."),
    M("oom_kills_total", "count", "Processes killed for want of memory.", counter=True, also="node_vmstat_oom_kill"),
    M("oom_kills_recent", "count", "The same within `recent`."),
    M("processes", "count", "Processes."),
    M("processes_zombie", "count", "Processes that ended and that nobody has reaped."),
    M("processes_running", "count", "Tasks that run or want to.", also="node_procs_running"),
    M("processes_blocked", "count", "Tasks that wait for a disk.", also="node_procs_blocked"),
    M("files_open", "count", "Open files of the whole system.", also="node_filefd_allocated"),
    M("files_max", "count", "The most there can be.", also="node_filefd_maximum"),
    M("files_open_ratio", "ratio", "files_open / files_max."),
    M("pressure_ratio", "ratio", "Time since the last probe that some, or all, tasks waited.", ("resource", "tasks")),
    M("pressure_minute_ratio", "ratio", "The same as the kernel averages it over a minute.", ("resource", "tasks")),
    *(
        _counter(
            f"pressure_{what}_seconds_total", "seconds", f"Time that {text}.",
            f"node_pressure_{what}_seconds_total", (),
        )
        for what, text in WAITS
    ),
    M("disk_size_bytes", "bytes", "Size of a file system.", MOUNT, also="node_filesystem_size_bytes"),
    M("disk_free_bytes", "bytes", "Free, with what is kept for root.", MOUNT, also="node_filesystem_free_bytes"),
    M("disk_available_bytes", "bytes", "Free for ordinary users.", MOUNT, also="node_filesystem_avail_bytes"),
    M("disk_used_ratio", "ratio", "Used of what ordinary users can have, as df says it.", MOUNT),
    M("disk_full_in_seconds", "seconds", "Time until it is full at this growth, ten years at most.", MOUNT),
    M("disk_growth_bytes_per_day", "bytes", "Growth by a straight line over `trend`, for a day.", MOUNT),
    M("disk_readonly", "bool", "Whether it is mounted read-only.", MOUNT, also="node_filesystem_readonly"),
    M("disk_hangs", "bool", "Whether it does not answer.", MOUNT),
    M("inodes", "count", "Files that there can be.", MOUNT, also="node_filesystem_files"),
    M("inodes_free", "count", "Files that there can still be.", MOUNT, also="node_filesystem_files_free"),
    M("inodes_used_ratio", "ratio", "Share of the inodes in use; absent where there is no limit.", MOUNT),
    M("io_busy_ratio", "ratio", "Time since the last probe with a request under way.", DEVICE),
    M("io_await_seconds", "seconds", "Mean time of a request since the last probe, with its wait.", DEVICE),
    M("io_read_bytes_per_second", "bytes_per_second", "Read since the last probe.", DEVICE),
    M("io_written_bytes_per_second", "bytes_per_second", "Written since the last probe.", DEVICE),
    _counter("io_reads_total", "count", "Reads that ended.", "node_disk_reads_completed_total"),
    _counter("io_writes_total", "count", "Writes that ended.", "node_disk_writes_completed_total"),
    _counter("io_read_bytes_total", "bytes", "Bytes read.", "node_disk_read_bytes_total"),
    _counter("io_written_bytes_total", "bytes", "Bytes written.", "node_disk_written_bytes_total"),
    _counter("io_seconds_total", "seconds", "Time with a request under way.", "node_disk_io_time_seconds_total"),
    M("network_receive_bytes_per_second", "bytes_per_second", "Received since the last probe.", DEVICE),
    M("network_transmit_bytes_per_second", "bytes_per_second", "Sent since the last probe.", DEVICE),
    M("network_used_ratio", "ratio", "Of its speed, the busier way; absent where it tells none.", DEVICE),
    M("network_errors_per_second", "per_second", "Packets received or sent in error since the last probe.", DEVICE),
    M("network_drops_per_second", "per_second", "Packets dropped in either direction since the last probe.", DEVICE),
    _counter("network_receive_bytes_total", "bytes", "Bytes received.", "node_network_receive_bytes_total"),
    _counter("network_transmit_bytes_total", "bytes", "Bytes sent.", "node_network_transmit_bytes_total"),
    _counter("network_receive_errors_total", "count", "Received in error.", "node_network_receive_errs_total"),
    _counter("network_transmit_errors_total", "count", "Sent in error.", "node_network_transmit_errs_total"),
    _counter("network_receive_drops_total", "count", "Dropped on arrival.", "node_network_receive_drop_total"),
    _counter("network_transmit_drops_total", "count", "Dropped before sending.", "node_network_transmit_drop_total"),
    M("cgroup_memory_limit_bytes", "bytes", "Limit of the container that runwatch itself runs in; absent without one."),
    M("cgroup_memory_used_bytes", "bytes", "What counts against it, without file caches that can be given up."),
    M("cgroup_memory_used_ratio", "ratio", "cgroup_memory_used_bytes / cgroup_memory_limit_bytes."),
    M("cgroup_cpu_limit", "number", "CPUs that this container may use; absent without a limit."),
    M("cgroup_cpu_used_ratio", "ratio", "What it used of them since the last probe."),
    M("cgroup_cpu_throttled_ratio", "ratio", "Periods since the last probe in which it was made to wait."),
    M("cgroup_oom_kills_recent", "count", "Its processes killed for want of memory within `recent`."),
    M("folder_bytes", "bytes", "Disk that a folder takes, as du says it.", ("folder",)),
    M("folder_files", "count", "Files in it, folders not counted.", ("folder",)),
    M("folder_growth_bytes_per_day", "bytes", "Growth by a straight line over up to a week, for a day.", ("folder",)),
)  # fmt: skip

RECOMMENDED = (
    Recommended(
        "DiskNearlyFull", "disk_used_ratio > 90%", "high", "A full disk stops databases, and files are lost.", 300
    ),
    Recommended(
        "DiskFullSoon", "disk_full_in_seconds < 1d and disk_used_ratio > 60%", "high",
        "At this growth it is full within a day: enough time to do something about it.", 1800,
    ),
    Recommended(
        "InodesNearlyUsed", "inodes_used_ratio > 90%", "high",
        "Without inodes no file can be made, however much space is free.", 300,
    ),
    Recommended(
        "MemoryNearlyUsed", "memory_available_ratio < 10%", "high",
        "What is left before the kernel kills processes; caches count as available.", 300,
    ),
    Recommended(
        "ProcessesKilled", "oom_kills_recent > 0", "high", "The kernel has killed a process for want of memory."
    ),
    Recommended(
        "CpuBusy", "avg(cpu_used_ratio, 10m) > 90%", "medium", "Busy for a quarter of an hour: no burst, but load.",
        300,
    ),
    Recommended(
        "MemoryPressure", 'pressure_minute_ratio{resource="memory", tasks="some"} > 10%', "high",
        "Tasks wait for memory: the machine is slow, whatever is free.", 300,
    ),
    Recommended(
        "DiskSlow", 'pressure_minute_ratio{resource="io", tasks="all"} > 40%', "medium",
        "For much of the time nothing gets on because of a disk.", 600,
    ),
    Recommended(
        "FilesNearlyUsed", "files_open_ratio > 80%", "high", "At the limit no program can open a file or a connection."
    ),
    Recommended(
        "NetworkErrors", "network_errors_per_second > 1", "low",
        "Broken cable, driver or duplex: connections slow down long before they end.", 600,
    ),
    Recommended(
        "ContainerMemoryNearlyUsed", "cgroup_memory_used_ratio > 90%", "high",
        "The container that runwatch runs in is about to be killed.", 300,
    ),
)  # fmt: skip
