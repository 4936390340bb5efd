"""Asks Prometheus, or what speaks its language: the numbers of queries, or whether it reaches what it scrapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import cached_property
from math import ceil
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from checks.base import Asks, Errored, Failed, Measurement, Reason, Recommended, Run, printable
from checks.parts.api import Api
from checks.parts.naming import named_unit
from checks.parts.pool import in_pool
from checks.parts.vendors import promql as answers
from checks.parts.vendors.web_api import LONGEST_LABEL, ApiCheck, exported

LARGEST, LARGEST_TARGETS = 2**19, 2**22
"""Bytes of an answer: a thousand series, and a thousand targets, of which Prometheus tells all it has discovered."""
SHOWN, SHOWN_LEAST = 20, 3
"""Series or targets that become evidence, one a line; of several queries at least so many of each."""
HISTORY, STEP = 3600, 300
"""Seconds of the past that a diagnosis shows, and between its values."""
MOST_QUERIES = 20
ABOUT_THE_QUERY = (Reason.ASSERTION, Reason.INTERNAL)
"""Reasons that say nothing about the next query of the same Prometheus."""

LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
Text = Annotated[str, Field(max_length=10_000)]
Unit = Literal["number", "seconds", "bytes", "ratio", "count", "per_second", "timestamp", "bool"]
Absent = Literal["failed", "error", "zero", "ok"]


class Query(BaseModel):
    """One of several queries."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    query: Text = Field(min_length=1, description="PromQL that gives a number for each series.")
    by: tuple[LabelName, ...] = Field(default=(), description="Labels of the series to keep.")
    unit: Unit | None = Field(default=None, description="Unit of the number, where the name's ending does not tell it.")
    absent: Absent | None = Field(default=None, description="What it means that no series is there; else the check's.")


def _whole(value: object) -> object:
    """A query written as its text alone."""
    return {"query": value} if isinstance(value, str) else value


class Promql(ApiCheck):
    """Asks Prometheus, Thanos, Mimir or VictoriaMetrics instant queries; or Prometheus whether its targets are up."""

    called: ClassVar[str] = "Prometheus"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("value", "number", "What `query` gives, for each label set that `by` names."),
        Measurement("series", "count", "How many series have a value; of several queries by `query`."),
        Measurement("series_without_value", "count", "Series whose value is NaN, such as 0/0; they are left out."),
        Measurement("warnings", "count", "What Prometheus warned of beside its answer."),
        Measurement("targets_up", "count", "Targets whose last scrape went well."),
        Measurement("targets_down", "count", "Targets whose last scrape failed."),
        Measurement("targets_unknown", "count", "Targets that were not scraped yet."),
        Measurement("targets_up_ratio", "ratio", "Share of the targets that were scraped whose scrape went well."),
    )
    recommended: ClassVar[tuple[Recommended, ...]] = (
        Recommended("QueryWarns", "warnings > 0", "low", "The number may be of only a part of the data.", hold=900.0),
    )

    query: Text = Field(default="", description="PromQL that gives a number for each series.")
    queries: dict[Name, Annotated[Query, BeforeValidator(_whole, json_schema_input_type=str | Query)]] = Field(
        default={}, max_length=MOST_QUERIES,
        description="In place of `query`: several, each a measurement by its name; as text, or with the keys below.",
    )  # fmt: skip
    by: tuple[LabelName, ...] = Field(default=(), description="Labels of the series to keep; they tell alerts apart.")
    unit: Unit = Field(
        default="number", description="Unit of the query's number, for `when` to compare it with 500ms or 5%."
    )
    absent: Absent = Field(default="failed", description="What it means that no series, or no target, is there.")
    max_series: int = Field(default=50, ge=1, le=1000, description="Series after which the check can't tell.")
    params: dict[str, str] = Field(default={}, description="Further parameters of the request, such as dedup.")
    targets: Literal["up"] | None = Field(default=None, description="In place of a query: every target must be up.")
    jobs: tuple[str, ...] = Field(default=(), description="With `targets`: only those of these jobs.")

    @model_validator(mode="after")
    def _one_question(self) -> Promql:
        if bool(self.query) + bool(self.queries) + bool(self.targets) != 1:
            raise ValueError("either query or targets is wanted, or queries")
        if self.targets and (self.by or self.params or self.unit != "number" or self.absent == "zero"):
            raise ValueError("by, params, unit and absent: zero belong to a query, not to targets")
        if self.jobs and not self.targets:
            raise ValueError("jobs belongs to targets; choose series in the query itself")
        if self.queries and (self.by or self.unit != "number"):
            raise ValueError("by and unit belong to each of the queries")
        if clash := sorted(self.params.keys() & {"query", "timeout"}):
            raise ValueError(f"{clash[0]} does not belong among params")
        if clash := sorted({one.name for one in self.measurements} & self.queries.keys()):
            raise ValueError(f"the query {clash[0]!r} has the name of a measurement that every promql check has")
        for one in self.asked.values():
            names = [exported(name) for name in one.by]
            if len(set(names)) < len(names):
                raise ValueError("`by` names a label twice")
            if one.absent == "zero" and one.by:
                raise ValueError("absent: zero is for a query without `by`: nobody knows the labels of what is missing")
        return self

    @cached_property
    def asked(self) -> dict[str, Query]:
        """Every query by the name of its measurement, nothing about it left open; empty with `targets`."""
        if self.query:
            return {"value": Query(query=self.query, by=self.by, unit=self.unit, absent=self.absent)}
        return {
            name: one.model_copy(update={"unit": one.unit or named_unit(name), "absent": one.absent or self.absent})
            for name, one in self.queries.items()
        }

    def declared(self) -> tuple[Measurement, ...]:
        """The queries' numbers in their units, by their labels; of several queries also how each was answered."""
        numbers = tuple(
            Measurement(
                name, one.unit or "number", one.query[:200], tuple(map(exported, one.by)), name.endswith("_total")
            )
            for name, one in self.asked.items()
        )
        label = ("query",) if self.queries else ()
        about = tuple(replace(one, labels=label) for one in self.measurements[1:4])
        return (*numbers, *about, *self.measurements[4:])

    def asks(self) -> tuple[Asks, ...]:
        """A request for each query, or one for the targets."""
        number = len(self.asked) or 1
        return (Asks(self.target, number, number, diagnosis=len(self.asked)),)

    async def probe(self, run: Run) -> None:
        """One request, or one for each of several queries; see the class."""
        async with self.api(LARGEST_TARGETS if self.targets else LARGEST) as api:
            if self.targets:
                answer = await api.ask("GET", "/api/v1/targets", {"state": "active"}, accept=())
                self._judge_targets(await in_pool(run, answers.targets, answer, self.jobs), run)
            else:
                await self._ask(api, run)

    async def _ask(self, api: Api, run: Run) -> None:
        shown: list[str] = []

        async def ask(name: str, one: Query) -> None:
            # A query that nobody waits for any more would go on to cost Prometheus.
            asked = {"query": one.query, "timeout": f"{ceil(api.left)}", **self.params}
            answer = await api.ask("GET", "/api/v1/query", asked, accept=())
            shown.extend(self._read(name, one, answers.reply(answer, self.max_series), run))

        try:
            await self._each(ask)
        finally:
            if shown:
                run.evidence("Series", "\n".join(shown))

    async def _each(self, ask: Callable[[str, Query], Awaitable[None]]) -> None:
        """Ask the queries one after the other; one that has no answer stops no other."""
        wrong: dict[str, Failed | Errored] = {}
        for name, one in self.asked.items():
            try:
                await ask(name, one)
            except (Failed, Errored) as why:
                wrong[name] = why
                if why.reason not in ABOUT_THE_QUERY:
                    break
        if wrong:
            raise self._together(wrong)

    def _together(self, wrong: dict[str, Failed | Errored]) -> Failed | Errored:
        """One outcome of several: a fault of the target goes before one of ours."""
        first = next((why for why in wrong.values() if isinstance(why, Failed)), next(iter(wrong.values())))
        if not self.queries:
            return first
        return type(first)(first.reason, "; ".join(f"{name}: {why.sentence}" for name, why in wrong.items()))

    def _read(self, name: str, query: Query, reply: answers.Reply, run: Run) -> list[str]:
        """Record one answer; gives lines to show."""
        about = {"query": name} if self.queries else {}
        run.record("series", len(reply.series), **about)
        run.record("series_without_value", reply.without_value, **about)
        run.record("warnings", len(reply.warnings), **about)
        if reply.warnings:
            run.evidence(self._title("Warnings", name), "\n".join(reply.warnings[:SHOWN]))
        if not reply.series:
            nan = f" with a value ({reply.without_value} have none: NaN)" if reply.without_value else ""
            self._nothing(f"{self.where} has no series{nan} for the query", query.absent)
            if query.absent == "zero":
                run.record(name, 0.0)
            return []
        for labels, one in zip(_kept(query, reply.series), reply.series, strict=True):
            run.record(name, one.value, **labels)
        start = name if self.queries else ""
        return [f"{start}{one}" for one in reply.series[: max(SHOWN // len(self.asked), SHOWN_LEAST)]]

    def _title(self, title: str, name: str) -> str:
        return f"{title}: {name}" if self.queries else title

    def _nothing(self, what: str, absent: Absent | None) -> None:
        match absent:
            case "failed":
                raise Failed(Reason.ASSERTION, what)
            case "error":
                raise Errored(Reason.ASSERTION, what)

    def _judge_targets(self, found: list[answers.Target], run: Run) -> None:
        by_health = {health: [one for one in found if one.health == health] for health in ("up", "down", "unknown")}
        up, down, unknown = (len(held) for held in by_health.values())
        run.record("targets_up", up)
        run.record("targets_down", down)
        run.record("targets_unknown", unknown)
        if up + down:
            run.record("targets_up_ratio", up / (up + down))
        missing = [job for job in self.jobs if all(one.job != job for one in found)]
        if down:
            run.evidence("Targets that are down", "\n".join(map(str, by_health["down"][:SHOWN])))
            first = ", ".join(map(str, by_health["down"][:3])) + (" …" if down > 3 else "")
            raise Failed(Reason.ASSERTION, f"{down} of {len(found)} targets of {self.where} are down: {first}")
        if missing:
            self._nothing(f"{self.where} has no target of the job {missing[0]!r}", self.absent)
        elif not found:
            self._nothing(f"{self.where} has no target", self.absent)
        elif not up:
            raise Errored(Reason.ASSERTION, f"{self.where} has not scraped any of its {unknown} targets yet")

    async def diagnose(self, run: Run) -> None:
        """How the numbers of the queries went in the last hour."""
        end = ceil(run.at)  # what was scraped within this second is of it
        past = {"start": f"{end - HISTORY}", "end": f"{end}", "step": f"{STEP}"}
        async with self.api(LARGEST) as api:

            async def ask(name: str, one: Query) -> None:
                asked = {"query": one.query, **past, **self.params}
                answer = await api.ask("GET", "/api/v1/query_range", asked, accept=())
                run.evidence(self._title("The last hour, every five minutes", name), answers.history(answer, SHOWN))

            await self._each(ask)


def _kept(query: Query, series: tuple[answers.Series, ...]) -> list[dict[str, str]]:
    """The labels that each series is recorded with; Errored where they do not tell the series apart."""
    kept = [
        {exported(name): printable(one.labels.get(name, "")[:LONGEST_LABEL]) for name in query.by} for one in series
    ]
    twice, times = Counter(tuple(labels.items()) for labels in kept).most_common(1)[0]
    if times > 1:
        alike = [str(one) for one, labels in zip(series, kept, strict=True) if tuple(labels.items()) == twice]
        said = f"the query gives series that differ in labels that `by` does not name: {' and '.join(alike[:3])}"
        raise Errored(Reason.INTERNAL, said)
    return kept
