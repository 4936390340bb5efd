"""What the redis kind measures, and which thresholds are worth having."""

from __future__ import annotations

from dataclasses import replace

from checks.base import DURATION, Measurement, Recommended

PRIMARY = ("master_host", "master_port")
NODE = ("node",)

M = Measurement
MEASUREMENTS = (
    DURATION,
    M("ping_seconds", "seconds", "How long PING took, by the kernel's clock where it can tell."),
    M("uptime_seconds", "seconds", "Time since the server started.", also="redis_uptime_in_seconds"),
    M("memory_used_bytes", "bytes", "Memory that the data and its upkeep take.", also="redis_memory_used_bytes"),
    M("memory_max_bytes", "bytes", "maxmemory; 0 is unlimited.", also="redis_memory_max_bytes"),
    M("memory_used_ratio", "ratio", "memory_used_bytes / memory_max_bytes; absent where memory is unlimited."),
    M("memory_rss_bytes", "bytes", "Memory that the process takes.", also="redis_memory_used_rss_bytes"),
    M(
        "memory_fragmentation_ratio", "number", "Resident memory / used memory; says little below 100 MB.",
        also="redis_mem_fragmentation_ratio",
    ),
    M("hit_ratio", "ratio", "Lookups that found their key since the last hit_ratio_minimum_lookups or more."),
    M("keyspace_hits_total", "count", "Lookups that found.", counter=True, also="redis_keyspace_hits_total"),
    M("keyspace_misses_total", "count", "Lookups that did not.", counter=True, also="redis_keyspace_misses_total"),
    M("evicted_keys_total", "count", "Keys dropped for want of memory.", counter=True, also="redis_evicted_keys_total"),
    M("expired_keys_total", "count", "Keys that expired.", counter=True, also="redis_expired_keys_total"),
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
    M("commands_total", "count", "Commands done.", counter=True, also="redis_commands_processed_total"),
    M("connections_total", "count", "Connections accepted.", counter=True, also="redis_connections_received_total"),
    M("errors_per_second", "per_second", "Commands answered with an error since the last probe; from Redis 6.2 on."),
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
    M(
        "aof_last_rewrite_ok", "bool", "Whether the file was last rewritten in full.",
        also="redis_aof_last_bgrewrite_status",
    ),
    M("slowlog_length", "count", "Entries in the slow log.", also="redis_slowlog_length"),
    M("slowlog_new", "count", "Commands that became entries of the slow log since the last probe."),
    M("keys", "count", "Keys by database.", ("db",), also="redis_db_keys"),
    M("keys_expiring", "count", "Keys with an expiry by database.", ("db",), also="redis_db_keys_expiring"),
    M("keys_without_expiry", "count", "Keys that stay until they are deleted, by database; exact.", ("db",)),
    M("keys_without_expiry_ratio", "ratio", "keys_without_expiry / keys, by database.", ("db",)),
    M("sampled_keys", "count", "Keys of the pattern that `sample` came upon in this probe."),
    M("sampled_without_expiry_ratio", "ratio", "Share of those that have no expiry."),
    M("parts_unread", "count", "Parts that our user, or the service, does not let us read; the evidence names them."),
    M("sentinels_answering", "count", "Sentinels that answered, of `sentinel.addresses`."),
    M("sentinels_known", "count", "Sentinels that the Sentinels know, at the least."),
    M("sentinels_agree", "bool", "Whether all that answered name one master."),
    M("sentinels_see_master_down", "count", "Sentinels that take the master for down."),
    M("sentinel_quorum", "count", "Sentinels that must agree before the master is replaced."),
    M("sentinel_quorum_ok", "bool", "Whether enough Sentinels see each other to replace the master."),
    M("sentinel_replicas", "count", "Replicas of the master that the Sentinels know, at the least."),
    M("sentinel_epoch", "number", "Grows with every failover."),
    M("node_up", "bool", "Whether a node of the cluster answers us.", NODE),
    M("cluster_ok", "bool", "Whether that node says that the cluster serves.", NODE, also="redis_cluster_state"),
    M("cluster_slots_assigned", "count", "Slots that have a node; of 16384.", also="redis_cluster_slots_assigned"),
    M("cluster_slots_ok", "count", "Slots whose node is well.", also="redis_cluster_slots_ok"),
    M("cluster_slots_suspected", "count", "Slots whose node may have failed.", also="redis_cluster_slots_pfail"),
    M("cluster_slots_failed", "count", "Slots whose node has failed.", also="redis_cluster_slots_fail"),
    M("cluster_nodes", "count", "Nodes that are known.", also="redis_cluster_known_nodes"),
    M("cluster_masters", "count", "Masters that hold slots.", also="redis_cluster_size"),
    M("cluster_nodes_failing", "count", "Nodes that are suspected, or agreed, to have failed, or are cut off."),
    M("cluster_masters_without_replica", "count", "Masters with slots that no healthy replica could stand in for."),
)  # fmt: skip

PLAIN = (
    ("uptime_seconds", "uptime_in_seconds"),
    ("memory_used_bytes", "used_memory"),
    ("memory_max_bytes", "maxmemory"),
    ("memory_rss_bytes", "used_memory_rss"),
    ("memory_fragmentation_ratio", "mem_fragmentation_ratio"),
    ("keyspace_hits_total", "keyspace_hits"),
    ("keyspace_misses_total", "keyspace_misses"),
    ("evicted_keys_total", "evicted_keys"),
    ("expired_keys_total", "expired_keys"),
    ("clients_connected", "connected_clients"),
    ("clients_max", "maxclients"),
    ("clients_blocked", "blocked_clients"),
    ("rejected_connections_total", "rejected_connections"),
    ("ops_per_second", "instantaneous_ops_per_sec"),
    ("commands_total", "total_commands_processed"),
    ("connections_total", "total_connections_received"),
    ("replicas_connected", "connected_slaves"),
    ("rdb_changes_since_save", "rdb_changes_since_last_save"),
    ("aof_enabled", "aof_enabled"),
)
"""Measurements that are a field of INFO as it stands."""

OF_THE_WHOLE = frozenset(
    one.name for one in MEASUREMENTS if one.name.startswith(("cluster_", "sentinel")) or one.name == "duration_seconds"
)
"""What is asked once, however many nodes there are."""


def by_node(measurement: Measurement) -> Measurement:
    """The measurement as a cluster has it: one for each node, but for those of the whole."""
    if measurement.name in OF_THE_WHOLE or "node" in measurement.labels:
        return measurement
    return replace(measurement, labels=(*measurement.labels, "node"))


R = Recommended
RECOMMENDED = (
    R("RedisMemoryNearlyFull", "memory_used_ratio > 90%", "high", "Then keys are evicted, or writes refused.", 300),
    R("RedisEvicts", "evictions_per_second > 0", "medium", "Keys are dropped before their time.", 300),
    R("RedisMissesOften", "hit_ratio < 60%", "medium", "A cache that misses hands its work to the database.", 600),
    R("RedisMissesMostly", "hit_ratio < 40%", "high", "A cache that misses hands its work to the database.", 600),
    R("RedisRejectsClients", "rejected_connections_new > 0", "high", "Services are turned away: maxclients."),
    R("RedisClientsNearlyFull", "clients_used_ratio > 80%", "medium", "Soon services are turned away.", 300),
    R("RedisReplicaCutOff", "master_link_up == 0", "high", "A replica that hears nothing grows old.", 60),
    R("RedisReplicaBehind", "replica_lag_seconds > 30s", "medium", "A failover now would lose that much.", 120),
    R("RedisSnapshotFails", "rdb_last_save_ok == 0", "high", "A restart would lose data; often the disk is full."),
    R("RedisAofFails", "aof_last_write_ok == 0", "high", "A restart would lose data; often the disk is full."),
    R("RedisPartsUnread", "parts_unread > 0", "low", "What can't be read can't raise an alert.", 900),
    R("SentinelsNoQuorum", "sentinel_quorum_ok == 0", "high", "Nobody would replace a master that fails.", 60),
    R("SentinelsDisagree", "sentinels_agree == 0", "high", "Services may write to two masters.", 120),
    R("RedisNodeDown", "node_up == 0", "high", "A node of the cluster does not answer.", 60),
    R("RedisSlotsUncovered", "cluster_slots_ok < 16384", "critical", "Some keys can be neither read nor written.", 30),
    R("RedisMasterAlone", "cluster_masters_without_replica > 0", "medium", "If it fails, its keys are gone.", 300),
)  # fmt: skip
