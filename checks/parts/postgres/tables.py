"""The tables, indexes and sequences of a database, and its server's disk; read without waiting for a lock."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from checks.base import Measurement, Run
from checks.parts.growing import GROWTH, growing
from checks.parts.postgres.sections import Section, one
from checks.parts.postgres.session import Asking
from checks.units import Duration, Size, show_duration, show_size
from checks.wire.certificates import visible

LOOKED_AT = 1000
"""Tables, the largest by the server's own estimate, whose files are looked at; and sequences."""
NEAR_ITS_END = 0.5
DAY = 86_400
TABLE = ("datname", "schemaname", "relname")

M = Measurement
MEASUREMENTS = (
    M("table_bytes", "bytes", "Size of a table with its indexes and TOAST.", labels=TABLE),
    M(
        "table_heap_bytes", "bytes", "Size of a table without its indexes.",
        labels=TABLE, also="pg_stat_user_tables_table_size_bytes",
    ),
    M(
        "table_index_bytes", "bytes", "Size of a table's indexes.",
        labels=TABLE, also="pg_stat_user_tables_index_size_bytes",
    ),
    M("table_growth_bytes_per_second", "bytes_per_second", f"How fast a table grows: {GROWTH}", labels=TABLE),
    M(
        "table_live_rows", "count", "Rows of a table, as the server estimates them.",
        labels=TABLE, also="pg_stat_user_tables_n_live_tup",
    ),
    M(
        "table_dead_rows", "count", "Rows of a table that are dead and not vacuumed yet, as the server estimates them.",
        labels=TABLE, also="pg_stat_user_tables_n_dead_tup",
    ),
    M("table_dead_ratio", "ratio", "Dead rows of all rows of a table: at least as much of it is bloat.", labels=TABLE),
    M(
        "table_vacuum_age_seconds", "seconds",
        "Time since a table was vacuumed, by hand or by autovacuum; where it never was, since the counters began.",
        labels=TABLE,
    ),
    M("table_analyze_age_seconds", "seconds", "The same for ANALYZE.", labels=TABLE),
    M("tables_skipped", "count", "Tables left out because somebody held an exclusive lock on them."),
    M("statistics_age_seconds", "seconds", "How far back the counters of this database go, at least."),
    M("unused_indexes", "count", "Indexes unused for unused_after; those that constraints need don't count."),
    M("unused_index_bytes", "bytes", "Their size."),
    M("invalid_indexes", "count", "Indexes that were left half built: they cost writes and serve no reads."),
    M("sequence_used_ratio", "ratio", "How far the sequence nearest to its end is: at 100 % inserts fail."),
)  # fmt: skip

DISK_MEASUREMENTS = (
    M("disk_used_bytes", "bytes", "Size of all databases and of the WAL."),
    M("disk_used_ratio", "ratio", "disk_used_bytes of the `size` of the disk."),
    M("disk_growth_bytes_per_second", "bytes_per_second", f"How fast that grows: {GROWTH}"),
    M("disk_full_in_seconds", "seconds", "Time until the disk is full at that pace; while it shrinks, none."),
    M("wal_size_bytes", "bytes", "Size of the WAL.", also="pg_wal_size_bytes"),
    M("wal_segments", "count", "Files of the WAL.", also="pg_wal_segments"),
)

# What sizes a relation waits for an exclusive lock on it or its indexes. The lock table tells without waiting who has
# one, or waits for one; lock_timeout ends what is locked between the two looks.
QUERY = f"""
SELECT row_to_json(x)::text FROM (
WITH locked AS MATERIALIZED (
    SELECT relation, bool_or(mode = 'AccessExclusiveLock') AS wholly FROM pg_locks
    WHERE mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
          AND relation IS NOT NULL AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    GROUP BY 1
), ours AS (
    SELECT oid, nspname FROM pg_namespace WHERE nspname <> 'information_schema' AND nspname !~ '^pg_'
), since AS (
    SELECT coalesce(stats_reset, pg_postmaster_start_time()) AS began FROM pg_stat_database
    WHERE datname = current_database()
), largest AS MATERIALIZED (
    SELECT c.oid, n.nspname, c.relname, c.reltoastrelid FROM pg_class c JOIN ours n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
    ORDER BY c.relpages DESC, c.oid LIMIT {LOOKED_AT}
), free AS MATERIALIZED (
    SELECT * FROM largest t
    WHERE NOT EXISTS (SELECT FROM locked l WHERE l.wholly AND l.relation IN (t.oid, t.reltoastrelid))
          AND NOT EXISTS (SELECT FROM locked l JOIN pg_index i ON i.indexrelid = l.relation
                          WHERE l.wholly AND i.indrelid IN (t.oid, t.reltoastrelid))
), sized AS MATERIALIZED (
    SELECT oid, nspname, relname, pg_table_size(oid) AS heap, pg_indexes_size(oid) AS indexes FROM free
), tables AS (
    SELECT nspname AS schemaname, relname, heap, indexes, pg_stat_get_live_tuples(oid) AS live,
           pg_stat_get_dead_tuples(oid) AS dead,
           extract(epoch FROM clock_timestamp() - coalesce(
               greatest(pg_stat_get_last_vacuum_time(oid), pg_stat_get_last_autovacuum_time(oid)),
               (SELECT began FROM since))) AS vacuumed,
           extract(epoch FROM clock_timestamp() - coalesce(
               greatest(pg_stat_get_last_analyze_time(oid), pg_stat_get_last_autoanalyze_time(oid)),
               (SELECT began FROM since))) AS analyzed
    FROM sized WHERE heap IS NOT NULL ORDER BY heap + indexes DESC LIMIT $1::int
), indexes AS MATERIALIZED (
    SELECT n.nspname AS schemaname, t.relname, c.relname AS indexrelname, i.*,
           c.relpages::bigint * current_setting('block_size')::int AS bytes
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN ours n ON n.oid = c.relnamespace
         JOIN pg_class t ON t.oid = i.indrelid
    WHERE c.relkind = 'i' AND c.relpersistence <> 't'
), unused AS (
    SELECT * FROM indexes i
    WHERE pg_stat_get_numscans(indexrelid) = 0 AND NOT indisunique AND NOT indisreplident AND indisvalid
          AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
), invalid AS (
    SELECT * FROM indexes i
    WHERE NOT indisvalid AND NOT EXISTS (
        SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)
), sequences AS (
    SELECT n.nspname AS schemaname, c.relname, used.at / least(s.seqmax::float8, CASE a.atttypid
               WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647 ELSE 'infinity'::float8 END) AS used
    FROM (SELECT c.* FROM pg_class c JOIN ours n ON n.oid = c.relnamespace
          WHERE c.relkind = 'S' AND c.relpersistence = 'p' ORDER BY c.oid LIMIT {LOOKED_AT}) c
    JOIN ours n ON n.oid = c.relnamespace JOIN pg_sequence s ON s.seqrelid = c.oid
    LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
                             AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
    LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    CROSS JOIN LATERAL (
        SELECT CASE WHEN has_sequence_privilege(c.oid, 'SELECT') AND NOT s.seqcycle AND s.seqincrement > 0
                         AND NOT EXISTS (SELECT FROM locked l WHERE l.relation = c.oid)
                    THEN pg_sequence_last_value(c.oid) END::float8 AS at OFFSET 0) used
    WHERE used.at IS NOT NULL
)
SELECT current_database() AS datname, (SELECT json_agg(t) FROM tables t) AS tables,
       (SELECT count(*) FROM largest) - (SELECT count(*) FROM free) AS skipped,
       (SELECT extract(epoch FROM clock_timestamp() - began) FROM since) AS statistics_age,
       (SELECT count(*) FROM unused) AS unused, (SELECT coalesce(sum(bytes), 0) FROM unused) AS unused_bytes,
       (SELECT json_agg(u) FROM (SELECT schemaname, relname, indexrelname, bytes FROM unused
                                 ORDER BY bytes DESC LIMIT 20) u) AS unused_rows,
       (SELECT count(*) FROM invalid) AS invalid,
       (SELECT json_agg(i) FROM (SELECT schemaname, relname, indexrelname, bytes FROM invalid
                                 ORDER BY bytes DESC LIMIT 20) i) AS invalid_rows,
       (SELECT json_agg(s) FROM (SELECT * FROM sequences ORDER BY used DESC LIMIT 5) s) AS sequences
) x"""

DISK_QUERY = """
SELECT row_to_json(x)::text FROM (
SELECT (SELECT sum(pg_database_size(oid)) FROM pg_database) AS databases, count(*) AS segments,
       coalesce(sum(size), 0) AS wal
FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'
) x"""


class Tables(Section):
    """Sizes, growth and upkeep of tables; unused and invalid indexes; sequences near their end."""

    every: Duration = Field(default=600.0, gt=0, description="Time from one reading to the next.")
    top: int = Field(default=20, ge=1, le=200, description="Tables to measure one by one, the largest first.")
    unused_after: Duration = Field(
        default=604_800.0, gt=0, description="How far back the counters must go until an index counts as unused."
    )

    async def read(self, asking: Asking, server: dict[str, Any], found: Run) -> None:
        """One question."""
        answer = await one(asking, QUERY, str(self.top))
        for table in answer["tables"] or ():
            _record_table(table, answer["datname"], found)
        found.record("tables_skipped", answer["skipped"])
        found.record("statistics_age_seconds", answer["statistics_age"])
        if answer["statistics_age"] >= self.unused_after:
            found.record("unused_indexes", answer["unused"])
            found.record("unused_index_bytes", answer["unused_bytes"])
            _show("unused indexes", answer["unused_rows"], found)
        found.record("invalid_indexes", answer["invalid"])
        _show("invalid indexes", answer["invalid_rows"], found)
        sequences = answer["sequences"] or []
        if sequences:
            found.record("sequence_used_ratio", sequences[0]["used"])
        near = [each for each in sequences if each["used"] >= NEAR_ITS_END]
        if near:
            lines = (visible(f"{each['schemaname']}.{each['relname']}: {each['used']:.1%} used", 250) for each in near)
            found.evidence("sequences near their end", "\n".join(lines))


class Disk(Section):
    """What the server keeps on its disk, against the size of that disk, which PostgreSQL does not know."""

    size: Size = Field(gt=0, description="How much the disk holds.")

    async def read(self, asking: Asking, server: dict[str, Any], found: Run) -> None:
        """One question."""
        answer = await one(asking, DISK_QUERY)
        used = float(answer["databases"] + answer["wal"])
        found.record("disk_used_bytes", used)
        found.record("disk_used_ratio", used / self.size)
        found.record("wal_size_bytes", answer["wal"])
        found.record("wal_segments", answer["segments"])
        pace = growing(found, "disk", "", used)
        if pace is not None:
            found.record("disk_growth_bytes_per_second", pace)
            if pace > 0:
                found.record("disk_full_in_seconds", max(0.0, (self.size - used) / pace))


def _record_table(table: dict[str, Any], database: str, found: Run) -> None:
    labels = {"datname": database, "schemaname": table["schemaname"], "relname": table["relname"]}
    size, rows = table["heap"] + table["indexes"], table["live"] + table["dead"]
    found.record("table_bytes", size, **labels)
    found.record("table_heap_bytes", table["heap"], **labels)
    found.record("table_index_bytes", table["indexes"], **labels)
    found.record("table_live_rows", table["live"], **labels)
    found.record("table_dead_rows", table["dead"], **labels)
    if rows:
        found.record("table_dead_ratio", table["dead"] / rows, **labels)
    found.record("table_vacuum_age_seconds", table["vacuumed"], **labels)
    found.record("table_analyze_age_seconds", table["analyzed"], **labels)
    pace = growing(found, "tables", f"{database}.{table['schemaname']}.{table['relname']}", size)
    if pace is not None:
        found.record("table_growth_bytes_per_second", pace, **labels)


def _show(title: str, indexes: list[dict[str, Any]] | None, found: Run) -> None:
    if indexes:
        lines = (
            visible(
                f"{each['schemaname']}.{each['indexrelname']} on {each['relname']}: {show_size(each['bytes'])}", 250
            )
            for each in indexes
        )
        found.evidence(title, "\n".join(lines))


def table_line(row: dict[str, Any]) -> str:
    """A table as a person wants to see it: size, dead rows, last vacuum."""
    vacuumed = f"vacuumed {show_duration(row['vacuumed'])} ago" if row["vacuumed"] is not None else "never vacuumed"
    rows = f"{row['dead']} dead of {row['rows']} rows"
    return f"{row['schemaname']}.{row['relname']}: {show_size(row['bytes'])}, {rows}, {vacuumed}"
