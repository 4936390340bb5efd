"""What is known of a job from its pings, and what that means now: pure, with the meaning that Healthchecks gives them.

Source: Healthchecks, "Pinging API", "Measuring Script Run Time", "Signaling Failures", "Reporting Exit Codes". Times
are Unix seconds by the wall clock: jobs go by it, and it goes on while the machine sleeps.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from checks.parts.heartbeat.schedule import Schedule

Moment = Annotated[float, Field(ge=0, le=32e9)]
"""Unix seconds up to the year 2984: what calendars can reckon with, whatever was kept."""
Action = Literal["success", "fail", "start", "log", "ignored"]

MOST_PINGS = 20
MOST_RUNS = 50
EXCERPT = 500
"""Characters that are kept of the body of each ping but the last one that decides."""
LONGEST_MEASURED = 72 * 3600.0
"""Seconds from a start beyond which an end is not taken for its own."""
SEEN_EVERY = 60.0


def is_uuid(text: str) -> bool:
    """Whether the text is a UUID as addresses write it, in either case."""
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


class Ping(BaseModel):
    """One sign of life. `rid` is the run's id, empty for none; `took` the seconds since its start, where it has one."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    at: Moment
    action: Action
    code: int | None = None
    rid: str = ""
    body: str = ""
    sender: str = ""
    took: float | None = None


class Away(NamedTuple):
    """From when to when runwatch did not listen."""

    left: Moment
    back: Moment


class State(BaseModel):
    """All that is remembered of a job. `last` is the last success or failure; `runs` the starts by run id."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    first: Moment
    seen: Moment
    last: Ping | None = None
    runs: dict[str, Moment] = {}
    took: float | None = None
    counts: dict[Action, int] = {}
    pings: tuple[Ping, ...] = ()
    away: Away | None = None


def recalled(kept: Any, now: float) -> State:
    """The state out of what was kept; a new one where that is nothing, or nothing that can be read."""
    try:
        return State.model_validate(kept)
    except ValidationError:
        return State(first=now, seen=now)


class Rules(NamedTuple):
    """What is expected. `longest_run` without a value is the grace, as Healthchecks has it."""

    schedule: Schedule
    grace: float
    longest_run: float | None = None

    @property
    def longest(self) -> float:
        return self.grace if self.longest_run is None else self.longest_run


def taken(state: State, ping: Ping, longest: float) -> State:
    """The state after a ping."""
    runs, last, took = dict(state.runs), state.last, state.took
    if ping.action == "start":
        runs.pop(ping.rid, None)
        # The oldest are kept: they are the first to be missed.
        if len(runs) < MOST_RUNS:
            runs[ping.rid] = ping.at
    elif ping.action in ("success", "fail"):
        began = runs.pop(ping.rid, None)
        if began is not None and 0 <= ping.at - began < LONGEST_MEASURED:
            ping = ping.model_copy(update={"took": ping.at - began})
        if not ping.rid or (ping.action == "fail" and began is None):
            runs.clear()
        elif ping.action == "success":
            runs = _without_the_lost(runs, ping.at if began is None else began, ping.at - longest)
        last, took = ping, ping.took
    brief = ping.model_copy(update={"body": ping.body[:EXCERPT]})
    return state.model_copy(
        update={
            "runs": runs,
            "last": last,
            "took": took,
            "counts": state.counts | {ping.action: state.counts.get(ping.action, 0) + 1},
            "pings": (*state.pings, brief)[-MOST_PINGS:],
        }
    )


def _without_the_lost(runs: dict[str, float], later: float, overdue: float) -> dict[str, float]:
    """A run that is overdue will never end, once one that began later has succeeded: it was killed."""
    return {rid: began for rid, began in runs.items() if began >= later or began > overdue}


def watched(state: State, now: float, left: float | None, grace: float) -> State:
    """The state after a look at it. `left` is when runwatch last listened, where it has not since; else None."""
    away = state.away
    if left is not None and left < now and (away is None or now > away.back + grace):
        # Within the grace that one absence gave, another gives no more: or a crash loop would hide everything.
        away = Away(left, now)
    seen = now if away is not state.away or not 0 <= now - state.seen < SEEN_EVERY else state.seen
    if seen == state.seen:
        return state
    return state.model_copy(update={"away": away, "seen": seen})


class Standing(NamedTuple):
    """How a job stands. `expected` is when it is next to be heard of, `deadline` when that is too late.

    `overran` is the start of a run that has taken too long. `spared` says that a deadline was put off, because
    runwatch did not listen when it passed.
    """

    expected: float
    deadline: float
    late: bool
    failed: bool
    overran: float | None
    spared: bool


def judged(state: State, now: float, rules: Rules) -> Standing:
    """What the state means now."""
    since = state.first if state.last is None else state.last.at
    expected = rules.schedule.after(since)
    deadline = expected + rules.grace
    if rules.longest_run is not None and state.runs:
        # What began in time may take its time; what begins again and again without an end may not.
        deadline = max(deadline, min(max(state.runs.values()), deadline) + rules.longest_run)
    put_off = _put_off(state.away, expected, deadline, rules.grace)
    overran = None
    for began in sorted(state.runs.values()):
        if now >= _put_off(state.away, began, began + rules.longest, rules.grace):
            overran = began
            break
    return Standing(
        expected=expected,
        deadline=put_off,
        late=now >= put_off,
        failed=state.last is not None and state.last.action == "fail",
        overran=overran,
        spared=put_off > deadline,
    )


def _put_off(away: Away | None, expected: float, deadline: float, grace: float) -> float:
    """The deadline; not before a grace is over since we are back, where the wait fell into the time we were away."""
    if away is not None and expected <= away.back and deadline > away.left:
        return max(deadline, away.back + grace)
    return deadline
