"""Waits for signs of life that a job sends, with the addresses and the meaning of Healthchecks."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from checks.base import KEPT, Asks, Check, Failed, Measurement, Reason, Recommended, Run
from checks.parts.heartbeat.schedule import Cron, Period, Schedule
from checks.parts.heartbeat.state import Ping, Rules, Standing, State, is_uuid, judged, recalled, taken, watched
from checks.units import Duration, Size, show_duration

MEMORY = "heartbeat"
LISTENING = "heard by"
"""Where the memory that ends with the process says when the last look was."""
GAP = 60.0
SHOWN = 200

_NO_SLUG = re.compile(r"[^a-z0-9_-]+")
_SLUG = re.compile(r"[a-z0-9_-]{1,100}")
_KEY = re.compile(r"[A-Za-z0-9_-]{16,100}")


def _uuid(given: SecretStr) -> SecretStr:
    text = given.get_secret_value().lower()
    if not is_uuid(text):
        raise ValueError("a UUID is wanted, such as `uuidgen` prints")
    return SecretStr(text)


def _key(given: SecretStr) -> SecretStr:
    text = given.get_secret_value()
    if not _KEY.fullmatch(text) or is_uuid(text):
        raise ValueError("16 or more letters, digits, - and _ are wanted, and no UUID")
    return given


def _slug(given: str) -> str:
    if given and not _SLUG.fullmatch(given):
        raise ValueError(f"{given[:80]!r} is no slug: small letters, digits, - and _")
    return given


def _words(given: Any) -> Any:
    return [word.strip() for word in given.split(",") if word.strip()] if isinstance(given, str) else given


Words = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_words)]
Key = Annotated[SecretStr | None, AfterValidator(lambda key: key and _key(key))]


class Heartbeat(Check):
    """A job that is to be heard of regularly: it fails where the job fails, is late, or runs too long."""

    fed: ClassVar[bool] = True
    up: ClassVar[str] = "hc_check_up"
    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("last_ping", "timestamp", "When it last succeeded or failed."),
        Measurement("last_ping_age_seconds", "seconds", "Time since it last succeeded or failed."),
        Measurement("expected_at", "timestamp", "When it is next expected, grace not counted."),
        Measurement("overdue_seconds", "seconds", "Time since it was expected, grace not counted; 0 before that."),
        Measurement("in_grace", "bool", "Whether it is overdue, but within the grace.", also="hc_check_grace"),
        Measurement("run_duration_seconds", "seconds", "How long its last run took; absent where no start was told."),
        Measurement("running", "count", "Runs that have begun and not ended."),
        Measurement("started", "bool", "Whether a run has begun and not ended.", also="hc_check_started"),
        Measurement("running_seconds", "seconds", "How long the oldest of these has been running."),
        Measurement("exit_code", "number", "The exit code of its last end; absent where none was told."),
        Measurement("paused", "bool", "Whether it is paused: not judged.", also="hc_check_paused"),
        Measurement(
            "pings_total", "count", "Pings since it is watched: success, fail, start, log, ignored.",
            labels=("action",), counter=True,
        ),
    )  # fmt: skip
    recommended: ClassVar[tuple[Recommended, ...]] = (
        Recommended(
            "JobSlower", "run_duration_seconds > 2 * baseline(run_duration_seconds) and run_duration_seconds > 1m",
            "low", "A job that takes twice as long as it used to will one day not be done in time.",
        ),
    )  # fmt: skip

    retries: Annotated[int, AfterValidator(lambda _: 0)] = Field(
        default=0, ge=0, le=10, description="Always 0: what was not heard is not heard by asking again."
    )
    uuid: Annotated[SecretStr | None, AfterValidator(lambda key: key and _uuid(key))] = Field(
        default=None, description="Its address is /ping/<uuid>; whoever knows it can ping."
    )
    ping_key: Key = Field(default=None, description="With it, its address is /ping/<ping_key>/<slug> as well.")
    slug: Annotated[str, AfterValidator(_slug)] = Field(
        default="", description="Its name in that address; without it, made of the name."
    )
    push_token: Key = Field(default=None, description="With it, it can be pinged at /api/push/<token>, as Uptime Kuma.")
    period: Duration | None = Field(default=None, gt=0, description="How often it is to be heard of.")
    schedule: str | None = Field(default=None, description="When it is expected, as cron, in place of `period`.")
    timezone: str = Field(default="UTC", description="Whose wall clock the schedule means.")
    grace: Duration = Field(default=3600.0, gt=0, description="How late it may be; also how long it may run.")
    longest_run: Duration | None = Field(
        default=None, gt=0, description="How long it may run, if not the grace; while it does, it is not late."
    )
    paused: bool = Field(default=False, description="Takes pings, and judges nothing.")
    post_only: bool = Field(
        default=False, description="Whether only POST counts: a chat that previews the link is no sign of life."
    )
    failure_kw: Words = Field(default=(), description="Words in a ping's body that make it a failure.")
    success_kw: Words = Field(default=(), description="Words without one of which a body is no success, but ignored.")
    start_kw: Words = Field(default=(), description="Words in a ping's body that make it a start.")
    body_limit: Size = Field(default=10_240, ge=0, le=32_768, description="Bytes that are kept of a ping's body.")

    @model_validator(mode="after")
    def _whole(self) -> Heartbeat:
        if not (self.uuid or self.ping_key or self.push_token):
            raise ValueError("nobody could ping it: it needs a uuid (such as `uuidgen` prints) or a ping_key")
        if (self.period is None) == (self.schedule is None):
            raise ValueError("either period (such as 1d) or schedule (such as 0 2 * * *) is wanted")
        if not self.own_slug:
            raise ValueError("its name makes no slug: give it one, such as slug: nightly-backup")
        _ = self.rules
        return self

    @property
    def own_slug(self) -> str:
        """The slug, as given or made of the name."""
        return self.slug or _NO_SLUG.sub("-", self.name.lower()).strip("-")[:100]

    @property
    def target(self) -> str:
        """The slug: the addresses are secret."""
        return self.own_slug

    @cached_property
    def rules(self) -> Rules:
        """What is expected of it. ValueError with a sentence where the schedule is none."""
        schedule: Schedule
        if self.period is not None:
            schedule = Period(self.period)
        else:
            schedule = Cron(self.schedule or "", self.timezone)
        return Rules(schedule, self.grace, self.longest_run)

    def addresses(self) -> list[str]:
        """What stands after /ping/ where it is meant, or the whole of /api/push/<token>."""
        found = [self.uuid.get_secret_value()] if self.uuid else []
        if self.ping_key:
            found.append(f"{self.ping_key.get_secret_value()}/{self.own_slug}")
        if self.push_token:
            found.append(f"/api/push/{self.push_token.get_secret_value()}")
        return found

    def meant(self, ping: Ping, method: str) -> Ping:
        """The ping as this check takes it: a plain one by its method and the words in its body."""
        if self.post_only and method != "POST":
            return ping.model_copy(update={"action": "ignored"})
        if ping.action != "success" or ping.code is not None:
            return ping
        if any(word in ping.body for word in self.failure_kw):
            return ping.model_copy(update={"action": "fail"})
        if any(word in ping.body for word in self.start_kw):
            return ping.model_copy(update={"action": "start"})
        if self.success_kw and not any(word in ping.body for word in self.success_kw):
            return ping.model_copy(update={"action": "ignored"})
        return ping

    def take(self, memory: dict[Any, Any], ping: Ping) -> None:
        """Take a ping into what the check remembers; to have it written is the caller's."""
        kept: dict[str, Any] = memory.setdefault(KEPT, {})
        state = recalled(kept.get(MEMORY), ping.at)
        kept[MEMORY] = taken(state, ping, self.rules.longest).model_dump(mode="json")

    def asks(self) -> tuple[Asks, ...]:
        """Nobody: its target comes to us."""
        return ()

    async def probe(self, run: Run) -> None:
        """Judge what has been heard."""
        state = self._looked(run)
        standing = judged(state, run.wall, self.rules)
        self._record(run, state, standing)
        if self.paused or not (standing.failed or standing.late or standing.overran is not None):
            return
        self._show(run, state)
        raise Failed(*self._why(state, standing, run.wall))

    def _looked(self, run: Run) -> State:
        state = recalled(run.kept.get(MEMORY), run.wall)
        last_look = run.memory.get(LISTENING, state.seen)
        # A first look of this process, or one after a standstill of all of it or of our network: meanwhile nobody took
        # pings.
        away = run.cut_off or LISTENING not in run.memory or run.wall - last_look > 2 * self.interval + GAP
        state = watched(state, run.wall, last_look if away else None, self.grace)
        run.memory[LISTENING] = run.wall
        run.kept[MEMORY] = state.model_dump(mode="json")
        return state

    def _record(self, run: Run, state: State, standing: Standing) -> None:
        if state.last is not None:
            run.record("last_ping", state.last.at)
            run.record("last_ping_age_seconds", max(0.0, run.wall - state.last.at))
            if state.last.code is not None:
                run.record("exit_code", state.last.code)
        run.record("expected_at", standing.expected)
        run.record("overdue_seconds", max(0.0, run.wall - standing.expected))
        in_grace = standing.expected <= run.wall < standing.deadline and not standing.failed
        run.record("in_grace", float(in_grace))
        if state.took is not None:
            run.record("run_duration_seconds", state.took)
        run.record("running", len(state.runs))
        run.record("started", float(bool(state.runs)))
        if state.runs:
            run.record("running_seconds", max(0.0, run.wall - min(state.runs.values())))
        run.record("paused", float(self.paused))
        for action, count in state.counts.items():
            run.record("pings_total", count, action=action)

    def _why(self, state: State, standing: Standing, now: float) -> tuple[Reason, str]:
        """Reason and sentence."""
        last, rules = state.last, self.rules
        if standing.failed and last is not None:
            code = f" with exit code {last.code}" if last.code else ""
            words = last.body.strip().rpartition("\n")[2].strip()[:SHOWN]
            said = f": {words}" if words else ""
            ago = show_duration(float(int(max(0.0, now - last.at))))
            return Reason.ASSERTION, f"the job failed {ago} ago{code}{said}"
        if standing.overran is not None:
            took = show_duration(now - standing.overran)
            sentence = f"a run that began {took} ago has not ended; {show_duration(rules.longest)} is the longest"
            return Reason.READ_TIMEOUT, sentence
        silent = now - (state.first if last is None else last.at)
        never = "" if last is not None else " since it is watched"
        missed = ""
        if standing.spared and state.away is not None:
            missed = (
                f"; runwatch did not listen until {show_duration(now - state.away.back)} ago and may have missed it"
            )
        expected = f"expected {rules.schedule}, grace {show_duration(rules.grace)}"
        return Reason.READ_TIMEOUT, f"no sign of life for {show_duration(silent)}{never}: {expected}{missed}"

    def _show(self, run: Run, state: State) -> None:
        if state.last is not None and state.last.body:
            run.evidence("what it said last", state.last.body)
        if state.pings:
            run.evidence("its last pings", "\n".join(map(_line, reversed(state.pings))))


def _line(ping: Ping) -> str:
    when = datetime.fromtimestamp(ping.at, UTC).isoformat(" ", "seconds")
    parts = [when, ping.action]
    if ping.code is not None:
        parts.append(f"exit code {ping.code}")
    if ping.took is not None:
        parts.append(f"took {show_duration(ping.took)}")
    if ping.rid:
        parts.append(f"run {ping.rid}")
    if ping.sender:
        parts.append(f"from {ping.sender}")
    return ", ".join(parts)
