"""Thresholds worth having for PostgreSQL, beside that it fails."""

from __future__ import annotations

from checks.base import Recommended

MINUTE, HOUR = 60.0, 3600.0

RECOMMENDED = (
    Recommended(
        "PostgresConnectionsNearlyUsed", "connections_used_ratio > 80%", "high",
        "Soon new clients are refused.", 5 * MINUTE,
    ),
    Recommended(
        "PostgresSessionsBlocked", "blocked_longest_seconds > 30s", "high", "Sessions wait for a lock.", MINUTE
    ),
    Recommended(
        "PostgresIdleInTransaction", "idle_in_transaction_oldest_seconds > 10m", "medium",
        "A transaction that does nothing holds its locks and keeps vacuum from cleaning.",
    ),
    Recommended("PostgresIdleSessions", "idle_sessions > 0", "low", "Idle for longer than idle_limit.", HOUR),
    Recommended("PostgresSlowAnswer", "answer_seconds > 100ms", "low", "Even SELECT 1 takes long.", 5 * MINUTE),
    Recommended("PostgresSlowStatements", "slow_statements > 0", "medium", "Statements are slow.", 5 * MINUTE),
    Recommended(
        "PostgresStandbyBehind", "replication_lag_seconds > 1m", "high",
        "What is read from the standby is old, and so is what a failover would keep.", 5 * MINUTE,
    ),
    Recommended(
        "PostgresStandbyCutOff", "in_recovery == true and replication_receiving == false", "high",
        "The standby does not stream from its primary.", 5 * MINUTE,
    ),
    Recommended(
        "PostgresSlotInactive", "replication_slots_inactive > 0", "medium",
        "Nobody reads from a slot, so WAL gathers until the disk is full.", 10 * MINUTE,
    ),
    Recommended("PostgresSlotLost", "replication_slots_lost > 0", "high", "A standby must be made anew."),
    Recommended(
        "PostgresArchiveFailing", "archive_failing == true", "high",
        "No recovery to a point in time, and WAL gathers until the disk is full.", 15 * MINUTE,
    ),
    Recommended("PostgresChecksumFailures", "checksum_failures > 0", "critical", "Data on the disk is damaged."),
    Recommended(
        "PostgresWraparoundNear", "transaction_id_age > 1500000000 or multixact_id_age > 1500000000", "high",
        "At 2^31 the server stops: find out why vacuum can't freeze.",
    ),
    Recommended(
        "PostgresPreparedForgotten", "prepared_transaction_oldest_seconds > 1h", "medium",
        "A prepared transaction that nobody ends holds its locks for ever.",
    ),
    Recommended("PostgresDiskNearlyFull", "disk_used_ratio > 85%", "high", "A full disk stops it.", 10 * MINUTE),
    Recommended("PostgresDiskFullSoon", "disk_full_in_seconds < 4d", "medium", "The disk is full in days.", HOUR),
    Recommended(
        "PostgresSequenceNearEnd", "sequence_used_ratio > 80%", "high", "At its end inserts fail: change its type."
    ),
    Recommended(
        "PostgresTableNotVacuumed", "table_vacuum_age_seconds > 7d and table_dead_ratio > 20%", "low",
        "Vacuum does not keep up with this table.",
    ),
    Recommended("PostgresInvalidIndexes", "invalid_indexes > 0", "low", "Drop or rebuild them.", HOUR),
    Recommended("PostgresUnusedIndexes", "unused_indexes > 0", "low", "They cost writes and disk.", HOUR),
    Recommended("PostgresPartlyUnread", "sections_unread > 0", "low", "A part of this check can't be read.", HOUR),
)  # fmt: skip
