"""A container's output as a log: Docker's, Podman's or another engine's that speaks the Docker Engine API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from urllib.parse import quote

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from checks.base import Errored, Failed, Reason, Run, Url
from checks.parts import network as _network
from checks.parts.api import Answer, Api, refused
from checks.parts.engine_logs import Line, log_lines
from checks.parts.http.expect import brief
from checks.parts.logfile.files import Budget
from checks.parts.logfile.patterns import Tally
from checks.parts.logfile.records import BLOCK, Read, joined
from checks.parts.pool import in_pool
from checks.units import show_size

NANO = 10**9
MILLI = 10**6
TAIL = 400
"""Lines, of 16 KiB at most, of which the last are counted where reading begins at the end."""


def _engine(url: Url) -> Url:
    if url.parts.scheme not in ("unix", "tcp", "http", "https"):
        raise ValueError("an address such as unix:///var/run/docker.sock or https://host:2376 is wanted")
    return url


class Container(BaseModel):
    """A container whose output to follow."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: str = Field(min_length=1, description="Its name or id. A container made anew under its name is followed on.")
    engine: Annotated[Url, AfterValidator(_engine)] = Field(
        default=Url("unix:///var/run/docker.sock"), description="The engine: unix://PATH, tcp://HOST:PORT, https://…"
    )
    tls: _network.TlsSettings = Field(default=_network.TlsSettings(), description="Settings of the encryption.")
    streams: tuple[Annotated[str, Field(pattern="^(stdout|stderr)$")], ...] = Field(
        default=("stdout", "stderr"), min_length=1, description="Which of its outputs."
    )

    def __str__(self) -> str:
        return f"container {self.name}"

    def api(self, seconds: float) -> Api:
        """Its engine, for one probe."""
        name = f"the container engine at {self.engine}"
        if self.engine.parts.scheme == "unix":
            return Api(name, "http://engine", seconds, socket=self.engine.parts.path)
        base = self.engine.reveal()
        base = f"http{base[3:]}" if self.engine.parts.scheme == "tcp" else base
        return Api(name, base, seconds, tls=self.tls)


async def read_container(
    settings: Container, run: Run, cursor: str | None, from_end: bool, budget: Budget, tally: Tally, seconds: float
) -> Read:
    """Read on from the cursor into the tally. Raises Failed and Errored as Api does."""
    path = f"/containers/{quote(settings.name, safe='')}"
    enough = budget.bytes
    query = {"timestamps": "1", **dict.fromkeys(settings.streams, "1")}
    async with settings.api(seconds) as api:
        known = (await _ask(api, settings, f"{path}/json")).json()
        config = known.get("Config") if isinstance(known, dict) else None
        if not isinstance(config, dict):
            raise Failed(Reason.BODY, f"{api.name} does not describe {settings}: {brief(known)}")
        after = _position(cursor, made := str(known.get("Id", ""))[:64])
        if after is None and from_end:
            # Not one: podman's times are whole seconds, and how many lines of the last were there has to be known.
            query["tail"] = str(TAIL)
        elif after is not None:
            # Some engines read this as a float, which holds no nanoseconds.
            query["since"] = f"{after[0] // NANO}.{after[0] % NANO // MILLI:03}"
        answer = await _ask(api, settings, f"{path}/logs", query, enough)
    terminal = config.get("Tty") is True
    counted = None if after is None and from_end else tally
    try:
        position, new = await in_pool(run, _count, answer.body, terminal, after or (0, 0), counted)
    except ValueError as why:
        raise Failed(Reason.BODY, f"cannot read the log of {settings}: {why}") from None
    behind = counted is not None and len(answer.body) >= enough
    if behind and not new:
        raise Failed(Reason.BODY, f"cannot read the log of {settings}: a record is longer than {show_size(enough)}")
    return Read(f"{position[0]} {position[1]} {made}", behind)


def _position(cursor: str | None, made: str) -> tuple[int, int] | None:
    """Up to which nanosecond the log was read, and how many lines of it; of another container none was."""
    at, _, rest = (cursor or "").partition(" ")
    count, _, of = rest.partition(" ")
    if not all(part.isdecimal() and len(part) < 21 for part in (at, count)):
        return None
    return int(at), int(count) if of == made else 0


def _count(body: bytes, terminal: bool, after: tuple[int, int], tally: Tally | None) -> tuple[tuple[int, int], int]:
    """Count the lines after the position; the new one, and how many lines were new."""
    at, of_it = after
    passed, fresh = 0, list[tuple[Line, float]]()
    for line in log_lines(body, terminal):
        when = line.nanoseconds
        if when == after[0]:
            passed += 1
        if when < after[0] or (when == after[0] and passed <= after[1]):
            continue
        of_it = of_it + 1 if when == at else 1
        # Two streams may be a little out of order.
        at, of_it = (when, of_it) if when >= at else (at, of_it)
        fresh.append((line, when / NANO))
    if tally is not None:
        _add(tally, fresh)
    return (at, of_it), len(fresh)


def _add(tally: Tally, fresh: Sequence[tuple[Line, float]]) -> None:
    piece, size = list[tuple[Line, float]](), 0
    for one in fresh:
        piece.append(one)
        size += len(one[0].text)
        if size >= BLOCK:
            tally.add(joined("", [line.text for line, _ in piece], [when for _, when in piece]))
            piece, size = [], 0
    if piece:
        tally.add(joined("", [line.text for line, _ in piece], [when for _, when in piece]))


async def _ask(
    api: Api, settings: Container, path: str, query: dict[str, str] | None = None, enough: int = 0
) -> Answer:
    answer = await api.ask("GET", path, query, accept=(), enough=enough)
    if answer.status == 200:
        return answer
    said = brief(answer.text(300), 300)
    if answer.status == 404:
        raise Failed(Reason.STATUS, f"cannot read the log of {settings}: {api.name} has no such container")
    if "does not support reading" in answer.text():
        raise Errored(
            Reason.INTERNAL, f"cannot read the log of {settings}: its logging driver lets nobody read it: {said}"
        )
    raise refused(answer)
