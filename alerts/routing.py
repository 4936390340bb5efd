"""Who is told: the route tree with Alertmanager's words and meaning, and the groups it makes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from alerts.escalation import EscalationStep
from alerts.notifiers.base import Notifier

Operator = Literal["=", "!=", "=~", "!~"]


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label; a missing label reads as the empty text; regular expressions are anchored."""

    name: str
    operator: Operator
    text: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.name, "")
        match self.operator:
            case "=":
                return value == self.text
            case "!=":
                return value != self.text
            case "=~":
                return re.fullmatch(self.text, value) is not None
            case "!~":
                return re.fullmatch(self.text, value) is None

    def __str__(self) -> str:
        quoted = self.text.replace("\\", "\\\\").replace('"', '\\"')
        return f'{self.name}{self.operator}"{quoted}"'


@dataclass(frozen=True, slots=True)
class Receiver:
    """Whom a route names: every notifier of it is told. `fallback` names the receiver to turn to when it can't be."""

    name: str
    notifiers: tuple[Notifier, ...] = ()
    fallback: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """One node of the tree, inherited values filled in. Durations in seconds; `group_by` None means by all labels."""

    receiver: str
    matchers: tuple[Matcher, ...] = ()
    group_by: tuple[str, ...] | None = ("system", "alertname")
    group_wait: float = 0.0
    group_interval: float = 300.0
    repeat_interval: float = 14400.0
    follow_on: bool = False
    mute_time_intervals: tuple[str, ...] = ()
    active_time_intervals: tuple[str, ...] = ()
    escalation: tuple[EscalationStep, ...] = ()
    max_reminders: int | None = None
    routes: tuple[Route, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(matcher.matches(labels) for matcher in self.matchers)


def match(route: Route, labels: Mapping[str, str]) -> list[Route]:
    """The routes that take an alert, depth first: the deepest that matches, and further siblings after `continue`."""
    if not route.matches(labels):
        return []
    taken: list[Route] = []
    for child in route.routes:
        found = match(child, labels)
        taken += found
        if found and not child.follow_on:
            break
    return taken or [route]


def group_labels(route: Route, labels: Mapping[str, str]) -> dict[str, str]:
    """The labels by which a route groups, with this alert's values."""
    if route.group_by is None:
        return dict(labels)
    return {name: labels[name] for name in route.group_by if name in labels}


_MATCHER = re.compile(r'\s*(?:"((?:[^"\\]|\\.)+)"|([a-zA-Z_:][a-zA-Z0-9_:]*))\s*(=~|!~|!=|=)\s*(.*)', re.DOTALL)
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


def parse_matcher(text: str) -> Matcher:
    """One matcher as written in Alertmanager (`severity=~"critical|high"`); ValueError with a sentence otherwise."""
    found = _MATCHER.fullmatch(text.strip().removeprefix("{").removesuffix("}"))
    if found is None:
        raise ValueError(f'{text!r} is not a matcher; write severity="critical" or severity=~"critical|high"')
    quoted, plain, operator, value = found.groups()
    value = value.strip()
    if value.startswith('"'):
        if len(value) < 2 or not value.endswith('"') or re.fullmatch(r'(?:[^"\\]|\\.)*', value[1:-1]) is None:
            raise ValueError(f"{text!r}: the quotation marks do not pair up")
        value = re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[0]), value[1:-1])
    elif '"' in value:
        raise ValueError(f"{text!r}: the quotation marks do not pair up")
    if operator in ("=~", "!~"):
        try:
            re.compile(value)
        except re.error as why:
            raise ValueError(f"{text!r}: {value!r} is not a regular expression: {why}") from None
    name = re.sub(r"\\(.)", r"\1", quoted) if quoted else plain
    return Matcher(name, operator, value)  # type: ignore[arg-type]  # the pattern admits the four operators alone
