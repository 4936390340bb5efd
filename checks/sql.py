"""Asks a PostgreSQL database any question, and measures or judges the answer: orders, revenue, duplicates, age."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from checks.base import DURATION, UNITS, Asks, Check, Errored, Failed, Measurement, Reason, Run
from checks.parts.naming import OWN_LABELS, named_unit
from checks.parts.postgres.session import Dsn, Server
from checks.parts.postgres.wire import Answer, Question, Refused
from checks.parts.sql.answer import Column, Expectation, rows, show
from checks.parts.sql.values import LONGEST, TIMES, NotANumber, number, shown
from checks.units import Duration

AGE = "age"
"""What may be written in place of a unit: the time since a point in time."""

M = Measurement
MEASUREMENTS = (
    DURATION,
    M("connect_seconds", "seconds", "Time to connect and log in."),
    M("query_seconds", "seconds", "Time until the query was answered, connected."),
    M("rows", "count", "Rows that the query yields; where they are more than max_rows, one more than that."),
)


def _one_query(text: str) -> str:
    text = text.strip().rstrip(";").rstrip()
    if not text or "\0" in text:
        raise ValueError("a query is wanted, such as SELECT count(*) AS orders FROM orders")
    return text


def _by_name(value: Any) -> Any:
    """A list of columns as a mapping to units that their names tell."""
    if not isinstance(value, list | tuple):
        return value
    if not all(isinstance(name, str) for name in value):
        raise ValueError("a list of columns, or a mapping from columns to units, is wanted")
    return dict.fromkeys(value)


def _unit(value: str | None) -> str | None:
    if value is not None and value not in UNITS | {AGE}:
        raise ValueError(f"there is no unit {value!r}; write one of {', '.join(sorted(UNITS | {AGE}))}")
    return value


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
Unit = Annotated[str | None, AfterValidator(_unit)]


class Sql(Check):
    """A query of a PostgreSQL database, in a transaction that can't write; its columns become measurements.

    Only the columns that the configuration names are asked of the server: no other leaves the database.
    """

    measurements: ClassVar[tuple[Measurement, ...]] = MEASUREMENTS

    dsn: Dsn = Field(description="postgresql://user:password@host:port/database?sslmode=…; PgBouncer will do.")
    query: Annotated[str, AfterValidator(_one_query)] = Field(description="One SELECT; WITH, VALUES and TABLE will do.")
    parameters: tuple[str | int | float | bool | None, ...] = Field(
        default=(), max_length=100, description="Values for $1, $2 in the query: they can't change what it asks."
    )
    measure: Annotated[dict[Name, Unit], BeforeValidator(_by_name)] = Field(
        default={},
        description="Columns to measure: a list, or a mapping to units; age is the time since a point in time.",
    )
    label_columns: tuple[Name, ...] = Field(
        default=(), max_length=5, description="Columns that tell rows apart: each row becomes measurements of its own."
    )
    nulls: Literal["fail", "skip"] = Field(default="fail", description="What a NULL in a measured column does.")
    expect: Expectation = Field(default=Expectation(), description="What the answer must be.")
    show: tuple[Column, ...] = Field(
        default=(), max_length=20, description="Further columns to show as evidence when the check fails."
    )
    max_rows: int = Field(default=100, ge=1, le=500, description="Rows to read at most.")
    statement_timeout: Duration = Field(default=5.0, gt=0, description="When the server ends the query.")
    lock_timeout: Duration = Field(default=1.0, gt=0, description="When the server ends the wait for a lock.")

    @model_validator(mode="after")
    def _consistent(self) -> Sql:
        if clash := sorted({one.name for one in MEASUREMENTS} & self.measure.keys()):
            raise ValueError(f"measure {clash[0]!r} has the name of a measurement that every sql check has")
        if clash := sorted(OWN_LABELS & set(self.label_columns)):
            raise ValueError(f"{clash[0]!r} is a label of runwatch's own; give the column another name with AS")
        if both := sorted(set(self.label_columns) & self.measure.keys()):
            raise ValueError(f"{both[0]!r} can't be both measured and a label")
        if self.label_columns and not self.measure:
            raise ValueError("label_columns without measure say nothing")
        wanted = max(self.expect.rows or 0, self.expect.min_rows or 0, self.expect.max_rows or 0)
        if wanted > self.max_rows:
            raise ValueError(f"expect speaks of {wanted} rows, but max_rows lets only {self.max_rows} be read")
        return self

    @property
    def server(self) -> Server:
        """Where it is, and our limits."""
        return Server(self.dsn, self.timeout, self.statement_timeout, self.lock_timeout)

    def secrets(self) -> tuple[str, ...]:
        """Also the password as the server knows it, without the address's escapes."""
        return self.server.secrets()

    def declared(self) -> tuple[Measurement, ...]:
        """Those of the kind, and the measured columns."""
        return self.measurements + tuple(
            Measurement(
                name, "seconds" if unit == AGE else unit or named_unit(name), f"The query's column {name}.",
                self.label_columns, counter=name.endswith("_total"),
            )
            for name, unit in self.measure.items()
        )  # fmt: skip

    def asks(self) -> tuple[Asks, ...]:
        """BEGIN, our limits, the query, COMMIT."""
        return (Asks(self.target, 4, 4, "statements"),)

    async def probe(self, run: Run) -> None:
        """Ask once: one statement within a transaction of its own, all in one round trip."""
        async with self.server.session(run) as asking:
            run.record("connect_seconds", asking.connected)
            before = asking.waited
            question = Question(self._bounded(), tuple(map(_as_text, self.parameters)), self.max_rows + 1)
            try:
                [answer] = await asking.ask(question, last=True)
            except Refused as why:
                raise self._meaning(why) or why from None
            run.record("query_seconds", asking.waited - before)
        run.record("rows", len(answer.rows))
        self._judge(answer, run)
        self._measure(answer, run)

    def _meaning(self, why: Refused) -> Failed | Errored | None:
        """What a refusal means that speaks of the operator's own query."""
        cannot = f"cannot run the query of {self.name} on {self.server.where}"
        match why.state:
            case "42703":
                named = ", ".join(self._columns())
                return Errored(Reason.INTERNAL, f"{cannot}: {why.said}; it must yield the columns {named}")
            case "25006":
                return Errored(Reason.INTERNAL, f"{cannot}: it would write, and this check only reads: {why.said}")
            case "42501":
                return Errored(Reason.AUTH, f"{cannot}: {why.said}; as its owner run: GRANT SELECT ON … TO our role")
        if why.state == "08P01" and why.said.startswith("bind message"):
            return Errored(
                Reason.INTERNAL, f"{cannot}: {len(self.parameters)} parameters are not what it wants: {why.said}"
            )
        return Errored(Reason.INTERNAL, f"{cannot}: {why.said}") if why.state[:2] in ("22", "42") else None

    def _columns(self) -> list[str]:
        """Every column that the configuration names, once."""
        expect = self.expect
        return list(dict.fromkeys((*self.label_columns, *self.measure, *expect.values, *expect.equal, *self.show)))

    def _bounded(self) -> str:
        """The query, yielding only the columns that are named, and of a text no more than can be shown.

        In brackets nothing but a query can stand, and the wire's extended protocol takes one statement only.
        """
        texts = {
            *self.label_columns,
            *self.show,
            *(name for name, value in self.expect.values.items() if _is_text(value)),
        }
        texts -= {*self.measure, *self.expect.equal}
        columns = (
            f"left(q.{_quoted(name)}::text, {LONGEST}) AS {_quoted(name)}" if name in texts else f"q.{_quoted(name)}"
            for name in self._columns()
        )
        return f"SELECT {', '.join(columns)} FROM (\n{self.query}\n) AS q LIMIT {self.max_rows + 1}"

    def _judge(self, answer: Answer, run: Run) -> None:
        """Raise Failed at the first difference from what is expected, with the rows as evidence."""
        why = self.expect.difference(answer, self.max_rows)
        if why:
            show(answer, run)
            raise Failed(Reason.ASSERTION, f"the answer of {self.name} is not as expected: {why}")

    def _measure(self, answer: Answer, run: Run) -> None:
        if not self.measure:
            return
        count, cannot = len(answer.rows), f"cannot measure the answer of {self.name}"
        if not self.label_columns and count != 1:
            if count:
                raise Errored(
                    Reason.INTERNAL, f"{cannot}: more than one row; name what tells them apart in label_columns"
                )
            raise Failed(Reason.ASSERTION, f"{cannot}: no row, and one is wanted")
        if count > self.max_rows:
            raise Errored(
                Reason.INTERNAL, f"{cannot}: more than {self.max_rows} rows; narrow the query, or raise max_rows"
            )
        seen: set[tuple[str, ...]] = set()
        for row in rows(answer):
            labels = {name: row[name][0] or "" for name in self.label_columns}
            if tuple(labels.values()) in seen:
                where = ", ".join(f"{name}={text!r}" for name, text in labels.items())
                raise Errored(Reason.INTERNAL, f"{cannot}: two rows have {where}; group them, or add a label")
            seen.add(tuple(labels.values()))
            for name, unit in self.measure.items():
                self._record(name, unit, row[name], labels, answer, run)

    def _record(
        self,
        name: str,
        unit: str | None,
        value: tuple[str | None, int],
        labels: dict[str, str],
        answer: Answer,
        run: Run,
    ) -> None:
        text, kind = value
        try:
            found = number(text, kind)
            if found is not None and unit == AGE and kind not in TIMES:
                raise NotANumber(f"{shown(text, kind)}, which is no point in time")
        except NotANumber as why:
            raise Errored(Reason.INTERNAL, f"cannot measure {name} of {self.name}: it is {why}") from None
        if found is not None:
            run.record(name, run.at - float(found) if unit == AGE else float(found), **labels)
        elif self.nulls == "fail":
            show(answer, run)
            remedy = "write coalesce(…, 0) in the query, or nulls: skip, if that is well"
            raise Failed(Reason.ASSERTION, f"{name} of {self.name} is NULL; {remedy}")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _as_text(value: Any) -> str | None:
    """A parameter as PostgreSQL reads it, whatever type the query gives it."""
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)
