"""The sql kind against a real server: measured, judged, refused; and what may never happen, a write."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from checks.base import Reason
from checks.parts.sql.values import BOOL, INTERVAL, NotANumber, is_same, number
from checks.sql import Sql
from monitor.demo.servers import Postgres
from tests.checks.probing import asked, errs, evidence, fails, value, values
from tests.checks.sessions import session
from tests.faults import FaultProxy
from tests.servers import NewPostgres

AT = 1_800_000_000.0


def check(dsn: str, query: str, **fields: Any) -> Sql:
    return Sql(name="orders", dsn=dsn, query=query, **fields)


async def test_columns_become_measurements_with_units_by_their_names(postgres: Postgres) -> None:
    one = check(
        postgres.dsn,
        "SELECT 7 AS orders, 12.50::numeric AS revenue, interval '1 day 2:00' AS oldest_seconds, "
        "0.25::real AS failed_ratio, true AS open, 3::bigint AS paid_total, oid AS big FROM pg_class LIMIT 1; ",
        measure=["orders", "revenue", "oldest_seconds", "failed_ratio", "open", "paid_total"],
    )
    run = await asked(one)
    assert {name: value(run, name) for name in one.measure} == {
        "orders": 7, "revenue": 12.5, "oldest_seconds": 93_600, "failed_ratio": 0.25, "open": 1, "paid_total": 3,
    }  # fmt: skip
    assert value(run, "rows") == 1
    assert 0 < value(run, "query_seconds") < 10
    assert run.clock == "kernel"
    units = {item.name: (item.unit, item.counter) for item in one.declared()}
    assert units["oldest_seconds"] == ("seconds", False)
    assert units["failed_ratio"] == ("ratio", False)
    assert units["paid_total"] == ("count", True)
    assert units["orders"] == ("number", False)


@pytest.mark.parametrize(
    ("sql", "seconds"),
    [
        ("to_timestamp(1799999700)", 300),
        ("(to_timestamp(1799999700) AT TIME ZONE 'UTC')", 300),
        ("(to_timestamp(1799999700.25) AT TIME ZONE 'UTC')::timestamp(3)", 299.75),
        ("'2027-01-15'::date", 28_800),
    ],
)
async def test_age_is_the_time_since_a_point_in_time(postgres: Postgres, sql: str, seconds: float) -> None:
    one = check(postgres.dsn, f"SELECT {sql} AS newest", measure={"newest": "age"})
    assert value(await asked(one, at=AT), "newest") == pytest.approx(seconds)
    assert {item.name: item.unit for item in one.declared()}["newest"] == "seconds"


async def test_age_follows_the_session_s_time_zone(new_postgres: NewPostgres) -> None:
    server = await new_postgres(timezone="Asia/Kolkata")
    one = check(server.dsn, "SELECT to_timestamp(1799999700) AS newest", measure={"newest": "age"})
    assert value(await asked(one, at=AT), "newest") == 300


async def test_each_row_becomes_a_measurement_of_its_own(postgres: Postgres) -> None:
    query = "SELECT * FROM (VALUES ('lisbon', 3), ('porto', 4), (NULL, 5)) AS v (city, orders) -- the end"
    one = check(postgres.dsn, query, measure=["orders"], label_columns=["city"])
    run = await asked(one)
    assert values(run, "orders") == {(("city", "lisbon"),): 3, (("city", "porto"),): 4, (("city", ""),): 5}
    assert value(run, "rows") == 3


async def test_no_rows_are_well_where_labels_tell_them_apart_and_a_failure_where_one_is_wanted(
    postgres: Postgres,
) -> None:
    empty = "SELECT 'a' AS city, 1 AS orders WHERE false"
    run = await asked(check(postgres.dsn, empty, measure=["orders"], label_columns=["city"]))
    assert value(run, "rows") == 0
    await fails(check(postgres.dsn, empty, measure=["orders"]), Reason.ASSERTION, "no row, and one is wanted")


async def test_rows_that_can_t_be_told_apart_are_our_error(postgres: Postgres) -> None:
    two = "SELECT * FROM (VALUES ('a', 1), ('a', 2)) AS v (city, orders)"
    await errs(check(postgres.dsn, two, measure=["orders"]), Reason.INTERNAL, "name what tells them apart")
    await errs(
        check(postgres.dsn, two, measure=["orders"], label_columns=["city"]), Reason.INTERNAL, "two rows have city='a'"
    )
    many = "SELECT n::text AS city, n AS orders FROM generate_series(1, 11) n"
    one = check(postgres.dsn, many, measure=["orders"], label_columns=["city"], max_rows=10)
    await errs(one, Reason.INTERNAL, "more than 10 rows")


async def test_null_is_never_taken_for_good(postgres: Postgres) -> None:
    query = "SELECT max(oid) AS newest, 5 AS orders FROM pg_class WHERE false"
    result = await fails(
        check(postgres.dsn, query, measure=["orders", "newest"]), Reason.ASSERTION, "newest of orders is NULL"
    )
    assert evidence(result, "rows") == "orders=5, newest=NULL"
    run = await asked(check(postgres.dsn, query, measure=["orders", "newest"], nulls="skip"))
    assert values(run, "newest") == {} and value(run, "orders") == 5


@pytest.mark.parametrize(
    "sql", ["'NaN'::float8", "'Infinity'::float8", "'infinity'::timestamptz", "'many'::text", "ARRAY[1]"]
)
async def test_what_is_no_number_is_our_error(postgres: Postgres, sql: str) -> None:
    await errs(
        check(postgres.dsn, f"SELECT {sql} AS orders", measure=["orders"]), Reason.INTERNAL, "cannot measure orders"
    )
    await errs(check(postgres.dsn, "SELECT 5 AS o", measure={"o": "age"}), Reason.INTERNAL, "no point in time")


async def test_duplicate_charges_fail_and_show_the_columns_that_are_named_and_no_other(
    new_postgres: NewPostgres,
) -> None:
    server = await new_postgres()
    async with session(
        server,
        """CREATE SCHEMA marketplace; CREATE TABLE marketplace."Order" ("stripePaymentIntentId" text, email text)""",
        """INSERT INTO marketplace."Order" VALUES ('pi_1', 'ada@example.com'), ('pi_2', 'bob@example.com'),
           ('pi_2', 'bob@example.com')""",
    ):
        query = """SELECT "stripePaymentIntentId" AS intent, count(*) AS charges, min(email) AS email
                   FROM marketplace."Order" GROUP BY 1 HAVING count(*) > 1"""
        one = check(server.dsn, query, expect={"rows": 0}, show=["intent", "charges"])
        result = await fails(one, Reason.ASSERTION, "1 row, expected 0")
        assert evidence(result, "rows") == "intent=pi_2, charges=2"
        bare = await fails(check(server.dsn, query, expect={"rows": 0}), Reason.ASSERTION)
        assert bare.evidence == []
        assert value(bare, "rows") == 1
    async with session(server, 'TRUNCATE marketplace."Order"'):
        assert value(await asked(one), "rows") == 0


@pytest.mark.parametrize(
    ("query", "expect", "why"),
    [
        ("SELECT 10.10::numeric AS a, 10.1::float8 AS b", {"equal": ["a", "b"]}, ""),
        ("SELECT 10.11 AS a, 10.10 AS b", {"equal": ["a", "b"]}, "a is 10.11, b is 10.10: they differ by 0.01"),
        ("SELECT 10.11 AS a, 10.10 AS b", {"equal": ["a", "b"], "within": 0.01}, ""),
        ("SELECT NULL::int AS a, 10.10 AS b", {"equal": ["a", "b"]}, "a is NULL"),
        ("SELECT 'x' AS a, 10.10 AS b", {"equal": ["a", "b"]}, "a is 'x'"),
        ("SELECT true AS ok, 'open' AS state, 0 AS left, NULL AS gone",
         {"values": {"ok": True, "state": "open", "left": 0, "gone": None}}, ""),
        ("SELECT 1 AS ok", {"values": {"ok": True}}, "ok is 1, expected true"),
        ("SELECT true AS ok", {"values": {"ok": 1}}, "ok is true, expected 1"),
        ("SELECT 'shut' AS state", {"values": {"state": "open"}}, "state is shut, expected open"),
        ("SELECT 0.1 + 0.2 AS x", {"values": {"x": 0.3}}, ""),
        ("SELECT 1 AS x WHERE false", {"values": {"x": 1}}, "no row, so nothing to compare"),
        ("SELECT n AS x FROM generate_series(1, 2) n", {"values": {"x": 1}}, "x is 2, expected 1"),
        ("SELECT FROM generate_series(1, 3)", {"min_rows": 3, "max_rows": 3}, ""),
        ("SELECT FROM generate_series(1, 3)", {"min_rows": 4}, "3 rows, expected 4 or more"),
        ("SELECT FROM generate_series(1, 3)", {"max_rows": 2}, "3 rows, expected 2 or fewer"),
        ("SELECT FROM generate_series(1, 1000000)", {"rows": 0}, "more than 100 rows, expected 0"),
    ],
)  # fmt: skip
async def test_what_is_expected(postgres: Postgres, query: str, expect: dict[str, Any], why: str) -> None:
    one = check(postgres.dsn, query, expect=expect)
    if why:
        await fails(one, Reason.ASSERTION, why)
    else:
        await asked(one)


async def test_parameters_are_values_and_never_sql(postgres: Postgres) -> None:
    query = "SELECT length($1) AS a, $2::int + 1 AS b, $3::bool AS c, $4::text IS NULL AS d, $5::timestamptz AS e"
    one = check(
        postgres.dsn, query, parameters=["'; DROP TABLE x; --", 41, True, None, "2027-01-15T07:55:00Z"],
        measure={"a": None, "b": None, "c": None, "d": None, "e": "age"},
    )  # fmt: skip
    run = await asked(one, at=AT)
    assert [value(run, name) for name in "abcde"] == [19, 42, 1, 1, 300]
    await errs(
        check(postgres.dsn, "SELECT $1::int AS a", parameters=["x"], measure=["a"]), Reason.INTERNAL, "invalid input"
    )
    await errs(check(postgres.dsn, "SELECT $1::int AS a", measure=["a"]), Reason.INTERNAL, "0 parameters are not what")


@pytest.mark.parametrize(
    "query",
    [
        "INSERT INTO victims VALUES (2) RETURNING id",
        "DELETE FROM victims",
        "SELECT 1; DELETE FROM victims",
        "SELECT 1) AS q; DELETE FROM victims; SELECT (1",
        "WITH gone AS (DELETE FROM victims RETURNING id) SELECT id FROM gone",
        "SELECT * FROM gone()",
        "SELECT set_config('transaction_read_only', 'off', false) AS id, gone() AS x",
        "COPY victims TO STDOUT",
        "COMMIT",
        "SELECT nextval('numbers') AS id",
        "SELECT id FROM victims FOR UPDATE",
    ],
)
async def test_nothing_can_be_written(new_postgres: NewPostgres, query: str) -> None:
    server = await new_postgres()
    async with session(
        server,
        "CREATE TABLE victims (id int); INSERT INTO victims VALUES (1); CREATE SEQUENCE numbers",
        "CREATE FUNCTION gone() RETURNS int LANGUAGE sql AS 'DELETE FROM victims RETURNING id'",
    ) as superuser:
        await errs(check(server.dsn, query, show=["id"]), Reason.INTERNAL, "cannot")
        assert await superuser.fetchval("SELECT count(*) FROM victims") == 1
        assert await superuser.fetchval("SELECT is_called FROM numbers") is False


async def test_a_column_that_the_query_does_not_yield_is_our_error_with_the_wanted_ones(postgres: Postgres) -> None:
    await errs(
        check(postgres.dsn, "SELECT 1 AS order", measure=["orders"]), Reason.INTERNAL, "must yield the columns orders"
    )
    await errs(check(postgres.dsn, "SELECT FROM nowhere"), Reason.INTERNAL, 'relation "nowhere" does not exist')


async def test_a_role_without_rights_is_our_error_with_the_way_out(new_postgres: NewPostgres) -> None:
    server = await new_postgres()
    async with session(server, "CREATE ROLE weak LOGIN PASSWORD 'pw'", "CREATE TABLE orders (id int)"):
        weak = server.address_for("weak", "pw")
        await errs(check(weak, "SELECT FROM orders"), Reason.AUTH, "permission denied for table orders", "GRANT SELECT")
        await errs(check(server.address_for("weak", "x"), "SELECT"), Reason.AUTH, "does not let us in")


async def test_a_query_that_takes_long_or_waits_for_a_lock_is_ended_by_the_server(new_postgres: NewPostgres) -> None:
    server = await new_postgres()
    slow = check(server.dsn, "SELECT pg_sleep(30)", statement_timeout="20ms")
    await fails(slow, Reason.READ_TIMEOUT, "the query took longer than 20 ms (statement_timeout)")
    async with session(server, "CREATE TABLE orders (id int)", "BEGIN; LOCK orders"):
        locked = check(server.dsn, "SELECT FROM orders", lock_timeout="20ms")
        await fails(locked, Reason.READ_TIMEOUT, "somebody holds a lock")


@pytest.mark.parametrize("answered", [0, 1, 200, 850, 950])
async def test_an_answer_that_stops_or_is_cut_leaves_nothing_behind(postgres: Postgres, answered: int) -> None:
    reason, seconds = (Reason.CONNECT_TIMEOUT, 1) if answered < 800 else (Reason.READ_TIMEOUT, 2)
    async with FaultProxy("127.0.0.1", postgres.port) as proxy:
        dsn = postgres.dsn.replace(postgres.address, proxy.address)
        proxied = check(dsn, "SELECT repeat('x', 100)", timeout=f"{seconds}s")
        proxy.blackhole_after = answered
        await fails(proxied, reason, f"no answer within {seconds} s")
        proxy.blackhole_after, proxy.cut_after = None, answered
        await fails(proxied, Reason.PROTOCOL, "closed the connection")
        await proxy.until_open(0)


async def test_a_long_text_is_cut_by_the_server(postgres: Postgres) -> None:
    query = "SELECT repeat(E'a\\u202e\\n', 1000000) AS note, 1 AS x"
    one = check(postgres.dsn, query, expect={"values": {"x": 2}}, show=["note"])
    result = await fails(one, Reason.ASSERTION)
    assert len(evidence(result, "rows")) < 400
    assert "\u202e" not in evidence(result, "rows")
    huge = check(postgres.dsn, "SELECT repeat('9', 20000000) AS x", measure=["x"])
    await fails(huge, Reason.PROTOCOL, "it sends 20000010 bytes at once")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"query": " ; "}, "a query is wanted"),
        ({"query": "SELECT '\0'"}, "a query is wanted"),
        ({"query": "SELECT 1 AS rows", "measure": ["rows"]}, "has the name of a measurement"),
        ({"query": "SELECT", "measure": ["Order"]}, "String should match pattern"),
        ({"query": "SELECT", "measure": {"x": "euros"}}, "there is no unit 'euros'"),
        ({"query": "SELECT", "measure": [["x"]]}, "a list of columns, or a mapping"),
        ({"query": "SELECT", "measure": ["x"], "label_columns": ["job"]}, "is a label of runwatch's own"),
        ({"query": "SELECT", "measure": ["x"], "label_columns": ["x"]}, "both measured and a label"),
        ({"query": "SELECT", "label_columns": ["x"]}, "without measure"),
        ({"query": "SELECT", "expect": {"equal": ["x"]}}, "two columns or more"),
        ({"query": "SELECT", "expect": {"rows": 500}}, "max_rows lets only 100 be read"),
    ],
)
def test_what_makes_no_sense_is_refused_when_it_is_read(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Sql(name="orders", dsn="postgresql://u@h/d", **fields)


@pytest.mark.parametrize(
    ("text", "kind", "wanted"),
    [
        ("P1Y2M3DT4H5M6.7S", INTERVAL, 31_557_600 + 2 * 2_592_000 + 3 * 86_400 + 4 * 3600 + 5 * 60 + 6.7),
        ("P-1DT-2H", INTERVAL, -93_600),
        ("PT0S", INTERVAL, 0),
        ("t", BOOL, 1),
        ("-12.50", 1700, -12.5),
        ("1e+300", 701, 1e300),
    ],
)
def test_numbers_as_postgresql_writes_them(text: str, kind: int, wanted: float) -> None:
    assert float(number(text, kind) or 0) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", 1700),
        ("1 day", INTERVAL),
        ("maybe", BOOL),
        ("0044-03-15 BC", 1082),
        ("9" * 500, 1700),
        ("x", 23),
        ("1", 25),
    ],
)
def test_what_is_no_number_says_so(text: str, kind: int) -> None:
    with pytest.raises(NotANumber):
        number(text, kind)
    assert not is_same(text, kind, 1)
