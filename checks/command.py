"""Runs a Nagios plugin, or any program that keeps to its contract, and takes its word."""

from __future__ import annotations

import shlex
from math import isfinite
from pathlib import Path
from signal import Signals
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from checks.base import Asks, Check, Errored, Failed, Measurement, Reason, Recommended, Run, printable
from checks.parts.nagios import STATES, Item, Range, Said, read
from checks.parts.program import Ended, run_program

PATH = (
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:"
    "/usr/lib/nagios/plugins:/usr/lib64/nagios/plugins:/usr/lib/monitoring-plugins"
)
OK, WARNING, CRITICAL, UNKNOWN = range(4)
SHOWN = 300
MASK = "***"


def _words(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    try:
        words = shlex.split(given)
    except ValueError as why:
        raise ValueError(f"a list of words is wanted, and this is no line of shell either: {why}") from None
    raise ValueError(f"no shell reads it, so write the words as a list: {words}")


def _program(argv: tuple[str, ...]) -> tuple[str, ...]:
    if not argv or not argv[0]:
        raise ValueError("a program is wanted, such as [check_http, -H, shop.example.com]")
    if "/" in argv[0] and not Path(argv[0]).is_absolute():
        raise ValueError(f"{argv[0]!r} depends on where runwatch runs: write the whole path, or the name alone")
    if any("\0" in word for word in argv):
        raise ValueError("a word can't hold the character NUL")
    return argv


def _variables(env: dict[str, SecretStr]) -> dict[str, SecretStr]:
    for name, value in env.items():
        if not name or "=" in name or "\0" in name + value.get_secret_value():
            raise ValueError(f"{name!r} is no variable's name, or its value holds the character NUL")
    return env


class Command(Check):
    """Runs a Nagios plugin: its exit code is the verdict, its performance data become measurements."""

    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("state", "number", "0 ok, 1 warning, 2 critical, 3 unknown: the exit code."),
        Measurement("cpu_seconds", "seconds", "CPU time that the program took."),
        Measurement("perfdata", "number", "Performance data, in base units.", labels=("label", "unit")),
        Measurement(
            "perfdata_state", "number", "What their own ranges say: 0 neither, 1 warning, 2 critical.",
            labels=("label", "unit"),
        ),
        Measurement(
            "perfdata_warn", "number", "Ends of the warning range, low and high.", labels=("label", "unit", "end")
        ),
        Measurement(
            "perfdata_crit", "number", "Ends of the critical range, low and high.", labels=("label", "unit", "end")
        ),
        Measurement("perfdata_min", "number", "The least that is possible.", labels=("label", "unit")),
        Measurement("perfdata_max", "number", "The most that is possible.", labels=("label", "unit")),
        Measurement("perfdata_unreadable", "count", "Pieces of performance data that are none."),
    )  # fmt: skip
    recommended: ClassVar[tuple[Recommended, ...]] = (
        Recommended("CommandWarns", "state == 1", "low", "The plugin says WARNING.", hold=300),
        Recommended(
            "CommandCannotTell", "error", "medium",
            "The plugin says UNKNOWN, does not end, or can't be run: nobody watches what it should watch.", hold=600,
        ),
    )  # fmt: skip

    argv: Annotated[tuple[str, ...], BeforeValidator(_words), AfterValidator(_program)] = Field(
        description="The program and its arguments, each a word of its own. Everybody on the machine can read them."
    )
    env: Annotated[dict[str, SecretStr], AfterValidator(_variables)] = Field(
        default={}, description="Variables of its environment, which is empty otherwise but for PATH and LC_ALL=C."
    )
    cwd: str = Field(default="/", pattern="^/", description="The folder that it runs in.")

    @property
    def target(self) -> str:
        """The program's name; its arguments may say more than everybody may know."""
        return Path(self.argv[0]).name

    def asks(self) -> tuple[Asks, ...]:
        """One run; what the program asks of whom is its own."""
        return (Asks(self.target, what="runs"),)

    async def probe(self, run: Run) -> None:
        """Run it, record, judge by its exit code alone."""
        env = {"PATH": PATH, "LC_ALL": "C"} | {name: value.get_secret_value() for name, value in self.env.items()}
        ended = await run_program(run, self.argv, env, self.cwd, self.timeout)
        run.record("cpu_seconds", ended.cpu_seconds)
        said = read(ended.output.decode("utf-8", "replace"))
        state = ended.code if ended.code in (OK, WARNING, CRITICAL) else UNKNOWN
        run.record("state", state)
        run.record("perfdata_unreadable", said.unreadable)
        # Two labels may look alike once secrets and control characters are gone; a series comes once.
        items: dict[str, Item] = {}
        for item in said.items:
            items.setdefault(printable(self._masked(item.label)), item)
        for label, item in items.items():
            _record(run, label, item)
        if state != OK:
            _show(run, said, ended)
            self._judge(state, said, ended)

    def _masked(self, label: str) -> str:
        # The prober masks sentences and evidence, but labels go into the metrics as they are.
        for secret in self.secrets():
            label = label.replace(secret, MASK)
        return label

    def _judge(self, state: int, said: Said, ended: Ended) -> None:
        text = said.text[:SHOWN] or f"{STATES[state]}, and nothing else"
        if state == CRITICAL:
            raise Failed(Reason.ASSERTION, f"{self.target} says: {text}")
        if ended.code == UNKNOWN:
            raise Errored(Reason.INTERNAL, f"{self.target} can't tell: {text}")
        if state == UNKNOWN:
            raise Errored(Reason.INTERNAL, f"{self.target} can't tell: {_end(ended)}: {_last_words(said, ended)}")


def _record(run: Run, label: str, item: Item) -> None:
    where = {"label": label, "unit": item.unit}
    run.record("perfdata", item.value, **where)
    run.record("perfdata_state", item.state, **where)
    _record_range(run, "perfdata_warn", item.warn, where)
    _record_range(run, "perfdata_crit", item.crit, where)
    if item.least is not None:
        run.record("perfdata_min", item.least, **where)
    if item.most is not None:
        run.record("perfdata_max", item.most, **where)


def _record_range(run: Run, name: str, limits: Range | None, where: dict[str, str]) -> None:
    for end, value in (("low", limits.low), ("high", limits.high)) if limits is not None else ():
        if isfinite(value):
            run.record(name, value, end=end, **where)


def _end(ended: Ended) -> str:
    """How it ended, where that is no plugin's answer."""
    if ended.code >= 0:
        return f"it ended with {ended.code}, which is no plugin's answer"
    try:
        return f"it was ended by {Signals(-ended.code).name}"
    except ValueError:
        return f"it was ended by signal {-ended.code}"


def _last_words(said: Said, ended: Ended) -> str:
    """The last line on its standard error, else its text."""
    errors = ended.errors.decode("utf-8", "replace").strip()
    return errors.rpartition("\n")[2][:SHOWN] or said.text[:SHOWN] or "it printed nothing"


def _show(run: Run, said: Said, ended: Ended) -> None:
    errors = ended.errors.decode("utf-8", "replace").strip()
    for title, text in (("output", said.text), ("details", said.details), ("standard error", errors)):
        if text:
            run.evidence(title, text)
