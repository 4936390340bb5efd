"""What a person would ask PostgreSQL next when one of its alerts fires: read only, four questions."""

from __future__ import annotations

from typing import Any

from checks.base import Run
from checks.parts.postgres.sections import one
from checks.parts.postgres.session import Asking
from checks.parts.postgres.sessions import SHOWN, idle, running, standby
from checks.parts.postgres.tables import table_line
from checks.parts.postgres.wire import Refused
from checks.parts.sql.text import masked
from checks.units import show_duration
from checks.wire.certificates import visible

LINE = 600
"""Characters of a line of evidence: names may hold anything, even line breaks."""

ACTIVITY = f"""
SELECT row_to_json(x)::text FROM (
WITH clients AS MATERIALIZED (
    SELECT pid, coalesce(usename, '')::text AS usename, application_name AS application, backend_type,
           coalesce(host(client_addr), 'local') AS client, datname, coalesce(state, 'unknown') AS state,
           left(query, {SHOWN}) AS query, wait_event_type, wait_event,
           extract(epoch FROM clock_timestamp() - query_start)::float8 AS query_age,
           extract(epoch FROM clock_timestamp() - xact_start)::float8 AS transaction_age,
           extract(epoch FROM clock_timestamp() - state_change)::float8 AS state_age
    FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
)
SELECT (SELECT json_agg(r) FROM (SELECT * FROM clients WHERE state = 'active'
                                 ORDER BY query_age DESC LIMIT 10) r) AS running,
       (SELECT json_agg(i) FROM (SELECT * FROM clients WHERE state LIKE 'idle in transaction%'
                                 ORDER BY transaction_age DESC LIMIT 10) i) AS idling,
       (SELECT json_agg(i) FROM (SELECT * FROM clients WHERE state = 'idle' AND state_age > $1::float8
                                 ORDER BY state_age DESC LIMIT 20) i) AS idle,
       (SELECT json_agg(c) FROM (SELECT usename, application, client, datname, count(*) AS n,
                                        count(*) FILTER (WHERE state = 'active') AS active
                                 FROM clients GROUP BY 1, 2, 3, 4 ORDER BY n DESC LIMIT 10) c) AS clients,
       (SELECT json_agg(s) FROM (
            SELECT application_name, host(client_addr) AS client_addr, state, sync_state,
                   coalesce(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()
                                                 ELSE pg_current_wal_lsn() END, replay_lsn), 0) AS behind
            FROM pg_stat_replication ORDER BY 5 DESC LIMIT 10) s) AS standbys,
       (SELECT json_agg(p) FROM (
            SELECT gid, owner, database, extract(epoch FROM clock_timestamp() - prepared) AS age
            FROM pg_prepared_xacts ORDER BY prepared LIMIT 10) p) AS prepared,
       (SELECT row_to_json(d) FROM (
            SELECT deadlocks, stats_reset::timestamptz(0)::text AS since FROM pg_stat_database
            WHERE datname = current_database()) d) AS database,
       current_setting('log_destination') AS log_destination
) x"""

# By the server's own estimates: no file is looked at, so no lock is waited for.
TABLES = """
SELECT row_to_json(x)::text FROM (
SELECT json_agg(t) AS tables FROM (
    SELECT s.schemaname, s.relname, c.relpages::bigint * current_setting('block_size')::int AS bytes,
           n_dead_tup AS dead, n_live_tup + n_dead_tup AS rows,
           extract(epoch FROM clock_timestamp() - greatest(last_vacuum, last_autovacuum)) AS vacuumed
    FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid ORDER BY c.relpages DESC LIMIT 10) t
) x"""


async def diagnose(asking: Asking, idle_limit: float, run: Run) -> None:
    """Gather the evidence. What can't be had is left out. Raises Refused where not even the sessions can be read."""
    activity = await one(asking, ACTIVITY, repr(idle_limit))
    _evidence("running queries", activity["running"], running, run)
    _evidence("idle in transaction", activity["idling"], _idling, run)
    _evidence("idle sessions", activity["idle"], idle, run)
    _evidence("who is connected", activity["clients"], _client, run)
    _evidence("standbys", activity["standbys"], standby, run)
    _evidence("prepared transactions", activity["prepared"], _prepared, run)
    database = activity["database"]
    if database["deadlocks"]:
        since = f" since {database['since']}" if database["since"] else ""
        run.evidence(
            "deadlocks",
            f"{database['deadlocks']}{since}; their statements are in the log ({activity['log_destination']})",
        )
    try:
        _evidence("largest tables", (await one(asking, TABLES))["tables"], table_line, run)
        await _top_statements(asking, run)
    except Refused:
        return


async def _top_statements(asking: Asking, run: Run) -> None:
    schema = await one(
        asking,
        "SELECT json_build_object('schema', (SELECT quote_ident(n.nspname) FROM pg_extension e "
        "JOIN pg_namespace n ON n.oid = e.extnamespace WHERE extname = 'pg_stat_statements'), "
        "'version', (SELECT extversion FROM pg_extension WHERE extname = 'pg_stat_statements'))::text",
    )
    if schema["schema"] is None:
        return
    time = "total_time" if str(schema["version"]) in ("1.4", "1.5", "1.6", "1.7") else "total_exec_time"
    found = await one(
        asking,
        f"SELECT json_build_object('rows', json_agg(s))::text FROM ("
        f"SELECT left(query, 1000) AS query, calls, {time} / 1000 AS seconds "
        f"FROM {schema['schema']}.pg_stat_statements "
        f"WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 3 DESC LIMIT 10) s",
    )
    _evidence("statements that took most time", found["rows"], _statement, run)


def _evidence(title: str, rows: list[dict[str, Any]] | None, line: Any, run: Run) -> None:
    if rows:
        run.evidence(title, "\n".join(visible(line(row), LINE) for row in rows))


def _idling(row: dict[str, Any]) -> str:
    return f"{idle(row)}, in a transaction for {show_duration(row['transaction_age'] or 0)}: {masked(row['query'])}"


def _client(row: dict[str, Any]) -> str:
    application = f" ({row['application']})" if row["application"] else ""
    return (
        f"{row['n']} by {row['usename']}{application} from {row['client']} to {row['datname']}, {row['active']} active"
    )


def _prepared(row: dict[str, Any]) -> str:
    return f"{row['gid']} of {row['owner']} in {row['database']}, for {show_duration(row['age'])}"


def _statement(row: dict[str, Any]) -> str:
    each = row["seconds"] / row["calls"] if row["calls"] else 0.0
    total, mean = show_duration(row["seconds"]), show_duration(each)
    return f"{total} in {row['calls']} runs ({mean} each): {masked(row['query'])}"
