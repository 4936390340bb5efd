"""Asks Prometheus, or what speaks its language: a query's numbers, or whether it reaches what it scrapes."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from checks.base import Errored, Failed, Measurement, Reason, Recommended, Run
from checks.parts.pool import in_pool
from checks.parts.vendors import promql as answers
from checks.parts.vendors.web_api import LONGEST_LABEL, ApiCheck, exported

LARGEST, LARGEST_TARGETS = 2**19, 2**22
"""Bytes of an answer: a thousand series, and a thousand targets, of which Prometheus tells all it has discovered."""
SHOWN = 20
"""Series or targets that become evidence, one a line."""
HISTORY, STEP = 3600, 300
"""Seconds of the past that a diagnosis shows, and between its values."""

LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]


class Promql(ApiCheck):
    """Asks Prometheus, Thanos, Mimir or VictoriaMetrics an instant query; or Prometheus whether its targets are up."""

    called: ClassVar[str] = "Prometheus"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("value", "number", "What the query gives, for each label set that `by` names."),
        Measurement("series", "count", "How many series have a value."),
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

    query: str = Field(default="", max_length=10_000, description="PromQL that gives a number for each series.")
    by: tuple[LabelName, ...] = Field(default=(), description="Labels of the series to keep; they tell alerts apart.")
    unit: Literal["number", "seconds", "bytes", "ratio", "count", "per_second", "timestamp", "bool"] = Field(
        default="number", description="Unit of the query's number, for `when` to compare it with 500ms or 5%."
    )
    absent: Literal["failed", "error", "zero", "ok"] = Field(
        default="failed", description="What it means that no series, or no target, is there."
    )
    max_series: int = Field(default=50, ge=1, le=1000, description="Series after which the check can't tell.")
    params: dict[str, str] = Field(default={}, description="Further parameters of the request, such as dedup.")
    targets: Literal["up"] | None = Field(default=None, description="In place of a query: every target must be up.")
    jobs: tuple[str, ...] = Field(default=(), description="With `targets`: only those of these jobs.")

    @model_validator(mode="after")
    def _one_question(self) -> Promql:
        if bool(self.query) == bool(self.targets):
            raise ValueError("either query or targets is wanted")
        if self.targets and (self.by or self.params or self.unit != "number" or self.absent == "zero"):
            raise ValueError("by, params, unit and absent: zero belong to a query, not to targets")
        if self.jobs and not self.targets:
            raise ValueError("jobs belongs to targets; choose series in the query itself")
        if self.absent == "zero" and self.by:
            raise ValueError("absent: zero is for a query without `by`: nobody knows the labels of what is not there")
        if clash := sorted(self.params.keys() & {"query", "timeout"}):
            raise ValueError(f"{clash[0]} does not belong among params")
        names = [exported(name) for name in self.by]
        if len(set(names)) < len(names):
            raise ValueError("`by` names a label twice")
        return self

    def declared(self) -> tuple[Measurement, ...]:
        """`value` in its unit, by its labels."""
        labels = tuple(exported(name) for name in self.by)
        value = Measurement("value", self.unit, self.query[:200] or "No query.", labels)
        return (value, *self.measurements[1:])

    async def probe(self, run: Run) -> None:
        """One request; see the class."""
        async with self.api(LARGEST_TARGETS if self.targets else LARGEST) as api:
            if self.targets:
                answer = await api.ask("GET", "/api/v1/targets", {"state": "active"}, accept=())
                self._judge_targets(await in_pool(run, answers.targets, answer, self.jobs), run)
            else:
                # A query that nobody waits for any more would go on to cost Prometheus.
                asked = {"query": self.query, "timeout": f"{self.timeout:g}", **self.params}
                answer = await api.ask("GET", "/api/v1/query", asked, accept=())
                self._read(answers.reply(answer, self.max_series), run)

    def _read(self, reply: answers.Reply, run: Run) -> None:
        run.record("series", len(reply.series))
        run.record("series_without_value", reply.without_value)
        run.record("warnings", len(reply.warnings))
        if reply.warnings:
            run.evidence("Warnings", "\n".join(reply.warnings[:SHOWN]))
        if not reply.series:
            nan = f" with a value ({reply.without_value} have none: NaN)" if reply.without_value else ""
            self._nothing(f"{self.where} has no series{nan} for the query", run)
            return
        for labels, one in zip(self._kept(reply.series), reply.series, strict=True):
            run.record("value", one.value, **labels)
        run.evidence("Series", "\n".join(map(str, reply.series[:SHOWN])))

    def _kept(self, series: tuple[answers.Series, ...]) -> list[dict[str, str]]:
        """The labels that each series is recorded with; Errored where they do not tell the series apart."""
        kept = [{exported(name): one.labels.get(name, "")[:LONGEST_LABEL] for name in self.by} for one in series]
        twice, times = Counter(tuple(labels.items()) for labels in kept).most_common(1)[0]
        if times > 1:
            alike = [str(one) for one, labels in zip(series, kept, strict=True) if tuple(labels.items()) == twice]
            said = f"the query gives series that differ in labels that `by` does not name: {' and '.join(alike[:3])}"
            raise Errored(Reason.INTERNAL, said)
        return kept

    def _nothing(self, what: str, run: Run) -> None:
        match self.absent:
            case "failed":
                raise Failed(Reason.ASSERTION, what)
            case "error":
                raise Errored(Reason.ASSERTION, what)
            case "zero":
                run.record("value", 0.0)

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
            self._nothing(f"{self.where} has no target of the job {missing[0]!r}", run)
        elif not found:
            self._nothing(f"{self.where} has no target", run)
        elif not up:
            raise Errored(Reason.ASSERTION, f"{self.where} has not scraped any of its {unknown} targets yet")

    async def diagnose(self, run: Run) -> None:
        """How the query's number went in the last hour."""
        if self.targets:
            return
        past = {"start": f"{run.at - HISTORY:.0f}", "end": f"{run.at:.0f}", "step": f"{STEP}"}
        asked = {"query": self.query, **past, **self.params}
        async with self.api(LARGEST) as api:
            answer = await api.ask("GET", "/api/v1/query_range", asked, accept=())
        run.evidence("The last hour, every five minutes", answers.history(answer, SHOWN))
