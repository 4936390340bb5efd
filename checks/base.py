"""What every kind of check shares: its configuration, its probe, and what one probe yields."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from checks._asks import Asks as Asks
from checks._secrets import Url as Url
from checks._secrets import find_secrets as find_secrets
from checks._secrets import revealed as revealed
from checks.units import Duration

Labels = tuple[tuple[str, str], ...]
"""Label pairs sorted by name; `()` for none."""


class Outcome(StrEnum):
    """Whose fault it is: nobody's, the target's, or ours."""

    OK = "ok"
    FAILED = "failed"
    ERROR = "error"


class Reason(StrEnum):
    """Why a probe was not ok; a closed list, so that it can be a label."""

    DNS = "dns"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS_HANDSHAKE = "tls_handshake"
    TLS_EXPIRED = "tls_expired"
    TLS_NAME = "tls_name"
    READ_TIMEOUT = "read_timeout"
    STATUS = "status"
    BODY = "body"
    ASSERTION = "assertion"
    AUTH = "auth"
    RATE_LIMITED = "rate_limited"
    PROTOCOL = "protocol"
    INTERNAL = "internal"


class Failed(Exception):
    """The target is at fault. `sentence` is for the person on call: "cannot X: why"."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence


class Errored(Exception):
    """We are at fault (our role's rights, our configuration, our network): the target's state is unknown."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence


def printable(text: str) -> str:
    """The text without what could hide in a message or break it: control characters, direction marks, surrogates."""
    if text.isprintable():
        return text
    return "".join(char if char in "\n\t" or char.isprintable() else "\ufffd" for char in text)


UNITS = frozenset(
    {"seconds", "bytes", "ratio", "count", "timestamp", "bool", "per_second", "bytes_per_second", "number"}
)


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number that a kind can record: declared once, for configuration, documentation and metrics.

    `unit` is one of UNITS: base units only, `timestamp` in Unix seconds, `number` where nothing is known.
    `also` is the family under which existing exporters show the same number (DESIGN 7), if there is one.
    """

    name: str
    unit: str
    help: str
    labels: tuple[str, ...] = ()
    counter: bool = False
    also: str = ""

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"{self.name}: {self.unit!r} is not one of {', '.join(sorted(UNITS))}")


DIAGNOSIS = 5.0
"""Seconds that a diagnosis may take."""


@dataclass(frozen=True, slots=True)
class Recommended:
    """A threshold worth having for checks of a kind: shown by `runwatch kinds`, taken over by `alerts: recommended`.

    `when` is in the language of thresholds, `severity` one of critical, high, medium, low; `hold` in seconds.
    """

    alert: str
    when: str
    severity: str
    why: str
    hold: float = 0.0


DURATION = Measurement("duration_seconds", "seconds", "How long the probe took, from asking to the whole answer.")


KEPT = "kept"
KEPT_MOST = 256 * 1024
SERIES_BEFORE_SWEEP = 100
FORGOTTEN_AFTER = 86_400.0


class Run:
    """One probe's sink: what it reads goes here. `at` is when it started, in steady Unix seconds; `wall` is the same
    moment by the wall clock, which calendars go by.

    `memory` is what the check remembers between its probes: anything, for as long as the process lasts. `cut_off` says
    that since the last probe nothing could reach us, for a check that its target feeds.
    """

    __slots__ = ("at", "clock", "cut_off", "evidences", "measurements", "memory", "started", "took", "wall")

    def __init__(self, memory: dict[Any, Any] | None = None, at: float | None = None) -> None:
        self.measurements: list[tuple[str, float, Labels]] = []
        self.evidences: list[tuple[str, str]] = []
        self.memory: dict[Any, Any] = {} if memory is None else memory
        self.started = time.monotonic()
        self.at = self.wall = time.time() if at is None else at
        self.took: float | None = None
        self.clock = "loop"
        self.cut_off = False

    @property
    def kept(self) -> dict[str, Any]:
        """The part of the memory that survives a restart of runwatch: plain JSON under text keys, KEPT_MOST bytes."""
        kept: dict[str, Any] = self.memory.setdefault(KEPT, {})
        return kept

    def record(self, name: str, value: float, /, **labels: str) -> None:
        """Record a declared measurement in its base unit."""
        clean = tuple(sorted((label, printable(text)) for label, text in labels.items())) if labels else ()
        self.measurements.append((name, value, clean))

    def rate(self, name: str, counter: float, /, **labels: str) -> None:
        """Record how fast `counter` grew per second since the last probe; nothing the first time or after a reset."""
        before = self._before("rate", name, [counter, self.at], labels)
        if before is not None and counter >= before[0] and self.at > before[1]:
            self.record(name, (counter - before[0]) / (self.at - before[1]), **labels)

    def growth(self, name: str, counter: float, /, **labels: str) -> float | None:
        """How much `counter` grew since the last probe; None the first time or after a reset."""
        before = self._before("growth", name, counter, labels)
        return counter - before if before is not None and counter >= before else None

    def share(self, name: str, part: float, rest: float, minimum: float, /, **labels: str) -> None:
        """Record which share `part` has of what two counters grew by since it was last recorded.

        Nothing the first time, after a reset, or until they grew by `minimum` together: a ratio of few is noise.
        """
        before = self._before("share", name, [part, rest], labels)
        if before is not None and part >= before[0] and rest >= before[1]:
            grown = part - before[0] + rest - before[1]
            if grown < max(minimum, 1):
                self._before("share", name, before, labels)
                return
            self.record(name, (part - before[0]) / grown, **labels)

    def _before(self, use: str, name: str, now: Any, labels: dict[str, str]) -> Any:
        """What was kept for this series; `now` takes its place. A series that was not seen for a day is forgotten."""
        key = name if not labels else name + "".join(f"\n{label}={labels[label]}" for label in sorted(labels))
        kept = self.kept.setdefault(use, {})
        before = kept.get(key)
        kept[key] = [now, self.at]
        if before is None and len(kept) > SERIES_BEFORE_SWEEP:
            for old in [one for one, (_, at) in kept.items() if at < self.at - FORGOTTEN_AFTER]:
                del kept[old]
        return None if before is None else before[0]

    def timed(self, seconds: float, clock: str) -> None:
        """State how long the target took, where the kind knows better than the loop; clock is kernel or loop."""
        self.took = seconds
        self.clock = clock

    def evidence(self, title: str, text: str) -> None:
        """Keep what a person would look up next; shown with the alert."""
        self.evidences.append((title, text))


@dataclass(slots=True)
class Result:
    """All that one probe yielded. `at` is when it started (steady Unix seconds), `took` in seconds."""

    outcome: Outcome
    at: float
    took: float
    reason: Reason | None = None
    sentence: str = ""
    measurements: list[tuple[str, float, Labels]] = field(default_factory=list)
    evidence: list[tuple[str, str]] = field(default_factory=list)
    clock: str = "loop"
    attempts: int = 1
    excused: bool = False
    """The monitor itself was in trouble: an `error` that says nothing, not even to a condition that asks for errors."""


class Check(BaseModel):
    """One configured, named, scheduled question to a target. Its fields are the keys of the configuration.

    A kind is the one subclass in a file named as the kind. `probe` asks once: it records what it reads, raises
    Failed where the target is at fault and Errored where we are, may be cancelled at any await, and leaves no
    task, socket or child behind. Deadline, retries, timing, logging and metrics are the caller's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    kind: ClassVar[str] = ""
    measurements: ClassVar[tuple[Measurement, ...]] = ()
    recommended: ClassVar[tuple[Recommended, ...]] = ()
    """Thresholds worth having beside `failed`, which every check has."""
    fed: ClassVar[bool] = False
    """Whether it waits for its target to come to us: it is not judged while nothing can."""
    up: ClassVar[str] = ""
    """The family under which existing exporters say 1 for reached and 0 for not, such as probe_success."""

    name: str = Field(description="Unique within its system; the identity of the check.")
    system: str = Field(default="", description="The system it belongs to; `job` in the metrics.")
    interval: Duration = Field(default=30.0, gt=0, description="Time from one probe's start to the next.")
    timeout: Duration = Field(default=10.0, gt=0, description="When an unanswered probe counts as failed.")
    retries: int = Field(default=1, ge=0, le=10, description="Times a failure is asked again before it counts.")
    retry_interval: Duration = Field(default=1.0, ge=0, description="Time before a failure is asked again.")
    labels: dict[str, str] = Field(default={}, description="Put on every alert of this check.")
    depends_on: tuple[str, ...] = Field(
        default=(),
        description="Checks without which this one can't succeed: `name`, `system/name`, or a whole `system`.",
    )
    description: str = Field(default="", description="What it means to people when this fails; shown with its alerts.")

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        if "kind" not in vars(cls):  # nor may it be that of a class between, which is no kind
            cls.kind = cls.__module__.rpartition(".")[2]

    async def probe(self, run: Run) -> None:
        """Ask once; see the class."""
        raise NotImplementedError

    async def diagnose(self, run: Run) -> None:
        """Gather what a person would look at next, as evidence: once, when an alert of this check starts to fire.

        Reads only; ends within DIAGNOSIS seconds, or what it has found by then is shown. Raises as `probe` does where
        it can look no further. Its measurements are not kept.
        """

    def declared(self) -> tuple[Measurement, ...]:
        """Every measurement that this very check can record: those of its kind, and what its configuration adds."""
        return self.measurements

    def asks(self) -> tuple[Asks, ...]:
        """What one probe asks of whom; nothing where it reads files, or waits to be told."""
        return (Asks(self.target),)

    @property
    def target(self) -> str:
        """What is watched, without credentials: `instance` in the metrics."""
        return str(getattr(self, "url", "") or getattr(self, "dsn", ""))

    @property
    def key(self) -> str:
        """The identity: `system/name`."""
        return f"{self.system}/{self.name}" if self.system else self.name

    def secrets(self) -> tuple[str, ...]:
        """Every secret in the configuration of this check, so that sentences and evidence can be scrubbed of it."""
        return tuple(find_secrets(self.__dict__))
