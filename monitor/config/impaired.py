"""The section `impaired`: how the daemon finds out that the trouble is its own, and whom it tells then."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from alerts.nearest import meant
from checks.base import Url
from checks.units import Duration, Size
from checks.wire.resolve import numeric
from monitor.config.notes import Notes, Spot


def _with_scheme(value: Any) -> Any:
    return f"tcp://{value}" if isinstance(value, str) and "://" not in value else value


def _by_address(url: Url) -> Url:
    if url.parts.scheme != "tcp" or not url.parts.port or url.parts.path:
        raise ValueError("an anchor is written tcp://192.0.2.1:443")
    if numeric(url.parts.hostname or "", url.parts.port) is None:
        raise ValueError(f"{url.parts.hostname} is a name; an anchor is an address, so that it answers without DNS")
    return url


def _named(name: str) -> str:
    try:
        plain = name.rstrip(".").encode("idna").decode("ascii")
    except UnicodeError:
        plain = ""
    if not plain or len(plain) > 253 or any(not (letter.isalnum() or letter in "-_.") for letter in plain):
        raise ValueError(f"{name!r} is no host name")
    if numeric(plain, 0) is not None:
        raise ValueError(f"{name} is an address; a name is wanted, so that the resolver has something to do")
    return plain


class Impaired(BaseModel):
    """How the daemon notices its own trouble. Without anchors and names, network and resolver are not watched."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    anchors: tuple[Annotated[Url, BeforeValidator(_with_scheme), AfterValidator(_by_address)], ...] = Field(
        default=(), max_length=16, description="Independent addresses outside, such as tcp://192.0.2.1:443."
    )
    names: tuple[Annotated[str, AfterValidator(_named)], ...] = Field(
        default=(), max_length=16, description="Names that our own resolver must know."
    )
    interval: Duration = Field(default=10.0, ge=1, description="Time between two looks when nothing seems wrong.")
    timeout: Duration = Field(default=1.0, ge=0.1, le=5, description="How long anchors and names may take to answer.")
    min_free: Size = Field(default=200_000_000, ge=0, description="Room that the store's disk should have.")
    receiver: str = Field(default="", description="Who is told of this, in place of whom the routes name.")


def read(notes: Notes, said: tuple[Spot, Any] | None, receivers: Collection[str]) -> Impaired:
    """The section as it stands, if it does; what is wrong with it goes into the notes."""
    if said is None:
        return Impaired()
    spot, value = said
    section = notes.section(spot, value)
    made = notes.model(Impaired, spot, section) if section is not None else None
    if made is None:
        return Impaired()
    if made.receiver and made.receiver not in receivers:
        notes.wrong(spot.at("receiver"), f"there is no receiver {made.receiver!r}{meant(made.receiver, receivers)}")
    if len(made.anchors) == 1:
        notes.warn(spot.at("anchors"), "one anchor alone: when it is down, nothing is judged; name two or more")
    return made
