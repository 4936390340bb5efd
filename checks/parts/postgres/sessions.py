"""Who is connected to PostgreSQL, who waits for whom, who holds what back, and how far replication is."""

from __future__ import annotations

from typing import Any

from checks.base import Measurement, Run
from checks.parts.sql.text import masked
from checks.units import show_duration, show_size
from checks.wire.certificates import visible

STATES = ("active", "idle", "idle in transaction", "idle in transaction (aborted)")
LOCK_MODES = (
    "accesssharelock", "rowsharelock", "rowexclusivelock", "shareupdateexclusivelock", "sharelock",
    "sharerowexclusivelock", "exclusivelock", "accessexclusivelock", "sireadlock",
)  # fmt: skip
SLOT = ("slot_name", "database")
SHOWN = 300
"""Characters of a query that are asked for."""

M = Measurement
MEASUREMENTS = (
    M("connections", "count", "Client connections by state, the probe's own among them.", labels=("state",)),
    M("connections_used", "count", "Client connections, the probe's own among them."),
    M("connections_used_ratio", "ratio", "connections_used / connections_max."),
    M("idle_in_transaction", "count", "Sessions that hold a transaction open and do nothing."),
    M("idle_in_transaction_oldest_seconds", "seconds", "Age of the oldest transaction among those; 0 for none."),
    M("idle_sessions", "count", "Sessions idle for longer than idle_limit."),
    M("longest_query_seconds", "seconds", "How long the longest running query has been running; 0 for none."),
    M("longest_transaction_seconds", "seconds", "Age of the oldest transaction of a client; 0 for none."),
    M("snapshot_age", "count", "Transactions since the oldest snapshot in use: vacuum can't clean what came after it."),
    M("blocked_sessions", "count", "Sessions that wait for a lock."),
    M("blocked_longest_seconds", "seconds", "How long the longest of them has been waiting; 0 for none."),
    M("locks", "count", "Locks in this database, waited for or held.", ("datname", "mode"), also="pg_locks_count"),
    M(
        "replication_lag_seconds", "seconds",
        "On a standby, how far it is behind: 0 when it has replayed all that it received, else the age of the last "
        "transaction replayed. While it does not stream, always that age, because what it misses is not known.",
        also="pg_replication_lag_seconds",
    ),
    M("replication_receiving", "bool", "On a standby: 1 while it streams from its primary."),
    M("replication_heard_seconds", "seconds", "On a standby: time since its primary last said something."),
    M("replication_standbys", "count", "Standbys that are connected."),
    M("replication_lag_bytes", "bytes", "WAL that the furthest behind of them has still to replay."),
    M("replication_standby_lag_seconds", "seconds", "Time until the slowest of them has replayed what is written."),
    M(
        "replication_slot_active", "bool", "1 while somebody reads from the slot.",
        labels=SLOT, also="pg_replication_slots_active",
    ),
    M(
        "replication_slot_bytes", "bytes", "WAL kept for the slot.",
        labels=SLOT, also="pg_replication_slots_pg_wal_lsn_diff",
    ),
    M("replication_slot_retained_bytes", "bytes", "WAL kept for the furthest behind replication slot."),
    M("replication_slots_inactive", "count", "Replication slots that nobody reads from: they keep WAL for ever."),
    M("replication_slots_lost", "count", "Replication slots whose WAL is gone: their standby must be made anew."),
)  # fmt: skip


def sessions_query(version: int) -> str:
    """The question for a server of this major version; $1 is idle_limit, $2 long_query, in seconds.

    Every view is read once: pg_stat_activity and pg_locks cost the server as much as it has sessions and locks.
    """
    # Before version 14 nobody knows since when a session waits: its query's age stands in.
    waiting = "clock_timestamp() - waitstart" if version >= 14 else "NULL::interval"
    wal_status = "wal_status" if version >= 13 else "NULL"
    return f"""
SELECT row_to_json(x)::text FROM (
WITH seen AS MATERIALIZED (
    SELECT pid, coalesce(usename, '')::text AS usename, application_name AS application, client_addr, backend_type,
           coalesce(state, 'unknown') AS state, left(query, {SHOWN}) AS query, pid = pg_backend_pid() AS ours,
           age(backend_xmin) AS snapshot_age,
           extract(epoch FROM clock_timestamp() - query_start)::float8 AS query_age,
           extract(epoch FROM clock_timestamp() - xact_start)::float8 AS transaction_age,
           extract(epoch FROM clock_timestamp() - state_change)::float8 AS state_age
    FROM pg_stat_activity
), clients AS (SELECT * FROM seen WHERE backend_type = 'client backend'
), idling AS (SELECT * FROM clients WHERE state LIKE 'idle in transaction%'
), idle AS (SELECT * FROM clients WHERE state = 'idle' AND state_age > $1::float8
), running AS (SELECT * FROM clients WHERE state = 'active' AND NOT ours
), locks AS MATERIALIZED (
    SELECT pid, granted, lower(mode) AS mode, database,
           extract(epoch FROM CASE WHEN NOT granted THEN {waiting} END)::float8 AS waiting
    FROM pg_locks
), waits AS (SELECT pid, max(waiting) AS waiting FROM locks WHERE NOT granted GROUP BY pid
), blocked AS (
    SELECT s.*, {"coalesce(w.waiting, 0)" if version >= 14 else "coalesce(s.query_age, 0)"} AS waiting
    FROM waits w JOIN seen s USING (pid)
), wal AS (
    SELECT CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
                ELSE pg_current_wal_lsn() END AS now
), receiver AS MATERIALIZED (SELECT * FROM pg_stat_wal_receiver WHERE status = 'streaming'
), standbys AS MATERIALIZED (SELECT * FROM pg_stat_replication WHERE replay_lsn IS NOT NULL
)
SELECT (SELECT count(*) FROM clients) AS used,
       (SELECT json_object_agg(state, n) FROM (SELECT state, count(*) AS n FROM clients GROUP BY 1) s) AS states,
       (SELECT count(*) FROM idling) AS idling,
       (SELECT coalesce(max(transaction_age), 0) FROM idling) AS idling_oldest,
       (SELECT count(*) FROM idle) AS idle,
       (SELECT json_agg(i) FROM (SELECT * FROM idle ORDER BY state_age DESC LIMIT 20) i) AS idle_rows,
       (SELECT coalesce(max(query_age), 0) FROM running) AS longest,
       (SELECT json_agg(r) FROM (SELECT * FROM running WHERE query_age > $2::float8 ORDER BY query_age DESC LIMIT 5) r)
           AS long_rows,
       (SELECT coalesce(max(transaction_age), 0) FROM clients WHERE NOT ours) AS longest_transaction,
       (SELECT coalesce(max(snapshot_age), 0) FROM seen WHERE NOT ours) AS snapshot_age,
       (SELECT count(*) FROM blocked) AS blocked,
       (SELECT coalesce(max(waiting), 0) FROM blocked) AS blocked_longest,
       (SELECT json_agg(y) FROM (
            SELECT b.*, (SELECT json_agg(s) FROM seen s WHERE s.pid = ANY (p.pids)) AS blockers
            FROM (SELECT * FROM blocked ORDER BY waiting DESC LIMIT 5) b
            CROSS JOIN LATERAL (SELECT pg_blocking_pids(b.pid) AS pids OFFSET 0) p) y) AS blocked_rows,
       current_database() AS datname,
       (SELECT json_object_agg(mode, n) FROM (
            SELECT mode, count(*) AS n FROM locks
            WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database()) GROUP BY 1) l) AS locks,
       (SELECT count(*) FROM standbys) AS standbys,
       (SELECT max(pg_wal_lsn_diff(wal.now, replay_lsn)) FROM standbys, wal) AS lag_bytes,
       (SELECT coalesce(max(extract(epoch FROM replay_lag)), 0) FROM standbys) AS standby_lag,
       (SELECT json_agg(s) FROM (
            SELECT slot_name, coalesce(database, '') AS database, active, {wal_status} AS wal_status,
                   pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE wal.now END,
                                   restart_lsn) AS retained
            FROM pg_replication_slots, wal ORDER BY 5 DESC NULLS LAST LIMIT 50) s) AS slots,
       EXISTS (SELECT FROM receiver) AS receiving,
       (SELECT extract(epoch FROM clock_timestamp() - last_msg_receipt_time) FROM receiver) AS heard,
       CASE WHEN NOT pg_is_in_recovery() THEN NULL
            WHEN EXISTS (SELECT FROM receiver) AND pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
            -- Since its start it may have replayed none: then nobody knows.
            ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())
       END AS lag_seconds
) x"""


def record_sessions(sessions: dict[str, Any], usable: float, standby: bool, run: Run) -> None:
    """Record what the answer to `sessions_query` says, with evidence where there is something to see."""
    states = sessions["states"] or {}
    for state in dict.fromkeys((*STATES, *states)):
        run.record("connections", states.get(state, 0), state=state)
    run.record("connections_used", sessions["used"])
    if usable > 0:
        run.record("connections_used_ratio", sessions["used"] / usable)
    for name, key in (
        ("idle_in_transaction", "idling"),
        ("idle_in_transaction_oldest_seconds", "idling_oldest"),
        ("idle_sessions", "idle"),
        ("longest_query_seconds", "longest"),
        ("longest_transaction_seconds", "longest_transaction"),
        ("snapshot_age", "snapshot_age"),
        ("blocked_sessions", "blocked"),
        ("blocked_longest_seconds", "blocked_longest"),
    ):
        run.record(name, sessions[key])
    locks = sessions["locks"] or {}
    for mode in LOCK_MODES:
        run.record("locks", locks.get(mode, 0), datname=sessions["datname"], mode=mode)
    _record_replication(sessions, standby, run)
    _show(sessions, run)


def _record_replication(sessions: dict[str, Any], standby: bool, run: Run) -> None:
    slots = sessions["slots"] or []
    run.record("replication_standbys", sessions["standbys"])
    run.record("replication_slots_inactive", sum(not slot["active"] for slot in slots))
    run.record("replication_slots_lost", sum(slot["wal_status"] == "lost" for slot in slots))
    if standby:
        run.record("replication_receiving", float(sessions["receiving"]))
    if sessions["standbys"]:
        run.record("replication_standby_lag_seconds", max(0.0, sessions["standby_lag"]))
    retained = [slot["retained"] for slot in slots if slot["retained"] is not None]
    for name, value in (
        ("replication_lag_seconds", sessions["lag_seconds"]),
        ("replication_lag_bytes", sessions["lag_bytes"]),
        ("replication_heard_seconds", sessions["heard"]),
        ("replication_slot_retained_bytes", max(retained, default=None)),
    ):
        if value is not None:
            run.record(name, max(0.0, value))
    for slot in slots:
        where = {"slot_name": slot["slot_name"], "database": slot["database"]}
        run.record("replication_slot_active", float(slot["active"]), **where)
        if slot["retained"] is not None:
            run.record("replication_slot_bytes", slot["retained"], **where)


def _show(sessions: dict[str, Any], run: Run) -> None:
    for title, key, line in (
        ("blocked sessions", "blocked_rows", _blocked),
        ("longest queries", "long_rows", running),
        ("idle sessions", "idle_rows", idle),
    ):
        if sessions[key]:
            run.evidence(title, "\n".join(line(row) for row in sessions[key]))


def running(row: dict[str, Any]) -> str:
    """A session that runs a query, on one line."""
    return f"{who(row)} for {age(row['query_age'])}: {masked(row['query'])}"


def idle(row: dict[str, Any]) -> str:
    """A session that does nothing, on one line."""
    return f"{who(row)} for {age(row['state_age'])}"


def standby(row: dict[str, Any]) -> str:
    """A standby as its primary sees it, on one line."""
    where = f" at {row['client_addr']}" if row["client_addr"] else ""
    return f"{row['application_name']}{where} ({row['state']}, {row['sync_state']}): {show_size(row['behind'])} behind"


def _blocked(row: dict[str, Any]) -> str:
    lines = [f"{who(row)} has waited {age(row['waiting'])}: {masked(row['query'])}"]
    blockers = [
        f"  blocked by {who(other)} in a transaction for {age(other['transaction_age'])}: {masked(other['query'])}"
        for other in row["blockers"] or ()
    ]
    # A lock held by a prepared transaction has no session, hence no row.
    return "\n".join([*lines, *(blockers or ["  blocked by a transaction without a session"])])


def who(row: dict[str, Any]) -> str:
    """A session by its process id, role and application."""
    application = f", {row['application']}" if row["application"] else ""
    return visible(f"pid {row['pid']} ({row['usename'] or row['backend_type']}{application}, {row['state']})", 200)


def age(seconds: float | None) -> str:
    """A time as people say it, which may not be known."""
    return "an unknown time" if seconds is None else show_duration(seconds)
