"""The grammar of `when`: from text to a small syntax tree that remembers where each part stands."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from lark import Lark, Token

LONGEST = 2_000
DEEPEST = 60

GRAMMAR = r"""
start: either
?either: both ("or" both)*
?both: negation ("and" negation)*
?negation: comparison | NOT negation -> negate
?comparison: sum (COMPARE sum)*
?sum: product | sum (PLUS | MINUS) product -> arithmetic
?product: unary | product (STAR | SLASH) unary -> arithmetic
?unary: atom | MINUS unary -> minus
?atom: QUANTITY -> quantity
     | NAME -> name
     | NAME "{" [matcher ("," matcher)* ","?] CLOSE -> selected
     | NAME "(" [either ("," either)*] RPAR -> call
     | LPAR either RPAR -> group
matcher: NAME (COMPARE | EQUALS | REGEX) STRING

NOT: "not"
COMPARE: ">=" | "<=" | "==" | "!=" | ">" | "<"
EQUALS: "="
REGEX: "=~" | "!~"
PLUS: "+"
MINUS: "-"
STAR: "*"
SLASH: "/"
LPAR: "("
RPAR: ")"
CLOSE: "}"
QUANTITY: /\d+(?:\.\d+)?(?:\s*(?:%|us|ms|[smhdwy]|[KMGT]i?B|B)(?![A-Za-z0-9_%])|[A-Za-z_%][A-Za-z0-9_.%]*)?/
NAME: /[A-Za-z_][A-Za-z0-9_]*/
STRING: /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/
%ignore /\s+/
"""


_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class WhenError(ValueError):
    """A `when` that can't be used. `column` counts from 1 within its text; None where no one place is at fault."""

    def __init__(self, sentence: str, column: int | None = None) -> None:
        super().__init__(sentence if column is None else f"{sentence} (column {column})")
        self.sentence = sentence
        self.column = column


@dataclass(frozen=True, slots=True)
class Node:
    """A part of the text from `start` up to `end`, and how deep the tree below it is."""

    start: int
    end: int
    depth: int

    @property
    def column(self) -> int:
        return self.start + 1


@dataclass(frozen=True, slots=True)
class Quantity(Node):
    """A number, perhaps with its unit, as written."""

    text: str


@dataclass(frozen=True, slots=True)
class Selector:
    """One condition on a label inside braces, with Alertmanager's four operators."""

    label: str
    operator: str
    text: str
    column: int


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A measurement, or one of the language's own words."""

    name: str
    selectors: tuple[Selector, ...] = ()


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A window function with its arguments."""

    function: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Minus(Node):
    """A number with its sign turned."""

    of: Expression


@dataclass(frozen=True, slots=True)
class Arithmetic(Node):
    """Two numbers joined by one of + - * /."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Comparison(Node):
    """Two numbers compared."""

    operator: str
    left: Expression
    right: Expression
    chained: bool


@dataclass(frozen=True, slots=True)
class Not(Node):
    """A condition turned round."""

    of: Expression


@dataclass(frozen=True, slots=True)
class Junction(Node):
    """Conditions joined by `and`, or by `or`."""

    word: str
    parts: tuple[Expression, ...]


Expression: TypeAlias = Quantity | Name | Call | Minus | Arithmetic | Comparison | Not | Junction


@lru_cache(maxsize=4096)
def read(text: str) -> Expression:
    """The syntax tree of one `when`; WhenError with the place where it can't be understood."""
    if len(text) > LONGEST:
        raise WhenError(f"the condition is {len(text)} characters long; {LONGEST} are the most")
    if not text.strip():
        raise WhenError("the condition is empty; write failed, or a comparison such as duration_seconds > 2s")
    if _WORD.fullmatch(text) and text not in ("and", "or", "not"):
        return Name(0, len(text), 1, text)
    parser = _parser()
    from lark.exceptions import UnexpectedInput

    try:
        tree: Expression = parser.parse(text)  # type: ignore[assignment]  # the transformer returns our own nodes
    except UnexpectedInput as why:
        raise _misunderstood(text, why) from None
    if tree.depth > DEEPEST:
        raise WhenError(f"the condition is nested {tree.depth} deep; {DEEPEST} is the most")
    return tree


def names_in(tree: Expression) -> list[str]:
    """Every name that stands in the tree, the language's own words among them, in order and with repetitions."""
    match tree:
        case Name():
            return [tree.name]
        case Quantity():
            return []
        case Call():
            below: tuple[Expression, ...] = tree.arguments
        case Junction():
            below = tree.parts
        case Minus() | Not():
            below = (tree.of,)
        case _:
            below = (tree.left, tree.right)
    return [name for node in below for name in names_in(node)]


@cache
def _parser() -> Lark:
    """Built once, at the first condition that is more than a word: lark costs 60 ms to import."""
    from lark import Lark

    return Lark(GRAMMAR, parser="lalr", lexer="basic", transformer=_Builder(), maybe_placeholders=False)


class _Builder:
    """Makes our nodes while the parser runs; decides nothing, so that it can't fail."""

    def start(self, items: list[Any]) -> Expression:
        return items[0]  # type: ignore[no-any-return]

    def either(self, items: list[Any]) -> Expression:
        return Junction(items[0].start, items[-1].end, _below(items), "or", tuple(items))

    def both(self, items: list[Any]) -> Expression:
        return Junction(items[0].start, items[-1].end, _below(items), "and", tuple(items))

    def negate(self, items: list[Any]) -> Expression:
        word, of = items
        return Not(_start(word), of.end, of.depth + 1, of)

    def comparison(self, items: list[Any]) -> Expression:
        left, operator, right, *more = items
        return Comparison(
            left.start, right.end, max(left.depth, right.depth) + 1, str(operator), left, right, bool(more)
        )

    def arithmetic(self, items: list[Any]) -> Expression:
        left, operator, right = items
        return Arithmetic(left.start, right.end, max(left.depth, right.depth) + 1, str(operator), left, right)

    def minus(self, items: list[Any]) -> Expression:
        sign, of = items
        return Minus(_start(sign), of.end, of.depth + 1, of)

    def quantity(self, items: list[Any]) -> Expression:
        return Quantity(_start(items[0]), _end(items[0]), 1, str(items[0]))

    def name(self, items: list[Any]) -> Expression:
        return Name(_start(items[0]), _end(items[0]), 1, str(items[0]))

    def selected(self, items: list[Any]) -> Expression:
        name, *matchers, close = items
        return Name(_start(name), _end(close), 1, str(name), tuple(matchers))

    def matcher(self, items: list[Any]) -> Selector:
        label, operator, text = items
        return Selector(str(label), str(operator), re.sub(r"\\(.)", r"\1", text[1:-1]), _start(label) + 1)

    def call(self, items: list[Any]) -> Expression:
        function, *arguments, close = items
        return Call(_start(function), _end(close), _below(arguments), str(function), tuple(arguments))

    def group(self, items: list[Any]) -> Expression:
        opened, inside, closed = items
        return replace(inside, start=_start(opened), end=_end(closed))  # type: ignore[no-any-return]


def _start(token: Token) -> int:
    return token.start_pos or 0


def _end(token: Token) -> int:
    return token.end_pos or 0


def _below(nodes: list[Any]) -> int:
    return 1 + max((node.depth for node in nodes), default=0)


_INSTEAD = {"&": "and", "|": "or", "!": "not", "=": "==", "AND": "and", "OR": "or", "NOT": "not"}


def _misunderstood(text: str, why: Any) -> WhenError:
    """The parser's complaint as a sentence; `why` is lark's, whose position counts from 0 (-1 or None at the end)."""
    at = getattr(why, "pos_in_stream", None)
    token = getattr(why, "token", None)
    if token is not None and token.type == "$END":
        return WhenError("the condition ends too early", len(text.rstrip()) + 1)
    at = at if isinstance(at, int) and 0 <= at < len(text) else len(text) - 1
    word = str(token) if token is not None else text[at]
    better = _INSTEAD.get(word)
    return WhenError(f"{word!r} can't stand here" + (f"; write `{better}`" if better else ""), at + 1)
