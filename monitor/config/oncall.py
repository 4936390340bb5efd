"""What a configuration says of the people on call: storms, buttons, drills, how long a silent receiver is trusted."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator, model_validator

from alerts.nearest import meant
from alerts.vocabulary import Severity
from checks.units import Duration
from monitor.config.notes import Notes, Spot


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StormEntry(_Part):
    """The storm brake: past this rate one receiver gets a digest instead of single pages."""

    pages: int = Field(default=20, ge=1, description="First pages to one receiver that are not yet a storm.")
    within: Duration = Field(default=60.0, gt=0, description="The time in which they are counted.")
    update: Duration = Field(default=60.0, gt=0, description="Time between two updates of a digest.")


class SlackHook(_Part):
    """Slack's buttons: by requests to /hooks/slack, or through Socket Mode where nothing can reach us."""

    signing_secret: SecretStr | None = Field(
        default=None, min_length=16, description="Of the Slack app: what its requests are signed with."
    )
    app_token: SecretStr | None = Field(
        default=None, min_length=1, description="An app-level token (xapp-…): Socket Mode."
    )
    api_url: str = Field(default="https://slack.com/api", description="Slack's API, for Socket Mode.")

    @model_validator(mode="after")
    def _one_way(self) -> SlackHook:
        if self.signing_secret is None and self.app_token is None:
            raise ValueError("needs signing_secret (requests to /hooks/slack) or app_token (Socket Mode)")
        return self


class PagerDutyHook(_Part):
    """PagerDuty's v3 webhook: who acknowledges there has acknowledged here."""

    secrets: tuple[Annotated[SecretStr, Field(min_length=16)], ...] = Field(
        min_length=1, description="Of the webhook subscriptions."
    )


class Hooks(_Part):
    """Where acknowledgements come in from outside."""

    slack: SlackHook | None = None
    pagerduty: PagerDutyHook | None = None


class DrillEntry(_Part):
    """A marked alert through the real chain, by the calendar, so that a broken way to page is found by day."""

    cron: str = Field(description="When: minute hour day month weekday.")
    timezone: str = Field(default="UTC", description="The time zone of `cron`.")
    receivers: tuple[str, ...] = Field(default=(), description="Only these; every one that can be told without it.")
    severity: Severity = Field(default=Severity.LOW, description="critical, high, medium, low.")
    lasts: Duration = Field(default=60.0, ge=1, description="How long it fires.")

    @field_validator("cron")
    @classmethod
    def _schedule(cls, cron: str) -> str:
        from datetime import UTC, datetime

        try:
            CronSim(cron, datetime.now(UTC))
        except CronSimError as why:
            raise ValueError(f"{cron!r} is not a schedule: {why}; write 0 10 * * MON for Mondays at ten") from None
        return cron

    @field_validator("timezone")
    @classmethod
    def _zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"there is no time zone {name!r}; write one such as Europe/Berlin") from None
        return name


def _off(value: object) -> object:
    return "off" if value is False else value


class OnCall(_Part):
    """How the people on call are treated."""

    storm: Annotated[Literal["off"] | StormEntry, BeforeValidator(_off)] = Field(
        default=StormEntry(), description="`off`, or when single pages become one digest."
    )
    hooks: Hooks = Hooks()
    drill: DrillEntry | None = None
    prove_within: Duration | None = Field(
        default=None, gt=0, description="A receiver that accepted nothing for so long is reported."
    )
    business_hours: str = Field(
        default="",
        description="The time interval that `silence add --until business-hours` goes by; Mon-Fri from 9 without.",
    )


def check_names(
    notes: Notes, said: tuple[Spot, Any] | None, made: OnCall, receivers: Collection[str], intervals: Collection[str]
) -> None:
    """Note every name that is no receiver's and no time interval's: else nobody would hear of it before the drill."""
    if said is None:
        return
    spot = said[0]
    for index, name in enumerate(made.drill.receivers if made.drill is not None else ()):
        if name not in receivers:
            where = spot.at("drill", "receivers", index)
            notes.wrong(where, f"there is no receiver {name!r}{meant(name, receivers)}")
    if made.business_hours and made.business_hours not in intervals:
        what = f"there is no time interval {made.business_hours!r}{meant(made.business_hours, intervals)}"
        notes.wrong(spot.at("business_hours"), what)
