"""Makes up route trees, rules, silences and alerts in Alertmanager's language, from a seed."""

from __future__ import annotations

import json
from random import Random
from typing import Any

NAMES = ("alertname", "severity", "team", "cluster", "a_b", "_c")
VALUES = ("x", "y", "z", "critical", "a b", 'q"q', "b\\s", "ü", "x\ny", "1", "x,y", " x ")
EXPRESSIONS = (
    "x|y", "cri.*", ".+", ".*", "", "[xy]", "(x)?", "a b", "x.y", r"\d", "(?i)X", "ü", "^x$", "x|", "x|critical", ".",
    r"\pL", "[^x]*", "(?s)x.y", "y{1,2}", r"b\\s", ".{3,}", r"\bx\b", 'q"q|x',
)  # fmt: skip
RECEIVERS = tuple(f"r{number}" for number in range(12))


class Made:
    """Everything that one seed gives."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def labels(self) -> dict[str, str]:
        """Of an alert: some names, any values."""
        names = self.random.sample(NAMES, self.random.randint(1, len(NAMES)))
        return {name: self.random.choice(VALUES) for name in names}

    def alerts(self, count: int) -> list[dict[str, str]]:
        """That many label sets, all different."""
        return [self.labels() | {"number": str(number)} for number in range(count)]

    def matcher(self) -> tuple[str, str, str]:
        """Name, operator and text."""
        operator = self.random.choice(("=", "=", "!=", "=~", "=~", "!~"))
        value = self.random.choice(EXPRESSIONS if "~" in operator else (*VALUES, ""))
        return self.random.choice(NAMES), operator, value

    def written(self, matcher: tuple[str, str, str]) -> str:
        """A matcher as people write it: with quotation marks or, where that reads the same, without."""
        name, operator, value = matcher
        blank = self.random.choice(("", "", " "))
        bare = value and value.strip() == value and not set(value) & set('"\\,\n{}')
        if not bare or self.random.random() < 0.6:
            value = '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
        return f"{blank}{name}{blank}{operator}{blank}{value}{blank}"

    def matchers(self, most: int = 3) -> list[str]:
        """Items of a list: some of one matcher, some of several in braces or without."""
        items = []
        for _ in range(self.random.randint(1, most)):
            texts = [self.written(self.matcher()) for _ in range(self.random.choice((1, 1, 1, 2)))]
            joined = ",".join(texts)
            items.append(f"{{{joined}}}" if self.random.random() < 0.3 else joined)
        return items

    def conditions(self, prefix: str = "", most: int = 3) -> dict[str, Any]:
        """The keys of a route or of a rule's side, in the form of today or the old ones."""
        form = self.random.random()
        names = self.random.sample(NAMES, 1)
        if form < 0.15:
            return {f"{prefix}match": {name: self.random.choice(VALUES) for name in names}}
        if form < 0.3:
            return {f"{prefix}match_re": {name: self.random.choice(EXPRESSIONS) for name in names}}
        return {f"{prefix}matchers": self.matchers(most)}

    def route(self, depth: int = 4, width: int = 5) -> dict[str, Any]:
        """One node and all below it."""
        route: dict[str, Any] = self.conditions(most=2)
        if self.random.random() < 0.7:
            route["receiver"] = self.random.choice(RECEIVERS)
        if self.random.random() < 0.4:
            route["continue"] = True
        if self.random.random() < 0.5:
            route["group_by"] = self.random.choice((["..."], [], self.random.sample(NAMES, self.random.randint(1, 3))))
        if depth > 1:
            route["routes"] = [self.route(depth - 1, width) for _ in range(self.random.randint(0, width))]
        return route

    def tree(self, width: int = 6) -> dict[str, Any]:
        """A whole tree, whose top groups by a label or two."""
        below = [self.route(width=width) for _ in range(width)]
        return {"receiver": "r0", "group_by": self.random.sample(NAMES, 2), "group_wait": "1h", "routes": below}

    def rule(self) -> dict[str, Any]:
        """One inhibit rule."""
        equal = self.random.sample(NAMES, self.random.choice((0, 1, 1, 2)))
        return {**self.conditions("source_", 2), **self.conditions("target_", 2), "equal": equal}


def configuration(**parts: Any) -> str:
    """A whole file, with every receiver; JSON is YAML."""
    return json.dumps({"receivers": [{"name": name} for name in RECEIVERS], **parts}, indent=1)
