"""Records what a server's INFO and slow log say, for one server or, labelled, for each node of a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checks.base import Run
from checks.parts.redis.answers import number, pairs, slow_entry
from checks.parts.redis.measurements import PLAIN
from checks.parts.redis.resp import Reply
from checks.parts.redis.sample import forget_own_lookups, own_lookups

MOST_DATABASES = 64
MOST_SLOW = 128
MOST_KEPT = 1000
"""Nodes that are remembered; where more have come and gone, all are forgotten."""
PROCESSES = "processes"
SLOWLOG = "slow log"
SINCE = ("rate", "growth", "share")
"""Where a run keeps the counters that it takes differences of."""


class Recorder:
    """Records for one server; `here` is its address, `labels` what a cluster puts on each of its nodes."""

    __slots__ = ("_here", "_info", "_labels", "_run")

    def __init__(self, run: Run, info: Mapping[str, str], here: str, labels: Mapping[str, str]) -> None:
        self._run = run
        self._info = info
        self._here = here
        self._labels = dict(labels)
        self._notice_another_process()

    def _record(self, name: str, value: float, **labels: str) -> None:
        self._run.record(name, value, **self._labels, **labels)

    def _notice_another_process(self) -> None:
        # After a failover the counters are another server's: what they "grew" by means nothing.
        node = self._labels.get("node", "")
        processes, process = _kept(self._run, PROCESSES), self._info.get("run_id", "")[:40]
        if processes.get(node, process) != process:
            mine = f"\nnode={node}" if node else ""
            for use in SINCE:
                series = _kept(self._run, use)
                for key in [key for key in series if key.endswith(mine)]:
                    del series[key]
            forget_own_lookups(self._run, self._here)
        processes[node] = process

    def info(self, minimum_lookups: int) -> None:
        """Everything that INFO tells."""
        for name, field in PLAIN:
            value = number(self._info, field)
            if value is not None:
                self._record(name, value)
        self._uses(minimum_lookups)
        self._replication()
        self._persistence()
        self._keyspace()

    def _uses(self, minimum_lookups: int) -> None:
        info, run, labels = self._info, self._run, self._labels
        used, most = number(info, "used_memory"), number(info, "maxmemory")
        if used is not None and most:
            self._record("memory_used_ratio", used / most)
        connected, clients = number(info, "connected_clients"), number(info, "maxclients")
        if connected is not None and clients:
            self._record("clients_used_ratio", connected / clients)
        hits, misses = number(info, "keyspace_hits"), number(info, "keyspace_misses")
        if hits is not None and misses is not None:
            ours = own_lookups(run, self._here)
            run.share("hit_ratio", hits - ours[0], misses - ours[1], minimum_lookups, **labels)
        for name, field in (("evictions_per_second", "evicted_keys"), ("errors_per_second", "total_error_replies")):
            counter = number(info, field)
            if counter is not None:
                run.rate(name, counter, **labels)
        rejected = number(info, "rejected_connections")
        grown = run.growth("rejected_connections", rejected, **labels) if rejected is not None else None
        if grown is not None:
            self._record("rejected_connections_new", grown)

    def _replication(self) -> None:
        info = self._info
        self._record("master", float(info.get("role") == "master"))
        if info.get("role") == "slave":
            primary = {"master_host": info.get("master_host", ""), "master_port": info.get("master_port", "")}
            self._record("master_link_up", float(info.get("master_link_status") == "up"), **primary)
            heard = number(info, "master_last_io_seconds_ago")
            if heard is not None and heard >= 0:
                self._record("master_last_io_seconds", heard, **primary)
        replicas = [pairs(text) for key, text in info.items() if key.startswith("slave") and key[5:].isdecimal()]
        lags = [lag for replica in replicas if (lag := number(replica, "lag")) is not None and lag >= 0]
        if lags:
            self._record("replica_lag_seconds", max(lags))
        written = number(info, "master_repl_offset")
        read = [at for replica in replicas if (at := number(replica, "offset")) is not None]
        if read and written is not None:
            self._record("replica_lag_bytes", max(0.0, written - min(read)))

    def _persistence(self) -> None:
        info = self._info
        if "rdb_last_bgsave_status" in info:
            self._record("rdb_last_save_ok", float(info["rdb_last_bgsave_status"] == "ok"))
        saved, micros = number(info, "rdb_last_save_time"), number(info, "server_time_usec")
        if saved:
            self._record("rdb_last_save_age_seconds", max(0.0, (micros / 1e6 if micros else self._run.at) - saved))
        if info.get("aof_enabled") == "1" and "aof_last_write_status" in info:
            self._record("aof_last_write_ok", float(info["aof_last_write_status"] == "ok"))
        if "aof_last_bgrewrite_status" in info:
            self._record("aof_last_rewrite_ok", float(info["aof_last_bgrewrite_status"] == "ok"))

    def _keyspace(self) -> None:
        spaces = [key for key in self._info if key.startswith("db") and key[2:].isdecimal() and len(key) < 8]
        for key in sorted(spaces, key=lambda key: int(key[2:]))[:MOST_DATABASES]:
            space = pairs(self._info[key])
            keys, expiring = number(space, "keys") or 0.0, number(space, "expires") or 0.0
            self._record("keys", keys, db=key)
            self._record("keys_expiring", expiring, db=key)
            self._record("keys_without_expiry", max(0.0, keys - expiring), db=key)
            if keys > 0:
                self._record("keys_without_expiry_ratio", max(0.0, 1 - expiring / keys), db=key)

    def slowlog(self, length: Reply, entries: Reply) -> None:
        """How long the slow log is, and what came into it since the last probe."""
        if not isinstance(length, int) or not isinstance(entries, list):
            return
        self._record("slowlog_length", length)
        slow = [entry for entry in map(slow_entry, entries[:MOST_SLOW]) if entry is not None]
        kept, node = _kept(self._run, SLOWLOG), self._labels.get("node", "")
        process = self._info.get("run_id", "")[:40]
        before = kept.get(node)
        # Its numbers grow for as long as the process lives, also where the log is emptied in between.
        known = before[1] if isinstance(before, list) and len(before) == 2 and before[0] == process else None
        newest = max((entry.serial + 1 for entry in slow), default=known if isinstance(known, int) else 0)
        kept[node] = [process, newest]
        if not isinstance(known, int):
            return
        grown = max(0, newest - known)
        self._record("slowlog_new", min(grown, length))
        fresh = [entry for entry in slow if entry.serial >= known]
        if fresh:
            where = f" of {self._here}" if self._labels else ""
            self._run.evidence(f"slow commands{where}", "\n".join(str(entry) for entry in fresh))


def _kept(run: Run, name: str) -> dict[str, Any]:
    """A part of what the run keeps; begun anew where it is not what we keep."""
    held = run.kept.get(name)
    if not isinstance(held, dict) or len(held) > MOST_KEPT:
        held = run.kept[name] = {}
    return held
