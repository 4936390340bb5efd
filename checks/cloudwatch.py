"""Looks into AWS CloudWatch: errors in logs, words that must not be there, how old and how late they are; metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from checks.base import DURATION, Asks, Check, Failed, Measurement, Reason, Recommended, Run, Url
from checks.parts import network as _network
from checks.parts.api import Answer
from checks.parts.aws.asking import Aws, Credentials, address, web_address
from checks.parts.aws.cloudwatch_logs import LogEvent, search
from checks.units import Duration
from checks.wire.certificates import visible

GET_METRIC_DATA = "GraniteServiceVersion20100801.GetMetricData"
JUST_NOW = 30.0
"""Seconds back in which the newest event of a busy log is looked for: all of its window would be many pages."""
LATE = 120.0
"""Seconds for which what was searched is searched again: an event may arrive late."""
LAST = "cloudwatch's last events"
SHOWN = 5

M = Measurement
MEASUREMENTS = (
    DURATION,
    M("requests", "count", "Requests that the probe made."),
    M("events", "count", "Events in the window that match a pattern.", ("log_group", "pattern")),
    M("events_per_second", "per_second", "The same per second of the window.", ("log_group", "pattern")),
    M("complete", "bool", "Whether searches ended within `pages`; if not, counts are too low.", ("log_group",)),
    M("newest_age_seconds", "seconds", "Time since the newest event; `look_back` where none is known.", ("log_group",)),
    M("ingestion_delay_seconds", "seconds", "From event to log, 95th percentile of the window.", ("log_group",)),
    M("forbidden_events", "count", "Events that hold one of `words`.", ("log_group",)),
    M("metric", "number", "The newest value of a metric.", ("metric",)),
    M("metric_age_seconds", "seconds", "How old that value is.", ("metric",)),
)  # fmt: skip
RECOMMENDED = (
    Recommended(
        "ForbiddenWordsLogged", "forbidden_events > 0", "critical",
        "What was logged once is in every copy of the log: passwords, card numbers.",
    ),
    Recommended("LogsLate", "ingestion_delay_seconds > 30s", "medium", "Whoever looks sees the past.", 300.0),
    Recommended("LogsSilent", "newest_age_seconds > 15m", "medium", "The service is dead, or its log's way is.", 60.0),
)  # fmt: skip


class Metric(BaseModel):
    """One metric's statistic."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespace: str = Field(min_length=1, max_length=255, description="Such as AWS/ApplicationELB.")
    metric: str = Field(min_length=1, max_length=255, description="Such as HTTPCode_Target_5XX_Count.")
    dimensions: dict[str, str] = Field(default={}, description="All of its dimensions, by name.")
    statistic: str = Field(
        default="Average", pattern=r"^(Average|Sum|Minimum|Maximum|SampleCount|p\d{1,2}(\.\d+)?)$",
        description="Average, Sum, Minimum, Maximum, SampleCount or a percentile such as p99.",
    )  # fmt: skip
    period: Duration = Field(default=60.0, ge=60, multiple_of=60, description="Time that one value is taken over.")


def _word(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        if not word.strip() or '"' in word or "\\" in word:
            raise ValueError(f"{word!r} can't be searched for: write a word without quotes and backslashes")
    return words


class Cloudwatch(Check):
    """Log groups and metrics in AWS CloudWatch: counts by pattern, forbidden words, age and delay of what is logged."""

    measurements: ClassVar[tuple[Measurement, ...]] = MEASUREMENTS
    recommended: ClassVar[tuple[Recommended, ...]] = RECOMMENDED

    log_groups: tuple[str, ...] = Field(default=(), max_length=20, description="Names or ARNs of log groups.")
    patterns: dict[str, str] = Field(
        default={}, description="What to count: a name, and a filter pattern in CloudWatch's language."
    )
    words: Annotated[tuple[str, ...], AfterValidator(_word)] = Field(
        default=(), max_length=20, description="Words that must never be logged, in this very spelling."
    )
    window: Duration = Field(default=300.0, ge=10, le=86400, description="Time behind us that counts.")
    newest: bool = Field(default=True, description="Whether to look for the newest event, its age and its delay.")
    look_back: Duration = Field(default=3600.0, ge=60, le=604800, description="How far back the newest is looked for.")
    pages: int = Field(default=10, ge=1, le=100, description="Pages that one search reads at most.")
    metrics: dict[str, Metric] = Field(default={}, max_length=100, description="Metrics to read, each under a name.")
    region: str = Field(default="us-east-1", pattern=r"^[a-z0-9-]+$", description="Region of AWS.")
    endpoint_url: Annotated[Url, AfterValidator(web_address)] | None = Field(
        default=None, description="Address in place of AWS' own, such as of a VPC endpoint."
    )
    credentials: Credentials = Field(default=Credentials(), description="Who asks.")
    tls: _network.TlsSettings = Field(default=_network.TlsSettings(), description="Settings of the encryption.")
    interval: Duration = Field(default=60.0, gt=0, description="Time from one probe's start to the next.")
    timeout: Duration = Field(default=30.0, gt=0, description="When an unanswered probe counts as failed.")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.log_groups and not self.metrics:
            raise ValueError("log_groups or metrics are wanted")
        return self

    @property
    def target(self) -> str:
        """The log groups, or the region."""
        return ",".join(self.log_groups) or str(address(self.endpoint_url, "monitoring", self.region))

    def asks(self) -> tuple[Asks, ...]:
        """A search, which has pages, for each pattern, for all words and for the newest; one call for all metrics."""
        found = []
        if self.log_groups:
            searches = len(self.patterns) + bool(self.words)
            usual = (searches + self.newest) * len(self.log_groups)
            most = (searches * self.pages + self.newest * (1 + 2 * self.pages)) * len(self.log_groups)
            found.append(Asks(str(address(self.endpoint_url, "logs", self.region)), usual, most))
        if self.metrics:
            found.append(Asks(str(address(self.endpoint_url, "monitoring", self.region))))
        return tuple(found)

    async def probe(self, run: Run) -> None:
        """Search each log group, then ask for all metrics at once."""
        requests = 0
        run.memory[LAST] = {}
        if self.log_groups:
            async with self._aws("logs", "logs:FilterLogEvents", run) as logs:
                for group in self.log_groups:
                    await self._look_into(group, logs, run)
            requests += logs.requests
        if self.metrics:
            async with self._aws("monitoring", "cloudwatch:GetMetricData", run) as monitoring:
                await self._read_metrics(monitoring, run)
            requests += monitoring.requests
        run.record("requests", requests)

    def _aws(self, service: str, rights: str, run: Run) -> Aws:
        name = {"logs": "CloudWatch Logs", "monitoring": "CloudWatch"}[service]
        return Aws(
            f"{name} in {self.region}", address(self.endpoint_url, service, self.region), self.region, service,
            self.timeout, credentials=self.credentials, tls=self.tls, rights=rights, run=run,
        )  # fmt: skip

    async def _look_into(self, group: str, logs: Aws, run: Run) -> None:
        complete = True
        logs.name = f"log group {group} in {self.region}"
        for name, pattern in self.patterns.items():
            found = await search(logs, run, group, run.at - self.window, self.pages, pattern=pattern)
            run.record("events", found.count, log_group=group, pattern=name)
            run.record("events_per_second", found.count / self.window, log_group=group, pattern=name)
            run.memory[LAST][f"{name} in {group}"] = list(found.last)
            complete &= found.complete
        if self.words:
            complete &= await self._look_for_words(group, logs, run)
        if self.newest:
            await self._look_for_newest(group, logs, run)
        run.record("complete", float(complete), log_group=group)

    async def _look_for_words(self, group: str, logs: Aws, run: Run) -> bool:
        """Searched since the last search that came to its end, so that a pause of ours hides nothing."""
        searched = _times(run.kept, "searched")
        start = min(run.at - self.window, searched.get(group, run.at) - LATE)
        pattern = " ".join(f'?"{word}"' for word in self.words)
        found = await search(
            logs, run, group, max(start, run.at - self.look_back - self.window), self.pages,
            pattern=pattern, wanted=self._holds_word,
        )  # fmt: skip
        run.record("forbidden_events", found.count, log_group=group)
        if found.count:
            lines = [f"{one.line(self.words)} in {visible(one.stream, 100)}" for one in found.last]
            run.evidence(f"forbidden words in {group}", "\n".join(lines))
        if found.complete:
            searched[group] = run.at
        return found.complete

    def _holds_word(self, message: str) -> bool:
        return any(word in message for word in self.words)

    async def _look_for_newest(self, group: str, logs: Aws, run: Run) -> None:
        """The delay is of what the window begins with: of the latest events, those that are late are not there yet."""
        known = _times(run.kept, "newest")
        first = await search(logs, run, group, run.at - self.window, 1)
        found = first
        if not first.complete:
            found = await search(logs, run, group, run.at - JUST_NOW, self.pages)
            found = found if found.count else first
        if not found.count and self.look_back > self.window:
            found = await search(logs, run, group, run.at - self.look_back, self.pages)
        if found.count:
            # A line that is ahead of time must not hide for years that no other comes.
            known[group] = min(run.at, max(one.at for one in found.last))
        run.record("newest_age_seconds", max(0.0, run.at - known.get(group, run.at - self.look_back)), log_group=group)
        delay = first.p95()
        if delay is not None:
            run.record("ingestion_delay_seconds", delay, log_group=group)
        run.memory[LAST][group] = list(found.last)

    async def _read_metrics(self, monitoring: Aws, run: Run) -> None:
        names = list(self.metrics)
        longest = max(one.period for one in self.metrics.values())
        question = {
            "StartTime": int(run.at - 3 * longest - 600), "EndTime": int(run.at) + 60,
            "ScanBy": "TimestampDescending",
            "MetricDataQueries": [_query(number, self.metrics[name]) for number, name in enumerate(names)],
        }  # fmt: skip
        newest = _newest_values(await monitoring.call(GET_METRIC_DATA, question, "1.0"))
        for number, name in enumerate(names):
            if f"m{number}" in newest:
                at, value = newest[f"m{number}"]
                run.record("metric", value, metric=name)
                run.record("metric_age_seconds", max(0.0, run.at - at), metric=name)

    async def diagnose(self, run: Run) -> None:
        """The last events that were found, by what was looked for."""
        last: dict[str, list[LogEvent]] = run.memory.get(LAST, {})
        for about, events in last.items():
            if events:
                run.evidence(f"last events: {about}", "\n".join(one.line(self.words) for one in events))


def _times(kept: dict[str, Any], name: str) -> dict[str, float]:
    """Times by log group out of what was kept, whatever it was; to be changed in place."""
    held = kept.get(name)
    sound = isinstance(held, dict) and all(isinstance(at, int | float) for at in held.values())
    times: dict[str, float] = held if sound and isinstance(held, dict) else {}
    kept[name] = times
    return times


def _query(number: int, wanted: Metric) -> Mapping[str, Any]:
    dimensions = [{"Name": name, "Value": value} for name, value in wanted.dimensions.items()]
    metric = {"Namespace": wanted.namespace, "MetricName": wanted.metric, "Dimensions": dimensions}
    stat = {"Metric": metric, "Period": int(wanted.period), "Stat": wanted.statistic}
    return {"Id": f"m{number}", "MetricStat": stat, "ReturnData": True}


def _newest_values(answer: Answer) -> dict[str, tuple[float, float]]:
    """Time and value of each metric's newest value, by the id that it was asked under."""
    newest: dict[str, tuple[float, float]] = {}
    match answer.json():
        case {"MetricDataResults": list(results)}:
            for one in results:
                match one:
                    case {"Id": str(name), "Timestamps": list(times), "Values": list(values)} if all(
                        isinstance(each, int | float) for each in (*times, *values)
                    ):
                        newest.update({name: max(zip(times, values, strict=False))} if times and values else {})
                    case _:
                        raise Failed(Reason.BODY, f"{answer.name} answered with a metric that is none")
            return newest
    raise Failed(Reason.BODY, f"{answer.name} did not answer with metrics")
