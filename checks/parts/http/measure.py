"""What to measure in an HTTP answer: one number, or one for each entry of an object or a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from checks.base import Errored, Failed, Measurement, Reason, Run, printable
from checks.parts.http.expect import JsonPath, brief, evaluated
from checks.parts.http.jsonpath import compile_number, compile_path
from checks.parts.naming import OWN_LABELS, named_unit

MOST_ENTRIES = 100
"""Entries that are measured: each is a series, in memory and in /metrics."""
LONGEST_LABEL = 200
UNKNOWN = float("nan")
"""That an entry is there and its value is not: an alert of it goes on, as nothing is known."""


class Measure(BaseModel):
    """What is read of the answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: JsonPath = Field(description="JMESPath of the number, true (1) or false (0); with `each`, within the entry.")
    each: JsonPath = Field(default="", description="JMESPath of an object or a list: one number for each entry.")
    by: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$")] | None = Field(
        default=None, description="With `each`, the label that tells entries apart: an object's key, a list's field."
    )

    @model_validator(mode="after")
    def _whole(self) -> Measure:
        if bool(self.each) != bool(self.by):
            raise ValueError("each and by go together: {each: integrations, by: integration, value: sync.ratio}")
        if self.by in OWN_LABELS:
            raise ValueError(f"{self.by!r} is a label of runwatch's own; give another name to `by`")
        return self


def whole(value: object) -> object:
    """A measure written as its JMESPath alone."""
    return {"value": value} if isinstance(value, str) else value


Measures = dict[
    Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")],
    Annotated[Measure, BeforeValidator(whole, json_schema_input_type=str | Measure)],
]


@dataclass(frozen=True, slots=True)
class Reader:
    """A measure that is ready to read."""

    name: str
    measure: Measure
    value: Callable[[Any], float | None]
    each: Callable[[Any], Any] | None

    @classmethod
    def of(cls, name: str, measure: Measure) -> Reader:
        """Compiled once for all probes."""
        each = compile_path(measure.each) if measure.each else None
        return cls(name, measure, compile_number(measure.value), each)

    def declared(self) -> Measurement:
        """Its unit by its name's ending."""
        labels = (self.measure.by,) if self.measure.by else ()
        what = f"{self.measure.value} of {f'each of {self.measure.each}' if labels else 'the answer'}."
        return Measurement(self.name, named_unit(self.name), what, labels, counter=self.name.endswith("_total"))

    def record(self, document: Any, run: Run) -> None:
        """Record what the document says; Failed where it does not suit, Errored where entries can't be told apart.

        A single value that is null is not recorded; of an entry it is recorded as unknown.
        """
        if self.each is None:
            value = evaluated(self.value, document, self.measure.value)
            if value is not None:
                run.record(self.name, value)
            return
        wrong = None
        for label, entry in self._entries(evaluated(self.each, document, self.measure.each)):
            try:
                value = evaluated(self.value, entry, self.measure.value)
            except Failed as why:
                value = None
                wrong = wrong or Failed(why.reason, f"{self.measure.by} {brief(label)}: {why.sentence}")
            run.record(self.name, UNKNOWN if value is None else value, **{self.measure.by or "": label})
        if wrong is not None:
            raise wrong

    def _entries(self, held: Any) -> list[tuple[str, Any]]:
        if not isinstance(held, dict | list):
            raise Failed(
                Reason.ASSERTION, f"{self.measure.each} is {brief(held)}, where an object or a list is measured"
            )
        if len(held) > MOST_ENTRIES:
            many = f"{self.measure.each} has {len(held)} entries, and no more than {MOST_ENTRIES} can be measured"
            raise Errored(Reason.INTERNAL, f"{many}; choose some of them in `each`")
        named = [(printable(label[:LONGEST_LABEL]), entry) for label, entry in self._named(held)]
        for label, times in Counter(label for label, _ in named).items():
            if times > 1:
                raise Errored(Reason.INTERNAL, f"{self.measure.each} has {self.measure.by} {brief(label)} twice")
        return named

    def _named(self, held: dict[str, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
        if isinstance(held, dict):
            yield from held.items()
            return
        for entry in held:
            label = entry.get(self.measure.by) if isinstance(entry, dict) else None
            if not isinstance(label, str | int | float):
                said = f"an entry of {self.measure.each} has no {self.measure.by} to be told apart by: {brief(entry)}"
                raise Failed(Reason.ASSERTION, said)
            yield label if isinstance(label, str) else brief(label), entry
