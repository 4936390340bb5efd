"""Goes a way of several HTTP requests as a customer would: logs in, orders, uploads, cleans up."""

from __future__ import annotations

import asyncio
import secrets
from difflib import get_close_matches
from functools import cached_property
from typing import Annotated, ClassVar
from urllib.parse import unquote

from pydantic import AfterValidator, Field, SecretStr, model_validator

from checks.base import Asks, Check, Errored, Failed, Measurement, Recommended, Run, Url
from checks.parts import network as _network
from checks.parts.http.request import BasicAuth, Hop, Sender, basic, is_sensitive, web_address
from checks.parts.journey.placeholders import is_one
from checks.parts.journey.requests import address
from checks.parts.journey.run import Course
from checks.parts.journey.steps import Step
from checks.units import Duration, Size, show_duration

SHARE = 0.97
"""Of the time that the way may take altogether, so that the step's own sentence comes before the nameless deadline."""
FOR_CLEANING = 0.25
"""Of that time, kept for the steps that are done always."""


class Journey(Check):
    """A way of several HTTP requests with captured values and cookies, each on a connection of its own.

    It is asked by the wire engine, as `http` is: so a step's time is the target's, by the kernel's clock.
    """

    measurements: ClassVar[tuple[Measurement, ...]] = (
        Measurement("duration_seconds", "seconds", "How long the target took for all steps together."),
        Measurement(
            "step_seconds",
            "seconds",
            "How long it took for each step that was answered, redirects included.",
            labels=("step",),
        ),
        Measurement("step_status_code", "number", "Status of each step's last answer.", labels=("step",)),
        Measurement("step_ok", "bool", "Whether each step that was done is as expected.", labels=("step",)),
        Measurement("steps_passed", "count", "Steps that are as expected."),
    )
    recommended: ClassVar[tuple[Recommended, ...]] = (
        Recommended(
            "JourneySlow", "duration_seconds > 3 * baseline(duration_seconds) and duration_seconds > 1s", "medium",
            "Customers leave before they complain.", hold=900.0,
        ),
    )  # fmt: skip

    url: Annotated[Url, AfterValidator(web_address)] = Field(
        description="The address that the steps' are relative to, maybe with credentials."
    )
    steps: tuple[Step, ...] = Field(min_length=1, max_length=50, description="The requests, one after the other.")
    headers: dict[str, SecretStr] = Field(
        default={}, description="Headers of every step; those that carry secrets only to the url's own host."
    )
    basic_auth: BasicAuth | None = Field(default=None, description="Name and password, for the url's own host.")
    bearer_token: SecretStr | None = Field(default=None, description="Token to send, to the url's own host.")
    tls: _network.TlsSettings = Field(default=_network.TlsSettings(), description="Settings of the encryption.")
    ip_family: _network.IpFamily = Field(default="any", description="any, 4 or 6.")
    max_body: Size = Field(default=2**20, ge=0, le=16 * 2**20, description="Bytes of each body to read at most.")
    interval: Duration = Field(default=300.0, gt=0, description="Time from one probe's start to the next.")
    timeout: Duration = Field(default=30.0, gt=0, description="What all steps may take; see `always`.")
    retries: int = Field(
        default=0, ge=0, le=10,
        description="Times a failure is asked again; 0, whatever is set, where a step changes something.",
    )  # fmt: skip
    repeatable: bool = Field(default=False, description="Whether steps that change something may be asked again.")

    @model_validator(mode="after")
    def _consistent(self) -> Journey:
        ways = (self.basic_auth, self.bearer_token, self.url.parts.username)
        if sum(way is not None for way in ways) > 1:
            raise ValueError("only one of basic_auth, bearer_token and credentials in the url can be given")
        names = [step.name for step in self.steps]
        if twice := next((name for name in names if names.count(name) > 1), ""):
            raise ValueError(f"two steps are called {twice!r}")
        known = ["unique"]
        for step in self.steps:
            if missing := next((name for name in step.wants() if name not in known), ""):
                near = get_close_matches(missing, known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"
                raise ValueError(
                    f"the step {step.name!r} wants {{{{{missing}}}}}, which no step before it captures{hint}"
                )
            known += step.capture
            if not is_one(step.url):
                address(step, self.url, dict.fromkeys(step.wants(), "x"))
        # Settings such as defaults would let a run that created an order create another one.
        if not self.repeatable and any(step.changes for step in self.steps):
            self.__dict__["retries"] = 0
        assert Hop(self._sender, self.url, "GET", b"")
        return self

    @cached_property
    def _sender(self) -> Sender:
        headers = tuple((name, value.get_secret_value()) for name, value in self.headers.items())
        return Sender(headers, self._authorization(), "", self.tls.trust(), self.tls.server_name)

    def _authorization(self) -> str:
        parts = self.url.parts
        if self.bearer_token is not None:
            return f"Bearer {self.bearer_token.get_secret_value()}"
        if self.basic_auth is not None:
            return basic(self.basic_auth.username, self.basic_auth.password.get_secret_value())
        return basic(unquote(parts.username), unquote(parts.password or "")) if parts.username is not None else ""

    def secrets(self) -> tuple[str, ...]:
        """Credentials in the forms in which they travel, and what steps send under names that secrets have."""
        found = [*self.url.secrets(), unquote(self.url.parts.password or "")]
        found += [self._sender.authorization.partition(" ")[2]]
        if self.basic_auth is not None:
            found.append(self.basic_auth.password.get_secret_value())
        found += [value for name, value in self._sender.headers if is_sensitive(name)]
        found += [secret for step in self.steps for secret in step.secrets()]
        return tuple(dict.fromkeys(secret for secret in found if secret))

    def asks(self) -> tuple[Asks, ...]:
        """One request for each step, captured values in its address as they are written."""
        return tuple(Asks(str(self._at(step)), method=step.asks_with) for step in self.steps)

    def _at(self, step: Step) -> Url:
        """Where a step asks; what is captured before it stands there as `{{name}}`."""
        if is_one(step.url):
            return Url(step.url)
        return Url(unquote(str(address(step, self.url, {name: f"{{{{{name}}}}}" for name in step.wants()}))))

    async def probe(self, run: Run) -> None:
        """Go the way; after a failure only the steps that are done always."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self.timeout * SHARE
        kept = self.timeout * FOR_CLEANING if any(step.always for step in self.steps) else 0.0
        course = Course(self.url, self._sender, self.ip_family, self.max_body, secrets.token_hex(8))
        trips: list[_network.Trip] = []
        lines: list[str] = []
        fault: Failed | Errored | None = None
        for number, step in enumerate(self.steps, 1):
            start = f"{number}. {step.name}: {step.asks_with} {step.url or '/'}"
            missing = [name for name in step.wants() if name not in course.values]
            if fault is not None and (missing or not step.always):
                why_not = f"nothing was captured as {missing[0]}" if missing and step.always else "not reached"
                lines.append(f"{start}: {why_not}")
                continue
            trips.append(_network.Trip())
            left = end - loop.time() - (0.0 if step.always else kept)
            began = loop.time()
            why = await self._do(course, step, min(step.timeout or left, left), trips[-1], run)
            lines.append(f"{start}: {_told(course, trips[-1], loop.time() - began, why)}")
            if why is not None and fault is None:
                fault = type(why)(why.reason, f"step {number} of {len(self.steps)}, '{step.name}': {why.sentence}")
                if course.answer is not None:
                    run.evidence("Answer", course.excerpt())
        run.evidence("Steps", course.hide("\n".join(lines)))
        run.record("steps_passed", sum(value for name, value, _ in run.measurements if name == "step_ok"))
        if fault is not None:
            raise type(fault)(fault.reason, course.hide(fault.sentence))
        run.timed(sum(trip.total() for trip in trips), "kernel" if all(trip.kernel for trip in trips) else "loop")

    async def _do(
        self, course: Course, step: Step, seconds: float, trip: _network.Trip, run: Run
    ) -> Failed | Errored | None:
        """Do one step and record how it went; what went wrong, if anything."""
        why: Failed | Errored | None = None
        try:
            await course.do(step, seconds, trip, run)
        except (Failed, Errored) as fault:
            why = fault
        if course.answer is not None:
            run.record("step_seconds", trip.total(), step=step.name)
            run.record("step_status_code", course.answer.status, step=step.name)
        if not isinstance(why, Errored):
            run.record("step_ok", 0.0 if why else 1.0, step=step.name)
        return why


def _told(course: Course, trip: _network.Trip, elapsed: float, why: Failed | Errored | None) -> str:
    if course.answer is None:
        return f"given up after {show_duration(elapsed)} ({trip}): {why.sentence if why else ''}"
    return f"{course.answer.status} in {show_duration(trip.total())} ({trip})" + (f": {why.sentence}" if why else "")
