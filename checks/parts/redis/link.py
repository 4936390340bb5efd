"""One connection to a Redis or Valkey server: where it is, who we are there, and what its refusals mean."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Annotated
from urllib.parse import unquote

from pydantic import AfterValidator, BeforeValidator

from checks.base import Errored, Failed, Reason, Run, Url
from checks.parts import network
from checks.parts.redis.answers import parse_info, progress
from checks.parts.redis.resp import Refused, Replies, Reply, commands
from checks.wire.certificates import visible
from checks.wire.connect import Line
from checks.wire.patience import Patience
from checks.wire.tls import Secure

PORT = 6379
FULL = "max number of clients"
LIMITS = "maxclients"


def _redis_url(url: Url) -> Url:
    if url.parts.scheme not in ("redis", "rediss"):
        raise ValueError("an address such as redis://:password@host:6379/0, or rediss:// for TLS, is wanted")
    network.endpoint(url, PORT)
    if "password=" in url.parts.query:
        raise ValueError("write the password before the host, user:password@host: there it is kept secret")
    database = url.parts.path.strip("/")
    if database and not (database.isdecimal() and len(database) < 6):
        raise ValueError(f"{database[:40]!r} is no number of a database, such as in redis://host:6379/0")
    return url


RedisUrl = Annotated[Url, AfterValidator(_redis_url)]
"""redis://user:password@host:port/database, or rediss:// for TLS."""


def _peer(url: Url) -> Url:
    if url.parts.scheme not in ("tcp", "redis", "rediss"):
        raise ValueError("an address such as host:port, or rediss://host:port for TLS, is wanted")
    if url.parts.username or url.parts.password:
        raise ValueError("no user and no password stand here")
    network.endpoint(url, PORT)
    return url


Peer = Annotated[Url, BeforeValidator(network.with_scheme), AfterValidator(_peer)]
"""host, host:port, or rediss://host:port for TLS: a server beside the one that `url` names."""


@dataclass(frozen=True, slots=True)
class Door:
    """A server and who we are there; `tls` is None for a plain connection, `rights` what our user needs there."""

    to: network.Endpoint
    user: str = ""
    password: str = ""
    database: int = 0
    tls: network.TlsSettings | None = None
    title: str = "Redis"
    rights: str = ""

    def __str__(self) -> str:
        return f"{self.title} at {self.to}"

    def at(self, host: str, port: int) -> Door:
        """The same at another address. Raises ValueError where that is none."""
        return replace(self, to=network.endpoint(Url(f"redis://{f'[{host}]' if ':' in host else host}:{port}"), PORT))

    def greeting(self) -> dict[str, tuple[str, ...]]:
        """The commands with which a conversation begins, by their names."""
        said: dict[str, tuple[str, ...]] = {}
        if self.password:
            # Servers before 6.0 know no users.
            said["AUTH"] = ("AUTH", self.user, self.password) if self.user else ("AUTH", self.password)
        if self.database:
            said["SELECT"] = ("SELECT", str(self.database))
        return said | {"PING": ("PING",)}


def door(url: Url, tls: network.TlsSettings, rights: str) -> Door:
    """What an address says."""
    parts = url.parts
    return Door(
        network.endpoint(url, PORT), unquote(parts.username or ""), unquote(parts.password or ""),
        int(parts.path.strip("/") or 0), tls if parts.scheme == "rediss" else None, rights=rights,
    )  # fmt: skip


def passwords(url: Url) -> tuple[str, ...]:
    """The password as the server knows it, without the address's escapes."""
    return tuple(map(unquote, url.secrets()))


class Link:
    """An open connection that was let in. `ping_seconds` is what PING took, by the kernel's clock where it can tell."""

    __slots__ = ("_line", "_replies", "_run", "_stream", "_trip", "door", "patience", "ping_seconds")

    def __init__(
        self, door: Door, line: Line, stream: Line | Secure, patience: Patience, trip: network.Trip, run: Run
    ) -> None:
        self.door = door
        self.patience = patience
        self.ping_seconds = 0.0
        self._line = line
        self._stream = stream
        self._replies = Replies(stream, str(door))
        self._trip = trip
        self._run = run

    async def ask(self, *asked: Sequence[str], timed: bool = True) -> list[Reply]:
        """The replies to these commands, which go out together; `timed` as a part of the probe. Raises WireError."""
        began = await self._send(asked)
        replies = [await self._replies.next() for _ in asked]
        if timed:
            self._timed(began)
        return replies

    async def greet(self) -> None:
        """Introduce ourselves; raises Failed or Errored where the server does not want us, or can't be used."""
        greeting = self.door.greeting()
        began = await self._send(tuple(greeting.values()))
        reply: Reply = None
        for name in greeting:
            reply = await self._replies.next()
            # Before its first word a full server hangs up, and after a refused AUTH all else is refused too.
            if isinstance(reply, Refused):
                if reply.code == "LOADING":
                    raise await self._loading()
                raise self.refusal(reply, name)
        if reply != "PONG":
            said = visible(reply, 60) if isinstance(reply, str) else type(reply).__name__
            raise Failed(Reason.PROTOCOL, f"cannot use {self.door}: it answers PING with: {said}")
        self.ping_seconds = self._timed(began)

    def refusal(self, reply: Refused, name: str) -> Failed | Errored:
        """What the server's own words to the command `name` mean."""
        said, where = visible(reply, 200), self.door
        if FULL in reply:
            limit = self._run.memory.get(LIMITS, {}).get(str(where.to), "")
            known = f" (maxclients is {limit})" if limit else ""
            return Failed(Reason.CONNECT_REFUSED, f"cannot connect to {where}: {FULL} reached{known}")
        match reply.code:
            case "NOAUTH":
                return Errored(Reason.AUTH, f"cannot ask {where}: it wants a password: {said}")
            case "NOPERM":
                return Errored(Reason.AUTH, f"cannot ask {where}: {said}; as its administrator run: {where.rights}")
            case "DENIED":
                return Errored(Reason.AUTH, f"cannot ask {where}: it does not let us in: {said}")
        if name == "AUTH":
            return Errored(Reason.AUTH, f"cannot ask {where}: it does not let us in: {said}")
        if name == "SELECT":
            return Errored(Reason.INTERNAL, f"cannot ask {where}: it has no such database: {said}")
        if "unknown command" in reply.lower():
            return Errored(Reason.PROTOCOL, f"cannot ask {where}: it knows no {name}, or hides it from us: {said}")
        return Failed(Reason.PROTOCOL, f"cannot use {where}: it answers {name} with: {said}")

    async def _loading(self) -> Failed:
        [info] = await self.ask(("INFO", "persistence"))
        return Failed(Reason.PROTOCOL, f"cannot use {self.door}: it is loading its data{progress(parse_info(info))}")

    async def _send(self, asked: Sequence[Sequence[str]]) -> float:
        waiting = f"cannot ask {self.door}: it is connected, but does not answer"
        self.patience.doing("read", "read_timeout", waiting)
        await self._stream.send(commands(*asked))
        return self._line.sent

    def _timed(self, began: float) -> float:
        took = max(0.0, self._line.arrived - began)
        self._trip.add("processing", took)
        self._trip.kernel = self._trip.kernel and self._line.kernel
        return took


@asynccontextmanager
async def linked(door: Door, patience: Patience, trip: network.Trip, run: Run) -> AsyncIterator[Link]:
    """A fresh connection that was let in, for as long as the block lasts. Raises WireError, Failed, Errored."""
    with await network.reach(door.to, "any", patience, trip) as line:
        stream: Line | Secure = line
        if door.tls is not None:
            name = network.sni(door.to, door.tls)
            stream = await network.encrypt(line, door.tls.trust(), name, patience, trip)
        link = Link(door, line, stream, patience, trip, run)
        await link.greet()
        yield link


def remember_limit(run: Run, door: Door, limit: str) -> None:
    """Keep how many clients a server takes, for the time when it takes no more."""
    run.memory.setdefault(LIMITS, {})[str(door.to)] = limit
