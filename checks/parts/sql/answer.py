"""What the answer to a query must be, and its rows as evidence."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from checks.base import Run
from checks.parts.postgres.wire import Answer
from checks.parts.sql.values import NotANumber, is_same, number, shown

EVIDENCE_ROWS = 20
Column = Annotated[str, Field(min_length=1, max_length=63)]
Values = Mapping[str, tuple[str | None, int]]
"""A row: each column's text and the object id of its type."""


class Expectation(BaseModel):
    """What the answer must be; the first difference fails the check."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int | None = Field(default=None, ge=0, description="How many rows there must be.")
    min_rows: int | None = Field(default=None, ge=0, description="How many there must be at least.")
    max_rows: int | None = Field(default=None, ge=0, description="How many there may be at most.")
    values: dict[Column, bool | int | float | str | None] = Field(
        default={}, description="Columns and the values that they must have in every row; null is NULL."
    )
    equal: tuple[Column, ...] = Field(default=(), description="Columns that must hold one and the same number.")
    within: float = Field(default=0.0, ge=0, description="By how much those may differ.")

    @model_validator(mode="after")
    def _makes_sense(self) -> Expectation:
        if len(self.equal) == 1:
            raise ValueError("equal wants two columns or more")
        return self

    def difference(self, answer: Answer, most: int) -> str:
        """How the answer differs first, empty where it does not. `most` rows were to be read, and one more."""
        count = len(answer.rows)
        said = "1 row" if count == 1 else f"more than {most} rows" if count > most else f"{count} rows"
        if self.rows is not None and count != self.rows:
            return f"{said}, expected {self.rows}"
        if self.min_rows is not None and count < self.min_rows:
            return f"{said}, expected {self.min_rows} or more"
        if self.max_rows is not None and count > self.max_rows:
            return f"{said}, expected {self.max_rows} or fewer"
        if not count and (self.values or self.equal):
            return "no row, so nothing to compare"
        return next((why for row in rows(answer) if (why := self._differs(row) or self._unequal(row))), "")

    def _differs(self, row: Values) -> str:
        for name, wanted in self.values.items():
            text, kind = row[name]
            if not is_same(text, kind, wanted):
                return f"{name} is {shown(text, kind)}, expected {_wanted(wanted)}"
        return ""

    def _unequal(self, row: Values) -> str:
        found: list[Decimal] = []
        for name in self.equal:
            try:
                one = number(*row[name])
            except NotANumber as why:
                return f"{name} is {why}, and should be a number"
            if one is None:
                return f"{name} is NULL, and should be a number"
            found.append(one)
        if found and max(found) - min(found) > Decimal(repr(self.within)):
            said = ", ".join(f"{name} is {one:f}" for name, one in zip(self.equal, found, strict=True))
            return f"{said}: they differ by {max(found) - min(found):f}"
        return ""


def rows(answer: Answer) -> list[Values]:
    """The rows of an answer by their columns' names."""
    return [{name: (text, kind) for (name, kind), text in zip(answer.columns, row, strict=True)} for row in answer.rows]


def show(answer: Answer, run: Run) -> None:
    """The rows as evidence: of the columns only those that the configuration names were asked for."""
    if not answer.columns or not answer.rows:
        return
    lines = [
        ", ".join(f"{name}={shown(text, kind)}" for name, (text, kind) in row.items())
        for row in rows(answer)[:EVIDENCE_ROWS]
    ]
    if len(answer.rows) > EVIDENCE_ROWS:
        lines.append("and more")
    run.evidence("rows", "\n".join(lines))


def _wanted(value: Any) -> str:
    return "NULL" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
