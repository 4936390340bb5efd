"""What the source says of itself, read from its syntax: events of the log, routes, sentences that people see."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("monitor", "alerts", "checks")
LEVELS = ("debug", "info", "warning", "error")


@dataclass(slots=True)
class Event:
    """What the log says by one name: at which levels, with which fields, wherever it is said."""

    levels: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)


def modules() -> Iterator[tuple[Path, ast.Module]]:
    """Every file of the packages."""
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            yield file, ast.parse(file.read_text(encoding="utf-8"))


@cache
def events() -> dict[str, Event]:
    """Every event of the log by its name; ValueError where a call can't be read, so that none goes unnoticed."""
    found: dict[str, Event] = {}
    for file, tree in modules():
        reader = _Calls(file, tree)
        for names, levels, fields in reader.calls():
            for name in names:
                event = found.setdefault(name, Event())
                event.levels |= levels
                event.fields |= fields
    return found


class _Calls:
    """Reads the calls of `log` in one module."""

    def __init__(self, file: Path, tree: ast.Module) -> None:
        self._file = file
        self._tree = tree

    def calls(self) -> Iterator[tuple[set[str], set[str], set[str]]]:
        """The names, levels and fields of each call."""
        for function in ast.walk(self._tree):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                known = dict(_assigned(self._tree.body)) | dict(_assigned(function.body))
                for node in ast.walk(function):
                    levels = self._levels(node.func, known) if isinstance(node, ast.Call) else set()
                    if levels and isinstance(node, ast.Call):
                        yield self._names(node.args[0], known), levels, self._fields(node, known)

    def _levels(self, called: ast.expr, known: dict[str, ast.expr]) -> set[str]:
        """Those of `log.info`, or of a name that stands for one of several."""
        if isinstance(called, ast.Name):
            called = known.get(called.id, called)
        if isinstance(called, ast.IfExp):
            return self._levels(called.body, {}) | self._levels(called.orelse, {})
        is_log = isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id == "log"
        return {called.attr} if is_log and isinstance(called, ast.Attribute) and called.attr in LEVELS else set()

    def _names(self, told: ast.expr, known: dict[str, ast.expr]) -> set[str]:
        if isinstance(told, ast.Subscript) and isinstance(told.value, ast.Name):
            words = known.get(told.value.id)
            if isinstance(words, ast.Dict):
                return {str(text.value) for text in words.values if isinstance(text, ast.Constant)}
        if isinstance(told, ast.Constant):
            return {str(told.value)}
        raise ValueError(f"{self._file}:{told.lineno}: the name of an event that can't be read")

    def _fields(self, call: ast.Call, known: dict[str, ast.expr]) -> set[str]:
        fields: set[str] = set()
        for keyword in call.keywords:
            if keyword.arg is not None:
                fields.add(keyword.arg)
                continue
            spread = known.get(keyword.value.id) if isinstance(keyword.value, ast.Name) else None
            if not isinstance(spread, ast.Dict):
                raise ValueError(f"{self._file}:{call.lineno}: fields of an event that can't be read")
            fields |= {str(key.value) for key in spread.keys if isinstance(key, ast.Constant)}
        return fields


def _assigned(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    for statement in body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            yield statement.targets[0].id, statement.value


@cache
def routes() -> set[str]:
    """`GET /metrics` and so on: what the daemon answers."""
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in sorted((ROOT / "monitor/api").glob("*.py"))]
    return {
        f"{node.func.attr.upper()} {node.args[0].value!s}"
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "web"
        and node.func.attr in ("get", "post", "put", "delete")
        and isinstance(node.args[0], ast.Constant)
    }


@cache
def texts() -> str:
    """Every text in the source, one a line: what stands between the slots of an f-string is one each."""
    found = []
    for _, tree in modules():
        found += [
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
    return "\n".join(found)
