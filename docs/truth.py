"""Finds what a page says that is not so: links, commands, names of keys, metrics, events and routes, and sentences."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec

from alerts.thresholds import WhenError, parse
from alerts.when_meaning import FUNCTIONS, OWN_WORDS
from checks.base import Measurement, Reason
from docs import examples
from docs.markdown import Page, Row, spans_of
from docs.render import key_names, metric_names
from docs.source import ROOT, events, routes, texts
from monitor.cli import parser
from monitor.config.build import OTHER_VARIABLES, PREFIX, SETTINGS
from monitor.config.kinds import check_kinds
from monitor.demo.installations import NAMES, installation

MEASURED = "docs/figures.md"
SHELL = ("sh", "console")
NOT_METRICS = frozenset(
    {
        "pg_catalog", "pg_dump", "pg_dumpall", "pg_restore", "pg_tables", "runwatch_restore_",
        "pg_monitor", "pg_hba", "pg_isready", "pg_stat_statements", "pg_stat_activity", "pg_stat_user_indexes",
        "pg_total_relation_size", "pg_last_xact_replay_timestamp",
    }
)  # fmt: skip

_METRIC = re.compile(r"\b(?:runwatch|probe|pg|redis)_[a-z0-9_]+\b")
_VARIABLE = re.compile(r"\bRUNWATCH_[A-Z_]+\b")
_SUFFIX = re.compile(r"_(bucket|sum|count|created)$")
_PAGE = re.compile(r"\bdocs/[\w./-]+\.md\b")
_LINES_JOINED = re.compile(r"\\\n\s*")


def problems(pages: Iterable[Page]) -> list[str]:
    """Everything untrue on these pages, each as `page:line: sentence`."""
    pages = list(pages)
    found = []
    for page in pages:
        for rule in (_links, _commands, _tables, _names, examples.problems):
            found += [f"{page.path}:{line}: {sentence}" for line, sentence in rule(page)]
    return found + list(_unsaid(pages)) + list(_pages_named_elsewhere())


Found = Iterator[tuple[int, str]]


def _links(page: Page) -> Found:
    for line, link in page.links:
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        file = (ROOT / page.path.parent / name).resolve()
        if name and not file.exists():
            if file != ROOT / MEASURED:
                yield line, f"there is no file {link}"
        elif anchor:
            there = Page(file, file.read_text(encoding="utf-8")) if name else page
            if anchor not in there.anchors:
                yield line, f"{there.path.name} has no section #{anchor}"


def _commands(page: Page) -> Found:
    for block in page.blocks:
        if block.language in SHELL:
            for number, line in enumerate(_LINES_JOINED.sub(" ", block.text).splitlines(), block.line):
                if block.language == "sh" or line.startswith("$ "):
                    yield from ((number, sentence) for sentence in command_problems(line.removeprefix("$ ")))
    for number, span in page.spans:
        if span.startswith(("runwatch ", "make ", "./", "python -m ")) and "…" not in span:
            yield from ((number, sentence) for sentence in command_problems(span))


def command_problems(line: str) -> Iterator[str]:
    """What is wrong with the commands of ours in a line of shell."""
    try:
        words = _split(line)
    except ValueError as why:
        yield f"{line!r} is no line of shell: {why}"
        return
    command: list[str] = []
    for word in [*words, ";"]:
        if set(word) <= set("|&;<>()"):
            yield from _command_problem(command)
            command = []
        else:
            command.append(word)


def _split(line: str) -> list[str]:
    reader = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
    reader.whitespace_split = True
    return list(reader)


def _command_problem(command: list[str]) -> Iterator[str]:
    while command and re.fullmatch(r"[A-Z_]+=.*", command[0]):
        command = command[1:]
    match [word.removeprefix(".venv/bin/") for word in command[:1]] + command[1:]:
        case ["runwatch", *arguments]:
            complaint = io.StringIO()
            try:
                with contextlib.redirect_stderr(complaint), contextlib.redirect_stdout(io.StringIO()):
                    asked = parser().parse_args(arguments)
            except SystemExit as ended:
                if ended.code:
                    yield f"`runwatch {shlex.join(arguments)}` can't be: {complaint.getvalue().splitlines()[-1]}"
                return
            if asked.command == "demo" and asked.what not in (None, "FAULT", *_faults()):
                yield f"the demo has no fault {asked.what!r}"
        case ["make", *targets]:
            made = (ROOT / "Makefile").read_text(encoding="utf-8")
            for target in targets:
                if "=" not in target and not re.search(rf"^{re.escape(target)}:", made, re.MULTILINE):
                    yield f"the Makefile has no target {target!r}"
        case ["python" | "python3", "-m", module, *_]:
            if find_spec(module) is None:
                yield f"there is no module {module!r}"
        case [program, *_] if program.startswith("./") and not (ROOT / program).exists():
            yield f"there is no program {program}"


@cache
def _faults() -> frozenset[str]:
    """What `runwatch demo` can break: faults by name, and by the row of the coverage table."""
    known = [fault for name in NAMES for fault in installation(name).faults().values()]
    return frozenset({fault.name for fault in known} | {fault.row for fault in known})


def _tables(page: Page) -> Found:
    for row in page.rows:
        yield from ((row.line, sentence) for sentence in _row_problems(row))


def _row_problems(row: Row) -> Iterator[str]:
    named = spans_of(row.cells[0])
    match row.title:
        case "key":
            keys = key_names()
            yield from (f"there is no key {key!r}" for key in named if not set(key.split(".")) <= keys)
        case "event":
            yield from _event_problems(named[0], row)
        case "route":
            yield from (f"there is no route {route!r}" for route in named if route not in routes())
        case "variable":
            yield from (f"there is no variable {name!r}" for name in named if name not in variables())
        case "function":
            yield from (f"there is no function {one!r}" for one in named if one.partition("(")[0] not in FUNCTIONS)
        case "word":
            yield from (f"there is no word {word!r}" for word in named if word not in OWN_WORDS)
        case "reason":
            yield from (f"there is no reason {reason!r}" for reason in named if reason not in list(Reason))
        case "rule":
            yield from _rule_problems(row)
        case "it says":
            pieces = [piece.strip() for said in named for piece in said.split("…") if len(piece.strip()) > 3]
            yield from (f"nowhere does it say {piece!r}" for piece in pieces if piece not in texts())


def _event_problems(name: str, row: Row) -> Iterator[str]:
    event = events().get(name)
    if event is None:
        yield f"the log has no event {name!r}"
        return
    levels, fields = set(spans_of(row.cells[1])), set(spans_of(row.cells[2]))
    if levels != event.levels:
        yield f"the event {name!r} is logged at {', '.join(sorted(event.levels))}"
    if fields != event.fields:
        yield f"the event {name!r} has the fields {', '.join(sorted(event.fields))}"


def _rule_problems(row: Row) -> Iterator[str]:
    """A rule of `when` shows a condition that is good, and maybe one that is refused."""
    for good, cell in zip((True, False), row.cells[1:], strict=True):
        for text in spans_of(cell):
            try:
                parse(text, _measurements())
            except WhenError as why:
                if good:
                    yield f"{text!r} is refused: {why}"
            else:
                if not good:
                    yield f"{text!r} is not refused"


@cache
def _measurements() -> dict[str, Measurement]:
    kinds = check_kinds()
    loaded = [found for name in kinds.names() if not isinstance(found := kinds.load(name), str)]
    return {one.name: one for kind in loaded for one in kind.measurements}


def variables() -> set[str]:
    """The variables that the daemon reads."""
    return {PREFIX + name for name in (*SETTINGS, *OTHER_VARIABLES)}


def _names(page: Page) -> Found:
    """Metrics and variables, wherever they stand as code."""
    code = page.spans + [(block.line, block.text) for block in page.blocks if block.language != "python"]
    for line, text in code:
        for name in _METRIC.findall(text):
            if {name, _SUFFIX.sub("", name)}.isdisjoint(metric_names() | NOT_METRICS):
                yield line, f"there is no metric {name!r}"
        for name in _VARIABLE.findall(text):
            if name not in variables():
                yield line, f"there is no variable {name!r}"


def _unsaid(pages: Iterable[Page]) -> Iterator[str]:
    """What the code has and no table names."""
    rows = [row for page in pages for row in page.rows]

    def named(title: str) -> set[str]:
        return {name.partition("(")[0] for row in rows if row.title == title for name in spans_of(row.cells[0])}

    for title, known in (
        ("event", set(events())),
        ("route", routes()),
        ("variable", variables()),
        ("function", set(FUNCTIONS)),
        ("word", set(OWN_WORDS)),
        ("reason", {reason.value for reason in Reason}),
    ):
        yield from (f"no page has a row for the {title} {name!r}" for name in sorted(known - named(title)))


def _pages_named_elsewhere() -> Iterator[str]:
    """Pages that the code, the Makefile or the Dockerfile sends people to."""
    files = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("Dockerfile", "Makefile")}
    for name, text in (files | {"the code": texts()}).items():
        for page in sorted(set(_PAGE.findall(text)) - {MEASURED}):
            if not (ROOT / page).is_file():
                yield f"{name}: there is no page {page}"
