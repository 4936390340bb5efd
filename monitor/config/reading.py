"""Reads YAML into plain values that remember where they stand; refuses what could mislead or overwhelm."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from monitor.config.problems import Place
from monitor.config.sections import Items, Mark, Section, Source

LARGEST_FILE = 8 * 2**20
DEEPEST = 64
MOST_VALUES = 2_000_000
"""Values in one file with every alias written out: an alias costs nothing to write and a lot to follow."""

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Unreadable(Exception):
    """A file can't be read at all; `place` and a sentence."""

    def __init__(self, place: Place, sentence: str) -> None:
        super().__init__(sentence)
        self.place = place
        self.sentence = sentence


Interpolate = Callable[[str, Place], str]


def read(file: Path, shown: Path, interpolate: Interpolate) -> tuple[Any, Source]:
    """The one document in a file, None when it is empty; Unreadable where there is no making sense of it.

    `shown` is the file's name in problems. What is wrong but leaves the rest readable (a duplicate key) is in the
    source's `noticed`. Every text that holds a `$` goes through `interpolate`.
    """
    source = Source(shown, _text(file, Place(str(shown))))
    events = yaml.parse(source.text, Loader=Loader)
    try:
        return _Builder(source, interpolate).build(events), source
    except yaml.MarkedYAMLError as why:
        mark = why.problem_mark or why.context_mark
        place = source.place(mark.line, mark.column) if mark else Place(str(shown))
        raise Unreadable(place, _yaml_sentence(why, source, mark)) from None
    except yaml.reader.ReaderError as why:
        line = source.text.count("\n", 0, max(why.position, 0)) if isinstance(why.position, int) else 0
        raise Unreadable(source.place(line, 0), "cannot read the file: it holds a control character") from None
    except (yaml.YAMLError, RecursionError):
        raise Unreadable(Place(str(shown)), "cannot read the file: it is not YAML") from None


def _text(file: Path, place: Place) -> str:
    try:
        if not file.is_file():
            raise Unreadable(place, "cannot read it: there is no such file")
        if file.stat().st_size > LARGEST_FILE:
            raise Unreadable(place, f"cannot read it: larger than {LARGEST_FILE // 2**20} MB")
        content = file.read_bytes()[: LARGEST_FILE + 1]
    except OSError as why:
        raise Unreadable(place, f"cannot read it: {why.strerror or why}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as why:
        line = content.count(b"\n", 0, why.start)
        raise Unreadable(Place(place.file, line + 1, 1), "cannot read the file: it is not UTF-8") from None


def _yaml_sentence(why: yaml.MarkedYAMLError, source: Source, mark: yaml.Mark | None) -> str:
    problem = (why.problem or "it is not YAML").strip()
    if mark is not None and "\t" in source.line(mark.line)[: mark.column + 1]:
        problem += "; a tab can't indent, use spaces"
    if mark is not None and "${" in source.line(mark.line):
        problem += "; inside { } and [ ] put ${…} in quotes"
    context = f" ({why.context})" if why.context else ""
    return f"cannot read the file: {problem}{context}"


_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTHS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_OTHER_BASE = re.compile(r"0x[0-9a-fA-F]{1,15}|0o[0-7]{1,18}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,40}|[0-9]{1,40}(?:\.[0-9]{0,40})?)(?:[eE][-+]?[0-9]{1,2})?")
_MAY_BE_NUMBER = frozenset("0123456789+-.")
_KNOWN_TAGS = frozenset(
    {"!", *(f"tag:yaml.org,2002:{word}" for word in ("str", "int", "float", "bool", "null", "map", "seq"))}
)
_STR_TAG = "tag:yaml.org,2002:str"


def plain(text: str) -> Any:
    """What an unquoted scalar means in YAML 1.2's core schema: of the truth values only true and false, no dates."""
    if text in _NULLS:
        return None
    if text[0] in _MAY_BE_NUMBER:
        if _INTEGER.fullmatch(text):
            return int(text)
        if _OTHER_BASE.fullmatch(text):
            return int(text, 0)
        if _FLOAT.fullmatch(text):
            return float(text)
    return _TRUTHS.get(text, text)


class _Builder:
    """One pass over the parser's events; containers in progress are on a stack of our own, so that depth is ours."""

    def __init__(self, source: Source, interpolate: Interpolate) -> None:
        self.source = source
        self.interpolate = interpolate
        self.stack: list[Section | Items] = []
        self.keys: list[tuple[str, Mark] | None] = []
        self.anchors: dict[str, Any] = {}
        self.open: dict[str, Section | Items] = {}
        self.root: Any = None

    def build(self, events: Any) -> Any:
        documents = 0
        for event in events:
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self._scalar(event)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self._begin(event, Section if kind is yaml.MappingStartEvent else Items)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._finish()
            elif kind is yaml.AliasEvent:
                self._alias(event)
            elif kind is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    raise Unreadable(self._at(event), "a second document begins here; a file holds one")
        return self.root

    def _at(self, event: Any) -> Place:
        return self.source.place(event.start_mark.line, event.start_mark.column)

    def _notice(self, mark: Mark, sentence: str, like: Mark | None = None) -> None:
        self.source.noticed.append((mark, like or mark, sentence))

    def _tagged(self, event: Any) -> None:
        if event.tag is not None and event.tag not in _KNOWN_TAGS:
            raise Unreadable(self._at(event), f"the tag {event.tag} is not understood; leave it out")

    def _scalar(self, event: Any) -> None:
        text, start = event.value, event.start_mark
        mark = start.line, start.column
        if event.tag is not None:
            self._tagged(event)
        is_key = self._expects_key()
        if "$" in text and not is_key:
            value: Any = self.interpolate(text, self.source.place(*mark))
        elif event.implicit[0] and event.tag != _STR_TAG and not (is_key and text == "<<"):
            value = text if is_key and text not in _NULLS else plain(text)
        else:
            value = text
        if event.anchor is not None:
            self.anchors[event.anchor] = value
        if is_key and text == "<<" and not event.implicit[0]:
            self._notice(mark, "a key in quotes called << means nothing")
        self._put(value, mark)

    def _begin(self, event: Any, sort: type[Section] | type[Items]) -> None:
        mark = event.start_mark.line, event.start_mark.column
        self._tagged(event)
        if self._expects_key():
            raise Unreadable(self._at(event), "a key must be a word, not a list or a mapping; put ${…} in quotes")
        if len(self.stack) >= DEEPEST:
            raise Unreadable(self._at(event), f"nested deeper than {DEEPEST} levels")
        container = sort(self.source, mark)
        if event.anchor is not None:
            self.open[event.anchor] = container
            self.anchors[event.anchor] = container
        self.stack.append(container)
        self.keys.append(None)

    def _finish(self) -> None:
        container = self.stack.pop()
        self.keys.pop()
        for anchor in [anchor for anchor, opened in self.open.items() if opened is container]:
            del self.open[anchor]
        if container.size > MOST_VALUES:
            place = self.source.place(*container.mark)
            raise Unreadable(place, "its aliases add up to more values than can be read")
        if isinstance(container, Section) and "<<" in container:
            self._merge(container)
        self._put(container, container.mark)

    def _alias(self, event: Any) -> None:
        if event.anchor in self.open:
            raise Unreadable(self._at(event), f"*{event.anchor} stands inside what it refers to")
        if event.anchor not in self.anchors:
            raise Unreadable(self._at(event), f"there is no anchor &{event.anchor} before it")
        value = self.anchors[event.anchor]
        if self._expects_key() and not isinstance(value, str):
            raise Unreadable(self._at(event), "a key must be a word")
        if isinstance(value, Section | Items) and value.depth + len(self.stack) > DEEPEST:
            raise Unreadable(self._at(event), f"nested deeper than {DEEPEST} levels")
        self._put(value, (event.start_mark.line, event.start_mark.column))

    def _expects_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1], Section) and self.keys[-1] is None

    def _put(self, value: Any, mark: Mark) -> None:
        if not self.stack:
            self.root = value
            return
        parent = self.stack[-1]
        if isinstance(parent, Items):
            parent.append(value)
            parent.values_at.append(mark)
        elif self.keys[-1] is None:
            self.keys[-1] = (value, mark) if isinstance(value, str) else ("null", mark)
            return
        else:
            self._pair(parent, self.keys[-1], value, mark)
            self.keys[-1] = None
        if isinstance(value, Section | Items):
            parent.size += value.size
            parent.depth = max(parent.depth, value.depth + 1)
        else:
            parent.size += 1

    def _pair(self, section: Section, key: tuple[str, Mark], value: Any, mark: Mark) -> None:
        name, key_mark = key
        if name in section:
            first = section.keys_at[name][1]
            self._notice(key_mark, f"{name!r} stands here a second time; the first is in line {first[0] + 1}", first)
            return
        section[name] = value
        section.keys_at[name] = self.source, key_mark
        section.values_at[name] = self.source, mark

    def _merge(self, section: Section) -> None:
        """YAML's merge key: what the section itself says goes first, then the earlier of several."""
        merged = section.pop("<<")
        mark = section.values_at.pop("<<")[1]
        del section.keys_at["<<"]
        for part in merged if isinstance(merged, Items) else [merged]:
            if not isinstance(part, Section):
                self._notice(mark, "<< must refer to a mapping, or to a list of them")
                continue
            for name, value in part.items():
                if name not in section:
                    section[name] = value
                    section.keys_at[name] = part.keys_at[name]
                    section.values_at[name] = part.values_at[name]
