"""What PostgreSQL says of itself as a whole: version, limits, its database's counters, WAL, archive, checkpoints.

For version 12 and later. Sources are the documentation's chapters "The Cumulative Statistics System", "System
Information Functions" and "System Administration Functions".
"""

from __future__ import annotations

from typing import Any

from checks.base import DURATION, Measurement, Run
from checks.parts.growing import GROWTH, growing

OLDEST = 12
ENOUGH_BLOCKS = 1000
ENOUGH_TRANSACTIONS = 100
ENOUGH_CHECKPOINTS = 5
DATABASE = ("datid", "datname")

M = Measurement

COUNTERS = (
    ("xact_commit", "Transactions committed in this database."),
    ("xact_rollback", "Transactions rolled back in this database."),
    ("blks_read", "Blocks read in this database that were not in PostgreSQL's cache."),
    ("blks_hit", "Blocks found in PostgreSQL's cache."),
    ("tup_returned", "Rows read by scans."),
    ("tup_fetched", "Rows fetched by index scans."),
    ("tup_inserted", "Rows inserted."),
    ("tup_updated", "Rows updated."),
    ("tup_deleted", "Rows deleted."),
    ("temp_files", "Temporary files that queries wrote."),
    ("temp_bytes", "Bytes that queries wrote to temporary files."),
    ("conflicts", "Queries that a standby cancelled because of conflicts with recovery."),
    ("deadlocks", "Deadlocks in this database."),
)
"""Counters of pg_stat_database that postgres_exporter shows under its own names."""

MEASUREMENTS = (
    DURATION,
    M("connect_seconds", "seconds", "Time to connect and log in."),
    M("answer_seconds", "seconds", "Time until `SELECT 1` was answered, connected."),
    M("server_version", "number", "Version of the server as PostgreSQL counts it: 170010 is 17.10."),
    M("start_time_seconds", "timestamp", "When the server started.", also="pg_postmaster_start_time_seconds"),
    M("uptime_seconds", "seconds", "Time since the server started."),
    M("in_recovery", "bool", "1 on a standby, 0 on a primary.", also="pg_replication_is_replica"),
    M("max_connections", "count", "The setting max_connections.", also="pg_settings_max_connections"),
    M(
        "reserved_connections", "count", "The setting superuser_reserved_connections.",
        also="pg_settings_superuser_reserved_connections",
    ),
    M("connections_max", "count", "Connections that ordinary roles may use: max_connections less the reserved ones."),
    M(
        "backends", "count", "Server processes of this database: sessions, and workers on its behalf.",
        labels=DATABASE, also="pg_stat_database_numbackends",
    ),
    *(
        M(f"{name}_total", "bytes" if "bytes" in name else "count", text, DATABASE, True, f"pg_stat_database_{name}")
        for name, text in COUNTERS
    ),
    M("deadlocks_new", "count", "Deadlocks in this database since the last probe."),
    M("temp_bytes_per_second", "bytes_per_second", "What queries wrote to temporary files since the last probe."),
    M("transactions_per_second", "per_second", "Transactions ended since the last probe."),
    M("cache_hit_ratio", "ratio", f"Blocks found in the cache since the last {ENOUGH_BLOCKS} or more reads."),
    M("rollback_ratio", "ratio", f"Transactions rolled back of the last {ENOUGH_TRANSACTIONS} or more."),
    M("checksum_failures", "count", "Damaged blocks that were read, where the cluster has checksums."),
    M("database_size_bytes", "bytes", "Size of this database.", labels=("datname",), also="pg_database_size_bytes"),
    M("database_growth_bytes_per_second", "bytes_per_second", f"How fast this database grows: {GROWTH}"),
    M("transaction_id_age", "count", "Transactions since the oldest unfrozen one; the server stops at 2^31."),
    M("multixact_id_age", "count", "The same for multixacts, which row locks by several transactions use up."),
    M("prepared_transactions", "count", "Prepared transactions: they hold locks until somebody ends them."),
    M("prepared_transaction_oldest_seconds", "seconds", "Age of the oldest of them; 0 for none."),
    M(
        "wal_position_bytes", "bytes", "Where the WAL is written, or on a standby replayed.",
        counter=True, also="pg_xlog_location_bytes",
    ),
    M("wal_bytes_per_second", "bytes_per_second", "WAL written, or on a standby replayed, since the last probe."),
    M("archived_total", "count", "WAL files archived.", counter=True, also="pg_stat_archiver_archived_count"),
    M(
        "archive_failures_total", "count", "Failed attempts to archive a WAL file.",
        counter=True, also="pg_stat_archiver_failed_count",
    ),
    M("archive_failing", "bool", "Where WAL is archived: 1 while the latest attempt has failed."),
    M(
        "archive_age_seconds", "seconds", "Time since a WAL file was last archived.",
        also="pg_stat_archiver_last_archive_age",
    ),
    M(
        "checkpoints_timed_total", "count", "Checkpoints by the clock.",
        counter=True, also="pg_stat_checkpointer_num_timed_total",
    ),
    M(
        "checkpoints_requested_total", "count", "Checkpoints because of much WAL, a backup or a command.",
        counter=True, also="pg_stat_checkpointer_num_requested_total",
    ),
    M(
        "checkpoints_requested_ratio", "ratio",
        f"Requested ones of the last {ENOUGH_CHECKPOINTS} or more: many mean that max_wal_size is small.",
    ),
)  # fmt: skip

_CHECKPOINTS = (
    (17, "num_timed AS timed, num_requested AS requested FROM pg_stat_checkpointer"),
    (12, "checkpoints_timed AS timed, checkpoints_req AS requested FROM pg_stat_bgwriter"),
)


def server_query(version: int) -> str:
    """The question for a server of this major version."""
    checkpoints = next(text for since, text in _CHECKPOINTS if version >= since)
    return f"""
SELECT row_to_json(x)::text FROM (
SELECT current_setting('server_version_num')::int AS version, current_user::text AS role,
       pg_has_role(current_user, 'pg_read_all_stats', 'usage') AS trusted, pg_is_in_recovery() AS in_recovery,
       current_setting('max_connections')::int AS max_connections,
       current_setting('superuser_reserved_connections')::int AS reserved_connections,
       coalesce(current_setting('reserved_connections', true), '0')::int AS reserved_for_roles,
       extract(epoch FROM pg_postmaster_start_time())::float8 AS started,
       extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8 AS uptime,
       (SELECT max(age(datfrozenxid)) FROM pg_database) AS transaction_id_age,
       (SELECT max(mxid_age(datminmxid)) FROM pg_database) AS multixact_id_age,
       (SELECT row_to_json(d) FROM pg_stat_database d WHERE datname = current_database()) AS database,
       pg_database_size(current_database()) AS size,
       (SELECT count(*) FROM pg_prepared_xacts) AS prepared_transactions,
       (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - prepared)), 0) FROM pg_prepared_xacts)
           AS prepared_oldest,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
                       '0/0') AS wal_position,
       current_setting('archive_mode') <> 'off' AS archives,
       (SELECT row_to_json(a) FROM (
            SELECT archived_count, failed_count, last_failed_wal, last_failed_time, last_archived_wal,
                   extract(epoch FROM clock_timestamp() - last_archived_time) AS age,
                   coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) AS failing
            FROM pg_stat_archiver) a) AS archiver,
       (SELECT row_to_json(c) FROM (SELECT {checkpoints}) c) AS checkpoints,
       (SELECT json_build_object('schema', quote_ident(n.nspname), 'version', e.extversion)
        FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
        WHERE e.extname = 'pg_stat_statements') AS statements
) x"""


def record_server(server: dict[str, Any], run: Run) -> None:
    """Record what the answer to `server_query` says."""
    run.memory["max_connections"] = server["max_connections"]
    run.record("server_version", server["version"])
    run.record("start_time_seconds", server["started"])
    run.record("uptime_seconds", server["uptime"])
    run.record("in_recovery", float(server["in_recovery"]))
    run.record("max_connections", server["max_connections"])
    run.record("reserved_connections", server["reserved_connections"])
    run.record("connections_max", usable_connections(server))
    run.record("transaction_id_age", server["transaction_id_age"])
    run.record("multixact_id_age", server["multixact_id_age"])
    run.record("prepared_transactions", server["prepared_transactions"])
    run.record("prepared_transaction_oldest_seconds", server["prepared_oldest"])
    _record_database(server["database"], server["size"], run)
    _record_wal(server, run)


def usable_connections(server: dict[str, Any]) -> float:
    """How many connections ordinary roles may use."""
    return float(server["max_connections"] - server["reserved_connections"] - server["reserved_for_roles"])


def _record_database(database: dict[str, Any], size: float, run: Run) -> None:
    name = {"datname": database["datname"]}
    both = {"datid": str(database["datid"]), **name}
    run.record("backends", database["numbackends"], **both)
    for counter, _ in COUNTERS:
        run.record(f"{counter}_total", database[counter], **both)
    run.record("database_size_bytes", size, **name)
    pace = growing(run, "database", database["datname"], size)
    if pace is not None:
        run.record("database_growth_bytes_per_second", pace)
    deadlocks = run.growth("deadlocks", database["deadlocks"])
    if deadlocks is not None:
        run.record("deadlocks_new", deadlocks)
    if database.get("checksum_failures") is not None:
        run.record("checksum_failures", database["checksum_failures"])
    run.rate("temp_bytes_per_second", database["temp_bytes"])
    run.rate("transactions_per_second", database["xact_commit"] + database["xact_rollback"])
    run.share("cache_hit_ratio", database["blks_hit"], database["blks_read"], ENOUGH_BLOCKS)
    run.share("rollback_ratio", database["xact_rollback"], database["xact_commit"], ENOUGH_TRANSACTIONS)


def _record_wal(server: dict[str, Any], run: Run) -> None:
    if server["wal_position"] is not None:
        run.record("wal_position_bytes", server["wal_position"])
        run.rate("wal_bytes_per_second", server["wal_position"])
    archiver, checkpoints = server["archiver"], server["checkpoints"]
    run.record("archived_total", archiver["archived_count"])
    run.record("archive_failures_total", archiver["failed_count"])
    if server["archives"]:
        run.record("archive_failing", float(archiver["failing"]))
        if archiver["failing"]:
            run.evidence("archiving", f"{archiver['last_failed_wal']} could not be archived: see the server's log")
    if archiver["age"] is not None:
        run.record("archive_age_seconds", archiver["age"])
    run.record("checkpoints_timed_total", checkpoints["timed"])
    run.record("checkpoints_requested_total", checkpoints["requested"])
    run.share("checkpoints_requested_ratio", checkpoints["requested"], checkpoints["timed"], ENOUGH_CHECKPOINTS)
