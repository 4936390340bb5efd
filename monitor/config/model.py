"""What a configuration comes to once it was read: plain frozen values for the daemon's parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from alerts.inhibition import InhibitRule
from alerts.intervals import TimeInterval
from alerts.maintenance import Maintenance
from alerts.routing import Receiver, Route
from alerts.vocabulary import Severity, Threshold
from checks.base import Check, Url
from checks.units import Duration
from monitor.asking import Limit
from monitor.config.impaired import Impaired
from monitor.config.oncall import OnCall
from monitor.config.problems import Problem

DEFAULT_LISTEN = "127.0.0.1:9876"

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "console", "json"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Auth(_Part):
    """Who may change something from elsewhere."""

    tokens: tuple[SecretStr, ...] = Field(min_length=1, description="Each a bearer token for `Authorization`.")

    @field_validator("tokens")
    @classmethod
    def _long_enough(cls, tokens: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(token.get_secret_value()) < 16 for token in tokens):
            raise ValueError("a token must have 16 characters or more")
        return tokens


class Server(_Part):
    """Where the daemon listens, and who may use it."""

    listen: str = Field(default=DEFAULT_LISTEN, description="Address and port, such as 127.0.0.1:9876 or [::1]:9876.")
    external_url: str = Field(default="", description="The address under which people reach the page; put in messages.")
    auth: Literal["none"] | Auth | None = Field(
        default=None, description="`none`, or tokens; without it the daemon listens on loopback only."
    )

    @field_validator("listen", mode="before")
    @classmethod
    def _address(cls, listen: object) -> object:
        if isinstance(listen, str):
            _host_and_port(listen)
        return listen

    @field_validator("external_url")
    @classmethod
    def _web(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("an address such as https://watch.example.com is wanted")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _guarded(self) -> Server:
        if self.auth is None and not self.is_loopback:
            raise ValueError(
                f"listen: {self.listen} can be reached from elsewhere, and nobody is asked who they are; "
                'add auth: {tokens: ["${RUNWATCH_TOKEN}"]}, or auth: none if something before it asks'
            )
        return self

    @property
    def host(self) -> str:
        """The address to bind; empty for every one."""
        return _host_and_port(self.listen)[0]

    @property
    def port(self) -> int:
        """The port to bind; 0 for any free one."""
        return _host_and_port(self.listen)[1]

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def _host_and_port(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not colon or not port.isascii() or not port.isdigit() or int(port[:6]) > 65535 or "/" in host or " " in host:
        raise ValueError(f"{listen!r} is not an address with a port; write 127.0.0.1:9876")
    return host, int(port)


class Watchdog(_Part):
    """The outside address that is told that we are alive: when it hears nothing it alarms on its own."""

    url: Url = Field(description="Asked with GET; the answer does not matter.")
    interval: Duration = Field(default=60.0, ge=1, description="Time between two signs of life.")


@dataclass(frozen=True, slots=True)
class System:
    """One system file: its words for severities, and how soon each wants an answer (in seconds)."""

    name: str
    severities: Mapping[str, Severity] = field(default_factory=dict)
    respond_within: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    runbook: Path | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration that was found good.

    Checks and everything about them are keyed by `Check.key`. `dependencies` and `dependents` are direct, `ancestors`
    are all that a check depends on, the nearest first. `files` are to be watched for changes, folders among them.
    `secrets` are for the log to redact. `digest` changes whenever anything of the configuration's content does.
    """

    server: Server
    store: str
    watchdog: Watchdog | None
    route: Route | None
    receivers: Mapping[str, Receiver]
    checks: Mapping[str, Check]
    thresholds: Mapping[str, tuple[Threshold, ...]]
    systems: Mapping[str, System]
    dependencies: Mapping[str, tuple[str, ...]]
    dependents: Mapping[str, tuple[str, ...]]
    ancestors: Mapping[str, tuple[str, ...]]
    plugins: tuple[Path, ...]
    files: tuple[Path, ...]
    secrets: frozenset[str]
    warnings: tuple[Problem, ...]
    digest: str
    log_level: LogLevel = "info"
    log_format: LogFormat = "auto"
    inhibit_rules: tuple[InhibitRule, ...] = ()
    time_intervals: Mapping[str, TimeInterval] = field(default_factory=dict)
    resolve_timeout: float = 300.0
    """Seconds."""
    on_call: OnCall = field(default_factory=OnCall)
    impaired: Impaired = field(default_factory=Impaired)
    maintenance: tuple[Maintenance, ...] = ()
    limits: tuple[Limit, ...] = ()
    """Of those who are asked; the checks keep to them."""


def default_store(environ: Mapping[str, str]) -> str:
    """Where the state is kept when nothing is said: under XDG_STATE_HOME, else ~/.local/state."""
    state = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME") or Path.home()) / ".local/state")
    return f"sqlite://{Path(state).absolute()}/runwatch/runwatch.db"


def checked_store(store: Any) -> str:
    """The store's address; ValueError with a sentence where there is no such store."""
    if isinstance(store, str) and store.startswith(("postgresql://", "postgres://")):
        raise ValueError("a store in PostgreSQL is not carried out yet; write sqlite:///var/lib/runwatch/runwatch.db")
    if not isinstance(store, str) or not store.startswith("sqlite:///") or store.endswith("/"):
        raise ValueError("a store is written sqlite:///var/lib/runwatch/runwatch.db, with an absolute path")
    return store
