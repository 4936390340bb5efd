"""What a Redis Cluster says of itself: CLUSTER INFO and CLUSTER NODES, read and judged without asking anybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from checks.base import Run
from checks.parts.redis.answers import LONGEST_INFO, number
from checks.parts.redis.link import Peer
from checks.parts.redis.resp import Reply
from checks.wire.certificates import visible

SLOTS = 16384
MOST_NODES = 1000
"""That are read; the specification recommends no more."""


class Cluster(BaseModel):
    """How to look at a Redis Cluster; `true` for all of its defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    addresses: tuple[Peer, ...] = Field(
        default=(), max_length=31, description="Other nodes to begin with where url does not answer: `host:port`."
    )
    nodes: int = Field(
        default=32, ge=1, le=200, description="Nodes to ask at most, masters first; the rest are counted."
    )

    @model_validator(mode="before")
    @classmethod
    def _just_true(cls, value: Any) -> Any:
        return {} if value is True else value


@dataclass(frozen=True, slots=True)
class Node:
    """A node as another one sees it; `slots` counts those that it holds."""

    id: str
    host: str
    port: int
    flags: frozenset[str]
    master: str
    linked: bool
    slots: int

    @property
    def failing(self) -> bool:
        """Whether it is suspected or agreed to have failed."""
        return bool(self.flags & {"fail", "fail?"}) or ("myself" not in self.flags and not self.linked)

    @property
    def is_master(self) -> bool:
        """Whether it is a master, be it without slots."""
        return "master" in self.flags

    def __str__(self) -> str:
        role = "master" if self.is_master else "replica"
        state = " and ".join(sorted(self.flags & {"fail", "fail?", "noaddr", "handshake"})) or "ok"
        return f"{self.host}:{self.port}, {role} of {self.slots} slots: {state}" + ("" if self.linked else ", cut off")


def read_nodes(reply: Reply) -> list[Node]:
    """The nodes in an answer to CLUSTER NODES; what is none is left out."""
    lines = reply[:LONGEST_INFO].splitlines()[:MOST_NODES] if isinstance(reply, str) else []
    return [node for node in map(_node, lines) if node is not None]


def _node(line: str) -> Node | None:
    words = line.split()
    if len(words) < 8:
        return None
    where, _, names = words[1].partition(",")
    host, colon, port = where.partition("@")[0].rpartition(":")
    if not colon or not port.isdecimal() or len(port) > 5:
        return None
    name = names.partition(",")[0]
    flags = frozenset(words[2].split(","))
    # Before 7.0 there are no names, and what stands there is empty or a question mark where nothing is known.
    best = name if name and name != "?" and "=" not in name else host
    slots = sum(map(_slots, words[8:]))
    return Node(words[0], visible(best, 253), int(port), flags, words[3], words[7] == "connected", slots)


def _slots(text: str) -> int:
    # A slot on the move stands in brackets, beside the range that it still belongs to.
    first, _, last = text.partition("-")
    if not first.isdecimal() or (last and not last.isdecimal()) or len(text) > 11:
        return 0
    return max(0, int(last or first) - int(first) + 1)


def worth_asking(nodes: Sequence[Node], most: int) -> list[Node]:
    """The nodes to ask, but for the one that was asked already: masters first, at most so many."""
    others = [node for node in nodes if "myself" not in node.flags and node.port and node.host]
    known = [node for node in others if not node.flags & {"noaddr", "handshake"}]
    return sorted(known, key=lambda node: (not node.is_master, node.host, node.port))[: most - 1]


def record_cluster(run: Run, info: Mapping[str, str], nodes: Sequence[Node]) -> None:
    """Record what one node knows of the whole."""
    for name, field in (
        ("cluster_slots_assigned", "cluster_slots_assigned"), ("cluster_slots_ok", "cluster_slots_ok"),
        ("cluster_slots_suspected", "cluster_slots_pfail"), ("cluster_slots_failed", "cluster_slots_fail"),
        ("cluster_nodes", "cluster_known_nodes"), ("cluster_masters", "cluster_size"),
    ):  # fmt: skip
        value = number(info, field)
        if value is not None:
            run.record(name, value)
    if not nodes:
        return
    run.record("cluster_nodes_failing", sum(node.failing for node in nodes))
    covered = {node.master for node in nodes if not node.is_master and not node.failing}
    bare = [node for node in nodes if node.is_master and node.slots and node.id not in covered]
    run.record("cluster_masters_without_replica", len(bare))
    if any(node.failing for node in nodes):
        run.evidence("nodes of the cluster", "\n".join(map(str, nodes[:50])))


def down(info: Mapping[str, str], nodes: Sequence[Node]) -> str:
    """Why the cluster serves nobody, as a sentence's end; empty where it serves."""
    state = info.get("cluster_state", "")
    if state == "ok":
        return ""
    lost = SLOTS - (number(info, "cluster_slots_ok") or 0)
    gone = ", ".join(f"{node.host}:{node.port}" for node in nodes if node.failing and node.slots)
    which = f", failing: {gone}" if gone else ""
    return f"its state is {visible(state, 40) or 'unknown'}: {lost:.0f} of {SLOTS} slots have no node{which}"
