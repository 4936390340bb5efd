"""Slow statements by pg_stat_statements: means over the time between two readings, for a lifetime's never recover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from checks.base import Errored, Measurement, Reason, Run
from checks.parts.postgres.sections import Section, one
from checks.parts.postgres.session import Asking
from checks.parts.postgres.wire import Question, Refused
from checks.parts.sql.text import masked
from checks.units import Duration, show_duration

FOLLOWED = 500
"""Statements whose counters are kept; a server may know five thousand."""
TEXTS = "texts of statements"
STATEMENT = ("user", "datname", "queryid")

M = Measurement
MEASUREMENTS = (
    M("statement_mean_seconds", "seconds", "Mean time of all statements in this database since the last reading."),
    M("statements_per_second", "per_second", "Statements run in this database since the last reading."),
    M("slow_statements", "count", "Statements that took `slow` or longer on average since the last reading."),
    M("slowest_statement_seconds", "seconds", "Mean time of the slowest of them; 0 for none."),
    M(
        "statement_calls_total", "count", "Runs of the statements that took most time altogether.",
        labels=STATEMENT, counter=True, also="pg_stat_statements_calls_total",
    ),
    M(
        "statement_seconds_total", "seconds", "Time that they took.",
        labels=STATEMENT, counter=True, also="pg_stat_statements_seconds_total",
    ),
    M(
        "statement_rows_total", "count", "Rows that they read or changed.",
        labels=STATEMENT, counter=True, also="pg_stat_statements_rows_total",
    ),
)  # fmt: skip

MISSING = (
    "the extension pg_stat_statements is not in this database; put it into shared_preload_libraries, restart the "
    "server, and run in this database: CREATE EXTENSION pg_stat_statements"
)
PRELOAD = "put pg_stat_statements into shared_preload_libraries and restart the server"


@dataclass(frozen=True, slots=True)
class Counters:
    """What the extension counted of one statement of one role; times in milliseconds, `place` 1 took most in all."""

    queryid: str
    user: str
    calls: float
    total: float
    longest: float
    rows: float
    place: int

    @property
    def key(self) -> str:
        """What it is known by between two readings."""
        return f"{self.queryid} {self.user}"


@dataclass(frozen=True, slots=True)
class Slow:
    """A statement that was slow between two readings; `mean` in seconds."""

    queryid: str
    user: str
    calls: float
    mean: float

    def __str__(self) -> str:
        return f"{show_duration(self.mean)} on average in {self.calls:g} runs by {self.user}"


def slow_since(before: Mapping[str, Any], now: Sequence[Counters], limit: float) -> list[Slow]:
    """The statements that took `limit` seconds or longer on average since `before`, the slowest first.

    `before` are calls and milliseconds by `Counters.key`, of whatever an earlier reading kept. Of a statement that is
    not among them nothing is known yet; of one whose counters fell, because they were reset, what they are.
    """
    found = []
    for row in now:
        kept = before.get(row.key)
        if not (isinstance(kept, list) and len(kept) == 2 and all(type(part) in (int, float) for part in kept)):
            continue
        was_calls, was_total = kept if kept[0] <= row.calls and kept[1] <= row.total else (0, 0.0)
        calls, total = row.calls - was_calls, row.total - was_total
        if calls > 0 and total / calls >= limit * 1000:
            found.append(Slow(row.queryid, row.user, calls, total / calls / 1000))
    return sorted(found, key=lambda one: -one.mean)


class Statements(Section):
    """Slow statements, by the extension pg_stat_statements."""

    every: Duration = Field(default=60.0, gt=0, description="Time from one reading to the next, over which means are.")
    slow: Duration = Field(default=1.0, gt=0, description="Mean time from which on a statement counts as slow.")
    top: int = Field(default=10, ge=0, le=100, description="Statements to show, and to measure one by one.")

    async def read(self, asking: Asking, server: dict[str, Any], found: Run) -> None:
        """Two questions at most: the counters, and the texts of statements that are slow for the first time."""
        cannot = f"cannot read slow statements of {asking.server.where}"
        extension = server["statements"]
        if extension is None:
            raise Errored(Reason.INTERNAL, f"{cannot}: {MISSING}")
        try:
            answer = await one(asking, _counters(extension), repr(self.slow * 1000), str(self.top))
        except Refused as why:
            if why.state == "55000":
                raise Errored(Reason.INTERNAL, f"{cannot}: {why.said}; {PRELOAD}") from None
            raise
        rows = [Counters(*row) for row in answer["rows"] or ()]
        self._record(answer, rows, found)
        slow = self._slow(rows, found)
        if slow:
            shown = slow[: self.top]
            texts = await _texts(asking, extension["schema"], [each.queryid for each in shown], found)
            lines = [f"{each}: {texts.get(each.queryid) or 'its text is not known any more'}" for each in shown]
            found.evidence("slow statements", "\n".join(lines))

    def _slow(self, rows: list[Counters], found: Run) -> list[Slow]:
        """The slow ones, recorded unless this is the first reading of all."""
        followed = [row for row in rows if row.longest >= self.slow * 1000]
        before = found.kept.get("statements")
        found.kept["statements"] = {row.key: [row.calls, row.total] for row in followed}
        if not isinstance(before, dict):
            return []
        slow = slow_since(before, followed, self.slow)
        found.record("slow_statements", len(slow))
        found.record("slowest_statement_seconds", slow[0].mean if slow else 0.0)
        return slow

    def _record(self, answer: dict[str, Any], rows: list[Counters], found: Run) -> None:
        calls = found.growth("statement calls", answer["calls"] or 0)
        total = found.growth("statement time", answer["total"] or 0.0)
        if calls and total is not None:
            found.record("statement_mean_seconds", total / calls / 1000)
        found.rate("statements_per_second", answer["calls"] or 0)
        for row in rows:
            if row.place <= self.top:
                labels = {"user": row.user, "datname": answer["datname"], "queryid": row.queryid}
                found.record("statement_calls_total", row.calls, **labels)
                found.record("statement_seconds_total", row.total / 1000, **labels)
                found.record("statement_rows_total", row.rows, **labels)


def _counters(extension: dict[str, Any]) -> str:
    """The question for the counters of those that ever took $1 ms or are among the $2 that took most; without texts,
    which the server would have to read from a file. A mean of $1 takes a run of $1."""
    number = tuple(int(part) for part in str(extension["version"]).split(".") if part.isdigit())
    exec_ = "exec_" if number >= (1, 8) else ""
    return f"""
SELECT row_to_json(x)::text FROM (
WITH counted AS MATERIALIZED (
    SELECT queryid, userid, sum(calls)::float8 AS calls, sum(total_{exec_}time) AS total,
           max(max_{exec_}time) AS longest, sum(rows)::float8 AS rows
    FROM {extension["schema"]}.pg_stat_statements(false)
    WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND queryid IS NOT NULL
    GROUP BY 1, 2
), placed AS (SELECT *, row_number() OVER (ORDER BY total DESC) AS place FROM counted
), chosen AS (
    SELECT * FROM placed WHERE longest >= $1::float8 OR place <= $2::int
    ORDER BY place <= $2::int DESC, longest DESC LIMIT {FOLLOWED}
)
SELECT current_database() AS datname, (SELECT sum(calls) FROM counted) AS calls,
       (SELECT sum(total) FROM counted) AS total,
       (SELECT json_agg(json_build_array(queryid::text, pg_get_userbyid(userid), calls, total, longest, rows, place))
        FROM chosen) AS rows
) x"""


async def _texts(asking: Asking, schema: str, queryids: Sequence[str], run: Run) -> dict[str, str]:
    """The texts of these statements, asked for once."""
    texts: dict[str, str] = run.memory.setdefault(TEXTS, {})
    missing = [queryid for queryid in queryids if queryid not in texts]
    if missing:
        if len(texts) > FOLLOWED:
            texts.clear()
        text = f"SELECT queryid::text, max(left(query, 1000)) FROM {schema}.pg_stat_statements(true)"
        question = Question(f"{text} WHERE queryid = ANY ($1::bigint[]) GROUP BY 1", ("{" + ",".join(missing) + "}",))
        [answer] = await asking.ask(question)
        texts |= {str(queryid): masked(query) for queryid, query in answer.rows}
    return texts
