"""The section `limits`: how much those who are watched let themselves be asked, and that the checks keep to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from checks.base import Check
from checks.units import Duration, Share, show_duration
from monitor.asking import Demand, Limit, demands
from monitor.config.notes import Notes, Spot
from monitor.config.systems import Part

SHARE = 0.1
"""Of a limit, what the monitor may take: the rest is for those for whom the limit was made."""
NAMED = 4
"""Checks that a sentence names."""

Pattern = Annotated[str, Field(min_length=1)]


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


class LimitEntry(BaseModel):
    """One item of `limits`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=200, description="What is limited, for people.")
    match: Annotated[
        list[Pattern], BeforeValidator(_several, json_schema_input_type=Pattern | list[Pattern])
    ] = Field(
        min_length=1,
        description="Which addresses, with * for anything; maybe after a method: POST https://a.example/auth/*.",
    )  # fmt: skip
    requests: int = Field(ge=1, description="How many requests are allowed.")
    per: Duration = Field(default=60.0, gt=0, description="Within which time.")
    share: Share = Field(default=SHARE, gt=0, le=1, description="How much of it the monitor may use, at worst.")


def read(
    notes: Notes,
    parts: Iterable[Part],
    checks: Mapping[str, Check],
    ancestors: Mapping[str, tuple[str, ...]],
) -> tuple[Limit, ...]:
    """The limits of all files and of the systems in them. What is wrong goes into the notes: checks over a limit too.

    Whatever file a limit stands in, every check of the configuration counts: who is asked does not know of systems.
    """
    found: dict[tuple[str, str], tuple[Spot, Limit]] = {}
    for part in parts:
        for at, value in part.items(notes, "limits"):
            limit = _limit(notes, at, value, part.system)
            if limit is None:
                continue
            if (first := found.get((limit.system, limit.name))) is not None:
                place = first[0].place()
                notes.wrong(
                    at.at("name"), f"there is a limit {limit.name!r} already, in {place.file} line {place.line}"
                )
                continue
            found[limit.system, limit.name] = at, limit
    asked = demands(checks, ancestors) if found else []
    for spot, limit in found.values():
        _hold(notes, spot, limit, asked)
    return tuple(limit for _, limit in found.values())


def _limit(notes: Notes, spot: Spot, value: Any, system: str) -> Limit | None:
    section = notes.section(spot, value, "a limit is wanted: name: …, match: …, requests: …, per: …")
    entry = notes.model(LimitEntry, spot, section) if section is not None else None
    if entry is None:
        return None
    return Limit(system, entry.name, tuple(entry.match), entry.requests, entry.per, entry.share)


def _hold(notes: Notes, spot: Spot, limit: Limit, asked: Iterable[Demand]) -> None:
    """Note a limit that the checks may go over."""
    by_check: dict[str, int] = {}
    for one in limit.of(asked):
        by_check[one.check] = by_check.get(one.check, 0) + one.worst(limit.per)
    worst = sum(by_check.values())
    if worst <= limit.ours:
        return
    most = sorted(by_check.items(), key=lambda item: -item[1])
    named = ", ".join(f"{key} {count}" for key, count in most[:NAMED])
    named += f" and {len(most) - NAMED} more" if len(most) > NAMED else ""
    share = f"{limit.share * 100:.3g} %"
    notes.wrong(
        spot,
        f"{limit.name} allows {limit.requests} requests in {show_duration(limit.per)}, {limit.ours:g} of them ours "
        f"(share {share}); at worst the checks ask {worst}: {named}. "
        "Ask less often, or with fewer retries, or set a larger share",
    )
