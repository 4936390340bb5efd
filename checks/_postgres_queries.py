"""What the postgres kind measures, and the two queries that it asks for it.

For PostgreSQL 12 and later and a role with pg_monitor; sources are the documentation's chapters "The Cumulative
Statistics System" and "System Administration Functions".
"""

from __future__ import annotations

from checks.base import DURATION, Measurement

OLDEST = 120000
ENOUGH_BLOCKS = 1000
ENOUGH_TRANSACTIONS = 100
STATES = ("active", "idle", "idle in transaction", "idle in transaction (aborted)")
DATABASE = ("datid", "datname")

M = Measurement
MEASUREMENTS = (
    DURATION,
    M("connect_seconds", "seconds", "Time to connect and log in."),
    M("server_version", "number", "Version of the server as PostgreSQL counts it: 170010 is 17.10."),
    M("start_time_seconds", "timestamp", "When the server started.", also="pg_postmaster_start_time_seconds"),
    M("uptime_seconds", "seconds", "Time since the server started."),
    M("in_recovery", "bool", "1 on a standby, 0 on a primary.", also="pg_replication_is_replica"),
    M("connections", "count", "Client connections by state, the probe's own among them.", labels=("state",)),
    M("connections_used", "count", "Client connections, the probe's own among them."),
    M("connections_max", "count", "Connections that ordinary roles may use: max_connections less the reserved ones."),
    M("connections_used_ratio", "ratio", "connections_used / connections_max."),
    M("idle_in_transaction", "count", "Sessions that hold a transaction open and do nothing."),
    M("idle_in_transaction_oldest_seconds", "seconds", "Age of the oldest transaction among those; 0 for none."),
    M("idle_sessions", "count", "Sessions idle for longer than idle_limit."),
    M("longest_query_seconds", "seconds", "How long the longest running query has been running; 0 for none."),
    M("blocked_sessions", "count", "Sessions that wait for a lock."),
    M("blocked_longest_seconds", "seconds", "How long the longest of them has been waiting; 0 for none."),
    M(
        "replication_lag_seconds", "seconds",
        "On a standby, how far it is behind: 0 when it has replayed all that it received, else the age of the last "
        "transaction replayed. While it does not stream, always that age, because what it misses is not known.",
        also="pg_replication_lag_seconds",
    ),
    M("replication_receiving", "bool", "On a standby: 1 while it streams from its primary."),
    M("replication_standbys", "count", "Standbys that are connected."),
    M("replication_lag_bytes", "bytes", "WAL that the furthest behind of them has still to replay."),
    M("replication_slot_retained_bytes", "bytes", "WAL kept for the furthest behind replication slot."),
    M("cache_hit_ratio", "ratio", f"Blocks found in the cache since the last {ENOUGH_BLOCKS} or more reads."),
    M("rollback_ratio", "ratio", f"Transactions rolled back of the last {ENOUGH_TRANSACTIONS} or more."),
    M(
        "deadlocks_total", "count", "Deadlocks in this database.",
        labels=DATABASE, counter=True, also="pg_stat_database_deadlocks",
    ),
    M("deadlocks_new", "count", "Deadlocks in this database since the last probe."),
    M("database_size_bytes", "bytes", "Size of this database.", labels=("datname",), also="pg_database_size_bytes"),
    M("transaction_id_age", "count", "Transactions since the oldest unfrozen one; the server stops at 2^31."),
)  # fmt: skip

SERVER = """
SELECT current_setting('server_version_num')::int AS version, current_user::text AS role,
       pg_has_role(current_user, 'pg_read_all_stats', 'usage') AS trusted, pg_is_in_recovery() AS in_recovery,
       current_setting('max_connections')::int AS max_connections,
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
           - coalesce(current_setting('reserved_connections', true), '0')::int AS connections_max,
       extract(epoch FROM pg_postmaster_start_time())::float8 AS started,
       extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8 AS uptime,
       (SELECT max(age(datfrozenxid)) FROM pg_database)::float8 AS oldest_transaction,
       s.datid::text AS datid, s.datname::text AS datname, pg_database_size(s.datid)::float8 AS size,
       s.blks_hit, s.blks_read, s.xact_commit, s.xact_rollback, s.deadlocks
FROM pg_stat_database s WHERE s.datname = current_database()
"""

# Every view once: pg_stat_activity and pg_locks cost the server as much as it has sessions and locks. pg_locks tells
# since when a session waits only from version 14 on, hence the detour over jsonb; before, its query's age stands in.
SESSIONS = """
WITH seen AS MATERIALIZED (
    SELECT pid, coalesce(usename, '')::text AS usename, application_name AS application, backend_type,
           coalesce(state, 'unknown') AS state, left(query, 200) AS query, pid = pg_backend_pid() AS ours,
           extract(epoch FROM clock_timestamp() - query_start)::float8 AS query_age,
           extract(epoch FROM clock_timestamp() - xact_start)::float8 AS transaction_age,
           extract(epoch FROM clock_timestamp() - state_change)::float8 AS state_age
    FROM pg_stat_activity
), clients AS (SELECT * FROM seen WHERE backend_type = 'client backend'
), idling AS (SELECT * FROM clients WHERE state LIKE 'idle in transaction%'
), idle AS (SELECT * FROM clients WHERE state = 'idle' AND state_age > $1
), running AS (SELECT * FROM clients WHERE state = 'active' AND NOT ours
), waits AS MATERIALIZED (
    SELECT pid, bool_or(to_jsonb(l) ? 'waitstart') AS timed,
           extract(epoch FROM clock_timestamp() - min((to_jsonb(l) ->> 'waitstart')::timestamptz))::float8 AS waiting
    FROM pg_locks l WHERE NOT granted GROUP BY pid
), blocked AS (
    SELECT s.*, CASE WHEN w.timed THEN coalesce(w.waiting, 0) ELSE coalesce(s.query_age, 0) END AS waiting
    FROM waits w JOIN seen s USING (pid)
), wal AS (
    SELECT CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
                ELSE pg_current_wal_lsn() END AS now
), receiver AS (SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming') AS receiving
)
SELECT (SELECT count(*)::int FROM clients) AS used,
       (SELECT json_object_agg(state, n) FROM (SELECT state, count(*) AS n FROM clients GROUP BY 1) x) AS states,
       (SELECT count(*)::int FROM idling) AS idling,
       (SELECT coalesce(max(transaction_age), 0) FROM idling) AS idling_oldest,
       (SELECT count(*)::int FROM idle) AS idle,
       (SELECT json_agg(x) FROM (SELECT * FROM idle ORDER BY state_age DESC LIMIT 20) x) AS idle_rows,
       (SELECT coalesce(max(query_age), 0) FROM running) AS longest,
       (SELECT json_agg(x) FROM (SELECT * FROM running WHERE query_age > $2 ORDER BY query_age DESC LIMIT 5) x)
           AS long_rows,
       (SELECT count(*)::int FROM blocked) AS blocked,
       (SELECT coalesce(max(waiting), 0) FROM blocked) AS blocked_longest,
       (SELECT json_agg(x) FROM (
            SELECT b.*, (SELECT json_agg(s) FROM seen s WHERE s.pid = ANY (p.pids)) AS blockers
            FROM (SELECT * FROM blocked ORDER BY waiting DESC LIMIT 5) b
            CROSS JOIN LATERAL (SELECT pg_blocking_pids(b.pid) AS pids OFFSET 0) p) x) AS blocked_rows,
       (SELECT count(*)::int FROM pg_stat_replication WHERE replay_lsn IS NOT NULL) AS standbys,
       (SELECT max(pg_wal_lsn_diff(wal.now, replay_lsn))::float8 FROM pg_stat_replication, wal) AS lag_bytes,
       (SELECT max(pg_wal_lsn_diff(wal.now, restart_lsn))::float8 FROM pg_replication_slots, wal) AS retained,
       (SELECT receiving FROM receiver) AS receiving,
       CASE WHEN NOT pg_is_in_recovery() THEN NULL
            WHEN (SELECT receiving FROM receiver) AND pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
            ELSE greatest(0, extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()))::float8
       END AS lag_seconds
"""
