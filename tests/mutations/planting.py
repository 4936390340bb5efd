"""Finds every place of a source file where a small bug can be planted, and plants one. Pure."""

from __future__ import annotations

import ast
from typing import NamedTuple

SIGNS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}
COMPARISONS: dict[type[ast.cmpop], tuple[str, ...]] = {
    ast.Lt: ("<=", ">="),
    ast.LtE: ("<", ">"),
    ast.Gt: (">=", "<="),
    ast.GtE: (">", "<"),
    ast.Eq: ("!=",),
    ast.NotEq: ("==",),
    ast.Is: ("is not",),
    ast.IsNot: ("is",),
    ast.In: ("not in",),
    ast.NotIn: ("in",),
}
OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "/",
    ast.Div: "*",
    ast.FloorDiv: "*",
    ast.Mod: "*",
    ast.BitOr: "&",
    ast.BitAnd: "|",
    ast.LShift: ">>",
    ast.RShift: "<<",
}
CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
ATOMS = (ast.Name, ast.Attribute, ast.Constant, ast.Call, ast.Subscript)
DROPPED = (ast.Expr, ast.AugAssign, ast.Delete, ast.Continue, ast.Break, ast.Raise, ast.Return)


class Mutation(NamedTuple):
    """One planted bug in a line (number and text): what stands at `start` to `end` (bytes) gives way to `after`."""

    line: int
    text: str
    function: str
    start: int
    end: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{shortened(self.before)}  →  {shortened(self.after)}"


def shortened(code: str) -> str:
    """Code on one line."""
    return " ".join(code.split())


def planted(source: str, mutation: Mutation) -> str:
    """The source with the bug in it."""
    raw = source.encode()
    return (raw[: mutation.start] + mutation.after.encode() + raw[mutation.end :]).decode()


def mutations(source: str) -> list[Mutation]:
    """All bugs that can be planted, in the order of the file.

    Left alone are texts, annotations, and the values of named constants: those are settings, and not decisions.
    """
    return sorted(_Finder(source).found, key=lambda one: (one.start, one.end, one.after))


class _Finder(ast.NodeVisitor):
    def __init__(self, source: str) -> None:
        self.found: list[Mutation] = []
        self._raw = source.encode()
        self._lines = source.splitlines()
        self._starts = [0]
        for line in source.encode().splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._function = ""
        self.visit(ast.parse(source))

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        start = self._starts[node.lineno - 1] + node.col_offset
        return start, self._starts[node.end_lineno - 1] + node.end_col_offset

    def _plant(self, node: ast.expr | ast.stmt, after: str) -> None:
        self._plant_at(node.lineno, *self._span(node), after)

    def _plant_at(self, line: int, start: int, end: int, after: str) -> None:
        before = self._raw[start:end].decode()
        self.found.append(Mutation(line, self._lines[line - 1].strip(), self._function, start, end, before, after))

    def _code(self, node: ast.expr) -> str:
        start, end = self._span(node)
        code = self._raw[start:end].decode()
        return code if isinstance(node, ATOMS) else f"({code})"

    # What is not looked into, or only in part.

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Texts are for people; Python 3.11 does not know the places in them either."""

    def visit_Assign(self, node: ast.Assign) -> None:
        if all(isinstance(target, ast.Name) and target.id.isupper() for target in node.targets):
            return
        if self._function and any(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets):
            self._plant(node, "pass")
        self.visit(node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if self._function and node.value is not None:
            self.visit(node.value)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        outer, self._function = self._function, node.name
        for default in (*node.args.defaults, *(one for one in node.args.kw_defaults if one)):
            self.visit(default)
        for statement in node.body:
            if statement is node.body[-1] and isinstance(statement, ast.Return) and _is_none(statement.value):
                continue
            self.visit(statement)
        self._function = outer

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for statement in node.body:
            self.visit(statement)

    # Where bugs are planted.

    def generic_visit(self, node: ast.AST) -> None:
        if isinstance(node, DROPPED) and self._function and not _is_text(node):
            self._plant(node, "pass")
        super().generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        for position, operator in enumerate(node.ops):
            for other in COMPARISONS[type(operator)]:
                parts = [self._code(node.left)]
                for index, (one, operand) in enumerate(zip(node.ops, node.comparators, strict=True)):
                    parts += [other if index == position else SIGNS[type(one)], self._code(operand)]
                self._plant(node, f"({' '.join(parts)})")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        other = " or " if isinstance(node.op, ast.And) else " and "
        self._plant(node, f"({other.join(self._code(value) for value in node.values)})")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not | ast.USub):
            self._plant(node, self._code(node.operand))
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if (other := OPERATORS.get(type(node.op))) and not _is_text(node.left) and not _is_text(node.right):
            self._plant(node, f"({self._code(node.left)} {other} {self._code(node.right)})")
            if isinstance(node.op, ast.Sub):
                self._plant(node, self._code(node.left))
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        named = node.func.id if isinstance(node.func, ast.Name) else ""
        if named in CALLS:
            self._plant(node, CALLS[named] + self._code(node).removeprefix(named))
        elif len(node.args) >= 2 and not any(isinstance(one, ast.Starred) for one in node.args[:2]):
            self._swap(*node.args[:2])
        self.generic_visit(node)

    def _swap(self, one: ast.expr, other: ast.expr) -> None:
        (start, before_end), (after_start, end) = self._span(one), self._span(other)
        first, between, second = (
            self._raw[begin:stop].decode()
            for begin, stop in ((start, before_end), (before_end, after_start), (after_start, end))
        )
        self._plant_at(one.lineno, start, end, f"{second}{between}{first}")

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._plant(node, str(not node.value))
        elif isinstance(node.value, int | float):
            self._plant(node, repr(node.value + 1))

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        self._negate(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for condition in node.ifs:
            self._negate(condition)
        self.generic_visit(node)

    def _negate(self, test: ast.expr) -> None:
        # A comparison and a `not` have their own opposite among the mutations already.
        if not isinstance(test, ast.Compare | ast.UnaryOp):
            self._plant(test, f"(not {self._code(test)})")


def _is_text(node: ast.AST) -> bool:
    if isinstance(node, ast.Expr):
        return _is_text(node.value)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _is_none(node: ast.expr | None) -> bool:
    return node is None or (isinstance(node, ast.Constant) and node.value is None)
