"""What the Prometheus HTTP API says, read from JSON of any shape: series, targets, refusals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

from checks.base import Errored, Failed, Reason
from checks.parts.api import Answer, refused
from checks.parts.http.expect import brief

OUR_FAULT = {"bad_data": Reason.INTERNAL, "execution": Reason.INTERNAL, "not_found": Reason.INTERNAL}
"""Errors that the question has brought about. https://prometheus.io/docs/prometheus/latest/querying/api/"""
TOO_LONG = ("timeout", "canceled")
READ = (200, 400, 404, 405, 422, 500, 503)
"""Statuses under which the API may answer in its own words."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series at one instant."""

    labels: dict[str, str]
    value: float

    def __str__(self) -> str:
        return f"{_shown(self.labels)} {self.value:g}"


@dataclass(frozen=True, slots=True)
class Reply:
    """The series that have a value, how many have none (NaN), and what the API warned of."""

    series: tuple[Series, ...]
    without_value: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """What Prometheus scrapes, and how that went last: up, down or unknown."""

    job: str
    instance: str
    health: str
    error: str

    def __str__(self) -> str:
        return f"{self.job} {self.instance}" + (f": {self.error}" if self.error else "")


def _shown(labels: Any) -> str:
    pairs = sorted(labels.items()) if isinstance(labels, dict) else ()
    return f"{{{', '.join(f'{brief(name).strip(chr(34))}={brief(text)}' for name, text in pairs)}}}"


def data(answer: Answer) -> dict[str, Any]:
    """The whole answer where it is a success; Failed or Errored where it is none, or none of Prometheus'."""
    if answer.status not in READ:
        raise refused(answer)
    try:
        document = answer.json()
    except Failed:
        if answer.status != 200:
            raise refused(answer) from None
        raise
    if isinstance(document, dict) and document.get("status") == "error":
        raise _refusal(answer.name, document)
    if answer.status != 200:
        raise refused(answer)
    if not isinstance(document, dict) or document.get("status") != "success":
        raise Failed(Reason.BODY, f"{answer.name} did not answer as Prometheus does but with {brief(document)}")
    if document.get("isPartial") is True:
        raise Errored(Reason.BODY, f"{answer.name} answered only partially: some of its storage was not asked")
    return document


def _refusal(name: str, document: dict[str, Any]) -> Failed | Errored:
    sort, why = str(document.get("errorType")), brief(document.get("error"), 300)
    if sort in OUR_FAULT:
        return Errored(OUR_FAULT[sort], f"{name} cannot answer the query: {why}")
    if sort in TOO_LONG:
        return Failed(Reason.READ_TIMEOUT, f"{name} gave the query up: {why}")
    return Failed(Reason.STATUS, f"{name} failed at the query ({brief(sort)}): {why}")


def reply(answer: Answer, most: int) -> Reply:
    """The result of an instant query; Errored where it has more than `most` series."""
    document = data(answer)
    result, sort = _result(answer.name, document)
    if sort == "scalar":
        found = [Series({}, _value(answer.name, result))]
    elif sort == "vector" and isinstance(result, list):
        if len(result) > most:
            many = f"the query gives {len(result)} series, more than max_series ({most})"
            raise Errored(Reason.INTERNAL, f"{many}; aggregate them in the query")
        found = [_series(answer.name, one) for one in result]
    else:
        what = {"string": "a text", "matrix": "ranges"}.get(sort, f"a result of type {brief(sort)}")
        raise Errored(Reason.INTERNAL, f"the query gives {what}, where one number for each series is wanted")
    known = tuple(one for one in found if not isnan(one.value))
    return Reply(known, len(found) - len(known), _texts(document.get("warnings")))


def _result(name: str, document: dict[str, Any]) -> tuple[Any, str]:
    held = document.get("data")
    if not isinstance(held, dict) or "result" not in held:
        raise Failed(Reason.BODY, f"{name} answered without a result")
    return held["result"], str(held.get("resultType"))


def _series(name: str, one: Any) -> Series:
    if not isinstance(one, dict) or not isinstance(labels := one.get("metric"), dict):
        raise Failed(Reason.BODY, f"{name} answered with a series that is none: {brief(one)}")
    if "value" not in one and "histogram" in one:
        raise Errored(Reason.INTERNAL, "the query gives histograms; take a number of them with histogram_quantile()")
    return Series({str(key): str(text) for key, text in labels.items()}, _value(name, one.get("value")))


def _value(name: str, pair: Any) -> float:
    try:
        _, text = pair
        if isinstance(text, str):
            return float(text)
    except (TypeError, ValueError):
        pass
    raise Failed(Reason.BODY, f"{name} answered with a value that is none: {brief(pair)}")


def _texts(held: Any) -> tuple[str, ...]:
    return tuple(brief(one, 300) for one in held) if isinstance(held, list) else ()


def history(answer: Answer, most: int) -> str:
    """The result of a range query as lines: each series with its values, the oldest first."""
    result, _ = _result(answer.name, data(answer))
    lines = []
    for one in result[:most] if isinstance(result, list) else ():
        if not isinstance(one, dict) or not isinstance(pairs := one.get("values"), list):
            raise Failed(Reason.BODY, f"{answer.name} answered with a series that is none: {brief(one)}")
        values = " ".join(f"{_value(answer.name, pair):.4g}" for pair in pairs)
        lines.append(f"{_shown(one.get('metric'))} {values}")
    return "\n".join(lines)


def targets(answer: Answer, jobs: Sequence[str]) -> list[Target]:
    """The active targets of these jobs, or of all."""
    held = data(answer).get("data")
    found = held.get("activeTargets") if isinstance(held, dict) else None
    if not isinstance(found, list):
        raise Failed(Reason.BODY, f"{answer.name} answered without targets")
    read = [_target(answer.name, one) for one in found]
    return [one for one in read if not jobs or one.job in jobs]


def _target(name: str, one: Any) -> Target:
    labels = one.get("labels") if isinstance(one, dict) else None
    if not isinstance(labels, dict) or one.get("health") not in ("up", "down", "unknown"):
        raise Failed(Reason.BODY, f"{name} answered with a target that is none: {brief(one)}")
    job = str(labels.get("job") or one.get("scrapePool", ""))
    instance = str(labels.get("instance") or one.get("scrapeUrl", ""))
    return Target(job, instance, one["health"], brief(one.get("lastError") or "", 200).strip('"'))
