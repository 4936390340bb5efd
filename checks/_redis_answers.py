"""What the redis kind measures, and what the server's answers to INFO and SLOWLOG say of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from checks._resp import Refused, Reply
from checks.base import DURATION, Measurement
from checks.units import show_duration
from checks.wire.certificates import visible

PRIMARY = ("master_host", "master_port")

M = Measurement
MEASUREMENTS = (
    DURATION,
    M("uptime_seconds", "seconds", "Time since the server started.", also="redis_uptime_in_seconds"),
    M("memory_used_bytes", "bytes", "Memory that the data and its upkeep take.", also="redis_memory_used_bytes"),
    M("memory_max_bytes", "bytes", "maxmemory; 0 is unlimited.", also="redis_memory_max_bytes"),
    M("memory_used_ratio", "ratio", "memory_used_bytes / memory_max_bytes; absent where memory is unlimited."),
    M(
        "memory_fragmentation_ratio", "number", "Resident memory / used memory; says little below 100 MB.",
        also="redis_mem_fragmentation_ratio",
    ),
    M("hit_ratio", "ratio", "Lookups that found their key since the last hit_ratio_minimum_lookups or more."),
    M("keyspace_hits_total", "count", "Lookups that found.", counter=True, also="redis_keyspace_hits_total"),
    M("keyspace_misses_total", "count", "Lookups that did not.", counter=True, also="redis_keyspace_misses_total"),
    M("evicted_keys_total", "count", "Keys dropped for want of memory.", counter=True, also="redis_evicted_keys_total"),
    M("evictions_per_second", "per_second", "Keys dropped for want of memory since the last probe."),
    M("clients_connected", "count", "Clients that are connected, ours among them.", also="redis_connected_clients"),
    M("clients_max", "count", "maxclients.", also="redis_max_clients"),
    M("clients_used_ratio", "ratio", "clients_connected / clients_max."),
    M("clients_blocked", "count", "Clients that wait in a blocking command.", also="redis_blocked_clients"),
    M(
        "rejected_connections_total", "count", "Connections turned away because of maxclients.",
        counter=True, also="redis_rejected_connections_total",
    ),
    M("rejected_connections_new", "count", "Connections turned away since the last probe."),
    M("ops_per_second", "per_second", "Commands now, as the server averages them."),
    M("master", "bool", "1 on a primary, 0 on a replica."),
    M("replicas_connected", "count", "Replicas that are connected.", also="redis_connected_slaves"),
    M("replica_lag_seconds", "seconds", "Time since the replica that is furthest behind was last heard."),
    M("replica_lag_bytes", "bytes", "What the replica that is furthest behind has still to read."),
    M("master_link_up", "bool", "On a replica: whether it hears its primary.", PRIMARY, also="redis_master_link_up"),
    M(
        "master_last_io_seconds", "seconds", "On a replica: time since it heard its primary.",
        PRIMARY, also="redis_master_last_io_seconds_ago",
    ),
    M("rdb_last_save_ok", "bool", "Whether the last snapshot was written.", also="redis_rdb_last_bgsave_status"),
    M("rdb_last_save_age_seconds", "seconds", "Time since the last snapshot, or since the start."),
    M(
        "rdb_changes_since_save", "count", "Changes that no snapshot holds.",
        also="redis_rdb_changes_since_last_save",
    ),
    M("aof_enabled", "bool", "Whether there is an append-only file.", also="redis_aof_enabled"),
    M("aof_last_write_ok", "bool", "Whether its last write succeeded.", also="redis_aof_last_write_status"),
    M("slowlog_length", "count", "Entries in the slow log.", also="redis_slowlog_length"),
    M("slowlog_new", "count", "Commands that became entries of the slow log since the last probe."),
    M("keys", "count", "Keys by database.", ("db",), also="redis_db_keys"),
    M("keys_expiring", "count", "Keys with an expiry by database.", ("db",), also="redis_db_keys_expiring"),
)  # fmt: skip

PLAIN = (
    ("uptime_seconds", "uptime_in_seconds"),
    ("memory_used_bytes", "used_memory"),
    ("memory_max_bytes", "maxmemory"),
    ("memory_fragmentation_ratio", "mem_fragmentation_ratio"),
    ("keyspace_hits_total", "keyspace_hits"),
    ("keyspace_misses_total", "keyspace_misses"),
    ("evicted_keys_total", "evicted_keys"),
    ("clients_connected", "connected_clients"),
    ("clients_max", "maxclients"),
    ("clients_blocked", "blocked_clients"),
    ("rejected_connections_total", "rejected_connections"),
    ("ops_per_second", "instantaneous_ops_per_sec"),
    ("replicas_connected", "connected_slaves"),
    ("rdb_changes_since_save", "rdb_changes_since_last_save"),
    ("aof_enabled", "aof_enabled"),
)
"""Measurements that are a field of INFO as it stands."""


@dataclass(frozen=True, slots=True)
class Slow:
    """An entry of the slow log: of the command only the first word, because its arguments may be secrets."""

    serial: int
    at: int
    microseconds: int
    word: str

    def __str__(self) -> str:
        at = datetime.fromtimestamp(self.at, UTC).strftime("%H:%M:%S")
        return f"{at} UTC {self.word} took {show_duration(self.microseconds / 1e6)}"


def slow_entry(reply: Reply) -> Slow | None:
    """One entry of SLOWLOG GET; None where it is none."""
    match reply:
        case [int(serial), int(at), int(took), [str(word), *_], *_] if 0 <= at < 2**33:
            return Slow(serial, at, took, visible(word.upper(), 30))
    return None


def parse_info(reply: Reply) -> dict[str, str]:
    """The fields of an INFO answer; what is none is left out."""
    lines = reply.splitlines() if isinstance(reply, str) and not isinstance(reply, Refused) else []
    return {key: text for key, colon, text in (line.partition(":") for line in lines) if colon}


def pairs(text: str) -> dict[str, str]:
    """The fields in `keys=3,expires=0`."""
    return {key: value for key, equals, value in (pair.partition("=") for pair in text.split(",")) if equals}


def number(info: dict[str, str], field: str) -> float | None:
    """A field of INFO that is a number; None where it is absent or none."""
    try:
        value = float(info[field])
    except (KeyError, ValueError):
        return None
    return value if math.isfinite(value) else None


def progress(info: dict[str, str]) -> str:
    """How far loading is, as the end of a sentence."""
    done, left = number(info, "loading_loaded_perc"), number(info, "loading_eta_seconds")
    text = f", {done:.0f} % are loaded" if done is not None else ""
    return text + (f", about {show_duration(left)} to go" if left is not None and left > 0 else "")
