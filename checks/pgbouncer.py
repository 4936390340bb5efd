"""Asks PgBouncer's admin console how its pools are: clients that wait, servers in use, times, databases paused."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from checks.base import DURATION, Asks, Check, Errored, Failed, Measurement, Reason, Recommended, Run, Url
from checks.parts.postgres.session import Asking, Dsn, Server
from checks.parts.postgres.wire import Answer, Refused
from checks.units import show_duration

CONSOLE = "pgbouncer"
REFUSAL = "not allowed"
POOL, DATABASE = ("database", "user"), ("database",)
MINUTE = 60.0
CLIENTS_SHOWN = 20

M = Measurement
POOLS = (
    ("clients_active", "cl_active", "Clients that have a server, or need none now.", "client_active_connections"),
    ("clients_waiting", "cl_waiting", "Clients that wait for a server.", "client_waiting_connections"),
    ("servers_active", "sv_active", "Servers that a client has.", "server_active_connections"),
    ("servers_idle", "sv_idle", "Servers that a client may have at once.", "server_idle_connections"),
    ("servers_used", "sv_used", "Servers idle for so long that they are tested first.", "server_used_connections"),
    ("servers_tested", "sv_tested", "Servers that are being tested or reset.", "server_testing_connections"),
    ("servers_login", "sv_login", "Servers that PgBouncer is logging in to.", "server_login_connections"),
)
"""Measurement, column of SHOW POOLS, meaning, and how pgbouncer_exporter calls it."""
STATS = (
    ("transactions_total", "xact_count", "count", 1.0, "Transactions.", "sql_transactions_pooled_total"),
    ("queries_total", "query_count", "count", 1.0, "Queries.", "queries_pooled_total"),
    ("received_bytes_total", "bytes_received", "bytes", 1.0, "Bytes from clients.", "received_bytes_total"),
    ("sent_bytes_total", "bytes_sent", "bytes", 1.0, "Bytes to clients.", "sent_bytes_total"),
    (
        "transaction_seconds_total", "xact_time", "seconds", 1e-6, "Time that servers spent in transactions.",
        "server_in_transaction_seconds_total",
    ),
    (
        "query_seconds_total", "query_time", "seconds", 1e-6, "Time that servers spent in queries.",
        "queries_duration_seconds_total",
    ),
    (
        "wait_seconds_total", "wait_time", "seconds", 1e-6, "Time that clients waited for a server.",
        "client_wait_seconds_total",
    ),
)  # fmt: skip
"""Measurement, column of SHOW STATS_TOTALS, unit, that unit in the column's, meaning, pgbouncer_exporter's name."""
QUESTIONS = ("SHOW POOLS", "SHOW DATABASES", "SHOW STATS_TOTALS", "SHOW LISTS", "SHOW CONFIG")
Rows = list[dict[str, str | None]]


def _console(dsn: Url) -> Url:
    if dsn.parts.path not in ("", "/", f"/{CONSOLE}"):
        raise ValueError(f"the console is the database {CONSOLE}; leave {dsn.parts.path} out")
    return dsn


class PgBouncer(Check):
    """PgBouncer, by its admin console. Whether the database behind it is well, `postgres` and `sql` ask through it."""

    up: ClassVar[str] = "pgbouncer_up"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        DURATION,
        M("connect_seconds", "seconds", "Time to connect and log in."),
        *(M(name, "count", text, POOL, also=f"pgbouncer_pools_{also}") for name, _, text, also in POOLS),
        M(
            "wait_longest_seconds", "seconds", "How long the client that waits longest has waited; 0 for none.",
            labels=POOL, also="pgbouncer_pools_client_maxwait_seconds",
        ),
        M("pool_used_ratio", "ratio", "Servers that clients have, of the pool's size; above 1 with a reserve.", POOL),
        *(
            M(name, unit, text, DATABASE, True, f"pgbouncer_stats_totals_{also}")
            for name, _, unit, _, text, also in STATS
        ),
        M("query_mean_seconds", "seconds", "Mean time of a query since the last probe.", DATABASE),
        M("transaction_mean_seconds", "seconds", "Mean time of a transaction since the last probe.", DATABASE),
        M("wait_mean_seconds", "seconds", "Mean wait of a transaction for a server since the last probe.", DATABASE),
        M("queries_per_second", "per_second", "Queries since the last probe.", DATABASE),
        M("database_connections", "count", "Connections to the server.", DATABASE),
        M("database_connections_used_ratio", "ratio", "The same of its max_connections, where set.", DATABASE),
        M("database_paused", "bool", "1 while the database is paused: its clients wait.", DATABASE),
        M("database_disabled", "bool", "1 while the database takes no new clients.", DATABASE),
        M("clients", "count", "Clients of all pools.", also="pgbouncer_used_clients"),
        M("clients_max", "count", "The setting max_client_conn.", also="pgbouncer_config_max_client_connections"),
        M("clients_used_ratio", "ratio", "clients / clients_max."),
    )  # fmt: skip
    recommended: ClassVar[tuple[Recommended, ...]] = (
        Recommended(
            "PgBouncerClientsWait", "wait_longest_seconds > 5s", "high",
            "The pool is too small for its clients, or the server is slow.", MINUTE,
        ),
        Recommended("PgBouncerPoolNearlyUsed", "pool_used_ratio > 80%", "medium", "Soon clients wait.", 5 * MINUTE),
        Recommended("PgBouncerClientsNearlyFull", "clients_used_ratio > 80%", "high", "Soon some are refused.", MINUTE),
        Recommended("PgBouncerPaused", "database_paused == true", "high", "Clients wait until RESUME.", 5 * MINUTE),
        Recommended("PgBouncerDisabled", "database_disabled == true", "medium", "New clients are refused.", 5 * MINUTE),
    )  # fmt: skip

    dsn: Annotated[Dsn, AfterValidator(_console)] = Field(
        description="postgresql://user:password@host:6432?sslmode=…, the user one of stats_users or admin_users."
    )
    max_pools: int = Field(
        default=100, ge=1, le=1000, description="Pools and databases to measure, those with most clients first."
    )

    @property
    def server(self) -> Server:
        """Where it is."""
        return Server(self.dsn, self.timeout, title="PgBouncer", port=6432, database=CONSOLE)

    def secrets(self) -> tuple[str, ...]:
        """Also the password as PgBouncer knows it, without the address's escapes."""
        return self.server.secrets()

    def asks(self) -> tuple[Asks, ...]:
        """What it shows on its console."""
        return (Asks(self.target, len(QUESTIONS), len(QUESTIONS), "statements", diagnosis=2),)

    async def probe(self, run: Run) -> None:
        """Ask once: five commands in one write."""
        try:
            async with self.server.session(run) as asking:
                run.record("connect_seconds", asking.connected)
                answers = await self._shown(asking, *QUESTIONS)
        except Failed as why:
            # PgBouncer has no SQLSTATE for who may not see the console.
            raise self._not_allowed(REFUSAL) if REFUSAL in why.sentence else why from None
        try:
            self._record(run, *answers)
        except (KeyError, TypeError, ValueError) as why:
            raise Errored(
                Reason.INTERNAL,
                f"cannot read what {self.server.where} shows: {type(why).__name__} {why}; is it PgBouncer?",
            ) from None

    async def diagnose(self, run: Run) -> None:
        """The clients that have waited longest, and where servers are."""
        async with self.server.session(run) as asking:
            clients, servers = await self._shown(asking, "SHOW CLIENTS", "SHOW SERVERS")
        waiting = sorted((row for row in clients if row.get("state") == "waiting"), key=_waited, reverse=True)
        if waiting:
            run.evidence("clients that wait", "\n".join(map(_client, waiting[:CLIENTS_SHOWN])))
        places: dict[str, int] = {}
        for row in servers:
            place = f"{row.get('database')} at {row.get('addr')}:{row.get('port')}, {row.get('state')}"
            places[place] = places.get(place, 0) + 1
        if places:
            most = sorted(places.items(), key=lambda item: -item[1])[:CLIENTS_SHOWN]
            run.evidence("connections to servers", "\n".join(f"{count}: {place}" for place, count in most))

    async def _shown(self, asking: Asking, *commands: str) -> list[Rows]:
        """The rows that the console shows. Errored where it does not let our user ask."""
        try:
            return [_rows(answer) for answer in await asking.plain(*commands)]
        except Refused as why:
            raise self._not_allowed(why.said) from None

    def _not_allowed(self, said: str) -> Errored:
        user = self.dsn.parts.username or "our user"
        return Errored(
            Reason.AUTH,
            f"cannot ask the console of {self.server.where}: {said}; "
            f"add to pgbouncer.ini: stats_users = {user}, and run RELOAD",
        )

    def _record(self, run: Run, pools: Rows, databases: Rows, stats: Rows, lists: Rows, config: Rows) -> None:
        sizes = {row["name"]: _number(row, "pool_size") for row in databases}
        busiest = sorted(pools, key=lambda row: (_number(row, "cl_waiting"), _number(row, "cl_active")), reverse=True)
        for row in busiest[: self.max_pools]:
            if row["database"] != CONSOLE:
                _record_pool(row, sizes.get(row["database"], 0.0), run)
        for row in databases[: self.max_pools]:
            if row["name"] != CONSOLE:
                _record_database(row, run)
        for row in stats[: self.max_pools]:
            if row["database"] != CONSOLE:
                _record_stats(row, run)
        counted = {row["list"]: row["items"] for row in lists}
        settings = {row["key"]: row["value"] for row in config}
        used, most = float(counted["used_clients"] or 0), float(settings["max_client_conn"] or 0)
        run.record("clients", used)
        run.record("clients_max", most)
        if most:
            run.record("clients_used_ratio", used / most)


def _record_pool(row: dict[str, str | None], size: float, run: Run) -> None:
    labels = {"database": str(row["database"]), "user": str(row["user"])}
    for name, column, _, _ in POOLS:
        run.record(name, _number(row, column), **labels)
    run.record("wait_longest_seconds", _number(row, "maxwait") + _number(row, "maxwait_us") / 1e6, **labels)
    if size:
        run.record("pool_used_ratio", _number(row, "sv_active") / size, **labels)


def _record_database(row: dict[str, str | None], run: Run) -> None:
    labels = {"database": str(row["name"])}
    connections, most = _number(row, "current_connections"), _number(row, "max_connections")
    run.record("database_connections", connections, **labels)
    if most:
        run.record("database_connections_used_ratio", connections / most, **labels)
    run.record("database_paused", _number(row, "paused"), **labels)
    run.record("database_disabled", _number(row, "disabled"), **labels)


def _record_stats(row: dict[str, str | None], run: Run) -> None:
    labels = {"database": str(row["database"])}
    totals = {name: _number(row, column) * factor for name, column, _, factor, _, _ in STATS}
    for name, total in totals.items():
        run.record(name, total, **labels)
    run.rate("queries_per_second", totals["queries_total"], **labels)
    grown: dict[str, Any] = {name: run.growth(name, total, **labels) for name, total in totals.items()}
    for name, seconds, count in (
        ("query_mean_seconds", "query_seconds_total", "queries_total"),
        ("transaction_mean_seconds", "transaction_seconds_total", "transactions_total"),
        ("wait_mean_seconds", "wait_seconds_total", "transactions_total"),
    ):
        if grown[count] and grown[seconds] is not None:
            run.record(name, grown[seconds] / grown[count], **labels)


def _rows(answer: Answer) -> Rows:
    return list(answer.named())


def _number(row: dict[str, str | None], column: str) -> float:
    """A column's number; 0 where this version has no such column. Raises ValueError where it is none."""
    return float(row.get(column) or 0)


def _waited(row: dict[str, str | None]) -> float:
    return _number(row, "wait") + _number(row, "wait_us") / 1e6


def _client(row: dict[str, str | None]) -> str:
    application = f" ({row['application_name']})" if row.get("application_name") else ""
    where = f"{row.get('user')}{application} from {row.get('addr')} to {row.get('database')}"
    return f"{where} has waited {show_duration(_waited(row))}"
