"""Watches how old a secret is: by its file, a marker beside it, its certificate, or since it last changed."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from checks.base import Asks, Check, Errored, Failed, Measurement, Reason, Recommended, Run
from checks.parts.certificate_file import Unusable, read_file
from checks.parts.paths import AbsolutePath
from checks.parts.pool import in_pool
from checks.parts.secret_state import Seen, State, read_secret
from checks.units import Duration, show_duration

KEPT = "secret"


class SecretAge(Check):
    """Watches how old a secret is, so that it is changed in time. The secret itself is never kept or shown."""

    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("age_seconds", "seconds", "Age of the secret; the least it can be where it is told by a change."),
        Measurement("max_age_seconds", "seconds", "The age at which it has to be changed."),
        Measurement("age_ratio", "ratio", "age_seconds / max_age_seconds."),
        Measurement("changed_timestamp", "timestamp", "When it was made or changed."),
        Measurement("expires_in_seconds", "seconds", "Of a certificate: time until it expires."),
        Measurement("definitions", "count", "How often the file sets the variable; the last one counts."),
        Measurement("world_readable", "bool", "Whether everybody on the machine may read the file."),
        Measurement("world_writable", "bool", "Whether everybody on the machine may write to it."),
        Measurement("group_readable", "bool", "Whether the file's group may read it."),
    )
    recommended: ClassVar[tuple[Recommended, ...]] = (
        Recommended("SecretSoonTooOld", "age_ratio > 90%", "low", "There is still time to change it by day."),
        Recommended("SecretExposed", "world_readable or world_writable", "high", "Whoever is on the machine has it."),
        Recommended("SecretSetTwice", "definitions > 1", "low", "The old value still stands in the file."),
    )

    path: AbsolutePath = Field(description="The file: the secret itself, one with NAME=value lines, or a certificate.")
    variable: str = Field(
        default="",
        pattern=r"^([A-Za-z_][A-Za-z0-9_.]*)?$",
        description="The NAME, where the file has such lines.",
    )
    since: Literal["change", "modified", "marker", "certificate"] = Field(
        default="change",
        description="change: since the value last differed; modified: since the file did; marker: the date in a "
        "comment such as `# rotated: 2026-08-01` beside NAME=; certificate: since it is valid.",
    )
    max_age: Duration = Field(default=7776000.0, gt=0, description="When it has to be changed; 90d without this.")

    @model_validator(mode="after")
    def _consistent(self) -> SecretAge:
        if self.since == "marker" and not self.variable:
            raise ValueError("since: marker wants variable: the NAME beside which the date stands")
        if self.since == "certificate" and self.variable:
            raise ValueError("since: certificate wants a file that holds the certificate, no variable")
        return self

    @property
    def target(self) -> str:
        """The file, and the variable in it."""
        return f"{self.path}:{self.variable}" if self.variable else self.path

    def asks(self) -> tuple[Asks, ...]:
        """Nobody: it reads a file."""
        return ()

    async def probe(self, run: Run) -> None:
        """Read the file, record, judge."""
        known = run.memory.get(KEPT)
        seen = await in_pool(run, read_secret, self.path, self.variable, self._state(run), known, self.since, run.at)
        run.memory[KEPT] = seen
        _record_mode(run, seen)
        if self.variable:
            run.record("definitions", seen.definitions)
        if self.since == "certificate":
            made = await self._certificate(run)
        else:
            made = seen.made
            if seen.state is not None:
                run.kept[KEPT] = seen.state.model_dump()
        age = max(0.0, run.at - made)
        run.record("changed_timestamp", made)
        run.record("age_seconds", age)
        run.record("max_age_seconds", self.max_age)
        run.record("age_ratio", age / self.max_age)
        if age > self.max_age:
            said = (
                f"{self.target} is {show_duration(age)} old, it has to be changed every {show_duration(self.max_age)}"
            )
            raise Failed(Reason.ASSERTION, said)

    def _state(self, run: Run) -> State | None:
        return State.read(run.kept.get(KEPT))

    async def _certificate(self, run: Run) -> float:
        try:
            chain, _ = await in_pool(run, read_file, self.path, "")
        except Unusable as why:
            if why.ours:
                raise Errored(Reason.AUTH, str(why)) from None
            raise Failed(Reason.PROTOCOL, str(why)) from None
        run.record("expires_in_seconds", chain[0].not_after - run.at)
        run.evidence("Certificate", str(chain[0]))
        if chain[0].not_after <= run.at:
            raise Failed(Reason.TLS_EXPIRED, f"the certificate in {self.path} has expired: {chain[0]}")
        return chain[0].not_before


def _record_mode(run: Run, seen: Seen) -> None:
    run.record("world_readable", float(bool(seen.mode & 0o004)))
    run.record("world_writable", float(bool(seen.mode & 0o002)))
    run.record("group_readable", float(bool(seen.mode & 0o040)))
