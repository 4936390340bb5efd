"""Reads S3's listings: XML of a stranger, so by events, and without what XML can do beyond elements and text."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import unquote_plus
from xml.parsers import expat

DEEPEST = 8
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Stored:
    """An object: `modified` in Unix seconds, `size` in bytes."""

    modified: float
    key: str
    size: int


@dataclass(slots=True)
class Listing:
    """One page of a listing; `next` is the token of the page after it, empty where there is none."""

    objects: list[Stored] = field(default_factory=list)
    next: str = ""


@dataclass(slots=True)
class Tally:
    """What matters of many objects, taken in page by page; `newest` are the last few, the newest at the end."""

    count: int = 0
    expired: int = 0
    total: int = 0
    oldest: float = math.inf
    newest: list[Stored] = field(default_factory=list)

    def add(self, objects: list[Stored], expired_before: float) -> None:
        """Take in one page."""
        self.count += len(objects)
        self.expired += sum(one.modified < expired_before for one in objects)
        self.total += sum(one.size for one in objects)
        self.oldest = min([self.oldest, *(one.modified for one in objects)])
        self.newest = sorted([*self.newest, *objects], key=lambda one: (one.modified, one.key))[-SHOWN:]


def read_listing(body: bytes) -> Listing:
    """The page that the answer to ListObjectsV2 holds; ValueError with a sentence where it is none. Takes 5 ms."""
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _no_doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(body, True)
    except expat.ExpatError as why:
        raise ValueError(f"it is no XML: {why}") from None
    return reader.listing()


def _no_doctype(*_: object) -> None:
    raise ValueError("it declares a document type, which a listing does not")


class _Reader:
    def __init__(self) -> None:
        self._path: list[str] = []
        self._pieces: list[str] = []
        self._top: dict[str, str] = {}
        self._contents: list[dict[str, str]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name.rpartition(" ")[2])
        self._pieces.clear()
        if len(self._path) > DEEPEST:
            raise ValueError("it is nested too deep")
        if self._path == ["ListBucketResult", "Contents"]:
            self._contents.append({})

    def text(self, piece: str) -> None:
        self._pieces.append(piece)

    def end(self, name: str) -> None:
        match self._path:
            case ["ListBucketResult", "Contents", field_name]:
                self._contents[-1][field_name] = "".join(self._pieces)
            case ["ListBucketResult", field_name]:
                self._top[field_name] = "".join(self._pieces)
        self._path.pop()
        self._pieces.clear()

    def listing(self) -> Listing:
        truncated, token = self._top.get("IsTruncated"), self._top.get("NextContinuationToken", "")
        if truncated not in ("true", "false") or (truncated == "true" and not token):
            raise ValueError("it does not say whether it is complete")
        plain = unquote_plus if self._top.get("EncodingType") == "url" else str
        try:
            objects = [
                Stored(moment(each["LastModified"]), plain(each["Key"]), size(each["Size"])) for each in self._contents
            ]
        except KeyError as missing:
            raise ValueError(f"an object has no {missing.args[0]}") from None
        return Listing(objects, token if truncated == "true" else "")


def moment(text: str) -> float:
    """Unix seconds of an ISO time that names its zone; ValueError with a sentence."""
    at = datetime.fromisoformat(text[:40])
    if at.tzinfo is None:
        raise ValueError(f"{text[:40]!r} names no time zone")
    return at.timestamp()


def size(text: str) -> int:
    """Bytes; ValueError with a sentence."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ValueError(f"{text[:40]!r} is no size")
    return int(text)
