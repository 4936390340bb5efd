"""Asks a Redis or Valkey server how it is; alone, behind Sentinels, or as a node of a cluster."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from math import ceil
from typing import ClassVar

from pydantic import Field, model_validator

from checks.base import DIAGNOSIS, Asks, Check, Errored, Failed, Measurement, Reason, Recommended, Run
from checks.parts import network
from checks.parts.redis import diagnosis, sample
from checks.parts.redis.answers import parse_info
from checks.parts.redis.cluster import Cluster, Node, down, read_nodes, record_cluster, worth_asking
from checks.parts.redis.link import PORT, Door, Link, RedisUrl, door, linked, passwords, remember_limit
from checks.parts.redis.measurements import MEASUREMENTS, RECOMMENDED, by_node
from checks.parts.redis.record import Recorder
from checks.parts.redis.resp import Refused, Reply
from checks.parts.redis.sample import Sample, sample_expiry
from checks.parts.redis.sentinel import Sentinel, asks_of, find_master, master_name
from checks.wire.certificates import visible
from checks.wire.fault import WireError
from checks.wire.patience import Patience

AT_ONCE = 8
"""Nodes that are asked at the same time."""
NODES = "nodes"
SEEDS = 3
"""Nodes that are remembered, to be asked of their cluster where those that are configured are silent."""
ONE_SEED, ONE_NODE, ALL_NODES = 0.5, 0.4, 0.9
"""Shares of the probe's time: for finding a node that tells, for one more node, until all have told."""


class Redis(Check):
    """A Redis or Valkey server, asked over a fresh connection, so that "max number of clients" is seen."""

    measurements: ClassVar[tuple[Measurement, ...]] = MEASUREMENTS
    recommended: ClassVar[tuple[Recommended, ...]] = RECOMMENDED
    up: ClassVar[str] = "redis_up"

    url: RedisUrl = Field(
        description="redis://user:password@host:port, or rediss:// for TLS; "
        "with `sentinel`, the master's name stands in the place of the host."
    )
    tls: network.TlsSettings = Field(default=network.TlsSettings(), description="Settings of the encryption.")
    sentinel: Sentinel | None = Field(default=None, description="The Sentinels that know who the master is.")
    cluster: Cluster | None = Field(
        default=None, description="That this is a Redis Cluster, every node of which is asked; `true` is enough."
    )
    slowlog_entries: int = Field(
        default=5, ge=0, le=128, description="Slow commands to show when there are new ones; 0 leaves the slow log."
    )
    hit_ratio_minimum_lookups: int = Field(
        default=100, ge=1, description="Lookups that hit_ratio is taken over at least; of fewer it is noise."
    )
    sample: Sample | None = Field(default=None, description="Keys to look at for their expiry in every probe.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Redis:
        if self.sentinel is not None and self.cluster is not None:
            raise ValueError("a cluster has no Sentinels: set one of `sentinel` and `cluster`")
        if self.cluster is not None and self.url.parts.path.strip("/0"):
            raise ValueError("a cluster has no databases but 0")
        return self

    def declared(self) -> tuple[Measurement, ...]:
        """In a cluster, most numbers are by node."""
        return MEASUREMENTS if self.cluster is None else tuple(map(by_node, MEASUREMENTS))

    def secrets(self) -> tuple[str, ...]:
        """Also the password as the server knows it, without the address's escapes."""
        return tuple(dict.fromkeys((*super().secrets(), *passwords(self.url))))

    @property
    def rights(self) -> str:
        """What an administrator must say for all that this check does."""
        asked = ["+ping", "+info"]
        asked += ["+slowlog|len", "+slowlog|get"] if self.slowlog_entries else []
        asked += ["+cluster|info", "+cluster|nodes"] if self.cluster is not None else []
        asked += ["+select"] if self.url.parts.path.strip("/0") else []
        asked += ["~*", "+scan", "+ttl"] if self.sample is not None else []
        return f"ACL SETUSER <our user> {' '.join(asked)}"

    def asks(self) -> tuple[Asks, ...]:
        """PING, INFO and the slow log, a sample's keys; of Sentinels and clusters so much for each server."""
        sampled = self.sample.size if self.sample is not None else 0
        each = len(door(self.url, self.tls, "").greeting()) + 1 + len(self._slowlog)
        usual, most = each + sampled / sample.AT_ONCE + sampled, each + sampled / sample.AT_ONCE + 3 * sampled
        if self.cluster is not None:
            usual *= 1 + len(self.cluster.addresses)
            most = (most + 2) * (self.cluster.nodes + len(self.cluster.addresses) + SEEDS + 1)
        here = Asks(self.target, usual, ceil(most), "commands", diagnosis=2 * diagnosis.MOST_KEYS)
        return (*asks_of(self.sentinel), here)

    async def probe(self, run: Run) -> None:
        """Ask once: one connection to each server, two round trips."""
        trip = network.Trip()
        try:
            if self.cluster is None:
                await self._alone(run, trip)
            else:
                await self._every_node(self.cluster, run, trip)
        except WireError as why:
            raise network.translated(why) from None

    async def diagnose(self, run: Run) -> None:
        """Memory, slow and costly commands, the biggest keys of a sample, who is connected."""
        try:
            began = asyncio.get_running_loop().time()
            to = await self._door(run, DIAGNOSIS, record=False)
            with Patience(DIAGNOSIS - (asyncio.get_running_loop().time() - began)) as patience:
                async with linked(to, patience, network.Trip(), run) as link:
                    await diagnosis.diagnose(link, run)
        except WireError as why:
            raise network.translated(why) from None

    async def _door(self, run: Run, timeout: float, record: bool = True) -> Door:
        """Where the server is: as written, or as the Sentinels say."""
        if self.sentinel is None:
            return door(self.url, self.tls, self.rights)
        name = master_name(self.url)
        written = door(self.url, self.tls, self.rights)
        return await find_master(self.sentinel, name, written, self.tls, timeout, run, record)

    async def _alone(self, run: Run, trip: network.Trip) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        to = await self._door(run, self.timeout)
        spent = loop.time() - began if self.sentinel is not None else 0.0
        with Patience(self.timeout - spent) as patience:
            async with linked(to, patience, trip, run) as link:
                info = await self._look(link, run, {})
                run.timed(trip.total(), trip.clock)
        if self.sentinel is not None and info.get("role") != "master":
            role = visible(info.get("role", "something else"), 20)
            raise Failed(Reason.ASSERTION, f"the Sentinels call {to} master, but it says that it is a {role}")

    async def _look(self, link: Link, run: Run, labels: dict[str, str]) -> dict[str, str]:
        """Ask one server and record what it says; its INFO."""
        replies = await link.ask(("INFO",), *self._slowlog)
        info = self._info(link, replies[0])
        await self._record(link, info, replies[1:], run, labels)
        return info

    @property
    def _slowlog(self) -> list[tuple[str, ...]]:
        return [("SLOWLOG", "LEN"), ("SLOWLOG", "GET", str(self.slowlog_entries))] if self.slowlog_entries else []

    async def _record(
        self, link: Link, info: dict[str, str], slowlog: list[Reply], run: Run, labels: dict[str, str]
    ) -> None:
        remember_limit(run, link.door, info.get("maxclients", ""))
        recorder = Recorder(run, info, str(link.door.to), labels)
        run.record("ping_seconds", link.ping_seconds, **labels)
        recorder.info(self.hit_ratio_minimum_lookups)
        unread: list[tuple[str, Refused]] = []
        if slowlog:
            refused = next((reply for reply in slowlog if isinstance(reply, Refused)), None)
            unread += [("the slow log", refused)] if refused is not None else []
            recorder.slowlog(*slowlog)
        if self.sample is not None:
            refused = await sample_expiry(link, self.sample, run, labels)
            unread += [("a sample of the keys", refused)] if refused is not None else []
        self._tell_unread(unread, link, run, labels)

    def _tell_unread(self, unread: list[tuple[str, Refused]], link: Link, run: Run, labels: dict[str, str]) -> None:
        run.record("parts_unread", len(unread), **labels)
        if unread:
            said = [f"cannot read {part} of {link.door}: {visible(refused, 200)}" for part, refused in unread]
            if any(refused.code == "NOPERM" for _, refused in unread):
                said.append(f"as its administrator run: {self.rights}")
            run.evidence("not read" + (f" of {link.door.to}" if labels else ""), "\n".join(said))

    def _info(self, link: Link, reply: Reply) -> dict[str, str]:
        if isinstance(reply, Refused):
            raise link.refusal(reply, "INFO")
        info = parse_info(reply)
        if "redis_version" not in info:
            raise Failed(Reason.PROTOCOL, f"cannot ask {link.door}: its INFO names no version, so it is no Redis")
        if "sentinel" in (info.get("redis_mode"), info.get("server_mode")):
            raise Errored(Reason.INTERNAL, f"{link.door} is a Sentinel: it belongs under `sentinel`, not into `url`")
        return info

    async def _every_node(self, cluster: Cluster, run: Run, trip: network.Trip) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self.timeout * ALL_NODES
        seed, info, nodes = await self._seed(cluster, run, trip)
        run.timed(trip.total(), trip.clock)
        record_cluster(run, info, nodes)
        others = worth_asking(nodes, cluster.nodes)
        run.kept[NODES] = [[node.host, node.port] for node in others[:SEEDS]]
        turns = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._node(node, seed, until, turns, run)) for node in others]
        faults = [fault for task in tasks if (fault := task.result())]
        if faults:
            run.evidence("nodes that do not tell", "\n".join(faults))
        why = down(info, nodes)
        if why:
            raise Failed(Reason.ASSERTION, f"the cluster of {seed} serves nobody: {why}")

    async def _seed(self, cluster: Cluster, run: Run, trip: network.Trip) -> tuple[Door, dict[str, str], list[Node]]:
        """The first node that tells of its cluster, and what it tells. Raises Failed or Errored where none does."""
        doors = self._doors(cluster, run)
        faults: list[Failed | Errored] = []
        for each in doors:
            try:
                with Patience(self.timeout * ONE_SEED / len(doors)) as patience:
                    async with linked(each, patience, trip, run) as link:
                        return each, *await self._tell_cluster(link, run)
            except WireError as why:
                faults.append(network.translated(why))
            except (Failed, Errored) as why:
                faults.append(why)
        raise next((fault for fault in faults if isinstance(fault, Failed)), faults[0])

    def _doors(self, cluster: Cluster, run: Run) -> list[Door]:
        """Where to begin: as written, and at nodes that were there the last time."""
        first = door(self.url, self.tls, self.rights)
        doors = [first, *(replace(first, to=network.endpoint(url, PORT)) for url in cluster.addresses)]
        kept = run.kept.get(NODES)
        for node in kept[:SEEDS] if isinstance(kept, list) else ():
            match node:
                case [str(host), int(port)]:
                    with suppress(ValueError):
                        doors.append(first.at(host, port))
        return list({str(each.to): each for each in doors}.values())

    async def _tell_cluster(self, link: Link, run: Run) -> tuple[dict[str, str], list[Node]]:
        whole, listed, *replies = await link.ask(("CLUSTER", "INFO"), ("CLUSTER", "NODES"), ("INFO",), *self._slowlog)
        info = self._info(link, replies[0])
        for reply in (whole, listed):
            if isinstance(reply, Refused):
                if info.get("cluster_enabled") == "0":
                    raise Errored(Reason.INTERNAL, f"{link.door} is no cluster: leave `cluster` out")
                raise link.refusal(reply, "CLUSTER")
        nodes, state = read_nodes(listed), parse_info(whole)
        if "cluster_state" not in state:
            raise Failed(Reason.PROTOCOL, f"cannot ask {link.door}: its CLUSTER INFO names no state")
        itself = next((f"{node.host}:{node.port}" for node in nodes if "myself" in node.flags and node.host), "")
        labels = {"node": itself or str(link.door.to)}
        _record_state(run, state, labels)
        await self._record(link, info, replies[1:], run, labels)
        return state, nodes

    async def _node(self, node: Node, seed: Door, until: float, turns: asyncio.Semaphore, run: Run) -> str:
        """Ask one more node; why it does not tell, empty where it does."""
        labels = {"node": f"{node.host}:{node.port}"}
        try:
            async with turns:
                left = until - asyncio.get_running_loop().time()
                with Patience(max(0.001, min(left, self.timeout * ONE_NODE))) as patience:
                    async with linked(seed.at(node.host, node.port), patience, network.Trip(), run) as link:
                        state, *replies = await link.ask(("CLUSTER", "INFO"), ("INFO",), *self._slowlog)
                        await self._record(link, self._info(link, replies[0]), replies[1:], run, labels)
            _record_state(run, parse_info(state), labels)
            return ""
        except ValueError as why:
            return f"{labels['node']}: {why}"
        except WireError as why:
            fault = network.translated(why)
        except (Failed, Errored) as why:
            fault = why
        if isinstance(fault, Failed):
            run.record("node_up", 0.0, **labels)
        else:
            run.record("parts_unread", 1, **labels)
        return fault.sentence


def _record_state(run: Run, state: dict[str, str], labels: dict[str, str]) -> None:
    run.record("node_up", 1.0, **labels)
    if "cluster_state" in state:
        run.record("cluster_ok", float(state["cluster_state"] == "ok"), **labels)
