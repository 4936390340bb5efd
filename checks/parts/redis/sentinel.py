"""Asks Sentinels which server is the master, whether they agree about it, and whether they could replace it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from checks.base import Asks, Errored, Failed, Reason, Run, Url
from checks.parts import network
from checks.parts.redis.link import Door, Peer, linked
from checks.parts.redis.resp import Refused, Reply
from checks.wire.certificates import visible
from checks.wire.fault import WireError
from checks.wire.patience import Patience

PORT = 26379
SHARE = 0.4
"""Of the probe's time that the Sentinels may take together: the rest is for the master."""
SEEN = "master seen"
RIGHTS = "ACL SETUSER <our user> on >… +ping +sentinel|master +sentinel|ckquorum"


class Sentinel(BaseModel):
    """The Sentinels that know who the master is."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    addresses: tuple[Peer, ...] = Field(
        min_length=1, max_length=31, description="All Sentinels: `host`, `host:port`, or `rediss://host:port` for TLS."
    )
    user: str = Field(default="", description="Our user at the Sentinels, where they want one.")
    password: SecretStr = Field(default=SecretStr(""), description="Its password.")


@dataclass(frozen=True, slots=True)
class View:
    """What one Sentinel knows. `quorum_said` is why it could not replace the master; empty where it could."""

    sentinel: str
    host: str
    port: int
    epoch: int
    flags: str
    quorum: int
    sentinels: int
    replicas: int
    quorum_said: str

    def __str__(self) -> str:
        able = f"; {self.quorum_said}" if self.quorum_said else ""
        counted = f"{self.sentinels} sentinels, {self.replicas} replicas, quorum {self.quorum}"
        return f"{self.sentinel}: {self.host}:{self.port} is {self.flags}, {counted}{able}"


def asks_of(sentinel: Sentinel | None) -> tuple[Asks, ...]:
    """What one look asks each Sentinel."""
    if sentinel is None:
        return ()
    number = 3 + bool(sentinel.password.get_secret_value())
    return tuple(Asks(network.shown(url), number, number, "commands", diagnosis=number) for url in sentinel.addresses)


def master_name(url: Url) -> str:
    """The master's name, which stands in the place of the host, in its own letters."""
    return url.parts.netloc.rpartition("@")[2].partition(":")[0]


async def find_master(
    sentinel: Sentinel, name: str, master: Door, tls: network.TlsSettings, timeout: float, run: Run, record: bool = True
) -> Door:
    """The door of the server that the Sentinels call master. Raises Failed or Errored."""
    doors = [_door(url, sentinel, tls) for url in sentinel.addresses]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_view(door, name, timeout * SHARE, run)) for door in doors]
    answers = [task.result() for task in tasks]
    views = [answer for answer in answers if isinstance(answer, View)]
    if record:
        _record(run, answers, views)
    if not views:
        raise _nobody_knows(name, answers, run)
    run.kept[SEEN] = name
    best = elected(views)
    try:
        return master.at(best.host, best.port)
    except ValueError as why:
        raise Failed(Reason.PROTOCOL, f"cannot find the master {name!r}: {best.sentinel} says: {why}") from None


def elected(views: Sequence[View]) -> View:
    """The newest view (its epoch grows with every failover); among those as new, that of most Sentinels."""
    said = Counter((view.host, view.port) for view in views)
    return max(views, key=lambda view: (view.epoch, said[view.host, view.port]))


class _Unknown(Errored):
    """This Sentinel answers, and has never heard of the master."""


def _door(url: Url, sentinel: Sentinel, tls: network.TlsSettings) -> Door:
    secure = tls if url.parts.scheme == "rediss" else None
    password = sentinel.password.get_secret_value()
    return Door(network.endpoint(url, PORT), sentinel.user, password, 0, secure, "Sentinel", RIGHTS)


async def _view(door: Door, name: str, timeout: float, run: Run) -> View | Failed | Errored:
    try:
        with Patience(timeout) as patience:
            async with linked(door, patience, network.Trip(), run) as link:
                known, quorum = await link.ask(("SENTINEL", "MASTER", name), ("SENTINEL", "CKQUORUM", name))
        if isinstance(known, Refused):
            if "no such master" in known.lower():
                raise _Unknown(Reason.ASSERTION, f"{door} knows no master {name!r}")
            raise link.refusal(known, "SENTINEL")
        return read_view(door, known, quorum)
    except WireError as why:
        return network.translated(why)
    except (Failed, Errored) as why:
        return why


def read_view(door: Door, known: Reply, quorum: Reply) -> View:
    """What SENTINEL MASTER and SENTINEL CKQUORUM answered. Raises Failed where that makes no sense."""
    words = known if isinstance(known, list) else []
    texts = [word if isinstance(word, str) else "" for word in words]
    said: dict[str, Any] = dict(zip(texts[::2], texts[1::2], strict=False))
    try:
        numbers = [int(said[key]) for key in ("port", "config-epoch", "quorum", "num-other-sentinels", "num-slaves")]
    except (KeyError, ValueError):
        raise Failed(Reason.PROTOCOL, f"{door} describes the master in words that no Sentinel uses") from None
    port, epoch, needed, others, replicas = numbers
    able = visible(quorum, 120) if isinstance(quorum, Refused) else ""
    host, flags = visible(str(said.get("ip", ""))), visible(str(said.get("flags", "")), 60)
    return View(str(door.to), host, port, epoch, flags, needed, others + 1, replicas, able)


def _record(run: Run, answers: Sequence[View | Failed | Errored], views: Sequence[View]) -> None:
    unknown = [answer for answer in answers if isinstance(answer, _Unknown)]
    agree = len({(view.host, view.port) for view in views}) == 1 and not unknown
    if not agree or len(views) < len(answers) or any(view.quorum_said or view.flags != "master" for view in views):
        said = (each.sentence if isinstance(each, Failed | Errored) else str(each) for each in answers)
        run.evidence("Sentinels", "\n".join(said))
    run.record("sentinels_answering", len(views) + len(unknown))
    if not views:
        return
    run.record("sentinels_agree", float(agree))
    run.record("sentinels_known", min(view.sentinels for view in views))
    run.record("sentinel_replicas", min(view.replicas for view in views))
    run.record("sentinel_quorum", max(view.quorum for view in views))
    run.record("sentinel_quorum_ok", float(not any(view.quorum_said for view in views)))
    run.record("sentinels_see_master_down", sum("s_down" in view.flags.split(",") for view in views))
    run.record("sentinel_epoch", max(view.epoch for view in views))


def _nobody_knows(name: str, answers: Sequence[View | Failed | Errored], run: Run) -> Failed | Errored:
    faults = [answer for answer in answers if isinstance(answer, Failed | Errored)]
    start = f"cannot find the master {name!r}"
    if any(isinstance(fault, _Unknown) for fault in faults):
        if run.kept.get(SEEN) == name:
            return Failed(Reason.ASSERTION, f"{start}: the Sentinels knew it, and know it no more")
        return Errored(Reason.ASSERTION, f"{start}: no Sentinel knows it; is that its name?")
    theirs = [fault for fault in faults if isinstance(fault, Failed)]
    why = "; ".join(dict.fromkeys(fault.sentence for fault in faults))
    sentence = f"{start}: no Sentinel tells: {why}"
    return Failed(theirs[0].reason, sentence) if theirs else Errored(faults[0].reason, sentence)
